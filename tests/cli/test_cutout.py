"""The command line, called in process; one test runs it as a program."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import cli, sessions
from rembg_sessions.core.cli import folders, models, needed, one_picture

ROOT = Path(__file__).resolve().parents[2]
RED = (200, 30, 40)


class Stub:
    """A session that takes the left half for foreground."""

    provider = "CPU"

    def open(self):
        pass

    def predict(self, image, **options):
        mask = np.zeros((image.height, image.width), np.uint8)
        mask[:, : image.width // 2] = 255
        return [Image.fromarray(mask)]


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    asked = []
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: asked.append((a, k)) or Stub())
    return asked


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/c.webp"):
        Image.new("RGB", (40, 20), RED).save(source / name)
    (source / "note.txt").write_text("not a picture")
    return source


def test_file_to_file(folder, tmp_path):
    target = tmp_path / "out" / "a.png"
    assert cli.main(["cutout", str(folder / "a.png"), str(target)]) == 0
    result = Image.open(target)
    assert result.mode == "RGBA"
    assert result.getpixel((5, 5)) == (*RED, 255)
    assert result.getpixel((35, 5)) == (0, 0, 0, 0)
    assert not list(target.parent.glob("*.part"))


def test_existing_output_needs_overwrite(folder, tmp_path, capsys):
    target = tmp_path / "a.png"
    target.write_bytes(b"precious")
    assert cli.main(["cutout", str(folder / "a.png"), str(target)]) == 1
    assert target.read_bytes() == b"precious"
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["cutout", str(folder / "a.png"), str(target), "--overwrite"]) == 0
    assert Image.open(target).size == (40, 20)


def test_folder_goes_on_after_a_bad_file(folder, tmp_path, capsys):
    (folder / "bad.png").write_bytes(b"no picture")
    target = tmp_path / "out"
    assert cli.main(["cutout", str(folder), str(target)]) == 1
    done = sorted(str(path.relative_to(target)) for path in target.rglob("*.*"))
    assert done == ["a.png", "b.png", "sub/c.png"]
    error = capsys.readouterr().err
    assert "bad.png" in error
    assert "3 cut out" in error
    assert "1 failed" in error


def test_folder_keeps_existing_outputs(folder, tmp_path, capsys):
    target = tmp_path / "out"
    assert cli.main(["cutout", str(folder), str(target)]) == 0
    (target / "a.png").write_bytes(b"precious")
    (target / "b.png").unlink()
    assert cli.main(["cutout", str(folder), str(target)]) == 0
    assert (target / "a.png").read_bytes() == b"precious"
    assert (target / "b.png").is_file()
    assert "2 outputs exist" in capsys.readouterr().err


def test_same_folder_is_refused(folder, capsys):
    assert cli.main(["cutout", str(folder), str(folder)]) == 1
    assert "same folder" in capsys.readouterr().err


def test_a_bomb_stops_no_folder(folder, tmp_path, monkeypatch, capsys):
    Image.new("RGB", (300, 300)).save(folder / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    assert cli.main(["cutout", str(folder), str(tmp_path / "out")]) == 1
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
    assert "bomb.png" in capsys.readouterr().err


def test_folder_into_itself_does_not_cut_its_outputs(folder):
    inside = folder / "out"
    assert cli.main(["cutout", str(folder), str(inside)]) == 0
    assert cli.main(["cutout", str(folder), str(inside), "--overwrite"]) == 0
    assert not (inside / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bgcolor", "nonsense"], "colour"),
        (["--max-size", "0"], "max_size"),
        (["--suffix", ".nope"], "not an image format"),
        (["--suffix", ".psd"], "not an image format"),  # Pillow reads it only
        (["--suffix", "."], "no name with a suffix that says its format"),
        (["--suffix", "../x"], "no name with a suffix that says its format"),
    ],
)
def test_bad_arguments(folder, tmp_path, capsys, arguments, said):
    target = tmp_path / f"x{arguments[1] if arguments[0] == '--suffix' else '.png'}"
    assert cli.main(["cutout", str(folder / "a.png"), str(target), *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not target.exists()


def test_a_suffix_that_leads_elsewhere(folder, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert cli.main(["cutout", str(folder / "a.png"), str(tmp_path / "out"), "--suffix", "../x"])
    assert "'../x' is not an image format" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("wrong", [["--threads", "\x1b[2J"], ["-zz"], ["--threads", "9" * 5000]])
def test_wrong_usage_takes_two_lines(folder, capsys, wrong):
    with pytest.raises(SystemExit) as ended:
        cli.main(["cutout", "a.png", "b.png", *wrong])
    assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ") and len(first) < 1100 and first.isprintable()
    assert re.fullmatch("`rembg-sessions( cutout)? --help` tells what there is.", second)


def test_jpeg_needs_a_background(folder, tmp_path, capsys):
    target = tmp_path / "x.jpg"
    assert cli.main(["cutout", str(folder / "a.png"), str(target)]) == 1
    assert "--bgcolor" in capsys.readouterr().err
    assert cli.main(["cutout", str(folder / "a.png"), str(target), "--bgcolor", "white"]) == 0
    assert Image.open(target).getpixel((35, 5)) == (255, 255, 255)


def test_only_mask(folder, tmp_path):
    target = tmp_path / "mask.png"
    assert cli.main(["cutout", str(folder / "a.png"), str(target), "--only-mask"]) == 0
    assert Image.open(target).mode == "L"


def test_missing_input(tmp_path, capsys):
    assert cli.main(["cutout", str(tmp_path / "gone.png"), str(tmp_path / "x.png")]) == 1
    assert "gone.png" in capsys.readouterr().err


def test_streams(folder, monkeypatch):
    class Stream:
        def __init__(self, data=b""):
            self.buffer = io.BytesIO(data)

        def write(self, text):
            raise AssertionError(f"text among the picture's bytes: {text!r}")

    output = Stream()
    monkeypatch.setattr(sys, "stdin", Stream((folder / "a.png").read_bytes()))
    monkeypatch.setattr(sys, "stdout", output)
    assert cli.main(["cutout", "-", "-"]) == 0
    assert Image.open(output.buffer).mode == "RGBA"


def test_options_reach_the_session(folder, tmp_path, stub):
    arguments = ["--providers", "CUDA", "--no-cpu-fallback", "--threads", "3", "-m", "isnet-anime"]
    assert cli.main(["cutout", str(folder / "a.png"), str(tmp_path / "x.png"), *arguments]) == 0
    (model,), options = stub[0]
    assert model == "isnet-anime"
    assert options["providers"] == "CUDA"
    assert options["cpu_fallback"] is False
    assert options["threads"] == 3


# -- alpha matting ------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """What the command hands to remove."""
    calls = []

    def remove(picture, **options):
        calls.append(options)
        return picture.convert("RGBA")

    monkeypatch.setattr(one_picture, "remove", remove)
    return calls


def cut_out(folder, tmp_path, *arguments):
    return cli.main(["cutout", str(folder / "a.png"), str(tmp_path / "cut.png"), *arguments])


def test_matting_options_reach_remove(folder, tmp_path, asked):
    arguments = "--matting-method guided --alpha-matting-scale-erode --alpha-matting-erode-size 20"
    assert cut_out(folder, tmp_path, *arguments.split()) == 0
    (options,) = asked
    assert options["matting_method"] == "guided"
    assert options["alpha_matting_scale_erode"] is True
    assert options["alpha_matting_erode_size"] == 20
    assert options["edge_colours"] == "estimated"


@pytest.mark.parametrize(
    ("arguments", "method", "edge_colours", "putalpha"),
    [
        ("", None, "estimated", False),
        ("--decontaminate", None, "estimated", False),
        ("--putalpha", None, None, True),
        ("--edge-colours naive", None, "naive", False),
        ("--alpha-matting", "closed-form", "estimated", False),
        ("--alpha-matting --putalpha", "closed-form", "original", True),
        ("--matting-method pymatting", "pymatting", None, False),
        ("--matting-method pymatting --decontaminate", "pymatting", "estimated", False),
    ],
)
def test_colours_and_methods(folder, tmp_path, asked, arguments, method, edge_colours, putalpha):
    assert cut_out(folder, tmp_path, *arguments.split()) == 0
    (options,) = asked
    found = options["matting_method"], options["edge_colours"], options["putalpha"]
    assert found == (method, edge_colours, putalpha)


def test_a_trimap_opens_no_model(folder, tmp_path, stub):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 40, 3), np.uint8))
    picture.save(folder / "a.png")
    trimap = np.full((20, 40), 128, np.uint8)
    trimap[:, :5], trimap[:, 35:] = 255, 0
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    assert cut_out(folder, tmp_path, "--trimap", str(tmp_path / "trimap.png")) == 0
    assert not stub
    alpha = np.asarray(Image.open(tmp_path / "cut.png").getchannel("A"))
    assert (alpha[:, :5] == 255).all() and (alpha[:, 35:] == 0).all()
    assert len(np.unique(alpha)) > 2


def test_a_trimap_is_for_one_picture(folder, tmp_path, capsys):
    assert cli.main(["cutout", str(folder), str(tmp_path / "out"), "--trimap", "x.png"]) == 1
    assert "--trimap belongs to one picture" in capsys.readouterr().err
    assert cut_out(folder, tmp_path, "--trimap", str(tmp_path / "none.png")) == 1
    assert "There is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--vitmatte", "--vitmatte-model", "base-composition-1k"],
        ["--vitmatte-model", "base-composition-1k"],
        ["--matting-method", "vitmatte", "--vitmatte-model", "base-composition-1k"],
    ],
    ids=" ".join,
)
def test_vitmatte_is_opened_with_the_options_of_models(
    folder, tmp_path, asked, monkeypatch, arguments
):
    opened = []
    monkeypatch.setattr(needed, "get_vitmatte", lambda *a, **k: opened.append((a, k)) or Stub())
    assert cut_out(folder, tmp_path, *arguments, "--providers", "CPU", "--threads", "1") == 0
    ((name,), options) = opened[0]
    assert name == "base-composition-1k"
    assert (options["providers"], options["threads"]) == ("CPU", 1)
    assert isinstance(asked[0]["vitmatte_model"], Stub)
    assert asked[0]["matting_method"] == "vitmatte"


def test_methods_that_contradict_each_other(folder, tmp_path, capsys):
    assert cut_out(folder, tmp_path, "--matting-method", "fast", "--vitmatte-model",
                   "base-composition-1k") == 1  # fmt: skip
    assert "choose one" in capsys.readouterr().err


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"rembg-sessions \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_models_lists_every_model(capsys):
    assert cli.main(["models"]) == 0
    output = capsys.readouterr().out
    for name in sessions:
        assert f"\n{name} " in output
    assert "CC BY-NC" in output
    assert max(map(len, output.splitlines())) <= 80


def test_own_files_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    (tmp_path / "mine.onnx").write_bytes(b"x" * 2_000_000)
    assert cli.main(["models", "--installed"]) == 0
    *_, name, how = capsys.readouterr().out.splitlines()
    assert name == "mine.onnx  2.0 MB  yours, of a kind it does not tell"
    assert how == "  --model-path mine.onnx, with -m and one of *_custom"


def test_installed_models_come_first_or_alone(monkeypatch, capsys):
    monkeypatch.setattr(models, "find", lambda spec, _: () if spec.name == "silueta" else None)
    assert cli.main(["models"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "silueta"
    assert cli.main(["models", "--installed"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_downloads_are_named(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(models, "ensure", lambda spec, **_: asked.append(spec.name) or ())
    assert cli.main(["d"]) == 1
    assert "Name the models to download" in capsys.readouterr().err and not asked
    assert cli.main(["d", "u2netp", "silueta"]) == 0
    assert asked == ["u2netp", "silueta"]
    assert cli.main(["download", "all"]) == 0
    assert len(asked) > 25 and "backdrop" not in asked and "u2net_custom" not in asked


def test_download_refuses_unknown_and_custom(capsys):
    assert cli.main(["download", "u2netq"]) == 1
    assert "u2netp" in capsys.readouterr().err
    assert cli.main(["download", "u2net_custom"]) == 1
    assert "supply" in capsys.readouterr().err


@pytest.mark.parametrize(
    "program", [["-m", "rembg_sessions"], ["-m", "rembg_sessions.core.cli"], ["-I", str(ROOT)]]
)
def test_as_a_program(program):
    command = [sys.executable, *program, "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "onnxruntime" in done.stdout
    usage = subprocess.run([*command[:-1], "nonsense"], capture_output=True, text=True)
    assert usage.returncode == 2


def test_the_doctor_says_by_its_exit_code_whether_there_is_a_problem(tmp_path, monkeypatch, capsys):
    assert cli.main(["doctor"]) == 0
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("no folder")
    assert cli.main(["doctor"]) == 1
    assert "1 problem found:" in capsys.readouterr().out


def test_in_comfyui_the_shell_has_the_models_of_its_nodes(tmp_path, monkeypatch, capsys, folder):
    package = tmp_path / "ComfyUI" / "custom_nodes" / "rembg-sessions"
    theirs = tmp_path / "ComfyUI" / "models" / "rembg"
    theirs.mkdir(parents=True)
    monkeypatch.setattr(folders, "__file__", str(package / "core" / "cli" / "folders.py"))
    assert cli.main(["doctor"]) == 0
    assert f"Model folder:  {theirs}\n" in capsys.readouterr().out
    (theirs / "mine.onnx").write_bytes(b"x")
    (theirs / "u2netp.onnx").write_bytes(bytes(4_574_861))
    assert cli.main(["models", "--installed"]) == 0
    listed = capsys.readouterr().out
    assert "mine.onnx" in listed and "u2netp" in listed
    line = ["cutout", str(folder / "a.png"), str(tmp_path / "x.png"), "--model-path", "mine.onnx"]
    assert cli.main([*line, "-m", "u2net_custom"]) == 0


def test_cancelling_while_the_command_is_loaded():
    code = (
        "import sys; from rembg_sessions import __main__ as program\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'rembg_sessions.core.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder()); sys.exit(program.main())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def test_options_of_the_backdrop(folder, tmp_path, stub, capsys):
    source, target = str(folder / "a.png"), str(tmp_path / "x.png")
    options = ["--tolerance", "9", "--soft-edge", "3", "--keep-shadow", "--no-holes", "--strict"]
    assert cli.main(["cutout", source, target, "-m", "backdrop", *options]) == 0
    given = {name: stub[-1][1][name] for name in ("tolerance", "soft_edge", "keep_shadow", "holes")}
    assert given == {"tolerance": 9, "soft_edge": 3, "keep_shadow": True, "holes": False}
    assert stub[-1][1]["strict"] is True
    assert cli.main(["cutout", source, str(tmp_path / "y.png"), "--no-holes"]) == 1
    assert "Only the model backdrop takes no-holes" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["-o--", "--suffix=--", "-m--", "--trimap=--"])
def test_two_dashes_are_no_value(word, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["cutout", "a.png", word])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: -- is no value: {word}\n")
