"""The pictures of a batch, and what a session finds in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ImageError
from ..core.frames import find_steady_layers
from ..core.layers import find_layers
from ..core.session.protocol import Layer
from . import convert, host

FRAMES = ("independent", "steady")

Found = tuple[NDArray[np.float32], NDArray[np.uint8], list[Layer]]


def ask_each(
    session: Any,
    pictures: NDArray[np.float32],
    *,
    frames: str = FRAMES[0],
    max_size: int | None = None,
    sam_prompt: Any = None,
) -> Iterator[Found]:
    """Ask a session for the foregrounds of each picture; the user's cancel ends it.

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
    waiting: deque[tuple[NDArray[np.float32], NDArray[np.uint8]]] = deque()

    def shown() -> Iterator[Image.Image]:
        for picture in pictures:
            host.check_cancelled()
            levels = convert.to_levels(picture)
            waiting.append((picture, levels))
            yield Image.fromarray(levels)

    asked = {"max_size": max_size, "sam_prompt": sam_prompt}
    if frames == "steady":
        answers = find_steady_layers(session, shown(), **asked)
    else:
        answers = (find_layers(session, rgb, **asked) for rgb in shown())
    for layers in answers:
        yield (*waiting.popleft(), layers)
    if getattr(session, "uses_gpu", False):
        session.give_back()  # to the models of the nodes that follow


def check_count(layers: list[Layer], i: int, expected: int) -> None:
    """Raise an ImageError if image ``i`` of a batch has another number of masks than the first."""
    if len(layers) != expected:
        raise ImageError(
            f"The session answered with {len(layers)} masks for image {i + 1}, with {expected} "
            "for the first; it must be the same number."
        )
