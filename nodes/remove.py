"""The node that cuts out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core import mask as masks
from ..core.composite import parse_colour
from ..core.errors import OptionError
from ..core.foreground import VISIBLE, estimate_band
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


def find_alphas(
    session: Any, image: torch.Tensor, max_size: int = 0, sam_prompt: str = ""
) -> list[NDArray[np.float32]]:
    """Estimate the alphas of one picture, at its own size.

    Parameters
    ----------
    session
        Any session, see :func:`.convert.alphas_of`.
    image
        float (H, W, 3 or 4), 0..1.
    max_size
        Longer side in pixels to process at most; 0 for no limit.
    sam_prompt
        JSON text, or empty.
    """
    prompt = sam_prompt if sam_prompt.strip() else None
    size_hw = (image.shape[0], image.shape[1])
    if max_size and max(size_hw) > max_size:
        small, prompt = shrink(convert.to_picture(image), max_size, prompt)
        tensor = torch.from_numpy(np.asarray(small, np.float32) / 255)
        alphas = [resize_alpha(a, size_hw) for a in convert.alphas_of(session, tensor, prompt)]
    else:
        alphas = convert.alphas_of(session, image, prompt)
    if image.shape[-1] == 4:  # what was transparent stays so
        alphas = [np.minimum(alpha, image[..., 3].numpy()) for alpha in alphas]
    return alphas


def cut_out(image: torch.Tensor, alpha: NDArray[np.float32], edge_colours: str) -> torch.Tensor:
    """Join the colours of one picture and alpha to float (H, W, 4), straight alpha.

    Colour is cleared where alpha rounds to 0, so that dropping alpha later does not bring
    the old background back.
    """
    result = torch.empty((*image.shape[:2], 4))
    opacity = torch.from_numpy(alpha)
    result[..., 3] = opacity
    if edge_colours == "naive":
        torch.mul(image[..., :3], opacity[..., None], out=result[..., :3])
        return result
    torch.mul(image[..., :3], (opacity >= VISIBLE)[..., None], out=result[..., :3])
    if edge_colours == "estimated":
        band, colours = estimate_band(convert.to_levels(image), alpha)
        result.view(-1, 4)[torch.from_numpy(band), :3] = torch.from_numpy(colours / 255)
    return result


def over(cutout: torch.Tensor, colour: tuple[int, int, int, int]) -> torch.Tensor:
    """Put a straight cut-out (H, W, 4) over an opaque colour: float (H, W, 3)."""
    alpha = cutout[..., 3:]
    behind = torch.tensor(colour[:3]) / 255
    return cutout[..., :3] * alpha + behind * (1 - alpha)


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
        image = convert.check_image(image)
        session = session if session is not None else default_handle()
        update = host.progress(len(image))
        start = time.perf_counter()
        cutouts, found = [], []
        for done, picture in enumerate(image):
            host.check_cancelled()
            for alpha in find_alphas(session, picture, max_size, sam_prompt):
                if post_process:
                    levels = masks.post_process((alpha * 255 + 0.5).astype(np.uint8))
                    alpha = levels.astype(np.float32) / 255
                cutout = cut_out(picture, alpha, edge_colours)
                cutouts.append(cutout if colour is None else over(cutout, colour))
                found.append(torch.from_numpy(alpha))
            update(done + 1)
        host.show_text(describe(session, 1000 * (time.perf_counter() - start), len(image)))
        return host.to_output(torch.stack(cutouts)), host.to_output(torch.stack(found))
