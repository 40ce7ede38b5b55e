"""Bars on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest
from PIL import Image

from rembg_sessions.core.cli import terminal

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no pseudo-terminals in Python")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.new("RGB", (8, 6), "white").save(tmp_path / "in" / f"{name}.png")
    return tmp_path


LINE = [sys.executable, "-m", "rembg_sessions", "cutout", "in", "out", "-m", "backdrop"]


def on_a_terminal(line, **options):
    """Return the exit code of a program, and what it showed on a terminal."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(line, stderr=theirs, **options) as run:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:  # Linux, once nobody has it open
            pass
    os.close(ours)
    return run.returncode, shown.decode()


@posix
def test_a_bar_on_a_terminal(place):
    code, shown = on_a_terminal(LINE, cwd=place)
    assert code == 0 and "3/3" in shown and "\r" in shown


@posix
@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_setting_that_tqdm_refuses(place, on_terminal):
    options = {"cwd": place, "env": {**os.environ, "TQDM_MININTERVAL": "often"}}
    if on_terminal:
        code, said = on_a_terminal(LINE, **options)
        assert code == 1
        assert "does not take what a variable is set to whose name begins with TQDM_" in said
    else:
        run = subprocess.run(LINE, capture_output=True, text=True, **options)
        code, said = run.returncode, run.stderr
        assert code == 0
    assert "Traceback" not in said


def test_no_bar_elsewhere(place):
    run = subprocess.run(LINE, cwd=place, capture_output=True, text=True)
    assert run.returncode == 0
    *warnings, end = run.stderr.splitlines()
    assert end.startswith("3 cut out on CPU") and len(warnings) == 3
    assert all(line.startswith("WARNING: ") for line in warnings)


def test_a_line_a_minute_about_pictures(monkeypatch, capsys):
    now = iter(range(0, 10_000, 25))
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(now))
    with terminal.counted(range(9), "picture", 9) as items:
        assert list(items) == list(range(9))
    assert capsys.readouterr().err.splitlines() == [
        "3 of 9 pictures.",
        "6 of 9 pictures.",
    ]
