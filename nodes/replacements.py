"""Migration: which nodes of other packs ours stand in for.

ComfyUI 0.33 offers to swap a missing node for the one that is registered here. Links and
values are copied as they are, widgets by their position in the saved file; foreign.py reads
what the other pack stored there. A pack that is installed keeps its nodes.

Left out, because the swap would run another network without saying so: the InSPyReNet nodes
(``InspyrenetRembg``, ``InspyrenetRembgAdvanced``, ``TransparentBGSession+``). Left out for
want of a counterpart: ``BlurFusionForegroundEstimation``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import host

# What rembg.remove uses where nothing is chosen.
_REMBG_MODEL = "u2net: general purpose"


class _PageOnly(int):
    """An index for ComfyUI's page that its server takes for no output.

    Ours are in the same order, so the server has nothing to do. If it has something to do,
    0.33 looks for a consumer's input by its old name, and fails where it has replaced, and so
    renamed, the consumer already.
    """

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = int.__hash__


class Replacement(NamedTuple):
    """One node of another pack and ours that takes its place.

    Attributes
    ----------
    old, new
        Node ids.
    widgets
        The old node's widgets in the order in which files hold their values.
    inputs
        Our input to theirs. ComfyUI's server refuses an API workflow that lacks one of them.
    values
        Our input to the value that makes our node do what theirs did. One that is also among
        ``inputs`` is for old files that do not hold the value yet.
    outputs
        How many outputs they have; ours are in the same order.
    """

    old: str
    new: str
    widgets: tuple[str, ...]
    inputs: Mapping[str, str]
    outputs: int
    values: Mapping[str, Any] = {}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of ComfyUI's ``NodeReplace``."""
        fixed = [{"new_id": new, "set_value": value} for new, value in self.values.items()]
        copied = [{"new_id": new, "old_id": old} for new, old in self.inputs.items()]
        return {
            "old_node_id": self.old,
            "new_node_id": self.new,
            "old_widget_ids": list(self.widgets),
            "input_mapping": fixed + copied,
            "output_mapping": [
                {"old_idx": _PageOnly(i), "new_idx": i} for i in range(self.outputs)
            ],
        }


# ComfyUI-RMBG: the last widgets of both its nodes, in their order, by our names.
_RMBG_LOOK = {
    "feather": "mask_blur",
    "grow": "mask_offset",
    "invert": "invert_output",
    "edge_colours": "refine_foreground",
    "background": "background",
    "background_colour": "background_color",
}

REPLACEMENTS: tuple[Replacement, ...] = (
    # ComfyUI_essentials
    Replacement(
        old="RemBGSession+",
        new="RemBGSession",
        widgets=("model", "providers"),
        inputs={"model": "model", "device": "providers"},
        outputs=1,
    ),
    Replacement(
        old="ImageRemoveBackground+",
        new="RemBGRemove",
        widgets=(),
        inputs={"session": "rembg_session", "image": "image"},
        values={"edge_colours": "naive"},
        outputs=2,
    ),
    # WAS Node Suite
    Replacement(
        old="Image Rembg (Remove Background)",
        new="RemBGRemove",
        widgets=(
            "transparency",
            "model",
            "post_processing",
            "only_mask",
            "alpha_matting",
            "alpha_matting_foreground_threshold",
            "alpha_matting_background_threshold",
            "alpha_matting_erode_size",
            "background_color",
        ),
        inputs={
            "image": "images",
            "background": "transparency",
            "model": "model",
            "hard_edge": "post_processing",
            "alpha_matting": "alpha_matting",
            "background_colour": "background_color",
        },
        values={"model": _REMBG_MODEL, "edge_colours": "naive"},
        outputs=1,
    ),
    # rembg-comfyui-node
    Replacement(
        old="Image Remove Background (rembg)",
        new="RemBGRemove",
        widgets=(),
        inputs={"image": "image"},
        values={"model": _REMBG_MODEL, "edge_colours": "naive"},
        outputs=1,
    ),
    # ComfyUI-RMBG; for files that hold their widgets in another order see foreign.py
    Replacement(
        old="RMBG",
        new="RemBGRemove",
        widgets=("model", "sensitivity", "process_res", *_RMBG_LOOK.values()),
        inputs={"image": "image", "model": "model", "detail": "process_res", **_RMBG_LOOK},
        outputs=3,
    ),
    Replacement(
        old="BiRefNetRMBG",
        new="RemBGRemove",
        widgets=("model", *_RMBG_LOOK.values()),
        inputs={"image": "image", "model": "model", **_RMBG_LOOK},
        outputs=3,
    ),
    # ComfyUI_BiRefNet_ll
    Replacement(
        old="AutoDownloadBiRefNetModel",
        new="RemBGSession",
        widgets=("model_name", "device", "dtype"),
        inputs={"model": "model_name", "device": "device"},
        outputs=1,
    ),
    Replacement(
        old="LoadRembgByBiRefNetModel",
        new="RemBGSession",
        widgets=("model", "device", "use_weight", "dtype"),
        inputs={"model": "model", "device": "device"},
        outputs=1,
    ),
    Replacement(
        old="RembgByBiRefNet",
        new="RemBGRemove",
        widgets=(),
        inputs={"session": "model", "image": "images"},
        outputs=2,
    ),
    Replacement(
        old="RembgByBiRefNetAdvanced",
        new="RemBGRemove",
        widgets=(
            "width",
            "height",
            "upscale_method",
            "blur_size",
            "blur_size_two",
            "fill_color",
            "color",
            "mask_threshold",
        ),
        inputs={
            "session": "model",
            "image": "images",
            "background": "fill_color",
            "background_colour": "color",
        },
        outputs=2,
    ),
    Replacement(
        old="GetMaskByBiRefNet",
        new="RemBGMask",
        widgets=("width", "height", "upscale_method", "mask_threshold"),
        inputs={"session": "model", "image": "images"},
        outputs=1,
    ),
)


def register() -> None:
    """Tell ComfyUI about the replacements; versions before 0.33 have no such thing."""
    if host.server() is None:
        return
    try:
        from comfy_api.latest import ComfyAPISync, io
    except ImportError:
        return
    api = ComfyAPISync()
    if not (hasattr(api, "node_replacement") and hasattr(io, "NodeReplace")):
        return
    for replacement in REPLACEMENTS:
        api.node_replacement.register(io.NodeReplace(**replacement.arguments()))
