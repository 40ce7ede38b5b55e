"""Loops that order the unknown pixels and find their fronts, in the Python that numba compiles.

Nothing here imports numba or other modules of the package, and everything also runs, very
slowly, as plain Python. What the arrays hold is explained in :mod:`.dissection`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

# Patches of at most so many pixels are not cut further.
LEAF = 32


def dissect(rows: Ints, columns: Ints, leaf: int, stopped: Bytes) -> tuple[Longs, Longs]:
    """Order the unknown pixels by nested dissection; the two arrays are sorted in place.

    Pixels interact over two rows or columns, so two neighbouring ones, all pixels of them,
    separate what lies before from what lies behind.
    """
    count = len(rows)
    start = np.empty(count + 1, np.int64)
    first = np.empty(count + 1, np.int64)
    extent = 0
    if count:
        extent = np.max(rows) + np.max(columns)
    # from, to: a part to be divided, or with the first node of its subtree a node to be noted
    todo = np.empty((extent + 4, 3), np.int64)
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
                before, behind = divide(rows[low:high], columns[low:high])
                if before:
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
        if low < high:  # where nothing had to be cut, the parts move up a node
            start[nodes] = low
            first[nodes] = below
            nodes += 1
    start[nodes] = count
    return start[: nodes + 1].copy(), first[:nodes].copy()


def divide(rows: Ints, columns: Ints) -> tuple[int, int]:
    """Sort pixels into those before a cut, those behind it, and those in it.

    Returns how many lie before and behind; none where there is no room to cut. This is for
    numpy; the compiler is given :func:`divide_in_loops` instead.
    """
    along = rows if np.ptp(rows) >= np.ptp(columns) else columns
    low = along.min()
    counts = np.bincount(along - low)
    if len(counts) < 5:
        return 0, 0
    before = np.cumsum(counts)[:-4]
    within = counts[1:-3] + counts[2:-2]
    smaller = np.minimum(before, len(along) - before - within) / len(along)
    cut = low + 1 + np.argmin(cost_of_cut(within, smaller))
    is_before, is_behind = along < cut, along > cut + 1
    is_within = ~(is_before | is_behind)
    sides = [np.flatnonzero(side) for side in (is_before, is_behind, is_within)]
    order = np.concatenate(sides)
    rows[:], columns[:] = rows[order], columns[order]
    return len(sides[0]), len(sides[1])


def divide_in_loops(rows: Ints, columns: Ints) -> tuple[int, int]:
    """Do the same as :func:`divide`."""
    size = len(rows)
    y, x = rows.copy(), columns.copy()
    along = y
    if np.max(y) - np.min(y) < np.max(x) - np.min(x):
        along = x
    low = np.min(along)
    counts = np.zeros(np.max(along) - low + 1, np.int64)
    for i in range(size):
        counts[along[i] - low] += 1
    best, cut, before, behind, passed = np.inf, 0, 0, 0, 0
    for i in range(1, len(counts) - 3):
        passed += counts[i - 1]
        within = counts[i] + counts[i + 1]
        cost = cost_of_cut(within, min(passed, size - passed - within) / size)
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


def cost_of_cut(within: Any, smaller: Any) -> Any:
    """Return how bad a cut through ``within`` pixels is with a share ``smaller`` on one side.

    A short cut counts most, then halves of equal size; slivers are of no use.
    """
    return (within + 1) * (1 + (1 - 2 * smaller) ** 2) * (1 + 100 * np.maximum(0.1 - smaller, 0))


def find_windows(
    rows: Ints, columns: Ints, height: int, width: int, start: Longs, stopped: Bytes
) -> tuple[Ints, Longs]:
    """List the windows that touch unknown pixels, each with the node that meets it first."""
    claimed = np.zeros((height, width), np.uint8)
    windows = np.empty(1024, np.int32)
    ends = np.zeros(len(start), np.int64)
    count = 0
    for node in range(len(start) - 1):
        if stopped[0]:
            break
        for i in range(start[node], start[node + 1]):
            for y in range(max(rows[i] - 1, 1), min(rows[i] + 2, height - 1)):
                for x in range(max(columns[i] - 1, 1), min(columns[i] + 2, width - 1)):
                    if claimed[y, x] == 0:
                        claimed[y, x] = 1
                        if count == len(windows):
                            windows = np.concatenate((windows, windows))
                        windows[count] = y * width + x
                        count += 1
        ends[node + 1] = count
    return windows[:count].copy(), ends


def find_boundaries(
    start: Longs,
    first: Longs,
    windows: Ints,
    ends: Longs,
    position: Ints,
    width: int,
    stopped: Bytes,
) -> tuple[Ints, Longs]:
    """List for every node the later pixels that its subtree interacts with, in order."""
    count = start[-1]
    seen = np.full(count, -1, np.int32)
    bounds = np.empty(1024, np.int32)
    stops = np.zeros(len(start), np.int64)
    size = 0
    for node in range(len(first)):
        if stopped[0]:
            break
        begin = size
        after = start[node + 1]
        room = 9 * (ends[node + 1] - ends[node])
        child = node - 1
        while child >= first[node]:
            room += stops[child + 1] - stops[child]
            child = first[child] - 1
        while size + room > len(bounds):
            bounds = np.concatenate((bounds, bounds))
        for k in range(ends[node], ends[node + 1]):
            for y in range(-1, 2):
                for x in range(-1, 2):
                    p = position[windows[k] + y * width + x]
                    if after <= p < count and seen[p] != node:
                        seen[p] = node
                        bounds[size] = p
                        size += 1
        child = node - 1
        while child >= first[node]:
            for k in range(stops[child], stops[child + 1]):
                p = bounds[k]
                if p >= after and seen[p] != node:
                    seen[p] = node
                    bounds[size] = p
                    size += 1
            child = first[child] - 1
        bounds[begin:size].sort()
        stops[node + 1] = size
    return bounds[:size].copy(), stops
