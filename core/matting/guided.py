"""Alpha by guided filtering of the mask: no solver, for previews and video."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import needed
from .closed_form.memory import check_budget
from .local_linear import carry_alpha, fit_coefficients, predict_carrying

# Radius of the windows, in pixels, for images whose longer side is up to _USUAL_SIDE pixels. It
# grows with larger images, because their masks are coarser in proportion.
_RADIUS = 8
_USUAL_SIDE = 1024
# ε of the fit, for colours in 0..1.
_EPSILON = 1e-4
# The image is made so much smaller that the windows have this radius.
_SMALL_RADIUS = 2


def estimate_alpha_guided(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
    *,
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
) -> NDArray[np.float32]:
    """Fit the mask to the image's edges with a guided filter, in the unknown band.

    In every window alpha is assumed to be a linear function of colour, see
    :mod:`.local_linear`. The functions are fitted to the mask, on an image about four times
    smaller, and applied to the full image. The mask may be coarse but must be right on average.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1.
    mask
        float32 (H, W), 0..1; None takes a ramp across the unknown band.
    on_step
        Called between the steps; may raise to cancel.
    memory
        Bytes that it may take; None stands for half of the free memory.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1; 0 and 1 where the trimap says so.

    Raises
    ------
    BudgetError
        If it would take more than ``memory``.

    References
    ----------
    He, Sun, Tang: Guided Image Filtering, 2013. He, Sun: Fast Guided Filter, 2015.
    """
    check_budget(predict_carrying(trimap), memory, share=2)
    alpha = trimap.copy()
    height, width = trimap.shape
    pixels = np.flatnonzero(trimap == 0.5)
    radius = min(_SMALL_RADIUS, (min(height, width) - 1) // 2)
    if radius < 1 or len(pixels) == 0:
        return alpha
    # the larger windows of large images hold enough pixels when only every step-th is read
    step = max(1, round(max(height, width) / _USUAL_SIDE))
    scale = _RADIUS // _SMALL_RADIUS * step
    if scale * (2 * radius + 1) > min(height, width):  # long and narrow: a window must fit
        step, scale = 1, min(height, width) // (2 * radius + 1)
    every = slice(step // 2, None, step)
    part, shrink = np.ascontiguousarray(image[every, every]), scale // step
    small = np.asarray(Image.fromarray(part).reduce(shrink))
    part = np.ascontiguousarray((trimap if mask is None else mask)[every, every])
    target = np.asarray(Image.fromarray(part).reduce(shrink))
    if mask is None:
        target = _ramp(target)
    where = np.zeros_like(target, np.bool_)
    rows, columns = np.divmod(pixels, width)
    last_row, last_column = target.shape[0] - 1, target.shape[1] - 1
    where[np.minimum(rows // scale, last_row), np.minimum(columns // scale, last_column)] = True
    if on_step is not None:
        on_step()
    coefficients = fit_coefficients(small, target, where, radius, _EPSILON)
    if on_step is not None:
        on_step()
    alpha.ravel()[pixels] = carry_alpha(coefficients, image, pixels, scale)
    return alpha


def _ramp(trimap: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a trimap into a mask that falls from foreground to background with the distance."""
    with needed("scipy", "Matting from a trimap by the guided method"):
        from scipy import ndimage

    if trimap.min() > 0 or trimap.max() < 1:
        return trimap
    to_background = ndimage.distance_transform_edt(trimap > 0)
    to_foreground = ndimage.distance_transform_edt(trimap < 1)
    return (to_background / (to_background + to_foreground)).astype(np.float32)
