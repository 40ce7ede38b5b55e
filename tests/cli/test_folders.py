"""A folder of pictures: which are cut out, and into which files."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from helpers import Whole
from rembg_sessions.core import cli
from rembg_sessions.core.cli import cutout, output
from rembg_sessions.core.cli.jobs import Job, folder_jobs
from rembg_sessions.core.cli.output import write
from rembg_sessions.core.weights import filesystem

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


class Session(Whole):
    provider = "CPU"

    def open(self):
        pass


@pytest.fixture(autouse=True)
def session(monkeypatch):
    monkeypatch.setattr(cutout, "get_session", lambda *a, **k: Session())


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out"


def save(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"lossless": True} if path.suffix == ".webp" else {}
    Image.new("RGB", (8, 8), colour).save(path, **options)


def cut_out(source, target, *arguments):
    return cli.main(["cutout", str(source), str(target), *arguments])


def outputs(target):
    """The colour of each output by its name."""
    found = {}
    for path in target.rglob("*"):
        if path.is_file():
            pixel = Image.open(path).convert("RGB").getpixel((4, 4))
            off = {name: np.abs(np.subtract(pixel, rgb)).sum() for name, rgb in COLOURS.items()}
            name = min(off, key=off.get)
            assert off[name] < 12
            found[path.relative_to(target).as_posix()] = name
    return found


# -- names -----------------------------------------------------------------------------------


def test_names_that_differ_by_suffix_only(source, target, capsys):
    save(source / "a.png", "red")
    save(source / "a.jpg", "blue")
    save(source / "b.jpg", "green")
    assert cut_out(source, target) == 0
    assert outputs(target) == {"a.png.png": "red", "a.jpg.png": "blue", "b.png": "green"}
    assert "a.jpg, a.png differ by suffix only" in capsys.readouterr().err
    assert cut_out(source, target) == 0
    assert "3 outputs exist" in capsys.readouterr().err


@pytest.mark.parametrize(("first", "second"), [("a.jpg", "a.png"), ("a.png", "a.jpg")])
def test_an_output_belongs_to_its_input_whatever_is_added(first, second, source, target):
    save(source / first, "red")
    assert cut_out(source, target) == 0
    save(source / second, "blue")
    for _ in range(2):
        assert cut_out(source, target) == 0
        assert outputs(target) == {"a.png": "red", f"{first}.png": "red", f"{second}.png": "blue"}


def test_names_that_differ_by_case_or_form_only(source, target):
    save(source / "A.jpg", "red")
    save(source / "a.png", "blue")
    save(source / "e\u0301.png", "red")  # é in two forms
    save(source / "\u00e9.jpg", "green")
    assert cut_out(source, target) == 0
    found = outputs(target)
    assert sorted(found.values()) == ["blue", "green", "red", "red"]
    assert {"A.jpg.png", "a.png.png"} < set(found)


@pytest.mark.parametrize("name", ["a.tar.jpg", ".hidden.jpg", "a b.jpg", "a..jpg", "ä✂.jpg"])
def test_odd_names(name, source, target):
    save(source / name)
    assert cut_out(source, target) == 0
    assert outputs(target) == {name.removesuffix(".jpg") + ".png": "red"}


@pytest.mark.skipif(sys.platform == "win32", reason="the length of the whole path is limited")
@pytest.mark.parametrize("name", ["x" * 251, "\u5b57" * 83])
def test_very_long_names(name, source, target, capsys):
    save(source / f"{name}.png")
    assert cut_out(source, target) == 0
    assert outputs(target) == {f"{name}.png": "red"}
    # one that is too long for its output says so, and stops no other
    save(source / f"{name}.jpg")
    save(source / "z.png")
    assert cut_out(source, target) == 1
    assert "is too long for its disk; rename it" in capsys.readouterr().err
    assert outputs(target)["z.png"] == "red"


def test_files_of_others_in_the_output_folder_stay(source, target):
    save(source / "p.png")
    target.mkdir()
    (target / "p.png.part").write_bytes(b"precious")
    assert cut_out(source, target) == 0
    assert (target / "p.png.part").read_bytes() == b"precious"
    assert sorted(path.name for path in target.iterdir()) == ["p.png", "p.png.part"]


# -- links ----------------------------------------------------------------------------------


def link(path, to):
    try:
        path.symlink_to(to, target_is_directory=to.is_dir())
    except OSError:
        pytest.skip("links need a permission here")


def test_outputs_that_are_links(source, target, tmp_path):
    save(source / "a.png")
    save(source / "b.png")
    (tmp_path / "elsewhere.png").write_bytes(b"precious")
    target.mkdir()
    link(target / "a.png", tmp_path / "elsewhere.png")
    link(target / "b.png", tmp_path / "gone.png")  # leads nowhere, and is somebody's
    assert cut_out(source, target) == 0
    assert (target / "a.png").is_symlink() and (target / "b.png").is_symlink()
    assert cut_out(source, target, "--overwrite") == 0
    assert outputs(target) == {"a.png": "red", "b.png": "red"}
    assert not (target / "a.png").is_symlink()
    assert (tmp_path / "elsewhere.png").read_bytes() == b"precious"
    assert not (tmp_path / "gone.png").exists()


def test_a_linked_folder_among_the_outputs(source, target, tmp_path, capsys):
    save(source / "sub" / "a.png")
    save(source / "b.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target.mkdir()
    link(target / "sub", elsewhere)
    assert cut_out(source, target) == 1
    assert "outside the output folder; add --overwrite" in capsys.readouterr().err
    assert not any(elsewhere.iterdir()) and (target / "b.png").exists()
    assert cut_out(source, target, "--overwrite") == 0
    assert (elsewhere / "a.png").exists()


def test_linked_folders_of_inputs_are_followed_once(source, target, tmp_path):
    save(tmp_path / "more" / "a.png")
    link(source / "linked", tmp_path / "more")
    link(tmp_path / "more" / "loop", source)
    assert cut_out(source, target) == 0
    assert outputs(target) == {"linked/a.png": "red"}


# -- file systems that ignore case -----------------------------------------------------------


@pytest.fixture
def ignores_case(monkeypatch):
    """Names that differ by case only are one folder, and resolve() leaves them as they are."""

    def is_same(one, other):
        return str(one.resolve()).casefold() == str(other.resolve()).casefold()

    monkeypatch.setattr(Path, "samefile", is_same)


def test_the_same_folder_in_another_case_is_refused(source, ignores_case, capsys):
    save(source / "a.png")
    before = (source / "a.png").read_bytes()
    assert cut_out(source, source.with_name("IN"), "--overwrite") == 1
    assert "are the same folder" in capsys.readouterr().err
    assert (source / "a.png").read_bytes() == before


def test_outputs_in_another_case_are_no_inputs(source, ignores_case):
    save(source / "a.png")
    save(source / "out" / "old.png")
    found = folder_jobs(source, source.with_name("IN") / "OUT", ".png", True)
    assert [Path(job.source).name for job in found.jobs] == ["a.png"]


def test_a_link_back_into_the_outputs_in_another_case(target, tmp_path, ignores_case):
    (target / "real").mkdir(parents=True)
    link(target / "sub", target / "real")
    job = Job("a.png", str(target / "sub" / "a.png"), str(tmp_path / "OUT"))
    write(Image.new("RGBA", (8, 8)), job, ".png", quality=None, overwrite=False)
    assert (target / "real" / "a.png").is_file()


# -- what Windows refuses ------------------------------------------------------------------


@pytest.mark.parametrize("number", [3, 206])
def test_a_path_that_is_too_long_for_windows(source, target, monkeypatch, capsys, number):
    """Python knows it as a file that is not there."""

    def refuse(path, *args, **kwargs):
        error = FileNotFoundError(errno.ENOENT, "The system cannot find the path", str(path))
        error.winerror = number
        raise error

    save(source / f"{'x' * 240}.png")
    target.mkdir()
    monkeypatch.setattr(output, "_write_whole", refuse)
    assert cut_out(source, target) == 1
    assert "is too long for its disk; rename it" in capsys.readouterr().err


def test_an_output_that_a_viewer_has_open(source, target, monkeypatch, capsys):
    replace = Path.replace

    def held(path, to):
        if (target / "a.png").exists():
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        return replace(path, to)

    monkeypatch.setattr(filesystem, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(filesystem, "PATIENCE", 0.1)
    monkeypatch.setattr(Path, "replace", held)
    save(source / "a.png", "red")
    save(target / "a.png", "blue")
    assert cut_out(source / "a.png", target / "a.png", "--overwrite") == 1
    said = capsys.readouterr().err
    assert f"{target / 'a.png'} cannot be written (Access is denied; another program may" in said
    assert outputs(target) == {"a.png": "blue"}
    (target / "a.png").unlink()
    assert cut_out(source / "a.png", target / "a.png") == 0


# -- what is left out -----------------------------------------------------------------------


def test_pictures_that_cannot_be_read_are_counted(source, target, capsys):
    for name in ("1.HEIC", "2.heic", "raw.NEF", "pic.jxl"):
        (source / name).write_bytes(b"\0\0\0\x18ftypheic")
    assert cut_out(source, target) == 1
    said = capsys.readouterr().err
    assert "2 .heic left out: install pillow-heif" in said and "1 .nef left out" in said
    assert "There are no pictures in" in said
    save(source / "a.jpg")
    assert cut_out(source, target) == 0
    assert "2 .heic left out" in capsys.readouterr().err


def test_what_is_no_picture_is_no_failure(source, target):
    save(source / "a.jpg")
    Image.new("RGB", (8, 8)).save(source / "report.pdf")
    (source / "._a.jpg").write_bytes(b"\0\5\x16\7" + bytes(99))
    (source / "clip.mpg").write_bytes(b"\0\0\1\xb3" + bytes(64))
    (source / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    (source / "vector.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    assert cut_out(source, target) == 0
    assert outputs(target) == {"a.png": "red"}


def test_a_run_that_has_nothing_to_do_says_why(source, target, capsys):
    assert cut_out(source, target) == 1
    assert "There are no pictures" in capsys.readouterr().err
    save(source / "a.png")
    assert cut_out(source, target) == 0
    assert cut_out(source, target) == 0
    said = capsys.readouterr().err
    assert "1 output exists" in said and "Nothing is left to do" in said


@pytest.mark.parametrize("arguments", [("", "out"), ("in", ""), ("", "")])
def test_an_empty_name_is_not_the_current_folder(arguments, source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(source / "a.png")
    assert cut_out(*arguments) == 1
    assert "is empty: is a variable in your command not set?" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["in"]


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_profile_and_resolution_reach_the_file(suffix, source, target):
    from PIL import ImageCms, features

    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (8, 8), "red").save(source / "a.png", icc_profile=profile, dpi=(300, 300))
    assert cut_out(source, target, "--suffix", suffix, "--bgcolor", "white") == 0
    with Image.open(target / f"a{suffix}") as result:
        assert result.info["icc_profile"] == profile
        if suffix in (".png", ".jpg", ".tif"):
            assert [round(float(side)) for side in result.info["dpi"]] == [300, 300]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_quality(suffix, source, target):
    from PIL import features

    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    noise = Image.effect_noise((200, 200), 40).convert("RGB")
    noise.save(source / "a.png")

    def error(*arguments):
        arguments = ("--suffix", suffix, "--bgcolor", "white", "--overwrite", *arguments)
        assert cut_out(source, target, *arguments) == 0
        result = np.asarray(Image.open(target / f"a{suffix}").convert("RGB"), int)
        return np.abs(result - np.asarray(noise)).mean()

    best = error()
    assert best < 2 if suffix != ".webp" else best == 0
    assert error("--quality", "30") > 4


@pytest.mark.parametrize("quality", ["0", "101", "-1", "best", "1.5"])
def test_qualities_that_do_not_exist(quality, source, target, capsys):
    with pytest.raises(SystemExit):
        cut_out(source, target, "--quality", quality)
    assert "is not a whole number from 1 to 100" in capsys.readouterr().err
