"""Shadows on the backdrop: found by slow darkening without a change of hue."""

from __future__ import annotations

import numpy as np

from ..imaging.components import Regions
from ..imaging.morphology import Mask, dilate, over_cross
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
# Where the slope changes gently from block to block, a shadow may be so many times steeper. What is
# gentle is a multiple of that slope, in each round that adds steeper parts, and a part for each
# level of noise in a pixel.
_STEEPER, _GENTLE, _GENTLE_NOISE = 6, (1.2, 3.0), 1.1
# Darkness from which a block shows the tint, so many of which are needed, and the greatest tint:
# the deviation from grey of what is missing, as a share of it.
_TINTED, _ENOUGH, _GREATEST_TINT = 0.03, 40, 0.3
# Blocks between a backdrop and what has its hue, on either side of a hard edge, at most; and the
# share of such edges in the outline of a region, from which on it is a subject.
_GAP, _HARD_SHARE = 2, (0.3, 0.17, 0.17)
# Blocks by which a shadow grows at full working size, up to the subject.
_REACH = 2
# Share of a shadow that may be added to it wherever it lies.
_SMALL = 0.05
# Standard deviation of a shadow's darkness, as a share of its mean, below which it is a subject
# of the same hue as the backdrop: a shadow fades out.
_EVEN = 0.25
# Opacity below which a shadow that is kept is not shown; it fades in up to twice as much.
_FAINT = 0.03


def extend_into_shadows(
    image: Floats, shadow_free: Floats, background: Mask, limit: float, noise: float
) -> tuple[Mask, float]:
    """Add the shadows that adjoin it to a backdrop.

    First what is nowhere steep, then also what is steep but bends gently, as a contact shadow
    does. Both may go on into a subject of the backdrop's hue, through a stretch where it is as
    dark as its shadow. The hard edges that it has elsewhere tell.

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

    Returns
    -------
    shaded
        bool (H, W): the backdrop and its shadows.
    doubt
        0..1: share of the rest that may be shadow or subject.

    References
    ----------
    Brightness and chromaticity distortion: Horprasert, Harwood, Davis: A Statistical Approach
    for Real-time Robust Background Subtraction and Shadow Detection, 1999.
    """
    block = max(1, round(max(background.shape) / _SIDE))
    height, width = background.shape
    known = average(background.astype(np.float32), block) > _KNOWN
    blocks = _Light(average(image, block), average(shadow_free, block))
    constant, per_noise, per_level = _SLOPE
    slope = constant + per_noise * noise / block + per_level * float(blocks.bright.mean())
    steepness = _steepness(blocks.image)
    bend = _bend(blocks.image) - _GENTLE_NOISE * noise / block
    adjoining = dilate(known)
    slow = steepness < slope
    shaded, subject = known, np.zeros_like(known)
    tint, doubt = np.zeros((3, 1, 1), np.float32), 0.0
    for gentle, hard_share in zip((0, *_GENTLE), _HARD_SHARE, strict=True):
        if gentle:
            slow = slow | (steepness < _STEEPER * slope) & (bend < gentle * slope)
            tint = blocks.tint(shaded)
        alike = blocks.alike(tint, limit)
        grown = _joined(known, alike & slow & ~subject, blocks.darkness)
        if not gentle and (grown & ~adjoining).sum() < _ENOUGH:
            # only noise lines the backdrop
            return (known | grown).repeat(block, 0).repeat(block, 1)[:height, :width], doubt
        sound, unsure = _sound(grown, known, alike, hard_share)
        if gentle:
            sound = _darker(sound & ~shaded, shaded & ~known, blocks.darkness)
        shaded = shaded | sound
        subject |= grown & ~sound & ~shaded
        # the last round is a try
        if gentle < _GENTLE[-1]:
            doubt = max(doubt, unsure)
    fine = shaded.repeat(block, 0).repeat(block, 1)[:height, :width]
    near = _Light(image, shadow_free).alike(tint, limit) & (_steepness(image) < slope)
    for _ in range(_REACH * block):
        fine = fine | over_cross(fine, np.logical_or) & near
    return fine, doubt


class _Light:
    """How much of the backdrop's light an image shows, and of what hue the rest is.

    ``darkness`` (H, W) is the share that is missing; of the image, ``rest`` (3, H, W) is what no
    share of the backdrop's colour ``bright`` explains.
    """

    def __init__(self, image: Floats, bright: Floats):
        self.image, self.bright = image, bright
        power = np.maximum(product(bright, bright), 1)
        brightness: Floats = np.divide(product(image, bright), power)
        self.darkness: Floats = 1 - brightness
        explained: Floats = brightness * bright
        self.rest: Floats = image - explained

    def alike(self, tint: Floats, limit: float) -> Mask:
        """Tell what is as bright as a shadow may be, and of the hue of one with that tint."""
        missing: Floats = np.maximum(self.darkness, 0) * self.bright
        tinted: Floats = tint * missing
        off = self.rest - tinted
        darkest, brightest = _BRIGHTNESS
        is_possible = (self.darkness < 1 - darkest) & (self.darkness > 1 - brightest)
        return is_possible & (product(off, off) < limit**2)

    def tint(self, shaded: Mask) -> Floats:
        """Measure the rest in a shadow as a share of the light that is missing: (3, 1, 1)."""
        where = shaded & (self.darkness > _TINTED)
        if where.sum() < _ENOUGH:
            return np.zeros((3, 1, 1), np.float32)
        missing = self.darkness[where] * self.bright[:, where]
        tint = (self.rest[:, where] * missing).sum(1) / (missing**2).sum(1)
        return np.clip(tint, -_GREATEST_TINT, _GREATEST_TINT)[:, None, None]


def _joined(known: Mask, candidates: Mask, darkness: Floats) -> Mask:
    """Return the candidates that adjoin the known backdrop and get darker from there."""
    # opening: parts that are joined by a block or two only are not one shadow
    slow = candidates | known
    slow &= dilate(~dilate(~slow))
    regions = Regions(slow | known)
    grown = regions.paint(regions.sums(known) > 0) & ~known
    return grown & ~_evenly_dark(grown, darkness)


def _sound(grown: Mask, known: Mask, alike: Mask, hard_share: float) -> tuple[Mask, float]:
    """Return what fades into the backdrop nearly everywhere, and the share of what does in part.

    That is a share of all that is not backdrop.
    """
    around = Regions(dilate(grown, _GAP))
    adjoining = dilate(known)
    hard = around.sums(alike & ~grown & ~known & dilate(known, _GAP))
    soft = around.sums(grown & adjoining)
    inner = around.sums(grown & ~adjoining)
    fading = soft / np.maximum(hard + soft, 1)
    # what only lines the backdrop is its noise
    is_sound = (fading > 1 - hard_share) | (inner < soft)
    in_part = float((inner * fading)[~is_sound].sum())
    return grown & around.paint(is_sound), in_part / max(int((~known).sum()), 1)


def _darker(added: Mask, around: Mask, darkness: Floats) -> Mask:
    """Return the parts that are darker than the shadow around them."""
    regions = Regions(dilate(added))
    inner, outer = (
        regions.sums(part * darkness) / np.maximum(regions.sums(part), 1)
        for part in (added, around & ~added)
    )
    is_small = regions.sums(added) < _SMALL * around.sum()
    return added & regions.paint((inner > outer) | is_small)


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
    """Return the greatest change of slope, of the rows and the columns in any channel: (H, W)."""
    bend = np.zeros(values.shape[1:], np.float32)
    for way in (values, values.swapaxes(1, 2)):
        change = np.abs(way[:, 2:] - 2 * way[:, 1:-1] + way[:, :-2]).max(0)
        inner = (bend if way is values else bend.T)[1:-1]
        np.maximum(inner, change, out=inner)
    return bend


def shadow_opacity(colours: Floats, shadow_free: Floats) -> Floats:
    """Return the opacity (H, W) of black that turns the unshadowed backdrop into the real one.

    Both are float32 (3, H, W), 0..255.
    """
    brightness = colours.sum(0) / np.maximum(shadow_free.sum(0), 1)
    opacity = np.clip(1 - brightness, 0, 1)
    return opacity * np.clip(opacity / _FAINT - 1, 0, 1)
