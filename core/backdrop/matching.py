"""Decides which regions that look like backdrop are backdrop.

A pale part of the subject may come as close to the backdrop's colour as noise allows. So only a
region that holds much of the border is believed at once. Any other one, above all a hole in the
subject, must match more closely than noise requires and end in a clear edge.
"""

from __future__ import annotations

import numpy as np

from ..imaging.components import Regions
from ..imaging.morphology import Mask, dilate, erode_cross
from ..imaging.pyramid import Floats, product, strongest

# A region that holds this share of the border is backdrop without further proof.
_MAIN_SHARE = 0.3
# Pixels of the smallest other region.
_LEAST_AREA = 12
# Share of a region that must be more than a pixel from its outline, so that it can be measured.
_LEAST_CORE = 0.3

# What follows is measured in that core. Limits are in levels; each has a constant part, a part
# for each level of noise, and a part for each level of contrast, the strongest deviation nearby.
# Mean distance of the colours.
_DEVIATION_LIMIT = 1.5, 1.1, 0.01
# Distance of the mean colour.
_SHIFT_LIMIT = 1, 0.15, 0.01

# A hole's limits also grow with the ringing outside the subject, by so many times that: of the
# deviation, and of the mean colour; but only up to this area, and less up to twice that, since
# nothing rings in the middle of a larger one.
_RINGING_INSIDE, _SMALL_HOLE = (2, 1.5), 75
# Contrast, in levels, beside which ringing is measured.
_STRONG = 60

# A region ends clearly if it holds this share of the region that a wider limit finds: this many
# times the noise, or this many levels.
_CRISP_SHARE, _WIDE_NOISE, _WIDE_LEVELS = 0.6, 6, 14
# Share of a region that must lie in such wider regions.
_CRISP_PART = 0.9


class Residual:
    """What a model of the backdrop leaves unexplained of an image.

    Attributes
    ----------
    values
        float32 (3, H, W): image − model, in levels.
    deviation
        float32 (H, W): its length.
    """

    def __init__(self, values: Floats):
        self.values: Floats = values
        self.deviation: Floats = np.sqrt(product(values, values))


def match_regions(near: Mask, residual: Residual, noise: float, *, holes: bool) -> Mask:
    """Return the regions of ``near`` that are backdrop.

    Parameters
    ----------
    near
        bool (H, W): where the image is close to the model.
    noise
        Of the backdrop, in levels.
    holes
        Whether regions that do not touch the border can be backdrop.
    """
    regions = Regions(near)
    if not regions.count:
        return near
    contact = regions.contact()
    main = contact >= _MAIN_SHARE * 2 * sum(near.shape)
    others = (regions.area >= _LEAST_AREA) & ~main & (holes | (contact > 0))
    if not others.any():
        return regions.paint(main)
    # corners count in small regions, which would have nothing left
    core = ~dilate(~near) | erode_cross(np.pad(near, 1)) & regions.paint(
        regions.area <= _SMALL_HOLE
    )
    thick = regions.sums(core)
    count = np.maximum(thick, 1)
    deviation = regions.sums(residual.deviation * core) / count
    shift = [regions.sums(channel * core) / count for channel in residual.values]
    strong = strongest(residual.deviation)
    contrast = regions.sums(strong * core) / count
    ringing = np.zeros(regions.count)
    if holes:
        ringing += _measure_ringing(regions.paint(main), residual.deviation, strong)
        ringing *= contrast * np.clip(2 - regions.area / _SMALL_HOLE, 0, 1)
    constant, per_noise, per_contrast = _DEVIATION_LIMIT
    same = (thick >= _LEAST_CORE * regions.area) & (
        deviation
        < per_noise * noise + constant + per_contrast * contrast + _RINGING_INSIDE[0] * ringing
    )
    same &= _ends_clearly(regions, near, main, residual.deviation, noise)
    constant, per_noise, per_contrast = _SHIFT_LIMIT
    same &= (
        np.linalg.norm(shift, axis=0)
        < constant + per_noise * noise + per_contrast * contrast + _RINGING_INSIDE[1] * ringing
    )
    return regions.paint(main | (others & same))


def _measure_ringing(background: Mask, deviation: Floats, strong: Floats) -> float:
    """Return how far an image deviates just outside the subject's outline, as a share of contrast.

    That is the ringing of JPEG, and the colour that its coarse chroma carries over the outline.
    Small holes have the same, from all sides.
    """
    outside = background & dilate(~background) & (strong > _STRONG)
    shares = deviation[outside] / strong[outside]
    return float(np.median(shares)) if len(shares) else 0.0


def _ends_clearly(
    regions: Regions, near: Mask, main: Mask, deviation: Floats, noise: float
) -> Mask:
    """Tell for each region whether it ends in an edge.

    A hole does; white fur fades into what only looks like a white backdrop, so a wider limit
    finds much more of it.
    """
    limit = max(_WIDE_NOISE * noise, _WIDE_LEVELS)
    wide = Regions((deviation < limit) & ~regions.paint(main))
    crisp = wide.paint(wide.sums(near) >= _CRISP_SHARE * wide.area)
    return regions.sums(crisp) >= _CRISP_PART * regions.area
