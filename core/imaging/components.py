"""Connected regions of a boolean image, without scipy.

Kept on purpose: for all regions of one image the backdrop's solver takes 3 to 7 ms here, with
``scipy.ndimage.label`` and ``np.bincount`` 5 to 17 ms, after an import of 0.3 s (processor time,
same alpha). Only on noise, where every region is tiny, is scipy faster, by five times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Regions:
    """4-connected regions of True pixels, found through the runs of their rows.

    Parameters
    ----------
    mask
        bool (H, W).
    """

    def __init__(self, mask: NDArray[np.bool_]):
        height, width = int(mask.shape[0]), int(mask.shape[1])
        self._size_hw, self._stride = (height, width), width + 1
        # a False column at the end of every row keeps the runs of two rows apart
        flat = np.zeros((height, self._stride), np.int8)
        flat[:, :width] = mask
        change = np.diff(flat.ravel(), prepend=np.int8(0))
        self._starts, self._ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
        self.label = self._join()
        """Region of each run, 0..count - 1."""
        self.count = int(self.label.max()) + 1 if len(self.label) else 0
        self.area = np.bincount(self.label, self._ends - self._starts, self.count)
        """Pixels of each region."""

    def _join(self) -> NDArray[np.intp]:
        """Return the region of each run: runs of adjacent rows that overlap are joined."""
        starts, ends = self._starts, self._ends
        # the runs of the next row that overlap run i are low[i]..high[i] - 1
        low = np.searchsorted(ends, starts + self._stride, side="right")
        high = np.searchsorted(starts, ends + self._stride, side="left")
        count = np.maximum(high - low, 0)
        above = np.repeat(np.arange(len(starts)), count)
        below = np.arange(len(above)) - np.repeat(np.cumsum(count) - count, count) + low[above]
        label = np.arange(len(starts))
        while True:
            a, b = label[above], label[below]
            if (a == b).all():
                break
            np.minimum.at(label, np.maximum(a, b), np.minimum(a, b))
            while True:
                shorter = label[label]
                if (shorter == label).all():
                    break
                label = shorter
        # each region is named after its first run; count those up
        return (np.cumsum(label == np.arange(len(label))) - 1)[label]

    def sums(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the sum of values (H, W) over each region."""
        # positions of the runs in an array without that extra column
        start = self._starts - self._starts // self._stride
        bounds = np.stack([start, start + self._ends - self._starts], axis=1).ravel()
        flat = np.append(values.ravel().astype(np.float32), np.float32(0))
        each = np.add.reduceat(flat, bounds)[::2] if len(bounds) else flat[:0]
        return self._total(each)

    def contact(self) -> NDArray[np.float64]:
        """Return how many pixels of each region lie on the border of the image."""
        height, width = self._size_hw
        row, left = np.divmod(self._starts, self._stride)
        right = self._ends - row * self._stride
        ends = (left == 0) * 1.0 + (right == width)
        whole = (row == 0) | (row == height - 1)
        return self._total(np.where(whole, right - left, ends))

    def _total(self, of_runs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum a value of each run over the regions."""
        return np.bincount(self.label, of_runs, self.count).astype(np.float64)

    def paint(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the mask (H, W) of the chosen regions."""
        height, width = self._size_hw
        change = np.zeros(height * self._stride + 1, np.int8)
        runs = chosen[self.label] if self.count else np.zeros(0, bool)
        change[self._starts[runs]] = 1
        change[self._ends[runs]] = -1
        painted = np.cumsum(change, dtype=np.int8)[:-1].reshape(height, self._stride)
        return painted[:, :width] == 1
