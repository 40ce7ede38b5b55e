"""Alpha as a linear function of colour in small windows: fitted small, applied at full size.

In a window w of (2r+1)² pixels alpha is close to ``a_w · I + b_w`` (Levin 2008: exactly so
where the colours of foreground and background lie on a line each). Given alpha in the window,

    a_w = (cov_w(I) + ε 1)⁻¹ cov_w(I, α),    b_w = mean_w(α) − a_w · mean_w(I)

minimises the squared error plus ε |a_w|². A pixel lies in (2r+1)² windows and takes the mean
(ā, b̄) of theirs. This is what the guided filter computes (He 2013), and with r = 1 the model
behind closed-form matting. ā and b̄ are smooth even where alpha is not, so they can be computed
on a small image, interpolated, and applied to the large one, whose detail then reappears in
alpha (He & Sun 2015).

References
----------
He, Sun, Tang: Guided Image Filtering, 2013. He, Sun: Fast Guided Filter, 2015.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..imaging.morphology import dilate
from ..imaging.rows import map_rows

# Radius and ε, for colours in 0..1, to fit alpha that closed-form matting solved.
SOLVED_RADIUS, SOLVED_EPSILON = 1, 1e-6
# Bytes that carrying alpha up takes at most, measured: for every pixel of the full image, and for
# every unknown one.
_CARRY_PIXEL, _CARRY_UNKNOWN = 6, 40
# Pixels of one call, and the work of one of them, in simple operations.
_BLOCK, _WORK = 1 << 15, 16


def predict_carrying(trimap: NDArray[np.float32]) -> int:
    """Return the bytes that it takes to fit alpha small and carry it up.

    ``trimap`` is float32 (H, W), 0.5 where alpha is unknown.
    """
    return _CARRY_PIXEL * trimap.size + _CARRY_UNKNOWN * int(np.count_nonzero(trimap == 0.5))


def fit_coefficients(
    image: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    where: NDArray[np.bool_],
    radius: int,
    epsilon: float,
) -> NDArray[np.float32]:
    """Fit (ā, b̄) around the pixels that are marked.

    Parameters
    ----------
    image
        uint8 (h, w, 3); both sides at least ``2 * radius + 1``.
    alpha
        float32 (h, w), 0..1.
    where
        bool (h, w).
    radius
        Of the windows, in pixels, ≥ 1.
    epsilon
        ε, for colours in 0..1: the smaller, the more closely alpha follows the colours.

    Returns
    -------
    ndarray
        float32 (h, w, 4): ā for red, green, blue in 0..255, and b̄. Valid at the marked
        pixels and their neighbours, 0 elsewhere.
    """
    height, width = alpha.shape
    # interpolation reads the marked pixels' neighbours, and each takes the windows around it
    pixels = np.flatnonzero(dilate(where))
    centre = _nearest_centre(pixels, (height, width), radius)
    wanted = np.zeros(alpha.size, np.bool_)
    wanted[centre] = True
    centres = np.flatnonzero(dilate(wanted.reshape(alpha.shape), radius))
    centres = np.unique(_nearest_centre(centres, (height, width), radius))
    offsets = _offsets(radius, width)

    values = np.empty((alpha.size, 4), np.float32)
    values[:, :3], values[:, 3] = image.reshape(-1, 3), alpha.ravel()
    fitted = np.empty((alpha.size, 4), np.float32)

    def fit(first: int, last: int) -> None:
        at = centres[first:last]
        fitted[at] = _fit(values, at, offsets, epsilon * 255**2)

    map_rows(fit, len(centres), _WORK * len(centres), _BLOCK)
    result = np.zeros((alpha.size, 4), np.float32)

    def average(first: int, last: int) -> None:
        y, x = np.divmod(pixels[first:last], width)
        total = np.zeros((last - first, 4), np.float32)
        for dy in range(-radius, radius + 1):
            # at the border, the nearest window replaces one that would reach outside
            row = np.clip(y + dy, radius, height - 1 - radius) * width
            for dx in range(-radius, radius + 1):
                column = np.clip(x + dx, radius, width - 1 - radius)
                total += np.take(fitted, row + column, axis=0)  # faster than indexing
        result[pixels[first:last]] = total / len(offsets)

    map_rows(average, len(pixels), _WORK * len(pixels), _BLOCK)
    return result.reshape(height, width, 4)


def _fit(
    values: NDArray[np.float32],
    centres: NDArray[np.intp],
    offsets: NDArray[np.intp],
    epsilon: float,
) -> NDArray[np.float32]:
    """Return (a, b) of the windows around ``centres``; ``values`` is (N, 4): colour, alpha."""
    # relative to the middle pixel, so that the differences below lose no digits
    middle = np.take(values, centres, axis=0)  # faster than indexing
    mean = np.zeros_like(middle)
    products = np.zeros((10, len(centres)), np.float32)
    pairs = [(i, j) for i in range(4) for j in range(i + 1)][:-1]  # all but alpha²
    for offset in offsets:
        part = np.take(values, centres + offset, axis=0) - middle
        mean += part
        columns = np.ascontiguousarray(part.T)
        for product, (i, j) in zip(products, pairs, strict=False):
            product += columns[i] * columns[j]
    count = np.float32(len(offsets))
    mean /= count
    m = np.ascontiguousarray(mean.T)
    cov = {pair: products[k] / count - m[pair[0]] * m[pair[1]] for k, pair in enumerate(pairs)}
    # Cholesky factor R of the covariance: R z = c, Rᵀ a = z; nothing is inverted
    r00 = np.sqrt(np.maximum(cov[0, 0], 0) + epsilon)
    r10, r20 = cov[1, 0] / r00, cov[2, 0] / r00
    r11 = np.sqrt(np.maximum(cov[1, 1] - r10 * r10, 0) + epsilon)
    r21 = (cov[2, 1] - r20 * r10) / r11
    r22 = np.sqrt(np.maximum(cov[2, 2] - r20 * r20 - r21 * r21, 0) + epsilon)
    z0 = cov[3, 0] / r00
    z1 = (cov[3, 1] - r10 * z0) / r11
    z2 = (cov[3, 2] - r20 * z0 - r21 * z1) / r22
    result = np.empty_like(middle)
    a2 = z2 / r22
    a1 = (z1 - r21 * a2) / r11
    a0 = (z0 - r10 * a1 - r20 * a2) / r00
    result[:, 0], result[:, 1], result[:, 2] = a0, a1, a2
    mean += middle
    result[:, 3] = mean[:, 3] - np.einsum("nc,nc->n", result[:, :3], mean[:, :3])
    return result


def carry_alpha(
    coefficients: NDArray[np.float32],
    image: NDArray[np.uint8],
    pixels: NDArray[np.intp],
    scale: int,
) -> NDArray[np.float32]:
    """Interpolate (ā, b̄) of a small image and apply them to pixels of the large one.

    Parameters
    ----------
    coefficients
        float32 (h, w, 4) from :func:`fit_coefficients`.
    image
        uint8 (H, W, 3).
    pixels
        Flat indices of N of its pixels.
    scale
        Pixels of the large image per pixel of the small one.

    Returns
    -------
    ndarray
        float32 (N,), 0..1.
    """
    width, (h, w) = image.shape[1], coefficients.shape[:2]
    colours, table = image.reshape(-1, 3), coefficients.reshape(-1, 4)
    alpha = np.empty(len(pixels), np.float32)

    def carry(first: int, last: int) -> None:
        y, x = np.divmod(pixels[first:last], width)
        top, bottom, down = _between(y, scale, h)
        left, right, across = _between(x, scale, w)
        own = np.ones((last - first, 4), np.float32)
        own[:, :3] = np.take(colours, pixels[first:last], axis=0)
        found = np.zeros(last - first, np.float32)
        for row, upright in ((top, 1 - down), (bottom, down)):
            for column, level in ((left, 1 - across), (right, across)):
                part = np.einsum("nc,nc->n", np.take(table, row * w + column, axis=0), own)
                part *= upright
                part *= level
                found += part
        np.clip(found, 0, 1, out=alpha[first:last])

    map_rows(carry, len(pixels), _WORK * len(pixels), _BLOCK)
    return alpha


def _between(
    place: NDArray[np.intp], scale: int, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the two small pixels between which a large one lies, and how far from the first."""
    exact = np.clip((place + 0.5) / scale - 0.5, 0, count - 1)
    before = exact.astype(np.intp)
    after = np.minimum(before + 1, count - 1)
    return before, after, (exact - before).astype(np.float32)


def _nearest_centre(
    pixels: NDArray[np.intp], size_hw: tuple[int, int], radius: int
) -> NDArray[np.intp]:
    """Return the middle of the window, inside the image, that is nearest to each pixel."""
    height, width = size_hw
    y, x = np.divmod(pixels, width)
    y = np.clip(y, radius, height - 1 - radius)
    return y * width + np.clip(x, radius, width - 1 - radius)


def _offsets(radius: int, width: int) -> NDArray[np.intp]:
    """Return the flat indices of a window's pixels, relative to its middle."""
    side = np.arange(-radius, radius + 1)
    return (side[:, None] * width + side).ravel()
