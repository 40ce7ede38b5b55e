"""Closed-form matting's inner loops in numpy, for as long as there is no compiled code.

The functions do the same as those of :mod:`.ordering` and :mod:`.kernels`, with the same arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import BACKGROUND, BOUNDARY, FACTOR, FIRST, PIXEL, TINY, WINDOW
from .laplacian import window_offsets, window_vectors
from .ordering import dissect

__all__ = ["LEAF", "dissect", "factor", "find_boundaries", "find_windows", "substitute"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

# Patches of at most so many pixels are not cut further: numpy costs by the call.
LEAF = 96
# windows whose matrices are held at a time
_CHUNK = 4096
# Products of matrices up to this size OpenBLAS computes without threads of its own. These cost
# more than they bring, and stand still where other work, like a compiler, holds the cores.
_TILE = 64


def find_windows(
    rows: Ints, columns: Ints, height: int, width: int, start: Longs, stopped: Bytes
) -> tuple[Ints, Longs]:
    """List the windows that touch unknown pixels, each with the node that meets it first."""
    owner = np.full(height * width, -1, np.int32)
    # backwards, because of several values for one place the last one stays
    for low in range((len(rows) - 1) // _CHUNK * _CHUNK, -1, -_CHUNK):
        if stopped[0]:
            break
        part = slice(low, low + _CHUNK)
        y = rows[part, None] + np.repeat((-1, 0, 1), 3)
        x = columns[part, None] + np.tile((-1, 0, 1), 3)
        inside = (y >= 1) & (y < height - 1) & (x >= 1) & (x < width - 1)
        numbers = np.broadcast_to(np.arange(low, low + len(y))[:, None], y.shape)[inside]
        owner[(y * width + x)[inside][::-1]] = numbers[::-1]
    windows = np.flatnonzero(owner >= 0)
    owner = owner[windows]
    order = np.argsort(owner, kind="stable")
    return windows[order].astype(np.int32), np.searchsorted(owner[order], start)


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
    offsets = window_offsets(width)
    found: list[Ints] = []
    for node in range(len(first)):
        if stopped[0]:
            break
        touched = position[windows[ends[node] : ends[node + 1], None] + offsets].ravel()
        parts = [touched[touched < count]]
        parts += [found[child] for child in _children(node, first)]
        bound = np.unique(np.concatenate(parts))
        found.append(bound[np.searchsorted(bound, start[node + 1]) :])
    stops = np.concatenate(([0], np.cumsum([len(bound) for bound in found])))
    return np.concatenate([*found, np.empty(0, np.int32)]), stops


def factor(
    begin: int,
    end: int,
    nodes: Longs,
    bounds: Ints,
    windows: Ints,
    position: Ints,
    image: Bytes,
    width: int,
    factors: NDArray[np.float32],
    right: Floats,
    stack: Floats,
    work: Floats,
    stopped: Bytes,
) -> int:
    """Eliminate the nodes from ``begin`` to ``end``, whose updates end up on the stack.

    Returns the height of the stack, or -1 when stopped.
    """
    count = nodes[-1, PIXEL]
    offsets = window_offsets(width)
    place = np.empty(count + 2, np.intp)
    updates: dict[int, Floats] = {}
    height = 0
    for child in reversed(_children(begin, nodes[:, FIRST])):
        size = _bound(child, nodes, bounds).size
        updates[child] = np.zeros((size, size + 1))
        for i in range(size):
            updates[child][i, i:] = stack[height : height + size + 1 - i]
            height += size + 1 - i
        updates[child][:, :size] += np.triu(updates[child][:, :size], 1).T
    low = high = 0
    values, where = np.empty(0), np.empty(0, np.int32)
    for node in range(begin, end):
        if stopped[0]:
            return -1
        pixel = nodes[node, PIXEL]
        inner = nodes[node + 1, PIXEL] - pixel
        bound = _bound(node, nodes, bounds)
        size = inner + bound.size
        place[pixel : pixel + inner] = np.arange(inner)
        place[bound] = np.arange(inner, size)
        place[count:] = size + 1, size  # known pixels: of the background, of the foreground
        span = size + 2
        window, after = nodes[node, WINDOW], nodes[node + 1, WINDOW]
        if after > high:
            low, high = window, max(after, min(window + _CHUNK, nodes[end, WINDOW]))
            vectors = window_vectors(image, width, windows[low:high])
            values = np.eye(9) - vectors @ vectors.transpose(0, 2, 1)
            where = position[windows[low:high, None] + offsets]
            where = np.where(where < count, where, where - (BACKGROUND - count))
        local = place[where[window - low : after - low]]
        index = (local[:, :, None] * span + local[:, None, :]).ravel()
        own = values[window - low : after - low].ravel()
        entries = np.bincount(index, own, span * span).astype(np.float64)  # int64 if empty
        front = entries.reshape(span, span)[:size, : size + 1]
        front[:, size] *= -1
        for child in _children(node, nodes[:, FIRST]):
            lower = place[_bound(child, nodes, bounds)]
            front[lower[:, None], np.append(lower, size)] += updates.pop(child)
        if not _eliminate(front, inner, stopped):
            return -1
        factors[nodes[node, FACTOR] : nodes[node + 1, FACTOR]] = front[:inner, :size][
            _upper(inner, size)
        ]
        right[pixel : pixel + inner] = front[:inner, size]
        updates[node] = front[inner:, inner:].copy()
    height = 0
    for update in updates.values():
        for i, row in enumerate(update):
            stack[height : height + len(row) - i] = row[i:]
            height += len(row) - i
    return height


def _eliminate(front: Floats, inner: int, stopped: Bytes) -> bool:
    """Factor the first rows as R of RᵀR, and subtract from the others what they explain.

    Only the upper triangle is right, before and after.
    """
    size, width = front.shape
    for low in range(0, inner, _TILE):
        if stopped[0]:
            return False
        high = min(low + _TILE, inner)
        block = front[low:high, low:high].T
        lower = _lower_factor(block)
        front[low:high, low:high] = lower.T
        for left in range(high, width, 8 * _TILE):
            part = front[low:high, left : left + 8 * _TILE]
            part[:] = np.linalg.solve(lower, part)
        rows = front[low:high].copy()
        for top in range(high, size, _TILE):
            across = rows[:, top : top + _TILE].T
            for left in range(top, width, _TILE):
                tile = front[top : top + _TILE, left : left + _TILE]
                tile -= (across @ rows[:, left : left + _TILE])[: len(tile)]
    return True


def _lower_factor(block: NDArray[Any]) -> NDArray[Any]:
    lift = TINY * np.eye(len(block))
    while True:
        try:
            return np.linalg.cholesky(block)
        except np.linalg.LinAlgError:  # a pivot that should be tiny was rounded below zero
            block = block + lift
            lift *= 10


def _upper(inner: int, size: int) -> NDArray[np.bool_]:
    return np.arange(size) >= np.arange(inner)[:, None]


def substitute(
    begin: int,
    end: int,
    nodes: Longs,
    bounds: Ints,
    factors: NDArray[np.float32],
    right: Floats,
    stopped: Bytes,
) -> None:
    """Replace the right-hand side by the solution, in the nodes from ``end`` to ``begin``."""
    for node in range(end - 1, begin - 1, -1):
        if stopped[0]:
            return
        pixel = nodes[node, PIXEL]
        inner = nodes[node + 1, PIXEL] - pixel
        bound = _bound(node, nodes, bounds)
        rows = np.zeros((inner, inner + bound.size))
        rows[_upper(*rows.shape)] = factors[nodes[node, FACTOR] : nodes[node + 1, FACTOR]]
        known = np.concatenate((right[pixel : pixel + inner], right[bound]))
        for low in range((inner - 1) // _TILE * _TILE, -1, -_TILE):
            high = min(low + _TILE, inner)
            known[low:high] -= np.einsum("ij,j->i", rows[low:high, high:], known[high:])
            known[low:high] = np.linalg.solve(rows[low:high, low:high], known[low:high])
        right[pixel : pixel + inner] = known[:inner]


def _children(node: int, first: Longs) -> list[int]:
    """Return a node's children, the last one first."""
    found: list[int] = []
    child = node - 1
    while child >= first[node]:
        found.append(child)
        child = int(first[child]) - 1
    return found


def _bound(node: int, nodes: Longs, bounds: Ints) -> Ints:
    return bounds[nodes[node, BOUNDARY] : nodes[node + 1, BOUNDARY]]
