"""The part of the solver that exists twice, in numpy and compiled: five functions.

:mod:`.numpy_backend` is one implementation, :class:`.numba_backend.NumbaBackend` the other, and
:func:`.choice.fastest` picks one. All functions write into arrays they are given or return new
ones; none keeps anything between calls. Each returns early when another thread sets
``stopped[0]``, and what it leaves behind is void then.

T is the number of nodes, N of unknown pixels, K of windows; the words are explained in the
README.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Singles = NDArray[np.float32]
Floats = NDArray[np.float64]


class Backend(Protocol):
    """Symbolic and numeric factorisation of the matting Laplacian, and back substitution.

    Attributes
    ----------
    LEAF
        Patches of at most so many pixels are not dissected further.
    """

    LEAF: int

    def nested_dissection(
        self, rows: Ints, columns: Ints, leaf: int, stopped: Bytes
    ) -> tuple[Longs, Longs]:
        """Find an elimination order for the unknown pixels, by nested dissection.

        Parameters
        ----------
        rows, columns
            int32 (N,), where the unknown pixels lie; sorted in place into elimination order.
        leaf
            Usually ``LEAF``.
        stopped
            uint8 (1,).

        Returns
        -------
        pixel_start
            int64 (T + 1,): node t is made of the pixels from ``pixel_start[t]`` to
            ``pixel_start[t + 1]``.
        first
            int64 (T,): the first descendant of each node, itself if it is a leaf. A node's
            subtree is made of the nodes from there up to itself.
        """
        ...

    def find_windows(
        self, rows: Ints, columns: Ints, height: int, width: int, pixel_start: Longs, stopped: Bytes
    ) -> tuple[Ints, Longs]:
        """List the windows that touch unknown pixels, each with the node that assembles it.

        That is the first node to eliminate one of its pixels.

        Parameters
        ----------
        rows, columns
            int32 (N,), in elimination order.
        height, width
            Of the picture, ≥ 3.
        pixel_start
            From :meth:`nested_dissection`.
        stopped
            uint8 (1,).

        Returns
        -------
        windows
            int32 (K,), flat indices of the windows' middle pixels; node by node, in any order
            within a node.
        window_start
            int64 (T + 1,), where each node begins in ``windows``.
        """
        ...

    def find_borders(
        self,
        pixel_start: Longs,
        first: Longs,
        windows: Ints,
        window_start: Longs,
        position: Ints,
        width: int,
        stopped: Bytes,
    ) -> tuple[Ints, Longs]:
        """List each node's border: the later pixels that its subtree interacts with.

        Parameters
        ----------
        pixel_start, first, windows, window_start
            From the two functions above.
        position
            int32 (H·W,), see :class:`.symbolic.SymbolicFactor`.
        width
            Of the picture.
        stopped
            uint8 (1,).

        Returns
        -------
        borders
            int32, positions, node by node, ascending within a node.
        border_start
            int64 (T + 1,), where each node begins in ``borders``.
        """
        ...

    def factorise(
        self,
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
        """Eliminate the nodes from ``begin`` to ``end``.

        Parameters
        ----------
        begin, end
            The nodes of one :class:`.tree.Task`.
        nodes, borders, windows, position
            Of the :class:`.symbolic.SymbolicFactor`.
        image
            uint8 (H·W, 3), sRGB, contiguous.
        width
            Of the picture.
        factor
            float32, all rows of R; those of these nodes are written.
        rhs
            float64 (N,); the entries of these nodes become ``R⁻ᵀ b``.
        stack
            float64. Before: the update matrices of ``begin``'s children, one after the other,
            the first child's first. Afterwards: those of the nodes from ``begin`` to ``end``
            whose parents come later. Each is stored as the rows of its upper triangle, which
            end with the right-hand side.
        workspace
            float64, room for the largest front and its right-hand side.
        stopped
            uint8 (1,).

        Returns
        -------
        int
            How many entries of ``stack`` are used; -1 if stopped.
        """
        ...

    def back_substitute(
        self,
        begin: int,
        end: int,
        nodes: Longs,
        borders: Ints,
        factor: Singles,
        rhs: Floats,
        stopped: Bytes,
    ) -> None:
        """Solve ``R x = R⁻ᵀ b`` for the nodes from ``end`` back to ``begin``.

        Parameters
        ----------
        begin, end, nodes, borders, factor
            As for :meth:`factorise`.
        rhs
            float64 (N,); ``R⁻ᵀ b`` of these nodes becomes x, alpha. Their borders' must be x
            already.
        stopped
            uint8 (1,).
        """
        ...
