"""Crops to the subject, places it on a canvas, and puts it back.

A :class:`.framing.Framing` says what is wanted, :func:`.framing.plan` turns it and the boxes of
subjects into a :class:`.framing.Placement` for each picture, and :func:`place` does it. What came
out goes back by the placement's ``inverse``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import NotEnoughMemoryError
from ..machine import free_memory
from .box import find_box
from .framing import Framing, Placement, plan
from .levels import VISIBLE, to_levels
from .resample import stretch

# Pixels of the larger scale that the Lanczos filter reaches to either side.
_REACH = 3
# Canvases of one channel, in floats, that scaling holds beside the result.
_SCALING = 6
# Of positions that are whole numbers but for rounding.
_TINY = 1e-6


def new_canvas(shape: tuple[int, ...], dtype: Any, *, beside: int = 0) -> NDArray[Any]:
    """Return an array of zeros: one canvas (H, W) or (H, W, C), or a batch of them.

    Parameters
    ----------
    beside
        Bytes that will be needed beside it.

    Raises
    ------
    NotEnoughMemoryError
        If it does not fit into the memory there is. Many systems promise more, and end the whole
        program when it is used.
    """
    needed, free = math.prod(shape) * np.dtype(dtype).itemsize + beside, free_memory()
    if needed > free:
        raise NotEnoughMemoryError(
            f"The canvas needs about {needed / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB are free "
            "(its shape: " + "×".join(map(str, shape)) + "). Make it smaller, or frame fewer "
            "pictures at once."
        )
    return np.zeros(shape, dtype)


def place(picture: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """Bring a picture to its canvas; what it leaves free is 0.

    Unscaled pixels are copied. Scaled ones come from the Lanczos filter, of colours multiplied by
    alpha, so that nothing of what is not seen gets into soft edges; where alpha is less than a
    level of 8 bit they have no colour, see :func:`.bleed.bleed`.

    Parameters
    ----------
    picture
        float32, 0..1, or uint8: a straight cut-out (H, W, 4), or alpha (H, W). It may be of
        another size than the placement says, as an enlarged one is: then it is all of it.

    Returns
    -------
    ndarray
        Of the same kind, of the size of the canvas.

    Raises
    ------
    NotEnoughMemoryError
    """
    (height, width), canvas_hw = picture.shape[:2], placement.canvas_hw
    box, target, of = placement.box, placement.target, placement.picture_hw
    rows = _overlap(height, box.y, box.height, of[0], target.y, target.height, canvas_hw[0])
    columns = _overlap(width, box.x, box.width, of[1], target.x, target.width, canvas_hw[1])
    (top, bottom, low_y, high_y), (left, right, low_x, high_x) = rows, columns
    is_copied = (high_y - low_y, high_x - low_x) == (bottom - top, right - left)
    canvas = new_canvas(
        (*canvas_hw, *picture.shape[2:]),
        picture.dtype,
        beside=0 if is_copied else 4 * _SCALING * math.prod(canvas_hw),
    )
    if bottom <= top or right <= left:
        return canvas
    if is_copied:
        part = picture[round(low_y) : round(high_y), round(low_x) : round(high_x)]
    else:
        source = (low_x, low_y, high_x, high_y)
        part = _scaled(picture, source, (bottom - top, right - left))
    canvas[top:bottom, left:right] = part
    return canvas


def _overlap(
    length: int, start: int, size: int, of: int, to_start: int, to_size: int, to_length: int
) -> tuple[int, int, float, float]:
    """Return which whole pixels of an axis of the canvas a picture covers, and from where.

    Parameters
    ----------
    length
        Of the picture; ``start`` and ``size`` of its box are meant for one that is ``of`` long.

    Returns
    -------
    first, last, low, high
        Pixels first..last of the canvas are low..high of the picture.
    """
    unit = length * size / (of * to_size)  # pixels of the picture for one of the canvas
    origin = start * length / of
    first = max(0, math.ceil(to_start - origin / unit - _TINY))
    last = min(to_length, math.floor(to_start + (length - origin) / unit + _TINY))
    low, high = (origin + (edge - to_start) * unit for edge in (first, last))
    if unit == 1:
        low, high = round(low), round(high)
    return first, last, max(low, 0), min(high, length)


def _scaled(
    picture: NDArray[Any], box: tuple[float, float, float, float], size_hw: tuple[int, int]
) -> NDArray[Any]:
    """Resize a part of a straight cut-out, or of alpha; see :func:`place`."""
    left, top, right, bottom = box
    reach_x = math.ceil(_REACH * max(1, (right - left) / size_hw[1])) + 1
    reach_y = math.ceil(_REACH * max(1, (bottom - top) / size_hw[0])) + 1
    x, y = max(0, int(left) - reach_x), max(0, int(top) - reach_y)
    needed = picture[y : math.ceil(bottom) + reach_y, x : math.ceil(right) + reach_x]
    box = (left - x, top - y, right - x, bottom - y)
    values: NDArray[np.float32] = np.asarray(needed, np.float32)
    if picture.dtype == np.uint8:
        values /= 255
    alpha = values if values.ndim == 2 else values[..., 3].copy()
    scaled = stretch(alpha, size_hw, box)
    seen = scaled >= VISIBLE
    result = scaled
    if values.ndim == 3:
        result = np.zeros((*size_hw, 4), np.float32)
        result[..., 3] = scaled
        for channel in range(3):
            colour = stretch(values[..., channel] * alpha, size_hw, box)
            np.divide(colour, scaled, out=result[..., channel], where=seen)
    np.clip(result, 0, 1, out=result)
    if picture.dtype != np.uint8:
        return result
    return to_levels(result) * (seen if values.ndim == 2 else seen[..., None])


def frame_picture(picture: Image.Image, framing: Framing) -> tuple[Image.Image, bool]:
    """Frame the subject of one picture, mode RGBA or L (a mask).

    Returns
    -------
    picture, is_found
        Of the same mode. Without a subject it is not cropped, and ``is_found`` is False.
    """
    array = np.asarray(picture)
    box = find_box(array if picture.mode == "L" else array[..., 3], framing.threshold)
    (placement,) = plan([box], array.shape[:2], framing)
    return Image.fromarray(place(array, placement)), box is not None
