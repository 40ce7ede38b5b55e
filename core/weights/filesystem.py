"""Files that changed, and what file systems refuse: files in use, and names that are too long."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 2.0
"""Seconds that Windows is asked again for a file in use: virus scanners take that long."""
PAUSE = 0.05
"""Seconds between two tries."""

# Windows' own numbers: a path not found, a name of no meaning, a name too long. Of a name that is
# too long it may say any of them.
_NOT_FOUND, _MEANINGLESS, _TOO_LONG = 3, 123, 206
_MOST_CHARACTERS = 247  # of a folder's path; a file's may have twelve more


def stamp(path: Path) -> tuple[object, ...]:
    """Return what differs when a file was written, or another took its place."""
    facts = path.stat()
    return (path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def replace(source: Path, target: Path) -> None:
    """Move a file, also over another.

    Raises
    ------
    PermissionError
        If one of them is in use, on Windows, and stays so; it says so, too.
    OSError
    """
    _patiently(lambda: source.replace(target))


def remove(path: Path, *, missing_ok: bool = False) -> None:
    """Remove a file.

    Raises
    ------
    PermissionError
        If it is in use, on Windows, and stays so; it says so, too.
    OSError
    """
    _patiently(lambda: path.unlink(missing_ok=missing_ok))


def _patiently(act: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            act()
            return
        except PermissionError as error:
            if sys.platform != "win32":
                raise
            if time.monotonic() >= end:
                text = f"{error.strerror}; another program may have it open: close it there"
                raise PermissionError(error.errno, text, error.filename) from error
        time.sleep(PAUSE)


def is_too_long(error: OSError, path: Path) -> bool:
    """Return whether an error of work on a path is that it, or a name in it, is too long."""
    number = getattr(error, "winerror", None)
    if error.errno == errno.ENAMETOOLONG or number == _TOO_LONG:
        return True
    named = Path(error.filename) if isinstance(error.filename, str) else path
    return number in (_NOT_FOUND, _MEANINGLESS) and len(str(named.absolute())) > _MOST_CHARACTERS
