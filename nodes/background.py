"""The node that puts a cut-out over a colour or a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.checks import one_of
from ..core.errors import ImageError
from ..core.imaging.box import Box, find_box
from ..core.imaging.compose import (
    CANVASES,
    LARGEST_BLUR,
    LARGEST_OUTLINE,
    LARGEST_SCALE,
    Composition,
    arrange,
    compose_into,
    is_opaque,
    make_ground,
)
from ..core.imaging.composite import FITS, Colour, parse_colour
from ..core.imaging.frame import new_canvas
from ..core.imaging.framing import LARGEST_SIDE, UNITS
from ..core.imaging.levels import to_levels
from . import convert, host
from .inputs import BACKGROUNDS

_AS_IT_COMES = Composition()


class RemBGApplyBackground:
    """Puts cut-outs over a colour or a picture."""

    DESCRIPTION = (
        "Puts a cut-out, or an image and its foreground mask, over a colour or a picture: placed "
        "and scaled, with a soft shadow and an outline where you ask for them."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = (
        "RGB, which every node takes; RGBA where something is transparent.",
        "The subject and its outline where they are now: 1 = foreground, 0 = background.",
    )
    SEARCH_ALIASES = [
        *("composite", "replace background", "background colour", "flatten alpha"),
        *("drop shadow", "outline", "stroke", "sticker", "position", "overlay"),
    ]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        move = {"default": 0.0, "min": -float(LARGEST_SIDE), "max": float(LARGEST_SIDE)}
        side = {"default": 0, "min": 0, "max": LARGEST_SIDE, "advanced": True}
        shift = {"min": -LARGEST_SIDE, "max": LARGEST_SIDE, "advanced": True}
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "RGBA cut-outs, or RGB images with a mask."}),
                "background": (
                    list(BACKGROUNDS),
                    {
                        "default": BACKGROUNDS[1],
                        "tooltip": "What is behind the subject, or where a background picture "
                        "leaves room: a colour, or nothing (RGBA).",
                    },
                ),
                "background_colour": (
                    "STRING",
                    {
                        "default": "#ffffff",
                        "tooltip": "With background = colour: #RGB, #RRGGBB, a name, or r,g,b. "
                        "#RRGGBBAA is a half-transparent one, and gives RGBA.",
                    },
                ),
                "fit": (
                    list(FITS),
                    {
                        "default": _AS_IT_COMES.fit,
                        "tooltip": "How a background picture is placed: stretch = distort to size; "
                        "fit = show all of it; fill = cover and crop; centre = keep its pixels.",
                    },
                ),
                "scale": (
                    "FLOAT",
                    {
                        "default": _AS_IT_COMES.scale,
                        "min": 0.01,
                        "max": LARGEST_SCALE,
                        "step": 0.05,
                        "tooltip": "Size of the subject: 1 = its own pixels, 0.5 = half. It grows "
                        "and shrinks around its own middle.",
                    },
                ),
                "move_x": (
                    "FLOAT",
                    {
                        **move,
                        "tooltip": "How far the subject moves to the right; negative: to the left. "
                        "% of the canvas's width.",
                    },
                ),
                "move_y": (
                    "FLOAT",
                    {
                        **move,
                        "tooltip": "How far the subject moves down; negative: up. % of the "
                        "canvas's height.",
                    },
                ),
                "shadow": (
                    "FLOAT",
                    {
                        "default": _AS_IT_COMES.shadow,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.05,
                        "tooltip": "Opacity of a soft shadow under the subject; 0 = none.",
                    },
                ),
                "outline": (
                    "INT",
                    {
                        "default": _AS_IT_COMES.outline,
                        "min": 0,
                        "max": LARGEST_OUTLINE,
                        "tooltip": "Width in pixels of an outline, as stickers have; 0 = none.",
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
                "background_image": (
                    "IMAGE",
                    {"tooltip": "Picture behind the cut-out: one for all, or one per image."},
                ),
                "canvas": (
                    list(CANVASES),
                    {
                        "default": _AS_IT_COMES.canvas,
                        "advanced": True,
                        "tooltip": "Size of the result: that of the image, or of the background "
                        "picture.",
                    },
                ),
                "width": (
                    "INT",
                    {
                        **side,
                        "tooltip": "Of the result, in pixels, in place of that of canvas. "
                        "0 = follows height.",
                    },
                ),
                "height": (
                    "INT",
                    {
                        **side,
                        "tooltip": "Of the result, in pixels, in place of that of canvas. "
                        "0 = follows width.",
                    },
                ),
                "move_unit": (
                    list(UNITS),
                    {
                        "default": _AS_IT_COMES.move_unit,
                        "advanced": True,
                        "tooltip": "What move_x and move_y count: % of the canvas, or px = pixels.",
                    },
                ),
                "shadow_blur": (
                    "FLOAT",
                    {
                        "default": _AS_IT_COMES.shadow_blur,
                        "min": 0.0,
                        "max": LARGEST_BLUR,
                        "step": 0.5,
                        "advanced": True,
                        "tooltip": "Softness of the shadow, in pixels (sigma).",
                    },
                ),
                "shadow_x": (
                    "INT",
                    {
                        "default": _AS_IT_COMES.shadow_x,
                        **shift,
                        "tooltip": "How far the shadow falls to the right, in pixels.",
                    },
                ),
                "shadow_y": (
                    "INT",
                    {
                        "default": _AS_IT_COMES.shadow_y,
                        **shift,
                        "tooltip": "How far the shadow falls down, in pixels.",
                    },
                ),
                "outline_colour": (
                    "STRING",
                    {
                        "default": "#ffffff",
                        "advanced": True,
                        "tooltip": "#RGB, #RRGGBB, a name, or r,g,b.",
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        background: str = BACKGROUNDS[1],
        background_colour: str = "#ffffff",
        fit: str = _AS_IT_COMES.fit,
        scale: float = _AS_IT_COMES.scale,
        move_x: float = _AS_IT_COMES.move_x,
        move_y: float = _AS_IT_COMES.move_y,
        shadow: float = _AS_IT_COMES.shadow,
        outline: int = _AS_IT_COMES.outline,
        mask: torch.Tensor | None = None,
        background_image: torch.Tensor | None = None,
        canvas: str = _AS_IT_COMES.canvas,
        width: int = 0,
        height: int = 0,
        move_unit: str = _AS_IT_COMES.move_unit,
        shadow_blur: float = _AS_IT_COMES.shadow_blur,
        shadow_x: int = _AS_IT_COMES.shadow_x,
        shadow_y: int = _AS_IT_COMES.shadow_y,
        outline_colour: str = "#ffffff",
    ) -> tuple[torch.Tensor, torch.Tensor]:
        one_of("background", background, BACKGROUNDS)
        composition = Composition(
            canvas=canvas,
            width=width,
            height=height,
            fit=fit,
            scale=scale,
            move_x=move_x,
            move_y=move_y,
            move_unit=move_unit,
            shadow=shadow,
            shadow_blur=shadow_blur,
            shadow_x=shadow_x,
            shadow_y=shadow_y,
            outline=outline,
            outline_colour=outline_colour,
        )
        colour = parse_colour(background_colour) if background == "colour" else (0, 0, 0, 0)
        pictures, alpha_of = convert.with_opacity(image, mask)
        count = len(pictures)
        behind = None
        if background_image is not None:
            behind = convert.check_image(background_image, "background_image").numpy()
            if len(behind) not in (1, count):
                raise ImageError(
                    f"There are {len(behind)} backgrounds for {count} images; pass one, or one "
                    "per image."
                )
        image_hw = pictures.shape[1:3]
        canvas_hw = composition.canvas_hw(image_hw, None if behind is None else behind.shape[1:3])
        boxes: list[Box | None] = []
        for i in range(count if scale != 1 else 0):
            host.check_cancelled()
            boxes.append(find_box(alpha_of(i)))
        placement = arrange(boxes, image_hw, canvas_hw, composition)
        ground = _ground(behind, 0, canvas_hw, fit, colour)
        channels = 3 if is_opaque(ground) else 4
        results = new_canvas((count, *canvas_hw, channels), np.float32)
        found = new_canvas((count, *canvas_hw), np.float32)
        update = host.progress(count)
        for i in range(count):
            host.check_cancelled()
            if i and behind is not None and len(behind) > 1:  # a single one is placed once
                ground = _ground(behind, i, canvas_hw, fit, colour)
            compose_into(
                pictures[i], alpha_of(i), placement, composition, ground, results[i], found[i]
            )
            update(i + 1)
        return host.to_output(torch.from_numpy(results)), host.to_output(torch.from_numpy(found))


def _ground(
    pictures: NDArray[np.float32] | None,
    i: int,
    canvas_hw: tuple[int, int],
    fit: str,
    colour: Colour,
) -> NDArray[np.uint8]:
    """Return what is behind the subject of image ``i``."""
    if pictures is None:
        return make_ground(None, canvas_hw, fit, colour)
    picture = Image.fromarray(to_levels(np.clip(pictures[i], 0, 1)))
    return make_ground(picture, canvas_hw, fit, colour)
