"""Results as files: formats, quality, and nothing half-written under a name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import ImageError, OptionError
from ..text import visible
from ..weights.filesystem import is_too_long, remove, replace
from .jobs import STREAM, Job, same_folder

# Formats that keep an alpha channel; the others need --bgcolor or --only-mask.
_WITH_ALPHA = (".png", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".tga")
# How formats that lose something are written: with as little loss as they can, unless a quality
# is asked for.
_BEST: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def check_format(suffix: str, opaque: bool) -> None:
    """Refuse a suffix that is none of a writable format, or of one that loses transparency.

    Raises
    ------
    OptionError
    """
    suffix = suffix.lower()
    known = Image.registered_extensions().get(suffix) in Image.SAVE
    if not known or not re.fullmatch(r"\.\w+", suffix) or suffix == ".ico":
        raise OptionError(f"{suffix!r} is not an image format; use for example .png.")
    if suffix not in _WITH_ALPHA and not opaque:
        raise OptionError(
            f"{suffix} keeps no transparency. Write .png or .webp, or give an opaque --bgcolor."
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
    path, shown = Path(job.target), visible(job.target)
    if job.within and not overwrite:
        real = Path(os.path.realpath(path.parent))
        if not any(same_folder(folder, Path(job.within)) for folder in (real, *real.parents)):
            raise ImageError(
                f"{shown} leads through a link to {visible(str(real))}, outside the output "
                "folder; add --overwrite to write there."
            )
    if not overwrite and os.path.lexists(path):  # since the run began
        raise ImageError(f"{shown} exists by now; add --overwrite to replace it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, data)
    except OSError as error:
        if is_too_long(error, path):
            raise ImageError(
                f"The name of {shown} is too long for its disk; rename it, or name a folder with "
                "a shorter path."
            ) from error
        reason = f"{shown} cannot be written ({error.strerror or error}). Name another output"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ImageError(f"{reason}, or make room on this disk.") from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            folder = visible(str(path.parent))
            raise ImageError(f"{reason}, or make {folder} writable.") from error
        raise ImageError(f"{reason}.") from error


def _write_whole(path: Path, data: bytes) -> None:
    # hidden, short, and the same each time: what a killed run leaves is overwritten by the next
    name = hashlib.sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    part = path.with_name(f".rembg-{name}.part")
    remove(part, missing_ok=True)  # not to be followed if somebody made it a link
    try:
        with part.open("xb") as file:
            file.write(data)
        replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):  # it is the first error that tells
            part.unlink(missing_ok=True)
        raise


def _encoded(picture: Image.Image, suffix: str, quality: int | None) -> bytes:
    suffix = suffix.lower()
    kind = Image.registered_extensions()[suffix]
    said = {name: picture.info[name] for name in ("icc_profile", "dpi") if name in picture.info}
    if suffix not in _WITH_ALPHA and picture.mode == "RGBA":
        picture = picture.convert("RGB")
    lossy = dict(_BEST.get(kind, {}))
    if quality is not None and lossy:
        lossy.pop("lossless", None)
        lossy["quality"] = quality
    buffer = BytesIO()
    try:
        picture.save(buffer, kind, **lossy, **said)
    except (OSError, ValueError) as error:  # WebP ends at 16383 pixels, for example
        raise ImageError(f"The result cannot be written as {kind}: {error}.") from error
    return buffer.getvalue()
