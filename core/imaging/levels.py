"""Converts between values of 0..1 and levels of 0..255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Alpha below one level of 8 bit is 0 in the files that ComfyUI writes, which cuts fractions
# off: nothing of the pixel is seen.
VISIBLE = 1 / 255
# From here on the picture's own colour is right to the level of 8 bit. Networks seldom say
# exactly 1 inside a subject.
OPAQUE = 253.5 / 255


def to_levels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round values of 0..1, an array of any shape, to levels of 0..255."""
    levels = values * 255
    levels += 0.5
    return levels.astype(np.uint8)


def alpha_to_levels(alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round alpha of 0..1 to levels of 0..255; what is not seen is 0."""
    levels = to_levels(alpha)
    levels *= (alpha >= VISIBLE).view(np.uint8)
    return levels


def alpha_to_mask(alpha: NDArray[np.float32]) -> Image.Image:
    """Round alpha (H, W), 0..1, to a Pillow picture of mode L; what is not seen is 0."""
    return Image.fromarray(alpha_to_levels(alpha))


def mask_to_alpha(mask: Image.Image) -> NDArray[np.float32]:
    """Read a Pillow image of mode L as alpha (H, W), 0..1."""
    return np.asarray(mask if mask.mode == "L" else mask.convert("L"), np.float32) / np.float32(255)
