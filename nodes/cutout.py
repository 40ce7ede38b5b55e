"""From a session's alphas to cut-outs: what the nodes do with the pixels of one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.bands import in_bands
from ..core.foreground import VISIBLE, Band, estimate_band
from ..core.pipeline import shrink
from ..core.preprocess import resize_alpha
from . import convert


def find_layers(
    session: Any,
    levels: NDArray[np.uint8],
    max_size: int = 0,
    sam_prompt: str = "",
) -> list[tuple[NDArray[np.float32], Band | None]]:
    """Estimate the alphas of one picture, at its own size; see :func:`.convert.layers_of`.

    Parameters
    ----------
    session
        Any session.
    levels
        uint8 (H, W, 3).
    max_size
        Longer side in pixels to process at most; 0 for no limit.
    sam_prompt
        JSON text, or empty.
    """
    prompt = sam_prompt if sam_prompt.strip() else None
    size_hw = levels.shape[:2]
    small, prompt = shrink(Image.fromarray(levels), max_size, prompt)
    layers = convert.layers_of(session, np.asarray(small), prompt)
    if small.size == (size_hw[1], size_hw[0]):
        return layers
    return [(resize_alpha(alpha, size_hw), None) for alpha, _ in layers]


def limit(alpha: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return alpha, at most as opaque as a picture (H, W, 3 or 4) was: what is gone stays so."""
    return alpha if image.shape[-1] == 3 else np.minimum(alpha, np.clip(image[..., 3], 0, 1))


def cut_out(
    image: NDArray[np.float32],
    levels: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    band: Band | None,
    edge_colours: str,
    out: NDArray[np.float32],
) -> None:
    """Write the colours of one picture and alpha to ``out``, (H, W, 4), straight alpha.

    Edge colours follow the session's alpha; an alpha channel that the picture had already
    only limits the result, because its colours are straight.
    Colour is cleared where alpha is below one level of 8 bit, so that dropping alpha later
    does not bring the old background back.
    """
    limited = limit(alpha, image)

    def write(top: int, bottom: int) -> None:
        source, target, opacity = image[top:bottom], out[top:bottom], limited[top:bottom]
        for rows in convert.row_blocks(opacity):
            weight = opacity[rows]
            target[rows, :, 3] = weight
            if edge_colours != "naive":
                weight = (weight >= VISIBLE).astype(np.float32)
            for channel in range(3):  # numpy is slow where the last axis is short
                np.multiply(source[rows, :, channel], weight, out=target[rows, :, channel])

    in_bands(write, levels.shape[0], levels.shape[0] * levels.shape[1])
    if edge_colours == "estimated":
        pixels, colours = estimate_band(levels, alpha) if band is None else band
        if limited is not alpha:
            seen = limited.ravel()[pixels] >= VISIBLE
            pixels, colours = pixels[seen], colours[seen]
        out.reshape(-1, 4)[pixels, :3] = colours / 255


def over(
    cutout: NDArray[np.float32], colour: tuple[int, int, int, int], out: NDArray[np.float32]
) -> None:
    """Put a straight cut-out (H, W, 4) over an opaque colour; write to ``out``, (H, W, 3)."""
    for rows in convert.row_blocks(cutout):
        for channel in range(3):
            behind = np.float32(colour[channel] / 255)
            mix = cutout[rows, :, channel] - behind
            mix *= cutout[rows, :, 3]
            np.add(mix, behind, out=out[rows, :, channel])
