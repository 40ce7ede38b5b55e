"""The node that opens a model."""

from __future__ import annotations

from typing import Any

from ..core.errors import RembgSessionsError
from ..core.runtime.providers import CHOICES, choose
from . import host, memory
from .handle import SessionHandle
from .inputs import DETAIL, SESSION_SOCKET, model_input
from .models import DETAILS, model_of, open_handle, stamp


class RemBGSession:
    """Opens a background removal model; the other nodes use it."""

    DESCRIPTION = (
        "Opens a background removal model. Equal settings share one model in memory, also "
        "across workflows. A model that is not on disk is downloaded once, into models/rembg."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = (SESSION_SOCKET,)
    RETURN_NAMES = ("session",)
    OUTPUT_TOOLTIPS = (
        "The open model, for Remove Background, Foreground Mask, and the background removal "
        "nodes of ComfyUI and ComfyUI_essentials.",
    )
    SEARCH_ALIASES = [
        "rembg session",
        "remove background",
        "u2net",
        "isnet",
        "birefnet",
        "rmbg",
    ]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": model_input(),
                "device": (
                    list(CHOICES),
                    {
                        "default": CHOICES[0],
                        "tooltip": "What the network runs on. Auto uses the device of ComfyUI's "
                        "other models if the installed onnxruntime can, else the CPU. The line "
                        "under Remove Background shows the one really used.",
                    },
                ),
            },
            "optional": {
                "detail": DETAIL,
                "cpu_fallback": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "advanced": True,
                        "tooltip": "If the chosen device does not work: on = run on the CPU with "
                        "a warning, off = stop with an error. Auto always may use the CPU.",
                    },
                ),
                "threads": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 256,
                        "advanced": True,
                        "tooltip": "CPU threads of the network; 0 = automatic.",
                    },
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model: str | None, device: str | None = None) -> bool | str:
        # naming them lifts the combo check: bare ids, other packs' names, and files as Windows
        # writes them are fine too
        try:
            if model is not None:  # not linked
                model_of(model)
            choose(device, (), None)
        except RembgSessionsError as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, model: str | None, **_: Any) -> str:
        return stamp(model)

    def execute(
        self,
        model: str,
        device: str,
        detail: str = DETAILS[0],
        cpu_fallback: bool = True,
        threads: int = 0,
    ) -> tuple[SessionHandle]:
        handle = open_handle(model, device, cpu_fallback, threads, detail)
        memory.load(handle.session)
        host.show_text(f"{handle.model_name} on {handle.provider}")
        return (handle,)
