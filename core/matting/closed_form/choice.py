"""Chooses the backend: compiled code once there is any, numpy until then."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from . import numpy_backend
from .backend import Backend, Bytes
from .cancel import StoppedError
from .numba_backend import compiled

_numpy_lock = threading.Lock()


@contextmanager
def fastest(stopped: Bytes) -> Generator[Backend]:
    """Lend the fastest backend there is: a compiled one to all threads, numpy to one at a time.

    numpy holds Python's lock most of the time, and threads that wait for it slow it down. Who
    waits for another solution's numpy takes compiled code as soon as it is ready.

    Parameters
    ----------
    stopped
        uint8 (1,), set by another thread to end the waiting.

    Raises
    ------
    StoppedError
        If it was.
    """
    while not (backend := compiled()):
        if stopped[0]:
            raise StoppedError
        if _numpy_lock.acquire(timeout=0.1):
            try:
                yield compiled() or numpy_backend
            finally:
                _numpy_lock.release()
            return
    yield backend
