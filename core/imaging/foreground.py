"""Foreground colours of soft edges, without a solver and without a compiler."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .levels import OPAQUE, VISIBLE
from .rows import CACHED, map_rows

# Side in pixels of the finest averaging block, and the step between the pixels that are averaged.
# Finer blocks cost time and come out worse: on hair their few certain pixels are noisy.
_BLOCK = 8
_SKIP = 4
# Pixels around the soft edges in which certain colours are looked for.
_MARGIN = 64
# A block counts as known when at least this much of its area is.
_KNOWN = 0.5
# The weight of a pixel is its certainty, alpha or 1 − alpha, to this power: certain pixels say
# far more about a colour than mixed ones.
_CERTAINTY = 16
# Variances in squared levels: of the most even surface, of an image's noise, and of a colour
# about which nothing is known.
_LEAST = 3
_NOISE = 1
_MIXED = 64**2
# A colour may differ from the expected one by so many standard deviations plus so many levels;
# beyond that it is alpha that is wrong. For masks, and for alpha that was solved from the colours.
_FARTHEST = {False: (2, 8), True: (3, 16)}
# The work of a soft pixel, in simple operations.
_WORK = 16


class EdgeColours(NamedTuple):
    """Foreground colours of the pixels that are neither invisible nor as good as opaque.

    Attributes
    ----------
    pixels
        Flat indices of the N pixels.
    colours
        float32 (N, 3), 0..255, straight.
    """

    pixels: NDArray[np.intp]
    colours: NDArray[np.float32]


def estimate_edge_colours(
    image: NDArray[np.uint8], alpha: NDArray[np.float32], *, solved: bool = False
) -> EdgeColours:
    """Estimate the foreground colour F in I = αF + (1−α)B where it is not known.

    Certain colours around a pixel, averaged in blocks from fine to coarse, predict F and B
    there: F̂ and B̂, and how far colours scatter about them, σF² and σB². What this leaves
    unexplained of the pixel, r = I − αF̂ − (1−α)B̂, is shared between F and B in the most
    probable way:

        F = F̂ + α σF² / (α² σF² + (1−α)² σB² + σI²) · r

    This is the maximum of a Gaussian posterior with fixed α. Over an even background, whose
    colour is known, F comes out exactly; an even subject keeps its colour. The change is
    limited to two or three standard deviations: where it would be greater, α is wrong (masks
    of networks are, by pixels), and F would take on the colour of the background, a halo.
    The multi-level method shares r equally and then smooths F; on composites with known F
    (``tests/bench/matting.py``) its colours are farther off, and it needs a compiler.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    alpha
        float32 (H, W), 0..1.
    solved
        Whether alpha was solved from this image, as by alpha matting, and so fits its colours;
        a mask may be off by some pixels.

    References
    ----------
    Gaussian models of F and B: Chuang, Curless, Salesin, Szeliski: A Bayesian Approach to
    Digital Matting, 2001.
    Fill from coarser averages: pull-push, Gortler et al.: The Lumigraph, 1996.
    Equal shares: Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation,
    2020.
    """
    height, width = alpha.shape

    def soft(top: int, bottom: int) -> NDArray[np.intp]:
        part = alpha[top:bottom]
        return np.flatnonzero((part >= VISIBLE) & (part < OPAQUE)) + top * width

    pixels = np.concatenate(map_rows(soft, height, height * width))
    if len(pixels) == 0:
        return EdgeColours(pixels, np.empty((0, 3), np.float32))

    def ends(first: int, last: int) -> tuple[int, int]:
        columns = pixels[first:last] % width
        return int(columns.min()), int(columns.max())

    # only the soft pixels and their surroundings are needed, and every _SKIP-th pixel of these
    # gives as good an average as all
    lefts, rights = zip(*map_rows(ends, len(pixels), len(pixels), CACHED), strict=True)
    top, left = max(0, int(pixels[0]) // width - _MARGIN), max(0, min(lefts) - _MARGIN)
    near_y = slice(top, int(pixels[-1]) // width + 1 + _MARGIN, _SKIP)
    near_x = slice(left, max(rights) + 1 + _MARGIN, _SKIP)
    picture = Image.fromarray(np.ascontiguousarray(image[near_y, near_x]))
    weight = Image.fromarray((alpha[near_y, near_x] * 255 + 0.5).astype(np.uint8))
    f = _expect(picture, weight)
    b = _expect(picture, weight.point([255 - level for level in range(256)]))
    # averages are interpolated to half blocks, of which the nearest is exact enough
    half = _BLOCK // 2
    fine_width = 2 * -(-picture.width * _SKIP // _BLOCK)
    levels, alphas = image.reshape(-1, 3), alpha.reshape(-1)
    deviations, slack = _FARTHEST[solved]
    result = np.empty((len(pixels), 3), np.float32)

    def colour(first: int, last: int) -> None:
        at = pixels[first:last]
        rows, columns = np.divmod(at, width)
        nearest = (rows - top) // half * fine_width + (columns - left) // half
        # channel by channel: numpy is slow where the last axis is short
        own = list(np.take(levels, at, axis=0).T.astype(np.float32, order="C"))
        near_f, spread_f = f.look_up(nearest, own)
        near_b, spread_b = b.look_up(nearest, own)
        a = np.take(alphas, at)
        share = a * spread_f
        share /= a * share + (1 - a) ** 2 * spread_b + _NOISE
        farthest = deviations * np.sqrt(spread_f) + np.float32(slack)
        for channel, (seen, front, back) in enumerate(zip(own, near_f, near_b, strict=True)):
            change = (seen - back + a * (back - front)) * share  # seen − αF̂ − (1−α)B̂
            np.clip(change, -farthest, farthest, out=change)
            change += front
            np.clip(change, 0, 255, out=result[first:last, channel])

    # in blocks: a picture that is soft all over would take a hundred bytes for each pixel
    map_rows(colour, len(pixels), _WORK * len(pixels), CACHED)
    return EdgeColours(pixels, result)


class _Expected(NamedTuple):
    """Colours expected in half blocks; their deviation, and what is added to their variance."""

    fine: NDArray[np.float32] | None
    more: float

    def look_up(
        self, nearest: NDArray[np.intp], own: list[NDArray[np.float32]]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the expected red, green and blue, (N,) each, and their variance."""
        if self.fine is None:
            return own, np.full(len(nearest), _MIXED, np.float32)  # nothing better is known
        *found, deviation = np.take(self.fine, nearest, axis=0).T.copy()
        return found, deviation**2 + np.float32(self.more)


def _expect(picture: Image.Image, weight: Image.Image) -> _Expected:
    """Average the colours of one side, where ``weight`` is high."""
    highest = int(np.asarray(weight).max())
    if highest == 0:
        return _Expected(None, _MIXED)
    # relative to the most certain pixel there is, so that a faint subject has colours, too
    certainty = [min(level / highest, 1) ** _CERTAINTY for level in range(256)]
    blocks = _average(picture, weight.point([round(255 * share) for share in certainty]))
    fine = _upsample(blocks, 2 * blocks.shape[0], 2 * blocks.shape[1])
    # the less certain that pixel, the more its colour is mixed with the other side's
    return _Expected(fine.reshape(-1, 4), _LEAST + _MIXED * (1 - highest / 255))


def _average(picture: Image.Image, weight: Image.Image) -> NDArray[np.float32]:
    """Average the colours by weight in blocks of ``_BLOCK``, filling blocks of no weight.

    Returns float32 (ceil(H / _BLOCK), ceil(W / _BLOCK), 4), 0..255: red, green, blue, and
    their standard deviation.
    """
    w = np.asarray(weight, np.float32)[..., None]
    colours = np.asarray(picture, np.float32)
    sums = np.concatenate([colours, np.einsum("hwc,hwc->hw", colours, colours)[..., None]], 2)
    sums *= w
    for _ in range((_BLOCK // _SKIP).bit_length() - 1):
        sums, w = _sum_quads(sums), _sum_quads(w)
    sums /= np.maximum(w, 1)
    w /= np.float32(255 * (_BLOCK // _SKIP) ** 2)
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
