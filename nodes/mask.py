"""The node that gives the foreground mask alone."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.checks import flag, one_of
from ..core.layers import Refinement, refine_layer
from ..core.session.factory import DEFAULT_MODEL
from . import convert, host
from .batch import FRAMES, ask_each, check_count
from .cutout import limit
from .handle import describe, fallback_warning
from .inputs import (
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
from .preview import MOST, STYLES, draw


class RemBGMask:
    """Finds the foreground of images, as a mask."""

    DESCRIPTION = "Finds the foreground of images and gives it as a mask, cleaned up if you like."
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    HAS_INTERMEDIATE_OUTPUT = True  # the page is told of what comes from the cache, too
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
                "session": SESSION,
                "sam_prompt": SAM_PROMPT,
                "model": model_input(),
                "grow": GROW,
                "feather": FEATHER,
                "preview": preview_input("mask"),
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
    def VALIDATE_INPUTS(cls, model: Any = None) -> bool:
        return True  # naming it lifts the combo check; execute() says what is wrong

    @classmethod
    def IS_CHANGED(cls, model: str | None = DEFAULT_MODEL, **_: Any) -> str:
        return stamp(model)

    def execute(
        self,
        image: torch.Tensor,
        session: Any = None,
        sam_prompt: str = "",
        model: str = DEFAULT_MODEL,
        grow: int = 0,
        feather: float = 0.0,
        preview: str = "mask",
        threshold: float = 0.0,
        remove_specks: float = 0.0,
        fill_holes: float = 0.0,
        keep_largest: bool = False,
        invert: bool = False,
        frames: str = FRAMES[0],
        detail: str = DETAILS[0],
    ) -> dict[str, Any]:
        pictures = convert.check_image(image).numpy()
        invert = flag("invert", invert)
        one_of("preview", preview, STYLES)
        one_of("frames", frames, FRAMES)
        if session is None:
            session = open_handle(model, detail=detail)
        session = convert.to_session(session)
        refinement = Refinement(
            threshold=threshold or None,
            keep_largest=keep_largest,
            remove_specks=remove_specks,
            fill_holes=fill_holes,
            grow=grow,
            feather=feather,
        )
        warnings: list[str] = []
        update = host.progress(len(pictures))
        start = time.perf_counter()
        found = np.empty(0, np.float32)
        previews: list[Image.Image] = []
        answers = ask_each(session, pictures, frames=frames, sam_prompt=given_prompt(sam_prompt))
        for i, (picture, levels, layers) in enumerate(answers):
            if i == 0:  # one allocation, instead of a copy of the batch at the end
                found = np.empty((len(pictures) * len(layers), *levels.shape[:2]), np.float32)
            check_count(layers, i, len(found) // len(pictures))
            for at, layer in enumerate(layers, i * len(layers)):
                layer = refine_layer(levels, layer, refinement)
                warnings.append(layer.warning)
                alpha = limit(layer.alpha, picture)
                found[at] = 1 - alpha if invert else alpha
                if preview != "off" and len(previews) < MOST:
                    previews.append(draw(preview, picture, found[at]))
            update(i + 1)
            milliseconds = 1000 * (time.perf_counter() - start)
            host.show_text(describe(session, milliseconds, i + 1))
        mask = host.to_output(torch.from_numpy(found))
        return host.result((mask,), warnings, previews, fallback_warning(session))
