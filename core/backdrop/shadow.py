"""Shadows on the backdrop: found by slow darkening without a change of hue."""

from __future__ import annotations

import numpy as np

from ..imaging.components import Regions
from ..imaging.morphology import Mask, dilate
from ..imaging.pyramid import Floats, average, product

# Longer side at which shadows are followed: there noise is averaged out, and slopes show.
_SIDE = 160
# Share of a block of pixels that must be backdrop for all of it to be.
_KNOWN = 0.9
# Brightness of a shadow as a share of the unshadowed backdrop's. Darker is subject; so is what
# is brighter by more than an uneven backdrop explains.
_BRIGHTNESS = 0.3, 1.02
# Steepest slope of a shadow, in levels from block to block: a constant part, a part for each
# level of noise in a pixel (which falls with the side of a block), and one for each level of the
# backdrop's mean brightness.
_SLOPE = 1, 1.5, 0.035
# Standard deviation of a shadow's darkness, as a share of its mean, below which it is a subject
# of the same hue as the backdrop: a shadow fades out.
_EVEN = 0.25
# Opacity below which a shadow that is kept is not shown; it fades in up to twice as much.
_FAINT = 0.03


def extend_into_shadows(
    image: Floats, shadow_free: Floats, background: Mask, limit: float, noise: float
) -> Mask:
    """Add the shadows that adjoin it to a backdrop.

    Parameters
    ----------
    image, shadow_free
        float32 (3, H, W), 0..255: the image and the backdrop without shadows.
    background
        bool (H, W): what is backdrop without shadows.
    limit
        Distance from the backdrop's hue, in levels, that noise explains.
    noise
        Of the backdrop, in levels.

    References
    ----------
    Brightness and chromaticity distortion: Horprasert, Harwood, Davis: A Statistical Approach
    for Real-time Robust Background Subtraction and Shadow Detection, 1999.
    """
    block = max(1, round(max(background.shape) / _SIDE))
    mean, bright = average(image, block), average(shadow_free, block)
    known = average(background.astype(np.float32), block) > _KNOWN
    # the share of the backdrop's colour that is nearest to the image's, and the rest
    power = product(bright, bright)
    brightness: Floats = np.divide(product(mean, bright), np.maximum(power, 1))
    explained: Floats = brightness * bright
    rest = mean - explained
    off_hue = np.sqrt(product(rest, rest))
    constant, per_noise, per_level = _SLOPE
    slope = constant + per_noise * noise / block + per_level * float(bright.mean())
    darkest, brightest = _BRIGHTNESS
    slow = (brightness > darkest) & (brightness < brightest)
    slow &= (off_hue < limit) & (_steepness(mean) < slope)
    # opening: parts that are joined by a block or two only are not one shadow
    slow |= known
    slow &= dilate(~dilate(~slow))
    regions = Regions(slow | known)
    shaded = known | regions.paint(regions.sums(known) > 0)
    shaded &= ~_evenly_dark(shaded & ~known, 1 - brightness)
    height, width = background.shape
    return shaded.repeat(block, 0).repeat(block, 1)[:height, :width]


def _evenly_dark(candidates: Mask, darkness: Floats) -> Mask:
    """Return the regions that are evenly dark up to their outline, which no shadow is."""
    regions = Regions(candidates)
    area = np.maximum(regions.area, 1)
    mean = regions.sums(darkness) / area
    variance = regions.sums(darkness**2) / area - mean**2
    return regions.paint((variance < (_EVEN * mean) ** 2) & (mean > 0))


def _steepness(values: Floats) -> Floats:
    """Return the greatest step to one of the four neighbours in any channel: (H, W)."""
    steps = np.zeros(values.shape[1:], np.float32)
    down = np.abs(values[:, 1:] - values[:, :-1]).max(0)
    right = np.abs(values[..., 1:] - values[..., :-1]).max(0)
    parts = (np.s_[1:], down), (np.s_[:-1], down), (np.s_[:, 1:], right), (np.s_[:, :-1], right)
    for part, step in parts:
        np.maximum(steps[part], step, out=steps[part])
    return steps


def shadow_opacity(colours: Floats, shadow_free: Floats) -> Floats:
    """Return the opacity (H, W) of black that turns the unshadowed backdrop into the real one.

    Both are float32 (3, H, W), 0..255.
    """
    brightness = colours.sum(0) / np.maximum(shadow_free.sum(0), 1)
    opacity = np.clip(1 - brightness, 0, 1)
    return opacity * np.clip(opacity / _FAINT - 1, 0, 1)
