"""The node that puts a cut-out over a colour or a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.errors import ImageError, OptionError
from ..core.imaging.composite import FITS, fit_picture, parse_colour
from . import convert, host


class RemBGApplyBackground:
    """Puts cut-outs over a colour or a picture."""

    DESCRIPTION = "Puts a cut-out, or an image and its foreground mask, over a colour or a picture."
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("RGB images that every node takes.",)
    SEARCH_ALIASES = ["composite", "replace background", "background colour", "flatten alpha"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "RGBA cut-outs, or RGB images with a mask."}),
                "colour": (
                    "STRING",
                    {
                        "default": "#ffffff",
                        "tooltip": "#RGB, #RRGGBB, #RRGGBBAA, a name, or r,g,b. With a picture "
                        "connected it fills what the picture leaves free. A half-transparent "
                        "colour lets the image's own background show through.",
                    },
                ),
                "fit": (
                    list(FITS),
                    {
                        "default": "fill",
                        "tooltip": "How a background picture is placed: stretch = distort to size; "
                        "fit = show all of it; fill = cover and crop; centre = keep its pixels.",
                    },
                ),
            },
            "optional": {
                "mask": (
                    "MASK",
                    {
                        "tooltip": "Foreground mask, 1 = foreground; needed for RGB images. "
                        "With an RGBA image the lower opacity counts."
                    },
                ),
                "background": (
                    "IMAGE",
                    {"tooltip": "Picture behind the cut-out: one for all, or one per image."},
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        colour: str = "#ffffff",
        fit: str = "fill",
        mask: torch.Tensor | None = None,
        background: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor]:
        rgba = parse_colour(colour)
        image, alpha = convert.with_opacity(image, mask)
        count, height, width, channels = image.shape
        alpha = alpha[..., None]
        if rgba[3] < 255 and channels == 4 and background is None:
            raise OptionError(
                f"{colour} is half-transparent, and what would show through is the image's own "
                "background, which a cut-out no longer has. Connect the RGB image and its mask."
            )
        pictures = None
        if background is not None:
            pictures = convert.check_image(background, "background")
            if len(pictures) not in (1, count):
                raise ImageError(
                    f"There are {len(pictures)} backgrounds for {count} images; pass one, or one "
                    "per image."
                )
        results = torch.empty((count, height, width, 3))
        update = host.progress(count)
        behind = torch.tensor(rgba[:3]) / 255
        for i in range(count):
            host.check_cancelled()
            front, opacity = image[i, ..., :3], rgba[3] / 255
            if pictures is not None and i < len(pictures):  # a single one is placed once
                behind = _place(pictures[i], (height, width), fit, rgba)
            shown = behind if pictures is not None or opacity == 1 else None
            if shown is None:
                shown = opacity * behind + (1 - opacity) * front
            torch.lerp(shown.expand_as(front), front, alpha[i], out=results[i])
            update(i + 1)
        return (host.to_output(results),)


def _place(
    picture: torch.Tensor, size_hw: tuple[int, int], fit: str, colour: tuple[int, int, int, int]
) -> torch.Tensor:
    """Bring a background picture to size, over the colour where it leaves room."""
    if picture.shape[-1] == 4:
        behind = torch.tensor(colour[:3]) / 255
        picture = behind + (picture[..., :3] - behind) * picture[..., 3:].clamp(0, 1)
    source = Image.fromarray(convert.to_levels(picture.numpy()))
    placed = fit_picture(source, size_hw, fit, colour[:3])
    return torch.from_numpy(np.asarray(placed, np.float32) / 255)
