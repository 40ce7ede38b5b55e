"""Threads for work that the caller waits for.

Unlike those of concurrent.futures they take work after the main thread has ended, as from a thread
that a script started last, and they do not hold up the end of the program.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_IDLE = 1

_Item = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """Threads that start when they are needed, and then stay, as long as this object is held.

    As a context it waits, at the end, for all that was submitted.

    Parameters
    ----------
    count
        Threads at most, ≥ 1.
    name
        What debuggers call them.
    on_idle
        Called by a thread that has had nothing to do for a second since its last work; must not
        raise. The thread holds it, but not for longer than this object is held.
    """

    def __init__(self, count: int, name: str, on_idle: Callable[[], object] | None = None):
        self._count, self._name, self._on_idle = count, name, on_idle
        self._items: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        weakref.finalize(self, self._items.put, None).atexit = False

    def submit(self, call: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have a function called by the next thread that is free; in the order of submission."""
        future: Future[Result] = Future()
        with self._lock:
            self._items.put((future, call, arguments))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._count:
                shared = (self._items, self._idle, self._on_idle)
                thread = threading.Thread(target=_work, args=shared, name=self._name, daemon=True)
                thread.start()
                self._threads.append(thread)
        return future

    def __enter__(self) -> Workers:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all that was submitted, and end the threads."""
        self._items.put(None)
        for thread in self._threads:
            thread.join()


def wait_for(future: Future[Any], on_wait: Callable[[], None] | None = None) -> None:
    """Wait until something is done, however it ends.

    ``on_wait`` is called ten times a second meanwhile; what it raises is passed on. Windows answers
    Ctrl-C between two waits only, so none is without end.
    """
    while not wait([future], _SECONDS_BETWEEN_LOOKS).done:
        if on_wait is not None:
            on_wait()


def _work(
    items: queue.SimpleQueue[_Item | None],
    idle: threading.Semaphore,
    on_idle: Callable[[], object] | None,
) -> None:
    while True:
        try:
            item = items.get(timeout=_SECONDS_IDLE if on_idle else None)
        except queue.Empty:
            assert on_idle is not None
            on_idle()
            item = items.get()
        if item is None:
            items.put(None)  # for the next thread
            return
        future, call, arguments = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call(*arguments))
            except BaseException as error:
                future.set_exception(error)
        del item, future, call, arguments  # nothing is held while it waits
        idle.release()
