"""The soft edge of a subject in front of a known backdrop, at working size."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.levels import VISIBLE
from ..imaging.morphology import dilate, erode
from ..imaging.pyramid import Floats, average, smooth, strongest
from ..matting.closed_form.estimate import estimate_alpha_closed_form
from ..matting.closed_form.memory import BudgetError
from ..matting.local_linear import SOLVED_EPSILON, SOLVED_RADIUS, fit_coefficients
from .depth import FAR_OUTSIDE, FIRST_WIDTH, alpha_at, depth_in_edge, measure_width, signed_distance
from .field import Field, noise_limit
from .unmixing import alpha_from_colours, least_alpha

_log = logging.getLogger("rembg_sessions")

# Depths are in widths of the edge, 0 where it starts and 1 where it ends. The expected alpha
# counts for a number of measurements by colour, which grows by this multiple of itself for each
# depth beyond 1 (two at most): by the shape of the edge, and with closed-form matting.
_TRUST, _TRUST_GROWTH = 1.0, 10.0
_TRUST_SOLVED, _TRUST_SOLVED_GROWTH = 2.0, 30.0
_DEEPEST = 2
# Difference in alpha from which the shape and closed-form matting do not see the same edge.
_DISAGREEMENT = 0.5
# From this depth on the subject is opaque, and up to this depth there is nothing of it.
_OPAQUE_DEPTH, _EMPTY_DEPTH = 1.5, -0.9
# Measurements below which colour cannot claim a pixel outside the edge.
_LEAST_WEIGHT = 1
# Rounds of estimating the foreground before each measurement of the width.
_MEASURING = 1, 2
# Lowest alpha by which a colour is divided to unmix it, and what is added to alpha as the weight
# of its colour in the mean, so that there is one where alpha is 0.
_LEAST_DIVISOR, _LEAST_SHARE = 0.05, 1e-4
# Alpha this close to 0 or 1 does not change with the colour.
_HARD = 0.01
# The trimap. Alpha from which a pixel may be certain foreground, and how far inside that it must
# lie, as a share of the longer side: as far as hair lets the backdrop show.
_SOLID, _REACH = 0.999, 0.005
# What is thin throughout, such as a stem or a whisker, has no such pixel within this multiple of
# that distance and so many working pixels more; there, this alpha, a pixel inside, is enough.
_THIN_REACH, _THIN_MARGIN, _THIN_ALPHA = 3, 7, 0.5


@dataclass(frozen=True)
class Edge:
    """What is needed to solve alpha at any resolution.

    Attributes
    ----------
    foreground
        float32 (3, H, W), 0..255: a smooth estimate of the subject's colour.
    trimap
        float32 (H, W): 0 and 1 where alpha is certain, 0.5 elsewhere.
    coefficients
        float32 (H, W, 4): where alpha is unknown, it is expected to be ā·I + b̄, also at finer
        sizes; see :mod:`.matting.local_linear`.
    trust
        float32 (H, W): how many measurements by colour that expectation counts for.
    """

    foreground: Floats
    trimap: Floats
    coefficients: Floats
    trust: Floats


@dataclass(frozen=True)
class _Known:
    """What is known before the foreground is estimated.

    ``difference`` I − B and ``background`` B are (3, H, W), in levels. ``distance`` from the
    boundary, in working pixels, ``limits`` of the field, in levels, and ``purity`` are (H, W).
    Purity is the deviation as a share of the strongest one nearby: of a mixture of subject and
    backdrop, the purest pixels differ most from the backdrop.
    """

    difference: Floats
    background: Floats
    distance: Floats
    limits: Floats
    purity: Floats

    def halved(self) -> _Known:
        """Return averages over 2×2; distances stay in working pixels."""
        values = self.difference, self.background, self.distance, self.limits, self.purity
        return _Known(*(average(part, 2) for part in values))


def solve_edge(
    image: Floats, field: Field, longer: int, *, finer: bool, width: float | None = None
) -> Edge:
    """Estimate the subject's colours and alpha along its edge.

    Parameters
    ----------
    image
        float32 (3, H, W), whole levels 0..255.
    longer
        The longer side of the whole image at working size; ``image`` may be a part of it.
    finer
        Whether alpha is wanted at a finer size than this one.
    width
        Of the soft edge in working pixels; None measures it.
    """
    known = _Known(
        difference=image - field.colours,
        background=field.colours,
        distance=signed_distance(field.is_background),
        limits=field.limits,
        purity=np.divide(field.deviation, np.maximum(strongest(field.deviation), 1)),
    )
    if width is None:
        width = _find_width(known.halved())  # exact enough there
    estimate = _refined(known, _first_estimate(known, width), width)
    depth = estimate.depth
    alpha = _visible_alpha(estimate, known, field)
    trimap = _trimap(alpha, longer)
    pixels = np.ascontiguousarray(image.transpose(1, 2, 0).astype(np.uint8))
    solved = _solve_closed_form(pixels, alpha, trimap)
    # where closed-form matting sees the backdrop through what is solid by the shape of the edge,
    # as between hairs, it is right
    shape = alpha_at(depth)
    agreement: Floats = np.maximum(1 - np.abs(shape - solved) / np.float32(_DISAGREEMENT), 0)
    growth = np.float32(_TRUST_SOLVED_GROWTH) * agreement * np.clip(depth - 1, 0, _DEEPEST)
    coefficients = _linear_model(pixels, solved, finer)
    # the mean of both where they agree
    coefficients[..., 3] += agreement * (shape - solved) / 2
    weight = solved + np.float32(_LEAST_SHARE)
    return Edge(
        foreground=_smooth_foreground(known.difference, field.colours, solved, weight),
        trimap=trimap,
        coefficients=coefficients,
        trust=np.float32(_TRUST_SOLVED) * (1 + growth),
    )


@dataclass(frozen=True)
class _Estimate:
    """What is estimated in rounds: F − B (3, H, W), in levels; and (H, W) each, the depth in the
    edge, alpha, and alpha by colour alone.
    """

    contrast: Floats
    depth: Floats
    alpha: Floats
    measured: Floats


def _find_width(known: _Known) -> float:
    """Measure the width of the edge in working pixels."""
    width = FIRST_WIDTH
    estimate = _first_estimate(known, width)
    for rounds in _MEASURING:
        for _ in range(rounds):
            estimate = _refined(known, estimate, width)
        width = measure_width(known.distance, estimate.contrast, estimate.measured)
    return width


def _first_estimate(known: _Known, width: float) -> _Estimate:
    """Estimate alpha by the shape of the edge alone, with the image for the foreground."""
    depth = known.distance / np.float32(width)
    alpha = alpha_at(depth)
    return _Estimate(contrast=known.difference, depth=depth, alpha=alpha, measured=alpha)


def _refined(known: _Known, estimate: _Estimate, width: float) -> _Estimate:
    """Estimate the foreground with the alpha found so far, and alpha with that foreground."""
    weight = estimate.alpha**2 * alpha_at(estimate.depth) ** 2 * known.purity
    foreground = _smooth_foreground(known.difference, known.background, estimate.alpha, weight)
    contrast = foreground - known.background
    depth = depth_in_edge(known.distance, width, contrast, known.limits)
    alpha, measured = _alpha_at_edge(known.difference, contrast, depth)
    return _Estimate(contrast=contrast, depth=depth, alpha=alpha, measured=measured)


def _alpha_at_edge(difference: Floats, contrast: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """Return alpha by colour and the shape of the edge, and by colour alone."""
    trust = np.float32(_TRUST) * (1 + np.float32(_TRUST_GROWTH) * np.clip(depth - 1, 0, _DEEPEST))
    alpha, measured, weight = alpha_from_colours(difference, contrast, alpha_at(depth), trust)
    alpha[depth >= _OPAQUE_DEPTH] = 1
    alpha[(depth <= FAR_OUTSIDE) | (depth <= 0) & (weight <= _LEAST_WEIGHT)] = 0
    return alpha, measured


def _visible_alpha(estimate: _Estimate, known: _Known, field: Field) -> Floats:
    """Return alpha, at least what a possible foreground needs, and 0 where it is only noise."""
    alpha = np.maximum(estimate.alpha, least_alpha(known.difference, field.colours, field.noise))
    is_noise = (estimate.depth <= 0) & (field.deviation < noise_limit(field.noise))
    alpha[(estimate.depth <= _EMPTY_DEPTH) | is_noise | (alpha < VISIBLE)] = 0
    return alpha


def _smooth_foreground(
    difference: Floats, background: Floats, alpha: Floats, weight: Floats
) -> Floats:
    """Unmix F with a given alpha, average it over 2×2 by weight and fill from coarser averages."""
    unmixed: Floats = np.divide(difference, np.maximum(alpha, _LEAST_DIVISOR))
    unmixed += background
    np.clip(unmixed, 0, 255, out=unmixed)
    unmixed *= weight
    return smooth(unmixed, weight)


def _trimap(alpha: Floats, longer: int) -> Floats:
    """Return a trimap: foreground is certain only deeper inside than hair lets B show."""
    reach = round(_REACH * longer) + 1
    trimap = np.full(alpha.shape, 0.5, np.float32)
    trimap[alpha == 0] = 0
    certain = erode(alpha > _SOLID, 2 * reach)
    is_thin = erode(~certain, 2 * (_THIN_REACH * reach + _THIN_MARGIN) + 1)
    certain |= erode(alpha > _THIN_ALPHA, 3) & is_thin
    trimap[certain] = 1
    return trimap


def _solve_closed_form(image: NDArray[np.uint8], alpha: Floats, trimap: Floats) -> Floats:
    """Solve by closed-form matting, which sees the backdrop between hairs, where it can run."""
    if min(alpha.shape) < 3 or not (trimap == 1).any() or not (trimap == 0).any():
        return alpha
    try:
        return estimate_alpha_closed_form(image, trimap)
    except BudgetError as error:
        _log.warning("backdrop: solved by colour alone; hair may be rougher. %s", error)
        return alpha


def _linear_model(image: NDArray[np.uint8], alpha: Floats, finer: bool) -> Floats:
    """Return coefficients (H, W, 4) that give alpha: linear in colour where it is soft.

    Where it is hard, and everywhere if no finer size is wanted, they are constants.
    """
    if not finer or min(alpha.shape) <= 2 * SOLVED_RADIUS:
        coefficients = np.zeros((*alpha.shape, 4), np.float32)
        coefficients[..., 3] = alpha
        return coefficients
    soft = (alpha > _HARD) & (alpha < 1 - _HARD)
    coefficients = fit_coefficients(image, alpha, soft, SOLVED_RADIUS, SOLVED_EPSILON)
    np.copyto(coefficients[..., 3], alpha, where=~dilate(soft))
    return coefficients
