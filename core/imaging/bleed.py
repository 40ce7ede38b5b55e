"""Colour under alpha 0: the foreground's, carried outwards from the edge by some pixels.

What resizes a cut-out without regard to alpha, as many programs, browsers and games do, mixes the
colours that are seen with those beside them. Where those are black, the edge gets a dark fringe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .levels import OPAQUE, VISIBLE, to_levels
from .morphology import dilate
from .rows import cached_rows, map_rows

REACH = 8
"""Pixels that colour is carried outwards, along rows and columns.

As far as Lanczos filters reach that shrink a picture to 3/8.
"""

# Alpha, in levels, from which on a pixel's colour is carried. Networks leave less than that in
# specks all over the background, and a fringe beside it is not seen.
_HAZE = 13
_CERTAIN = round(255 * OPAQUE)
# Standard deviation of the weights, in pixels. With 2, hard edges of photos that are brought to 0.5
# or 0.37 of their size come out worse; with 1, only with a linear filter.
_SIGMA = 1.2
# The surroundings of a block, with the neighbours of what is in reach; its side with them, and how
# many are worked on at once.
_AROUND = REACH + 1
_SIDE = REACH + 2 * _AROUND
_AT_ONCE = 128


def bleed(
    cutout: NDArray[Any],
    *,
    from_certain: bool = False,
    alpha: NDArray[np.float32] | None = None,
) -> None:
    """Colour what is not seen beside what is, in place.

    A pixel p gets the colours F of the pixels q around it by normalised convolution,

        Σ G(p − q) w(q) F(q) / Σ G(p − q) w(q),    w = α (1/255 + m),

    where G is a Gaussian, cut off :data:`REACH` pixels away along rows and columns, and m the
    lowest alpha at q and beside it: at the edge of a mask, colours may still hold some of the old
    background's. Where all pixels that near are invisible or haze, the colour stays as it is.
    Alpha is not changed.

    Parameters
    ----------
    cutout
        uint8, or float32 of 0..1, (H, W, 4): a straight cut-out, contiguous. Both give the same
        colours, of 8 bit.
    from_certain
        Carry only the colours of pixels that are as good as opaque: where the others still hold
        some of the background's.
    alpha
        float32 (H, W), where there is a copy that is read faster than ``cutout[..., 3]``.

    References
    ----------
    Knutsson, Westin: Normalized and Differential Convolution, 1993.
    """
    height, width = cutout.shape[:2]
    is_uint8 = cutout.dtype == np.uint8
    least = _CERTAIN if from_certain else _HAZE
    flat = cutout.reshape(-1, 4)
    pixels = flat
    if is_uint8:  # alpha is the high byte of a word
        pixels = flat.view("<u4")[:, 0]
        blocks = _find_blocks(pixels.reshape(height, width), 1 << 24, least << 24)
    else:  # a level less, so that nothing is missed that is rounded up
        found = cutout[..., 3] if alpha is None else alpha
        blocks = _find_blocks(found, VISIBLE, (least - 1) / 255)
    across = -(-width // REACH)
    span = np.arange(-_AROUND, REACH + _AROUND)
    around: NDArray[np.intp] = span[:, None] * width + span
    kernel = _kernel()
    middle = np.s_[:, _AROUND:-_AROUND, _AROUND:-_AROUND]

    def fill(first: int, last: int) -> None:
        y, x = (REACH * each for each in np.divmod(blocks[first:last], across))
        at = (y * width + x)[:, None, None] + around
        rows, columns = (start[:, None] + span for start in (y, x))
        inside = ((rows >= 0) & (rows < height))[:, :, None]
        inside = inside & ((columns >= 0) & (columns < width))[:, None]
        # what is outside is read from somewhere, weighs nothing, and is no edge
        *colours, levels = _channels(np.take(pixels, at, axis=0, mode="clip"))
        levels |= np.uint8(255) * ~inside
        weight = (levels * (inside & (levels >= least)).view(np.uint8)).astype(np.float32)
        weight *= 1 + _lowest_beside(levels).astype(np.float32)
        total = kernel.T @ (weight @ kernel)
        is_filled = inside[middle] & (levels[middle] == 0) & (total > 0)
        total, where = total[is_filled], at[middle][is_filled]
        for channel, colour in enumerate(colours):
            mean = (kernel.T @ ((colour * weight) @ kernel))[is_filled] / total
            mean = np.floor(mean + np.float32(0.5))
            flat[where, channel] = mean if is_uint8 else mean / np.float32(255)

    map_rows(fill, len(blocks), len(blocks) * _SIDE**2, _AT_ONCE)


def _channels(patches: NDArray[Any]) -> list[NDArray[Any]]:
    """Return red, green, blue and alpha in levels; what is not seen has alpha 0."""
    if patches.dtype != np.float32:
        return [(patches >> shift).astype(np.uint8) for shift in (0, 8, 16, 24)]
    levels = to_levels(np.clip(patches, 0, 1))
    levels[..., 3] *= patches[..., 3] >= VISIBLE
    return [levels[..., channel] for channel in range(4)]


def _lowest_beside(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the lowest level at pixels (N, h, w) and at the four beside each."""
    least = levels.copy()
    for here, there in (
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:, :, 1:], np.s_[:, :, :-1]),
        (np.s_[:, :, :-1], np.s_[:, :, 1:]),
    ):
        np.minimum(least[here], levels[there], out=least[here])
    return least


def _kernel() -> NDArray[np.float32]:
    """Return what filters rows of a block and its surroundings, (``_SIDE``, ``REACH``)."""
    distance = np.abs(np.arange(_SIDE)[:, None] - np.arange(_AROUND, _SIDE - _AROUND))
    weights = np.exp(-0.5 * (distance / _SIGMA) ** 2) * (distance <= REACH)
    return weights.astype(np.float32)


def _find_blocks(opacity: NDArray[Any], visible: float, least: float) -> NDArray[np.intp]:
    """Return the flat indices of blocks that have something to fill, and what to fill it with.

    The first in the block, below ``visible``; the second in it or beside it, from ``least`` on.
    """
    height, width = opacity.shape
    down, across = -(-height // REACH), -(-width // REACH)
    low, high = opacity.dtype.type(visible), opacity.dtype.type(least)
    hidden, near = np.empty((2, down, across), np.bool_)

    def search(top: int, bottom: int) -> None:
        part = opacity[REACH * top : REACH * bottom]
        padded = np.zeros((2, REACH * (bottom - top), REACH * across), np.bool_)
        np.less(part, low, out=padded[0, : len(part), :width])
        np.greater_equal(part, high, out=padded[1, : len(part), :width])
        eights = padded.view(np.uint64).reshape(2, bottom - top, REACH, across)
        hidden[top:bottom], near[top:bottom] = np.bitwise_or.reduce(eights, axis=2) != 0

    map_rows(search, down, height * width, max(1, cached_rows(width) // REACH))
    return np.flatnonzero(dilate(near) & hidden)
