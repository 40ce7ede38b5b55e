"""The node that cuts out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.checks import flag, one_of
from ..core.imaging.composite import parse_colour
from ..core.layers import Refinement, refine_layer
from ..core.matting.methods import MattingOptions
from ..core.pipeline import EDGE_COLOURS
from ..core.session.factory import DEFAULT_MODEL
from . import convert, host
from .batch import FRAMES, ask_each, check_count
from .cutout import cut_out, put_over
from .foreign import Look, own_look
from .handle import describe, fallback_warning
from .inputs import (
    BACKGROUND,
    BACKGROUNDS,
    DETAIL,
    FEATHER,
    FILL_HOLES,
    GROW,
    INVERT,
    KEEP_LARGEST,
    REMOVE_SPECKS,
    SAM_PROMPT,
    SESSION,
    STEADY,
    THRESHOLD,
    given_prompt,
    model_input,
    preview_input,
)
from .models import DETAILS, open_handle, stamp
from .preview import MOST, STYLES, draw, small

MATTING = ("off", "auto", "on")
_METHODS = {"off": None, "auto": MattingOptions(method="auto"), "on": MattingOptions()}


class RemBGRemove:
    """Cuts the foreground out of images."""

    DESCRIPTION = (
        "Removes the background: RGBA images with clean edge colours, or RGB images over a "
        "colour, and the foreground mask. Works alone, or with a session."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    HAS_INTERMEDIATE_OUTPUT = True  # the page is told of what comes from the cache, too
    RETURN_TYPES = ("IMAGE", "MASK", "IMAGE")
    RETURN_NAMES = ("image", "mask", "mask_image")
    OUTPUT_TOOLTIPS = (
        "The cut-out: RGBA with straight alpha, or RGB if a background colour is set.",
        "The foreground: 1 = foreground, 0 = background. LoadImage's mask and Join Image with "
        "Alpha use the opposite; invert it for those.",
        "The mask as a picture: RGB, white = foreground.",
    )
    SEARCH_ALIASES = [
        "rembg",
        "remove background",
        "cutout",
        "transparent",
        "rmbg",
        "birefnet",
        "u2net",
        "isnet",
    ]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Images to cut out, RGB or RGBA, any batch size."}),
            },
            "optional": {
                "session": SESSION,
                "sam_prompt": SAM_PROMPT,
                "model": model_input(),
                **BACKGROUND,
                "edge_colours": (
                    list(EDGE_COLOURS),
                    {
                        "default": EDGE_COLOURS[0],
                        "tooltip": "Colours of soft edges. estimated = without the old background "
                        "(no halo); original = as they were; naive = darkened, as rembg does.",
                    },
                ),
                "alpha_matting": (
                    list(MATTING),
                    {
                        "default": MATTING[0],
                        "tooltip": "Solve soft edges (hair, fur) as RemBG Alpha Matting does: on = "
                        "always; auto = where it fits the image better than the mask does. Slow on "
                        "large images.",
                    },
                ),
                "grow": GROW,
                "feather": FEATHER,
                "preview": preview_input(STYLES[0]),
                "max_size": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 16384,
                        "step": 64,
                        "advanced": True,
                        "tooltip": "Process larger images at this many pixels and scale only alpha "
                        "back up; 0 = no limit. Colours stay full size.",
                    },
                ),
                "hard_edge": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "advanced": True,
                        "tooltip": "Smooth the mask and make it hard-edged: for sprites and "
                        "stickers, not for hair.",
                    },
                ),
                "threshold": THRESHOLD,
                "remove_specks": REMOVE_SPECKS,
                "fill_holes": FILL_HOLES,
                "keep_largest": KEEP_LARGEST,
                "invert": INVERT,
                "frames": STEADY,
                "detail": DETAIL,
            },
        }

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        background: Any = None,
        edge_colours: Any = None,
        alpha_matting: Any = None,
        model: Any = None,
        detail: Any = None,
    ) -> bool:
        # naming them lifts the combo check: values of other packs are fine too; execute()
        # says what is wrong once, not once for each of the five
        return True

    @classmethod
    def IS_CHANGED(cls, model: str | None = DEFAULT_MODEL, **_: Any) -> str:
        return stamp(model)

    def execute(
        self,
        image: torch.Tensor,
        session: Any = None,
        sam_prompt: str = "",
        model: str = DEFAULT_MODEL,
        background: str = BACKGROUNDS[0],
        background_colour: str = "#ffffff",
        edge_colours: str = EDGE_COLOURS[0],
        alpha_matting: str = MATTING[0],
        grow: int = 0,
        feather: float = 0.0,
        preview: str = STYLES[0],
        max_size: int = 0,
        hard_edge: bool = False,
        threshold: float = 0.0,
        remove_specks: float = 0.0,
        fill_holes: float = 0.0,
        keep_largest: bool = False,
        invert: bool = False,
        frames: str = FRAMES[0],
        detail: str = DETAILS[0],
    ) -> dict[str, Any]:
        look = own_look(
            Look(
                background=background,
                background_colour=background_colour,
                edge_colours=edge_colours,
                invert=invert,
                grow=grow,
                feather=feather,
                detail=detail,
                alpha_matting=alpha_matting,
            )
        )
        one_of("background", look.background, BACKGROUNDS)
        one_of("edge_colours", look.edge_colours, EDGE_COLOURS)
        one_of("alpha_matting", look.alpha_matting, MATTING)
        one_of("preview", preview, STYLES)
        one_of("frames", frames, FRAMES)
        colour = parse_colour(look.background_colour) if look.background == "colour" else None
        edge_colours = look.edge_colours
        matting = _METHODS[look.alpha_matting]
        if matting and edge_colours == "naive":  # as rembg does
            edge_colours = "estimated"

        refinement = Refinement(
            post_process=flag("hard_edge", hard_edge),
            matting=matting,
            threshold=threshold or None,
            keep_largest=keep_largest,
            remove_specks=remove_specks,
            fill_holes=fill_holes,
            grow=look.grow,
            feather=look.feather,
            invert=flag("invert", look.invert),
        )
        pictures = convert.check_image(image).numpy()
        if session is None:
            session = open_handle(model, detail=look.detail)
        session = convert.to_session(session)
        warnings: list[str] = []
        update = host.progress(len(pictures))
        start = time.perf_counter()
        results = found = np.empty(0, np.float32)
        answers = ask_each(
            session,
            pictures,
            frames=frames,
            max_size=max_size or None,
            sam_prompt=given_prompt(sam_prompt),
        )
        for i, (picture, levels, layers) in enumerate(answers):
            if i == 0:  # one allocation, instead of a copy of the batch at the end
                total, size_hw = len(pictures) * len(layers), levels.shape[:2]
                channels = 3 if colour and colour[3] == 255 else 4
                results = np.empty((total, *size_hw, channels), np.float32)
                # transparent results hold their mask already
                found = np.empty((total, *size_hw), np.float32) if colour else results[..., 3]
            check_count(layers, i, len(results) // len(pictures))
            for at, layer in enumerate(layers, i * len(layers)):
                layer = refine_layer(levels, layer, refinement, on_step=host.check_cancelled)
                warnings.append(layer.warning)
                alpha = cut_out(picture, levels, layer, edge_colours, results[at])
                if colour:
                    found[at] = alpha
                    put_over(results[at], alpha, colour)
            update(i + 1)
            milliseconds = 1000 * (time.perf_counter() - start)
            host.show_text(describe(session, milliseconds, i + 1))
        mask = host.to_output(torch.from_numpy(found))
        mask_image = mask[..., None].expand(-1, -1, -1, 3)
        return host.result(
            (host.to_output(torch.from_numpy(results)), mask, mask_image),
            warnings,
            [] if preview == "off" else _previews(preview, pictures, results, found),
            fallback_warning(session),
        )


def _previews(
    style: str,
    pictures: NDArray[np.float32],
    results: NDArray[np.float32],
    found: NDArray[np.float32],
) -> list[Image.Image]:
    """Draw the first results of a batch; there may be several for each picture."""
    each = len(found) // len(pictures)
    drawn = []
    for i in range(min(len(found), MOST)):
        if style == "mask":
            drawn.append(draw(style, pictures[i // each], found[i]))
        elif results.shape[-1] == 3:
            drawn.append(small(results[i]))
        else:
            drawn.append(draw(style, results[i], results[i, ..., 3]))
    return drawn
