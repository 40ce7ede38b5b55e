"""Inputs that several nodes have: the same name means the same everywhere."""

from __future__ import annotations

from typing import Any

from ..core.registry.lookup import get_model
from ..core.session.factory import DEFAULT_MODEL
from .batch import FRAMES
from .models import DETAILS, choices
from .preview import STYLES

SESSION_SOCKET = "REMBG_SESSION,BACKGROUND_REMOVAL"
SESSION = (
    SESSION_SOCKET,
    {
        "tooltip": "From RemBG Load Model, or any other pack's background removal session. It "
        "wins over the model chosen below."
    },
)
SAM_PROMPT = (
    "STRING",
    {
        "forceInput": True,
        "tooltip": "Only for sam models: from RemBG SAM Prompt, or JSON. Unconnected: the centre.",
    },
)
DETAIL = (
    list(DETAILS),
    {
        "default": DETAILS[0],
        "advanced": True,
        "tooltip": "Pixels at which the network looks at the picture. Smaller is faster, and loses "
        "thin parts: safe for clear, large subjects. Not every model can.",
    },
)

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
STEADY = (
    list(FRAMES),
    {
        "default": FRAMES[0],
        "advanced": True,
        "tooltip": "steady = the images are the frames of a clip, in order: the mask does not "
        "flicker from one to the next.",
    },
)
THRESHOLD = (
    "FLOAT",
    {
        "default": 0.0,
        "min": 0.0,
        "max": 1.0,
        "step": 0.01,
        "advanced": True,
        "tooltip": "Make the mask hard-edged: 1 from this value on. 0 keeps soft edges.",
    },
)
REMOVE_SPECKS = (
    "FLOAT",
    {
        "default": 0.0,
        "min": 0.0,
        "max": 1.0,
        "step": 0.005,
        "advanced": True,
        "tooltip": "Remove stray regions smaller than this share of the largest one. 0.01 takes "
        "clutter, and keeps letters and strands; 0 keeps all.",
    },
)
FILL_HOLES = (
    "FLOAT",
    {
        "default": 0.0,
        "min": 0.0,
        "max": 1.0,
        "step": 0.005,
        "advanced": True,
        "tooltip": "Fill holes smaller than this share of the largest region; 1 fills all, 0 none.",
    },
)
KEEP_LARGEST = (
    "BOOLEAN",
    {
        "default": False,
        "advanced": True,
        "tooltip": "Keep only the largest connected region.",
    },
)
INVERT = (
    "BOOLEAN",
    {
        "default": False,
        "advanced": True,
        "tooltip": "Swap foreground and background.",
    },
)


def model_input() -> tuple[list[str], dict[str, Any]]:
    """Return the list of models; it is made anew, because it holds the user's files."""
    return (
        choices(),
        {
            "default": get_model(DEFAULT_MODEL).choice,
            "tooltip": "The network. birefnet models have the finest edges and want a GPU; u2net "
            "and isnet are quick on a CPU; sam takes a prompt; backdrop needs no download, and a "
            "plain backdrop. Your own .onnx files in models/rembg are listed, too.",
        },
    )


def preview_input(default: str) -> tuple[list[str], dict[str, Any]]:
    """Return the choice of what is shown under a node after it ran."""
    return (
        list(STYLES),
        {
            "default": default,
            "tooltip": "What is shown under this node: the cut-out over a checkerboard or a "
            "colour, the mask as a red film over the background, or nothing (off).",
        },
    )


def given_prompt(sam_prompt: Any) -> Any:
    """Return what a sam_prompt widget or link holds; None where it is empty."""
    return (sam_prompt.strip() or None) if isinstance(sam_prompt, str) else sam_prompt
