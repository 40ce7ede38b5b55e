"""The soft edge of a subject before a known backdrop, at working size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backdrop_field import Field, average, dilate, double, fill, product, strongest

Floats = NDArray[np.float32]

# Pixels looked at on either side of the backdrop's boundary.
_INSIDE, _OUTSIDE = 20, 5
# Spread of the foreground's colour around its estimate, and the misfit, in levels, at
# which the colour of a pixel says nothing about its alpha any more.
_SPREAD, _MISFIT = 30.0, 4.0
# How many measurements the shape of the edge counts for.
_TRUST = 1.0
_ROUNDS, _STEPS = 3, 2
# Width of a soft edge before it is measured, and the measured range, in working pixels.
_FIRST_WIDTH, _WIDTHS = 6.0, (1.5, 14.0)
# From this many widths inside the boundary on, the subject is opaque.
OPAQUE_DEPTH = 1.5


@dataclass(frozen=True)
class Edge:
    """What is needed to solve alpha at any resolution.

    Attributes
    ----------
    foreground
        float32 (3, H, W), 0..255: a smooth estimate of the subject's colour.
    depth
        float32 (H, W): 0 where alpha starts, 1 where it ends at 1, by position alone.
    """

    foreground: Floats
    depth: Floats


def expected_alpha(depth: Floats) -> tuple[Floats, Floats]:
    """Return alpha by position alone and its weight against what the colour says."""
    t = np.clip(depth, 0, 1)
    return t * t * (3 - 2 * t), _TRUST * (1 + 10 * np.clip(depth - 1, 0, 2))


def alpha_from_colours(
    difference: Floats, contrast: Floats, depth: Floats, limit: float
) -> tuple[Floats, Floats]:
    """Solve I = αF + (1−α)B for α with B known and F roughly known.

    Parameters
    ----------
    difference
        float32 (3, ...): I − B.
    contrast
        float32 (3, ...): F − B.
    depth
        float32 (...), see :class:`Edge`.
    limit
        Deviation in levels below which a pixel is not told from backdrop.

    Returns
    -------
    alpha
        float32 (...), 0..1.
    measured
        float32 (...): α by colour alone.
    """
    power = product(contrast, contrast)
    dot = product(difference, contrast)
    measured = np.clip(dot / np.maximum(power, 1), 0, 1)
    total = product(difference, difference)
    # |d − αD|², written out
    misfit = np.maximum(total - measured * (2 * dot - measured * power), 0)
    weight = power / _SPREAD**2 / (1 + misfit / _MISFIT**2)
    weight *= np.minimum(total / limit**2, 1)
    expected, trust = expected_alpha(depth)
    alpha = (weight * measured + trust * expected) / (weight + trust)
    alpha[depth >= OPAQUE_DEPTH] = 1
    alpha[depth <= 0] = np.where(weight > 1, alpha, 0)[depth <= 0]
    return alpha, measured


def solve_edge(small: Floats, field: Field, width: float | None = None) -> Edge:
    """Estimate the subject's colours along its edge, and where the edge starts and ends.

    Parameters
    ----------
    small
        float32 (3, H, W), 0..255.
    width
        Of the soft edge in working pixels; None measures it.
    """
    difference = small - field.colours
    position = _signed_distance(field.is_background)
    outside = position < 0.5 - _OUTSIDE
    # the purest colours nearby differ most from the backdrop
    pure = field.deviation / np.maximum(strongest(field.deviation), 1)
    measure, w = width is None, width or _FIRST_WIDTH
    start = np.float32(0.1)
    foreground = small
    depth = (position / w).astype(np.float32)
    alpha = expected_alpha(depth)[0]
    for turn in range(_ROUNDS if measure else 1):
        for _ in range(_STEPS):
            unmixed = field.colours + difference / np.maximum(alpha, np.float32(0.05))
            foreground = _smooth(
                np.clip(unmixed, 0, 255), alpha**2 * expected_alpha(depth)[0] ** 2 * pure
            )
            contrast = foreground - field.colours
            strength = np.sqrt(product(contrast, contrast))
            # the boundary was found where alpha passed limit / strength
            start = np.clip(0.6 * field.limits / np.maximum(strength, 1), 0.02, 0.5)
            depth = position / w + 0.5 - np.sin(np.arcsin(1 - 2 * start) / 3)
            depth[outside] = -1
            alpha, measured = alpha_from_colours(difference, contrast, depth, 1.0)
            alpha[outside] = 0
        if measure and turn < _ROUNDS - 1:
            w = _measure_width(position, strength, measured)
    return Edge(foreground, depth.astype(np.float32))


def _signed_distance(background: NDArray[np.bool_]) -> Floats:
    """Distance from the backdrop's boundary, positive inside the subject, roughly round."""
    distance = np.zeros(background.shape, np.float32)
    for region, steps, sign in ((background, _INSIDE, 1), (~background, _OUTSIDE, -1)):
        for step in range(steps):
            if region.all():
                break
            distance += sign * ~region
            region = dilate(region) if step % 2 else _cross(region)
    return distance - np.float32(0.5) * np.sign(distance)


def _cross(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return wide


def _smooth(colours: Floats, weight: Floats) -> Floats:
    """Average colours by weight over 2×2 and fill from coarser averages."""
    height, width = weight.shape
    share = average(weight, 2)
    mean = average(colours * weight, 2) / np.maximum(share, np.float32(1e-6))
    return double(fill(mean, share))[:, :height, :width]


def _measure_width(position: Floats, strength: Floats, measured: Floats) -> float:
    """Measure how far into the subject alpha rises, where colours tell it best."""
    near = (position > 0) & (position < 3)
    if not near.any():
        return _FIRST_WIDTH
    clear = (strength > max(30.0, float(np.median(strength[near])))) & (position > 0)
    at = position[clear].astype(np.intp)
    count = np.bincount(at, minlength=_INSIDE)[:14]
    total = np.bincount(at, measured[clear], minlength=_INSIDE)[:14]
    profile = np.where(count > 20, total / np.maximum(count, 1), 1)
    level = max(float(np.median(profile[6:])), 0.5)
    return float(np.clip(2 * np.clip(1 - profile / level, 0, 1).sum(), *_WIDTHS))
