"""The command line that messages send the user to."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rembg_sessions.core.runtime import doctor
from rembg_sessions.core.runtime.doctor import doctor_command, shell_line, shell_remark

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A script of this package beside this Python, which is not on the path."""
    name = "rembg-sessions.exe" if sys.platform == "win32" else "rembg-sessions"
    path = tmp_path / "scripts" / name
    path.parent.mkdir()
    path.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(path.parent / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "argv", ["python"])
    return path.with_suffix("")


def test_the_script_where_it_is_on_the_path(script, monkeypatch):
    monkeypatch.setenv("PATH", str(script.parent))
    assert doctor_command() == "`rembg-sessions doctor`"


def test_the_script_where_it_is_not_on_the_path(script):
    assert doctor_command().startswith(f"`{shell_line([str(script), 'doctor'])}`")


@pytest.mark.skipif(sys.platform == "win32", reason="its paths begin with a drive")
def test_the_script_of_another_python_is_not_taken_for_ours(script, tmp_path, monkeypatch):
    other = tmp_path / "other" / "rembg-sessions"
    other.parent.mkdir()
    other.touch(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert doctor_command() == f"`{script} doctor`"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scripts/rembg-sessions"])
    assert doctor_command() == "`scripts/rembg-sessions doctor`"  # as it was typed
    monkeypatch.setenv("PATH", str(script.parent))
    assert doctor_command() == "`rembg-sessions doctor`"


def test_in_comfyui_no_script_is_named(script, monkeypatch):
    """There the pack is loaded from its folder, whatever is installed beside it."""
    monkeypatch.setattr(doctor, "__name__", "/ComfyUI/custom_nodes/rembg-sessions.core.doctor")
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setattr(sys, "argv", ["main.py"])
    assert shell_line([sys.executable, str(ROOT), "doctor"]) in doctor_command()


@pytest.mark.skipif(sys.platform == "win32", reason="splits as shells of Unix do")
def test_the_command_works_from_everywhere_in_an_isolated_python(monkeypatch, tmp_path):
    """ComfyUI's portable version brings one: it looks into no current folder for modules."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    program, *arguments = shlex.split(doctor_command().strip("`"))
    run = subprocess.run(
        [program, "-I", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("rembg-sessions ")


def test_on_windows(monkeypatch):
    """No cd, which does not change the drive, and no &&, which PowerShell 5.1 does not know."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "executable", r"D:\my py\python.exe")
    line = doctor_command()
    assert line.startswith(r'`"D:\my py\python.exe" ')
    assert line.endswith(" doctor` (in cmd; in PowerShell with & before it)")
    assert "cd " not in line and "&&" not in line


@pytest.mark.parametrize(
    ("words", "windows", "unix"),
    [
        ([r"D:\py\python.exe", "doctor"], r"D:\py\python.exe doctor", r"'D:\py\python.exe' doctor"),
        (["/opt/größer/py-3.11~1", "x"], "/opt/größer/py-3.11~1 x", "/opt/größer/py-3.11~1 x"),
        (["/my py/python", "x (1)"], '"/my py/python" "x (1)"', '"/my py/python" "x (1)"'),
        (["pip", "a[b]>=1,<2"], 'pip "a[b]>=1,<2"', 'pip "a[b]>=1,<2"'),
        (["/opt/$py/python"], '"/opt/$py/python"', "'/opt/$py/python'"),
        (["/it's/python"], '"/it\'s/python"', '"/it\'s/python"'),
    ],
)
def test_words_are_quoted_where_a_shell_would_cut_them(monkeypatch, words, windows, unix):
    monkeypatch.setattr(sys, "platform", "win32")
    assert shell_line(words) == windows
    assert bool(shell_remark(windows)) == windows.startswith('"')
    monkeypatch.setattr(sys, "platform", "linux")
    assert shell_line(words) == unix
    assert shell_remark(unix) == ""
