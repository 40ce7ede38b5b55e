"""How well alpha explains an image: which of two is the likelier, by the colours around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.expected import BLOCK, SKIP, Guess, expect
from ..imaging.rows import CACHED, map_rows

# Variance of an image's noise and of JPEG's, in squared levels. With 4 the choice is the same.
_NOISE = 16
# A pixel counts no more than this, so that few odd ones decide nothing: with 15 the choice is no
# better than always the same, with 30 it gains an eighth less, and with 200 a third less.
_MOST = 60
# The work of a pixel, in simple operations.
_WORK = 32


def likelier_by(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    alpha: NDArray[np.float32],
    other: NDArray[np.float32],
) -> float:
    """Return by how much likelier alpha makes an image than another alpha does.

    Where the trimap is certain, colours are averaged into F̂ and B̂, with their variances σF² and
    σB², see :mod:`.imaging.expected`. A pixel of colour I and alpha α then has the likelihood of
    a Gaussian of mean αF̂ + (1−α)B̂ and variance α²σF² + (1−α)²σB² + σI² in each channel.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1.
    alpha, other
        float32 (H, W), 0..1.

    Returns
    -------
    float
        Twice the logarithm of the ratio, on average over the unknown pixels; 0 without any.

    References
    ----------
    Chuang, Curless, Salesin, Szeliski: A Bayesian Approach to Digital Matting, 2001.
    """
    pixels = np.flatnonzero(trimap == 0.5)
    if len(pixels) == 0:
        return 0.0
    width = trimap.shape[1]
    picture = Image.fromarray(np.ascontiguousarray(image[::SKIP, ::SKIP]))
    part = trimap[::SKIP, ::SKIP]
    front = expect(picture, Image.fromarray(np.uint8(255) * (part == 1)))
    back = expect(picture, Image.fromarray(np.uint8(255) * (part == 0)))
    half = BLOCK // 2
    fine_width = 2 * -(-picture.width * SKIP // BLOCK)
    levels = image.reshape(-1, 3)

    def compare(block: int, _: int) -> float:
        at = pixels[block * CACHED : (block + 1) * CACHED]
        rows, columns = np.divmod(at, width)
        nearest = rows // half * fine_width + columns // half
        own = list(np.take(levels, at, axis=0).T.astype(np.float32, order="C"))
        f, b = front.look_up(nearest, own), back.look_up(nearest, own)
        cost = [_cost(own, np.take(each.reshape(-1), at), f, b) for each in (other, alpha)]
        return float((cost[0] - cost[1]).sum())

    # blocks that do not depend on the number of threads, so that the sum does not either
    blocks = -(-len(pixels) // CACHED)
    return sum(map_rows(compare, blocks, _WORK * len(pixels), 1)) / len(pixels)


def _cost(
    own: list[NDArray[np.float32]], alpha: NDArray[np.float32], front: Guess, back: Guess
) -> NDArray[np.float32]:
    """Return minus twice the logarithm of the likelihood of pixels, without constant terms."""
    rest = 1 - alpha
    variance = alpha**2 * front.variance + rest**2 * back.variance + np.float32(_NOISE)
    squares = np.zeros_like(alpha)
    for seen, f, b in zip(own, front.colours, back.colours, strict=True):
        squares += (seen - alpha * f - rest * b) ** 2
    return np.minimum(squares / variance + 3 * np.log(variance), np.float32(_MOST))
