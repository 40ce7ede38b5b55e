"""Foreground colours of soft edges, without a solver and without a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .expected import BLOCK, SKIP, Guess, expect
from .levels import OPAQUE, VISIBLE
from .rows import CACHED, map_rows

Channels = list[NDArray[np.float32]]

# Pixels around the soft edges in which certain colours are looked for.
_MARGIN = 64
# Variance of an image's noise, in squared levels.
_NOISE = 1
# In a cut-out with a mask, a colour that differs from the expected one by more than so many
# standard deviations plus so many levels may be the background's: the mask may be too wide. That
# is beyond 95 % of what scatters as expected, and beyond what JPEG and averages in 8 bits add.
_DEVIATIONS, _SLACK = 2, 8
# Edges that were sharpened overshoot by so much of their contrast: by 0.2 to 0.34 after an unsharp
# mask of 2 px and 100 to 150 % on an edge as soft as a camera's (Gaussian, 0.5 to 0.7 px). With
# less, what is brighter than the background beside a dark subject stays as a rim.
_OVERSHOOT = 0.3
# A mask's alpha is doubted down to the lowest value so many pixels away. With 2, a dark subject
# whose mask is 3 px too wide keeps more of a light rim; with 4, a fifth more of the nearly opaque
# pixels of photos have colours that no background explains.
_REACH = 3
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
    colour is known, F comes out exactly; an even subject keeps its colour. F is held to what
    some background between black and white explains, 255 − (255 − I)/α ≤ F ≤ I/α: what is
    nearly opaque keeps the picture's colour.

    The alpha of a mask may be wrong, by pixels; where it is too great, F takes on the colour of
    the background, a halo. :func:`_hold_back` says where, and keeps F near F̂ there.

    The multi-level method shares r equally and then smooths F; it needs a compiler.
    ``tests/bench/edges.py`` compares them.

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

    # only the soft pixels and their surroundings are needed, and every SKIP-th pixel of these
    # gives as good an average as all
    lefts, rights = zip(*map_rows(ends, len(pixels), len(pixels), CACHED), strict=True)
    top, left = max(0, int(pixels[0]) // width - _MARGIN), max(0, min(lefts) - _MARGIN)
    near_y = slice(top, int(pixels[-1]) // width + 1 + _MARGIN, SKIP)
    near_x = slice(left, max(rights) + 1 + _MARGIN, SKIP)
    picture = Image.fromarray(np.ascontiguousarray(image[near_y, near_x]))
    weight = Image.fromarray((alpha[near_y, near_x] * 255 + 0.5).astype(np.uint8))
    f = expect(picture, weight)
    b = expect(picture, weight.point([255 - level for level in range(256)]))
    # averages are interpolated to half blocks, of which the nearest is exact enough
    half = BLOCK // 2
    fine_width = 2 * -(-picture.width * SKIP // BLOCK)
    levels, alphas = image.reshape(-1, 3), alpha.reshape(-1)
    result = np.empty((len(pixels), 3), np.float32)

    def colour(first: int, last: int) -> None:
        at = pixels[first:last]
        rows, columns = np.divmod(at, width)
        nearest = (rows - top) // half * fine_width + (columns - left) // half
        # channel by channel: numpy is slow where the last axis is short
        own = list(np.take(levels, at, axis=0).T.astype(np.float32, order="C"))
        front, back = f.look_up(nearest, own), b.look_up(nearest, own)
        a = np.take(alphas, at)
        found = _most_probable(own, a, front, back)
        if not solved:
            _hold_back(found, own, a, front, back, lambda some: _lowest_near(alpha, at[some]))
        for channel, values in enumerate(found):
            result[first:last, channel] = values

    # in blocks: a picture that is soft all over would take a hundred bytes for each pixel
    map_rows(colour, len(pixels), _WORK * len(pixels), CACHED)
    return EdgeColours(pixels, result)


def _most_probable(
    own: Channels, alpha: NDArray[np.float32], front: Guess, back: Guess
) -> Channels:
    """Return the most probable foregrounds, of those that obey the compositing equation."""
    share = alpha * front.variance
    share /= alpha * share + (1 - alpha) ** 2 * back.variance + _NOISE
    per_alpha = 1 / alpha
    room = 255 * (per_alpha - 1)
    found: Channels = []
    for seen, f, b in zip(own, front.colours, back.colours, strict=True):
        colour = b - f
        colour *= alpha
        colour += seen
        colour -= b  # I − αF̂ − (1−α)B̂
        colour *= share
        colour += f
        # I/α, with black behind, and less than that by (1−α)/α · 255, with white
        highest = seen * per_alpha
        np.minimum(colour, highest, out=colour)
        highest -= room
        np.maximum(colour, highest, out=colour)
        found.append(np.clip(colour, 0, 255, out=colour))
    return found


def _hold_back(
    found: Channels,
    own: Channels,
    alpha: NDArray[np.float32],
    front: Guess,
    back: Guess,
    lowest_near: Callable[[NDArray[np.intp]], NDArray[np.float32]],
) -> None:
    """Take out of the colours what is the background's where a mask is too wide.

    Let m be by how much a colour J is off the expected F̂, in its farthest channel. Nothing is
    done up to m = far, two standard deviations and some levels. Beyond, F = F̂ + k (J − F̂), with
    one k for all channels, since each by itself would change the hue. k is 1 unless two things
    are so:

    - The surroundings allow that alpha is too great. Let a be the lowest alpha near the pixel
      and k₀ = far / m: then at least k₀ + (1 − k₀) a is kept, and what the compositing equation
      would demand if alpha were a. So inside a subject, where a is 1, F = J.
    - The pixel looks like it. If alpha is too great by δ, then r = δ (B̂ − F̂) but for scatter.
      For the δ that comes nearest, of 0..α,

        χ² = |r − δ (B̂ − F̂)|² / ((α−δ)² σF² + (1−α+δ)² σB² + σI² + s² |B̂ − F̂|² / 3)

      says how badly it does, where s is how far sharpened edges overshoot. Of 1 − k, only
      1 / (1 + χ²) is left: highlights, outlines and patterns lead elsewhere than to the
      background, and stay.

    Parameters
    ----------
    found
        J, changed in place.
    own
        The picture's colours I.
    alpha
        float32 (N,), > 0..1.
    front, back
        F̂ and σF², B̂ and σB².
    lowest_near
        Returns the lowest alpha around some of the N pixels.
    """
    most = np.zeros_like(alpha)
    for colour, f in zip(found, front.colours, strict=True):
        np.maximum(most, np.abs(colour - f), out=most)
    far = _DEVIATIONS * np.sqrt(front.variance) + np.float32(_SLACK)
    at = np.flatnonzero(most > far)
    if len(at) == 0:
        return
    own, alpha, front, back = [seen[at] for seen in own], alpha[at], front.of(at), back.of(at)
    change: Channels = [colour[at] - f for colour, f in zip(found, front.colours, strict=True)]
    least = lowest_near(at)
    kept: NDArray[np.float32] = far[at] / most[at]
    kept += (1 - kept) * least
    np.maximum(kept, _demanded(own, least, front.colours, change), out=kept)
    chi = _unlike_background(own, alpha, front, back)
    # 1 − (1 − k) / (1 + χ²)
    kept += chi
    kept /= 1 + chi
    np.minimum(kept, 1, out=kept)
    for colour, f, each in zip(found, front.colours, change, strict=True):
        colour[at] = f + kept * each


def _demanded(
    own: Channels, alpha: NDArray[np.float32], front: Channels, change: Channels
) -> NDArray[np.float32]:
    """Return how much of the changes from F̂ the compositing equation demands, 0..1."""
    per_alpha = 1 / np.maximum(alpha, np.float32(VISIBLE))
    room = 255 * (per_alpha - 1)
    most = np.zeros(len(alpha), np.float32)
    for seen, f, each in zip(own, front, change, strict=True):
        highest = seen * per_alpha
        beyond = np.maximum(f - highest, highest - room - f)
        # a channel that does not change obeys as it is
        beyond /= np.maximum(np.abs(each), np.float32(1e-3))
        np.maximum(most, beyond, out=most)
    most *= alpha >= VISIBLE  # what is not seen may have any colour
    return np.minimum(most, 1, out=most)


def _unlike_background(
    own: Channels, alpha: NDArray[np.float32], front: Guess, back: Guess
) -> NDArray[np.float32]:
    """Return χ²: how badly more of the background explains the pixels."""
    ways: Channels = []
    rests: Channels = []
    for seen, f, b in zip(own, front.colours, back.colours, strict=True):
        way: NDArray[np.float32] = b - f
        rest = alpha * way
        rest += seen
        rest -= b  # r = I − αF̂ − (1−α)B̂
        ways.append(way)
        rests.append(rest)
    contrast = _dot(ways, ways)
    excess = np.clip(_dot(rests, ways) / np.maximum(contrast, 1), 0, alpha)
    for rest, way in zip(rests, ways, strict=True):
        rest -= excess * way
    true = alpha - excess
    expected = true**2 * front.variance + (1 - true) ** 2 * back.variance + _NOISE
    expected += np.float32(_OVERSHOOT**2 / 3) * contrast  # mean of three channels
    chi = _dot(rests, rests)
    chi /= expected
    return chi


def _dot(x: Channels, y: Channels) -> NDArray[np.float32]:
    """Return the scalar products (N,) of colours."""
    total = x[0] * y[0]
    total += x[1] * y[1]
    total += x[2] * y[2]
    return total


def _lowest_near(alpha: NDArray[np.float32], pixels: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the lowest alpha at pixels, flat indices, and at eight others around each."""
    height, width = alpha.shape
    flat = alpha.reshape(-1)
    rows, columns = np.divmod(pixels, width)
    least = np.take(flat, pixels)
    for down in (-_REACH, 0, _REACH):
        start: NDArray[np.intp] = np.clip(rows + down, 0, height - 1) * width
        for across in (-_REACH, 0, _REACH):
            column: NDArray[np.intp] = np.clip(columns + across, 0, width - 1)
            np.minimum(least, np.take(flat, start + column), out=least)
    return least
