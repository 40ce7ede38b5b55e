"""The matting Laplacian of closed-form matting, window by window.

Each 3×3 window k adds ``L_k = I − V Vᵀ`` to the rows and columns of its nine pixels, where
``V = [W, 1/3]`` and ``W = C G⁻ᵀ`` are the centred colours C (9, 3) whitened by the Cholesky
factor G of ``CᵀC + ε I = G Gᵀ``. Nothing is inverted, so ``L_k`` has no eigenvalue below zero,
not even in windows whose colours lie on one line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import Bytes, Floats
from .loops_numeric import SCALED_EPSILON


def window_vectors(image: Bytes, width: int, centres: NDArray[np.integer[Any]]) -> Floats:
    """Return V of K windows, so that each adds ``I − V Vᵀ`` to the matting Laplacian.

    Parameters
    ----------
    image
        uint8 (H·W, 3), sRGB, of a picture ``width`` wide.
    centres
        Flat indices of the K windows' middle pixels; none on the rim of the picture.

    Returns
    -------
    ndarray
        float64 (K, 9, 4); pixels in reading order.

    References
    ----------
    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, 2008.
    """
    pixels = centres[:, None] + window_offsets(width)
    levels = image[pixels].astype(np.float64)
    levels *= 9
    r, g, b = np.moveaxis(levels - levels.mean(axis=1, keepdims=True).round(), 2, 0)
    vectors = np.empty((len(centres), 9, 4))
    u, v, w = vectors[..., 0], vectors[..., 1], vectors[..., 2]

    def dot(a: Floats, b: Floats) -> Floats:
        return np.einsum("kp,kp->k", a, b)[:, None]

    # G row by row; each column of W as soon as its row of G is known
    g00 = np.sqrt(dot(r, r) + SCALED_EPSILON)
    g10, g20 = dot(g, r) / g00, dot(b, r) / g00
    g11 = np.sqrt(dot(g, g) + SCALED_EPSILON - g10 * g10)
    g21 = (dot(b, g) - g20 * g10) / g11
    g22 = np.sqrt(dot(b, b) + SCALED_EPSILON - g20 * g20 - g21 * g21)
    np.divide(r, g00, out=u)
    np.divide(g - g10 * u, g11, out=v)
    np.divide(b - g20 * u - g21 * v, g22, out=w)
    vectors[..., 3] = 1 / 3
    return vectors


def window_offsets(width: int) -> NDArray[np.intp]:
    """Return the flat offsets of a window's nine pixels from its middle, in reading order."""
    return (np.arange(-1, 2)[:, None] * width + np.arange(-1, 2)).ravel()
