"""The solver's inner loops in numpy, for as long as there is no compiled code.

The module is itself a :class:`.backend.Backend`, where its functions are documented.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import Bytes, Floats, Ints, Longs, Singles
from .laplacian import window_offsets, window_vectors
from .loops_numeric import BACKGROUND, BORDER, FACTOR, FIRST, PIXEL, TINY, WINDOW
from .loops_symbolic import nested_dissection
from .tree import children

__all__ = [
    "LEAF",
    "back_substitute",
    "factorise",
    "find_borders",
    "find_windows",
    "nested_dissection",
]

# numpy costs by the call, so that larger patches are faster.
LEAF: int = 96
# windows whose matrices are held at a time
_CHUNK = 4096
# Products of matrices up to this size OpenBLAS computes without threads of its own. These cost
# more than they bring, and stand still where other work, like a compiler, holds the cores.
_TILE = 64


def find_windows(
    rows: Ints, columns: Ints, height: int, width: int, pixel_start: Longs, stopped: Bytes
) -> tuple[Ints, Longs]:
    """See :meth:`.backend.Backend.find_windows`."""
    owner = np.full(height * width, -1, np.int32)  # a window's first pixel to be eliminated
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
    return windows[order].astype(np.int32), np.searchsorted(owner[order], pixel_start)


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
    offsets = window_offsets(width)
    found: list[Ints] = []
    for node in range(len(first)):
        if stopped[0]:
            break
        own = windows[window_start[node] : window_start[node + 1], None]
        touched = position[own + offsets].ravel()
        parts = [touched[touched < count]]
        parts += [found[child] for child in children(node, first)]
        border = np.unique(np.concatenate(parts))
        found.append(border[np.searchsorted(border, pixel_start[node + 1]) :])
    border_start = np.concatenate(([0], np.cumsum([len(border) for border in found])))
    return np.concatenate([*found, np.empty(0, np.int32)]), border_start


def factorise(
    begin: int,
    end: int,
    nodes: Longs,
    borders: Ints,
    windows: Ints,
    position: Ints,
    image: Bytes,
    width: int,
    factor: Singles,
    rhs: Floats,
    stack: Floats,
    workspace: Floats,
    stopped: Bytes,
) -> int:
    """See :meth:`.backend.Backend.factorise`; ``workspace`` is not used."""
    count = nodes[-1, PIXEL]
    offsets = window_offsets(width)
    first = nodes[:, FIRST]
    local = np.empty(count + 2, np.intp)  # row in the current front of each position
    updates: dict[int, Floats] = {}
    height = 0
    for child in reversed(children(begin, first)):
        size = _border(child, nodes, borders).size
        update = updates[child] = np.zeros((size, size + 1))
        for i in range(size):
            update[i, i:] = stack[height : height + size + 1 - i]
            height += size + 1 - i
        update[:, :size] += np.triu(update[:, :size], 1).T
    low = high = 0
    values, positions = np.empty(0), np.empty(0, np.int32)
    for node in range(begin, end):
        if stopped[0]:
            return -1
        pixel = nodes[node, PIXEL]
        pivots = nodes[node + 1, PIXEL] - pixel
        border = _border(node, nodes, borders)
        size = pivots + border.size
        local[pixel : pixel + pivots] = np.arange(pivots)
        local[border] = np.arange(pivots, size)
        local[count:] = size + 1, size  # known pixels: of the background, of the foreground
        span = size + 2
        window, after = nodes[node, WINDOW], nodes[node + 1, WINDOW]
        if after > high:
            low, high = window, max(after, min(window + _CHUNK, nodes[end, WINDOW]))
            vectors = window_vectors(image, width, windows[low:high])
            values = np.eye(9) - vectors @ vectors.transpose(0, 2, 1)
            positions = position[windows[low:high, None] + offsets]
            positions = np.where(positions < count, positions, positions - (BACKGROUND - count))
        relative = local[positions[window - low : after - low]]
        index = (relative[:, :, None] * span + relative[:, None, :]).ravel()
        own = values[window - low : after - low].ravel()
        entries = np.bincount(index, own, span * span).astype(np.float64)  # int64 if empty
        front = entries.reshape(span, span)[:size, : size + 1]
        front[:, size] *= -1
        for child in children(node, first):
            relative = local[_border(child, nodes, borders)]
            front[relative[:, None], np.append(relative, size)] += updates.pop(child)
        if not _eliminate_pivots(front, pivots, stopped):
            return -1
        rows = front[:pivots, :size][_upper(pivots, size)]
        factor[nodes[node, FACTOR] : nodes[node + 1, FACTOR]] = rows
        rhs[pixel : pixel + pivots] = front[:pivots, size]
        updates[node] = front[pivots:, pivots:].copy()
    height = 0
    for update in updates.values():
        for i, row in enumerate(update):
            stack[height : height + len(row) - i] = row[i:]
            height += len(row) - i
    return height


def _eliminate_pivots(front: Floats, pivots: int, stopped: Bytes) -> bool:
    """Replace a front's first ``pivots`` rows by those of R, the others by the update matrix.

    Only the upper triangle is right, before and after. Returns False if stopped.
    """
    size, width = front.shape
    for low in range(0, pivots, _TILE):
        if stopped[0]:
            return False
        high = min(low + _TILE, pivots)
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


def _lower_factor(block: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the Cholesky factor of a symmetric block, of which the lower triangle is read."""
    lift = TINY * np.eye(len(block))
    while True:
        try:
            return np.linalg.cholesky(block)
        except np.linalg.LinAlgError:  # a pivot that should be tiny was rounded below zero
            block = block + lift
            lift *= 10


def back_substitute(
    begin: int,
    end: int,
    nodes: Longs,
    borders: Ints,
    factor: Singles,
    rhs: Floats,
    stopped: Bytes,
) -> None:
    """See :meth:`.backend.Backend.back_substitute`."""
    for node in range(end - 1, begin - 1, -1):
        if stopped[0]:
            return
        pixel = nodes[node, PIXEL]
        pivots = nodes[node + 1, PIXEL] - pixel
        border = _border(node, nodes, borders)
        rows = np.zeros((pivots, pivots + border.size))
        rows[_upper(*rows.shape)] = factor[nodes[node, FACTOR] : nodes[node + 1, FACTOR]]
        known = np.concatenate((rhs[pixel : pixel + pivots], rhs[border]))
        for low in range((pivots - 1) // _TILE * _TILE, -1, -_TILE):
            high = min(low + _TILE, pivots)
            known[low:high] -= np.einsum("ij,j->i", rows[low:high, high:], known[high:])
            known[low:high] = np.linalg.solve(rows[low:high, low:high], known[low:high])
        rhs[pixel : pixel + pivots] = known[:pivots]


def _upper(pivots: int, size: int) -> NDArray[np.bool_]:
    """Return which entries of a front's first rows belong to R."""
    return np.arange(size) >= np.arange(pivots)[:, None]


def _border(node: int, nodes: Longs, borders: Ints) -> Ints:
    return borders[nodes[node, BORDER] : nodes[node + 1, BORDER]]
