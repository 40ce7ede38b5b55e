"""Where the parts of a frame lie in the next or the last one, found on small copies of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Copies = list[Floats]

# Tuned on the clips of tests/bench/steady.py.
_SIDE = 320  # pixels of the longer side of the largest copy
_LEVELS = 5  # copies, each half as large as the one before
_REACH = 3  # pixels of the smallest copy that something moves at most: 15 % of the side
_WINDOW = 3  # pixels a side that are compared
_COST = 0.35  # levels that a pixel of motion must gain, at an eighth of the size
_SAME = 9.0  # levels by which two pictures of one thing differ at most, noise and compression ...
_OF_CONTRAST = 0.2  # ... and the share of the contrast there, since motion is a whole pixel here

_HALF = 0.5

_AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the parts of one picture lie in another.

    Attributes
    ----------
    shift
        int32 (2, h, w), down and right, in pixels of the largest copies: where the other picture
        shows what this one shows here.
    same
        bool (h, w): whether it shows that at all.
    """

    shift: NDArray[np.int32]
    same: NDArray[np.bool_]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the maps."""
        return self.shift.shape[1], self.shift.shape[2]

    def places(self, size_hw: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return for each pixel of a map its place in that of the other picture.

        Parameters
        ----------
        size_hw
            Height and width of both maps, those of the pictures or any smaller.

        Returns
        -------
        places
            intp (H, W): of the flattened map, as ``numpy.take`` wants them.
        same
            bool (H, W).
        """
        if size_hw == self.size_hw:
            (down, right), same = self.shift, self.same
        else:
            down, right = (
                np.rint(resized(each.astype(np.float32) * (side / small), size_hw)).astype(np.intp)
                for each, side, small in zip(self.shift, size_hw, self.size_hw, strict=True)
            )
            same = resized(self.same.astype(np.float32), size_hw) > _HALF
        return _places(down, right), same


def small_copies(picture: NDArray[np.uint8]) -> Copies:
    """Return small copies of a picture (H, W, 3), float32 (3, h, w), each half the one before."""
    height, width = picture.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(picture).resize(size, Image.Resampling.BOX)
    copies: Copies = []
    for _ in range(_LEVELS):
        planes = np.moveaxis(np.asarray(small, np.float32), 2, 0)  # HWC -> CHW
        copies.append(np.ascontiguousarray(planes))
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        small = small.resize(size, Image.Resampling.BOX)
    return copies


def find_motion(copies: Copies, others: Copies) -> Motion:
    """Find where the parts of a picture lie in another of its size.

    Of a few shifts the best is taken for each pixel: of the smallest copies all within reach, then
    at each step those next to what was found, and none at all.

    Parameters
    ----------
    copies, others
        From :func:`small_copies`.
    """
    height, width = copies[-1].shape[1:]
    reach = range(-_REACH, _REACH + 1)
    tries = [np.full((2, height, width), [[[y]], [[x]]], np.int32) for y in reach for x in reach]
    shift = tries[0]
    for level in reversed(range(len(copies))):
        image, other = copies[level], others[level]
        height, width = image.shape[1:]
        if level < len(copies) - 1:
            coarse = 2 * shift.repeat(2, 1).repeat(2, 2)[:, :height, :width]
            tries = [coarse + np.array(step, np.int32)[:, None, None] for step in _AROUND]
            tries.append(np.zeros_like(coarse))
        lowest = np.full((height, width), np.inf, np.float32)
        shift = tries[0]
        for each in tries:
            cost = _difference(image, other, each)
            cost += _COST / 8 * 2**level * np.abs(each).sum(0)
            better = cost < lowest
            lowest = np.where(better, cost, lowest)
            shift = np.where(better, each, shift)
        shift = _without_outliers(shift)
    difference = _difference(copies[0], others[0], shift)
    return Motion(shift, difference < _SAME + _OF_CONTRAST * _contrast(copies[0]))


def _places(down: NDArray[np.integer], right: NDArray[np.integer]) -> NDArray[np.intp]:
    height, width = down.shape
    rows = np.arange(height, dtype=np.intp)[:, None] + down
    columns = np.arange(width, dtype=np.intp) + right
    return np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)


def resized(values: Floats, size_hw: tuple[int, int]) -> Floats:
    """Bring a map (h, w) to another size, with linear interpolation."""
    height, width = size_hw
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))


def _difference(image: Floats, other: Floats, shift: NDArray[np.int32]) -> Floats:
    """Return by how many levels two pictures differ around each pixel, (h, w)."""
    from scipy import ndimage

    height, width = image.shape[1:]
    places = _places(shift[0], shift[1])
    levels = np.zeros((height, width), np.float32)
    for plane, there in zip(image, other, strict=True):
        levels += np.abs(plane - there.ravel().take(places))
    levels /= len(image)
    return ndimage.uniform_filter(levels, _WINDOW, mode="nearest")


def _without_outliers(shift: NDArray[np.int32]) -> NDArray[np.int32]:
    from scipy import ndimage

    down, right = (ndimage.median_filter(each, 3, mode="nearest") for each in (shift[0], shift[1]))
    return np.stack([down, right])


def _contrast(image: Floats) -> Floats:
    """Return the range of grey in the 3×3 pixels around each, (h, w)."""
    from scipy import ndimage

    grey = image.mean(0)
    return ndimage.maximum_filter(grey, 3) - ndimage.minimum_filter(grey, 3)
