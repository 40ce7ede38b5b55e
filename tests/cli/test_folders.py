"""A folder of pictures: which are cut out, and into which files."""

from __future__ import annotations

import errno
import itertools
import os
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from helpers import Whole
from rembg_sessions.core import cli
from rembg_sessions.core.cli import needed, one_picture, output
from rembg_sessions.core.cli.jobs import Job, find_jobs
from rembg_sessions.core.cli.output import write
from rembg_sessions.core.cli.output_names import output_names
from rembg_sessions.core.weights import filesystem

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


class Session(Whole):
    provider = "CPU"

    def open(self):
        pass


@pytest.fixture(autouse=True)
def session(monkeypatch):
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())


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
    assert "a.jpg, a.png would share the short names of their outputs" in capsys.readouterr().err
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


@pytest.mark.parametrize("order", ["a.png.gif a.png a.jpg", "a.jpg a.png a.png.gif"])
def test_a_name_that_begins_with_that_of_another_picture(order, source, target):
    """The output of a.png.gif must not be that of a.png beside a.jpg, whichever came first."""
    for name, colour in zip(order.split(), COLOURS, strict=True):
        save(source / name, colour)
        assert cut_out(source, target) == 0
    expected = {f"{name}.png": colour for name, colour in zip(order.split(), COLOURS, strict=True)}
    found = outputs(target)
    assert expected.items() <= found.items()
    assert found.keys() - expected.keys() <= {"a.png"}  # of the one that was alone at first


def test_names_steer_no_terminal(source, target, capsys):
    for suffix in (".png", ".jpg"):
        try:
            (source / f"\x1b[2J\n\u202e9\u202fPM{suffix}").write_bytes(b"no picture")
        except OSError:
            pytest.skip("names are limited here")
    assert cut_out(source, target) == 1
    said = capsys.readouterr().err
    assert r"\x1b[2J\n\u202e9" + "\u202fPM.png would share" in said
    assert r"\x1b[2J\n\u202e9" + "\u202fPM.png' is not an image" in said
    assert cut_out(source / "\x1b[2Jgone", target / "x.png") == 1
    assert r"There is no file or folder" in (said := capsys.readouterr().err)
    assert r"\x1b[2Jgone" in said and "\x1b" not in said


def test_a_sentence_lists_few_names(source, target, capsys):
    for number in range(20):
        for suffix in (".png", ".jpg"):
            save(source / f"{number:02}{suffix}")
    assert cut_out(source, target) == 0
    assert "04.jpg and 31 more would share" in capsys.readouterr().err


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


SUFFIXES = (".png", ".jpg", ".JPG", ".tif", ".heic", "")
NAMES = [
    *(
        Path(f"{stem}{inner}{last}")
        for stem in "abA"
        for inner in SUFFIXES
        for last in SUFFIXES[:4]
    ),
    *map(Path, ("a.png/x.jpg", "a.jpg.png/x.png", "A/x.jpg", "a/x.jpg", "a/X.png")),
]


def plan(names, suffix=".png"):
    return output_names(names, suffix, {".png", ".jpg", ".tif", ".heic"})


def folded(path):
    return str(path).casefold()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_no_two_outputs_share_a_name_and_none_is_a_folder(suffix):
    sets = [NAMES, *itertools.combinations(NAMES, 2), *itertools.combinations(NAMES[::2], 3)]
    for names in sets:
        outputs = plan(names, suffix).values()
        files = {folded(output) for output in outputs}
        folders = {folded(folder) for output in outputs for folder in output.parents}
        assert len(files) == len(names) and not files & folders, names


def test_what_is_added_never_gets_the_output_of_another():
    for names in itertools.combinations(NAMES, 2):
        for first in names:
            (before,) = plan([first]).values()
            after = plan(names)
            others = [folded(output) for name, output in after.items() if name != first]
            assert folded(before) not in others, names


def test_a_picture_alone_has_the_short_name():
    for name in ("a.jpg", "a.png", "a.b.JPG", ".a.tif", "sub/photo.png"):
        assert list(plan([Path(name)]).values()) == [Path(name).with_suffix(".png")]
    assert plan([Path("a.png.tif")]) == {Path("a.png.tif"): Path("a.png.tif.png")}


def test_names_follow_from_no_count():
    two, three = plan(map(Path, ("a.jpg", "A.JPG"))), plan(map(Path, ("A.JPG", "A.jpg", "a.jpg")))
    assert two.items() <= three.items() and len({*three.values()}) == 3
    assert all(re.fullmatch(r"a\.jpg\.[0-9a-f]{8}\.png", folded(path)) for path in three.values())


def test_three_pictures_with_one_stem(source, target):
    for name, colour in zip(("a.jpg", "a.png", "a.jpg.tif"), COLOURS, strict=True):
        save(source / name, colour)
    assert cut_out(source, target) == 0
    expected = {"a.jpg.png": "red", "a.png.png": "green", "a.jpg.tif.png": "blue"}
    assert outputs(target) == expected


def test_a_folder_with_the_name_of_an_output(source, target, capsys):
    save(source / "a.jpg", "red")
    save(source / "a.png" / "b.jpg", "blue")
    assert cut_out(source, target) == 0
    assert outputs(target) == {"a.jpg.png": "red", "a.png/b.png": "blue"}
    # the user's own folder, or file, in the place of an output, or of its folder
    save(source / "c.jpg", "green")
    (target / "c.png").mkdir()
    assert cut_out(source, target) == 1
    said = capsys.readouterr().err
    assert f"there is a folder, {target / 'c.png'}. Rename one of them." in said
    assert "Nothing is left" not in said
    (target / "c.png").rmdir()
    (target / "sub").write_bytes(b"precious")
    save(source / "sub" / "d.jpg", "green")
    assert cut_out(source, target) == 1
    said = capsys.readouterr().err
    assert f"cannot be written: {target / 'sub'} is no folder. Remove or rename that" in said
    assert (target / "sub").read_bytes() == b"precious"


def test_an_output_of_a_picture_that_was_replaced(source, target, capsys, tmp_path):
    save(source / "a.jpg", "red")
    save(source / "b.jpg", "blue")
    save(tmp_path / "old.png", "green")
    assert cut_out(source, target) == 0
    (source / "a.jpg").unlink()
    time.sleep(0.02)  # a clock of files may tick every few milliseconds
    os.utime(tmp_path / "old.png", (1e9, 1e9))
    (tmp_path / "old.png").replace(source / "a.png")  # it brings its time along
    if os.name != "posix":
        os.utime(source / "a.png")
    capsys.readouterr()
    assert cut_out(source, target) == 0
    said = capsys.readouterr().err
    assert "2 outputs exist and are kept" in said and "Nothing is left to do" not in said
    assert f"Of these, {target / 'a.png'} was made before its picture came or last" in said
    assert outputs(target) == {"a.png": "red", "b.png": "blue"}
    assert "add --redo-if-newer to replace it." in said
    made = (target / "b.png").stat().st_mtime_ns
    assert cut_out(source, target, "--redo-if-newer") == 0
    assert outputs(target) == {"a.png": "green", "b.png": "blue"}
    assert (target / "b.png").stat().st_mtime_ns == made
    assert cut_out(source, target) == 0
    assert capsys.readouterr().err.endswith("replace them.\nNothing is left to do.\n")
    # a picture alone
    one = [str(source / "a.png"), str(target / "a.png"), "--redo-if-newer"]
    assert cli.main(["cutout", *one]) == 0
    assert capsys.readouterr().err == "Nothing is left to do.\n"
    time.sleep(0.02)
    save(source / "a.png", "red")
    assert cli.main(["cutout", *one]) == 0
    assert outputs(target) == {"a.png": "red", "b.png": "blue"}
    assert cli.main(["cutout", *one, "--overwrite"]) == 1
    assert "--overwrite and --redo-if-newer do not go together" in capsys.readouterr().err


def test_a_picture_is_named_once(source, target, monkeypatch, capsys):
    save(source / "a.png")
    (source / "b.png").write_bytes(b"no picture")
    read = Path.read_bytes

    def refuse(path):
        if path.name == "a.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert cut_out(source, target) == 1
    lines = [line.rpartition("\r")[2] for line in capsys.readouterr().err.splitlines()]
    assert f"'{source / 'a.png'}' cannot be read: Permission denied. Check who may." in lines
    assert f"'{source / 'b.png'}' is not an image that Pillow can read." in lines


def test_what_killed_runs_left_goes(source, target):
    save(source / "sub" / "a.png")
    (target / "sub").mkdir(parents=True)
    names = [f".rembg-{digit * 16}.part" for digit in "0123"]
    stale, fresh, folder, outside = (target / "sub" / name for name in names)
    outside = target / "elsewhere" / names[3]
    folder.mkdir()
    outside.parent.mkdir()
    others = [target / "sub" / ".rembg-x.part", target / "sub" / "a.part"]
    for path in (stale, fresh, outside, *others):
        path.write_bytes(b"half a picture")
    for path in (stale, folder, outside, *others):
        os.utime(path, (1e9, 1e9))
    assert cut_out(source, target) == 0
    assert not stale.exists() and fresh.exists() and folder.is_dir()
    assert all(path.exists() for path in (outside, *others))


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


def test_links_that_lead_nowhere_are_named(source, target, tmp_path, capsys):
    save(source / "a.png")
    link(source / "gone.png", tmp_path / "gone.png")
    link(source / "loop.jpg", source / "loop.jpg")
    assert cut_out(source, target) == 1
    said = capsys.readouterr().err
    assert f"There is no file '{source / 'gone.png'}', but" in said
    assert f"There is no file '{source / 'loop.jpg'}', but" in said
    assert "1 cut out on CPU, 2 failed." in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
def test_a_pipe_is_named_and_not_waited_for(source, target, capsys):
    os.mkfifo(source / "pipe.png")
    assert cut_out(source, target) == 1
    assert "pipe.png', but a folder, a pipe, or a link" in capsys.readouterr().err


@pytest.mark.parametrize("backwards", [False, True])
def test_a_folder_and_a_link_to_it(source, target, backwards, monkeypatch):
    """The outputs have the folder's own name, in whatever order the system lists the two."""
    save(source / "real" / "a.png")
    link(source / "link", source / "real")
    scandir = os.scandir

    class Listed(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def listed(folder):
        with scandir(folder) as entries:
            return Listed(sorted(entries, key=lambda entry: entry.name, reverse=backwards))

    monkeypatch.setattr(os, "scandir", listed)
    assert cut_out(source, target) == 0
    assert outputs(target) == {"real/a.png": "red"}


def test_a_folder_that_is_a_link_to_itself(source, tmp_path, capsys):
    save(source / "a.png")
    link(tmp_path / "loop", tmp_path / "loop")
    assert cut_out(source, tmp_path / "loop") == 1
    assert "a.png cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("--overwrite",)])
def test_an_output_is_never_written_over_a_picture_of_the_run(source, tmp_path, arguments, capsys):
    """The inputs lie within the outputs, where one has the name of another's output."""
    save(source / "new" / "a.png", "red")
    save(source / "new" / "new" / "a.png", "blue")
    assert cut_out(source / "new", source, *arguments) == 1
    assert outputs(source) == {"a.png": "red", "new/a.png": "red", "new/new/a.png": "blue"}
    said = capsys.readouterr().err
    assert f"{Path('new', 'new', 'a.png')}: Its output" in said
    assert "would be written over a picture of this run" in said


def test_outputs_on_a_disk_that_ignores_case(source, target, monkeypatch):
    """It would take A.png.png and a.png.png for one."""
    save(source / "A.png", "red")
    save(source / "a.png", "blue")
    if len(list(source.iterdir())) < 2:
        pytest.skip("so does this disk")
    for name in ("stat", "lstat"):
        real = getattr(Path, name)

        def ignoring_case(path, real=real, **options):
            whole = path.with_name(path.name.lower()) if path.parent == target else path
            return real(whole, **options)

        monkeypatch.setattr(Path, name, ignoring_case)
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda path, to: replace(path, to.with_name(to.name.lower()))
    )
    for _ in range(2):
        assert cut_out(source, target) == 0
        assert sorted(outputs(target).values()) == ["blue", "red"]


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
    found = find_jobs([str(source)], source.with_name("IN") / "OUT", ".png", overwrite=True)
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
    monkeypatch.setattr(output, "_part", refuse)
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


# -- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "Name another output, or make room on this disk."),
        (errno.EROFS, "Name another output, or make "),
        (errno.EIO, "Name another output."),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_what_a_disk_refuses(number, said, many, source, target, monkeypatch, capsys):
    def refuse(part, path):
        raise OSError(number, os.strerror(number), str(part))

    save(source / "a.png")
    monkeypatch.setattr(output, "replace", refuse)
    where = (source, target) if many else (source / "a.png", target / "a.png")
    assert cut_out(*where) == 1
    error = capsys.readouterr().err
    assert f"{target / 'a.png'} cannot be written ({os.strerror(number)}). {said}" in error
    assert not list(target.iterdir())


def test_a_folder_that_cannot_be_read_stops_no_other(source, target, monkeypatch, capsys):
    save(source / "a.png", "red")
    save(source / "secret" / "b.png", "blue")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "secret":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert cut_out(source, target) == 1
    said = capsys.readouterr().err
    assert f"{source / 'secret'} cannot be read: Permission denied" in said
    assert "1 cut out on CPU, 1 failed." in said
    assert outputs(target) == {"a.png": "red"}
    assert cut_out(source, target) == 0
    assert outputs(target) == {"a.png": "red", "secret/b.png": "blue"}
    monkeypatch.setattr(os, "scandir", refuse)
    assert cut_out(source / "secret", target) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"{source / 'secret'} cannot be read: Permission denied. Check who may")


def test_an_output_that_appears_during_the_run_is_kept(source, target, monkeypatch, capsys):
    save(source / "a.png")
    opened = one_picture.open_picture

    def meanwhile(path):
        target.mkdir()
        (target / "a.png").write_bytes(b"precious")
        return opened(path)

    monkeypatch.setattr(one_picture, "open_picture", meanwhile)
    assert cut_out(source, target) == 1
    assert "exists by now; add --overwrite" in capsys.readouterr().err
    assert (target / "a.png").read_bytes() == b"precious"


def test_an_error_without_a_text_is_named(source, target, monkeypatch, capsys):
    def fail(path):
        raise MemoryError

    save(source / "a.png")
    monkeypatch.setattr(one_picture, "open_picture", fail)
    assert cut_out(source, target) == 1
    assert "a.png: MemoryError" in capsys.readouterr().err
    assert cut_out(source / "a.png", target / "a.png") == 1
    assert "There is not enough memory" in capsys.readouterr().err


# -- what is left out -----------------------------------------------------------------------


def test_pictures_that_cannot_be_read_are_counted(source, target, capsys):
    for name in ("1.HEIC", "2.heic", "raw.NEF", "pic.jxl"):
        (source / name).write_bytes(b"\0\0\0\x18ftypheic")
    assert cut_out(source, target) == 3
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
    assert cut_out(source, target) == 3
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
