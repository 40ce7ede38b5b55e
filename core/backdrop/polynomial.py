"""Colours that change over an image as a polynomial of the position, fitted by least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.pyramid import Floats

# Ridge of the normal equations, as a share of the sum of weights: keeps them solvable where the
# samples lie on a line, and is far too small to be seen in the colours.
_RIDGE = 1e-4


@dataclass(frozen=True)
class Polynomial:
    """Three polynomials in x and y, one for each channel.

    Attributes
    ----------
    coefficients
        float32 (terms, 3), in the order of :func:`terms`.
    order
        The highest power of x and y together.
    """

    coefficients: Floats
    order: int

    def on_grid(self, y: Floats, x: Floats) -> Floats:
        """Evaluate on the grid of y (H, 1) and x (1, W): (3, H, W)."""
        in_x = np.zeros((self.order + 1, 3, 1, x.shape[1]), np.float32)
        for row, (i, j) in zip(self.coefficients, _powers(self.order), strict=True):
            in_x[j] += row[:, None, None] * x**i
        # Horner's rule in y; for such small matrix products BLAS would wake its threads
        total = in_x[self.order]
        for j in reversed(range(self.order)):
            total = total * y
            total += in_x[j]
        return total


def coordinates(size_hw: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return y (H, 1) and x (1, W) of an image's pixels: -1..1 from edge to edge."""
    height, width = size_hw
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) * (2 / height) - 1
    x = (np.arange(width, dtype=np.float32)[None] + 0.5) * (2 / width) - 1
    return y.astype(np.float32), x.astype(np.float32)


def terms(y: Floats, x: Floats, order: int) -> Floats:
    """Return 1, x, y, x², xy, y², … up to ``order``: float32 (..., terms)."""
    in_x, in_y = ([values**i for i in range(order + 1)] for values in (x, y))
    return np.stack([in_x[i] * in_y[j] for i, j in _powers(order)], axis=-1)


def _powers(order: int) -> list[tuple[int, int]]:
    """Return the powers of (x, y) of each term, lowest first."""
    return [(total - j, j) for total in range(order + 1) for j in range(total + 1)]


def least_squares(basis: Floats, values: Floats, weights: Floats) -> Floats:
    """Return the coefficients (terms, 3) that fit ``basis`` (N, terms) to ``values`` (N, 3)."""
    weighted = basis * weights[:, None]
    normal = (weighted.T @ basis).astype(np.float64)
    normal += np.eye(len(normal)) * (_RIDGE * max(float(weights.sum()), 1.0))
    return np.linalg.solve(normal, weighted.T @ values).astype(np.float32)


def residuals(basis: Floats, values: Floats, coefficients: Floats) -> NDArray[np.float32]:
    """Return the distances (N,) between ``values`` and what the coefficients predict."""
    return np.linalg.norm(values - basis @ coefficients, axis=1)
