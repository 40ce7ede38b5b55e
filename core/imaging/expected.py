"""What colour to expect on one side of a soft edge: averages, from fine to coarse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Side in pixels of the finest averaging block, and the step between the pixels that are averaged.
# Finer blocks cost time and come out worse: on hair their few certain pixels are noisy.
BLOCK = 8
SKIP = 4
# A block counts as known when at least this much of its area is.
_KNOWN = 0.5
# The weight of a pixel is its certainty, alpha or 1 − alpha, to this power: certain pixels say
# far more about a colour than mixed ones. From 8 to 24, errors on photos change by 2 %
# (``tests/bench/edges.py``); with 8, the colour of an even subject with a wide soft edge is off by
# 5.7 levels instead of 1.6.
_CERTAINTY = 16
# Variances in squared levels: of the most even surface, and of a colour about which nothing is
# known.
_LEAST = 3
_MIXED = 64**2


class Guess(NamedTuple):
    """Expected colours of N pixels.

    Attributes
    ----------
    colours
        Red, green and blue, float32 (N,) each, 0..255.
    variance
        float32 (N,): of each channel, in squared levels.
    """

    colours: list[NDArray[np.float32]]
    variance: NDArray[np.float32]

    def of(self, chosen: NDArray[np.intp]) -> Guess:
        """Return what is expected of some of the pixels."""
        return Guess([channel[chosen] for channel in self.colours], self.variance[chosen])


class Expected(NamedTuple):
    """Colours expected in half blocks; their deviation, and what is added to their variance."""

    fine: NDArray[np.float32] | None
    more: float

    def look_up(self, nearest: NDArray[np.intp], own: list[NDArray[np.float32]]) -> Guess:
        """Return what is expected of N pixels.

        Parameters
        ----------
        nearest
            Flat indices of the half blocks they lie in.
        own
            The picture's red, green and blue, float32 (N,) each.
        """
        if self.fine is None:  # nothing better is known
            return Guess(own, np.full(len(nearest), _MIXED, np.float32))
        *found, deviation = np.take(self.fine, nearest, axis=0).T.copy()
        deviation *= deviation
        deviation += np.float32(self.more)
        return Guess(found, deviation)


def expect(picture: Image.Image, weight: Image.Image) -> Expected:
    """Average the colours of one side, where ``weight`` is high.

    Parameters
    ----------
    picture, weight
        RGB and L, of one size: every ``SKIP``-th pixel of an image.

    Returns
    -------
    Expected
        In half blocks of the image, ceil(H · ``SKIP`` / ``BLOCK``) · 2 rows of them.
    """
    highest = int(np.asarray(weight).max())
    if highest == 0:
        return Expected(None, _MIXED)
    # relative to the most certain pixel there is, so that a faint subject has colours, too
    certainty = [min(level / highest, 1) ** _CERTAINTY for level in range(256)]
    blocks = _average(picture, weight.point([round(255 * share) for share in certainty]))
    fine = _upsample(blocks, 2 * blocks.shape[0], 2 * blocks.shape[1])
    # the less certain that pixel, the more its colour is mixed with the other side's
    return Expected(fine.reshape(-1, 4), _LEAST + _MIXED * (1 - highest / 255))


def _average(picture: Image.Image, weight: Image.Image) -> NDArray[np.float32]:
    """Average the colours by weight in blocks of ``BLOCK``, filling blocks of no weight.

    Returns float32 (ceil(H / BLOCK), ceil(W / BLOCK), 4), 0..255: red, green, blue, and
    their standard deviation.
    """
    w = np.asarray(weight, np.float32)[..., None]
    colours = np.asarray(picture, np.float32)
    sums = np.concatenate([colours, np.einsum("hwc,hwc->hw", colours, colours)[..., None]], 2)
    sums *= w
    for _ in range((BLOCK // SKIP).bit_length() - 1):
        sums, w = _sum_quads(sums), _sum_quads(w)
    sums /= np.maximum(w, 1)
    w /= np.float32(255 * (BLOCK // SKIP) ** 2)
    return _pull_push(_describe(sums), w)


def _describe(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn the means of (R, G, B, R²+G²+B²), in place, into (R, G, B, standard deviation)."""
    squares = np.einsum("hwc,hwc->hw", means[..., :3], means[..., :3])
    means[..., 3] = np.sqrt(np.maximum(means[..., 3] - squares, 0) / 3)
    return means


def _pull_push(colours: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill what has little weight from ever coarser weighted averages.

    ``colours`` is (h, w, 4), see :func:`_average`, ``weight`` (h, w, 1), 0..1.

    The same idea as :func:`.pyramid.fill`, but here the deviation is computed anew from moments
    at each size, and sizes are doubled in 8 bits. In floats, edge colours would change by up to 31
    levels (0.6 on average) and be no better on composites with known F, for 11 % of the time at
    1024² and 3 % at 4096². With the moments themselves in :func:`.pyramid.fill`, the error on the
    lemur, whose colours are known, is 1.98 levels instead of 1.91, though 5.6 instead of 6.8 on
    cut-outs of photos, whose colours are only assumed.
    """
    height, width = weight.shape[:2]
    if max(height, width) == 1:
        return colours
    sums = colours.copy()
    sums[..., 3] = 3 * colours[..., 3] ** 2
    sums[..., 3] += np.einsum("hwc,hwc->hw", colours[..., :3], colours[..., :3])
    total = _sum_quads(weight)
    means = _sum_quads(sums * weight)
    means /= np.maximum(total, np.float32(1e-6))
    coarse = _pull_push(_describe(means), np.minimum(total, 1))
    share: NDArray[np.float32] = np.minimum(weight / np.float32(_KNOWN), 1)
    filled = share * colours
    filled += (1 - share) * _upsample(coarse, height, width)
    return filled


def _sum_quads(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum blocks of 2×2; an odd last row or column stands alone."""
    height, width = values.shape[:2]
    rows: NDArray[np.float32] = values[: height // 2 * 2 : 2] + values[1::2]
    if height % 2:
        rows = np.concatenate([rows, values[-1:]])
    columns: NDArray[np.float32] = rows[:, : width // 2 * 2 : 2] + rows[:, 1::2]
    if width % 2:
        columns = np.concatenate([columns, rows[:, -1:]], axis=1)
    return columns


def _upsample(coarse: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    # 8 bit is enough for a first guess, and lets Pillow take the four channels at once; it
    # would multiply RGBA by its alpha, and leaves the inks of CMYK alone
    levels = (coarse + 0.5).astype(np.uint8)
    picture = Image.frombytes("CMYK", levels.shape[1::-1], levels.tobytes())
    box = (0, 0, width / 2, height / 2)
    fine = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(fine, np.float32)
