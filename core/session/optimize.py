"""Copies of networks that compute in int8: made with the user's pictures, judged on others."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import OptionError
from ..prepare.int8 import quantise
from ..runtime.graph import Graph
from ..runtime.options import choose_providers, runtime_options, session_options
from .network import NetworkSession
from .own import own_row
from .preprocess import output_to_alphas

LEAST_IOU = 0.98
"""Of the masks of a copy with those of the file, on every picture."""
MOST_LEVELS = 2.0
"""Of 255, that alpha may differ in the mean of all pixels."""
FEWEST_PICTURES = 3
HELD_OUT = 3
"""Of so many pictures one is held out, to be judged on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a copy gains and loses, on pictures that it was not made with.

    Attributes
    ----------
    seconds, copy_seconds
        Of a run of the network, the median.
    ious
        Of each picture's mask with that of the file, both cut at a half.
    levels
        How far alpha differs, of 255, in the mean of all pixels.
    """

    seconds: float
    copy_seconds: float
    ious: tuple[float, ...]
    levels: float

    @property
    def is_small(self) -> bool:
        """Whether it is within the bounds of this module."""
        return min(self.ious) >= LEAST_IOU and self.levels <= MOST_LEVELS


def make_int8(session: NetworkSession, images: Sequence[Image.Image], target: Path) -> Loss:
    """Write an int8 copy of a session's network, and compare it with the session on the CPU.

    Parameters
    ----------
    session
        On the CPU.
    images
        At least ``FEWEST_PICTURES``, such as it is to be used for. One of ``HELD_OUT`` is kept
        for the comparison.
    target
        The file to write.

    Raises
    ------
    OptionError
        If there are too few pictures, the network cannot be changed, or no row for users' files
        would read the copy as the session's reads its file.
    """
    if len(images) < FEWEST_PICTURES:
        raise OptionError(f"{len(images)} pictures are too few; use {FEWEST_PICTURES} or more.")
    own_row(session.recipe)
    held_out = images[::HELD_OUT]
    others = [image for place, image in enumerate(images) if place % HELD_OUT]
    quantise(session.paths[0], map(session.feed, others), target)
    options = runtime_options(session.spec.name, None, {"providers": "CPU"})
    copy = Graph(target, choose_providers(options), session_options(options))
    pairs = [_compare(session, copy, image) for image in (held_out[0], *held_out)][1:]
    return Loss(
        seconds=statistics.median(pair[0] for pair in pairs),
        copy_seconds=statistics.median(pair[1] for pair in pairs),
        ious=tuple(_iou(a, b) for _, _, a, b in pairs),
        levels=255 * statistics.fmean(float(np.abs(a - b).mean()) for _, _, a, b in pairs),
    )


_Alpha = NDArray[np.float32]


def _compare(
    session: NetworkSession, copy: Graph, image: Image.Image
) -> tuple[float, float, _Alpha, _Alpha]:
    """Return the seconds and the alphas of both."""
    feed = session.feed(image)
    start = time.perf_counter()
    one = session.graphs[0].run(feed)
    middle = time.perf_counter()
    other = copy.run(feed)
    end = time.perf_counter()
    (alpha,), (copied,) = (output_to_alphas(each, session.recipe) for each in (one, other))
    return middle - start, end - middle, alpha, copied


def _iou(one: _Alpha, other: _Alpha) -> float:
    a, b = one > 0.5, other > 0.5
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
