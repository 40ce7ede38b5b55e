"""Images in and out: every kind of input becomes RGB and, where there is one, alpha."""

from __future__ import annotations

import io
import logging
import os
import re
import struct
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..checks import one_of
from ..errors import ImageError
from ..text import visible
from .formats import UNREADABLE, open_file
from .parts import Parts, float_levels, load, reading

_log = logging.getLogger("rembg_sessions")

_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Where Pillow keeps the orientation, which no longer holds once an image is upright.
_EXIF = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
# Of these, more than one frame is an animation or a document; elsewhere (a phone's JPEG, an
# icon) the others are smaller copies, or parts.
_FRAMES = {"GIF", "WEBP", "PNG", "TIFF", "AVIF"}
_PNG = b"\x89PNG\r\n\x1a\n"

# Pixels that any file may have, and those of larger ones for each byte of the file. A black PNG of
# 1 bit, about the emptiest picture there is, has 8,000 for a byte; a damaged header, or one that
# was made for it, can turn 100 bytes into gigabytes.
_ALWAYS, _MOST_PER_BYTE = 1 << 25, 10_000

CHANNEL_ORDERS = ("RGB", "BGR")

Array = NDArray[Any]

_GREY_TYPES = (np.dtype(np.uint8), np.dtype(np.bool_), np.dtype(np.uint16))


@dataclass(frozen=True, slots=True)
class FileContent:
    """What was read of a file. It opens as its path did at that moment."""

    path: Path
    data: bytes = field(repr=False)


Picture = (
    bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | Array | FileContent
)


class Kind(Enum):
    """What the caller passed, and gets back."""

    BYTES = auto()
    PILLOW = auto()
    ARRAY = auto()


# -- in --------------------------------------------------------------------------------------


def open_picture(data: Picture, channel_order: str = "RGB") -> tuple[Image.Image, Kind]:
    """Open an image, upright.

    Parameters
    ----------
    data
        An encoded file as bytes; a path; a Pillow image; or an array: (H, W) or (H, W, 1..4)
        of uint8 or of floats, (H, W) of bool or uint16. Floats are 0..1; where one is above 2,
        0..255. No value may be masked.
    channel_order
        ``"RGB"``, or ``"BGR"`` for arrays from OpenCV.

    Returns
    -------
    picture, kind
        A path counts as Pillow. The caller's own image is never changed. Of animations and
        documents of several pages it is the first frame, with a warning in the log.

    Raises
    ------
    ImageError
        If it is not an image, empty, of an unknown layout, or holds NaN or infinity.
    OptionError
        If ``channel_order`` is neither.
    """
    one_of("channel_order", channel_order, CHANNEL_ORDERS)
    if isinstance(data, Image.Image):
        load(data)
        picture, kind = data, Kind.PILLOW
    elif isinstance(data, (bytes, bytearray, memoryview)):
        picture, kind = _decode(bytes(data), "The data"), Kind.BYTES
    elif isinstance(data, (str, os.PathLike)):
        picture, kind = _decode_file(read_file(data)), Kind.PILLOW
    elif isinstance(data, FileContent):
        picture, kind = _decode_file(data), Kind.PILLOW
    elif isinstance(data, np.ndarray):
        picture, kind = _from_array(data, channel_order), Kind.ARRAY
    else:
        raise ImageError(f"{type(data).__name__} is not an image. {_advice(data)}")
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"The picture is empty: {picture.width}×{picture.height} pixels.")
    return _upright(picture), kind


def _advice(data: object) -> str:
    """Return what to pass in place of something that is not a picture."""
    if isinstance(data, (list, tuple)):
        return "Call remove_batch for several pictures; of pixels, make an array of uint8 first."
    if hasattr(data, "read"):
        return "Pass what is in the file: remove(file.read())."
    if hasattr(data, "__array__"):
        return "Pass it as an array: remove(numpy.asarray(data))."
    return "Pass bytes, a path, a Pillow image, or an array."


def check_no_address(name: str | os.PathLike[str]) -> None:
    """Raise ImageError where the name of a file that is not there is an address."""
    if re.match("(?:https?|ftp|data):", os.fspath(name), re.IGNORECASE):
        raise ImageError(
            f"{_quoted(name)} is an address, and pictures are not fetched. Download it first, and "
            "pass the file, or its bytes."
        )


def read_file(name: str | os.PathLike[str]) -> FileContent:
    """Read a file, to be opened later.

    Raises
    ------
    ImageError
        If it is not there, or cannot be read.
    """
    path, what = Path(name), _quoted(name)
    with reading(what):
        try:
            is_file = path.is_file()
            data = path.read_bytes() if is_file else b""
        except ValueError:  # a null character, which no name has
            is_file, data = False, b""
        except OSError as error:  # its text has the path once more
            check_no_address(name)
            reason = error.strerror or type(error).__name__
            raise ImageError(f"{what} cannot be read: {reason}. Check who may.") from error
        if not is_file and os.path.lexists(name):
            raise ImageError(
                f"There is no file {what}, but a folder, a pipe, or a link that leads nowhere."
            )
        if not is_file:
            check_no_address(name)
            raise ImageError(f"There is no file {what}.")
        return FileContent(path, data)


def _quoted(name: str | os.PathLike[str]) -> str:
    # of an empty one, Path would make a full stop
    return f"'{visible(os.fspath(name))}'"


def _decode_file(file: FileContent) -> Image.Image:
    what = _quoted(file.path)
    try:
        return _decode(file.data, what)
    except ImageError as error:
        advice = UNREADABLE.get(file.path.suffix.lower())
        if advice is None or not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        raise ImageError(f"{what} is not an image that Pillow can read: {advice}.") from error


def _decode(data: bytes, what: str) -> Image.Image:
    with reading(what):
        try:
            picture = _open(data)
        except ValueError:
            # Pillow refuses text and profiles that unpack to more than a mebibyte; the pixels
            # are fine
            for dropped in ((b"tEXt", b"zTXt", b"iTXt"), (b"tEXt", b"zTXt", b"iTXt", b"iCCP")):
                smaller = _without_chunks(data, dropped)
                try:
                    picture = _open(smaller)
                except ValueError:
                    continue
                kinds = "text and its colour profile" if b"iCCP" in dropped else "text"
                _log.warning("%s: its %s, too large to be read, was ignored.", what, kinds)
                data = smaller
                break
            else:
                raise
        if picture.format in _FRAMES:
            try:
                frames = getattr(picture, "n_frames", 1)
            except Exception:  # of damage Pillow raises nearly anything
                _log.warning("%s is damaged after its first frame, which is used.", what)
                picture = _open(data)  # counting leaves it where the damage is
            else:
                if frames > 1:
                    _log.warning("%s has %d frames; only the first is used.", what, frames)
    return picture


def _open(data: bytes) -> Image.Image:
    picture = open_file(io.BytesIO(data))
    pixels = picture.width * picture.height
    if pixels > max(_ALWAYS, _MOST_PER_BYTE * len(data)):
        raise ImageError(
            f"A file of {len(data)} bytes that claims {picture.width}×{picture.height} pixels is "
            "damaged, or made to fill the memory; it is refused."
        )
    picture.load()
    return picture


def _without_chunks(data: bytes, names: tuple[bytes, ...]) -> bytes:
    """Return a PNG file without its chunks of some kinds; other files as they are."""
    if not data.startswith(_PNG):
        return data
    kept, at = [_PNG], len(_PNG)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name not in names:
            kept.append(data[at : at + length + 12])
        at += length + 12
    return b"".join(kept)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        method = _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # damaged EXIF raises nearly anything; the pixels are fine
        _log.warning("The picture's EXIF data is damaged and was ignored: %s.", error)
        return picture
    if method is None:
        return picture
    # ImageOps.exif_transpose would rewrite the EXIF data, and fail where it is damaged
    with reading("The picture"):
        turned = picture.transpose(method)
    for key in _EXIF:
        turned.info.pop(key, None)
    return turned


def plain(array: Array) -> Array:
    """Return an array of any class as a plain one.

    Raises
    ------
    ImageError
        If some of its values are masked.
    """
    if array.dtype.kind in "buif" and np.ma.is_masked(array):
        raise ImageError("The array has masked values; fill them, as array.filled(0) does.")
    return np.asarray(array)


def _from_array(array: Array, channel_order: str) -> Image.Image:
    array = plain(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0:
        raise ImageError(f"The array is empty: shape {array.shape}.")
    colour = array.ndim == 3 and array.shape[2] in (2, 3, 4)
    if (colour or array.ndim == 2) and np.issubdtype(array.dtype, np.floating):
        array = float_levels(array)
    grey = array.ndim == 2 and array.dtype in _GREY_TYPES
    if not (grey or (colour and array.dtype == np.uint8)):
        raise ImageError(
            f"An array of shape {array.shape} and type {array.dtype} is not an image here. Use "
            "uint8 with values 0..255, or floats, of shape (H, W), (H, W, 3) or (H, W, 4)."
        )
    if colour and channel_order == "BGR" and array.shape[2] >= 3:
        array = swap_channels(array)
    return Image.fromarray(np.ascontiguousarray(array))


def swap_channels(array: Array) -> Array:
    """Exchange red and blue of (H, W, 3 or 4)."""
    order = [2, 1, 0, 3][: array.shape[2]]
    return np.ascontiguousarray(array[..., order])


# -- out -------------------------------------------------------------------------------------


def give_back(picture: Image.Image, parts: Parts, kind: Kind, channel_order: str = "RGB") -> Any:
    """Return a result as the kind that the caller handed over; bytes are PNG.

    Parameters
    ----------
    picture
        Mode L, RGB or RGBA, made from ``parts``: what those say of colours and size is kept.
    """
    if kind is Kind.ARRAY:
        array = np.asarray(picture)
        return swap_channels(array) if channel_order == "BGR" and array.ndim == 3 else array
    said = saved_with(picture, parts)
    picture.info.clear()  # Pillow would write what else it says, too
    picture.info.update(said)
    if kind is Kind.PILLOW:
        return picture
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **said)
    return buffer.getvalue()


def saved_with(picture: Image.Image, parts: Parts) -> dict[str, Any]:
    """Return what a result is to be saved with, by Pillow's names.

    A mask holds no colours, and so has no profile.
    """
    said: dict[str, Any] = {}
    if parts.profile and picture.mode != "L":
        said["icc_profile"] = parts.profile
    if parts.dpi:
        said["dpi"] = parts.dpi
    return said
