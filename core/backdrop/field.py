"""The colour field of a plain backdrop: fitted from the border, refined inside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..imaging.components import Regions
from ..imaging.morphology import Mask, dilate
from ..imaging.pyramid import Floats, smooth, strongest
from .border import fit_border
from .confidence import measure_confidence
from .matching import Residual, match_regions
from .polynomial import Polynomial, coordinates, least_squares, residuals, terms
from .shadow import extend_into_shadows

# Deviation from which a pixel is told from noise: so many times the noise, at least so many
# levels.
_NOISE_MULTIPLE, _LEAST_LIMIT = 1.8, 3.0
# Pixels of the whole image, about, that the cubic is fitted to.
_FIRST_LOOK = 16000
# Pixels of backdrop among them that a cubic needs; with fewer the quadratic stays.
_ENOUGH = 64
# Noise as a multiple of the median distance from the cubic, and its range, in levels.
_NOISE_MEDIANS, _NOISE_RANGE = 1.2, (0.7, 8)
# A deviation below this share of the strongest one nearby cannot be told from the ringing of
# JPEG beside a strong edge.
_RINGING = 0.05
# Ringing changes its sign within a block of JPEG, whose mean is kept. So what deviates in a square
# of 2 · 4 + 1 pixels, one more than a block's 8, without a gap, is no ringing.
_HALF_BLOCK = 4
# A region of fewer pixels than this, whose mean deviation is less than so many times the limit,
# is a speck of noise.
_SPECK, _SPECK_LIMITS = 9, 2

_CUBIC = 3


@dataclass(frozen=True)
class Field:
    """A backdrop at working size.

    Attributes
    ----------
    colours
        float32 (3, H, W), 0..255: the backdrop as it is, shadows included.
    shadow_free
        float32 (3, H, W): the same without shadows.
    is_background
        bool (H, W): certainly backdrop.
    deviation
        float32 (H, W): distance of the image from ``colours``, in levels.
    limits
        float32 (H, W): deviation from which a pixel is not backdrop.
    noise
        Typical deviation of the backdrop itself, in levels.
    confidence
        0..1, see :func:`.confidence.measure_confidence`.
    """

    colours: Floats
    shadow_free: Floats
    is_background: Mask
    deviation: Floats
    limits: Floats
    noise: float
    confidence: float

    def crop(self, rows: slice, columns: slice) -> Field:
        """Return the field of a part of the image."""
        box = rows, columns
        return replace(
            self,
            colours=self.colours[:, rows, columns],
            shadow_free=self.shadow_free[:, rows, columns],
            is_background=self.is_background[box],
            deviation=self.deviation[box],
            limits=self.limits[box],
        )


def noise_limit(noise: float) -> float:
    """Return the deviation in levels below which a pixel is not told from noise."""
    return max(_NOISE_MULTIPLE * noise, _LEAST_LIMIT)


def fit_field(image: Floats, tolerance: float | None = None, holes: bool = True) -> Field:
    """Fit the backdrop of an image at working size.

    Parameters
    ----------
    image
        float32 (3, H, W), 0..255: planes, which numpy adds up several times faster.
    tolerance
        Deviation in levels up to which a pixel counts as backdrop; None measures the noise.
    holes
        Whether enclosed regions of backdrop colour are backdrop.
    """
    y, x = coordinates((image.shape[1], image.shape[2]))
    model, noise = _fit_inside(image, y, x, *fit_border(image, y, x), tolerance)
    limit = tolerance or noise_limit(noise)
    shadow_free = model.on_grid(y, x)
    residual = Residual(image - shadow_free)
    near = residual.deviation < limit
    background = match_regions(near, residual, noise, holes=False)
    known, doubt = extend_into_shadows(image, shadow_free, background, limit, noise)
    opened = np.zeros_like(known)
    if holes and (known & ~background).any():
        # or else the shadows would be carried into holes
        opened = match_regions(near, residual, noise, holes=True)
        known |= opened
    # a polynomial is too stiff: what it leaves of known backdrop is added smoothly
    uneven = residual.values
    for last in (False, True):
        weight = known.astype(np.float32)
        residual = Residual(uneven - smooth(uneven * weight, weight))
        limits = _ringing_limits(residual.deviation, limit)
        near = residual.deviation < limits
        background = match_regions(near, residual, noise, holes=holes and last)
        known = ~dilate(~(background | opened))
        if not known.any():
            known = background
    background |= _specks(~background, residual.deviation, limit)
    return Field(
        colours=image - residual.values,
        shadow_free=shadow_free,
        is_background=background,
        deviation=residual.deviation,
        limits=limits,
        noise=noise,
        confidence=measure_confidence(background, residual.deviation / limits, doubt),
    )


def _fit_inside(
    image: Floats,
    y: Floats,
    x: Floats,
    quadratic: Polynomial,
    noise: float,
    tolerance: float | None,
) -> tuple[Polynomial, float]:
    """Fit a cubic to what matches the border's model; a part of the pixels is enough for it."""
    step = max(1, round((image[0].size / _FIRST_LOOK) ** 0.5))
    y, x, few = y[::step], x[:, ::step], image[:, ::step, ::step]
    residual = Residual(few - quadratic.on_grid(y, x))
    near = residual.deviation < (tolerance or noise_limit(noise))
    inside = match_regions(near, residual, noise, holes=False)
    if inside.sum() < _ENOUGH:
        return quadratic, noise
    y, x = np.broadcast_arrays(y, x)
    basis, values = terms(y[inside], x[inside], _CUBIC), few[:, inside].T
    cubic = least_squares(basis, values, np.ones(len(values), np.float32))
    off = residuals(basis, values, cubic)
    noise = float(np.clip(_NOISE_MEDIANS * np.median(off), *_NOISE_RANGE))
    return Polynomial(cubic, _CUBIC), noise


def _ringing_limits(deviation: Floats, limit: float) -> Floats:
    """Raise the limit (H, W) beside strong edges, where JPEG rings, but not where nothing rings."""
    limits: Floats = np.maximum(limit, _RINGING * strongest(deviation))
    # one more limit, since noise lifts some pixels of a band over the raised one
    excused = (deviation >= limit) & (deviation < limits + limit)
    solid = excused
    for _ in range(_HALF_BLOCK):
        solid = ~dilate(~solid)
    if solid.any():
        for _ in range(_HALF_BLOCK):
            solid = dilate(solid)
        limits[solid & excused] = limit
    return limits


def _specks(others: Mask, deviation: Floats, limit: float) -> Mask:
    """Return the regions that are too small and too faint to be subject."""
    regions = Regions(others)
    faint = regions.sums(deviation) < _SPECK_LIMITS * limit * regions.area
    return regions.paint((regions.area < _SPECK) & faint)
