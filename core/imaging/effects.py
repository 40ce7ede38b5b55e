"""What is drawn from the alpha of a subject: a soft shadow, and an outline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .resample import stretch
from .rows import cached_rows, map_rows

# A blurred shadow has so few details that it is made small, with this many pixels for a standard
# deviation, and enlarged. That is off by 0.003, and by 0.008 where the border is near.
_PER_SIGMA = 4
# Alpha of the edge that outlines follow.
_EDGE = np.float32(0.5)


def cast_shadow(
    alpha: NDArray[np.float32], blur: float, right: int, down: int
) -> NDArray[np.float32]:
    """Return the shadow of a subject: its alpha, blurred and moved.

    What the border cuts off is taken to go on outside.

    Parameters
    ----------
    alpha
        float32 (H, W), 0..1.
    blur
        Standard deviation of a Gaussian, in pixels, ≥ 0.
    right, down
        Whole pixels.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1.
    """
    from scipy import ndimage

    height, width = alpha.shape
    soft = alpha
    if blur > 0:
        step = max(1, int(blur / _PER_SIGMA))
        small_hw = (-(-height // step), -(-width // step))
        small = stretch(alpha, small_hw)
        sigma = (blur * small_hw[0] / height, blur * small_hw[1] / width)
        soft = stretch(ndimage.gaussian_filter(small, sigma, mode="nearest"), alpha.shape)
        np.clip(soft, 0, 1, out=soft)
    if not right and not down:
        return soft.copy() if soft is alpha else soft
    rows = [min(max(row - down, 0), height - 1) for row in range(height)]
    columns = [min(max(column - right, 0), width - 1) for column in range(width)]
    return np.take(np.take(soft, rows, axis=0), columns, axis=1)


def draw_outline(alpha: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Return the opacity of a subject and the outline around it, with smooth edges.

    The edge is where alpha, interpolated between neighbouring pixels, is ½. A pixel outside is
    opaque by ``width`` + ½ − d, within 0..1, where d is its distance from the nearest of the places
    where rows and columns cross the edge.

    Parameters
    ----------
    alpha
        float32 (H, W), 0..1.
    width
        Pixels, > 0.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1: 1 under the subject, 0 where there is none.
    """
    from scipy import ndimage, spatial

    result = np.zeros_like(alpha)
    inside = alpha >= _EDGE
    across, along = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    if not len(along):
        return result
    reach = int(width) + 3
    top, left = max(0, along[0] - reach), max(0, across[0] - reach)
    part = np.s_[top : along[-1] + 1 + reach, left : across[-1] + 1 + reach]
    drawn, inside = result[part], inside[part]
    edge = _crossings(alpha[part], inside)
    if not len(edge):
        drawn[:] = 1
        return result
    tree = spatial.cKDTree(edge)
    nearest: NDArray[np.int32] = ndimage.distance_transform_edt(
        ~inside, return_distances=False, return_indices=True
    )
    height, columns = inside.shape

    def draw(first: int, last: int) -> None:
        y, x = np.mgrid[first:last, :columns]
        near_y, near_x = nearest[:, first:last]
        # at most a diagonal longer than the way to the edge
        distance = np.hypot(y - near_y, x - near_x).astype(np.float32)
        rim = (distance > max(0, width - 0.5)) & (distance < width + 2)
        distance[rim] = tree.query(np.stack([y[rim], x[rim]], axis=1))[0]
        np.clip(np.float32(width) + _EDGE - distance, 0, 1, out=drawn[first:last])

    map_rows(draw, height, inside.size, cached_rows(columns))
    return result


def _crossings(alpha: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the places (N, 2), row and column, where alpha is ½ between two pixels."""
    places: list[NDArray[np.float64]] = []
    for axis in (0, 1):
        here, there = np.swapaxes(alpha, 0, axis)[:-1], np.swapaxes(alpha, 0, axis)[1:]
        is_inside = np.swapaxes(inside, 0, axis)
        row, column = np.nonzero(is_inside[:-1] != is_inside[1:])
        first, second = here[row, column], there[row, column]
        place = np.empty((len(row), 2))
        place[:, axis] = row + (first - _EDGE) / (first - second)
        place[:, 1 - axis] = column
        places.append(place)
    return np.concatenate(places)
