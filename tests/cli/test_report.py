"""What a run says of itself: lines of JSON, warnings by picture, one end where nothing helps."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers import Whole
from rembg_sessions.core import cli
from rembg_sessions.core.cli import cutout, needed, output

_log = logging.getLogger("rembg_sessions")


class Session(Whole):
    """Finds everything, and warns about pictures of an odd width."""

    provider = "CPU"

    def open(self):
        pass

    def predict(self, image, **options):
        if image.width % 2:
            _log.warning("The picture is odd.")
        return super().predict(image, **options)


@pytest.fixture(autouse=True)
def session(monkeypatch):
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with pictures, the second of them odd and the third broken."""
    folder = tmp_path / "place"
    (folder / "in").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name, width in (("a", 8), ("b", 9), ("d", 8)):
        Image.new("RGB", (width, 6), "red").save(f"in/{name}.png")
    (folder / "in" / "c.png").write_bytes(b"no picture")
    return folder


def lines(text):
    return [line.rpartition("\r")[2] for line in text.splitlines()]


def test_warnings_name_their_picture_and_are_counted(place, capsys):
    assert cli.main(["cutout", "in", "out"]) == 1
    said = lines(capsys.readouterr().err)
    assert f"WARNING: {Path('in', 'b.png')}: The picture is odd." in said
    assert said[-1] == "3 cut out on CPU, 1 with warnings, 1 failed."


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_line_of_json_for_each_picture(jobs, place, capsys):
    assert cli.main(["cutout", "in", "out", "--json", "--quiet", "--jobs", jobs]) == 1
    streams = capsys.readouterr()
    found = [json.loads(line) for line in streams.out.splitlines()]
    inputs = [str(Path("in", f"{name}.png")) for name in "abcd"]
    assert [line["input"] for line in found] == inputs
    assert [line["output"] and Path(line["output"]).name for line in found] == [
        "a.png",
        "b.png",
        None,
        "d.png",
    ]
    assert [bool(line["error"]) for line in found] == [False, False, True, False]
    assert [line["warnings"] for line in found] == [[], ["The picture is odd."], [], []]
    assert {line["model"] for line in found} == {"u2net"} and found[0]["device"] == "CPU"
    assert all(isinstance(line["milliseconds"], int) for line in found)
    assert lines(streams.err) == [f"'{inputs[2]}' is not an image that Pillow can read."]


def test_json_of_outputs_that_are_kept(place, capsys):
    assert cli.main(["cutout", "in/a.png", "out/a.png"]) == 0
    capsys.readouterr()
    assert cli.main(["cutout", "in", "out", "--json", "--quiet"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kept, *rest = found
    assert [line["kept"] for line in found] == [True, False, False, False]
    assert Path(kept["output"]) == Path("out", "a.png") and len(rest) == 3
    assert (kept["model"], kept["milliseconds"], kept["error"]) == (None, 0, None)
    assert cli.main(["cutout", "in/a.png", "out/a.png", "--json", "--redo-if-newer"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"]


def test_json_of_one_picture(place, capsys):
    assert cli.main(["cutout", "in/b.png", "x.png", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["input"], line["output"], line["error"]) == ("in/b.png", "x.png", None)
    assert line["warnings"] == ["The picture is odd."]
    assert cli.main(["cutout", "in/c.png", "y.png", "--json"]) == 1
    assert "not an image" in json.loads(capsys.readouterr().out)["error"]


def test_one_picture_says_how_it_was_made(place, capsys):
    assert cli.main(["cutout", "in/a.png", "x.png"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("x.png: u2net on CPU, ") and said.endswith(" ms.\n")
    assert cli.main(["cutout", "in/b.png", "y.png", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main(["cutout", "in/b.png", "z.png"]) == 0
    assert "WARNING" in capsys.readouterr().err


def test_done_and_nothing_found_are_told_apart(place, capsys):
    (place / "in" / "c.png").unlink()
    (place / "empty").mkdir()
    assert cli.main(["cutout", "in", "out"]) == 0
    assert cli.main(["cutout", "in", "out"]) == 0
    assert "Nothing is left to do." in capsys.readouterr().err
    assert cli.main(["cutout", "empty", "out"]) == 3
    assert "There are no pictures in empty." in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_place_that_takes_nothing_ends_the_run(number, jobs, place, monkeypatch, capsys):
    for name in range(30):
        Image.new("RGB", (8, 6)).save(f"in/x{name:02}.png")

    def refuse(part, path):
        raise OSError(number, os.strerror(number), str(part))

    monkeypatch.setattr(output, "replace", refuse)
    assert cli.main(["cutout", "in", "out", "--jobs", jobs]) == 1
    said = capsys.readouterr().err
    assert said.count("cannot be written") <= int(jobs)
    assert f"{Path('out', 'a.png')} cannot be written" in said
    assert "0 cut out on CPU, " in said and " left to do.\n" in said


def test_one_output_that_is_refused_ends_no_run(place, monkeypatch, capsys):
    replace = output.replace

    def refuse(part, path):
        if path.name == "a.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(part))
        replace(part, path)

    monkeypatch.setattr(output, "replace", refuse)
    assert cli.main(["cutout", "in", "out"]) == 1
    assert "2 cut out on CPU, 1 with warnings, 2 failed." in capsys.readouterr().err


def test_pictures_are_deleted_once_they_are_cut_out(place):
    assert cli.main(["p", "-d", "in", "out"]) == 1
    assert [path.name for path in (place / "in").iterdir()] == ["c.png"]


def test_a_folder_is_watched(place, monkeypatch, capsys):
    monkeypatch.setattr(cutout, "SECONDS_BETWEEN_LOOKS", 0.02)
    codes = []
    watcher = threading.Thread(
        target=lambda: codes.append(cli.main(["cutout", "in", "out", "--watch"]))
    )
    watcher.start()

    def wait_for(name):
        end = time.monotonic() + 20
        while not (place / "out" / name).exists():
            assert time.monotonic() < end, name
            time.sleep(0.01)

    wait_for("d.png")
    Image.new("RGB", (8, 6)).save("in/new.png")
    wait_for("new.png")
    (place / "in" / "stop.txt").touch()
    watcher.join(20)
    assert codes == [0] and not (place / "in" / "stop.txt").exists()
    assert capsys.readouterr().err.count("c.png' is not an image") == 1
