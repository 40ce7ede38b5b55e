"""The nodes that crop to the subject, and put it back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.checks import one_of
from ..core.errors import ImageError, OptionError
from ..core.imaging.bleed import bleed
from ..core.imaging.box import THRESHOLD, Box, find_box
from ..core.imaging.composite import parse_colour
from ..core.imaging.frame import new_canvas, place
from ..core.imaging.framing import (
    ALIGNS,
    BATCHES,
    FREE,
    LARGEST_SIDE,
    UNITS,
    Framing,
    Placement,
    plan,
)
from ..core.imaging.levels import VISIBLE
from ..core.text import short
from . import convert, host
from .cutout import put_over
from .inputs import BACKGROUND, BACKGROUNDS

PLACEMENT_SOCKET = "REMBG_PLACEMENT"
RATIOS = (FREE, "1:1", "4:5", "3:4", "2:3", "9:16", "5:4", "4:3", "3:2", "16:9")


class RemBGFrameSubject:
    """Crops to the subject and places it on a canvas."""

    DESCRIPTION = (
        "Crops to the subject, with a margin, on a transparent or coloured canvas of the size you "
        "ask for: product pictures, sprites, stickers."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    HAS_INTERMEDIATE_OUTPUT = True  # the page is told of what comes from the cache, too
    RETURN_TYPES = ("IMAGE", "MASK", "BOUNDING_BOX", PLACEMENT_SOCKET)
    RETURN_NAMES = ("image", "mask", "bounding_box", "placement")
    OUTPUT_TOOLTIPS = (
        "The subject on its canvas: RGBA, or RGB if a background colour is set.",
        "The subject on its canvas: 1 = foreground, 0 = background.",
        "The subject in the image that came in, without margins: x, y, width and height in pixels. "
        "With a box each, a list for each image.",
        "For RemBG Put Back: where each canvas lies in the image that came in.",
    )
    SEARCH_ALIASES = [
        *("crop", "trim", "crop to subject", "auto crop", "crop by mask", "bounding box"),
        *("padding", "canvas size", "center", "product photo", "sprite", "sticker"),
    ]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        side = {"default": 0, "min": 0, "max": LARGEST_SIDE}
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "RGBA cut-outs, or RGB images with a mask."}),
                "width": (
                    "INT",
                    {
                        **side,
                        "tooltip": "Of the canvas, in pixels; the subject is scaled down to fit. "
                        "0 = what height and aspect_ratio say, or as wide as the subject.",
                    },
                ),
                "height": (
                    "INT",
                    {
                        **side,
                        "tooltip": "Of the canvas, in pixels; the subject is scaled down to fit. "
                        "0 = what width and aspect_ratio say, or as high as the subject.",
                    },
                ),
                "aspect_ratio": (
                    list(RATIOS),
                    {
                        "default": FREE,
                        "tooltip": "Width to height of the canvas, where width or height is 0. "
                        "free = that of the subject.",
                    },
                ),
                "margin": (
                    "FLOAT",
                    {
                        "default": 5.0,
                        "min": 0.0,
                        "max": 4096.0,
                        "step": 0.5,
                        "tooltip": "Free space between the subject and each side of the canvas. "
                        "7.5 % lets the subject fill 85 % of it.",
                    },
                ),
                "margin_unit": (
                    list(UNITS),
                    {
                        "default": UNITS[0],
                        "tooltip": "% of the canvas, up to 45, or px = pixels of the canvas.",
                    },
                ),
                "align": (
                    list(ALIGNS),
                    {
                        "default": ALIGNS[0],
                        "tooltip": "centre = in the middle; bottom = standing on the lower margin, "
                        "so that a row of pictures has one baseline.",
                    },
                ),
                "batch": (
                    list(BATCHES),
                    {
                        "default": BATCHES[0],
                        "tooltip": "together = one box around the subjects of all images, so that "
                        "nothing jumps; same-scale = a box each, one scale for all; each = a box "
                        "and a scale each.",
                    },
                ),
                "enlarge": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "With a width or a height: scale a small subject up, too.",
                    },
                ),
                **BACKGROUND,
            },
            "optional": {
                "mask": (
                    "MASK",
                    {
                        "tooltip": "Foreground mask, 1 = foreground; needed for RGB images. "
                        "With an RGBA image the lower opacity counts."
                    },
                ),
                "threshold": (
                    "FLOAT",
                    {
                        "default": THRESHOLD,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "advanced": True,
                        "tooltip": "What is not more opaque than this is no part of the subject: "
                        "haze. Specks are ignored anyway.",
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        width: int = 0,
        height: int = 0,
        aspect_ratio: str = FREE,
        margin: float = 5.0,
        margin_unit: str = UNITS[0],
        align: str = ALIGNS[0],
        batch: str = BATCHES[0],
        enlarge: bool = False,
        background: str = BACKGROUNDS[0],
        background_colour: str = "#ffffff",
        mask: torch.Tensor | None = None,
        threshold: float = THRESHOLD,
    ) -> Any:
        framing = Framing(
            width=width,
            height=height,
            aspect_ratio=aspect_ratio,
            margin=margin,
            margin_unit=margin_unit,
            align=align,
            enlarge=enlarge,
            threshold=threshold,
        )
        one_of("batch", batch, BATCHES)
        one_of("background", background, BACKGROUNDS)
        colour = parse_colour(background_colour) if background == "colour" else None
        pictures, alpha_of = convert.with_opacity(image, mask)
        count = len(pictures)
        boxes: list[Box | None] = []
        for i in range(count):
            host.check_cancelled()
            boxes.append(find_box(alpha_of(i), threshold))
        placements = plan(boxes, pictures.shape[1:3], framing, batch)
        canvas_hw = placements[0].canvas_hw
        channels = 3 if colour and colour[3] == 255 else 4
        results = new_canvas((count, *canvas_hw, channels), np.float32)
        found = new_canvas((count, *canvas_hw), np.float32) if colour else results[..., 3]
        update = host.progress(count)
        for i, placement in enumerate(placements):
            host.check_cancelled()
            framed = place(_cutout(pictures[i], alpha_of(i)), placement)
            results[i] = framed[..., :channels]
            if colour:
                found[i] = framed[..., 3]
                put_over(results[i], found[i], colour)
            else:
                _bleed(results[i], pictures[i])
            update(i + 1)
        host.show_text(_describe(placements, boxes))
        outputs = (
            host.to_output(torch.from_numpy(results)),
            host.to_output(torch.from_numpy(found)),
            _bounding_box(placements, boxes),
            tuple(placements[:1] if len({*placements}) == 1 else placements),
        )
        return host.result(outputs, overall=_warning(boxes, threshold))


class RemBGPutBack:
    """Puts what was framed back to where it was."""

    DESCRIPTION = (
        "Puts a framed subject back to where it was, at the size it had, on a transparent canvas "
        "of the size of the image it came from."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "mask")
    OUTPUT_TOOLTIPS = (
        "RGBA, at the size of the image that was framed. RemBG Apply Background puts it over that "
        "image, or another.",
        "1 = foreground, 0 = background.",
    )
    SEARCH_ALIASES = ["uncrop", "stitch", "paste back", "restore crop", "put back"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": (
                    "IMAGE",
                    {
                        "tooltip": "Images of RemBG Frame Subject, also edited or enlarged ones: "
                        "RGBA, or RGB with a mask."
                    },
                ),
                "placement": (PLACEMENT_SOCKET, {"tooltip": "From RemBG Frame Subject."}),
            },
            "optional": {
                "mask": (
                    "MASK",
                    {
                        "tooltip": "What is put back, 1 = foreground; needed for RGB images. "
                        "With an RGBA image the lower opacity counts."
                    },
                ),
            },
        }

    def execute(
        self, image: torch.Tensor, placement: Any, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not isinstance(placement, tuple) or not all(
            isinstance(each, Placement) for each in placement
        ):
            raise OptionError(
                f"placement is {short(placement)}; connect that of RemBG Frame Subject."
            )
        pictures, alpha_of = convert.with_opacity(image, mask)
        count = len(pictures)
        if len(placement) not in (1, count):
            raise ImageError(
                f"There are {count} images for {len(placement)} placements; put back as many as "
                "RemBG Frame Subject gave."
            )
        results = new_canvas((count, *placement[0].picture_hw, 4), np.float32)
        update = host.progress(count)
        for i in range(count):
            host.check_cancelled()
            back = placement[i if len(placement) > 1 else 0].inverse
            results[i] = place(_cutout(pictures[i], alpha_of(i)), back)
            _bleed(results[i], pictures[i])
            update(i + 1)
        result = host.to_output(torch.from_numpy(results))
        return result, result[..., 3]


def _cutout(picture: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a straight cut-out (H, W, 4), with no colour where nothing is seen."""
    cutout = np.empty((*alpha.shape, 4), np.float32)
    np.multiply(picture[..., :3], (alpha >= VISIBLE)[..., None], out=cutout[..., :3])
    cutout[..., 3] = alpha
    return cutout


def _bleed(result: NDArray[np.float32], picture: NDArray[np.float32]) -> None:
    """Carry colours outwards; with a mask beside the picture, soft edges hold its background's."""
    bleed(result, from_certain=picture.shape[-1] == 3)


def _bounding_box(placements: list[Placement], boxes: list[Box | None]) -> Any:
    """Return boxes as ComfyUI's nodes have them: one for all, or a list for each image."""
    if len({placement.box for placement in placements}) == 1:
        return placements[0].box._asdict()
    return [[] if box is None else [box._asdict()] for box in boxes]


def _describe(placements: list[Placement], boxes: list[Box | None]) -> str:
    """Return the text under the node; empty where nothing was cropped."""
    if boxes.count(None) == len(boxes):
        return ""
    first = placements[0]
    height, width = first.canvas_hw
    shares = sorted(round(100 * each.target.width / each.box.width) for each in placements)
    text = f"subject {first.box.width}×{first.box.height} on {width}×{height}"
    if shares[0] != 100 or shares[-1] != 100:
        to = f" to {shares[-1]}" if shares[-1] != shares[0] else ""
        text += f", scaled to {shares[0]}{to} %"
    return text


def _warning(boxes: list[Box | None], threshold: float) -> str:
    """Return what is to be said of pictures without a subject; empty if there are none."""
    empty, count = boxes.count(None), len(boxes)
    if not empty:
        return ""
    nowhere = f"alpha is nowhere above {threshold:g}."
    if empty < count:
        return f"{empty} of {count} have no subject: {nowhere}"
    return (
        f"No subject was found: {nowhere} The image is not cropped. Is the mask empty, or the "
        "wrong one?"
    )
