"""Standard output and input that are closed, or whose reader has left."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from rembg_sessions.core import cli
from rembg_sessions.core.cli import one_picture


@pytest.mark.skipif(not hasattr(os, "fork"), reason="closes descriptors as a shell does")
@pytest.mark.parametrize(
    "command", ["cutout - out.png", "cutout a.png -", "models", "--version", "cutout x y"]
)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_in_a_sentence(command, closed, tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    line = f"{sys.executable} -m rembg_sessions.core.cli {command} -m backdrop {closed}"
    if command in ("models", "--version"):
        line = line.replace(" -m backdrop", "")
    run = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True)
    assert b"Traceback" not in run.stderr and run.returncode in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="streams as a shell redirects them")
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "2>&1 | :"])
def test_a_folder_is_cut_out_though_nobody_listens(closed, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    command = f"{sys.executable} -m rembg_sessions cutout in out -m backdrop"
    line = f"exec 3>code; {{ {command}; echo $? >&3; }} {closed}"
    subprocess.run(line, shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / "code").read_text() == "1\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_input_that_cannot_be_read(tmp_path, monkeypatch, capsys):
    class Folder(io.RawIOBase):
        def read(self, size):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Folder()))
    assert cli.main(["cutout", "-", str(tmp_path / "x.png"), "-m", "backdrop"]) == 1
    said = "error: Standard input cannot be read (Is a directory); name a file instead of -.\n"
    assert capsys.readouterr().err == said


def test_input_without_an_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(one_picture, "_MOST_MEBIBYTES", 2)
    with Path("/dev/zero" if Path("/dev/zero").exists() else __file__).open() as endless:
        if endless.name != "/dev/zero":
            pytest.skip("there is no such file")
        monkeypatch.setattr(sys, "stdin", endless)
        assert cli.main(["cutout", "-", str(tmp_path / "x.png"), "-m", "backdrop"]) == 1
    assert "Standard input brings more than 2 MiB; is it a picture?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["models", "--version", "--help", "doctor"])
@pytest.mark.parametrize("full", [False, True])
def test_output_that_nobody_takes(command, full):
    """The reader has left, as ``head`` does, or the disk is full. Known at the end only."""
    if full and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    line = [sys.executable, "-m", "rembg_sessions.core.cli", command]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") if full else os.fdopen(writer, "wb") as output:
        run = subprocess.run(
            line, stdout=output, stderr=subprocess.PIPE, text=True, env=environment
        )
    assert run.returncode == 1
    said = (
        "error: Standard output cannot be written (No space left on device). Make room there, or "
        "name another place.\n"
    )
    assert run.stderr == (said if full else "")


class Left(io.RawIOBase):
    """A pipe on Windows whose reader has left."""

    def __init__(self, descriptor, error):
        self.descriptor, self.error = descriptor, error

    def writable(self):
        return True

    def write(self, data):
        if self.error is not None:
            raise self.error
        return len(data)

    def fileno(self):
        self.error = None  # it is replaced by another one
        return self.descriptor


@pytest.mark.parametrize(
    ("system", "error", "said"),
    [
        ("win32", OSError(errno.EINVAL, "Invalid argument"), ""),
        (
            "win32",
            OSError(errno.EINVAL, "Invalid argument", "a?.png"),
            "error: [Errno 22] Invalid argument: 'a?.png'. Check that it is there",
        ),
        (
            "win32",
            OSError(errno.ENOSPC, "No space left"),
            "Standard output cannot be written (No space",
        ),
        (
            "linux",
            OSError(errno.EINVAL, "Invalid argument"),
            "Standard output cannot be written (Inv",
        ),
        ("linux", BrokenPipeError(errno.EPIPE, "Broken pipe"), ""),
    ],
)
def test_windows_calls_a_reader_that_left_an_invalid_argument(
    monkeypatch, tmp_path, capsys, system, error, said
):
    with (tmp_path / "output").open("wb") as file:
        output = io.TextIOWrapper(io.BufferedWriter(Left(os.dup(file.fileno()), error)))
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(sys, "stdout", output)
        assert cli.main(["models"]) == 1
    shown = capsys.readouterr().err
    assert said in shown if said else not shown
