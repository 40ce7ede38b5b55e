"""The soft edge of a subject before a known backdrop, at working size."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.levels import VISIBLE
from ..imaging.morphology import dilate, erode, over_cross
from ..imaging.pyramid import average, double, fill, product, strongest
from ..matting.closed_form.estimate import BudgetError, estimate_alpha_closed_form
from ..matting.local_linear import SOLVED_EPSILON, SOLVED_RADIUS, fit_coefficients
from .field import Field, noise_limit

Floats = NDArray[np.float32]

_log = logging.getLogger("rembg_sessions")

# Pixels looked at on either side of the backdrop's boundary.
_INSIDE, _OUTSIDE = 20, 5
# Spread of the foreground's colour around its estimate, and the misfit, in levels, at
# which the colour of a pixel says nothing about its alpha any more.
_SPREAD, _MISFIT = 30.0, 4.0
# How many measurements the shape of the edge counts for, and how much more for every width
# beyond its end; the same for the shape and closed-form matting together.
_TRUST, _DEEPER = 1.0, 10.0
_TRUST_SOLVED, _DEEPER_SOLVED = 2.0, 30.0
# Difference in alpha from which the two do not see the same edge.
_DISAGREEMENT = 0.5
# Estimates of the foreground before each measurement of the width, at half the size, where
# it is exact enough; and with the width known.
_MEASURING, _GIVEN = (1, 2), (1,)
# Width of a soft edge before it is measured, and the measured range, in working pixels.
_FIRST_WIDTH, _WIDTHS = 6.0, (1.5, 14.0)
# Pixels of one depth that tell something of alpha there.
_ENOUGH = 5
# From this many widths inside the boundary on, the subject is opaque.
_OPAQUE_DEPTH = 1.5
# As many widths outside there is nothing of it.
_BEYOND = -0.9
# Alpha from which a pixel counts as subject for closed-form matting, how much deeper than
# that it must lie, as a share of the longer side, and how far from such depth what is thin
# begins, in working pixels.
_SOLID, _REACH, _THIN = 0.999, 0.005, 15
# Alpha so close to 0 or 1 does not change with the colour.
_HARD = 0.01
# Weight of the colour of what is backdrop, in the foreground's mean.
_HARDLY = 1e-4


@dataclass(frozen=True)
class Edge:
    """What is needed to solve alpha at any resolution.

    Attributes
    ----------
    foreground
        float32 (3, H, W), 0..255: a smooth estimate of the subject's colour.
    trimap
        float32 (H, W): 0 and 1 where alpha is sure, 0.5 elsewhere.
    coefficients
        float32 (H, W, 4): alpha is expected to be ā·I + b̄ where it is not sure, also at finer
        sizes, see :mod:`.local_linear`.
    trust
        float32 (H, W): how many measurements that expectation counts for.
    """

    foreground: Floats
    trimap: Floats
    coefficients: Floats
    trust: Floats


def alpha_from_colours(
    difference: Floats, contrast: Floats, expected: Floats, trust: Floats, limit: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Solve I = αF + (1−α)B for α with B known and F roughly known.

    Parameters
    ----------
    difference
        float32 (3, ...): I − B.
    contrast
        float32 (3, ...): F − B.
    expected, trust
        float32 (...): alpha by other means, and how many measurements it counts for.
    limit
        Deviation in levels that noise explains, > 0.

    Returns
    -------
    alpha
        float32 (...), 0..1.
    measured
        float32 (...): α by colour alone.
    weight
        float32 (...): what ``measured`` counted for.
    """
    power = product(contrast, contrast)
    dot = product(difference, contrast)
    measured = np.clip(dot / np.maximum(power, 1), 0, 1)
    total = product(difference, difference)
    # |d − αD|², written out
    misfit = np.maximum(total - measured * (2 * dot - measured * power), 0)
    total /= limit**2
    measured *= np.minimum(total, 1, out=total)
    misfit /= _MISFIT**2
    misfit += 1
    weight = power / _SPREAD**2
    weight /= misfit
    alpha = weight * measured
    alpha += trust * expected
    alpha /= weight + trust
    return alpha, measured, weight


def least_alpha(
    difference: Floats, background: Floats, noise: float, overshoot: Floats | float = 0
) -> Floats:
    """Return the lowest alpha whose foreground colour exists.

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
    unsure = np.maximum(overshoot, 3 * max(noise, 1)).astype(np.float32)
    # towards white, and towards black
    least = (difference - unsure) / np.maximum(255 - background, 8)
    np.maximum(least, (-difference - unsure) / np.maximum(background, 8), out=least)
    return np.clip(np.maximum(np.maximum(least[0], least[1]), least[2]), 0, 1)


def solve_edge(
    small: Floats, field: Field, longer: int, *, finer: bool, width: float | None = None
) -> Edge:
    """Estimate the subject's colours and alpha along its edge.

    Parameters
    ----------
    small
        float32 (3, H, W), whole levels 0..255.
    longer
        The longer side of the whole picture at working size; ``small`` may be a part.
    finer
        Whether alpha is wanted at a finer size than this one.
    width
        Of the soft edge in working pixels; None measures it.
    """
    difference = small - field.colours
    position = _signed_distance(field.is_background)
    # the purest colours nearby differ most from the backdrop
    pure = field.deviation / np.maximum(strongest(field.deviation), 1)
    whole = difference, field.colours, position, field.limits, pure
    if width is None:
        half = [average(values, 2) for values in whole]
        contrast, _, measured = _find_foreground(*half, _FIRST_WIDTH, _MEASURING)
        width = _measure_width(half[2], contrast, measured)
    contrast, depth, _ = _find_foreground(*whole, width, _GIVEN)
    alpha, _ = _by_colour(difference, contrast, depth)
    alpha = np.maximum(alpha, least_alpha(difference, field.colours, field.noise))
    is_noise = (depth <= 0) & (field.deviation < noise_limit(field.noise))
    alpha[(depth <= _BEYOND) | is_noise | (alpha < VISIBLE)] = 0
    trimap = _sure(alpha, longer)
    image = np.ascontiguousarray(small.transpose(1, 2, 0).astype(np.uint8))
    solved = _solve_hair(image, alpha, trimap)
    shape = _by_position(depth)
    # where it sees through what is solid by the shape of the edge, as between hairs, trust it
    agreement = np.maximum(1 - np.abs(shape - solved) / _DISAGREEMENT, 0)
    trust = _TRUST_SOLVED * (1 + _DEEPER_SOLVED * agreement * np.clip(depth - 1, 0, 2))
    coefficients = np.zeros((*solved.shape, 4), np.float32)
    coefficients[..., 3] = solved
    if finer and min(solved.shape) > 2 * SOLVED_RADIUS:
        coefficients = _linear(image, solved)
    coefficients[..., 3] += agreement * (shape - solved) / 2
    foreground = _unmixed(difference, field.colours, solved, solved + _HARDLY)
    return Edge(foreground, trimap, coefficients, trust)


def _find_foreground(
    difference: Floats,
    background: Floats,
    position: Floats,
    limits: Floats,
    pure: Floats,
    width: float,
    turns: tuple[int, ...],
) -> tuple[Floats, Floats, Floats]:
    """Estimate F − B and alpha in turns; also the depth, and alpha by colour alone."""
    depth = position / np.float32(width)
    alpha = _by_position(depth)
    contrast, measured = difference, alpha
    for turn, steps in enumerate(turns):
        if turn:
            width = _measure_width(position, contrast, measured)
        for _ in range(steps):
            weight = alpha**2 * _by_position(depth) ** 2 * pure
            contrast = _unmixed(difference, background, alpha, weight) - background
            depth = _depth(position, width, contrast, limits)
            alpha, measured = _by_colour(difference, contrast, depth)
    return contrast, depth, measured


def _by_position(depth: Floats) -> Floats:
    """Return alpha at a depth: 0 where the edge starts, 1 where it ends."""
    t = np.clip(depth, 0, 1)
    return t * t * (3 - 2 * t)


def _depth(position: Floats, width: float, contrast: Floats, limits: Floats) -> Floats:
    """Return how deep in the edge a distance from the backdrop's boundary is, in widths."""
    strength = np.sqrt(product(contrast, contrast))
    # the boundary was found where alpha passed limit / strength
    start = np.clip(0.6 * limits / np.maximum(strength, 1), 0.02, 0.5)
    depth = position / np.float32(width) + 0.5 - np.sin(np.arcsin(1 - 2 * start) / 3)
    depth[position <= 0.5 - _OUTSIDE] = -1
    return depth.astype(np.float32)


def _by_colour(difference: Floats, contrast: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """Return alpha by colour and position, and by colour alone."""
    trust = _TRUST * (1 + _DEEPER * np.clip(depth - 1, 0, 2))
    expected = _by_position(depth)
    alpha, measured, weight = alpha_from_colours(difference, contrast, expected, trust)
    alpha[depth >= _OPAQUE_DEPTH] = 1
    alpha[(depth <= -1) | (depth <= 0) & (weight <= 1)] = 0
    return alpha, measured


def _unmixed(difference: Floats, background: Floats, alpha: Floats, weight: Floats) -> Floats:
    """Unmix F with the alpha given; average it over 2×2 and fill from coarser averages."""
    height, width = weight.shape
    unmixed = difference / np.maximum(alpha, np.float32(0.05))
    unmixed += background
    np.clip(unmixed, 0, 255, out=unmixed)
    unmixed *= weight
    share = average(weight, 2)
    mean = average(unmixed, 2) / np.maximum(share, np.float32(1e-6))
    return double(fill(mean, share))[:, :height, :width]


def _sure(alpha: Floats, longer: int) -> Floats:
    """Return a trimap: the subject is sure only deeper inside than hair lets the backdrop show."""
    reach = round(_REACH * longer) + 1
    trimap = np.full(alpha.shape, 0.5, np.float32)
    trimap[alpha == 0] = 0
    sure = erode(alpha > _SOLID, 2 * reach)
    # what is thin throughout, a stem or a whisker, has no such depth anywhere near
    far = erode(~sure, 6 * reach + _THIN)
    sure |= erode(alpha > 0.5, 3) & far
    trimap[sure] = 1
    return trimap


def _solve_hair(image: NDArray[np.uint8], alpha: Floats, trimap: Floats) -> Floats:
    """Solve by closed-form matting, which finds what shows between hairs, if there is a way."""
    if min(alpha.shape) < 3 or not (trimap == 1).any() or not (trimap == 0).any():
        return alpha
    try:
        return estimate_alpha_closed_form(image, trimap)
    except BudgetError as error:
        _log.warning("backdrop: solved by colour alone; hair may be rougher. %s", error)
        return alpha


def _signed_distance(background: NDArray[np.bool_]) -> Floats:
    """Distance from the backdrop's boundary, positive inside the subject, roughly round."""
    inside, outside = (
        _steps_into(region, steps)
        for region, steps in ((background, _INSIDE), (~background, _OUTSIDE))
    )
    distance = inside.astype(np.float32) - outside
    return distance - np.float32(0.5) * np.sign(distance)


def _steps_into(region: NDArray[np.bool_], most: int) -> NDArray[np.uint8]:
    """Count the steps in which a growing region reaches each pixel, none inside it."""
    steps = np.zeros(region.shape, np.uint8)
    for step in range(most):
        if region.all():
            break
        steps += ~region
        region = dilate(region) if step % 2 else over_cross(region, np.logical_or)
    return steps


def _linear(image: NDArray[np.uint8], alpha: Floats) -> Floats:
    """Return alpha as a linear function of colour where it is soft, else as a constant."""
    soft = (alpha > _HARD) & (alpha < 1 - _HARD)
    coefficients = fit_coefficients(image, alpha, soft, SOLVED_RADIUS, SOLVED_EPSILON)
    np.copyto(coefficients[..., 3], alpha, where=~dilate(soft))
    return coefficients


def _measure_width(position: Floats, contrast: Floats, measured: Floats) -> float:
    """Measure how far into the subject alpha rises, where colours tell it best."""
    near = (position > 0) & (position < 3)
    if not near.any():
        return _FIRST_WIDTH
    strength = np.sqrt(product(contrast, contrast))
    clear = (strength > max(30.0, float(np.median(strength[near])))) & (position > 0)
    at = position[clear].astype(np.intp)
    count = np.bincount(at, minlength=_INSIDE)[:14]
    total = np.bincount(at, measured[clear], minlength=_INSIDE)[:14]
    profile = np.where(count > _ENOUGH, total / np.maximum(count, 1), 1)
    level = max(float(np.median(profile[6:])), 0.5)
    return float(np.clip(2 * np.clip(1 - profile / level, 0, 1).sum(), *_WIDTHS))
