"""Many pictures: prepared, asked for and finished side by side, and given back in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .checks import flag, one_of, whole
from .errors import ImageError, OptionError
from .frames import steady_layers
from .imaging.parts import take_apart
from .imaging.picture import Kind, Picture, open_picture, read_file
from .layers import find_layers
from .machine import cpu_count
from .pipeline import remove
from .session.factory import get_session
from .session.protocol import AnySession, Layer
from .text import short
from .threads import Workers, wait_for

Item = TypeVar("Item")
Result = TypeVar("Result")
OnError = Literal["raise", "yield"]
_MOST_WORKERS = 256
_FEWEST, _MANY = 2, 8  # of one's own accord: each worker holds two pictures


def remove_batch(
    images: Iterable[Picture],
    session: AnySession | None = None,
    *,
    workers: int | None = None,
    on_error: OnError = "raise",
    steady: bool = False,
    **options: Any,
) -> Iterator[Any]:
    """Cut out many pictures, yielding results in order.

    While one picture is in the model, another is being prepared or finished. At most
    ``2 * workers`` pictures are held at a time, so the input may be endless. Each is copied
    before the next is asked for, and files are read: the input may hand out one object or one
    path again and again, as ``PIL.ImageSequence.Iterator`` and cameras do.

    Parameters
    ----------
    images
        Anything :func:`.pipeline.remove` takes.
    session
        One session for all; None uses the shared default.
    workers
        Threads, ≥ 1. None takes one for each processor that this process may use, from 2 to 8.
    on_error
        ``"raise"`` ends with the first picture that fails, in its turn; ``"yield"`` gives the
        exception in that picture's place and goes on. What ``images`` itself raises ends it
        either way, after the pictures before it.
    steady
        Whether the pictures are frames of a clip, whose alpha is not to flicker; see
        :func:`.frames.steady_layers`. Some more are held then, and one is asked for ahead.
    **options
        Keyword arguments of :func:`.pipeline.remove`.

    Raises
    ------
    OptionError
        If ``workers`` is below 1, ``on_error`` neither, or a ``trimap`` given for ``steady``.
    """
    workers = default_workers() if workers is None else workers
    whole("workers", workers, 1, _MOST_WORKERS)
    one_of("on_error", on_error, get_args(OnError))
    try:
        pictures = None if isinstance(images, (str, bytes, os.PathLike)) else iter(images)
    except TypeError:
        pictures = None
    if pictures is None:
        raise OptionError(
            f"images is {short(images)}; pass a list or an iterator of pictures, or call remove "
            "for one."
        )

    def or_error(work: Callable[[Item], Result]) -> Callable[[Item], Result | Exception]:
        def attempt(item: Item) -> Result | Exception:
            try:
                return work(item)
            except Exception as error:
                if on_error == "raise":
                    raise
                return error

        return attempt

    if flag("steady", steady):
        if options.get("trimap") is not None:
            raise OptionError("A trimap takes the place of a session; leave it or steady out.")
        question, finish = _steps(session, options)
        found = in_order(map(_detached, pictures), or_error(question), workers)
        return in_order(_steadied(found), or_error(finish), workers)

    def cut_out(image: Picture) -> Any:
        return remove(image, session=session, **options)

    return in_order(map(_detached, pictures), or_error(cut_out), workers)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A picture, whether to give it back as bytes, its colours, and what a session answered."""

    data: Picture
    as_bytes: bool
    rgb: Image.Image
    layers: list[Layer]

    def predict_layers(self, image: Image.Image, **_: object) -> list[Layer]:  # noqa: ARG002
        """Answer, in place of the session."""
        return self.layers


def _steps(
    session: AnySession | None, options: dict[str, Any]
) -> tuple[Callable[[Picture], _Asked], Callable[[_Asked | Exception], Any]]:
    """Return what is done to a frame before it is steadied, and what after that."""
    options = dict(options)
    as_bytes = options.pop("force_return_bytes", False)
    names = ("max_size", "sam_prompt", "cloth_category")
    question = {name: options.pop(name, None) for name in names}
    if (category := options.pop("cc", None)) is not None and question["cloth_category"] is None:
        question["cloth_category"] = category

    def ask(image: Picture) -> _Asked:
        picture, kind = open_picture(image, options.get("channel_order", "RGB"))
        rgb = take_apart(picture).rgb
        layers = find_layers(session or get_session(), rgb, stretch=False, **question)
        data = image if kind is Kind.ARRAY else picture
        return _Asked(data, kind is Kind.BYTES, rgb, layers)

    def finish(asked: _Asked | Exception) -> Any:
        if isinstance(asked, Exception):
            return asked
        return remove(
            asked.data, session=asked, force_return_bytes=as_bytes or asked.as_bytes, **options
        )

    return ask, finish


def _steadied(frames: Iterable[_Asked | Exception]) -> Iterator[_Asked | Exception]:
    """Steady the layers of frames; errors keep their places among them."""
    waiting: deque[_Asked | Exception] = deque()

    def good() -> Iterator[tuple[NDArray[np.uint8], list[Layer]]]:
        for frame in frames:
            waiting.append(frame)
            if isinstance(frame, _Asked):
                yield np.asarray(frame.rgb), frame.layers

    for layers in steady_layers(good()):
        while isinstance(frame := waiting.popleft(), Exception):
            yield frame
        yield replace(frame, layers=layers)
    yield from waiting


def default_workers() -> int:
    """Return how many pictures are worked on at a time: one for each processor, from 2 to 8."""
    return max(_FEWEST, min(cpu_count(), _MANY))


def in_order(
    items: Iterable[Item], work: Callable[[Item], Result], workers: int
) -> Generator[Result]:
    """Work on items side by side, in threads; yields the results in the order of the items.

    At most ``2 * workers`` items are held at a time. What an item's work raises, or the iterator
    itself, is raised in its turn and ends all; nothing new is begun then, nor after the caller
    has stopped.
    """
    pending: deque[Future[Result]] = deque()

    def submit() -> Iterator[Future[Result]]:
        try:
            for item in items:
                yield pool.submit(work, item)
        except Exception as error:  # the source's own: raised after the pictures before it
            failed: Future[Result] = Future()
            failed.set_exception(error)
            yield failed

    with Workers(workers, "batch") as pool:
        try:
            for future in submit():
                pending.append(future)
                del future  # see _result
                if len(pending) >= 2 * workers:
                    yield _result(pending)
            while pending:
                yield _result(pending)
        finally:
            while pending:  # the caller stopped early
                pending.popleft().cancel()


def _result(pending: deque[Future[Result]]) -> Result:
    future = pending.popleft()
    wait_for(future)
    try:
        return future.result()
    finally:
        del future  # an error holds this frame, and the future the error


def _detached(image: Picture) -> Picture:
    """Return a picture that does not change when its source goes on."""
    if isinstance(image, (bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, np.ndarray):
        return image.copy()
    if isinstance(image, (str, os.PathLike)):
        try:
            return read_file(image)
        except ImageError:
            return image  # whoever works on it says so, in its turn
    if isinstance(image, Image.Image):
        try:
            upright, _ = open_picture(image)  # a copy no longer knows how it is to be turned
        except ImageError:
            return image
        return upright.copy() if upright is image else upright
    return image
