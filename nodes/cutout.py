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
) -> None:
    """Write the colours of one picture and alpha to ``out``, (H, W, 4), straight alpha.

    Edge colours follow the layer's alpha; an alpha channel that the picture had already
    only limits the result, because its colours are straight.
    Colour is cleared where alpha is below one level of 8 bit, so that dropping alpha later
    does not bring the old background back; beside the edge it is the foreground's, see
    :func:`core.imaging.bleed.bleed`.

    Parameters
    ----------
    image
        float32 (H, W, 3 or 4), 0..1.
    levels
        uint8 (H, W, 3), see :func:`.convert.to_levels`.
    edge_colours
        One of :data:`core.pipeline.EDGE_COLOURS`.
    """
    limited = limit(layer.alpha, image)
    height, width = levels.shape[:2]

    def write(top: int, bottom: int) -> None:
        rows = slice(top, bottom)
        weight = limited[rows]
        out[rows, :, 3] = weight
        if edge_colours != "naive":
            weight = (weight >= VISIBLE).astype(np.float32)
        for channel in range(3):  # numpy is slow where the last axis is short
            np.multiply(image[rows, :, channel], weight, out=out[rows, :, channel])

    map_rows(write, height, height * width, cached_rows(width))
    if edge_colours == "naive":
        return
    if edge_colours == "estimated":
        pixels, colours = edge_colours_of(levels, layer)
        if limited is not layer.alpha:
            seen = limited.ravel()[pixels] >= VISIBLE
            pixels, colours = pixels[seen], colours[seen]
        out.reshape(-1, 4)[pixels, :3] = colours / 255
    bleed(out, from_certain=edge_colours == "original", alpha=limited)


def over(
    cutout: NDArray[np.float32], colour: tuple[int, int, int, int], out: NDArray[np.float32]
) -> None:
    """Put a straight cut-out (H, W, 4) over a colour; write to ``out``.

    That is (H, W, 3), or (H, W, 4), straight, where the colour is half-transparent.
    """
    height, width = cutout.shape[:2]
    opacity = np.float32(colour[3] / 255)

    def write(top: int, bottom: int) -> None:
        rows = slice(top, bottom)
        share = cutout[rows, :, 3]
        if out.shape[2] == 4:
            total = share + opacity * (1 - share)
            share = share / np.maximum(total, np.float32(1e-6))
            out[rows, :, 3] = total
        for channel in range(3):
            behind = np.float32(colour[channel] / 255)
            mix = cutout[rows, :, channel] - behind
            mix *= share
            np.add(mix, behind, out=out[rows, :, channel])

    map_rows(write, height, height * width, cached_rows(width))
