"""What the shell shows: sentences on standard error, and bars that tell how far it is."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from ..errors import OptionError
from ..text import visible

_log = logging.getLogger("rembg_sessions")

_LONGEST_LINE = 2000

Item = TypeVar("Item")
_bars: list[Any] = []  # those that are drawn at the moment
_is_quiet = False
_said: set[str] | None = None  # what was logged, where it is to be said once
# the name of the picture that is worked on, and what was logged about it
_picture: ContextVar[tuple[str, list[str]] | None] = ContextVar("picture", default=None)


class _StandardError:
    """Standard error, whose failures stop nothing: there is nobody to be told of them."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


_error = _StandardError()


class LogHandler(logging.Handler):
    """Says what is logged, and about which picture."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say a message."""
        try:
            text, picture = record.getMessage(), _picture.get()
            if picture is not None:
                name, messages = picture
                messages.append(text)
                text = named(name, text)
            if _said is not None:
                if text in _said:
                    return
                _said.add(text)
            if not _is_quiet or record.levelno >= logging.ERROR:
                say(f"{record.levelname}: {text}")
        except Exception:  # of a library that logs what cannot be shown
            self.handleError(record)


@contextmanager
def listening() -> Generator[None]:
    """Say meanwhile what is logged, loudly at first."""
    ours, others = LogHandler(logging.WARNING), LogHandler(logging.WARNING)
    others.addFilter(lambda record: record.name != _log.name)
    logging.basicConfig(handlers=[others])
    _log.addHandler(ours)
    hush(False)
    try:
        yield
    finally:
        _log.removeHandler(ours)


@contextmanager
def about(name: str) -> Generator[list[str]]:
    """Name a picture in what is logged meanwhile in this thread; yields that, as a list."""
    messages: list[str] = []
    token = _picture.set((name, messages))
    try:
        yield messages
    finally:
        _picture.reset(token)


@contextmanager
def once() -> Generator[None]:
    """Say each sentence that is logged meanwhile once: frames of a clip share their faults."""
    global _said
    _said = set()
    try:
        yield
    finally:
        _said = None


def named(picture: str, text: str) -> str:
    """Return a sentence about a picture with its name, once."""
    shown = visible(picture)
    return text if shown in text else f"{shown}: {text}"


def hush(is_quiet: bool) -> None:
    """Choose whether nothing but errors is said from now on."""
    global _is_quiet
    _is_quiet = is_quiet


def show(text: str) -> None:
    """Write a line of what was asked for to standard output.

    Raises
    ------
    OptionError
        If it is closed.
    """
    if sys.stdout is None:
        raise OptionError("Standard output is closed; there is nowhere to write to.")
    sys.stdout.write(text + "\n")


def remark(text: str) -> None:
    """Say a sentence that is no error, unless it is quiet."""
    if not _is_quiet:
        say(text)


def say(text: str) -> None:
    """Write a sentence for the user, apart from what is piped on.

    Whatever a file or an argument is called, it steers no terminal and fills no screen.
    """
    for bar in _bars:
        bar.clear()
    lines = (visible(line, _LONGEST_LINE) for line in text.split("\n"))
    _error.write("\n".join(lines) + "\n")
    for bar in _bars:
        bar.refresh()


@contextmanager
def counted(items: Iterable[Item], unit: str, total: int) -> Generator[Iterable[Item]]:
    """Yield an iterable of the items that draws a bar of how many there were."""
    bar = _bar(items, unit=unit, total=total)
    _bars.append(bar)
    try:
        yield bar
    finally:
        _bars.remove(bar)
        bar.close()


@contextmanager
def download_bar() -> Generator[Callable[[int, int], None]]:
    """Yield a callback (bytes done, bytes total) that draws a bar while a download runs."""
    _tqdm()  # it may refuse to be imported
    bar: Any = None

    def on_progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None or bar.total != (total or None):  # the first, or the next file
            if bar is not None:
                bar.close()
            bar = _bar(total=total or None, unit="B", unit_scale=True, desc="downloading")
        bar.update(done - bar.n)

    try:
        yield on_progress
    finally:
        if bar is not None:
            bar.close()


def _bar(items: Any = None, **options: Any) -> Any:
    return _tqdm()(items, file=_error, dynamic_ncols=True, disable=_is_quiet, **options)


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ValueError as error:  # it reads its settings when it is imported
        raise OptionError(
            f"tqdm, which draws the bars, does not take what a variable is set to whose name "
            f"begins with TQDM_: {error}. Unset it."
        ) from error
    return tqdm
