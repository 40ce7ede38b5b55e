"""Alpha matting: trimap, alpha and foreground colours, by pymatting as rembg calls it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import OptionError

_log = logging.getLogger("rembg_sessions")


def trimap_from_mask(
    mask: NDArray[np.uint8],
    foreground_threshold: int = 240,
    background_threshold: int = 10,
    erode_size: int = 10,
) -> NDArray[np.float32]:
    """Mark what is certainly foreground, certainly background, and unknown.

    Parameters
    ----------
    mask
        uint8 (H, W), 0..255.
    foreground_threshold, background_threshold
        0..255: above the first and below the second a pixel counts as certain.
    erode_size
        Side in pixels of the square by which both certain regions shrink, ≥ 0. 0 erodes
        by a 3×3 cross, as rembg does.

    Returns
    -------
    ndarray
        float32 (H, W): exactly 0, 0.5 or 1.

    Raises
    ------
    OptionError
        If an argument is out of range.
    """
    for name, value in (
        ("foreground threshold", foreground_threshold),
        ("background threshold", background_threshold),
    ):
        if not 0 <= value <= 255:
            raise OptionError(f"The {name} is {value}; use a value from 0 to 255.")
    if erode_size < 0:
        raise OptionError(f"The erode size is {erode_size}; use 0 or more pixels.")
    is_foreground = _erode(mask > foreground_threshold, erode_size, outside=False)
    is_background = _erode(mask < background_threshold, erode_size, outside=True)
    trimap = np.full(mask.shape, 0.5, np.float32)
    trimap[is_foreground] = 1
    trimap[is_background] = 0
    return trimap


def _erode(region: NDArray[np.bool_], size: int, *, outside: bool) -> NDArray[np.bool_]:
    """Binary erosion by a square of ``size``; the same pixels as scipy's, much faster."""
    if size == 0:
        padded = np.pad(region, 1, constant_values=outside)
        return (
            padded[1:-1, 1:-1]
            & padded[:-2, 1:-1]
            & padded[2:, 1:-1]
            & padded[1:-1, :-2]
            & padded[1:-1, 2:]
        )
    # scipy puts the origin of an even square right of its centre
    before, after = size // 2, size - 1 - size // 2
    result = np.pad(region, ((before, after), (before, after)), constant_values=outside)
    result = _running_and(result, size)
    return _running_and(result.T, size).T


def _running_and(region: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """AND over ``size`` successive rows; the result is ``size - 1`` rows shorter."""
    width = 1
    while width < size:  # doubling: two runs of w rows, shifted, make one of 2 w
        step = min(width, size - width)
        region = region[:-step] & region[step:]
        width += step
    return region


def estimate_alpha(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    on_step: Callable[[], None] | None = None,
) -> NDArray[np.float32] | None:
    """Solve for alpha with closed-form matting.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): 0, 0.5 or 1.
    on_step
        Called between the steps of the solver; may raise to cancel.

    Returns
    -------
    ndarray or None
        float32 (H, W), 0..1; None where the trimap leaves nothing to solve: no certain
        foreground, no certain background, or a side below 3 pixels.

    References
    ----------
    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, 2008;
    implementation: pymatting.
    """
    if not (trimap == 1).any() or not (trimap == 0).any() or min(trimap.shape) < 3:
        return None
    if not (trimap == 0.5).any():
        return trimap
    from pymatting.alpha.estimate_alpha_cf import estimate_alpha_cf

    # float64 after the division, as rembg hands them over
    steps = {"callback": lambda *_: on_step()} if on_step else {}
    alpha = estimate_alpha_cf(image / 255.0, trimap.astype(np.float64), cg_kwargs=steps)
    return alpha.astype(np.float32)


def estimate_foreground_ml(
    image: NDArray[np.uint8], alpha: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Estimate foreground colours with pymatting's multi-level method.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    alpha
        float32 (H, W), 0..1.

    Returns
    -------
    ndarray
        uint8 (H, W, 3), rounded; where alpha is 1 the picture's own colours.

    References
    ----------
    Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation, 2020;
    implementation: pymatting.
    """
    if alpha.size == 1:
        return image  # pymatting would divide by zero
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml as estimate

    foreground = estimate(image / 255.0, alpha.astype(np.float64))
    rounded = (np.clip(foreground, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.where((alpha == 1)[..., None], image, rounded)


def matte(
    image: Image.Image,
    mask: NDArray[np.uint8],
    foreground_threshold: int = 240,
    background_threshold: int = 10,
    erode_size: int = 10,
    on_step: Callable[[], None] | None = None,
) -> NDArray[np.float32]:
    """Refine a mask into an alpha matte; see :func:`trimap_from_mask` for the arguments.

    Where there is nothing to solve, the mask itself is returned and a warning says why.
    """
    trimap = trimap_from_mask(mask, foreground_threshold, background_threshold, erode_size)
    alpha = estimate_alpha(np.asarray(image), trimap, on_step)
    if alpha is None:
        _log.warning(
            "Alpha matting was skipped: the mask leaves no certain foreground or no certain "
            "background. Lower the foreground threshold or the erode size."
        )
        return mask.astype(np.float32) / 255
    return alpha
