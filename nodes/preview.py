"""Small pictures that a node shows of its result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.imaging.levels import to_levels
from . import convert

STYLES = ("checkerboard", "white", "black", "green", "mask", "off")
MOST = 4
"""Pictures that are shown of a batch."""

_SIDE = 512
_SQUARE = 16  # pixels
_FILM = np.array([230, 40, 40], np.float32)
_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "green": (0, 177, 64)}


def small(array: NDArray[np.float32]) -> Image.Image:
    """Return a picture (H, W, 3) or a mask (H, W), 0..1, at 512 pixels at most."""
    # every other pixel first: what is thrown away need not be rounded
    step = max(1, max(array.shape[:2]) // (2 * _SIDE))
    fewer = array[::step, ::step]
    levels = convert.to_levels(fewer) if fewer.ndim == 3 else to_levels(fewer)
    picture = Image.fromarray(levels)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return picture


def draw(style: str, image: NDArray[np.float32], alpha: NDArray[np.float32]) -> Image.Image:
    """Draw a result as one of ``STYLES`` but ``off``.

    Parameters
    ----------
    image
        float32 (H, W, 3 or 4), 0..1: for ``mask`` the picture that came in, else the cut-out's
        colours, straight.
    alpha
        float32 (H, W), 0..1.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, at most 512 pixels wide and high.
    """
    front = np.asarray(small(image[..., :3]), np.float32)
    opacity = np.asarray(small(alpha), np.float32)[..., None] / 255
    if style == "mask":
        behind = 0.4 * front + 0.6 * _FILM
    elif style == "checkerboard":
        rows, columns = np.indices(front.shape[:2]) // _SQUARE
        behind = np.where((rows + columns) % 2, np.float32(205), np.float32(255))[..., None]
    else:
        behind = np.float32(_COLOURS[style])
    mixed = behind + (front - behind) * opacity
    return Image.fromarray(np.clip(mixed + 0.5, 0, 255).astype(np.uint8))
