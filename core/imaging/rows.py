"""Divides work on a large image into rows: a share for each thread, strips for the cache."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from ..machine import cpu_count
from ..threads import Workers

Result = TypeVar("Result")

CACHED = 1 << 16
"""Pixels whose values and intermediate results fit the processor's cache."""

# Below this many pixels, starting threads costs more than it saves.
_WORTH_IT = 1 << 20
_MOST = 8


def map_rows(
    work: Callable[[int, int], Result], height: int, pixels: int, strip: int | None = None
) -> list[Result]:
    """Call ``work(top, bottom)`` for parts that cover rows 0..height; return results in order.

    Pillow and numpy release Python's lock while they work on pixels, so threads run in parallel.

    Parameters
    ----------
    height
        Rows to divide, ≥ 0.
    pixels
        Amount of work; where it is small, no threads are started.
    strip
        Rows of one call at most, ≥ 1; None passes each thread all its rows at once.
    """
    if not height:
        return []

    def share(top: int, bottom: int) -> list[Result]:
        step = strip or bottom - top
        return [work(first, min(first + step, bottom)) for first in range(top, bottom, step)]

    count = 1 if pixels < _WORTH_IT else min(cpu_count(), _MOST, height)
    if count == 1:
        return share(0, height)
    edges = [height * i // count for i in range(count + 1)]
    with Workers(count, "rows") as workers:
        parts = [workers.submit(share, *rows) for rows in pairwise(edges)]
        return [answer for part in parts for answer in part.result()]


def cached_rows(width: int) -> int:
    """Return how many rows of an image ``width`` pixels wide fit the processor's cache."""
    return max(1, CACHED // width)
