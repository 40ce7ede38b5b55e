"""The disk that a file of weights is written to, and what to tell when it does not take it."""

from __future__ import annotations

import contextlib
import errno
import io
import shutil
import stat
from collections.abc import Generator
from pathlib import Path

from ..errors import WeightsError
from ..registry.spec import WeightFile
from .filesystem import is_too_long
from .sources import by_hand

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def part_path(target: Path) -> Path:
    """Return where a file lies until it is whole and verified."""
    return target.with_name(f"{target.name}.part")


def write_all(stream: io.FileIO, data: bytes) -> None:
    """Write to an unbuffered file, which may take less than it is given."""
    left = memoryview(data)
    while left:
        left = left[stream.write(left) :]


@contextlib.contextmanager
def on_disk(file: WeightFile, target: Path) -> Generator[None, None, None]:
    """Raise a WeightsError about the disk in place of any OSError of the block."""
    try:
        yield
    except OSError as exc:
        where = exc.filename or target
        if exc.errno in _FULL:
            raise _no_room(file, target, "does not fit") from exc
        if is_too_long(exc, target):
            raise WeightsError(
                f"{where} cannot be written: its name is too long for its disk. Choose a model "
                "folder with a shorter path ($U2NET_HOME for Python and the shell). "
                f"{by_hand(file, target)}"
            ) from exc
        if isinstance(exc, FileNotFoundError):
            raise WeightsError(
                f"{where} is not there: it was removed while {target.name} was downloaded, or its "
                f"disk was. Try again. {by_hand(file, target)}"
            ) from exc
        advice = "Make the folder {} writable" if exc.errno in _REFUSED else "Check the folder {}"
        raise WeightsError(
            f"{where} cannot be written ({exc.strerror or exc}). {advice.format(target.parent)}, "
            "or choose another model folder ($U2NET_HOME for Python and the shell). "
            f"{by_hand(file, target)}"
        ) from exc


def check_part(file: WeightFile, target: Path) -> None:
    """Raise a WeightsError if something lies in place of the .part that is not a file of its own.

    A pipe would wait for ever, and a link would have somebody else's file overwritten.
    """
    part = part_path(target)
    with on_disk(file, target):
        try:
            mode = part.lstat().st_mode
        except FileNotFoundError:
            return
    if not stat.S_ISREG(mode):
        raise WeightsError(
            f"{part} is in the way: it is a folder, a link or a pipe, where the download of "
            f"{target.name} keeps its data. Remove it, and try again. {by_hand(file, target)}"
        )


def check_room(file: WeightFile, target: Path, needed: int) -> None:
    """Raise a WeightsError if the target's disk has less than ``needed`` bytes free."""
    with on_disk(file, target):
        free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise _no_room(file, target, f"needs {needed} more bytes, {free} are free")


def _no_room(file: WeightFile, target: Path, wants: str) -> WeightsError:
    return WeightsError(
        f"The disk is full: {target} {wants}. Make room, or choose a model folder on another "
        "disk ($U2NET_HOME for Python and the shell), and try again: what was downloaded so far "
        f"is kept and continued. {by_hand(file, target)}"
    )
