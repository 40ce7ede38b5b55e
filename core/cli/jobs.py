"""Which pictures are cut out, and into which files."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ImageError, OptionError
from ..imaging.formats import UNREADABLE, readable_suffixes
from ..text import visible

STREAM = "-"
_MOST_NAMES = 9  # that a sentence lists


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
    unread
        Sentences on folders that cannot be read.
    """

    jobs: list[Job] = field(default_factory=list[Job])
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    renamed: list[str] = field(default_factory=list[str])
    unread: list[str] = field(default_factory=list[str])
    _taken: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def add(self, path: str | Path) -> None:
        """Note that a file is an input, or an output of this run, which nothing may replace."""
        with contextlib.suppress(OSError):  # it may have vanished, or lead nowhere
            facts = Path(path).stat()
            if facts.st_ino:  # some network disks tell no files apart
                self._taken.add((facts.st_dev, facts.st_ino))

    def is_taken(self, path: str | Path) -> bool:
        """Return whether a file is an input, or an output of this run, by whatever name."""
        try:
            facts = Path(path).lstat()  # a link is replaced, not what it leads to
        except OSError:
            return False
        return (facts.st_dev, facts.st_ino) in self._taken

    def check(self, job: Job) -> None:
        """Refuse to write an output over an input, or over that of another.

        Names of two pictures may be one where the disk of the outputs ignores case.

        Raises
        ------
        ImageError
        """
        if self.is_taken(job.target):
            raise ImageError(
                f"Its output {visible(job.target)} would be written over a picture of this run; "
                "name another folder for the outputs."
            )

    def remarks(self) -> list[str]:
        """Return sentences on what is not cut out, and on names."""
        said: list[str] = []
        if self.kept:
            outputs = "1 output exists" if self.kept == 1 else f"{self.kept} outputs exist"
            said.append(f"{outputs} and are kept; add --overwrite to replace them.")
        for suffix, count in sorted(self.left_out.items()):
            said.append(f"{count} {suffix} left out: {UNREADABLE[suffix]}.")
        if self.renamed:
            names = ", ".join(map(visible, self.renamed[:_MOST_NAMES]))
            if len(self.renamed) > _MOST_NAMES:
                names += f" and {len(self.renamed) - _MOST_NAMES} more"
            said.append(f"{names} differ by suffix only; their outputs keep the whole name.")
        return said


def one_job(source: str, target: str, suffix: str, overwrite: bool) -> Job:
    """Return the job of one picture.

    Raises
    ------
    OptionError, ImageError
        If there is no such file, or the output exists and may not be replaced.
    """
    if source != STREAM and not Path(source).is_file():
        raise ImageError(f"There is no file or folder {visible(source)}.")
    if target != STREAM and Path(target).is_dir():
        if source == STREAM:
            raise OptionError(f"{visible(target)} is a folder; name a file for the output.")
        target = str(Path(target) / f"{Path(source).stem}{suffix}")
    if target != STREAM and os.path.lexists(target) and not overwrite:
        raise OptionError(f"{visible(target)} exists; add --overwrite to replace it.")
    return Job(source, target)


def folder_jobs(source: Path, target: Path, suffix: str, overwrite: bool) -> Found:
    """Return the jobs of a folder and those in it.

    An output belongs to one input, whatever is added later: pictures of a folder whose names
    differ by suffix only, or only in the case of letters, go to outputs that have the whole name
    of the input in theirs; and so does ``a.png.gif``, whose output would else be that of ``a.png``.

    Raises
    ------
    OptionError
        If input and output are the same folder.
    """
    if same_folder(source, target):
        raise OptionError("Input and output are the same folder; name another for the cut-outs.")
    found, readable = Found(), readable_suffixes()
    pictures: list[Path] = []
    for path in sorted(_files(source, target, found.unread)):
        kind = path.suffix.lower()
        if kind in readable:
            pictures.append(path.relative_to(source))
            found.add(path)
        elif kind in UNREADABLE:
            found.left_out[kind] += 1
    stems = Counter(_key(path.with_suffix("")) for path in pictures)
    for path in pictures:
        shared = stems[_key(path.with_suffix(""))] > 1
        if shared:
            found.renamed.append(str(path))
        inner = Path(path.stem).suffix.lower()
        whole = shared or inner in readable or inner in UNREADABLE
        output = target / path.with_name(f"{path.name if whole else path.stem}{suffix}")
        if not overwrite and os.path.lexists(output) and not found.is_taken(output):
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
        return os.path.realpath(one) == os.path.realpath(other)


def _key(path: Path) -> str:
    """Return what two names share that some file system takes for one."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _files(source: Path, target: Path, unread: list[str]) -> Iterator[Path]:
    """Yield what is no folder in a folder and those in it, also linked ones, each folder once.

    By its own name, where it has one here, and by the same one each time. The output folder is
    left out, and what macOS puts beside files on other disks.

    Parameters
    ----------
    unread
        Takes sentences on folders that cannot be read.
    """
    seen: set[str] = set()
    folders, links = [source], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        real = os.path.realpath(folder)
        if real in seen or same_folder(folder, target):
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            reason = error.strerror or error
            unread.append(
                f"{visible(str(folder))} cannot be read: {reason}. Check who may; its pictures are "
                "left out."
            )
            continue
        for entry in found:
            if entry.name.startswith("._"):
                continue
            path = folder / entry.name
            if not _is_folder(entry):
                yield path
            elif entry.is_symlink():
                links.append(path)
            else:
                folders.append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where nobody may look
        return False
