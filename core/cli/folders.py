"""Where models are kept if this is the shell of a pack that ComfyUI loads."""

from __future__ import annotations

from pathlib import Path


def comfy_folders() -> list[Path]:
    """Return the folder of models of the ComfyUI that this package is installed in, if it is.

    The one that its nodes use, unless its user has set up another.
    """
    package = Path(__file__).absolute().parents[2]
    if package.parent.name != "custom_nodes":
        return []
    return [package.parents[1] / "models" / "rembg"]
