"""Results as files: formats, quality, and nothing half-written under a name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
import time
import zlib
from collections.abc import Generator, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import ImageError, OptionError, RembgSessionsError
from ..imaging.formats import WRITTEN, is_written
from ..imaging.profile import without_profile
from ..text import visible
from ..weights.filesystem import is_too_long, remove, replace
from . import remote
from .jobs import STREAM, Job, same_folder

# How formats that lose something are written: with as little loss as they can, unless a quality
# is asked for.
_BEST: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
# PNG's filters leave little but runs of zeros for zlib to find: of cut-outs and photos, run lengths
# alone take half of the time of a full search or less, and 3 % more bytes. Of what repeats itself,
# such as a page of text, they may take four times as many; a strip of the picture tells.
_RUN_LENGTHS: dict[str, Any] = {"compress_type": zlib.Z_RLE}
_STRIP, _MOST_MORE = 48, 1.15  # rows; bytes, as a multiple
_LIST = ", ".join(WRITTEN)
_LONGEST_SUFFIX = 40

_PART = re.compile(r"\.rembg-[0-9a-f]{16}\.part")
_DAY = 86400.0


def check_format(suffix: str, opaque: bool) -> None:
    """Refuse a suffix that is none of a writable format, or of one that loses transparency.

    Raises
    ------
    OptionError
    """
    suffix = suffix.lower()
    if suffix not in WRITTEN:
        shown = visible(suffix, _LONGEST_SUFFIX)
        raise OptionError(f"'{shown}' is not an image format here; use one of {_LIST}.")
    row = WRITTEN[suffix]
    if not is_written(suffix):
        raise OptionError(f"The installed Pillow writes no {row.format}; update it, or use .png.")
    if not row.alpha and not opaque:
        raise OptionError(
            f"{suffix} keeps no transparency. Write .png or .webp, or give an opaque --bgcolor."
        )


class TargetError(ImageError):
    """A place that takes no output at all: its disk is full, or may not be written to."""


def takes_quality(suffix: str) -> bool:
    """Return whether a writable format may lose something."""
    return WRITTEN[suffix.lower()].format in _BEST


def takes_exif(suffix: str) -> bool:
    """Return whether a writable format keeps EXIF data."""
    return WRITTEN[suffix.lower()].exif


def check_place(folder: Path) -> None:
    """Refuse a folder, there or to be made, that may not be written to.

    Raises
    ------
    OptionError
    """
    there = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), None)
    # what is there but no folder is said of the outputs, one by one
    if there is not None and there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        raise OptionError(
            f"The folder {visible(str(there))} cannot be written to. Name another output, or make "
            "it writable."
        )


def write(
    picture: Image.Image, job: Job, suffix: str, *, quality: int | None, overwrite: bool
) -> None:
    """Write a result to where its job says; a file has its name only when it is complete.

    Parameters
    ----------
    suffix
        Of standard output; a file has its own.
    quality
        1 to 100, of formats that may lose something; None loses as little as they can.
    overwrite
        Whether a file may be replaced, and a link may lead out of the folder of the outputs.

    Raises
    ------
    TargetError
        If nothing else could be written there, either.
    ImageError
        If the format cannot hold the picture, or the file cannot be written.
    """
    to_stream = job.target == STREAM
    data = _encoded(picture, suffix if to_stream else Path(job.target).suffix, quality)
    if to_stream:
        if sys.stdout is None:
            raise OptionError("Standard output is closed; name a file in place of -.")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if remote.is_address(job.target):
        remote.write(job.target, data, overwrite)
        return
    with placed(job, overwrite) as part, part.open("xb") as file:
        file.write(data)


@contextlib.contextmanager
def placed(job: Job, overwrite: bool) -> Generator[Path]:
    """Yield the name of a file to be written, which gets its own at the end of the block.

    Its folders are made. Where anything is raised, nothing of it is left.

    Raises
    ------
    TargetError, ImageError
        As :func:`write` does.
    """
    path, shown = Path(job.target), visible(job.target)
    if job.within and not overwrite:
        real = Path(os.path.realpath(path.parent))
        if not any(same_folder(folder, Path(job.within)) for folder in (real, *real.parents)):
            raise ImageError(
                f"{shown} leads through a link to {visible(str(real))}, outside the output "
                "folder; add --overwrite to write there."
            )
    if not (overwrite or job.is_old) and os.path.lexists(path):  # since the run began
        raise ImageError(f"{shown} exists by now; add --overwrite to replace it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _part(path) as part:
            yield part
    except OSError as error:
        if isinstance(error, RembgSessionsError):  # of what is done meanwhile
            raise
        if is_too_long(error, path):
            raise ImageError(
                f"The name of {shown} is too long for its disk; rename it, or name a folder with "
                "a shorter path."
            ) from error
        barrier = next((each for each in path.parents if os.path.lexists(each)), path)
        if not os.path.isdir(barrier):  # noqa: PTH112 it raises
            raise ImageError(
                f"{shown} cannot be written: {visible(str(barrier))} is no folder. Remove or "
                "rename that, or name another output."
            ) from error
        reason = f"{shown} cannot be written ({error.strerror or error}). Name another output"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TargetError(f"{reason}, or make room on this disk.") from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            folder = visible(str(path.parent))
            whole = error.errno == errno.EROFS or not os.access(job.within or path.parent, os.W_OK)
            kind = TargetError if whole else ImageError
            raise kind(f"{reason}, or make {folder} writable.") from error
        raise ImageError(f"{reason}.") from error


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove what killed runs left in folders, where the next run will not write over it.

    Nobody writes a day at one file, so that those are nobody's whose last change was before.
    """
    for folder in folders:
        # what cannot be looked at or removed harms nobody
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if not _PART.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY:
                        Path(entry).unlink()


@contextlib.contextmanager
def _part(path: Path) -> Generator[Path]:
    # hidden, short, and the same each time: what a killed run leaves is overwritten by the next
    name = hashlib.sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    part = path.with_name(f".rembg-{name}.part")
    remove(part, missing_ok=True)  # not to be followed if somebody made it a link
    try:
        yield part
        replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it is the first error that tells
            part.unlink(missing_ok=True)
        raise


def _encoded(picture: Image.Image, suffix: str, quality: int | None) -> bytes:
    row = WRITTEN[suffix.lower()]
    profile = picture.info.get("icc_profile")
    said = {name: picture.info[name] for name in ("icc_profile", "dpi") if name in picture.info}
    if row.exif and picture.info.get("exif"):
        said["exif"] = picture.info["exif"]
    if not row.dpi:
        said.pop("dpi", None)
    if not row.profile:
        said.pop("icc_profile", None)
    if (not row.alpha and picture.mode == "RGBA") or (not row.grey and picture.mode == "L"):
        picture = picture.convert("RGB")
    if profile and not row.profile and picture.mode in ("RGB", "RGBA"):
        picture = without_profile(picture, profile)
    lossy = dict(_BEST.get(row.format, {}))
    if row.format == "PNG" and _suits_run_lengths(picture):
        said.update(_RUN_LENGTHS)
    if quality is not None and lossy:
        lossy.pop("lossless", None)
        lossy["quality"] = quality
    buffer = BytesIO()
    try:
        picture.save(buffer, row.format, **lossy, **said)
    except (OSError, ValueError) as error:  # WebP ends at 16383 pixels, for example
        raise ImageError(f"The result cannot be written as {row.format}: {error}.") from error
    return buffer.getvalue()


def _suits_run_lengths(picture: Image.Image) -> bool:
    """Return whether run lengths alone compress a picture nearly as well as a full search."""
    left, upper, right, lower = picture.getbbox() or (0, 0, 1, 1)
    middle = (upper + lower) // 2
    rows = (max(upper, middle - _STRIP // 2), min(lower, middle + _STRIP // 2))
    strip = picture.crop((left, rows[0], right, rows[1]))

    def size(**options: Any) -> int:
        buffer = BytesIO()
        strip.save(buffer, "PNG", **options)
        return buffer.tell()

    return size(**_RUN_LENGTHS) <= _MOST_MORE * size()
