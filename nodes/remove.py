"""The node that cuts out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core import mask as masks
from ..core.bands import in_bands
from ..core.composite import parse_colour
from ..core.errors import ImageError, OptionError
from ..core.foreground import VISIBLE, Band, estimate_band
from ..core.pipeline import EDGE_COLOURS, shrink
from ..core.preprocess import resize_alpha
from . import convert, host
from .handle import describe
from .session import default_handle

BACKGROUNDS = ("transparent", "colour")
SESSION_SOCKET = "REMBG_SESSION,BACKGROUND_REMOVAL"
SESSION_TOOLTIP = (
    "From RemBG Session, or any other pack's background removal session. Unconnected: u2netp, "
    "a small general model."
)


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


class RemBGRemove:
    """Cuts the foreground out of images."""

    DESCRIPTION = (
        "Removes the background: RGBA images with clean edge colours, or RGB images over a "
        "colour, and the foreground mask."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = (
        "The cut-out: RGBA with straight alpha, or RGB if a background colour is set.",
        "The foreground: 1 = foreground, 0 = background. LoadImage's mask and Join Image with "
        "Alpha use the opposite; invert it for those.",
    )
    SEARCH_ALIASES = ["rembg", "remove background", "cutout", "transparent", "rmbg"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Images to cut out, RGB or RGBA, any batch size."}),
            },
            "optional": {
                "session": (SESSION_SOCKET, {"tooltip": SESSION_TOOLTIP}),
                "post_process": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Smooth the mask and make it hard-edged: for sprites and "
                        "stickers, not for hair.",
                    },
                ),
                "edge_colours": (
                    list(EDGE_COLOURS),
                    {
                        "default": EDGE_COLOURS[0],
                        "tooltip": "Colours of soft edges. estimated = without the old background "
                        "(no halo); original = as they were; naive = darkened, as rembg does.",
                    },
                ),
                "background": (
                    list(BACKGROUNDS),
                    {
                        "default": BACKGROUNDS[0],
                        "tooltip": "transparent gives RGBA; colour gives RGB, which every node "
                        "takes (VAE Encode, for example).",
                    },
                ),
                "background_colour": (
                    "STRING",
                    {
                        "default": "#ffffff",
                        "tooltip": "With background = colour: #RGB, #RRGGBB, a name, or r,g,b.",
                    },
                ),
                "max_size": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 16384,
                        "step": 64,
                        "tooltip": "Process larger images at this many pixels and scale only alpha "
                        "back up; 0 = no limit. Colours stay full size.",
                    },
                ),
                "sam_prompt": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": 'Only for sam models, JSON: [{"type": "point", "label": 1, '
                        '"data": [x, y]}], label 0 for background, or {"type": "rectangle", '
                        '"label": 1, "data": [x0, y0, x1, y1]}. Empty = the centre.',
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        session: Any = None,
        post_process: bool = False,
        edge_colours: str = EDGE_COLOURS[0],
        background: str = BACKGROUNDS[0],
        background_colour: str = "#ffffff",
        max_size: int = 0,
        sam_prompt: str = "",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        colour = parse_colour(background_colour) if background == "colour" else None
        if edge_colours not in EDGE_COLOURS:
            raise OptionError(f"{edge_colours!r} is none of {', '.join(EDGE_COLOURS)}.")
        pictures = convert.check_image(image).numpy()
        session = session if session is not None else default_handle()
        update = host.progress(len(pictures))
        start = time.perf_counter()
        results = found = np.empty(0, np.float32)
        for i, picture in enumerate(pictures):
            host.check_cancelled()
            levels = convert.to_levels(picture)
            layers = find_layers(session, levels, max_size, sam_prompt)
            if i == 0:  # one allocation, instead of a copy of the batch at the end
                total, size_hw = len(pictures) * len(layers), levels.shape[:2]
                results = np.empty((total, *size_hw, 3 if colour else 4), np.float32)
                # transparent results hold their mask already
                found = np.empty((total, *size_hw), np.float32) if colour else results[..., 3]
            if len(layers) * len(pictures) != len(results):
                raise ImageError(
                    f"The session answered with {len(layers)} masks for image {i + 1}, with "
                    f"{len(results) // len(pictures)} for the first; it must be the same number."
                )
            for at, (alpha, band) in enumerate(layers, i * len(layers)):
                if post_process:
                    smooth = masks.post_process((alpha * 255 + 0.5).astype(np.uint8))
                    alpha, band = smooth.astype(np.float32) / 255, None
                cutout = np.empty((*size_hw, 4), np.float32) if colour else results[at]
                cut_out(picture, levels, alpha, band, edge_colours, cutout)
                if colour:
                    found[at] = cutout[..., 3]
                    over(cutout, colour, results[at])
            update(i + 1)
        host.show_text(describe(session, 1000 * (time.perf_counter() - start), len(pictures)))
        outputs = torch.from_numpy(results), torch.from_numpy(found)
        return host.to_output(outputs[0]), host.to_output(outputs[1])
