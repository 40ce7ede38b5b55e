"""Trimaps: what is certainly foreground (1), certainly background (0), and unknown (0.5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import number, whole
from ..errors import ImageError
from ..imaging.levels import to_levels
from ..imaging.morphology import erode_cross, erode_square
from ..imaging.parts import to_grey
from ..imaging.picture import Picture, open_picture, plain
from ..imaging.resample import have_same_shape
from ..imaging.rows import map_rows

# Longer side of the images for which rembg's erode size of 10 was chosen.
_USUAL_SIDE = 1024
# Pixels; larger than any image.
_LARGEST_SQUARE = 1 << 20
# Levels beyond those of a mask, which rembg's own examples use: then nothing is certain, or all.
_FARTHEST = 1000
# Pixels of one call: these and their intermediate results fit the processor's cache.
_BLOCK = 1 << 19
# Levels up to which a drawn trimap is black, and from which it is white: an eighth of the
# range, enough for JPEG. What lies between is unknown, however grey.
_BLACK, _WHITE = 32, 223
# Of strokes: less is dirt, of JPEG for example.
_FAINTEST = 0.05
# What resampling throws beyond 0..1, see imaging.parts.
_OVERSHOOT = 0.5


def check_thresholds(foreground: float, background: float, erode_size: int) -> None:
    """Raise OptionError where an argument of :func:`trimap_from_mask` is out of range."""
    number("The foreground threshold", foreground, -_FARTHEST, _FARTHEST)
    number("The background threshold", background, -_FARTHEST, _FARTHEST)
    whole("The erode size", erode_size, 0, _LARGEST_SQUARE)


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
        Above the first and below the second a pixel counts as certain. Beyond 0..255 either none
        or every one does.
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
    check_thresholds(foreground_threshold, background_threshold, erode_size)
    height, width = mask.shape
    # such a square covers the whole image from any pixel: a larger one erodes no more
    erode_size = min(erode_size, 2 * max(height, width) + 1)
    # scipy puts the origin of an even square right of its centre
    before, after = (1, 1) if erode_size == 0 else (erode_size // 2, (erode_size - 1) // 2)
    trimap = np.empty(mask.shape, np.float32)

    def erode(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return erode_square(region, erode_size) if erode_size else erode_cross(region)

    def mark(top: int, bottom: int) -> None:
        rows = mask[max(top - before, 0) : bottom + after]
        missing = max(before - top, 0), max(bottom + after - height, 0)
        pad = missing, (before, after)
        is_foreground = np.pad(rows > foreground_threshold, pad, constant_values=False)
        is_background = np.pad(rows < background_threshold, pad, constant_values=True)
        # (1 + foreground − background) / 2; where the thresholds cross, background wins
        is_background = erode(is_background)
        is_foreground = erode(is_foreground) & ~is_background
        twice = 1 + is_foreground.view(np.int8) - is_background.view(np.int8)
        np.multiply(twice, np.float32(0.5), out=trimap[top:bottom])

    # strips: temporary arrays of the whole image cost more than the work
    map_rows(mark, height, mask.size, max(_BLOCK // width, 2 * (before + after), 1))
    return trimap


def scale_erode_size(erode_size: int, size_hw: tuple[int, int]) -> int:
    """Turn an erode size meant for images of 1024 pixels into that for one of ``size_hw``.

    The unknown band is then the same share of a large image as of a small one. 0 stays 0,
    anything else stays at least 1, and no larger than any erode size.
    """
    if erode_size <= 0:  # trimap_from_mask rejects what is below 0
        return erode_size
    return min(max(1, round(erode_size * max(size_hw) / _USUAL_SIDE)), _LARGEST_SQUARE)


def read_trimap(trimap: Picture, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Read a trimap that the user drew.

    Parameters
    ----------
    trimap
        Black, grey and white: an encoded file as bytes, a path, a Pillow image of any mode;
        or an array (H, W) of uint8, or of floats in 0..1. Values need not be exact: the lowest
        eighth of the range is background, the highest foreground, all between unknown.
    size_hw
        Height and width of the image it belongs to. A trimap of the same proportions is
        scaled to it, without new values.

    Returns
    -------
    ndarray
        float32 (H, W): exactly 0, 0.5 or 1.

    Raises
    ------
    ImageError
        If its proportions are not the image's, or it holds NaN.
    """
    if isinstance(trimap, np.ndarray):
        trimap = plain(trimap)
    if isinstance(trimap, np.ndarray) and np.issubdtype(trimap.dtype, np.floating):
        if not (np.abs(trimap - 0.5) <= 0.5 + _OVERSHOOT).all():
            raise ImageError(
                "The trimap holds values outside 0..1, or NaN. As floats use 0 for background, "
                "0.5 for unknown and 1 for foreground; or pass uint8."
            )
        trimap = to_levels(np.clip(trimap, 0, 1))
    levels = to_grey(open_picture(trimap)[0])
    height, width = size_hw
    if levels.size != (width, height):
        if not have_same_shape((levels.height, levels.width), size_hw):
            raise ImageError(
                f"The trimap is {levels.width}×{levels.height} pixels and the picture "
                f"{width}×{height}: they have different proportions. Draw the trimap on the "
                "picture itself, or crop both alike."
            )
        levels = levels.resize((width, height), Image.Resampling.NEAREST)
    table = np.full(256, 0.5, np.float32)
    table[: _BLACK + 1], table[_WHITE:] = 0, 1
    return table[np.asarray(levels)]


def paint(
    trimap: NDArray[np.float32],
    *,
    keep: NDArray[np.float32] | None = None,
    remove: NDArray[np.float32] | None = None,
    unknown: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Change a trimap where the user painted.

    A brush may be soft, and of any opacity: what has at least half of the strongest stroke
    counts. Where several were painted, unknown wins over keep, and keep over remove.

    Parameters
    ----------
    trimap
        float32 (H, W): 0, 0.5 or 1; not changed.
    keep, remove, unknown
        float32 (H, W), 0..1: where it is certainly foreground, certainly background, and to be
        solved. None, and what is 0 nearly everywhere, leaves all as it is.
    """
    painted = trimap.copy()
    for strokes, value in ((remove, 0), (keep, 1), (unknown, 0.5)):
        if strokes is not None and (strongest := strokes.max()) >= _FAINTEST:
            painted[strokes >= strongest / 2] = value
    return painted
