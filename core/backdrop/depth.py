"""The shape of a soft edge: how alpha rises with the distance from the backdrop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..imaging.morphology import Mask, dilate, over_cross
from ..imaging.pyramid import Floats, product

# Pixels on either side of the backdrop's boundary whose distance from it is measured.
INSIDE, OUTSIDE = 20, 5
# Depth, in widths, of pixels so far outside that they have no alpha.
FAR_OUTSIDE = -1
# Width of a soft edge before it is measured, and the range of what is measured, in pixels.
FIRST_WIDTH, _WIDTHS = 6.0, (1.5, 14.0)
# The width is measured where the contrast is at least this many levels, and at least the median
# of the pixels whose distance from the boundary is below the second number.
_LEAST_CONTRAST, _NEAR = 30.0, 3
# Pixels of depth over which alpha is averaged, how many of each depth are needed, from which
# depth on the subject is taken for opaque, and the lowest alpha that it may show there.
_PROFILE, _ENOUGH, _PLATEAU, _LEAST_PLATEAU = 14, 5, 6, 0.5
# Alpha at the boundary, as a multiple of limit / contrast; and the range that it is kept in.
_BOUNDARY_ALPHA, _BOUNDARY_RANGE = 0.6, (0.02, 0.5)


def signed_distance(background: Mask) -> Floats:
    """Return the octagonal distance (H, W) from the backdrop's boundary, positive inside.

    In pixels; the two pixels beside the boundary have ±0.5, and everything beyond ``INSIDE`` or
    ``OUTSIDE`` pixels is as far as these.
    """
    inside, outside = (
        _steps_to(region, steps) for region, steps in ((background, INSIDE), (~background, OUTSIDE))
    )
    distance = inside.astype(np.float32) - outside
    return distance - np.float32(0.5) * np.sign(distance)


def _steps_to(region: Mask, most: int) -> NDArray[np.uint8]:
    """Return the octagonal distance to a region, 0 inside, at most ``most``."""
    steps = np.zeros(region.shape, np.uint8)
    for step in range(most):
        if region.all():
            break
        steps += ~region
        region = dilate(region) if step % 2 else over_cross(region, np.logical_or)
    return steps


def alpha_at(depth: Floats) -> Floats:
    """Return alpha at a depth in the edge: 0 at depth 0, 1 at depth 1, smoothly between."""
    t = np.clip(depth, 0, 1)
    return t * t * (3 - 2 * t)


def depth_in_edge(distance: Floats, width: float, contrast: Floats, limits: Floats) -> Floats:
    """Return how deep in the edge pixels lie, in widths: 0 where alpha starts, 1 where it is full.

    The boundary of the backdrop lies where alpha got large enough to be told from noise, which
    is the farther inside, the less the colours differ.

    Parameters
    ----------
    distance
        float32 (H, W), see :func:`signed_distance`.
    width
        Of the edge, in pixels.
    contrast
        float32 (3, H, W): F − B, in levels.
    limits
        float32 (H, W): deviation from which a pixel was not taken for backdrop, in levels.
    """
    strength = np.sqrt(product(contrast, contrast))
    start = np.clip(_BOUNDARY_ALPHA * limits / np.maximum(strength, 1), *_BOUNDARY_RANGE)
    # 0.5 − sin(arcsin(1 − 2α) / 3) is the depth where alpha_at is α
    depth = distance / np.float32(width) + 0.5 - np.sin(np.arcsin(1 - 2 * start) / 3)
    depth[distance <= 0.5 - OUTSIDE] = FAR_OUTSIDE
    return depth.astype(np.float32)


def measure_width(distance: Floats, contrast: Floats, measured: Floats) -> float:
    """Measure the width of the edge in pixels, where colours tell alpha best.

    Parameters
    ----------
    distance, contrast
        As in :func:`depth_in_edge`.
    measured
        float32 (H, W): alpha by colour alone.
    """
    near = (distance > 0) & (distance < _NEAR)
    if not near.any():
        return FIRST_WIDTH
    strength = np.sqrt(product(contrast, contrast))
    clear = strength > max(_LEAST_CONTRAST, float(np.median(strength[near])))
    clear &= distance > 0
    at = distance[clear].astype(np.intp)
    count = np.bincount(at, minlength=INSIDE)[:_PROFILE]
    total = np.bincount(at, measured[clear], minlength=INSIDE)[:_PROFILE]
    profile = np.where(count > _ENOUGH, total / np.maximum(count, 1), 1)
    level = max(float(np.median(profile[_PLATEAU:])), _LEAST_PLATEAU)
    # an edge from 0 to 1 is half missing: twice what is missing is its width
    return float(np.clip(2 * np.clip(1 - profile / level, 0, 1).sum(), *_WIDTHS))
