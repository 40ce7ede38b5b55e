"""The node that gives the foreground mask alone."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.checks import flag
from ..core.layers import Refinement, find_layers, refine_layer
from . import convert, host
from .cutout import limit
from .handle import describe
from .inputs import FEATHER, GROW, given_prompt
from .session import SESSION_SOCKET, SESSION_TOOLTIP, default_handle


class RemBGMask:
    """Finds the foreground of images, as a mask."""

    DESCRIPTION = "Finds the foreground of images and gives it as a mask, cleaned up if you like."
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    OUTPUT_TOOLTIPS = (
        "1 = foreground, 0 = background (the opposite if inverted). Join Image with Alpha wants "
        "it inverted.",
    )
    SEARCH_ALIASES = ["rembg", "remove background", "segmentation", "foreground mask", "matte"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Images, RGB or RGBA, any batch size."}),
            },
            "optional": {
                "session": (SESSION_SOCKET, {"tooltip": SESSION_TOOLTIP}),
                "threshold": (
                    "FLOAT",
                    {
                        "default": 0.0,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": "Make the mask hard-edged: 1 from this value on. 0 keeps soft "
                        "edges.",
                    },
                ),
                "grow": GROW,
                "fill_holes": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "Fill holes that the foreground surrounds."},
                ),
                "keep_largest": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "Keep only the largest connected region."},
                ),
                "feather": FEATHER,
                "invert": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "Swap foreground and background."},
                ),
                "sam_prompt": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": "Only for sam models; see RemBG Remove Background.",
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        session: Any = None,
        threshold: float = 0.0,
        grow: int = 0,
        fill_holes: bool = False,
        keep_largest: bool = False,
        feather: float = 0.0,
        invert: bool = False,
        sam_prompt: str = "",
    ) -> tuple[torch.Tensor]:
        pictures = convert.check_image(image).numpy()
        invert = flag("invert", invert)
        session = convert.to_session(session if session is not None else default_handle())
        refinement = Refinement(
            threshold=threshold or None,
            keep_largest=keep_largest,
            fill_holes=fill_holes,
            grow=grow,
            feather=feather,
        )
        warnings: list[str] = []
        update = host.progress(len(pictures))
        start = time.perf_counter()
        found = []
        for done, picture in enumerate(pictures):
            host.check_cancelled()
            levels = convert.to_levels(picture)
            rgb = Image.fromarray(levels)
            for layer in find_layers(session, rgb, sam_prompt=given_prompt(sam_prompt)):
                layer = refine_layer(levels, layer, refinement)
                warnings.append(layer.warning)
                alpha = limit(layer.alpha, picture)
                found.append(1 - alpha if invert else alpha)
            update(done + 1)
            milliseconds = 1000 * (time.perf_counter() - start)
            host.show_text(describe(session, milliseconds, done + 1, warnings))
        return (host.to_output(torch.from_numpy(np.stack(found))),)
