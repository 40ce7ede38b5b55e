"""What rembg computes, with pymatting's own functions, for comparison.

Byte for byte: with the errors of its Laplacian on grey images, truncation instead of rounding,
and smoothed opaque colours. Its first use after an installation compiles for half a minute.

No number of unknown pixels says how long it takes: the errors of the Laplacian leave the iteration
with a preconditioner that hardly helps, and a small checkerboard takes longer than a large photo.
So nothing is refused for its size, but it can be stopped at any time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import needed
from .closed_form.cancel import StoppedError, run_watched
from .closed_form.memory import BudgetError, check_budget, find_budget

_log = logging.getLogger("rembg_sessions")

# Bytes that it takes before the incomplete factorisation, measured: for every pixel of the image,
# and for every unknown one.
_PIXEL, _UNKNOWN = 340, 600
# Bytes of an entry of the incomplete factor, and of its copy of the indices of an unknown pixel.
_ENTRY, _INDICES = 16, 200
# Entries that pymatting allows itself.
_MOST_ENTRIES = 250_000_000
# Seconds after which the log says that it may take much longer.
_PATIENCE = 30


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
    mask
        Not used; every method takes it.
    on_step
        Called on this thread every 0.05 seconds; may raise to cancel. That ends the work after the
        iteration it is in.
    memory
        Bytes that it may take; None stands for all of the free memory.

    Returns
    -------
    ndarray
        (H, W), 0..1; float64, because rembg truncates it to levels later.

    Raises
    ------
    BudgetError
        If it would take more than ``memory``.
    ValueError
        If pymatting does not converge.

    References
    ----------
    Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, 2008;
    implementation: pymatting.
    """
    unknown = int(np.count_nonzero(trimap == 0.5))
    need = _PIXEL * trimap.size + _UNKNOWN * unknown
    check_budget(need, memory, share=1)
    with needed("pymatting", "The matting method pymatting"):
        # it has no types
        from pymatting.alpha.estimate_alpha_cf import (  # pyright: ignore[reportMissingTypeStubs]
            estimate_alpha_cf,  # pyright: ignore[reportUnknownVariableType]
        )

    factoring: list[NDArray[np.float64]] = []

    def work(stopped: NDArray[np.uint8]) -> NDArray[np.float64]:
        def precondition(laplacian: Any) -> Any:
            # as pymatting's ichol would do itself; its compiled code reads this very array
            matrix = laplacian.T
            if not matrix.has_canonical_format:
                matrix.sum_duplicates()
            factoring.append(matrix.data)
            if stopped[0]:
                raise StoppedError
            return _factor(matrix, stopped, None if memory is None else memory - need)

        # float64 after the division, as rembg passes them
        with np.errstate(all="ignore"):
            return cast(
                NDArray[np.float64],
                estimate_alpha_cf(
                    image / 255.0,
                    trimap.astype(np.float64),
                    preconditioner=precondition,
                    cg_kwargs={"callback": _watch(stopped)},
                ),
            )

    def stop() -> None:
        # a pivot that is not positive ends the factorisation
        for data in factoring:
            data[:] = -np.inf

    return run_watched(work, on_step, stop)


def _watch(stopped: NDArray[np.uint8]) -> Callable[..., None]:
    """Return what is called after each iteration; it ends those that lead nowhere."""
    late = time.monotonic() + _PATIENCE

    def watch(
        _matrix: object, _alpha: object, _right: object, _norm: float, _rest: object, error: float
    ) -> None:
        nonlocal late
        if stopped[0]:
            raise StoppedError
        if not math.isfinite(error):  # and will not be so again, in as many iterations as allowed
            raise ValueError("Conjugate gradient descent did not converge: its error is not finite")
        if time.monotonic() > late:
            late = math.inf
            _log.warning(
                "Alpha matting: pymatting has not found a solution in %d seconds, and may take "
                "many times as long. Stop it, and use the method closed-form or fast instead.",
                _PATIENCE,
            )

    return watch


def _factor(matrix: Any, stopped: NDArray[np.uint8], memory: int | None) -> Any:
    """Return pymatting's preconditioner, with no more memory than there is.

    Parameters
    ----------
    matrix
        The Laplacian of N unknown pixels, a csc_matrix in canonical form.
    stopped
        uint8 (1,), set by another thread, which then spoils the matrix.
    memory
        Bytes that it may take; None stands for all of the free memory.

    Raises
    ------
    BudgetError
        If it would take more.
    StoppedError
    ValueError
        From pymatting.
    """
    from pymatting.preconditioner.ichol import (  # pyright: ignore[reportMissingTypeStubs]
        ichol,  # pyright: ignore[reportUnknownVariableType]
    )

    def heed(*words: object) -> None:
        if stopped[0]:
            raise StoppedError
        _log.debug("pymatting: %s", *words)

    budget = find_budget(memory, share=1)
    count = int(matrix.shape[0])
    # no more than a full triangle: it asks for the memory of all that it may take
    most = min(_MOST_ENTRIES, count * (count + 1) // 2)
    allowed = (budget - _INDICES * count) // _ENTRY
    if allowed < count:  # not even the diagonal
        raise BudgetError((_INDICES + _ENTRY) * count, budget)
    try:
        return _speaking_to(heed, ichol)(matrix, max_nnz=min(most, allowed))
    except ValueError as error:
        if stopped[0]:
            raise StoppedError from error
        if allowed < most and "max_nnz" in str(error):
            raise BudgetError(budget + 1, budget) from error
        raise


def _speaking_to(listener: Callable[..., None], function: Any) -> Callable[..., Any]:
    """Return a function that calls ``listener`` where it would print.

    pymatting prints that its first attempts failed, and standard output may be the picture's.
    """
    if not isinstance(function, FunctionType):
        return function
    names = {**function.__globals__, "print": listener}
    return FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
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
