"""Numeric factorisation and back substitution, the tree's tasks spread over threads."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np

from ...machine import cpu_count
from ...threads import Workers
from .backend import Bytes, Floats
from .cancel import StoppedError
from .choice import fastest
from .loops_numeric import BORDER, PIXEL
from .symbolic import SymbolicFactor

_MOST_THREADS = 8


def thread_count() -> int:
    """Return how many threads a solution is spread over."""
    return min(cpu_count(), _MOST_THREADS)


def solve(symbolic: SymbolicFactor, image: Bytes, stopped: Bytes, threads: int) -> Floats:
    """Return the alphas of the unknown pixels, float64 (N,), in elimination order.

    Each front is computed by one thread, from its children's update matrices in a fixed order,
    so the result is the same for any number of threads.

    Parameters
    ----------
    symbolic
        Of the trimap.
    image
        uint8 (H, W, 3), sRGB.
    stopped
        uint8 (1,): when another thread sets it, the work ends early, and the result is void.
    threads
        How many to use, ≥ 1.
    """
    nodes, borders, tasks = symbolic.nodes, symbolic.borders, symbolic.tasks
    pixels = np.ascontiguousarray(image).reshape(-1, 3)
    width = image.shape[1]
    factor = np.empty(symbolic.factor_size, np.float32)
    rhs = np.empty(len(symbolic.pixels))
    updates: dict[int, Floats] = {}  # of tasks whose parents are still to come

    def factorise(number: int, below: list[Future[None]]) -> None:
        for future in below:
            future.result()
        task = tasks[number]
        stack, height = np.empty(task.stack), 0
        for child in task.children:
            update = updates.pop(child)
            stack[height : height + len(update)] = update
            height += len(update)
        sizes = np.diff(nodes[task.begin : task.end + 1], axis=0)
        front = int((sizes[:, PIXEL] + sizes[:, BORDER]).max())
        workspace = np.empty(front * (front + 1))
        with fastest(stopped) as backend:
            height = backend.factorise(
                task.begin,
                task.end,
                nodes,
                borders,
                symbolic.windows,
                symbolic.position,
                pixels,
                width,
                factor,
                rhs,
                stack,
                workspace,
                stopped,
            )
        if height < 0:
            raise StoppedError
        updates[number] = stack[:height].copy()

    def back_substitute(number: int, above: Future[None] | None) -> None:
        if above:
            above.result()
        task = tasks[number]
        with fastest(stopped) as backend:
            backend.back_substitute(task.begin, task.end, nodes, borders, factor, rhs, stopped)

    with Workers(threads, "matting") as pool:
        try:
            # a task waits for earlier ones only, which a thread has taken up before it
            done: list[Future[None]] = []
            for number, task in enumerate(tasks):
                below = [done[child] for child in task.children]
                done.append(pool.submit(factorise, number, below))
            for future in done:
                future.result()
            above: dict[int, Future[None]] = {}
            for number in range(len(tasks) - 1, -1, -1):
                future = pool.submit(back_substitute, number, above.pop(number, None))
                above.update(dict.fromkeys(tasks[number].children, future))
                done.append(future)
            for future in done:
                future.result()
        except BaseException:
            stopped[0] = 1
            raise
    return rhs
