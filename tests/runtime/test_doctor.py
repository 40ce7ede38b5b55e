"""The command line that messages send the user to."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest

from rembg_sessions.core.runtime.doctor import doctor_command, shell_line, shell_remark


def test_the_script_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor_command() == "`rembg-sessions doctor`"


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
