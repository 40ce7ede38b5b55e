"""A picture of any mode, taken apart: colours as RGB, alpha, colour profile, resolution."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, NotEnoughMemoryError, RembgSessionsError
from ..text import quotable, short
from .profile import space_of, to_srgb

_log = logging.getLogger("rembg_sessions")

# To decode these, Pillow starts another program.
_PROGRAMS = {"EPS", "WMF"}

# Lanczos and bicubic resampling leave 0..1 by a fifth; of 0..255 this is black.
_OVERSHOOT = 2

# JPEG can say no more. Of more, PNG raises an error, and Pillow writes a wrong number into JPEG.
_HIGHEST_DPI = 65535


@dataclass(frozen=True, slots=True)
class Parts:
    """A picture taken apart.

    Attributes
    ----------
    rgb
        Mode RGB.
    alpha
        Mode L: the opacity that it has already; None if it is opaque by nature.
    profile
        The ICC profile that says what the numbers of ``rgb`` mean; None for sRGB.
    dpi
        Pixels per inch, across and down, where the picture says so.
    """

    rgb: Image.Image
    alpha: Image.Image | None = None
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None


@contextmanager
def reading(what: str) -> Generator[None, None, None]:
    """Turn whatever Pillow raises about a picture, which is nearly anything, into ImageError."""
    try:
        yield
    except RembgSessionsError:
        raise
    except MemoryError as error:
        raise NotEnoughMemoryError(
            f"{what} is too large for the memory there is. Free some, or make it smaller."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{what} is refused: {error} If you trust it, raise PIL.Image.MAX_IMAGE_PIXELS."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{what} is not an image that Pillow can read.") from error
    except Exception as error:
        reason = quotable(str(error)) or type(error).__name__
        raise ImageError(f"{what} could not be read as an image: {reason}.") from error


def check_pillow(picture: object) -> None:
    """Raise ImageError unless something is a Pillow picture with pixels; they are loaded then.

    What Pillow opens is read only when it is asked for, which no two threads may do at once.
    """
    if not isinstance(picture, Image.Image):
        raise ImageError(f"{short(picture)} is not a Pillow picture; open it with PIL.Image.open.")
    load(picture)
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"The picture is empty: {picture.width}×{picture.height} pixels.")


def load(picture: Image.Image) -> None:
    """Have Pillow read the pixels of a picture that it opened.

    Raises
    ------
    ImageError
        If it cannot, or would start another program for it.
    """
    with reading("The image"):
        if picture.format in _PROGRAMS and getattr(picture, "tile", ()):
            raise ImageError(f"{picture.format} files are not read; convert it to PNG first.")
        picture.load()


def take_apart(picture: Image.Image) -> Parts:
    """Convert a picture of any mode to RGB and its alpha channel, if it has one.

    16-bit grey is scaled to 8 bit, where Pillow alone would clip it. A profile that RGB cannot
    keep, of grey or of inks, is used up: the colours are sRGB then.

    Raises
    ------
    ImageError
        If a float picture holds NaN or infinity, or if what it says of its transparency makes
        no sense.
    """
    with reading("The picture"):
        profile, dpi = picture.info.get("icc_profile"), _dpi(picture.info.get("dpi"))
        rgb, alpha = _split_alpha(picture)
        space = space_of(profile)
        if rgb.mode == "RGB":
            kept = profile if space == "RGB" else None
            if profile and not kept:
                _log.warning("The picture's colour profile is not one for RGB; it was ignored.")
            return Parts(rgb, alpha, kept, dpi)
        # grey or inks; grey numbers in an RGB profile mean its neutral colours
        fits = {"L": "GRAY", "CMYK": "CMYK"}.get(rgb.mode) == space
        converted = to_srgb(rgb, profile) if profile and fits else None
        kept = profile if rgb.mode == "L" and space == "RGB" else None
        return Parts(converted or rgb.convert("RGB"), alpha, kept, dpi)


def to_grey(picture: Image.Image) -> Image.Image:
    """Convert a picture of any mode to its levels of grey, mode L, whatever its profile says.

    Raises
    ------
    ImageError
        As :func:`take_apart` does.
    """
    with reading("The picture"):
        return _split_alpha(picture)[0].convert("L")


def _split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours, of mode RGB, L or CMYK, and alpha."""
    mode = picture.mode
    transparency: object = picture.info.get("transparency")
    if mode.startswith("I;16") or mode in ("I", "F"):
        return _grey_to_8_bit(picture), _alpha_of_value(picture, transparency)
    if mode == "LAB":
        from PIL import ImageCms

        cms: Any = ImageCms
        lab, srgb = cms.createProfile("LAB"), cms.createProfile("sRGB")
        return cms.profileToProfile(picture, lab, srgb, outputMode="RGB"), None
    if mode in ("L", "RGB", "P", "1") and transparency is not None:
        _check_transparency(mode, transparency)
    elif "transparency" in picture.info:
        picture = picture.copy()
        del picture.info["transparency"]
    if mode == "La":  # which Pillow does not convert to RGBA
        picture = picture.convert("LA")
    if picture.mode == "LA":
        return picture.getchannel("L"), picture.getchannel("A")
    if picture.has_transparency_data:
        rgba = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        alpha = rgba.getchannel("A")
        return rgba.convert("L" if mode in ("L", "1") else "RGB"), alpha
    if mode in ("RGB", "L", "CMYK"):
        return picture, None
    return picture.convert("L" if mode == "1" else "RGB"), None


def _check_transparency(mode: str, transparency: object) -> None:
    """Raise ImageError where what a picture says of its transparency makes no sense."""

    def is_level(value: object) -> bool:
        return isinstance(value, int) and 0 <= value <= 255

    if mode == "RGB":
        is_known = (
            _is_tuple(transparency) and len(transparency) == 3 and all(map(is_level, transparency))
        )
    else:
        is_known = is_level(transparency) or (mode == "P" and isinstance(transparency, bytes))
    if not is_known:
        raise _senseless(mode, transparency)


def _senseless(mode: str, transparency: object) -> ImageError:
    return ImageError(
        f"The picture's transparency is {transparency!r:.100}, which means nothing for mode "
        f"{mode}; remove it from info, or save the picture with an alpha channel."
    )


def _alpha_of_value(picture: Image.Image, transparency: object) -> Image.Image | None:
    """Return alpha of a grey picture in which one value is transparent."""
    if transparency is None:
        return None
    if not isinstance(transparency, (int, float)) or not math.isfinite(transparency):
        raise _senseless(picture.mode, transparency)
    if picture.mode != "F" and not 0 <= transparency <= 65535:
        raise _senseless(picture.mode, transparency)
    opaque = np.asarray(picture) != transparency
    return Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))


def _grey_to_8_bit(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if picture.mode == "F":
        return Image.fromarray(float_levels(values))
    # mode I holds 8- or 16-bit values, depending on the file it came from
    if picture.mode == "I" and values.max() <= 255:
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return Image.fromarray((np.clip(values, 0, 65535) / 257 + 0.5).astype(np.uint8))


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _dpi(value: object) -> tuple[float, float] | None:
    if not _is_tuple(value) or len(value) != 2:
        return None
    try:
        across, down = float(value[0]), float(value[1])
    except (TypeError, ValueError, ArithmeticError):
        return None
    good = all(0 < side <= _HIGHEST_DPI for side in (across, down))
    return (across, down) if good else None


def float_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Round floats of 0..1, or of 0..255 where one is above 2, to levels.

    What resampling throws beyond 0..1 is cut off.
    """
    if not np.isfinite(values).all():
        raise ImageError("The picture holds NaN or infinity; replace them by numbers.")
    scale = 255.0 if values.max() <= _OVERSHOOT else 1.0
    return np.clip(values * scale + 0.5, 0, 255).astype(np.uint8)
