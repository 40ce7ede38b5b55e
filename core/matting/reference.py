"""What rembg computes, with pymatting's own functions, for comparison.

Byte for byte: with the errors of its Laplacian on grey images, truncation instead of rounding,
and smoothed opaque colours. Its first use after an installation compiles for half a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray


def estimate_alpha_pymatting(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
    *,
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
) -> NDArray[np.float64]:
    """Solve closed-form matting as rembg does: on the whole image, iteratively.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1, with some of each.
    mask, memory
        Not used: pymatting takes no mask and has no limit of memory. Every method takes them.
    on_step
        Called at each iteration; may raise to cancel.

    Returns
    -------
    ndarray
        (H, W), 0..1; float64, because rembg truncates it to levels later.

    Raises
    ------
    ValueError
        If pymatting does not converge.

    References
    ----------
    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, 2008;
    implementation: pymatting.
    """
    # pymatting has no types
    from pymatting.alpha.estimate_alpha_cf import (  # pyright: ignore[reportMissingTypeStubs]
        estimate_alpha_cf,  # pyright: ignore[reportUnknownVariableType]
    )

    def step(*_: object) -> None:
        if on_step is not None:
            on_step()

    # float64 after the division, as rembg passes them
    return cast(
        NDArray[np.float64],
        estimate_alpha_cf(image / 255.0, trimap.astype(np.float64), cg_kwargs={"callback": step}),
    )


def colour_by_pymatting(image: NDArray[np.uint8], alpha: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Cut out with the multi-level foreground colours, as rembg's ``decontaminate_cutout``.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    alpha
        (H, W), 0..1; float64 for exactly rembg's pixels.

    Returns
    -------
    ndarray
        uint8 (H, W, 4), straight RGBA.

    References
    ----------
    Germer, Uelwer, Conrad, Harmeling: Fast Multi-Level Foreground Estimation, 2020;
    implementation: pymatting.
    """
    foreground = np.zeros(image.shape, np.float32)
    if alpha.size > 1:  # of a single pixel, pymatting would divide by zero
        from pymatting.foreground.estimate_foreground_ml import (  # pyright: ignore[reportMissingTypeStubs]
            estimate_foreground_ml,  # pyright: ignore[reportUnknownVariableType]
        )

        found = estimate_foreground_ml(image / 255.0, alpha)
        foreground = cast(NDArray[np.float32], found)
    levels = np.dstack([foreground, alpha.astype(np.float64)]) * 255
    return np.clip(levels, 0, 255).astype(np.uint8)
