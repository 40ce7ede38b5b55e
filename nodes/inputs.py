"""Inputs that several nodes have: the same name means the same everywhere."""

from __future__ import annotations

from typing import Any

from ..core.matting.methods import MattingOptions

BACKGROUNDS = ("transparent", "colour")
BACKGROUND = {
    "background": (
        list(BACKGROUNDS),
        {
            "default": BACKGROUNDS[0],
            "tooltip": "transparent gives RGBA; colour gives RGB, which every node takes (VAE "
            "Encode, for example).",
        },
    ),
    "background_colour": (
        "STRING",
        {
            "default": "#ffffff",
            "tooltip": "With background = colour: #RGB, #RRGGBB, a name, or r,g,b.",
        },
    ),
}
GROW = (
    "INT",
    {
        "default": 0,
        "min": -256,
        "max": 256,
        "tooltip": "Pixels to grow the foreground; negative shrinks it.",
    },
)
FEATHER = (
    "FLOAT",
    {
        "default": 0.0,
        "min": 0.0,
        "max": 256.0,
        "step": 0.5,
        "tooltip": "Blur of the edge, in pixels (sigma).",
    },
)


def matting_levels(before: str = "", **options: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the numbers of alpha matting, which turn a mask into a trimap.

    Parameters
    ----------
    before
        What their tooltips begin with.
    **options
        More options of each input, for example ``advanced=True``.
    """
    level = {"min": 0, "max": 255, **options}
    texts = {
        "foreground_threshold": "Mask values above this (0 to 255) are certainly foreground.",
        "background_threshold": "Mask values below this (0 to 255) are certainly background.",
        "erode_size": "Width in pixels of the unknown band along a hard edge. "
        "Wider for long hair; slower.",
    }
    defaults = MattingOptions()
    return {
        name: (
            "INT",
            {"default": getattr(defaults, name), **level, "tooltip": _joined(before, text)},
        )
        for name, text in texts.items()
    }


def _joined(before: str, text: str) -> str:
    return f"{before}{text[0].lower()}{text[1:]}" if before else text


def given_prompt(sam_prompt: Any) -> Any:
    """Return what a sam_prompt widget or link holds; None where it is empty."""
    return (sam_prompt.strip() or None) if isinstance(sam_prompt, str) else sam_prompt
