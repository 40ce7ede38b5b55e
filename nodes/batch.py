"""The pictures of a batch, and what a session finds in each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.batch import in_order
from ..core.errors import ImageError
from ..core.frames import steady_layers
from ..core.layers import find_layers
from ..core.session.protocol import Layer
from . import convert, host

FRAMES = ("independent", "steady")

Found = tuple[NDArray[np.float32], NDArray[np.uint8], list[Layer]]

# Pictures of a batch that are prepared for a network on a GPU, or finished after it, side by side.
# Twice as many wait for their turn.
_AT_ONCE = 2


def ask_each(
    session: Any,
    pictures: NDArray[np.float32],
    *,
    frames: str = FRAMES[0],
    max_size: int | None = None,
    sam_prompt: Any = None,
) -> Iterator[Found]:
    """Ask a session for the foregrounds of each picture; the user's cancel ends it.

    A network on a GPU goes on with the next pictures while the caller works on one.

    Parameters
    ----------
    pictures
        float32 (B, H, W, 3 or 4), 0..1.
    frames
        One of ``FRAMES``: whether the pictures are frames of one clip, in order, whose masks are
        not to flicker.
    max_size, sam_prompt
        See :func:`.layers.find_layers`.

    Yields
    ------
    tuple
        The picture, the same as uint8 (H, W, 3), and its layers.
    """
    options = {"max_size": max_size, "sam_prompt": sam_prompt, "stretch": frames != "steady"}

    def ask(picture: NDArray[np.float32]) -> Found:
        host.check_cancelled()
        levels = convert.to_levels(picture)
        return picture, levels, find_layers(session, Image.fromarray(levels), **options)

    with closing(_asked(session, ask, pictures)) as found:
        for each in _steadied(found) if frames == "steady" else found:
            host.check_cancelled()
            yield each
            del each  # the caller's alone
    if _is_on_gpu(session):
        session.give_back()  # to the models of the nodes that follow


def _is_on_gpu(session: Any) -> bool:
    return getattr(session, "uses_gpu", False)


def _asked(
    session: Any, ask: Callable[[NDArray[np.float32]], Found], pictures: NDArray[np.float32]
) -> Generator[Found]:
    # the first opens the network, which may come to run on the CPU after all
    yield from map(ask, pictures[:1])
    if not _is_on_gpu(session):
        yield from map(ask, pictures[1:])  # the network itself needs the CPU
        return
    is_over = threading.Event()
    # ComfyUI knows by both what a thread does
    aside, is_inference = host.aside(is_over), torch.is_inference_mode_enabled()

    def ask_aside(picture: NDArray[np.float32]) -> Found:
        with torch.inference_mode(is_inference):
            return aside.copy().run(ask, picture)

    with closing(in_order(pictures[1:], ask_aside, _AT_ONCE)) as found:
        try:
            for each in found:
                yield each
                del each
        finally:
            is_over.set()  # before it is closed, which waits for what runs


def _steadied(found: Iterable[Found]) -> Iterator[Found]:
    waiting: deque[tuple[NDArray[np.float32], NDArray[np.uint8]]] = deque()

    def each() -> Iterator[tuple[NDArray[np.uint8], list[Layer]]]:
        for picture, levels, layers in found:
            waiting.append((picture, levels))
            yield levels, layers

    for layers in steady_layers(each()):
        yield *waiting.popleft(), layers


def check_count(layers: list[Layer], i: int, expected: int) -> None:
    """Raise an ImageError if image ``i`` of a batch has another number of masks than the first."""
    if len(layers) != expected:
        raise ImageError(
            f"The session answered with {len(layers)} masks for image {i + 1}, with {expected} "
            "for the first; it must be the same number."
        )
