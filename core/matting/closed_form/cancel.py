"""Ends work early: a thread is told to stop through an array that compiled code can read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

import numpy as np

from ...threads import Workers
from .backend import Bytes

Result = TypeVar("Result")

_STEP_SECONDS = 0.05


class StoppedError(Exception):
    """Ends work whose result nobody waits for any more."""


def run_watched(
    work: Callable[[Bytes], Result],
    on_step: Callable[[], None] | None,
    stop: Callable[[], None] | None = None,
) -> Result:
    """Call ``work(stopped)`` on a thread of its own, and ``on_step`` on this one meanwhile.

    Parameters
    ----------
    work
        Takes uint8 (1,), which is 0, and ends soon after it is set to 1.
    on_step
        Called every 0.05 seconds. What it raises is passed on, when ``work`` was told to stop
        and has ended.
    stop
        Called after ``stopped`` was set, for work that does not always look at it.
    """
    stopped = np.zeros(1, np.uint8)
    with Workers(1, "matting") as pool:
        future = pool.submit(work, stopped)
        try:
            while not future.done():
                if on_step:
                    on_step()
                wait([future], _STEP_SECONDS)
        except BaseException:
            stopped[0] = 1
            if stop:
                stop()
            raise
        return future.result()
