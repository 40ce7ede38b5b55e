"""Growing and shrinking of regions, by squares and by the 3×3 cross."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import needed

Mask = NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)


def dilate(mask: Mask, radius: int = 1) -> Mask:
    """Grow a mask (H, W) by a square of ``2 * radius + 1`` pixels."""
    wide = mask.copy()
    for shift in range(1, radius + 1):
        wide[shift:] |= mask[:-shift]
        wide[:-shift] |= mask[shift:]
    result = wide.copy()
    for shift in range(1, radius + 1):
        result[:, shift:] |= wide[:, :-shift]
        result[:, :-shift] |= wide[:, shift:]
    return result


def erode(mask: Mask, size: int) -> Mask:
    """Shrink a mask (H, W) by a square of ``size`` pixels, ≥ 1; outside counts as False.

    The middle of an even square is right of and below its centre, as in
    ``scipy.ndimage.binary_erosion``.
    """
    return erode_square(np.pad(mask, (size // 2, (size - 1) // 2)), size)


def erode_square(mask: Mask, size: int) -> Mask:
    """AND over ``size`` rows and ``size`` columns; the result is ``size - 1`` smaller in both."""
    width = 1
    while width < size:  # doubling: two runs of w pixels, shifted, make one of 2 w
        step = min(width, size - width)
        mask = mask[:-step] & mask[step:]
        mask = mask[:, :-step] & mask[:, step:]
        width += step
    return mask


def erode_cross(mask: Mask) -> Mask:
    """AND over a 3×3 cross; the result is 2 smaller in both directions."""
    across = mask[1:-1, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return across & mask[:-2, 1:-1] & mask[2:, 1:-1]


def over_cross(values: NDArray[Scalar], extreme: np.ufunc) -> NDArray[Scalar]:
    """Take an extreme (``np.maximum``, ``np.minimum``, …) over a 3×3 cross inside (H, W)."""
    result = values.copy()
    for a, b in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        extreme(result[a], values[b], out=result[a])
    return result


def grow(alpha: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    """Move the edge outwards by ``pixels``, inwards if negative, keeping its softness.

    A maximum (or minimum) over a square of ``2 * |pixels| + 1``.
    """
    with needed("scipy", "Growing or shrinking a mask"):
        from scipy import ndimage

    size = 2 * abs(pixels) + 1
    if pixels > 0:
        return ndimage.maximum_filter(alpha, size, mode="nearest")
    return ndimage.minimum_filter(alpha, size, mode="nearest")
