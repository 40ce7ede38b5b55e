"""Clean-up of masks: open, smooth, threshold, remove specks, fill, grow, feather.

Arrays are (H, W). Nothing here depends on images or models. scipy comes with pymatting.
"""

from __future__ import annotations

from types import NoneType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import flag, number, whole
from ..errors import needed
from .morphology import dilate, grow, over_cross

LARGEST_RADIUS = 1000
"""Pixels that growing and feathering reach at most."""

# Corners join, or slanting lines of one pixel would fall apart.
_CORNERS = np.ones((3, 3), np.bool_)
# From this alpha on a pixel is nearly opaque, and a network sure of it.
_SURE = 0.9
# Longer side of the pictures in which regions one or two pixels apart are one.
_USUAL_SIDE = 1024
_TILE = 16
_RADIUS = 8  # sigma 2, cut at 4 sigma as scipy's gaussian_filter does


def post_process(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Smooth a mask and make it binary; the same pixels as rembg's ``post_process``.

    A grey opening with a 3×3 cross, a Gaussian of sigma 2, and a threshold at 127. Only
    tiles near an edge can change, so only those are filtered: elsewhere the weighted mean
    lies between the extremes of the neighbourhood and the result is known. Kept on purpose:
    a mask from a network takes 10 ms at 1024² and 107 ms at 4096², where
    ``scipy.ndimage.grey_opening`` and ``gaussian_filter`` take 58 and 1010 ms.

    Parameters
    ----------
    mask
        uint8 (H, W), 0..255.

    Returns
    -------
    ndarray
        uint8 (H, W), 0 or 255.

    References
    ----------
    The steps are those of rembg 2.0.86, after
    https://www.sciencedirect.com/science/article/pii/S2352914821000757.
    """
    opened = over_cross(over_cross(mask, np.minimum), np.maximum)
    height, width = opened.shape
    rows, columns = -(-height // _TILE), -(-width // _TILE)
    padded = np.pad(
        opened,
        (
            (_RADIUS, rows * _TILE - height + _RADIUS),
            (_RADIUS, columns * _TILE - width + _RADIUS),
        ),
        mode="symmetric",  # scipy's default border, called "reflect" there
    )
    low = _tile_extreme(padded, np.minimum)
    high = _tile_extreme(padded, np.maximum)

    result = np.zeros((rows, _TILE, columns, _TILE), np.uint8)
    result[:] = np.where(low >= 128, 255, 0).astype(np.uint8)[:, None, :, None]
    row, column = np.nonzero((low < 128) & (high > 126))
    span = np.arange(_TILE + 2 * _RADIUS)
    for start in range(0, len(row), 1024):  # bounds the memory of the gathered tiles
        r, c = row[start : start + 1024], column[start : start + 1024]
        patches = padded[
            (r * _TILE)[:, None, None] + span[:, None], (c * _TILE)[:, None, None] + span
        ]
        smooth = _gaussian(_gaussian(patches.astype(np.float64), 1), 2)
        result[r, :, c, :] = np.where(smooth < 127, 0, 255).astype(np.uint8)
    return result.reshape(rows * _TILE, columns * _TILE)[:height, :width]


def _tile_extreme(padded: NDArray[np.uint8], extreme: np.ufunc) -> NDArray[np.uint8]:
    """Return the extreme value of each tile and the ``_RADIUS`` pixels around it."""
    # half tiles of _RADIUS pixels, each axis by whole-row operations (reduceat is 10× slower)
    half = padded[::_RADIUS].copy()
    for i in range(1, _RADIUS):
        extreme(half, padded[i::_RADIUS], out=half)
    tall, half = half, half[:, ::_RADIUS].copy()
    for i in range(1, _RADIUS):
        extreme(half, tall[:, i::_RADIUS], out=half)
    # a tile is two half tiles wide, its surroundings one more on either side
    rows = extreme.reduce([half[i : half.shape[0] - 3 + i : 2] for i in range(4)])
    return extreme.reduce([rows[:, i : rows.shape[1] - 3 + i : 2] for i in range(4)])


def _gaussian(patches: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Filter along one axis, which becomes shorter by ``2 * _RADIUS``."""
    weights = np.exp(-0.5 / 4 * np.arange(-_RADIUS, _RADIUS + 1) ** 2)
    weights /= weights.sum()
    length = patches.shape[axis] - 2 * _RADIUS

    def shifted(offset: int) -> NDArray[np.float64]:
        index = [slice(None)] * 3
        index[axis] = slice(_RADIUS + offset, _RADIUS + offset + length)
        return patches[tuple(index)]

    # the order of scipy's sum, so that ties at the threshold fall the same way
    total = shifted(0) * weights[_RADIUS]
    for offset in range(_RADIUS, 0, -1):
        total += (shifted(-offset) + shifted(offset)) * weights[_RADIUS - offset]
    return total


def threshold(alpha: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Make alpha binary: 1 where it is at least ``level`` (0..1)."""
    return (alpha >= level).astype(np.float32)


def remove_specks(alpha: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Set small regions of the foreground to 0, and their soft edges.

    A region's size is how many of its pixels are nearly opaque: of what a network is not sure,
    little counts. So a share of 0.01 takes away a train behind a girl, of which a network sees
    outlines (2.6 % of her pixels, 0.9 % of her opaque ones), and keeps a goldfish in front of
    another (1.8 %, 1.7 %). What is up to two pixels apart, in pictures of 1024, is one region:
    strands of hair, dots and letters.

    Parameters
    ----------
    alpha
        float32 (H, W), 0..1.
    share
        Regions smaller than this share of the largest go, 0..1.
    """
    with needed("scipy", "Removing specks"):
        from scipy import ndimage

    solid = alpha >= 0.5
    step = max(1, round(max(alpha.shape) / _USUAL_SIDE))
    labels, count = ndimage.label(dilate(solid, step), _CORNERS)
    sizes = np.bincount(labels.ravel(), (alpha >= _SURE).ravel(), count + 1)
    is_speck = sizes < share * sizes.max()
    is_speck[0] = False
    if not is_speck.any():
        return alpha
    gone = is_speck[labels] & solid
    # what is soft fades on the way from what stays to what goes: a cut between them would show
    away = ndimage.distance_transform_edt(~_any_of(gone, step))
    away /= np.maximum(away + ndimage.distance_transform_edt(~_any_of(solid & ~gone, step)), 1)
    fade = Image.fromarray(np.clip(2 * away - 0.5, 0, 1).astype(np.float32))
    height, width = alpha.shape
    if step > 1:
        box = (0, 0, width / step, height / step)
        fade = fade.resize((width, height), Image.Resampling.BILINEAR, box)
    return np.where(solid, np.where(gone, np.float32(0), alpha), alpha * np.asarray(fade))


def _any_of(region: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Return whether there is any of a region (H, W) in each square of ``step`` pixels."""
    if step == 1:
        return region
    height, width = region.shape
    whole = np.pad(region, ((0, -height % step), (0, -width % step)))
    squares = whole.reshape(whole.shape[0] // step, step, -1, step)
    return np.logical_or.reduce(squares, axis=(1, 3))


def fill_holes(alpha: NDArray[np.float32], share: float | None = None) -> NDArray[np.float32]:
    """Set regions below 0.5 that do not touch the border of the image to 1.

    Parameters
    ----------
    alpha
        float32 (H, W), 0..1.
    share
        Fill only those with fewer pixels than this share of the largest region of the
        foreground; None fills them all.
    """
    with needed("scipy", "Filling holes"):
        from scipy import ndimage

    solid = alpha >= 0.5
    holes = ndimage.binary_fill_holes(solid) & ~solid
    if share is not None and holes.any():
        regions, _ = ndimage.label(solid, _CORNERS)
        largest = np.bincount(regions.ravel())[1:].max()
        labels, _ = ndimage.label(holes)
        holes &= (np.bincount(labels.ravel()) < share * largest)[labels]
    if not holes.any():
        return alpha
    # the soft rim of a hole goes with it: what is nearer to the hole than to the outside
    nearest = ndimage.distance_transform_edt(solid, return_distances=False, return_indices=True)
    return np.where(holes[tuple(nearest)], np.float32(1), alpha)


def keep_largest(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set everything to 0 but the largest region of alpha ≥ 0.5 and its soft edge."""
    with needed("scipy", "Keeping the largest region"):
        from scipy import ndimage

    labels, count = ndimage.label(alpha >= 0.5, _CORNERS)
    if count <= 1:
        return alpha
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    # a soft edge pixel belongs to the nearest solid region
    soft = (alpha > 0) & (labels == 0)
    if soft.any():
        nearest = ndimage.distance_transform_edt(
            labels == 0, return_distances=False, return_indices=True
        )
        labels = labels[tuple(nearest)]
    return np.where(labels == largest, alpha, np.float32(0))


def feather(alpha: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Blur the edge with a Gaussian of ``radius`` pixels."""
    if radius <= 0:
        return alpha
    with needed("scipy", "Feathering"):
        from scipy import ndimage

    return ndimage.gaussian_filter(alpha, radius)


def refine(
    alpha: NDArray[np.float32],
    *,
    level: float | None = None,
    grow_pixels: int = 0,
    specks: float = 0.0,
    holes: bool | float = False,
    largest: bool = False,
    feather_radius: float = 0.0,
) -> NDArray[np.float32]:
    """Apply the clean-up steps in their useful order.

    Threshold, remove specks, keep the largest region, fill holes, grow, feather.

    Parameters
    ----------
    alpha
        float32 (H, W), 0..1.
    level
        Threshold 0..1, or None to keep soft values.
    grow_pixels
        Positive grows, negative shrinks; up to ``LARGEST_RADIUS`` either way.
    specks
        Remove regions smaller than this share of the largest, 0..1, see :func:`remove_specks`.
    holes
        True, or 1, fills all holes; a number below those smaller than this share of the largest
        region.
    largest
        Keep only the largest region.
    feather_radius
        Sigma of the blur in pixels, 0 to ``LARGEST_RADIUS``.

    Raises
    ------
    OptionError
        If one is of another type or out of range.
    """
    if level is not None:
        number("threshold", level, 0, 1)
    whole("grow", grow_pixels, -LARGEST_RADIUS, LARGEST_RADIUS)
    check_cleaning(specks, holes)
    flag("keep_largest", largest)
    number("feather", feather_radius, 0, LARGEST_RADIUS)
    if level is not None:
        alpha = threshold(alpha, level)
    if specks:
        alpha = remove_specks(alpha, specks)
    if largest:
        alpha = keep_largest(alpha)
    if holes:
        alpha = fill_holes(alpha, None if holes == 1 else holes)
    if grow_pixels:
        alpha = grow(alpha, grow_pixels)
    return feather(alpha, feather_radius)


def check_cleaning(specks: float, holes: bool | float | None) -> None:
    """Raise OptionError where one of these arguments of :func:`refine` makes no sense."""
    number("remove_specks", specks, 0, 1)
    if not isinstance(holes, (bool, np.bool_, NoneType)):
        number("fill_holes", holes, 0, 1)
