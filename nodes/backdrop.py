"""The node that opens the model for plain backdrops, with its own options."""

from __future__ import annotations

from typing import Any

from ..core.session.factory import get_session
from . import host
from .handle import SessionHandle
from .inputs import SESSION_SOCKET


class RemBGBackdropSession:
    """Opens the model `backdrop`, which solves alpha from a plain backdrop."""

    DESCRIPTION = (
        "For subjects before a plain backdrop: product shots, sprites, renders, green screens. "
        "Needs no download. The same as choosing backdrop on RemBG Load Model, with its options. "
        "When a picture has no plain backdrop, the nodes that use it say so."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = (SESSION_SOCKET,)
    RETURN_NAMES = ("session",)
    OUTPUT_TOOLTIPS = ("The model, for Remove Background, Foreground Mask and other packs' nodes.",)
    SEARCH_ALIASES = ["rembg", "remove background", "green screen", "chroma key", "cutout"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "tolerance": (
                    "FLOAT",
                    {
                        "default": 0.0,
                        "min": 0.0,
                        "max": 255.0,
                        "step": 0.5,
                        "tooltip": "Distance from the backdrop's colour, in levels of 0 to 255, up "
                        "to which a pixel is backdrop. 0 = measured from the noise. Higher where "
                        "specks of backdrop stay; lower where pale parts get lost.",
                    },
                ),
                "soft_edge": (
                    "FLOAT",
                    {
                        "default": 0.0,
                        "min": 0.0,
                        "max": 1000.0,
                        "step": 0.5,
                        "tooltip": "Pixels inside the outline from which the subject is opaque. "
                        "0 = measured. Small for hard edges, large for long hair and veils.",
                    },
                ),
                "keep_shadow": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Keep the shadow on the backdrop as transparent black instead "
                        "of cutting it off.",
                    },
                ),
                "holes": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "tooltip": "Also cut out enclosed regions that match the backdrop, such as "
                        "the inside of a cup's handle.",
                    },
                ),
                "strict": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Stop with an error when a picture has no plain backdrop, "
                        "instead of a warning under the node.",
                    },
                ),
            },
        }

    def execute(
        self, tolerance: float, soft_edge: float, keep_shadow: bool, holes: bool, strict: bool
    ) -> tuple[SessionHandle]:
        session = get_session(
            "backdrop",
            tolerance=tolerance or None,
            soft_edge=soft_edge or None,
            keep_shadow=keep_shadow,
            holes=holes,
            strict=strict,
        )
        host.show_text("backdrop, nothing to download")
        return (SessionHandle(session),)
