"""Converts between values of 0..1 and levels of 0..255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_levels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round values of 0..1, an array of any shape, to levels of 0..255."""
    levels = values * 255
    levels += 0.5
    return levels.astype(np.uint8)


def alpha_to_mask(alpha: NDArray[np.float32]) -> Image.Image:
    """Round alpha (H, W), 0..1, to a Pillow image of mode L."""
    return Image.fromarray(to_levels(alpha))


def mask_to_alpha(mask: Image.Image) -> NDArray[np.float32]:
    """Read a Pillow image of mode L as alpha (H, W), 0..1."""
    return np.asarray(mask if mask.mode == "L" else mask.convert("L"), np.float32) / np.float32(255)
