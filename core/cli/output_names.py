"""Which output belongs to which picture of a folder."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

SHORT, WHOLE = 0, 1
_DIGITS = 8


def output_names(
    pictures: Iterable[Path], suffix: str, picture_suffixes: Collection[str]
) -> dict[Path, Path]:
    """Return an output for each picture: different ones on every disk, none a folder of another.

    ``photo.jpg`` goes to ``photo.png``. Where another picture's output would have that name, too,
    or a folder of outputs, both have the whole name of their pictures: ``photo.jpg.png``. So has
    ``a.png.gif`` always, since its short one would be the whole one of ``a.png``. Thus what is
    added later never gets the output of a picture that was there before. What only some disks
    tell apart, as ``a.jpg`` and ``A.JPG``, also has digits that follow from its name.

    Parameters
    ----------
    pictures
        Paths relative to the folder of the inputs.
    suffix
        What the names of the outputs end with: ``.png``, or more.
    picture_suffixes
        Suffixes that names of pictures end with, in small letters.

    Returns
    -------
    dict
        Paths relative to the folder of the outputs, by picture.
    """
    lengths = {
        path: WHOLE if Path(path.stem).suffix.lower() in picture_suffixes else SHORT
        for path in pictures
    }
    while True:
        outputs = {path: output_of(path, length, suffix) for path, length in lengths.items()}
        keys = {path: key(output) for path, output in outputs.items()}
        counts = Counter(keys.values())
        folders = {key(folder) for output in outputs.values() for folder in output.parents}
        shared = [path for path, key in keys.items() if counts[key] > 1 or key in folders]
        if not shared:
            return outputs
        for path in shared:
            lengths[path] += 1


def is_short(path: Path, output: Path, suffix: str) -> bool:
    """Return whether an output has the short name of its picture."""
    return output.name == f"{path.stem}{suffix}"


def output_of(path: Path, length: int, suffix: str) -> Path:
    """Return an output of a picture: ``SHORT``, ``WHOLE``, or longer with digits of its own."""
    if length == SHORT:
        return path.with_name(f"{path.stem}{suffix}")
    if length == WHOLE:
        return path.with_name(f"{path.name}{suffix}")
    # not a number: another picture would count differently
    name = f"{length} {path.as_posix()}".encode("utf-8", "surrogatepass")
    return path.with_name(f"{path.name}.{hashlib.sha256(name).hexdigest()[:_DIGITS]}{suffix}")


def key(path: Path) -> str:
    """Return what two names share that some file system takes for one."""
    folded = unicodedata.normalize("NFC", str(path)).casefold()
    return unicodedata.normalize("NFC", folded)


def is_outdated(picture: Path, output: Path) -> bool:
    """Return whether a picture came, or changed, after its output was made."""
    try:
        made = output.lstat()
        # a link is the picture's, too: it may lead to another one by now
        found = (picture.lstat(), picture.stat())
    except OSError:  # it will be said elsewhere
        return False
    # A picture that is moved or copied may bring its old time along. When it came is what Unix
    # calls the change of its entry; elsewhere that is when the file was first made.
    came = os.name == "posix" and any(facts.st_ctime_ns > made.st_ctime_ns for facts in found)
    return came or any(facts.st_mtime_ns > made.st_mtime_ns for facts in found)
