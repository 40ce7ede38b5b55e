"""Runs of an open network: their threads, their end, and the memory that they work in."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..threads import Workers, wait_for
from .library import import_onnxruntime
from .providers import GPU_PROVIDERS, PROVIDERS

# Runs at once on the CPU; more wait. On a GPU it is one: DirectML allows no more, and CUDA gains
# nothing (four runs at once of IS-Net on an H200: 18 ms each, as one after another, with twice
# the video memory, because every thread has buffers of its own).
_MOST_RUNS = 64

# Longer than one node of a network takes.
_SECONDS_AT_EXIT = 10

_Feed = dict[str, tuple[tuple[int, ...], Any]]


@dataclass(frozen=True, slots=True)
class Opened:
    """An ``onnxruntime.InferenceSession`` and the threads that run it.

    They are kept between runs: CUDA sets itself up anew for each thread (7 ms beside the 17 that
    IS-Net takes). They end with this object.

    Attributes
    ----------
    ran
        Shape and type of each input of the last run, by name; empty where nothing has run since
        memory was given back.
    give_back
        Gives back the memory that runs worked in; called after a second without any, too.
    """

    session: Any
    workers: Workers
    ran: _Feed
    give_back: Callable[[], None]


_under_way: dict[Future[Any], Any] = {}
"""The ``RunOptions`` of every run."""


def forget_runs() -> None:
    """Forget the runs of the process that this one was forked from."""
    _under_way.clear()


def _end_runs() -> None:
    """End what still runs, in a daemon thread, when the program ends."""
    for options in list(_under_way.values()):
        options.terminate = True
    wait(list(_under_way), _SECONDS_AT_EXIT)


atexit.register(_end_runs)


def open_runs(session: Any) -> Opened:
    """Return what runs an ``onnxruntime.InferenceSession`` that is open."""
    most = 1 if session.get_providers()[0] in GPU_PROVIDERS else _MOST_RUNS
    ran: _Feed = {}
    back = partial(_give_back, weakref.ref(session), ran)  # threads hold no network
    return Opened(session, Workers(most, "rembg-sessions run", back), ran, back)


def _give_back(session: weakref.ref[Any], ran: _Feed) -> None:
    """Have ONNX Runtime return what its runs worked in to the device or the system.

    It does so at the end of a run that asks for it: BiRefNet lite then keeps 0.9 GB on the GPU in
    place of 4.8. Every run would pay for it, four times its own 24 ms, so this is one that ends
    before its first operator.
    """
    opened, feed = session(), {name: np.zeros(*kind) for name, kind in list(ran.items())}
    ran.clear()
    if opened is None or not feed:
        return
    options = import_onnxruntime().RunOptions()
    options.log_severity_level = 4
    options.terminate = True
    active = opened.get_providers()[0]
    arena = "cpu:0"
    if active == PROVIDERS["CUDA"]:
        arena = f"gpu:{opened.get_provider_options()[active].get('device_id', 0)}"
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arena)
    # raises that it was ended, or that there is no arena
    with contextlib.suppress(Exception):
        opened.run([opened.get_outputs()[0].name], feed, options)


def run_until_done(
    opened: Opened, feed: Mapping[str, NDArray[Any]], on_wait: Callable[[], None] | None
) -> Future[list[NDArray[Any]]]:
    """Run a network in another thread, so that this one can be interrupted meanwhile."""
    options = import_onnxruntime().RunOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    first = opened.session.get_outputs()[0].name
    finished = opened.workers.submit(opened.session.run, [first], feed, options)
    _under_way[finished] = options
    finished.add_done_callback(_under_way.pop)
    try:
        wait_for(finished, on_wait)
    except BaseException:
        options.terminate = True  # looked at after each node of the graph
        if not finished.cancel():
            wait_for(finished)
        raise
    finally:
        opened.ran.update({name: (array.shape, array.dtype) for name, array in feed.items()})
    return finished
