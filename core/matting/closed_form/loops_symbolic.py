"""Symbolic factorisation in plain loops, for :mod:`.numba_backend` to compile.

They also run, very slowly, as plain Python. The functions are documented in :mod:`.backend`.
What they call must stand in this file: numba's cache is renewed when this file changes, and does
not see changes in others.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from .backend import Bytes, Floats, Ints, Longs

# Compiled calls cost next to nothing, so that small patches are the fastest.
LEAF = 32


def nested_dissection(rows: Ints, columns: Ints, leaf: int, stopped: Bytes) -> tuple[Longs, Longs]:
    """See :meth:`.backend.Backend.nested_dissection`."""
    count = len(rows)
    pixel_start = np.empty(count + 1, np.int64)
    first = np.empty(count + 1, np.int64)
    # A part of the pixels, from, to, -1, is still to be dissected; from, to, first descendant
    # is a separator that becomes a node when both of its sides have become nodes.
    todo = np.empty((64, 3), np.int64)
    todo[0, 0] = 0
    todo[0, 1] = count
    todo[0, 2] = -1
    depth = 1
    nodes = 0
    while depth and not stopped[0]:
        depth -= 1
        low = todo[depth, 0]
        high = todo[depth, 1]
        below = todo[depth, 2]
        if below < 0:
            below = nodes
            if high - low > leaf:
                before, behind = bisect(rows[low:high], columns[low:high])
                if before:
                    if depth + 3 > len(todo):
                        todo = np.concatenate((todo, todo))
                    middle, end = low + before, low + before + behind
                    for begin, stop, mark in (
                        (end, high, nodes),
                        (middle, end, -1),
                        (low, middle, -1),
                    ):
                        todo[depth, 0] = begin
                        todo[depth, 1] = stop
                        todo[depth, 2] = mark
                        depth += 1
                    continue
        if low < high:  # an empty separator is no node: its sides become children of the next
            pixel_start[nodes] = low
            first[nodes] = below
            nodes += 1
    pixel_start[nodes] = count
    return pixel_start[: nodes + 1].copy(), first[:nodes].copy()


def bisect(rows: Ints, columns: Ints) -> tuple[int, int]:
    """Sort pixels in place: those before a separator, those behind it, the separator.

    The separator is made of all pixels of two neighbouring rows or columns, so that no window
    holds pixels of both sides. This is for numpy; :func:`bisect_in_loops` is compiled instead.

    Parameters
    ----------
    rows, columns
        int32 (n,), where the pixels lie.

    Returns
    -------
    int, int
        How many lie before and behind; 0, 0 where there is no room for a separator.
    """
    along = rows if np.ptp(rows) >= np.ptp(columns) else columns
    low = along.min()
    counts = np.bincount(along - low)
    if len(counts) < 5:
        return 0, 0
    before = np.cumsum(counts)[:-4]
    within = counts[1:-3] + counts[2:-2]
    smaller = np.minimum(before, len(along) - before - within) / len(along)
    cut = low + 1 + np.argmin(separator_cost(within, smaller))
    is_before, is_behind = along < cut, along > cut + 1
    is_within = ~(is_before | is_behind)
    sides = [np.flatnonzero(side) for side in (is_before, is_behind, is_within)]
    order = np.concatenate(sides)
    rows[:], columns[:] = rows[order], columns[order]
    return len(sides[0]), len(sides[1])


def bisect_in_loops(rows: Ints, columns: Ints) -> tuple[int, int]:
    """Do the same as :func:`bisect`."""
    size = len(rows)
    y, x = rows.copy(), columns.copy()
    top, bottom, left, right = y[0], y[0], x[0], x[0]
    for i in range(size):
        top, bottom = min(top, y[i]), max(bottom, y[i])
        left, right = min(left, x[i]), max(right, x[i])
    along, low, high = y, top, bottom
    if bottom - top < right - left:
        along, low, high = x, left, right
    counts = np.zeros(high - low + 1, np.int64)
    for i in range(size):
        counts[along[i] - low] += 1
    best, cut, before, behind, passed = np.inf, 0, 0, 0, 0
    for i in range(1, len(counts) - 3):
        passed += counts[i - 1]
        within: int = counts[i] + counts[i + 1]
        smaller: float = min(passed, size - passed - within) / size
        cost = separator_cost(within, smaller)
        if cost < best:
            best, cut, before, behind = cost, low + i, passed, size - passed - within
    if before == 0:
        return 0, 0
    a, b, c = 0, before, before + behind
    for i in range(size):
        if along[i] < cut:
            rows[a], columns[a] = y[i], x[i]
            a += 1
        elif along[i] > cut + 1:
            rows[b], columns[b] = y[i], x[i]
            b += 1
        else:
            rows[c], columns[c] = y[i], x[i]
            c += 1
    return before, behind


@overload
def separator_cost(within: int, smaller: float) -> float: ...
@overload
def separator_cost(within: Longs, smaller: Floats) -> Floats: ...
def separator_cost(within: int | Longs, smaller: float | Floats) -> float | Floats:
    """Return how bad a separator is; the lowest wins.

    A short one counts most, then halves of equal size; slivers of less than a tenth are of no
    use.

    Parameters
    ----------
    within
        Pixels of the separator.
    smaller
        Share of all pixels that the smaller side has, 0..0.5.
    """
    missing: Any = np.maximum(0.1 - smaller, 0)
    return (within + 1) * (1 + (1 - 2 * smaller) ** 2) * (1 + 100 * missing)


def find_windows(
    rows: Ints, columns: Ints, height: int, width: int, pixel_start: Longs, stopped: Bytes
) -> tuple[Ints, Longs]:
    """See :meth:`.backend.Backend.find_windows`."""
    is_listed = np.zeros((height, width), np.uint8)
    windows = np.empty(1024, np.int32)
    window_start = np.zeros(len(pixel_start), np.int64)
    count = 0
    for node in range(len(pixel_start) - 1):
        if stopped[0]:
            break
        for i in range(pixel_start[node], pixel_start[node + 1]):
            for y in range(max(rows[i] - 1, 1), min(rows[i] + 2, height - 1)):
                for x in range(max(columns[i] - 1, 1), min(columns[i] + 2, width - 1)):
                    if is_listed[y, x] == 0:
                        is_listed[y, x] = 1
                        if count == len(windows):
                            windows = np.concatenate((windows, windows))
                        windows[count] = y * width + x
                        count += 1
        window_start[node + 1] = count
    return windows[:count].copy(), window_start


def find_borders(
    pixel_start: Longs,
    first: Longs,
    windows: Ints,
    window_start: Longs,
    position: Ints,
    width: int,
    stopped: Bytes,
) -> tuple[Ints, Longs]:
    """See :meth:`.backend.Backend.find_borders`."""
    count = pixel_start[-1]
    seen = np.full(count, -1, np.int32)  # the last node that has listed a pixel
    borders = np.empty(1024, np.int32)
    border_start = np.zeros(len(pixel_start), np.int64)
    size = 0
    for node in range(len(first)):
        if stopped[0]:
            break
        begin = size
        after = pixel_start[node + 1]
        room = 9 * (window_start[node + 1] - window_start[node])
        child = node - 1
        while child >= first[node]:
            room += border_start[child + 1] - border_start[child]
            child = first[child] - 1
        while size + room > len(borders):
            borders = np.concatenate((borders, borders))
        for k in range(window_start[node], window_start[node + 1]):
            for y in range(-1, 2):
                for x in range(-1, 2):
                    p = position[windows[k] + y * width + x]
                    if after <= p < count and seen[p] != node:
                        seen[p] = node
                        borders[size] = p
                        size += 1
        child = node - 1
        while child >= first[node]:
            for k in range(border_start[child], border_start[child + 1]):
                p = borders[k]
                if p >= after and seen[p] != node:
                    seen[p] = node
                    borders[size] = p
                    size += 1
            child = first[child] - 1
        borders[begin:size].sort()
        border_start[node + 1] = size
    return borders[:size].copy(), border_start
