"""Which pictures are cut out, and into which files."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ImageError, OptionError
from ..imaging.formats import UNREADABLE, readable_suffixes
from ..imaging.picture import check_no_address
from ..text import visible
from .output_names import is_outdated, is_short, output_names

STREAM = "-"
_MOST_NAMES = 9  # that a sentence lists


@dataclass(frozen=True, slots=True)
class Job:
    """A picture and the file it goes to, each a path or ``STREAM``."""

    source: str
    target: str
    within: str = ""
    """The folder that the target must not leave through links; empty for anywhere."""
    is_old: bool = False
    """Whether the target is there, older than its picture, and to be replaced for that."""


@dataclass(slots=True)
class Found:
    """What a folder holds.

    Attributes
    ----------
    jobs
        What is to be cut out.
    kept
        Jobs whose outputs are there already, and stay.
    outdated
        Those outputs among them whose pictures came or changed later.
    left_out
        How many pictures of each suffix cannot be read.
    renamed
        Inputs whose outputs have longer names, since others would have the short ones, too.
    failures
        What cannot be cut out, and sentences on why: folders that cannot be read, names that are
        taken.
    folders
        Where the outputs lie, or will.
    """

    jobs: list[Job] = field(default_factory=list[Job])
    kept: list[Job] = field(default_factory=list[Job])
    outdated: list[str] = field(default_factory=list[str])
    left_out: Counter[str] = field(default_factory=Counter[str])
    renamed: list[str] = field(default_factory=list[str])
    failures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    folders: set[Path] = field(default_factory=set[Path])
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
        if len(self.kept) == 1:
            said.append("1 output exists and is kept; add --overwrite to replace it.")
        elif self.kept:
            count = len(self.kept)
            said.append(f"{count} outputs exist and are kept; add --overwrite to replace them.")
        if len(self.outdated) == 1:
            said.append(
                f"Of these, {visible(self.outdated[0])} was made before its picture came or last "
                "changed, and may show another: add --redo-if-newer to replace it."
            )
        elif self.outdated:
            said.append(
                f"Of these, {_list(self.outdated)} were made before their pictures came or last "
                "changed, and may show others: add --redo-if-newer to replace them."
            )
        said += left_out_sentences(self.left_out)
        if self.renamed:
            said.append(
                f"{_list(self.renamed)} would share the short names of their outputs; these have "
                "the whole names of the pictures."
            )
        return said


def left_out_sentences(counts: Counter[str]) -> list[str]:
    """Return sentences on pictures that cannot be read, by suffix."""
    return [f"{n} {suffix} left out: {UNREADABLE[suffix]}." for suffix, n in sorted(counts.items())]


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(visible, names[:_MOST_NAMES])) + more


def one_job(source: str, target: str, ending: str, *, overwrite: bool, redo: bool) -> Job | None:
    """Return the job of one picture; None where its output need not be made again.

    Parameters
    ----------
    target
        A file, a folder, or one that is to be made, whose name ends with a slash.
    ending
        What the name of its output ends with, where that is not given.
    redo
        Whether an output that is older than its picture is replaced.

    Raises
    ------
    OptionError, ImageError
        If there is no such file, or the output exists and may not be replaced.
    """
    if source != STREAM:
        shown = f"'{visible(source)}'"
        try:
            is_file = Path(source).is_file()
        except ValueError:  # a null character, which no name has
            is_file = False
        except OSError as error:
            reason = error.strerror or error
            raise ImageError(f"{shown} cannot be read: {reason}. Check who may.") from error
        if not is_file:
            check_no_address(source)
            raise ImageError(f"There is no file or folder {shown}.")
    if target != STREAM and (is_folder(target) or ends_as_folder(target)):
        if source == STREAM:
            raise OptionError(f"{visible(target)} is a folder; name a file for the output.")
        target = str(Path(target) / f"{Path(source).stem}{ending}")
    if target == STREAM or overwrite or not os.path.lexists(target):
        return Job(source, target)
    if redo and source != STREAM:
        return Job(source, target, is_old=True) if is_outdated(Path(source), Path(target)) else None
    raise OptionError(f"{visible(target)} exists; add --overwrite to replace it.")


def is_folder(name: str) -> bool:
    """Return whether a folder has a name; a stream has none."""
    return name != STREAM and os.path.isdir(name)  # noqa: PTH112 Path's own raises


def ends_as_folder(name: str) -> bool:
    """Return whether a name can be that of a folder only."""
    return name.endswith(tuple(filter(None, (os.sep, os.altsep))))


def find_jobs(
    sources: Sequence[str],
    target: Path,
    ending: str,
    *,
    overwrite: bool,
    redo: bool = False,
    recursive: bool = True,
) -> Found:
    """Return the jobs of files, of folders and of those in them.

    The outputs of one folder lie in the target as their pictures do in the folder; of several
    sources, each folder keeps its own name there. See :func:`.output_names.output_names`.

    Parameters
    ----------
    ending
        What the names of the outputs end with.
    redo
        Whether outputs that are older than their pictures are replaced.
    recursive
        Whether folders in a folder are gone through, too.

    Raises
    ------
    OptionError
        If an input is the folder of the outputs.
    """
    found, readable = Found(), readable_suffixes()
    pictures: dict[Path, Path] = {}  # by where they belong in the target
    for source in sources:
        folder = Path(source)
        if not is_folder(source):  # whoever names a file means it, whatever it is called
            listed, base = [folder], folder.parent
        elif same_folder(folder, target):
            raise OptionError(
                "Input and output are the same folder; name another for the cut-outs."
            )
        else:
            files = files_in(folder, target, found.failures, recursive)
            listed = [path for path in sorted(files) if is_picture(path, readable, found.left_out)]
            base = folder.parent if len(sources) > 1 and folder.name not in ("", "..") else folder
        for path in listed:
            known = pictures.setdefault(path.relative_to(base), path)
            if known is path:
                found.add(path)
            elif not same_folder(known, path):
                found.failures.append(
                    (
                        str(path),
                        f"{visible(str(path))} is not cut out: its output would have the name of "
                        f"that of {visible(str(known))}. Cut it out into another folder.",
                    )
                )
    suffixes = {*readable, *UNREADABLE}
    for path, name in output_names(pictures, ending, suffixes).items():
        source, output = str(pictures[path]), target / name
        found.folders.add(output.parent)
        if not is_short(path, name, ending) and Path(path.stem).suffix.lower() not in suffixes:
            found.renamed.append(str(path))
        if is_folder(str(output)) and not output.is_symlink():
            found.failures.append(
                (
                    source,
                    f"{visible(source)} is not cut out: where its output belongs there is a "
                    f"folder, {visible(str(output))}. Rename one of them.",
                )
            )
        elif overwrite or not os.path.lexists(output) or found.is_taken(output):
            found.jobs.append(Job(source, str(output), str(target)))
        elif redo and is_outdated(pictures[path], output):
            found.jobs.append(Job(source, str(output), str(target), is_old=True))
        else:
            found.kept.append(Job(source, str(output), str(target)))
            if is_outdated(pictures[path], output):
                found.outdated.append(str(output))
    return found


def is_picture(name: str | Path, readable: Collection[str], left_out: Counter[str]) -> bool:
    """Return whether a file has the name of a picture; counts those that cannot be read."""
    kind = Path(name).suffix.lower()
    if kind not in readable and kind in UNREADABLE:
        left_out[kind] += 1
    return kind in readable


def same_folder(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one folder.

    ``resolve()`` does not tell where the file system ignores case: it may keep that of the path.
    """
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return os.path.realpath(one) == os.path.realpath(other)


def files_in(
    source: Path, target: Path, unread: list[tuple[str, str]], recursive: bool
) -> Iterator[Path]:
    """Yield what is no folder in a folder and those in it, also linked ones, each folder once.

    By its own name, where it has one here, and by the same one each time. The output folder is
    left out, and what macOS puts beside files on other disks.

    Parameters
    ----------
    unread
        Takes folders that cannot be read, and sentences on why.
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
                (
                    str(folder),
                    f"{visible(str(folder))} cannot be read: {reason}. Check who may; its pictures "
                    "are left out.",
                )
            )
            continue
        for entry in found:
            if entry.name.startswith("._"):
                continue
            path = folder / entry.name
            if not _is_folder(entry):
                yield path
            elif not recursive:
                continue
            elif entry.is_symlink():
                links.append(path)
            else:
                folders.append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where nobody may look
        return False
