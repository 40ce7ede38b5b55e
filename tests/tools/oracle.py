"""Closed-form matting as its paper has it: slow, and exact beyond doubt."""

from __future__ import annotations

import numpy as np


def oracle(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Solve for alpha with a dense matrix of whitened windows, all in long double.

    Parameters
    ----------
    image
        uint8 (H, W, 3); some hundred pixels take a second.
    trimap
        float32 (H, W): 0, 0.5 or 1.

    Returns
    -------
    ndarray
        float64 (H, W), 0..1.
    """
    real = np.longdouble
    height, width = trimap.shape
    is_unknown = trimap.ravel() == 0.5
    number = np.cumsum(is_unknown) - 1
    count = is_unknown.sum()
    matrix, right = np.zeros((count, count), real), np.zeros(count, real)
    pixels = np.arange(height * width).reshape(height, width)
    colours = image.reshape(-1, 3).astype(real) / 255
    known = trimap.ravel().astype(real)
    for y in range(height - 2):
        for x in range(width - 2):
            window = pixels[y : y + 3, x : x + 3].ravel()
            inside = is_unknown[window]
            if not inside.any():
                continue
            centred = colours[window] - colours[window].mean(axis=0)
            white = _forward(_lower(centred.T @ centred + real(1e-7) * np.eye(3)), centred.T)
            part = np.eye(9) - real(1) / 9 - white.T @ white
            own = number[window[inside]]
            matrix[np.ix_(own, own)] += part[np.ix_(inside, inside)]
            right[own] -= part[np.ix_(inside, ~inside)] @ known[window[~inside]]
    lower = _lower(matrix)
    solution = _forward(lower[::-1, ::-1].T, _forward(lower, right)[::-1])[::-1]
    alpha = trimap.astype(np.float64).ravel()
    alpha[is_unknown] = np.clip(solution, 0, 1)
    return alpha.reshape(trimap.shape)


def _lower(matrix: np.ndarray) -> np.ndarray:
    lower = matrix.copy()
    for k in range(len(lower)):
        lower[k:, k] /= np.sqrt(lower[k, k])
        rest = np.flatnonzero(lower[k + 1 :, k]) + k + 1
        lower[np.ix_(rest, rest)] -= np.outer(lower[rest, k], lower[rest, k])
    return np.tril(lower)


def _forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    solution = right.copy()
    for k in range(len(lower)):
        solution[k] = (solution[k] - lower[k, :k] @ solution[:k]) / lower[k, k]
    return solution
