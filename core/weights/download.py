"""Puts one file of weights in place: one process at a time, its sources in turn."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .. import settings
from ..errors import DownloadError
from ..registry.spec import WeightFile
from ..text import without_passwords
from .disk import check_part, check_room, on_disk, part_path, write_all
from .failures import SourceFailed
from .filesystem import remove, replace
from .network import CHUNK
from .sources import sources
from .transfer import Report, Transfer

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_WAIT = 0.5
"""Seconds between two looks at a lock that another process holds."""

_log = logging.getLogger("rembg_sessions")


def place(file: WeightFile, target: Path, parts: Mapping[str, Path], report: Report) -> bool:
    """Download a file to ``target``, unless it is there once no other process works on it.

    Parameters
    ----------
    parts
        Parts of the file that are on this machine, by name; they are used and kept.
    report
        Called at least once per MiB, and while waiting for the network or another process.
        What it raises ends the download and is passed on unchanged; the next call continues.

    Returns
    -------
    bool
        True if it was downloaded, and is verified; False if it was there.

    Raises
    ------
    WeightsError
        If no source gives the right file, or the disk does not take it.
    """
    with on_disk(file, target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file, target, report):
        # A link that leads nowhere is somebody's file, too.
        if os.path.lexists(target):
            return False
        check_part(file, target)
        spent: list[Path] = []
        if file.parts:
            spent = _join(file, target, parts, report)
        else:
            _fetch(file, target, report)
        with on_disk(file, target):
            replace(part_path(target), target)
            for path in spent:
                remove(path)
    return True


@contextmanager
def _locked(file: WeightFile, target: Path, report: Report) -> Generator[None, None, None]:
    """Hold the lock of a target file, reporting while another process has it."""
    from filelock import FileLock, SoftFileLock, Timeout

    path = target.with_name(f"{target.name}.lock")
    lock = FileLock(path)
    for turn in itertools.count():
        report(0, file.size or 0)
        try:
            if _acquire(lock, path, is_soft=isinstance(lock, SoftFileLock)):
                break
        except Timeout:
            if turn == 0:
                _log.info("Waiting for another process that downloads %s", target)
        except NotImplementedError:  # a network disk; newer filelocks do this by themselves
            lock = SoftFileLock(path)
        except OSError:
            with on_disk(file, target):
                raise
    try:
        yield
    finally:
        # While it is held: then nobody can hold it and find it here. Windows does not remove a
        # file that is open; filelock does so there.
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):  # its disk may be gone
            lock.release()


def _acquire(lock: BaseFileLock, path: Path, *, is_soft: bool) -> bool:
    """Take a lock within ``LOCK_WAIT``; False where it is one that keeps nobody out.

    On Unix its file may be removed by whoever held it, after it was opened here and before it
    was locked. The next one would make a new file, and hold that. So the file must have the
    name before and after; as it is open meanwhile, no new one can have its number.
    """
    if os.name != "posix" or is_soft:
        lock.acquire(timeout=LOCK_WAIT)
        return True
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        lock.acquire(timeout=LOCK_WAIT)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), path.stat()):
                return True
        lock.release()
        return False
    finally:
        os.close(held)


def _join(file: WeightFile, target: Path, parts: Mapping[str, Path], report: Report) -> list[Path]:
    """Write a file from its parts to its .part; return those parts that were downloaded."""
    downloaded: list[Path] = []
    pieces: list[Path] = []
    for row in file.parts:
        path = parts.get(row.file)
        if path is None:
            beside = target.with_name(row.file)
            check_part(row, beside)
            _fetch(row, beside, report)
            path = part_path(beside)
            downloaded.append(path)
        pieces.append(path)
    with on_disk(file, target):
        total = sum(path.stat().st_size for path in pieces)
    check_room(file, target, total)
    done = 0
    with ExitStack() as stack:
        with on_disk(file, target):
            whole = stack.enter_context(part_path(target).open("wb", buffering=0))
        for path in pieces:
            with on_disk(file, target):
                piece = stack.enter_context(path.open("rb"))
            while True:
                report(done, total)
                with on_disk(file, target):
                    data = piece.read(CHUNK)
                    write_all(whole, data)
                if not data:
                    break
                done += len(data)
    return downloaded


def _fetch(file: WeightFile, target: Path, report: Report) -> None:
    """Download a file to its .part, whole and verified, from the first source that gives it."""
    failures: dict[str, list[str]] = {}  # addresses by what went wrong
    for url, hub in sources(file):
        shown = without_passwords(url)
        try:
            Transfer(url, hub, file, target, report).run()
        except SourceFailed as exc:
            failures.setdefault(str(exc), []).append(shown)
            continue
        for reason, urls in failures.items():
            _log.warning("%s is from %s: %s %s.", file.file, shown, " and ".join(urls), reason)
        return
    lines = ["- " + " and\n  ".join(urls) + f" {reason}" for reason, urls in failures.items()]
    by_hand = f"By hand: download it in a browser and save it as {target}."
    proxy = "" if settings.proxies() else " Behind a proxy, set HTTPS_PROXY."
    raise DownloadError(
        "\n".join(
            [
                f"{file.file} could not be downloaded:",
                *(lines or ["- no source is known"]),
                f"{by_hand}{proxy}",
            ]
        )
    )
