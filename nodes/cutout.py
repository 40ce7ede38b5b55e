"""From a layer to a cut-out: what the nodes do with the pixels of one picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.imaging.bleed import bleed
from ..core.imaging.levels import VISIBLE
from ..core.imaging.rows import cached_rows, map_rows
from ..core.layers import edge_colours_of
from ..core.session.protocol import Layer


def limit(alpha: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return alpha, at most as opaque as a picture (H, W, 3 or 4) was: what is gone stays so."""
    return alpha if image.shape[-1] == 3 else np.minimum(alpha, np.clip(image[..., 3], 0, 1))


def cut_out(
    image: NDArray[np.float32],
    levels: NDArray[np.uint8],
    layer: Layer,
    edge_colours: str,
    out: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Write the colours of one picture to ``out``, straight, and return its alpha (H, W).

    Edge colours follow the layer's alpha; an alpha channel that the picture had already
    only limits the result, because its colours are straight.
    Colour is cleared where alpha is below one level of 8 bit, so that dropping alpha later
    does not bring the old background back.

    Parameters
    ----------
    image
        float32 (H, W, 3 or 4), 0..1.
    levels
        uint8 (H, W, 3), see :func:`.convert.to_levels`.
    edge_colours
        One of :data:`core.pipeline.EDGE_COLOURS`.
    out
        (H, W, 4): takes alpha, too, and what is not seen beside the edge gets the foreground's
        colour, see :func:`core.imaging.bleed.bleed`. (H, W, 3): the colours alone.
    """
    alpha = limit(layer.alpha, image)
    height, width = levels.shape[:2]
    is_whole = out.shape[2] == 4

    def write(top: int, bottom: int) -> None:
        rows = slice(top, bottom)
        weight = alpha[rows]
        if is_whole:
            out[rows, :, 3] = weight
        if edge_colours != "naive":
            weight = (weight >= VISIBLE).astype(np.float32)
        for channel in range(3):  # numpy is slow where the last axis is short
            np.multiply(image[rows, :, channel], weight, out=out[rows, :, channel])

    map_rows(write, height, height * width, cached_rows(width))
    if edge_colours == "estimated":
        pixels, colours = edge_colours_of(levels, layer)
        if alpha is not layer.alpha:
            seen = alpha.ravel()[pixels] >= VISIBLE
            pixels, colours = pixels[seen], colours[seen]
        out.reshape(-1, out.shape[2])[pixels, :3] = colours / 255
    if is_whole and edge_colours != "naive":
        bleed(out, from_certain=edge_colours == "original", alpha=alpha)
    return alpha


def put_over(
    cutout: NDArray[np.float32], alpha: NDArray[np.float32], colour: tuple[int, int, int, int]
) -> None:
    """Put a straight cut-out (H, W, 3) over a colour, in place.

    Where the colour is half-transparent it is (H, W, 4), and stays straight.
    """
    height, width = alpha.shape
    opacity = np.float32(colour[3] / 255)

    def write(top: int, bottom: int) -> None:
        rows = slice(top, bottom)
        share = alpha[rows] * (alpha[rows] >= VISIBLE)  # else haze would dim a white by a level
        if cutout.shape[2] == 4:
            total = share + opacity * (1 - share)
            share /= np.maximum(total, np.float32(1e-6))
            cutout[rows, :, 3] = total
        for channel in range(3):
            behind = np.float32(colour[channel] / 255)
            mix = cutout[rows, :, channel] - behind
            mix *= share
            np.add(mix, behind, out=cutout[rows, :, channel])

    map_rows(write, height, height * width, cached_rows(width))
