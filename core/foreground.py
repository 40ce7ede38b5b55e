"""Foreground colours of soft edges, without a solver and without a compiler."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .bands import in_bands

# Side of the finest averaging block, and the step between the pixels that are averaged.
# Finer ones cost time and come out worse: on hair their few certain pixels are noisy.
_BLOCK = 8
_SKIP = 4
# Pixels around the soft edges that are looked at for certain colours.
_MARGIN = 64
# A block counts as known when at least this much of its area is.
_KNOWN = 0.5
# Certain pixels say far more about a colour than mixed ones.
_CERTAINTY = 8

# Alpha below one level of 8 bit is 0 in the files that ComfyUI writes, which cuts fractions
# off: nothing of the pixel is seen.
VISIBLE = 1 / 255
# From here on the picture's own colour is right to the level of 8 bit. Networks seldom say
# exactly 1 inside a subject.
OPAQUE = 253.5 / 255


Band = tuple[NDArray[np.intp], NDArray[np.float32]]
"""Flat indices of N pixels, and their foreground colours, float32 (N, 3), 0..255."""


def estimate_foreground(
    image: NDArray[np.uint8], alpha: NDArray[np.float32], band: Band | None = None
) -> NDArray[np.uint8]:
    """Estimate the foreground colour F of a whole picture.

    Where alpha is 1, or as good as 1 in 8 bit, the picture's own colour is copied bit for
    bit; where alpha is below one level the result is black, so that a cut-out keeps no
    hidden background.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    alpha
        float32 (H, W), 0..1.
    band
        Foreground colours where they are known better; None estimates them.

    Returns
    -------
    ndarray
        uint8 (H, W, 3), straight colours.
    """
    result = image * (alpha >= VISIBLE)[..., None]
    pixels, colours = estimate_band(image, alpha) if band is None else band
    result.reshape(-1, 3)[pixels] = (colours + 0.5).astype(np.uint8)
    return result


def estimate_band(image: NDArray[np.uint8], alpha: NDArray[np.float32]) -> Band:
    """Estimate the foreground colour F in I = αF + (1−α)B where it is not known.

    F and B start as averages of the nearest surely known colours, from fine to coarse
    blocks, and the rest of the composition equation is given to F in proportion to α.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    alpha
        float32 (H, W), 0..1.

    Returns
    -------
    band
        Flat indices of the N pixels whose alpha is neither invisible nor as good as 1.
    colours
        float32 (N, 3), 0..255, straight.

    References
    ----------
    Fill from coarser averages: pull-push, Gortler et al., The Lumigraph, 1996.
    Last step: equation 7 of Forte, Approximate Fast Foreground Colour Estimation, 2021.
    """
    height, width = alpha.shape

    def soft(top: int, bottom: int) -> NDArray[np.intp]:
        part = alpha[top:bottom]
        return np.flatnonzero((part >= VISIBLE) & (part < OPAQUE)) + top * width

    band = np.concatenate(in_bands(soft, height, height * width))
    if len(band) == 0:
        return band, np.empty((0, 3), np.float32)
    rows, columns = np.divmod(band, width)
    # what follows needs only the soft pixels and their surroundings, and of those a few say
    # as much about an average as all
    top, left = max(0, rows[0] - _MARGIN), max(0, columns.min() - _MARGIN)
    near_y = slice(top, rows[-1] + 1 + _MARGIN, _SKIP)
    near_x = slice(left, columns.max() + 1 + _MARGIN, _SKIP)
    picture = Image.fromarray(np.ascontiguousarray(image[near_y, near_x]))
    weight = Image.fromarray((alpha[near_y, near_x] * 255 + 0.5).astype(np.uint8))
    # averages are interpolated to half blocks, then the nearest will do
    half = _BLOCK // 2
    fine_width = 2 * -(-picture.width * _SKIP // _BLOCK)
    nearest = (rows - top) // half * fine_width + (columns - left) // half

    own = image.reshape(-1, 3)[band].astype(np.float32)

    def near(weight: Image.Image) -> NDArray[np.float32]:
        highest = int(np.asarray(weight).max())
        if highest == 0:
            return own  # nothing better is known
        # by the most certain pixel there is: a faint subject is known by its own colours
        certainty = [min(level / highest, 1) ** _CERTAINTY for level in range(256)]
        blocks = _average(picture, weight.point([round(255 * share) for share in certainty]))
        fine = _upsample(blocks, 2 * blocks.shape[0], fine_width)
        return fine.reshape(-1, 3)[nearest]

    near_f, near_b = near(weight), near(weight.point([255 - level for level in range(256)]))
    a = alpha.ravel()[band, None]
    # F̂ + α (I − αF̂ − (1−α)B̂)
    colours = own - near_b
    colours += a * (near_b - near_f)
    colours *= a
    colours += near_f
    return band, np.clip(colours, 0, 255, out=colours)


def _average(picture: Image.Image, weight: Image.Image) -> NDArray[np.float32]:
    """Average the colours by weight in blocks of ``_BLOCK``, filling blocks of no weight.

    Returns float32 (ceil(H / _BLOCK), ceil(W / _BLOCK), 3), 0..255.
    """
    weighted = picture.copy()
    weighted.putalpha(weight)
    # Pillow averages RGBA with premultiplied colours, which is the weighted mean
    blocks = np.asarray(weighted.reduce(_BLOCK // _SKIP), np.float32)
    return _pull_push(blocks[..., :3], blocks[..., 3] / 255)


def _pull_push(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill what has little weight from ever coarser weighted averages."""
    height, width = weight.shape
    if max(height, width) == 1:
        return colour
    pad = ((0, height % 2), (0, width % 2))
    w = np.pad(weight, pad)[..., None]
    c = np.pad(colour, (*pad, (0, 0))) * w
    total = w[::2, ::2] + w[1::2, ::2] + w[::2, 1::2] + w[1::2, 1::2]
    sums = c[::2, ::2] + c[1::2, ::2] + c[::2, 1::2] + c[1::2, 1::2]
    coarse = _pull_push(sums / np.maximum(total, 1e-6), np.minimum(total[..., 0], 1))
    filled = _upsample(coarse, height, width)
    share = np.minimum(weight / _KNOWN, 1)[..., None]
    return share * colour + (1 - share) * filled


def _upsample(coarse: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    # 8 bit is enough for a first guess, and lets Pillow take the three channels at once
    levels = Image.fromarray((coarse + 0.5).astype(np.uint8))
    box = (0, 0, width / 2, height / 2)
    fine = levels.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(fine, np.float32)
