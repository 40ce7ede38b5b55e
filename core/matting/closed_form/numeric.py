"""Solves closed-form matting's equations by multifrontal Cholesky factorisation, on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...machine import cpu_count
from . import numpy_backend as elimination
from .compiled import kernels
from .kernels import BOUNDARY, PIXEL
from .symbolic import Plan, StoppedError

Floats = NDArray[np.float64]
Result = TypeVar("Result")

_MOST_THREADS = 8
_numpy = threading.Lock()


@contextmanager
def fastest(stopped: NDArray[np.uint8]) -> Generator[Any]:
    """Lend the fastest functions there are: compiled ones to all, those in numpy to one thread.

    numpy holds Python's lock most of the time, and threads that wait for it slow it down.
    Who waits for another solution's numpy takes the compiled functions when they are ready,
    and stops with ``StoppedError`` when ``stopped`` is set.
    """
    while not (code := kernels()):
        if stopped[0]:
            raise StoppedError
        if _numpy.acquire(timeout=0.1):
            try:
                yield kernels() or elimination
            finally:
                _numpy.release()
            return
    yield code


def thread_count() -> int:
    """Return how many threads a solution is spread over."""
    return min(cpu_count(), _MOST_THREADS)


def solve(plan: Plan, image: NDArray[np.uint8], stopped: NDArray[np.uint8], threads: int) -> Floats:
    """Return the alphas of the unknown pixels, float64 (N,), in the order of elimination.

    Each front is computed by one thread, from its children's updates in a fixed order, so the
    result is the same for any number of threads.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    stopped
        uint8 (1,): when another thread sets it, the work ends early, and the result is void.
    """
    nodes = plan.nodes
    pixels = np.ascontiguousarray(image).reshape(-1, 3)
    width = image.shape[1]
    factors = np.empty(plan.factors, np.float32)
    right = np.empty(len(plan.pixels))

    updates: dict[int, Floats] = {}

    def factor(number: int, below: list[Future[None]]) -> None:
        for future in below:
            future.result()
        task = plan.tasks[number]
        stack, height = np.empty(task.stack), 0
        for child in task.children:
            update = updates.pop(child)
            stack[height : height + len(update)] = update
            height += len(update)
        sizes = np.diff(nodes[task.begin : task.end + 1], axis=0)
        largest = int((sizes[:, PIXEL] + sizes[:, BOUNDARY]).max())
        work = np.empty(largest * (largest + 1))
        arrays = (nodes, plan.bounds, plan.windows, plan.position, pixels, width, factors, right)
        with fastest(stopped) as code:
            height = code.factor(task.begin, task.end, *arrays, stack, work, stopped)
        if height < 0:
            raise StoppedError
        updates[number] = stack[:height].copy()

    def substitute(number: int, above: Future[None] | None) -> None:
        if above:
            above.result()
        task = plan.tasks[number]
        with fastest(stopped) as code:
            code.substitute(task.begin, task.end, nodes, plan.bounds, factors, right, stopped)

    with ThreadPoolExecutor(threads, "matting") as pool:
        try:
            # a task waits for earlier ones only, which a thread has taken up before it
            done: list[Future[None]] = []
            for number, task in enumerate(plan.tasks):
                done.append(pool.submit(factor, number, [done[child] for child in task.children]))
            for future in done:
                future.result()
            above: dict[int, Future[None]] = {}
            for number in range(len(plan.tasks) - 1, -1, -1):
                future = pool.submit(substitute, number, above.pop(number, None))
                above.update(dict.fromkeys(plan.tasks[number].children, future))
                done.append(future)
            for future in done:
                future.result()
        except BaseException:
            stopped[0] = 1
            raise
    return right


def watched(
    work: Callable[[NDArray[np.uint8]], Result], on_step: Callable[[], None] | None
) -> Result:
    """Call ``work(stopped)`` on a thread of its own, and ``on_step`` on this one meanwhile.

    What ``on_step`` raises sets ``stopped`` and is passed on when the work has ended.
    """
    stopped = np.zeros(1, np.uint8)
    with ThreadPoolExecutor(1, "matting") as pool:
        future = pool.submit(work, stopped)
        try:
            while not future.done():
                if on_step:
                    on_step()
                wait([future], 0.05)
        except BaseException:
            stopped[0] = 1
            raise
        return future.result()
