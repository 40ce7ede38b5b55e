"""Averages and fills at several sizes, of images as planes (C, H, W).

numpy adds up planes several times faster than (H, W, C), whose last axis is short.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Longer side up to which one mean fills everything.
_COARSEST = 6
# Sum of weights that sums are divided by at least, against division by 0.
_LEAST = np.float32(1e-6)


def strongest(values: Floats, block: int = 8) -> Floats:
    """Return the greatest value (H, W) within about a block around each pixel."""
    height, width = values.shape
    most = _by_blocks(np.maximum, _by_blocks(np.maximum, values, block, 0), block, 1)
    most = np.pad(most, 1)
    most = np.maximum(np.maximum(most[:-2], most[2:]), most[1:-1])
    most = np.maximum(np.maximum(most[:, :-2], most[:, 2:]), most[:, 1:-1])
    return most.repeat(block, 0)[:height].repeat(block, 1)[:, :width]


def average(values: Floats, block: int) -> Floats:
    """Average (..., H, W) over square blocks; those at the end may be smaller."""
    if block == 1:
        return values
    height, width = values.shape[-2:]
    total = _by_blocks(np.add, _by_blocks(np.add, values, block, -2), block, -1)
    if height % block == 0 and width % block == 0:
        return total * np.float32(1 / block**2)
    rows, columns = (np.full(-(-side // block), block, np.float32) for side in (height, width))
    rows[-1], columns[-1] = (height - 1) % block + 1, (width - 1) % block + 1
    total /= rows[:, None] * columns
    return total


def _by_blocks(combine: np.ufunc, values: Floats, block: int, axis: int) -> Floats:
    """Combine the values of blocks along an axis of (..., H, W); the last may be smaller."""
    along = values.swapaxes(axis, 0)
    total = along[::block].copy(order="K")
    for start in range(1, min(block, len(along))):
        part = along[start::block]
        combine(total[: len(part)], part, out=total[: len(part)])
    return total.swapaxes(axis, 0)


def fill(values: Floats, weight: Floats) -> Floats:
    """Fill what has little weight from ever coarser weighted averages.

    Parameters
    ----------
    values
        float32 (C, H, W).
    weight
        float32 (H, W), 0 unknown .. 1 known.

    References
    ----------
    Pull-push: Gortler et al., The Lumigraph, 1996.
    """
    height, width = weight.shape
    if max(height, width) <= _COARSEST:
        mean = (values * weight).sum((1, 2), keepdims=True)
        mean /= np.maximum(weight.sum(), _LEAST)
        return mean + np.minimum(weight, 1) * (values - mean)
    both = np.concatenate([values * weight, weight[None]])
    both = _by_blocks(np.add, _by_blocks(np.add, both, 2, -2), 2, -1)
    coarse, share = both[:-1], both[-1]
    coarse /= np.maximum(share, _LEAST)
    fine = double(fill(coarse, np.minimum(share, 1)))[:, :height, :width]
    rest = values - fine
    rest *= np.minimum(weight, 1)
    rest += fine
    return rest


def smooth(weighted: Floats, weight: Floats) -> Floats:
    """Smooth an image and carry it to where it is not known.

    Averages over 2×2 pixels by weight, filled from coarser averages and brought back to full
    size by interpolation.

    Parameters
    ----------
    weighted
        float32 (C, H, W): the values times their weight.
    weight
        float32 (H, W), 0..1.
    """
    height, width = weight.shape
    share = average(weight, 2)
    mean: Floats = np.divide(average(weighted, 2), np.maximum(share, _LEAST))
    return double(fill(mean, share))[:, :height, :width]


def double(values: Floats) -> Floats:
    """Double both sides of (C, H, W) with linear interpolation."""
    count, height, width = values.shape
    quarter = np.float32(0.25) * values
    most = values - quarter
    wide = np.empty((count, height, width, 2), np.float32)
    wide[..., 0] = wide[..., 1] = most
    wide[..., 1:, 0] += quarter[..., :-1]
    wide[..., :-1, 1] += quarter[..., 1:]
    wide[..., 0, 0], wide[..., -1, 1] = values[..., 0], values[..., -1]
    values = wide.reshape(count, height, 2 * width)
    quarter = np.float32(0.25) * values
    most = values - quarter
    both = np.empty((count, height, 2, 2 * width), np.float32)
    np.add(most[:, 1:], quarter[:, :-1], out=both[:, 1:, 0])
    np.add(most[:, :-1], quarter[:, 1:], out=both[:, :-1, 1])
    both[:, 0, 0], both[:, -1, 1] = values[:, 0], values[:, -1]
    return both.reshape(count, 2 * height, 2 * width)


def product(a: Floats, b: Floats) -> Floats:
    """Scalar product of colours, over the first axis."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
