"""Which names are inputs and which the output, and rembg's own commands and options."""

from __future__ import annotations

import io
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import Whole
from rembg_sessions.core import cli
from rembg_sessions.core.cli import cutout, needed, one_picture
from rembg_sessions.core.cli.arguments import parse, parser


class Session(Whole):
    provider = "CPU"

    def open(self):
        pass


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """What sessions are opened with."""
    asked = []
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: asked.append((a, k)) or Session())
    return asked


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with pictures."""
    folder = tmp_path / "place"
    (folder / "photos" / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "photos/c.jpg", "photos/sub/d.jpg"):
        Image.new("RGB", (8, 6), "red").save(folder / name)
    monkeypatch.chdir(folder)
    return folder


class Stream:
    def __init__(self, data=b"", is_terminal=False):
        self.buffer, self.is_terminal = io.BytesIO(data), is_terminal

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        self.buffer.write(text.encode())


def shell(line):
    return cli.main(line.split())


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# -- inputs and outputs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("a.jpg", "a.png"),
        ("a.jpg --suffix webp", "a.webp"),
        ("a.jpg --name-suffix=-cut", "a-cut.png"),
        ("a.jpg new/", "new/a.png"),
        ("a.jpg b.jpg new", "new/a.png new/b.png"),
        ("a.jpg b.jpg photos/c.jpg new/ --name-suffix _x", "new/a_x.png new/b_x.png new/c_x.png"),
        ("-o new a.jpg b.jpg", "new/a.png new/b.png"),
        ("--overwrite a.jpg -m u2net new.png --quiet", "new.png"),
        ("photos new", "new/c.png new/sub/d.png"),
        ("photos new --no-recursive", "new/c.png"),
        ("photos a.jpg new", "new/a.png new/photos/c.png new/photos/sub/d.png"),
        ("photos/../photos . --name-suffix=.cut", "c.cut.png sub/d.cut.png"),
        ("i a.jpg new.png", "new.png"),
        ("p photos new", "new/c.png new/sub/d.png"),
    ],
)
def test_where_outputs_go(line, made, place):
    before = files(place)
    first = line.split()[0]
    assert shell(line if first in ("i", "p") else f"cutout {line}") == 0
    assert sorted({*files(place)} - {*before}) == made.split()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("photos", "Name a folder for the cut-outs, as in"),
        ("photos b.png", "b.png is called like a picture. Write b.png/ if that is"),
        ("photos -", "The input is a folder; it needs a folder for the cut-outs"),
        ("photos a.jpg b.jpg", "Several inputs need a folder for the cut-outs, and b.jpg is none"),
        ("a.jpg - new", "- for standard input is one picture"),
        ("a.jpg new", "Write new/ to have a folder made."),
        ("a.jpg new.png --suffix .webp", "ends in .png and --suffix is '.webp'; leave one out"),
        ("a.jpg --name-suffix ../x", "--name-suffix is '../x'; use a part of a name"),
        ("a.jpg b.png --watch", "--watch needs a folder as the input"),
        ("photos new -d", "--delete-input is for `rembg-sessions p`"),
        ("a.jpg - --json", "Standard output takes the picture or --json"),
    ],
)
def test_names_that_make_no_sense(line, said, place, opened, capsys):
    before = files(place)
    assert shell(f"cutout {line}") == 1
    assert said in capsys.readouterr().err
    assert files(place) == before and not opened


def test_two_pictures_of_one_name_have_two_outputs_or_a_sentence(place, capsys):
    Image.new("RGB", (8, 6), "blue").save(place / "photos" / "a.jpg")
    assert shell("cutout a.jpg photos/a.jpg a.jpg new") == 1
    assert "photos/a.jpg is not cut out: its output would have the name" in capsys.readouterr().err
    assert files(place / "new") == ["a.png"]


def test_the_output_of_a_png_is_not_itself(place, capsys):
    Image.new("RGB", (8, 6)).save("x.png")
    assert shell("cutout x.png --overwrite") == 1
    assert "The output of x.png would be itself" in capsys.readouterr().err


def test_patterns_that_the_shell_of_windows_leaves(place, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert shell("cutout *.jpg nothing*.png new") == 1
    assert files(place / "new") == ["a.png", "b.png"]


# -- streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["cutout", "i", "cutout -", "i -m u2net - -"])
def test_streams_are_what_no_name_means(command, place, monkeypatch):
    out = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(Path("a.jpg").read_bytes()))
    monkeypatch.setattr(sys, "stdout", out)
    assert shell(command) == 0
    assert Image.open(out.buffer).mode == "RGBA"


@pytest.mark.parametrize(
    ("terminals", "said"),
    [((True, True), "Name a picture, as in"), ((False, True), "Standard output is a terminal")],
)
def test_terminals_are_no_streams(terminals, said, place, monkeypatch, capsys):
    for name, is_terminal in zip(("stdin", "stdout"), terminals, strict=True):
        monkeypatch.setattr(sys, name, Stream(is_terminal=is_terminal))
    assert shell("cutout") == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_output_that_rembg_would_choose(is_terminal, place, monkeypatch):
    out = Stream(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stdout", out)
    assert shell("i a.jpg") == 0
    assert Path("a.out.png").exists() == is_terminal
    assert bool(out.buffer.getvalue()) != is_terminal


# -- rembg's options --------------------------------------------------------------------------


def test_the_short_options_are_rembgs():
    line = (
        "i -m isnet-anime -a -af 200 -ab 20 -ae 5 -om -ppm -dc -vm -bgc 1 2 3 4 -w -d "
        '--accept-usage-cost -x {"cc":"upper"} a.jpg b.png'
    )
    options = parse(line.split())
    assert (options.command, options.paths) == ("i", ["a.jpg", "b.png"])
    assert (options.model, options.bgcolor) == ("isnet-anime", "1,2,3,4")
    for name in ("alpha_matting", "only_mask", "post_process_mask", "decontaminate", "vitmatte"):
        assert getattr(options, name) is True
    numbers = ("foreground_threshold", "background_threshold", "erode_size")
    assert [getattr(options, f"alpha_matting_{name}") for name in numbers] == [200, 20, 5]
    assert options.watch and options.delete_input and options.extras == '{"cc":"upper"}'


def test_every_option_of_rembg_is_known():
    rembg = find_spec("rembg")
    if rembg is None:
        pytest.skip("rembg 2.0.86 needs Python 3.11")
    (commands,) = [Path(folder, "commands") for folder in rembg.submodule_search_locations]
    # argparse has no other way to its options
    ours = parser()._subparsers._group_actions[0].choices
    for name in ("i", "p"):
        known = {flag for action in ours[name]._actions for flag in action.option_strings}
        text = (commands / f"{name}_command.py").read_text("utf-8")
        theirs = re.findall(r'^ *(?:@click.option\()?"(--?[a-z_-]+)"', text, re.MULTILINE)
        theirs += re.findall(r'@click.option\("(-x)", "(--extras)"', text)[0]
        assert len(theirs) >= 20 and {*theirs} <= known


@pytest.mark.parametrize(
    ("line", "pixel"),
    [
        ("-bgc 0 0 255 255 a.jpg x.png", (0, 0, 255, 255)),
        ("a.jpg x.png --bgcolor 0 0 255 255", (0, 0, 255, 255)),
        ("a.jpg x.png --bgcolor blue", (0, 0, 255, 255)),
    ],
)
def test_colours(line, pixel, place, monkeypatch):
    class Nothing(Session):
        def predict(self, image, **options):
            return [Image.new("L", image.size)]

    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Nothing())
    assert shell(f"i {line}") == 0
    assert Image.open("x.png").getpixel((1, 1)) == pixel


def test_short_options_cannot_be_shortened(place, capsys):
    for word in ("-b", "-p", "-v"):
        with pytest.raises(SystemExit):
            shell(f"i a.jpg x.png {word}")
        assert f"unrecognized arguments: {word}" in capsys.readouterr().err


def test_names_that_begin_with_a_dash(place):
    Path("a.jpg").rename("-a.jpg")
    assert shell("cutout -m u2net -- -a.jpg x.png") == 0
    assert Path("x.png").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [("s", "There is no server here"), ("b", "Raw frames are not"), ("m", "nothing to migrate")],
)
def test_commands_of_rembg_that_are_not_here(command, said, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--port", "7000"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_extras_reach_the_session_and_the_picture(place, opened, monkeypatch):
    asked = []
    monkeypatch.setattr(
        one_picture, "remove", lambda picture, **k: asked.append(k) or Image.new("RGBA", (1, 1))
    )
    extras = {"sam_model": "sam_vit_b_01ec64", "sam_quant": True, "providers": ["CPUExec"]}
    prompt = [{"type": "point", "label": 1, "data": [3, 4]}]
    line = ["i", "-m", "sam", "a.jpg", "x.png", "-x", json.dumps({**extras, "sam_prompt": prompt})]
    assert cli.main(line) == 0
    assert extras.items() <= opened[0][1].items()
    assert asked[0]["sam_prompt"] == prompt


@pytest.mark.parametrize(
    ("extras", "said"),
    [
        ("nonsense", "--extras is not valid JSON"),
        ("[1]", "--extras is [1]; use an object such as"),
        ('{"input_points": 1}', "--extras holds 'input_points'; use some of model_path,"),
        ('{"sam_prompt": []}', "use a sam model"),
    ],
)
def test_extras_that_make_no_sense(extras, said, place, opened, capsys):
    assert cli.main(["i", "a.jpg", "x.png", "-x", extras]) == 1
    assert said in capsys.readouterr().err and not opened


# -- options are checked first -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--putalpha --decontaminate", "--putalpha and --decontaminate do not go together"),
        ("-om --bgcolor white", "a mask has no background. Leave one out"),
        ("-dc --edge-colours naive", "--edge-colours is naive; leave one out"),
        ("--trimap a.jpg -m u2net", "a trimap takes the place of a model"),
        ("-af 200", "--alpha-matting-foreground-threshold needs alpha matting"),
        ("-a -ae -1", "The erode size is -1"),
        ("--max-size 0", "max_size is 0"),
        ("-m u2nett", "Did you mean u2net"),
        ("-m sam --sam-prompt []", "sam_prompt is an empty list"),
        ("-m sam --sam-prompt [1]", "Entry 1 of sam_prompt"),
        ("--sam-prompt [1]", "u2net does not take a sam_prompt; use a sam model"),
        ("--cloth-category upper", "u2net does not find clothes"),
        ("--quality 50", ".png loses nothing and takes no --quality"),
        ("--trimap nothing.png", "There is no file 'nothing.png'"),
        ("--matting-method guided --vitmatte", "choose one"),
    ],
)
def test_options_are_checked_before_anything_is_loaded(line, said, place, opened, capsys):
    assert shell(f"cutout a.jpg x.png {line}") == 1
    assert said in capsys.readouterr().err
    assert not opened and not Path("x.png").exists()


def test_a_place_that_cannot_be_written_to_is_known_before(place, opened, monkeypatch, capsys):
    monkeypatch.setattr(cutout.check_place.__globals__["os"], "access", lambda *_: False)
    for line in ("a.jpg x.png", "photos new/deep"):
        assert shell(f"cutout {line}") == 1
        assert "cannot be written to. Name another output" in capsys.readouterr().err
    assert not opened


def test_masks_are_what_they_were(place):
    """A trimap is opened once, and for the picture it belongs to."""
    trimap = np.full((6, 8), 128, np.uint8)
    trimap[:, :2], trimap[:, 6:] = 255, 0
    Image.fromarray(trimap).save("t.png")
    assert shell("cutout a.jpg x.png --trimap t.png") == 0
    alpha = np.asarray(Image.open("x.png").getchannel("A"))
    assert (alpha[:, :2] == 255).all() and (alpha[:, 6:] == 0).all()
