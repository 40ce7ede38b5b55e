"""The command batch: a record of every picture, and runs that go on where one stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import Whole, encode
from rembg_sessions.core import cli
from rembg_sessions.core.cli import batch, needed, remote
from rembg_sessions.core.cli.manifest import Manifest

ROOT = Path(__file__).resolve().parents[2]


class Session(Whole):
    provider = "CPU"
    seen = 0

    def open(self):
        pass

    def predict(self, image, **options):
        type(self).seen += 1
        return super().predict(image)


@pytest.fixture(autouse=True)
def session(monkeypatch):
    Session.seen = 0
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    for name, colour in (("a.png", "red"), ("b.jpg", "lime"), ("sub/c.webp", "blue")):
        save(folder / name, colour)
    return folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out"


def save(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


def run(*arguments):
    return cli.main(["batch", *map(str, arguments)])


def last_lines(place):
    """The last line of each picture, by source."""
    lines = [json.loads(line) for line in place.read_text("utf-8").splitlines()]
    return {line["source"]: line for line in lines}


def outputs(target):
    found = (path for path in target.rglob("*") if path.is_file())
    return sorted(path.relative_to(target).as_posix() for path in found)


def test_a_folder(source, target, capsys):
    assert run(source, target) == 0
    assert outputs(target) == ["a.png", "b.png", "manifest.jsonl", "sub/c.png"]
    lines = last_lines(target / "manifest.jsonl")
    assert lines["sub/c.webp"].keys() == {
        *("source", "output", "state", "model", "device", "milliseconds", "warnings", "error")
    }
    assert lines["b.jpg"]["output"] == "b.png" and lines["b.jpg"]["state"] == "done"
    said = capsys.readouterr().err
    assert "3 cut out on CPU, 0 failed" in said and "pictures a second" in said


def test_what_is_done_is_not_done_again(source, target, capsys):
    run(source, target)
    save(source / "d.png")
    assert run(source, target) == 0
    assert Session.seen == 4
    assert "3 are done already" in capsys.readouterr().err
    assert run(source, target, "--overwrite") == 0 and Session.seen == 8


def test_pictures_that_come_later_shift_no_names(source, target):
    run(source, target)
    before = {name: (target / name).read_bytes() for name in outputs(target)[:2]}
    save(source / "a.jpg", "black")
    save(source / "a.webp", "white")
    save(source / "A.png", "yellow")
    assert run(source, target) == 0
    lines = last_lines(target / "manifest.jsonl")
    found = [line["output"] for line in lines.values()]
    assert len({name.casefold() for name in found}) == len(found) == 6
    assert lines["a.png"]["output"] == "a.png" and lines["a.jpg"]["output"] == "a.jpg.png"
    assert all((target / name).read_bytes() == data for name, data in before.items())
    for name, line in lines.items():
        colours = [
            np.asarray(Image.open(each).convert("RGB"))[4, 4].astype(int)
            for each in (source / name, target / line["output"])
        ]
        assert np.abs(colours[0] - colours[1]).max() < 4, name


def test_failures_are_noted_and_tried_again_when_asked(source, target, capsys):
    (source / "b.jpg").write_bytes(b"broken")
    assert run(source, target) == 1
    line = last_lines(target / "manifest.jsonl")["b.jpg"]
    assert line["state"] == "failed" and "b.jpg' is not an image" in line["error"]
    save(source / "b.jpg")
    assert run(source, target) == 1
    assert "1 failed before; add --retry-failed" in capsys.readouterr().err
    assert run(source, target, "--retry-failed") == 0
    assert last_lines(target / "manifest.jsonl")["b.jpg"]["state"] == "done"


def test_a_line_that_was_cut_off_is_written_again(source, target):
    run(source, target)
    place = target / "manifest.jsonl"
    place.write_bytes(place.read_bytes()[:-9])
    assert run(source, target) == 0
    assert Session.seen == 3, "its output was there"
    lines = last_lines(place)
    assert {line["state"] for line in lines.values()} == {"done"} and len(lines) == 3


def test_an_output_that_is_gone_is_made_again(source, target):
    run(source, target)
    (target / "a.png").unlink()
    assert run(source, target) == 0
    assert (target / "a.png").is_file() and Session.seen == 4


def test_outputs_of_others_are_kept(source, target):
    target.mkdir()
    (target / "a.png").write_bytes(b"mine")
    assert run(source, target) == 0
    assert (target / "a.png").read_bytes() == b"mine"
    assert last_lines(target / "manifest.jsonl")["a.png"]["state"] == "kept"


def test_a_list(source, target, tmp_path, capsys):
    save(tmp_path / "other/b.jpg", "black")
    lines = ["# pictures", "in/a.png", "", str(source / "b.jpg"), "other/b.jpg", "in/gone.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines), "utf-8")
    assert run(tmp_path / "list.txt", target) == 1
    rows = last_lines(target / "manifest.jsonl")
    assert [rows[name]["state"] for name in lines if name in rows] == ["done"] * 3 + ["failed"]
    assert (target / rows[str(source / "b.jpg")]["output"]).is_file()
    assert "There is no file" in rows["in/gone.png"]["error"]


@pytest.mark.parametrize("name", ["../../x.png", "/etc/x.png", "..", "http://h/../../x.png", "a:b"])
def test_no_name_leads_out_of_the_target(name, tmp_path):
    from rembg_sessions.core.cli.sources import name_in_target

    found = name_in_target(name)
    assert not Path(found).is_absolute() and ".." not in Path(found).parts and ":" not in found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in"], "Name a source and a target"),
        (["in", "out", "more"], "Name a source and a target"),
        (["gone", "out"], "There is no folder or list 'gone'"),
        (["in/a.png", "out"], "one picture is for `rembg-sessions cutout`"),
        (["in", "in"], "the same folder"),
        (["in", "out", "--trimap", "in/a.png"], "--trimap belongs to one picture"),
        (["in", "out", "--steady"], "--steady is for frames"),
        (["in", "out", "-d"], "--delete-input is for"),
        (["in", "out", "--suffix", "jpg"], "keeps no transparency"),
        (["in", "out", "--manifest", "in/b.jpg"], "is none of a manifest"),
        (["in", "out", "--manifest", "in"], "cannot be written"),
        (["in", "memory://out"], "name a file here with --manifest"),
        (["nothing://in", "out"], "nothing://in"),
    ],
)
def test_what_makes_no_sense_is_said_first(source, arguments, said, monkeypatch, capsys):
    pytest.importorskip("fsspec")
    monkeypatch.chdir(source.parent)
    before = outputs(source)
    assert run(*arguments) == 1
    assert said in capsys.readouterr().err
    assert Session.seen == 0 and outputs(source) == before


def test_an_empty_folder(tmp_path, target, capsys):
    (tmp_path / "none").mkdir()
    assert run(tmp_path / "none", target) == 3
    assert "There are no pictures" in capsys.readouterr().err


def test_a_full_disk_is_no_fault_of_the_pictures(source, target, monkeypatch, capsys):
    from rembg_sessions.core.cli import output

    def full(path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(output, "_part", full)
        assert run(source, target, "--jobs", "1") == 1
    assert "left to do" in capsys.readouterr().err
    assert {line["state"] for line in last_lines(target / "manifest.jsonl").values()} == {"planned"}
    assert run(source, target) == 0


# -- killed ------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
from rembg_sessions.core import cli
from rembg_sessions.core.cli import needed
from PIL import Image
class Slow:
    provider = "CPU"
    def open(self): pass
    def predict(self, image, **options):
        time.sleep(0.02)
        with open(sys.argv[1], "a") as file: file.write("x")
        return [Image.new("L", image.size, 255)]
needed.get_session = lambda *a, **k: Slow()
sys.exit(cli.main(["batch", *sys.argv[2:]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_a_run_that_is_killed_goes_on(tmp_path, target):
    source, tally = tmp_path / "in", tmp_path / "tally"
    for number in range(60):
        save(source / f"{number:02d}.png", (number, 0, 0))
    command = [sys.executable, "-c", PROGRAM, str(tally), str(source), str(target), "--quiet"]
    for _ in range(3):
        process = subprocess.Popen(command, cwd=ROOT.parent)
        size = tally.stat().st_size if tally.exists() else 0
        ends = time.monotonic() + 60
        while time.monotonic() < ends and process.poll() is None:
            if tally.exists() and tally.stat().st_size >= size + 12:
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, check=False, cwd=ROOT.parent).returncode == 0
    lines = last_lines(target / "manifest.jsonl")
    assert len(lines) == 60 and {line["state"] for line in lines.values()} == {"done"}
    assert len(outputs(target)) == 61 + len(list(target.glob(".rembg-*")))
    for name, line in lines.items():
        found = np.asarray(Image.open(target / line["output"]))
        assert found[4, 4, 0] == int(name[:2])
    # what was in work when a run was killed, two for each of two to eight jobs, may be done twice
    assert tally.stat().st_size <= 60 + 3 * 16


# -- elsewhere -----------------------------------------------------------------------------------


@pytest.fixture
def bucket():
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install fsspec")
    system = fsspec.filesystem("memory")
    for name, colour in (("a.png", "red"), ("sub/b.jpg", "lime"), ("c.txt", None)):
        data = encode(Image.new("RGB", (8, 8), colour), "PNG") if colour else b"text"
        system.pipe_file(f"/bucket/in/{name}", data)
    yield system
    system.rm("/bucket", recursive=True)


def test_from_a_bucket(bucket, target):
    assert run("memory://bucket/in", target) == 0
    assert outputs(target) == ["a.png", "manifest.jsonl", "sub/b.png"]
    assert run("memory://bucket/in", target) == 0 and Session.seen == 2


def test_from_a_bucket_into_it(bucket, tmp_path):
    place = tmp_path / "done.jsonl"
    arguments = ("memory://bucket/in", "memory://bucket/in/out", "--manifest", place)
    assert run(*arguments) == 0
    assert sorted(bucket.find("/bucket/in/out")) == [
        "/bucket/in/out/a.png",
        "/bucket/in/out/sub/b.png",
    ]
    assert run(*arguments) == 0 and Session.seen == 2, "outputs are no inputs"
    bucket.rm("/bucket/in/out/a.png")
    assert run(*arguments) == 0 and Session.seen == 3


def test_files_by_their_address(source, target):
    assert run(source.as_uri(), target.as_uri()) == 0
    assert outputs(target) == ["a.png", "b.png", "manifest.jsonl", "sub/c.png"]


def test_a_list_of_addresses(bucket, tmp_path, target):
    (tmp_path / "list.txt").write_text("memory://bucket/in/a.png\nmemory://bucket/in/gone.png\n")
    assert run(tmp_path / "list.txt", target) == 1
    rows = last_lines(target / "manifest.jsonl")
    assert rows["memory://bucket/in/a.png"]["output"] == "bucket/in/a.png"
    assert "gone.png cannot be read" in rows["memory://bucket/in/gone.png"]["error"]


def test_without_fsspec_one_sentence_says_how_to_get_it(target, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert run("s3://bucket/in", target) == 1
    assert "-m pip install fsspec" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s3://bucket/a", True),
        ("http://host/a.png", True),
        ("simplecache::s3://bucket/a", True),
        ("C:/photos", False),
        ("C:\\photos", False),
        ("photos/a.png", False),
        ("a:b.png", False),
    ],
)
def test_what_is_an_address(name, expected):
    assert remote.is_address(name) == expected


# -- watching ------------------------------------------------------------------------------------


def test_files_that_arrive(source, target, monkeypatch):
    monkeypatch.setattr(batch, "SECONDS_BETWEEN_LOOKS", 0.05)
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run(source, target, "--watch")))
    thread.start()
    data = encode(Image.new("RGB", (8, 8), "red"))

    def wait_for(name):
        ends = time.monotonic() + 20
        while not (target / name).is_file() and time.monotonic() < ends:
            time.sleep(0.02)
        assert (target / name).is_file()

    wait_for("a.png")
    with (source / "z.png").open("wb") as file:
        for byte in range(0, len(data), 16):  # a slow copy
            file.write(data[byte : byte + 16])
            file.flush()
            time.sleep(0.02)
    wait_for("z.png")
    (source / "y.png").write_bytes(b"broken")
    time.sleep(0.4)
    save(source / "y.png")
    wait_for("y.png")
    (source / "stop.txt").touch()
    thread.join(20)
    assert codes == [0] and not (source / "stop.txt").exists()
    states = {line["state"] for line in last_lines(target / "manifest.jsonl").values()}
    assert states == {"done"}


# -- the record ----------------------------------------------------------------------------------


def test_names_of_a_plan_stay_apart(tmp_path):
    names = ["a.png", "a.jpg", "A.png", "a.png.gif", "a.jpg.png", "é.png", "e\u0301.png"]
    with Manifest(tmp_path / "m.jsonl", anew=False) as manifest:
        manifest.plan({name: name for name in names[:3]}, ".png")
        manifest.plan({name: name for name in names}, ".png")
        found = [manifest.output(name) for name in names]
    assert len({each.casefold() for each in found}) == len(names)
    with Manifest(tmp_path / "m.jsonl", anew=False) as again:
        assert [again.output(name) for name in names] == found
        assert again.state("a.png") == "planned" and again.state("none") == ""
