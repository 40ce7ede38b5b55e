"""Plans the direct solution of closed-form matting: order, fronts, memory, operations.

The unknown pixels form a band, which two neighbouring rows or columns of it cut in two: a pixel
interacts with others at most two away. Cutting again and again gives a tree of *nodes*: the
leaves are patches of a few dozen pixels, the others the cuts. The pixels' *positions* number
them in the order of elimination, node by node, children before parents, so that

- the pixels of a node have successive positions, its subtree's nodes successive numbers;
- of a node's subtree only the *bound* takes part in the rest of the elimination: the later
  pixels it interacts with. The *front* of a node is the dense matrix of its pixels and bound.

All of this is known before a single number is computed.

References
----------
George: Nested Dissection of a Regular Finite Element Mesh, 1973.
Duff, Reid: The Multifrontal Solution of Indefinite Sparse Symmetric Linear Equations, 1983.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import BACKGROUND, BOUNDARY, FACTOR, FIRST, FOREGROUND, PIXEL, WINDOW

# A task for one thread is at most this share of all operations, unless it is small anyway.
_SHARE = 1 / 24
_SMALL = 1e7


class StoppedError(Exception):
    """Ends work whose result nobody waits for any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Successive nodes for one thread: a subtree, or one of the nodes above the subtrees.

    ``stack`` is the number of float64 that its stack of update matrices needs; ``children``
    are the numbers of the tasks whose updates it takes.
    """

    begin: int
    end: int
    stack: int
    children: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything about a band of N unknown pixels, K windows and T nodes but the numbers.

    Attributes
    ----------
    pixels
        int64 (N,), flat indices into the picture, in the order of elimination.
    position
        int32 (H·W,), of unknown pixels in that order; ``BACKGROUND`` or ``FOREGROUND``.
    windows
        int32 (K,), flat indices of the middle pixels of the windows that touch the band, sorted
        by the node that meets them first.
    bounds
        int32, the nodes' bounds one after the other, each sorted.
    nodes
        int64 (T + 1, 5): where each node begins in ``pixels``, ``bounds``, ``windows`` and in the
        factors, and the first node of its subtree.
    tasks
        All nodes, children before parents.
    front
        Rows of the largest front.
    factors
        Entries of the triangular factor.
    operations
        Multiplications of the factorisation.
    """

    pixels: NDArray[np.int64]
    position: NDArray[np.int32]
    windows: NDArray[np.int32]
    bounds: NDArray[np.int32]
    nodes: NDArray[np.int64]
    tasks: tuple[Task, ...]
    front: int
    factors: int
    operations: float

    def memory(self, threads: int) -> int:
        """Return the bytes that this plan and its factorisation take with a number of threads."""
        count = len(self.pixels)
        arrays = (self.pixels, self.position, self.windows, self.bounds, self.nodes)
        updates = sum(self._update(task.end - 1) for task in self.tasks)
        own = max((task.stack for task in self.tasks), default=0) + self.front * (self.front + 1)
        return (
            sum(array.nbytes for array in arrays)
            + 4 * self.factors
            + 8 * (count + updates)
            + threads * (8 * own + 4 * count)
        )

    def _update(self, node: int) -> int:
        bound = int(self.nodes[node + 1, BOUNDARY] - self.nodes[node, BOUNDARY])
        return bound * (bound + 3) // 2


def plan(trimap: NDArray[np.float32], code: Any, stopped: NDArray[np.uint8]) -> Plan:
    """Order the unknown pixels of a trimap, and find what their elimination takes.

    Parameters
    ----------
    trimap
        float32 (H, W), 0, 0.5 or 1; at least 3 pixels high and wide.
    code
        The functions of :mod:`.compiled`, or :mod:`.elimination`.
    stopped
        uint8 (1,), set by another thread to end the work early.

    Raises
    ------
    StoppedError
        If it was.
    """
    height, width = trimap.shape
    unknown = np.flatnonzero(trimap == 0.5)
    rows, columns = (part.astype(np.int32) for part in np.divmod(unknown, width))
    start, first = code.dissect(rows, columns, code.LEAF, stopped)
    pixels = rows * np.int64(width) + columns
    position = np.where(trimap.ravel() == 1, np.int32(FOREGROUND), np.int32(BACKGROUND))
    position[pixels] = np.arange(len(pixels), dtype=np.int32)
    windows, ends = code.find_windows(rows, columns, height, width, start, stopped)
    bounds, stops = code.find_boundaries(start, first, windows, ends, position, width, stopped)
    if stopped[0]:
        raise StoppedError

    inner, bound = np.diff(start), np.diff(stops)
    size = inner + bound
    nodes = np.zeros((len(start), 5), np.int64)
    nodes[:, PIXEL], nodes[:, BOUNDARY], nodes[:, WINDOW] = start, stops, ends
    nodes[1:, FACTOR] = np.cumsum(inner * size - inner * (inner - 1) // 2)
    nodes[:-1, FIRST] = first
    # Σ k²/2 over the rows k that are left at each pivot
    operations = _squares(size) / 2 - _squares(bound) / 2
    return Plan(
        pixels=pixels,
        position=position,
        windows=windows,
        bounds=bounds,
        nodes=nodes,
        tasks=_tasks(first, bound * (bound + 3) // 2, operations),
        front=int(size.max(initial=0)),
        factors=int(nodes[-1, FACTOR]),
        operations=float(operations.sum()),
    )


def _squares(count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1² + 2² + … + count²."""
    return count * (count + 1.0) * (2 * count + 1) / 6


def _tasks(
    first: NDArray[np.int64], update: NDArray[np.int64], operations: NDArray[np.float64]
) -> tuple[Task, ...]:
    """Divide the tree into subtrees of moderate size, and single nodes above them."""
    count = len(first)
    below = first.tolist()
    parent = np.full(count, count)
    for node in range(count):
        child = node - 1
        while child >= below[node]:
            parent[child] = node
            child = below[child] - 1
    # of the stack after each node, if one thread did everything
    depth = np.cumsum(update - np.bincount(parent, update, count + 1)[:count].astype(np.int64))
    total = np.concatenate(([0.0], np.cumsum(operations)))
    limit = max(total[-1] * _SHARE, _SMALL)
    ranges: list[tuple[int, int]] = []
    node = count - 1
    while node >= 0:  # parents before children, from the last node down
        whole = total[node + 1] - total[below[node]] <= limit
        begin = below[node] if whole else node
        ranges.append((begin, node + 1))
        node = begin - 1
    ranges.reverse()
    number = {end - 1: i for i, (_, end) in enumerate(ranges)}
    tasks: list[Task] = []
    for begin, end in ranges:
        children: list[int] = []
        child = begin - 1
        while child >= below[begin]:
            children.append(child)
            child = below[child] - 1
        given = int(update[children].sum())
        before = int(depth[begin - 1]) - given if begin else 0
        stack = max(given, int(depth[begin:end].max()) - before)
        tasks.append(
            Task(
                begin=begin,
                end=end,
                stack=stack,
                children=tuple(number[child] for child in reversed(children)),
            )
        )
    return tuple(tasks)
