"""Covers the unknown pixels of a large image with square windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def cover(is_unknown: Flags, size: int, margin: int) -> list[tuple[int, int]]:
    """Place windows over the unknown pixels.

    Parameters
    ----------
    is_unknown
        bool (H, W).
    size, margin
        Side of a window and width of its border, in pixels; ``size > 2 * margin``.

    Returns
    -------
    list of (top, left)
        Every unknown pixel is inside some window, at least ``margin`` pixels from the sides
        that are not also the image's. Windows lie within the image, unless it is smaller than
        a window, and are centred on the unknown pixels that they were placed for.
    """
    found: list[tuple[int, int]] = []
    for rows in _cells(_any(is_unknown, 1), size, margin):
        for columns in _cells(_any(is_unknown[rows], 0), size, margin):
            cell = is_unknown[rows, columns]
            top = _centred(_any(cell, 1), rows.start, is_unknown.shape[0], size)
            left = _centred(_any(cell, 0), columns.start, is_unknown.shape[1], size)
            found.append((top, left))
    return found


def _any(flags: Flags, axis: int) -> Flags:
    return np.logical_or.reduce(flags, axis=axis)


def _cells(occupied: Flags, size: int, margin: int) -> Iterator[slice]:
    """Divide one side into parts so that what is occupied of each fits one window."""
    last = max(len(occupied) - size, 0)  # where the last window begins
    places = np.flatnonzero(occupied)
    while len(places):
        start = min(max(int(places[0]) - margin, 0), last)
        end = len(occupied) if start == last else start + size - margin
        yield slice(int(places[0]), end)
        places = places[places >= end]


def _centred(occupied: Flags, offset: int, length: int, size: int) -> int:
    places = np.flatnonzero(occupied)
    middle = offset + int(places[0] + places[-1] + 1) // 2
    return _within(middle - size // 2, size, length)


def _within(start: int, size: int, length: int) -> int:
    return min(max(start, 0), max(length - size, 0))


def fade(start: int, size: int, length: int, margin: int) -> NDArray[np.float32]:
    """Return how much the result of a window counts along one side.

    1 inside, falling to 0 over the margin, except at the ends of the image. With
    :func:`cover` every unknown pixel is in a window that counts fully, so the other windows
    enter the weighted mean without a visible step.

    Parameters
    ----------
    start, size
        First pixel and side of the window.
    length
        Side of the image.
    margin
        As in :func:`cover`.

    Returns
    -------
    ndarray
        float32, one weight for each of the window's pixels in the image.
    """
    weights = np.ones(min(size, length - start), np.float32)
    slope = (np.arange(margin, dtype=np.float32) + 0.5) / margin
    if start > 0:
        weights[:margin] = slope
    if start + size < length:
        weights[-margin:] = slope[::-1]
    return weights


def grow(
    trimap: NDArray[np.float32], top: int, left: int, size: int, values: Sequence[float]
) -> tuple[slice, slice]:
    """Double a window around its middle until it holds every value or the whole image.

    Parameters
    ----------
    trimap
        float32 (H, W).
    top, left, size
        The window.
    values
        Values that it must hold at least once each.

    Returns
    -------
    rows, columns : slice
        The given window if it already holds them.
    """
    height, width = trimap.shape
    longest, side = max(height, width), size
    while True:
        start_y = _within(top + size // 2 - side // 2, side, height)
        start_x = _within(left + size // 2 - side // 2, side, width)
        window = slice(start_y, start_y + side), slice(start_x, start_x + side)
        if side >= longest or all((trimap[window] == value).any() for value in values):
            return window
        side = min(2 * side, longest)
