"""The pictures of a batch: those of a folder, of a list, or at an address."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ImageError, OptionError
from ..imaging.formats import readable_suffixes
from ..text import visible
from . import remote
from .jobs import files_in, is_folder, is_picture, same_folder

_UNFIT = re.compile(r'[<>:"|?*\x00-\x1f]')  # for names on Windows
_LISTS = frozenset((".txt", ".lst", ".list"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture: where it is read from, and what tells whether it changed."""

    source: str
    stamp: object = None


@dataclass(slots=True)
class Sources:
    """What a source holds.

    Attributes
    ----------
    entries
        By name, relative to the source, in order: what the manifest calls them.
    left_out
        How many pictures of each suffix cannot be read.
    failures
        Folders that cannot be read, and sentences on why.
    """

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    left_out: Counter[str] = field(default_factory=Counter[str])
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def find_sources(source: str, target: str, recursive: bool) -> Sources:
    """Return the pictures of a folder, a list or an address.

    Parameters
    ----------
    source
        A folder; a text file with a path or an address in each line; or an address of a folder
        that fsspec lists.
    target
        The folder of the outputs, which are no inputs.
    recursive
        Whether folders in a folder are gone through, too.

    Raises
    ------
    OptionError, ImageError
        If there is nothing of that name.
    """
    found = Sources()
    if remote.is_address(source):
        _add_address(source, target, recursive, found)
    elif is_folder(source):
        if not remote.is_address(target) and same_folder(Path(source), Path(target)):
            raise OptionError("Source and target are the same folder; name another target.")
        _add_folder(Path(source), Path(target), recursive, found)
    elif Path(source).suffix.lower() in _LISTS and Path(source).is_file():
        _add_list(Path(source), found)
    elif os.path.lexists(source):
        raise OptionError(
            f"{visible(source)} is neither a folder nor a list. Name a folder, a .txt file with a "
            "picture in each line, or an address; one picture is for `rembg-sessions cutout`."
        )
    else:
        raise ImageError(f"There is no folder or list '{visible(source)}'.")
    return found


def _add_folder(folder: Path, target: Path, recursive: bool, found: Sources) -> None:
    readable = readable_suffixes()
    for path in sorted(files_in(folder, target, found.failures, recursive)):
        if is_picture(path, readable, found.left_out):
            name = path.relative_to(folder).as_posix()
            found.entries[name] = Entry(str(path), _stamp(path))


def _add_address(address: str, target: str, recursive: bool, found: Sources) -> None:
    readable, inside = readable_suffixes(), ""
    if remote.is_address(target):
        inside = remote.usual(target).rstrip("/") + "/"
    for name, (source, stamp) in sorted(remote.find(address).items()):
        if (inside and source.startswith(inside)) or (not recursive and "/" in name):
            continue
        if is_picture(name, readable, found.left_out):
            found.entries[name] = Entry(source, stamp)


def _add_list(listing: Path, found: Sources) -> None:
    """Add the lines of a list; paths are relative to its folder."""
    try:
        lines = listing.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise OptionError(f"The list {visible(str(listing))} cannot be read: {error}.") from error
    for line in map(str.strip, lines):
        if not line or line.startswith("#"):
            continue
        if remote.is_address(line):
            found.entries[line] = Entry(line)
        else:
            path = listing.parent / line
            found.entries[line] = Entry(str(path), _stamp(path))


def name_in_target(name: str) -> str:
    """Return where below a target an output's name may begin: nothing leads out of it."""
    without = (name.partition("://")[2] or name).replace("\\", "/")
    parts = [_UNFIT.sub("_", each) for each in without.split("/") if each not in ("", ".", "..")]
    return "/".join(parts) or "picture"


def _stamp(path: Path) -> object:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size
