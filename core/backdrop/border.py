"""A first model of the backdrop: a quadratic fitted to the border of the image.

The subject may cover part of the border, so the fit must ignore outliers: the best of many
hypotheses through three samples each says which samples to believe, and reweighted least
squares refine the fit on those.
"""

from __future__ import annotations

import numpy as np

from ..imaging.pyramid import Floats, product
from .polynomial import Polynomial, least_squares, residuals, terms

# Width of the border that is looked at, as a share of the longer side.
_WIDTH = 0.015
# Samples taken from it: at least this many and less than twice as many, if it has them.
_SAMPLES = 1000
# Hypotheses of each kind, flat and linear, and the samples that compare them (less than twice).
_HYPOTHESES, _JURY = 192, 120
# Twice the area, in coordinates of -1..1, that three samples must span for a linear hypothesis.
_SPAN = 0.05
# Distance in levels from which a sample speaks against a hypothesis as much as it can.
_TRUNCATION = 12
# Distance in levels from the best hypothesis at which a sample's first weight reaches 0.
_FIRST_CUTOFF = 24
# Rounds of reweighted least squares, after which nothing changes any more.
_ROUNDS = 6
# Noise in levels before it is measured, and the range of what is measured.
_FIRST_NOISE, _NOISE_RANGE = 8.0, (1, 8)
# Samples up to so many times the noise away tell its size, which is so many times their median.
_INLIERS, _MEDIANS = 2.5, 1.5
# Distance at which a sample's weight reaches 0, as a multiple of the noise.
_CUTOFF = 3

_QUADRATIC = 2


def fit_border(image: Floats, y: Floats, x: Floats) -> tuple[Polynomial, float]:
    """Fit a quadratic to the border of an image.

    Parameters
    ----------
    image
        float32 (3, H, W), 0..255.
    y, x
        float32 (H, 1) and (1, W), see :func:`.polynomial.coordinates`.

    Returns
    -------
    model, noise
        The noise is the typical distance, in levels, of the samples that the model explains.

    References
    ----------
    Truncated costs of hypotheses: Torr, Zisserman: MLESAC, 2000.
    Biweight: Beaton, Tukey: The Fitting of Power Series, 1974.
    """
    height, width = image.shape[1:]
    edge = max(1, round(_WIDTH * max(height, width)))
    ring = np.zeros((height, width), bool)
    ring[:edge] = ring[-edge:] = True
    ring[:, :edge] = ring[:, -edge:] = True
    at = np.flatnonzero(ring)
    rows, columns = np.divmod(at[:: max(1, len(at) // _SAMPLES)], width)
    samples, ys, xs = image[:, rows, columns].T, y[rows, 0], x[0, columns]
    basis = terms(ys, xs, _QUADRATIC)
    noise = _FIRST_NOISE
    weights = _first_weights(samples, terms(ys, xs, 1))
    model = least_squares(basis, samples, weights)
    for remaining in reversed(range(_ROUNDS)):
        off = residuals(basis, samples, model)
        inside = off < _INLIERS * noise
        if inside.any():
            noise = float(np.clip(_MEDIANS * np.median(off[inside]), *_NOISE_RANGE))
        if remaining:
            model = least_squares(basis, samples, _biweight(off, _CUTOFF * noise))
    return Polynomial(model, _QUADRATIC), noise


def _first_weights(samples: Floats, basis: Floats) -> Floats:
    """Weigh samples by their distance from the flat or linear model that most agree with.

    ``samples`` is (N, 3), ``basis`` (N, 3): 1, x, y.
    """
    picks = np.random.default_rng(0).integers(0, len(samples), (_HYPOTHESES, 3))
    flat = np.zeros((_HYPOTHESES, 3, 3), np.float32)
    flat[:, 0] = samples[picks[:, 0]]
    corners = basis[picks]
    apart = np.abs(np.linalg.det(corners)) > _SPAN
    linear = np.linalg.solve(corners[apart], samples[picks[apart]])
    models = np.concatenate([flat, linear])
    jury = np.s_[:: max(1, len(samples) // _JURY)]
    # (3, hypotheses, jury); written out, because BLAS would wake its threads
    constant, in_x, in_y = (models[:, term].T[..., None] for term in range(3))
    off = constant - samples[jury].T[:, None]
    off += in_x * basis[jury, 1]
    off += in_y * basis[jury, 2]
    cost = np.minimum(product(off, off), _TRUNCATION**2).sum(1)
    return _biweight(residuals(basis, samples, models[cost.argmin()]), _FIRST_CUTOFF)


def _biweight(distance: Floats, cutoff: float) -> Floats:
    """Return Tukey's weights: 1 at distance 0, falling smoothly to 0 at ``cutoff``."""
    return np.clip(1 - (distance / cutoff) ** 2, 0, 1) ** 2
