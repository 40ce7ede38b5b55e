"""Which pictures are cut out, and into which files."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ImageError, OptionError
from ..imaging.formats import UNREADABLE, readable_suffixes

STREAM = "-"


@dataclass(frozen=True, slots=True)
class Job:
    """A picture and the file it goes to, each a path or ``STREAM``."""

    source: str
    target: str
    within: str = ""
    """The folder that the target must not leave through links; empty for anywhere."""


@dataclass(slots=True)
class Found:
    """What a folder holds.

    Attributes
    ----------
    jobs
        What is to be cut out.
    kept
        How many outputs are there already.
    left_out
        How many pictures of each suffix cannot be read.
    renamed
        Inputs that share a name with another, and so keep their suffix in that of their output.
    """

    jobs: list[Job] = field(default_factory=list[Job])
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    renamed: list[str] = field(default_factory=list[str])

    def remarks(self) -> list[str]:
        """Return sentences on what is not cut out, and on names."""
        said: list[str] = []
        if self.kept:
            outputs = "1 output exists" if self.kept == 1 else f"{self.kept} outputs exist"
            said.append(f"{outputs} and are kept; add --overwrite to replace them.")
        for suffix, count in sorted(self.left_out.items()):
            said.append(f"{count} {suffix} left out: {UNREADABLE[suffix]}.")
        if self.renamed:
            said.append(
                f"{', '.join(self.renamed)} differ by suffix only; their outputs keep the whole "
                "name."
            )
        return said


def one_job(source: str, target: str, suffix: str, overwrite: bool) -> Job:
    """Return the job of one picture.

    Raises
    ------
    OptionError, ImageError
        If there is no such file, or the output exists and may not be replaced.
    """
    if source != STREAM and not Path(source).is_file():
        raise ImageError(f"There is no file or folder {source}.")
    if target != STREAM and Path(target).is_dir():
        if source == STREAM:
            raise OptionError(f"{target} is a folder; name a file for the output.")
        target = str(Path(target) / Path(source).with_suffix(suffix).name)
    if target != STREAM and os.path.lexists(target) and not overwrite:
        raise OptionError(f"{target} exists; add --overwrite to replace it.")
    return Job(source, target)


def folder_jobs(source: Path, target: Path, suffix: str, overwrite: bool) -> Found:
    """Return the jobs of a folder and those in it.

    An output belongs to one input: pictures of a folder whose names differ by suffix only, or
    only in the case of letters, go to outputs that have the whole name of the input in theirs.

    Raises
    ------
    OptionError
        If input and output are the same folder.
    """
    if same_folder(source, target):
        raise OptionError("Input and output are the same folder; name another for the cut-outs.")
    found, readable = Found(), readable_suffixes()
    pictures: list[Path] = []
    for path in sorted(_files(source, target)):
        kind = path.suffix.lower()
        if kind in readable:
            pictures.append(path.relative_to(source))
        elif kind in UNREADABLE:
            found.left_out[kind] += 1
    stems = Counter(_key(path.with_suffix("")) for path in pictures)
    for path in pictures:
        shared = stems[_key(path.with_suffix(""))] > 1
        if shared:
            found.renamed.append(str(path))
        name = f"{path.name}{suffix}" if shared else f"{path.stem}{suffix}"
        output = target / path.with_name(name)
        if not overwrite and os.path.lexists(output):
            found.kept += 1
            continue
        found.jobs.append(Job(str(source / path), str(output), str(target)))
    return found


def same_folder(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one folder.

    ``resolve()`` does not tell where the file system ignores case: it may keep that of the path.
    """
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.resolve() == other.resolve()


def _key(path: Path) -> str:
    """Return what two names share that some file system takes for one."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _files(source: Path, target: Path) -> Iterator[Path]:
    """Yield the files of a folder and those in it, also linked ones, each folder once.

    The output folder is left out, and what macOS puts beside files on other disks.
    """
    seen: set[Path] = set()
    folders = [source]
    while folders:
        folder = folders.pop()
        real = folder.resolve()
        if real in seen or same_folder(folder, target):
            continue
        seen.add(real)
        for path in folder.iterdir():
            if path.name.startswith("._"):
                continue
            if path.is_dir():
                folders.append(path)
            elif path.is_file():
                yield path
