"""Where the subject of a picture is: the box around what is seen, without specks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import number
from .components import Regions

THRESHOLD = 0.05
"""Alpha up to this is haze: networks leave 0.04 of it, some hundred pixels wide, at a subject."""

# A region is a speck below this share of the largest one's opacity: a tennis ball beside its
# player has 0.006, what networks leave over 0.0003.
_SPECK = 0.002
# Of the longer side, about. Parts in neighbouring blocks belong together, as broken hairs do.
_BLOCKS = 256


class Box(NamedTuple):
    """A rectangle of whole pixels: from column ``x`` and row ``y`` on, and as large as it says."""

    x: int
    y: int
    width: int
    height: int


def find_box(alpha: NDArray[Any], threshold: float = THRESHOLD) -> Box | None:
    """Return the box around the subject, or None where there is none.

    Regions that weigh next to nothing beside the largest are specks, and are left out. Parts with
    a small gap between them are one region.

    Parameters
    ----------
    alpha
        float32 (H, W), 0..1, or uint8 (H, W).
    threshold
        0..1: what is not above it is not seen.

    Raises
    ------
    OptionError
        If the threshold is out of range.
    """
    number("threshold", threshold, 0, 1)
    height, width = alpha.shape
    opacity = alpha.astype(np.float32)
    if alpha.dtype == np.uint8:
        opacity /= 255
    seen = opacity > threshold
    opacity *= seen
    side = max(1, max(height, width) // _BLOCKS)
    blocks = np.add.reduceat(opacity, [*range(0, height, side)], axis=0)
    blocks = np.add.reduceat(blocks, [*range(0, width, side)], axis=1)
    regions = Regions(blocks > 0)
    if not regions.count:
        return None
    weight = regions.sums(blocks)
    kept = regions.paint(weight >= _SPECK * weight.max())
    seen &= kept.repeat(side, axis=0)[:height].repeat(side, axis=1)[:, :width]
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return _between(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def around(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds all of them; there must be one at least."""
    corners = np.array([(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes])
    return _between(*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0))


def _between(left: Any, top: Any, right: Any, bottom: Any) -> Box:
    return Box(int(left), int(top), int(right - left), int(bottom - top))
