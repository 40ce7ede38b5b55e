"""The node that refines a mask into an alpha matte."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.foreground import VISIBLE
from ..core.matting import estimate_foreground_ml, matte
from . import convert, host


class RemBGAlphaMatting:
    """Refines the edge of a mask: hair, fur, glass."""

    DESCRIPTION = (
        "Refines a foreground mask into an alpha matte with closed-form matting, and cuts out with "
        "foreground colours to match."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("MASK", "IMAGE")
    RETURN_NAMES = ("mask", "image")
    OUTPUT_TOOLTIPS = (
        "The refined alpha: 1 = foreground.",
        "The cut-out: RGBA, straight alpha, cleared where transparent.",
    )
    SEARCH_ALIASES = ["matting", "matte", "hair", "trimap", "refine mask"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        level = {"min": 0, "max": 255, "step": 1}
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The images that the mask was made from."}),
                "mask": (
                    "MASK",
                    {"tooltip": "Foreground mask, 1 = foreground. Invert LoadImage's mask first."},
                ),
                "foreground_threshold": (
                    "INT",
                    {
                        "default": 240,
                        **level,
                        "tooltip": "Mask values above this (0 to 255) are certainly foreground.",
                    },
                ),
                "background_threshold": (
                    "INT",
                    {
                        "default": 10,
                        **level,
                        "tooltip": "Mask values below this (0 to 255) are certainly background.",
                    },
                ),
                "erode_size": (
                    "INT",
                    {
                        "default": 10,
                        "min": 0,
                        "max": 255,
                        "tooltip": "Pixels by which the certain regions shrink: the band between "
                        "them is solved. Wider for long hair; slower.",
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        foreground_threshold: int = 240,
        background_threshold: int = 10,
        erode_size: int = 10,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pictures = convert.check_image(image).numpy()
        count, height, width = pictures.shape[:3]
        masks = convert.check_mask(mask, count, height, width).numpy()
        update = host.progress(count)
        if "pymatting" not in sys.modules:
            host.show_text("loading pymatting; after an installation it compiles for a minute")
        refined, cutouts = [], []
        for done, (picture, one) in enumerate(zip(pictures, masks, strict=True)):
            host.check_cancelled()
            levels = convert.to_levels(picture)
            alpha = matte(
                Image.fromarray(levels),
                (one * 255 + 0.5).astype(np.uint8),
                foreground_threshold,
                background_threshold,
                erode_size,
                host.check_cancelled,
            )
            if picture.shape[-1] == 4:
                alpha = np.minimum(alpha, picture[..., 3])
            host.check_cancelled()
            colours = estimate_foreground_ml(levels, alpha)
            colours = colours * (alpha >= VISIBLE)[..., None] / np.float32(255)
            cutouts.append(torch.from_numpy(np.dstack([colours, alpha])))
            refined.append(torch.from_numpy(alpha))
            update(done + 1)
        host.show_text(f"{count} solved")
        return host.to_output(torch.stack(refined)), host.to_output(torch.stack(cutouts))
