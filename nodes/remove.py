"""The node that cuts out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.checks import flag
from ..core.errors import ImageError, OptionError
from ..core.imaging.composite import parse_colour
from ..core.layers import Refinement, find_layers, refine_layer
from ..core.matting.methods import MattingOptions
from ..core.pipeline import EDGE_COLOURS
from ..core.registry.lookup import get_model
from ..core.text import short
from . import convert, host
from .cutout import cut_out, over
from .foreign import Look, own_look
from .handle import describe
from .inputs import BACKGROUND, BACKGROUNDS, FEATHER, GROW, given_prompt, matting_levels
from .session import SESSION_SOCKET, SMALL_MODEL, choices, open_handle

KEEP = ("foreground", "background")


class RemBGRemove:
    """Cuts the foreground out of images."""

    DESCRIPTION = (
        "Removes the background: RGBA images with clean edge colours, or RGB images over a "
        "colour, and the foreground mask. Works alone, or with a session."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
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
                "session": (
                    SESSION_SOCKET,
                    {
                        "tooltip": "From RemBG Session, or any other pack's background removal "
                        "session. Unconnected: the model chosen below.",
                    },
                ),
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
                **BACKGROUND,
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
                "model": (
                    [choice for choice in choices() if not get_model(choice).custom],
                    {
                        "default": get_model(SMALL_MODEL).choice,
                        "tooltip": "The network, if no session is connected. With a session its "
                        "own model counts.",
                    },
                ),
                "keep": (
                    list(KEEP),
                    {
                        "default": KEEP[0],
                        "tooltip": "background cuts the foreground away instead, and gives the "
                        "mask of the background.",
                    },
                ),
                "grow": GROW,
                "feather": FEATHER,
                "alpha_matting": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Solve soft edges (hair, fur) as RemBG Alpha Matting does: "
                        "finer, and slow on large images. naive edge colours count as estimated.",
                    },
                ),
                **matting_levels("With alpha_matting: ", advanced=True),
                "only_mask": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "advanced": True,
                        "tooltip": "Give the mask as a picture in place of the cut-out.",
                    },
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        background: Any = None,
        edge_colours: Any = None,
        model: Any = None,
        keep: Any = None,
    ) -> bool:
        # naming them lifts the combo check: values of other packs are fine too; execute()
        # says what is wrong once, not once for each of the four
        return True

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
        model: str = SMALL_MODEL,
        keep: str = KEEP[0],
        grow: int = 0,
        feather: float = 0.0,
        alpha_matting: bool = False,
        foreground_threshold: int = 240,
        background_threshold: int = 10,
        erode_size: int = 10,
        only_mask: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        only_mask = flag("only_mask", only_mask)
        alpha_matting = flag("alpha_matting", alpha_matting)
        look = own_look(Look(background, background_colour, edge_colours, keep, grow, feather))
        for name, allowed in (
            ("background", BACKGROUNDS),
            ("edge_colours", EDGE_COLOURS),
            ("keep", KEEP),
        ):
            value = getattr(look, name)
            if value not in allowed:
                raise OptionError(f"{name} is {short(value)}; choose one of {', '.join(allowed)}.")
        colour = parse_colour(look.background_colour) if look.background == "colour" else None
        edge_colours = look.edge_colours
        if alpha_matting and edge_colours == "naive":  # as rembg does
            edge_colours = "estimated"

        refinement = Refinement(
            post_process=post_process,
            matting=MattingOptions(
                foreground_threshold=foreground_threshold,
                background_threshold=background_threshold,
                erode_size=erode_size,
            )
            if alpha_matting
            else None,
            grow=look.grow,
            feather=look.feather,
            invert=look.keep == "background",
        )
        pictures = convert.check_image(image).numpy()
        session = convert.to_session(session if session is not None else open_handle(model))
        warnings: list[str] = []
        update = host.progress(len(pictures))
        start = time.perf_counter()
        results = found = np.empty(0, np.float32)
        for i, picture in enumerate(pictures):
            host.check_cancelled()
            levels = convert.to_levels(picture)
            layers = find_layers(
                session,
                Image.fromarray(levels),
                max_size=max_size or None,
                sam_prompt=given_prompt(sam_prompt),
            )
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
            for at, layer in enumerate(layers, i * len(layers)):
                layer = refine_layer(levels, layer, refinement, on_step=host.check_cancelled)
                warnings.append(layer.warning)
                cutout = np.empty((*size_hw, 4), np.float32) if colour else results[at]
                cut_out(picture, levels, layer, edge_colours, cutout)
                if colour:
                    found[at] = cutout[..., 3]
                    over(cutout, colour, results[at])
            update(i + 1)
            milliseconds = 1000 * (time.perf_counter() - start)
            host.show_text(describe(session, milliseconds, i + 1, warnings))
        mask = host.to_output(torch.from_numpy(found))
        mask_image = mask[..., None].expand(-1, -1, -1, 3)
        cutouts = mask_image if only_mask else host.to_output(torch.from_numpy(results))
        return cutouts, mask, mask_image
