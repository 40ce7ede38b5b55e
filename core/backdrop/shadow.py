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
_STEEPEST, _BEND = 5, 1.2
_ROUNDS, _CLEAR, _MOST_TINT = 3, 0.03, 0.2
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
    dark = np.clip(1 - brightness, 0, 1)
    rest = mean - explained
    constant, per_noise, per_level = _SLOPE
    slope = constant + per_noise * noise / block + per_level * float(bright.mean())
    darkest, brightest = _BRIGHTNESS
    steep, bend = _steepness(mean), _bend(mean)
    smooth = (brightness > darkest) & (brightness < brightest)
    smooth &= (steep < slope) | (steep < _STEEPEST * slope) & (
        bend < _BEND * slope + 1.1 * noise / block
    )
    shaded = known
    for _ in range(_ROUNDS):
        tint = _tint(rest, bright * dark, shaded & (dark > _CLEAR))
        off = rest - tint * bright * dark
        slow = smooth & (np.sqrt(product(off, off)) < limit)
        # opening: parts that are joined by a block or two only are not one shadow
        slow |= known
        slow &= dilate(~dilate(~slow))
        regions = Regions(slow | known)
        shaded = known | regions.paint(regions.sums(known) > 0)
        shaded &= ~_evenly_dark(shaded & ~known, dark)
    height, width = background.shape
    return shaded.repeat(block, 0).repeat(block, 1)[:height, :width]


def _tint(rest: Floats, dark: Floats, where: Mask) -> Floats:
    if where.sum() < 40:
        return np.zeros((3, 1, 1), np.float32)
    power = (dark[:, where] ** 2).sum()
    tint = (rest[:, where] * dark[:, where]).sum(1) / power * 3
    return np.clip(tint, -_MOST_TINT, _MOST_TINT).astype(np.float32)[:, None, None]


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


def _bend(values: Floats) -> Floats:
    bend = np.zeros(values.shape[1:], np.float32)
    down = np.abs(values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]).max(0)
    right = np.abs(values[..., 2:] - 2 * values[..., 1:-1] + values[..., :-2]).max(0)
    np.maximum(bend[1:-1], down, out=bend[1:-1])
    np.maximum(bend[:, 1:-1], right, out=bend[:, 1:-1])
    return bend


def shadow_opacity(colours: Floats, shadow_free: Floats) -> Floats:
    """Return the opacity (H, W) of black that turns the unshadowed backdrop into the real one.

    Both are float32 (3, H, W), 0..255.
    """
    brightness = colours.sum(0) / np.maximum(shadow_free.sum(0), 1)
    opacity = np.clip(1 - brightness, 0, 1)
    return opacity * np.clip(opacity / _FAINT - 1, 0, 1)
