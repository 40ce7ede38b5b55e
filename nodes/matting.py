"""The node that refines a mask into an alpha matte."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ImageError, ModelMemoryError, ProviderError
from ..core.imaging.bleed import REACH, bleed
from ..core.imaging.levels import to_levels
from ..core.imaging.morphology import dilate
from ..core.layers import layer_of_matte
from ..core.matting.methods import (
    DEFAULT_METHOD,
    METHODS,
    Matte,
    MattingOptions,
    check_method,
    find_matte,
)
from ..core.matting.trimap import read_trimap
from ..core.session.vitmatte import VARIANTS, VitMatte, get_vitmatte
from . import convert, host, memory
from .cutout import cut_out, limit
from .preview import MOST, small

_USUAL = MattingOptions()
HINTS = {
    "unknown": "where hair and edges are to be solved",
    "keep": "what is certainly foreground",
    "remove": "what is certainly background",
}
"""Inputs for what the user painted, and what each is for; see :func:`.trimap.paint`."""

_CUTOUT = (
    "The image is a cut-out: behind its edge nothing is left to solve alpha from. Connect the "
    "picture that it was cut out of, and its mask"
)


class RemBGAlphaMatting:
    """Refines the edge of a mask: hair, fur, glass."""

    DESCRIPTION = (
        "Refines a foreground mask into an alpha matte, and cuts out with foreground colours to "
        "match. Between what is certainly foreground and certainly background, alpha is solved."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    HAS_INTERMEDIATE_OUTPUT = True  # the page is told of what comes from the cache, too
    RETURN_TYPES = ("MASK", "IMAGE", "MASK")
    RETURN_NAMES = ("mask", "image", "trimap")
    OUTPUT_TOOLTIPS = (
        "The refined alpha: 1 = foreground.",
        "The cut-out: RGBA, straight alpha, without the old background.",
        "What was taken for certain: 1 = foreground, 0 = background, 0.5 = solved.",
    )
    SEARCH_ALIASES = ["matting", "matte", "hair", "trimap", "refine mask", "vitmatte"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        explained = "; ".join(f"{name}: {method.good_for}" for name, method in METHODS.items())
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "The images that the mask was made from."}),
            },
            "optional": {
                "mask": (
                    "MASK",
                    {
                        "tooltip": "Foreground mask, 1 = foreground. Invert LoadImage's mask "
                        "first. Not needed if a trimap is connected."
                    },
                ),
                **{
                    name: (
                        "MASK",
                        {
                            "tooltip": f"Painted in the mask editor: {meaning}. Any brush; Load "
                            "Image's mask fits as it is."
                        },
                    )
                    for name, meaning in HINTS.items()
                },
                "trimap": (
                    "MASK",
                    {
                        "tooltip": "Drawn by you instead of made from the mask: 1 = certainly "
                        "foreground, 0 = certainly background, 0.5 = to be solved. The thresholds "
                        "and erode_size then do nothing."
                    },
                ),
                "method": (
                    list(METHODS),
                    {
                        "default": DEFAULT_METHOD,
                        "tooltip": f"Speed against exactness. {explained}.",
                    },
                ),
                "erode_size": (
                    "INT",
                    {
                        "default": _USUAL.erode_size,
                        "min": 0,
                        "max": 255,
                        "tooltip": "Width in pixels of the unknown band along a hard edge. Wider "
                        "for long hair; slower.",
                    },
                ),
                "preview": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Show trimap and matte under the node.",
                    },
                ),
                "foreground_threshold": (
                    "INT",
                    {
                        "default": _USUAL.foreground_threshold,
                        "min": 0,
                        "max": 255,
                        "advanced": True,
                        "tooltip": "Mask values above this (0 to 255) are certainly foreground.",
                    },
                ),
                "background_threshold": (
                    "INT",
                    {
                        "default": _USUAL.background_threshold,
                        "min": 0,
                        "max": 255,
                        "advanced": True,
                        "tooltip": "Mask values below this (0 to 255) are certainly background.",
                    },
                ),
                "scale_erode": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "advanced": True,
                        "tooltip": "erode_size is meant for images of 1024 pixels, and grows and "
                        "shrinks with the image: 4K images get an unknown band as wide as small "
                        "ones.",
                    },
                ),
                "vitmatte_model": (
                    list(VARIANTS),
                    {
                        "default": VARIANTS[0],
                        "advanced": True,
                        "tooltip": "For the method vitmatte: small is 110 MB, base 380 MB and "
                        "slower. distinctions-646 suits photos. Downloaded on first use.",
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        mask: torch.Tensor | None = None,
        unknown: torch.Tensor | None = None,
        keep: torch.Tensor | None = None,
        remove: torch.Tensor | None = None,
        trimap: torch.Tensor | None = None,
        method: str = DEFAULT_METHOD,
        erode_size: int = _USUAL.erode_size,
        preview: bool = False,
        foreground_threshold: int = _USUAL.foreground_threshold,
        background_threshold: int = _USUAL.background_threshold,
        scale_erode: bool = False,
        vitmatte_model: str = VARIANTS[0],
    ) -> Any:
        if mask is None and trimap is None:
            raise ImageError("Connect a mask, or a trimap.")
        model = _open_model(vitmatte_model) if check_method(method).takes_model else None
        pictures = convert.one_per_mask(convert.check_image(image), mask, trimap).numpy()
        count, height, width = pictures.shape[:3]
        mask_of = None if mask is None else convert.masks_for(mask, count, height, width)
        drawn = None
        if trimap is not None:
            drawn = convert.check_masks(trimap, count, "trimap").numpy()
        given = {"unknown": unknown, "keep": keep, "remove": remove}
        hints = {
            name: convert.masks_for(hint, count, height, width)
            for name, hint in given.items()
            if hint is not None
        }
        if method == "pymatting":
            host.show_text("pymatting compiles for half a minute after an installation")
        options = MattingOptions(
            method=method,
            foreground_threshold=foreground_threshold,
            background_threshold=background_threshold,
            erode_size=erode_size,
            scale_erode=scale_erode,
            model=model,
        )
        update = host.progress(count)
        start = time.perf_counter()
        results = np.empty((count, height, width, 4), np.float32)
        trimaps = np.empty((count, height, width), np.float32)
        warnings: list[str] = []
        previews: list[Image.Image] = []
        for i, picture in enumerate(pictures):
            host.check_cancelled()
            levels = convert.to_levels(picture)
            if model is not None:
                memory.load(model)
            try:
                matte = find_matte(
                    levels,
                    None if mask_of is None else to_levels(mask_of(i)),
                    None if drawn is None else read_trimap(drawn[i], (height, width)),
                    hints={name: hint_of(i) for name, hint_of in hints.items()},
                    options=options,
                    on_step=host.check_cancelled,
                )
            except (ProviderError, ModelMemoryError) as error:
                memory.raise_as_comfy_does(error)
                raise
            _cut_out(picture, levels, matte, results[i])
            trimaps[i] = matte.trimap
            is_cutout = _is_cutout(picture, matte.trimap)
            warnings.append(matte.warning or (_CUTOUT if is_cutout else ""))
            if preview and len(previews) < 2 * MOST:
                previews += [small(matte.trimap), small(results[i, ..., 3])]
            update(i + 1)
        if model is not None:
            host.tell_fallback(model)
        name = method if model is None else f"{model.model_name} on {model.provider}"
        host.show_text(f"{name}, {1000 * (time.perf_counter() - start) / count:.0f} ms per image")
        outputs = tuple(
            host.to_output(torch.from_numpy(array))
            for array in (results[..., 3].copy(), results, trimaps)
        )
        fallback = "" if model is None else host.fallback_text(model)
        return host.result(outputs, warnings, previews if preview else None, fallback)


def _is_cutout(picture: NDArray[np.float32], trimap: NDArray[np.float32]) -> bool:
    """Whether the background was removed already.

    Behind the edge there is one colour only, or none at all but for what was carried there.
    """
    if picture.shape[2] < 4:
        return False
    edge = picture[trimap == 0.5, 3]
    if not edge.size or edge.min() > 0:
        return False
    behind = picture[(picture[..., 3] == 0) & (trimap != 1), :3]
    if (behind == behind[:1]).all():
        return True
    far = picture[~dilate(picture[..., 3] > 0, REACH) & (trimap != 1), :3]
    return bool(far.size and not far.any())


def _open_model(name: str) -> VitMatte:
    return get_vitmatte(
        name,
        folders=host.model_folders(),
        on_progress=host.download_progress(),
        runs_on=host.runs_on(),
        device_id=host.device_id(),
    )


def _cut_out(
    picture: NDArray[np.float32],
    levels: NDArray[np.uint8],
    matte: Matte,
    out: NDArray[np.float32],
) -> None:
    """Write the straight cut-out of one picture to ``out``, (H, W, 4)."""
    if matte.cutout is None:
        cut_out(picture, levels, layer_of_matte(matte), "estimated", out)
        return
    np.divide(matte.cutout, np.float32(255), out=out)
    out[..., 3] = limit(out[..., 3], picture)
    out[out[..., 3] == 0] = 0
    bleed(out)
