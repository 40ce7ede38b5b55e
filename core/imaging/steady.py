"""Alpha of a clip that does not flicker.

What a network says of a frame is compared with what was and will be said of the same things, as
:mod:`.motion` finds them in the frames before and after. The median of the three removes what only
one frame says; a gate holds parts that come and go for a few. Where a neighbour does not show the
same thing it is not asked, so nothing trails behind what moves. Without following motion, the
median rubs out thin parts that move fast: on the clips of tests/bench/steady.py it then has a
greater error than no median at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError
from .morphology import dilate
from .motion import Copies, Motion, find_motion, resized, small_copies

Alpha = NDArray[np.float32]

# Tuned on the clips of tests/bench/steady.py. Pixels are those of the small copies.
_CUT = 0.6  # share of a picture that its neighbour shows, too; below it there is a cut between them
_MOST_CREDIT = 6  # frames for which a part is held at most, and no more than it was there before
_EDGE = 2  # pixels by which an outline may wander and is no part that comes or goes
_AROUND = 3  # pixels around such a part that belong to it
_DENIED = 0.5  # of alpha: a change that makes foreground of background, or the other way round
_CHANGED = 0.3  # of alpha, around it


@dataclass(slots=True)
class _Frame:
    """A frame: small copies of its picture, its alphas, and for how long each has been so.

    ``credits`` are int8 (h, w), in frames.
    """

    copies: Copies
    alphas: list[Alpha]
    credits: list[NDArray[np.int8]] = field(default_factory=list[NDArray[np.int8]])


def steady(
    frames: Iterable[tuple[NDArray[np.uint8], Sequence[Alpha]]],
) -> Iterator[list[Alpha]]:
    """Steady the alphas of a clip, frame by frame; three frames are held at a time.

    Parameters
    ----------
    frames
        In order, each a picture, uint8 (H, W, 3), and the alphas of its foregrounds, float32
        (H, W), 0..1. One of another size, or with another number of alphas, begins a new clip,
        as a cut does.

    Yields
    ------
    list of ndarray
        The alphas of a frame, as soon as the next one was taken. Some may be those that were given.

    Raises
    ------
    ImageError
        If an alpha has another size than its picture.
    """
    last = current = None
    for picture, alphas in frames:
        for alpha in alphas:
            if alpha.shape != picture.shape[:2]:
                raise ImageError(
                    f"A frame of {picture.shape[:2]} has alpha of {alpha.shape}; both must be of "
                    "one size."
                )
        coming = _Frame(small_copies(picture), list(alphas))
        if current is not None:
            _settle(last, current, coming)
            yield list(current.alphas)
        last, current = current, coming
    if current is not None:
        _settle(last, current, None)
        yield current.alphas


def _settle(last: _Frame | None, frame: _Frame, coming: _Frame | None) -> None:
    """Steady the alphas of a frame by its neighbours, of which the last one is steady already."""
    past, future = _motion(frame, last), _motion(frame, coming)
    frame.credits = [np.zeros(frame.copies[0].shape[1:], np.int8) for _ in frame.alphas]
    if last is None or past is None or not frame.alphas:
        return
    size_hw = frame.alphas[0].shape
    places, is_same = past.places(size_hw)
    after = list(frame.alphas)
    if coming is not None and future is not None:
        ahead, is_same_ahead = future.places(size_hw)
        after = [
            np.where(is_same_ahead, there.take(ahead), here)
            for here, there in zip(frame.alphas, coming.alphas, strict=True)
        ]
    for i, alpha in enumerate(frame.alphas):
        before = np.where(is_same, last.alphas[i].take(places), alpha)
        found = alpha if future is None else _median(before, alpha, after[i])
        held = _hold(past, before, found, last.credits[i], frame.credits[i])
        frame.alphas[i] = _mix(found, before, held, size_hw) if held.any() else found


def _motion(frame: _Frame, other: _Frame | None) -> Motion | None:
    """Return the motion to a neighbour; None where there is none, or a cut between them."""
    if other is None or len(frame.alphas) != len(other.alphas):
        return None
    if any(a.shape != b.shape for a, b in zip(frame.alphas, other.alphas, strict=True)):
        return None
    if frame.copies[0].shape != other.copies[0].shape:
        return None
    motion = find_motion(frame.copies, other.copies)
    return motion if motion.same.mean() >= _CUT else None


def _median(a: Alpha, b: Alpha, c: Alpha) -> Alpha:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _hold(
    past: Motion,
    before: Alpha,
    found: Alpha,
    last_credit: NDArray[np.int8],
    credit: NDArray[np.int8],
) -> NDArray[np.bool_]:
    """Return where a part is held that the picture still shows, and alpha denies: bool (h, w).

    It was there (or was not) for as many frames as its credit; each frame that denies it takes one
    away, each other one gives one. So what a network changes its mind about is believed in the
    end, and what was wrong at the beginning is not held at all.

    Parameters
    ----------
    before, found
        Of full size: alpha of the last frame, and of this one.
    last_credit, credit
        Of both; the latter is written.
    """
    from scipy import ndimage

    small_hw = past.size_hw
    places, _ = past.places(small_hw)
    was, now = _shrunk(before, small_hw), _shrunk(found, small_hw)
    side = 2 * _EDGE + 1
    lowest, highest = ndimage.minimum_filter(was, side), ndimage.maximum_filter(was, side)
    denied = (np.abs(np.clip(now, lowest, highest) - now) > _DENIED) & past.same
    denied = dilate(denied, _AROUND) & (np.abs(was - now) > _CHANGED)
    known = np.where(past.same, last_credit.take(places), 0)
    held = denied & (known > 0)
    credit[...] = np.where(
        denied, np.where(held, known - 1, 0), np.minimum(known + 1, _MOST_CREDIT)
    )
    return held


def _mix(found: Alpha, before: Alpha, held: NDArray[np.bool_], size_hw: tuple[int, int]) -> Alpha:
    """Return alpha of the last frame where a part is held, with a soft transition."""
    from scipy import ndimage

    blurred = ndimage.uniform_filter(dilate(held).astype(np.float32), 3, mode="nearest")
    share = resized(blurred, size_hw)
    return found + share * (before - found)


def _shrunk(alpha: Alpha, size_hw: tuple[int, int]) -> Alpha:
    height, width = size_hw
    return np.asarray(Image.fromarray(alpha).resize((width, height), Image.Resampling.BOX))
