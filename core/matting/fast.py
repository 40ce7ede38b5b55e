"""Closed-form matting at a limited size, carried up to the full one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.morphology import dilate
from .closed_form.estimate import estimate_alpha_closed_form
from .closed_form.memory import BudgetError, check_budget
from .local_linear import (
    SOLVED_EPSILON,
    SOLVED_RADIUS,
    carry_alpha,
    fit_coefficients,
    predict_carrying,
)

_log = logging.getLogger("rembg_sessions")

# Longer sides in pixels: images up to the first are solved as they are, larger ones at half their
# size or less, so that they are no larger than the second.
_SMALL, _LARGEST = 512, 1024
# Longer side below which an image is not made any smaller.
_LAST_RESORT = 128
# Unknown pixels that are solved at most: with more, nearly all of the image is unknown, and that is
# as well solved smaller.
_MOST_UNKNOWN = 300_000
# Rows of the small image that are made at a time, and the rounding error of its averages.
_STRIP, _ROUNDING = 64, 1e-5


def estimate_alpha_fast(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
    *,
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
) -> NDArray[np.float32]:
    """Solve closed-form matting on a smaller image and carry alpha up along the colours.

    In every 3×3 window of the small image alpha is a linear function of colour, see
    :mod:`.local_linear`. These functions are interpolated and applied to the pixels of the
    full image, so edges and strands come out at full resolution.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1.
    mask
        Not used; every method takes it.
    on_step
        Called between the steps and while solving; may raise to cancel.
    memory
        Bytes that it may take; None stands for half of the free memory, and a quarter for the
        solve. The size is halved until it fits.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1; 0 and 1 where the trimap says so.

    Raises
    ------
    BudgetError
        If not even 128 pixels fit, or not the full image.

    References
    ----------
    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, 2008.
    He, Sun: Fast Guided Filter, 2015.
    """
    check_budget(predict_carrying(trimap), memory, share=2)
    longer = max(trimap.shape)
    pixels = np.flatnonzero(trimap == 0.5)
    # long and narrow images: a window must fit
    most = max(1, min(trimap.shape) // (2 * SOLVED_RADIUS + 1))
    scale = min(most, 1 if longer <= _SMALL else max(2, -(-longer // _LARGEST)))
    while True:
        small, small_trimap = (
            (image, trimap) if scale == 1 else _shrink(image, trimap, pixels, scale)
        )
        if on_step is not None:
            on_step()
        if scale > 1 and _is_lost(small_trimap, trimap):
            scale = most = 1
            continue
        may_shrink = scale < most and longer > scale * _LAST_RESORT
        if may_shrink and np.count_nonzero(small_trimap == 0.5) > _MOST_UNKNOWN:
            scale = min(2 * scale, most)
            continue
        try:
            solved = estimate_alpha_closed_form(small, small_trimap, on_step=on_step, memory=memory)
            break
        except BudgetError:
            if not may_shrink:
                raise
            scale = min(2 * scale, most)
            _log.warning("Alpha matting: solving a picture %d× smaller, for want of memory.", scale)
    if scale == 1:
        return solved
    if on_step is not None:
        on_step()
    # not only where the small trimap is unknown: a pixel that keeps a stroke may cover others
    where = np.zeros(solved.shape, np.bool_)
    rows, columns = np.divmod(pixels, trimap.shape[1])
    where[rows // scale, columns // scale] = True
    del rows, columns
    coefficients = fit_coefficients(small, solved, where, SOLVED_RADIUS, SOLVED_EPSILON)
    if on_step is not None:
        on_step()
    alpha = trimap.copy()
    alpha.ravel()[pixels] = carry_alpha(coefficients, image, pixels, scale)
    return alpha


def _is_lost(small: NDArray[np.float32], trimap: NDArray[np.float32]) -> bool:
    """Return whether a smaller trimap lacks foreground or background that the full one has.

    That is where each of its pixels covers as much of one as of the other.
    """
    return any(not (small == value).any() and (trimap == value).any() for value in (0, 1))


def _shrink(
    image: NDArray[np.uint8], trimap: NDArray[np.float32], unknown: NDArray[np.intp], scale: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the image and the trimap, ``scale`` times smaller.

    A pixel that covers an unknown one is unknown; any other has the value of its middle, unless
    foreground or background would vanish: then all pixels that cover some of it keep it.
    """
    small = np.asarray(Image.fromarray(image).reduce(scale))
    height, width = trimap.shape
    y, x = (np.arange(int(side)) * scale + scale // 2 for side in small.shape[:2])
    y, x = np.minimum(y, height - 1), np.minimum(x, width - 1)
    small_trimap = trimap[y[:, None], x]
    rows, columns = np.divmod(unknown, width)
    small_trimap[rows // scale, columns // scale] = 0.5
    step = scale * _STRIP  # in strips, because Pillow copies what it is given
    strips = (Image.fromarray(trimap[top : top + step]) for top in range(0, height, step))
    mean = np.concatenate([np.asarray(strip.reduce(scale), np.float32) for strip in strips])
    # such as a thin stroke of a drawn trimap, which fills no pixel of the small one
    background = (mean < 0.5 - _ROUNDING) & ~dilate(small_trimap == 0)
    foreground = (mean > 0.5 + _ROUNDING) & ~dilate(small_trimap == 1)
    small_trimap[background], small_trimap[foreground] = 0, 1
    return small, small_trimap
