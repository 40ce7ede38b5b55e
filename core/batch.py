"""Many pictures: prepared, asked for and finished side by side, and given back in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from PIL import Image

from .checks import one_of, whole
from .errors import ImageError, OptionError
from .imaging.picture import Picture, open_picture, read_file
from .pipeline import remove
from .session.protocol import AnySession
from .text import short
from .threads import Workers, wait_for

Item = TypeVar("Item")
Result = TypeVar("Result")
OnError = Literal["raise", "yield"]
_MOST_WORKERS = 256


def remove_batch(
    images: Iterable[Picture],
    session: AnySession | None = None,
    *,
    workers: int = 2,
    on_error: OnError = "raise",
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
        Threads, ≥ 1.
    on_error
        ``"raise"`` ends with the first picture that fails, in its turn; ``"yield"`` gives the
        exception in that picture's place and goes on. What ``images`` itself raises ends it
        either way, after the pictures before it.
    **options
        Keyword arguments of :func:`.pipeline.remove`.

    Raises
    ------
    OptionError
        If ``workers`` is below 1, or ``on_error`` neither.
    """
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

    def cut_out(image: Picture) -> Any:
        try:
            return remove(image, session=session, **options)
        except Exception as error:
            if on_error == "raise":
                raise
            return error

    return in_order(map(_detached, pictures), cut_out, workers)


def in_order(
    items: Iterable[Item], work: Callable[[Item], Result], workers: int
) -> Iterator[Result]:
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
                if len(pending) >= 2 * workers:
                    yield _result(pending.popleft())
            while pending:
                yield _result(pending.popleft())
        finally:
            for future in pending:  # the caller stopped early
                future.cancel()


def _result(future: Future[Result]) -> Result:
    wait_for(future)
    return future.result()


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
