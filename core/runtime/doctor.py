"""How this installation's doctor is started, and how a line is written for a shell."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

# What no shell takes for more than itself; a backslash is that on Windows only.
_PLAIN = re.compile(r"[\w.:\\/+~-]+")
_SCRIPT = "rembg-sessions"
_SPECIAL = re.compile(r"[\\\"$`!]")  # to shells of Unix, also between double quotes


def doctor_command() -> str:
    """Return the command line that examines this installation, see :func:`own_command`."""
    return own_command("doctor")


def own_command(verb: str) -> str:
    """Return a command line of this package, in backticks, for a sentence.

    The script exists only where the package was installed by pip; ComfyUI runs it from its
    folder. A script of the same name may belong to another Python.
    """
    script = _script()
    folder = Path(__file__).resolve().parents[2]
    line = shell_line([*([script] if script else [sys.executable or "python", str(folder)]), verb])
    return f"`{line}`{shell_remark(line)}"


def _script() -> str:
    """Return this package's script, as short as it can be called by; empty if there is none."""
    typed = sys.argv[0] if sys.argv else ""
    scripts = [typed] if Path(typed).stem == _SCRIPT else []
    if __name__.startswith("rembg_sessions."):  # ComfyUI loads it under another name
        home = Path(sys.executable).parent
        scripts += [str(home / _SCRIPT), str(home / "Scripts" / _SCRIPT)]
    for script in scripts:
        if found := shutil.which(script):
            on_path = shutil.which(_SCRIPT)
            return _SCRIPT if on_path and Path(on_path).samefile(found) else script
    return ""


def shell_line(words: Sequence[str]) -> str:
    """Return words as a line for the shells of this system.

    On Windows it is one for cmd and for PowerShell, but for :func:`shell_remark`.
    """
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if sys.platform != "win32" and _SPECIAL.search(word):
        return shlex.quote(word)
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def shell_remark(line: str) -> str:
    """Return what is to be said of a line of :func:`shell_line`; empty where it is clear."""
    # PowerShell takes a quoted word at the beginning for a text, and cmd an & for an error
    if sys.platform == "win32" and line.startswith('"'):
        return " (in cmd; in PowerShell with & before it)"
    return ""
