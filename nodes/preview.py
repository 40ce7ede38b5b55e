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
_FILM = (230, 40, 40)
_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "green": (0, 177, 64)}


def small(array: NDArray[np.float32]) -> Image.Image:
    """Return a picture (H, W, 3) or a mask (H, W), 0..1, at 512 pixels at most."""
    # every other pixel first: what is thrown away need not be rounded
    step = max(1, max(array.shape[:2]) // (2 * _SIDE))
    fewer = array[::step, ::step]
    levels = convert.to_levels(fewer) if fewer.ndim == 3 else to_levels(fewer)
    picture = Image.fromarray(levels)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=1)
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
    front = small(image[..., :3])
    return Image.composite(front, _behind(style, front), small(alpha))


def _behind(style: str, front: Image.Image) -> Image.Image:
    if style == "mask":
        return Image.blend(front, Image.new("RGB", front.size, _FILM), 0.6)
    if style == "checkerboard":
        rows, columns = np.indices(front.size[::-1]) // _SQUARE
        levels = np.where((rows + columns) % 2, 205, 255).astype(np.uint8)
        return Image.fromarray(levels).convert("RGB")
    return Image.new("RGB", front.size, _COLOURS[style])
