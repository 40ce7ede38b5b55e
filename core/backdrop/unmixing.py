"""Solves I = αF + (1−α)B for a pixel whose background colour B is known."""

from __future__ import annotations

import numpy as np

from ..imaging.pyramid import Floats, product

# Standard deviation of the subject's colour around its smooth estimate F̂, in levels: for the
# weight of alpha by colour, and for unmixing F.
_ALPHA_SPREAD, _COLOUR_SPREAD = 30.0, 25.0
# Distance in levels between a pixel and the line from B to F̂ that halves the weight of its colour.
_MISFIT = 4.0
# Noise of an image beyond that of its backdrop, in levels, and the share of the latter that
# reaches the colours of soft edges.
_OWN_NOISE, _NOISE_SHARE = 0.3, 0.5
# For the lowest possible alpha: deviation that noise explains, as a multiple of the noise, the
# least noise, and the least distance from B to white or black, in levels.
_NOISE_REACH, _LEAST_NOISE, _LEAST_RANGE = 3, 1, 8


def alpha_from_colours(
    difference: Floats, contrast: Floats, expected: Floats, trust: Floats, limit: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Combine alpha by colour with an expected alpha, weighted by how much each one says.

    Alpha by colour is the projection of I − B on F̂ − B. It counts for
    |F̂−B|² / σ² / (1 + misfit²/m²) measurements: much where the two colours differ, little where
    the pixel lies far from the line between them.

    Parameters
    ----------
    difference
        float32 (3, ...): I − B.
    contrast
        float32 (3, ...): F̂ − B, where F̂ is an estimate of F.
    expected, trust
        float32 (...): alpha by other means, and how many measurements it counts for.
    limit
        Deviation in levels that noise explains, > 0. Alpha by colour is reduced below it.

    Returns
    -------
    alpha
        float32 (...), 0..1.
    measured
        float32 (...): alpha by colour alone.
    weight
        float32 (...): how many measurements ``measured`` counts for.
    """
    power = product(contrast, contrast)
    dot = product(difference, contrast)
    measured: Floats = np.clip(np.divide(dot, np.maximum(power, 1)), 0, 1)
    total = product(difference, difference)
    # |difference − measured · contrast|², expanded
    misfit: Floats = np.maximum(total - measured * (2 * dot - measured * power), 0)
    total /= limit**2
    measured *= np.minimum(total, 1, out=total)
    misfit /= _MISFIT**2
    misfit += 1
    weight = power / np.float32(_ALPHA_SPREAD**2)
    weight /= misfit
    alpha = weight * measured
    alpha += trust * expected
    alpha /= weight + trust
    return alpha, measured, weight


def least_alpha(
    difference: Floats, background: Floats, noise: float, overshoot: Floats | float = 0
) -> Floats:
    """Return the lowest alpha for which F lies in 0..255.

    Parameters
    ----------
    difference
        float32 (3, ...): I − B.
    background
        float32 (3, ...): B, 0..255.
    noise
        Of the backdrop, in levels.
    overshoot
        Levels by which a pixel may be off beside an edge, (...) or the same for all.
    """
    unsure = np.maximum(overshoot, _NOISE_REACH * max(noise, _LEAST_NOISE)).astype(np.float32)
    # F can be no brighter than white, and no darker than black
    least = (difference - unsure) / np.maximum(255 - background, _LEAST_RANGE)
    darker = (-difference - unsure) / np.maximum(background, _LEAST_RANGE)
    np.maximum(least, darker, out=least)
    return np.clip(np.maximum(np.maximum(least[0], least[1]), least[2]), 0, 1)


def unmix(
    difference: Floats, contrast: Floats, foreground: Floats, alpha: Floats, noise: float
) -> Floats:
    """Return F (3, N), not clipped, for a given alpha; overwrites ``contrast``.

    F = F̂ + g (I − αF̂ − (1−α)B) with the gain g = α / (α² + σI²/σF²): exact without noise, and
    near F̂ where alpha is so small that noise would be blown up.

    Parameters
    ----------
    difference, contrast, foreground
        float32 (3, N): I − B, F̂ − B, and F̂.
    alpha
        float32 (N,), 0..1.
    noise
        Of the backdrop, in levels.
    """
    gain = alpha / (alpha * alpha + ((_OWN_NOISE + noise * _NOISE_SHARE) / _COLOUR_SPREAD) ** 2)
    contrast *= -alpha
    contrast += difference
    contrast *= gain
    contrast += foreground
    return contrast
