"""Images in and out: every kind of input becomes RGB and, where there is one, alpha."""

from __future__ import annotations

import io
import logging
import os
from enum import Enum, auto
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, OptionError

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

CHANNEL_ORDERS = ("RGB", "BGR")
# What a grey array may consist of; colours are uint8.
_GREY = tuple(np.dtype(kind) for kind in (np.uint8, np.bool_, np.uint16, np.float32))

Array = NDArray[Any]
Picture = bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | Array


class Kind(Enum):
    """What the caller passed, and gets back."""

    BYTES = auto()
    PILLOW = auto()
    ARRAY = auto()


def open_picture(data: Picture, channel_order: str = "RGB") -> tuple[Image.Image, Kind]:
    """Open an image, upright.

    Parameters
    ----------
    data
        An encoded file as bytes; a path; a Pillow image; or an array (H, W), (H, W, 1..4)
        of uint8, or (H, W) of bool, uint16 or float32 in 0..255.
    channel_order
        ``"RGB"``, or ``"BGR"`` for arrays from OpenCV.

    Returns
    -------
    image, kind
        Kind ``PILLOW`` also for a path. The caller's own image is never changed.

    Raises
    ------
    ImageError
        If it is not an image, empty, of an unknown layout, or holds NaN or infinity.
    OptionError
        If ``channel_order`` is neither.
    """
    if channel_order not in CHANNEL_ORDERS:
        raise OptionError(f"channel_order is {channel_order!r}; use RGB or BGR.")
    if isinstance(data, Image.Image):
        picture, kind = _decode(data, "The picture"), Kind.PILLOW
    elif isinstance(data, (bytes, bytearray, memoryview)):
        picture, kind = _decode(io.BytesIO(data), "The data"), Kind.BYTES
    elif isinstance(data, (str, os.PathLike)):
        path = Path(data)
        if not path.is_file():
            raise ImageError(f"There is no file {path}.")
        picture, kind = _decode(path, str(path)), Kind.PILLOW
    elif isinstance(data, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]
        picture, kind = _from_array(data, channel_order), Kind.ARRAY
    else:
        raise ImageError(
            f"{type(data).__name__} is not an image. Pass bytes, a path, a Pillow image, or an "
            "array."
        )
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"The picture is empty: {picture.width}×{picture.height} pixels.")
    return _upright(picture), kind


def _decode(source: Image.Image | io.BytesIO | Path, what: str) -> Image.Image:
    try:
        picture = source if isinstance(source, Image.Image) else Image.open(source)
        picture.load()
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{what} is refused: {error} If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{what} is not a picture that Pillow can read.") from error
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise ImageError(f"{what} could not be read as a picture: {error}.") from error
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    try:
        method = _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # damaged EXIF raises nearly anything; the pixels are fine
        _log.warning("The picture's EXIF data is damaged and was ignored: %s.", error)
        return picture
    if method is None:
        return picture
    # ImageOps.exif_transpose would rewrite the EXIF data, and fail where it is damaged
    turned = picture.transpose(method)
    for key in _EXIF:
        turned.info.pop(key, None)
    return turned


def _from_array(array: Array, channel_order: str) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0:
        raise ImageError(f"The array is empty: shape {array.shape}.")
    colour = array.ndim == 3 and array.shape[2] in (2, 3, 4) and array.dtype == np.uint8
    grey = array.ndim == 2 and array.dtype in _GREY
    if not (colour or grey):
        raise ImageError(
            f"An array of shape {array.shape} and type {array.dtype} is not an image here. Use "
            "uint8 with values 0..255 and shape (H, W), (H, W, 3) or (H, W, 4); multiply "
            "0..1 floats by 255 first."
        )
    if colour and channel_order == "BGR" and array.shape[2] >= 3:
        array = swap_channels(array)
    return Image.fromarray(np.ascontiguousarray(array))


def swap_channels(array: Array) -> Array:
    """Exchange red and blue of (H, W, 3 or 4)."""
    order = [2, 1, 0, 3][: array.shape[2]]
    return np.ascontiguousarray(array[..., order])


def split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Convert an image of any mode to RGB and its alpha channel, if it has one.

    16-bit grey is scaled to 8 bit, where Pillow alone would clip it.

    Returns
    -------
    rgb, alpha
        Modes RGB and L; alpha is None for an image that cannot be transparent.

    Raises
    ------
    ImageError
        If an image of mode F holds NaN or infinity.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture, None
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return _grey_to_8_bit(picture).convert("RGB"), None
    if picture.mode == "La":  # which Pillow does not convert to RGBA
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    return picture.convert("RGB"), None


def _grey_to_8_bit(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if picture.mode == "F":
        if not np.isfinite(values).all():
            raise ImageError("The picture holds NaN or infinity; replace them by numbers.")
        return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))
    # mode I holds 8- or 16-bit values, depending on the file it came from
    if picture.mode == "I" and values.max() <= 255:
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return Image.fromarray((np.clip(values, 0, 65535) / 257 + 0.5).astype(np.uint8))


def give_back(
    picture: Image.Image, kind: Kind, channel_order: str = "RGB"
) -> Image.Image | bytes | Array:
    """Return an image as the kind that the caller passed; bytes are PNG."""
    if kind is Kind.PILLOW:
        return picture
    if kind is Kind.ARRAY:
        array = np.asarray(picture)
        return swap_channels(array) if channel_order == "BGR" and array.ndim == 3 else array
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
