"""Trimaps: what is certainly foreground (1), certainly background (0), and unknown (0.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .bands import in_bands
from .errors import ImageError, OptionError
from .picture import Picture, open_picture, split_alpha

# Longer side of the pictures for which rembg's erode size of 10 was chosen.
_USUAL_SIDE = 1024
# Pixels worked on at a time: this many and what is derived from them fit the cache.
_BLOCK = 1 << 19
# Levels up to which a drawn trimap is black, and from which it is white: an eighth of the
# range, enough for JPEG. What lies between is unknown, however grey.
_BLACK, _WHITE = 32, 223
# Two proportions of one picture differ by less than this, however its sides were rounded.
_SAME_SHAPE = 0.02


def trimap_from_mask(
    mask: NDArray[np.uint8],
    foreground_threshold: int = 240,
    background_threshold: int = 10,
    erode_size: int = 10,
) -> NDArray[np.float32]:
    """Mark what is certainly foreground, certainly background, and unknown.

    Parameters
    ----------
    mask
        uint8 (H, W), 0..255.
    foreground_threshold, background_threshold
        0..255: above the first and below the second a pixel counts as certain.
    erode_size
        Side in pixels of the square that erodes both certain regions, ≥ 0: each shrinks by
        about half of it, so a hard edge gets an unknown band about this wide. 0 erodes by a
        3×3 cross, as rembg does.

    Returns
    -------
    ndarray
        float32 (H, W): exactly 0, 0.5 or 1. The same pixels as rembg's, which come from
        ``scipy.ndimage.binary_erosion``.

    Raises
    ------
    OptionError
        If an argument is out of range.
    """
    for name, value in (
        ("foreground threshold", foreground_threshold),
        ("background threshold", background_threshold),
    ):
        if not 0 <= value <= 255:
            raise OptionError(f"The {name} is {value}; use a value from 0 to 255.")
    if erode_size < 0:
        raise OptionError(f"The erode size is {erode_size}; use 0 or more pixels.")
    height, width = mask.shape
    # from any pixel such a square covers the picture: larger ones would erode no more
    erode_size = min(erode_size, 2 * max(height, width) + 1)
    # scipy puts the origin of an even square right of its centre
    before, after = (1, 1) if erode_size == 0 else (erode_size // 2, (erode_size - 1) // 2)
    erode = _erode_by_cross if erode_size == 0 else _erode_by_square
    trimap = np.empty(mask.shape, np.float32)

    def work(top: int, bottom: int) -> None:
        # blocks of rows: temporary arrays of the whole picture cost more than the work
        step = max(_BLOCK // width, 2 * (before + after), 1)
        for first in range(top, bottom, step):
            last = min(first + step, bottom)
            rows = mask[max(first - before, 0) : last + after]
            missing = max(before - first, 0), max(last + after - height, 0)
            pad = missing, (before, after)
            is_foreground = np.pad(rows > foreground_threshold, pad, constant_values=False)
            is_background = np.pad(rows < background_threshold, pad, constant_values=True)
            # (1 + foreground − background) / 2; where the thresholds cross, background wins
            is_background = erode(is_background, erode_size)
            is_foreground = erode(is_foreground, erode_size) & ~is_background
            twice = 1 + is_foreground.view(np.int8) - is_background.view(np.int8)
            np.multiply(twice, np.float32(0.5), out=trimap[first:last])

    in_bands(work, height, mask.size)
    return trimap


def _erode_by_square(region: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """AND over ``size`` rows and ``size`` columns; the result is ``size - 1`` smaller in both."""
    width = 1
    while width < size:  # doubling: two runs of w pixels, shifted, make one of 2 w
        step = min(width, size - width)
        region = region[:-step] & region[step:]
        region = region[:, :-step] & region[:, step:]
        width += step
    return region


def _erode_by_cross(region: NDArray[np.bool_], _: int) -> NDArray[np.bool_]:
    across = region[1:-1, 1:-1] & region[1:-1, :-2] & region[1:-1, 2:]
    return across & region[:-2, 1:-1] & region[2:, 1:-1]


def scale_erode_size(erode_size: int, size_hw: tuple[int, int]) -> int:
    """Turn an erode size meant for pictures of 1024 pixels into that for one of ``size_hw``.

    So the unknown band is as wide a part of a large picture as of a small one. 0 stays 0,
    anything else stays at least 1.
    """
    if erode_size <= 0:  # left for trimap_from_mask to refuse
        return erode_size
    return max(1, round(erode_size * max(size_hw) / _USUAL_SIDE))


def read_trimap(trimap: Picture, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Read a trimap that the user drew.

    Parameters
    ----------
    trimap
        Black, grey and white: an encoded file as bytes, a path, a Pillow picture of any mode;
        or an array (H, W) of uint8, or of floats in 0..1. Values need not be exact: up to an
        eighth of the range is background, from seven eighths foreground, all between unknown.
    size_hw
        Height and width of the picture it belongs to. A trimap of the same proportions is
        scaled, without inventing values.

    Returns
    -------
    ndarray
        float32 (H, W): exactly 0, 0.5 or 1.

    Raises
    ------
    ImageError
        If its proportions are not the picture's, or it holds NaN.
    """
    if isinstance(trimap, np.ndarray) and np.issubdtype(trimap.dtype, np.floating):
        if not ((trimap >= 0) & (trimap <= 1)).all():
            raise ImageError(
                "The trimap holds values outside 0..1, or NaN. As floats use 0 for background, "
                "0.5 for unknown and 1 for foreground; or pass uint8."
            )
        trimap = (trimap * 255 + 0.5).astype(np.uint8)
    picture, _ = open_picture(trimap)
    rgb, _ = split_alpha(picture)
    levels = rgb.convert("L")
    height, width = size_hw
    if levels.size != (width, height):
        ratio = (levels.width * height) / (levels.height * width)
        # a rounded side of a small picture may be half a pixel off
        slack = _SAME_SHAPE + 1 / min(*levels.size, *size_hw)
        if not 1 - slack <= ratio <= 1 + slack:
            raise ImageError(
                f"The trimap is {levels.width}×{levels.height} pixels and the picture "
                f"{width}×{height}: they have different proportions. Draw the trimap on the "
                "picture itself, or crop both alike."
            )
        levels = levels.resize((width, height), Image.Resampling.NEAREST)
    table = np.full(256, 0.5, np.float32)
    table[: _BLACK + 1], table[_WHITE:] = 0, 1
    return table[np.asarray(levels)]
