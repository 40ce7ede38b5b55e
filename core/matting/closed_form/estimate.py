"""Closed-form alpha matting, solved exactly and directly for the unknown pixels.

In every 3×3 window alpha is taken to be a linear function of colour c, ``α = a·c + b``, up to an
error that is kept small, and ``ε |a|²`` with it. With a and b eliminated, what is left to
minimise is ``αᵀ L α``, where L, the matting Laplacian, is a sum over all windows, see
:mod:`.laplacian`. The known alphas are given, so the unknown ones solve

    ``L_UU α_U = −L_UK α_K``

Only windows that touch an unknown pixel take part. ``L_UU`` is sparse, symmetric and positive
definite: any unknown pixel is joined to a known one by windows, if there is a known one at all.
It is factored as ``RᵀR`` without ever being assembled (multifrontal Cholesky), in the order of
nested dissection, and solved by substitution. The README explains it step by step, with an
example and a table of the modules.

References
----------
Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, 2008.
George: Nested Dissection of a Regular Finite Element Mesh, 1973.
Duff, Reid: The Multifrontal Solution of Indefinite Sparse Symmetric Linear Equations, 1983.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .backend import Bytes, Singles
from .cancel import run_watched
from .choice import fastest
from .memory import check_budget, predict_memory, predict_symbolic
from .numba_backend import expect
from .numeric import solve, thread_count
from .symbolic import analyse


def estimate_alpha_closed_form(
    image: Bytes,
    trimap: Singles,
    mask: Singles | None = None,
    *,
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
) -> Singles:
    """Estimate alpha with closed-form matting, ε = 1e-7, 3×3 windows.

    The result is the same for any number of threads. It differs by less than 1e-5 between
    compiled code and numpy, which does the work until the code is compiled.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1.
    mask
        As every method takes it; not needed here.
    on_step
        Called on this thread every 0.05 seconds; may raise to cancel, which ends the work within
        a fraction of a second.
    memory
        Bytes that it may take; None stands for a quarter of the free memory.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1. The trimap itself, 0.5 included, where it gives nothing to go by:
        without any known pixel, or with a side below 3 pixels. Without known foreground alpha
        is 0, without known background 1.

    Raises
    ------
    BudgetError
        If it would take more than ``memory``; nothing has been factored then.
    """
    alpha = np.array(trimap, np.float32, order="C")
    is_unknown = trimap == 0.5
    if min(trimap.shape) < 3 or is_unknown.all() or not is_unknown.any():
        return alpha
    unknown = int(np.count_nonzero(is_unknown))
    check_budget(predict_symbolic(trimap.size, unknown), memory)
    expect(unknown)
    del is_unknown

    def work(stopped: Bytes) -> None:
        with fastest(stopped) as backend:
            symbolic = analyse(trimap, backend, stopped)
        threads = thread_count()
        check_budget(predict_memory(symbolic, threads), memory)
        solution = solve(symbolic, image, stopped, threads)
        alpha.reshape(-1)[symbolic.pixels] = np.clip(solution, 0, 1)

    run_watched(work, on_step)
    return alpha
