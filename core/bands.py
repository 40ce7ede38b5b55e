"""Splits work on a large picture into bands of rows, one thread each."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

# Below this many pixels, starting threads costs more than it saves.
_WORTH_IT = 1 << 20
_MOST = 8


def in_bands(work: Callable[[int, int], Result], height: int, pixels: int) -> list[Result]:
    """Call ``work(top, bottom)`` for bands that cover 0..height, and return the answers.

    Pillow releases Python's lock while it resizes, converts and pastes, so the bands really
    run side by side.

    Parameters
    ----------
    height
        Rows to divide, ≥ 1.
    pixels
        Size of the work; little of it is done in one call, without a thread.
    """
    count = min(os.cpu_count() or 1, _MOST, height)
    if count == 1 or pixels < _WORTH_IT:
        return [work(0, height)]
    edges = [height * i // count for i in range(count + 1)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, edges, edges[1:]))
