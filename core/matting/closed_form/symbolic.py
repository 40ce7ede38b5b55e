"""Symbolic factorisation: the elimination order, the tree of nodes and their fronts.

Two neighbouring rows or columns of unknown pixels separate those before from those behind,
because a pixel interacts with others at most two away. Separating again and again (nested
dissection) gives a tree of *nodes*: its leaves are patches of a few dozen pixels, the others
are the separators. The *position* of a pixel is its place in the elimination order, which goes
through the tree node by node, children before parents.

Of a node's subtree only the *border* takes part in the rest of the elimination: the later
pixels it interacts with. The *front* of a node is the dense matrix of its own pixels and its
border.

References
----------
George: Nested Dissection of a Regular Finite Element Mesh, 1973.
Duff, Reid: The Multifrontal Solution of Indefinite Sparse Symmetric Linear Equations, 1983.
Liu: The Multifrontal Method for Sparse Matrix Solution: Theory and Practice, 1992.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .backend import Backend, Bytes, Floats, Ints, Longs, Singles
from .cancel import StoppedError
from .loops_numeric import BACKGROUND, BORDER, FACTOR, FIRST, FOREGROUND, PIXEL, WINDOW
from .tree import Task, divide_into_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolicFactor:
    """All about the factor of N unknown pixels, K windows and T nodes, except its numbers.

    Attributes
    ----------
    pixels
        int64 (N,), flat indices into the picture, in elimination order.
    position
        int32 (H·W,), place of each unknown pixel in that order; ``BACKGROUND`` or
        ``FOREGROUND`` for the known ones, which lie above all others.
    windows
        int32 (K,), flat indices of the middle pixels of the windows that touch unknown pixels,
        sorted by the node that assembles them.
    borders
        int32, positions, the nodes' borders one after the other, each ascending.
    nodes
        int64 (T + 1, 5): where each node begins in ``pixels``, ``borders``, ``windows`` and in
        the factor, and its first descendant. The columns are called ``PIXEL``, ``BORDER``,
        ``WINDOW``, ``FACTOR`` and ``FIRST``.
    tasks
        All nodes, children before parents.
    largest_front
        Rows of it.
    factor_size
        Entries of the triangular factor R.
    operations
        Multiplications of the numeric factorisation.
    """

    pixels: Longs
    position: Ints
    windows: Ints
    borders: Ints
    nodes: Longs
    tasks: tuple[Task, ...]
    largest_front: int
    factor_size: int
    operations: float


def analyse(trimap: Singles, backend: Backend, stopped: Bytes) -> SymbolicFactor:
    """Factorise symbolically: order the unknown pixels, and find what eliminating them takes.

    Parameters
    ----------
    trimap
        float32 (H, W), 0, 0.5 or 1; at least 3 pixels high and wide.
    backend
        Any; all give the same but for the order of the windows of one node.
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
    pixel_start, first = backend.nested_dissection(rows, columns, backend.LEAF, stopped)
    pixels = rows * np.int64(width) + columns
    position = np.where(trimap.ravel() == 1, np.int32(FOREGROUND), np.int32(BACKGROUND))
    position[pixels] = np.arange(len(pixels), dtype=np.int32)
    windows, window_start = backend.find_windows(rows, columns, height, width, pixel_start, stopped)
    borders, border_start = backend.find_borders(
        pixel_start, first, windows, window_start, position, width, stopped
    )
    if stopped[0]:
        raise StoppedError

    pivots, border = np.diff(pixel_start), np.diff(border_start)
    front = pivots + border
    nodes = np.zeros((len(pixel_start), 5), np.int64)
    nodes[:, PIXEL], nodes[:, BORDER], nodes[:, WINDOW] = pixel_start, border_start, window_start
    nodes[1:, FACTOR] = np.cumsum(pivots * front - pivots * (pivots - 1) // 2)
    nodes[:-1, FIRST] = first
    # Σ k²/2 over the rows k that are left at each pivot
    operations = _sum_of_squares(front) / 2 - _sum_of_squares(border) / 2
    return SymbolicFactor(
        pixels=pixels,
        position=position,
        windows=windows,
        borders=borders,
        nodes=nodes,
        tasks=divide_into_tasks(first, border * (border + 3) // 2, operations),
        largest_front=int(front.max(initial=0)),
        factor_size=int(nodes[-1, FACTOR]),
        operations=float(operations.sum()),
    )


def _sum_of_squares(count: Longs) -> Floats:
    """Return 1² + 2² + … + count²."""
    return count * (count + 1.0) * (2 * count + 1) / 6
