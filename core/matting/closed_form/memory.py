"""Predicts the memory of alpha matting before any of it is taken."""

from __future__ import annotations

from ...errors import NotEnoughMemoryError
from ...machine import free_memory
from .loops_numeric import BORDER
from .symbolic import SymbolicFactor

# Bytes that the symbolic factorisation takes at most, measured with either backend: for every
# pixel of the image, and for every unknown one.
_SYMBOLIC_PIXEL, _SYMBOLIC_UNKNOWN = 6, 100
# Bytes left to libraries: OpenBLAS takes 32 MiB for each thread, and where it gets none it ends the
# process; loading scipy takes about 100 MiB of address space.
_LIBRARIES = 192 << 20


class BudgetError(NotEnoughMemoryError):
    """Alpha matting that would need more memory than it may use.

    Attributes
    ----------
    need, budget
        Bytes; it needs at least so many.
    """

    def __init__(self, need: int, budget: int) -> None:
        super().__init__(
            f"Alpha matting of this picture needs at least {_amount(need)} of memory and may use "
            f"{_amount(budget) if budget else 'none'}. Free some memory, make the unknown band "
            "narrower, or make the picture smaller."
        )
        self.need = need
        self.budget = budget


def _amount(size: int) -> str:
    """Return a number of bytes in a unit of which it is at least one."""
    mebibytes = size / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes >= 1 else f"{max(1, size >> 10)} KiB"


def check_budget(need: int, memory: int | None, share: int = 4) -> None:
    """Raise BudgetError where matting needs more bytes than it may take.

    Parameters
    ----------
    need
        Bytes.
    memory, share
        See :func:`find_budget`.
    """
    budget = find_budget(memory, share)
    if need > budget:
        raise BudgetError(need, budget)


def find_budget(memory: int | None, share: int = 4) -> int:
    """Return how many bytes matting may take.

    Parameters
    ----------
    memory
        That many; None stands for the free memory, less what libraries take for themselves,
        divided by ``share``.
    """
    return max(0, free_memory() - _LIBRARIES) // share if memory is None else memory


def predict_symbolic(pixels: int, unknown: int) -> int:
    """Return the bytes that the symbolic factorisation takes: fewer than the numeric one will.

    Parameters
    ----------
    pixels, unknown
        How many pixels the image has, and how many of them are unknown.
    """
    return _SYMBOLIC_PIXEL * pixels + _SYMBOLIC_UNKNOWN * unknown


def predict_memory(symbolic: SymbolicFactor, threads: int) -> int:
    """Return the bytes that a symbolic factor and its numeric factorisation take together.

    What is held until the end: the symbolic factor's arrays, R in float32, the right-hand side
    in float64, and update matrices that one task hands to another. And on each thread: a stack
    of update matrices, a front with its right-hand side, and where positions lie in the front.

    Parameters
    ----------
    symbolic
        Of N unknown pixels.
    threads
        How many factorise at once, ≥ 1.
    """
    count = len(symbolic.pixels)
    arrays = (
        *(symbolic.pixels, symbolic.position, symbolic.windows),
        *(symbolic.borders, symbolic.nodes),
    )
    handed_on = sum(_update_size(symbolic, task.end - 1) for task in symbolic.tasks)
    stack = max((task.stack for task in symbolic.tasks), default=0)
    front = symbolic.largest_front * (symbolic.largest_front + 1)
    held = sum(array.nbytes for array in arrays) + 4 * symbolic.factor_size
    return held + 8 * (count + handed_on) + threads * (8 * (stack + front) + 4 * count)


def _update_size(symbolic: SymbolicFactor, node: int) -> int:
    border = int(symbolic.nodes[node + 1, BORDER] - symbolic.nodes[node, BORDER])
    return border * (border + 3) // 2
