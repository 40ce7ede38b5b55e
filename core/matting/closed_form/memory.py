"""Predicts the memory of a factorisation before a single number of it is computed."""

from __future__ import annotations

from .loops_numeric import BORDER
from .symbolic import SymbolicFactor


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
