"""What the shell shows: sentences on standard error, and bars that tell how far it is."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from ..errors import OptionError
from ..text import quotable, visible
from ..weights.progress import NEXT, Lines

_log = logging.getLogger("rembg_sessions")

_LONGEST_LINE = 2000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Item = TypeVar("Item")
_bars: list[Any] = []  # those that are drawn at the moment
_is_quiet = False
_out: Any = None  # standard output, while it is kept for what is shown
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


class _Aside:
    """What libraries print, which is no part of what was asked for; the begin of it is said."""

    def write(self, text: str) -> None:
        if shown := quotable(_COLOUR.sub("", text)):
            remark(shown)

    def flush(self) -> None:
        """Do nothing: what is said is there."""


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
    (_out or sys.stdout).write(text + "\n")


@contextmanager
def kept_for_show() -> Generator[None]:
    """Keep standard output for :func:`show` meanwhile: what libraries print goes elsewhere."""
    global _out
    if sys.stdout is None:
        yield
        return
    _out = sys.stdout
    try:
        with contextlib.redirect_stdout(cast(Any, _Aside())):
            yield
    finally:
        _out = None


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
def counted(items: Iterable[Item], unit: str, total: int | None) -> Generator[Iterable[Item]]:
    """Yield an iterable of the items that says how many are done.

    With a bar on a terminal, elsewhere with a line a minute. The total is None while unknown.
    """
    if is_terminal(sys.stderr):
        with _drawn(items, unit=unit, total=total) as bar:
            yield bar
    else:
        yield _counted_in_lines(items, unit, total)


def _counted_in_lines(items: Iterable[Item], unit: str, total: int | None) -> Iterable[Item]:
    due = time.monotonic() + NEXT
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() >= due and done != total:
            due = time.monotonic() + NEXT
            remark(f"{done} of {total} {unit}s." if total else f"{done} {unit}s.")


@contextmanager
def downloads(name: str) -> Generator[Callable[[int, int], None]]:
    """Yield a callback (bytes done, bytes total) that says how far the download of a model is.

    With a bar on a terminal, elsewhere with a line a minute.
    """
    if not is_terminal(sys.stderr):
        yield Lines(name, remark)
        return
    _tqdm()  # it may refuse to be imported
    with ExitStack() as stack:
        bar: Any = None

        def on_progress(done: int, total: int) -> None:
            nonlocal bar
            if bar is None or bar.total != (total or None):  # the first, or the next file
                stack.close()
                options = {"total": total or None, "unit": "B", "unit_scale": True}
                bar = stack.enter_context(_drawn(None, desc=name, **options))
            bar.update(done - bar.n)

        yield on_progress


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is one that a person looks at."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # a program's own, or a closed one
        return False


@contextmanager
def _drawn(items: Any, **options: Any) -> Generator[Any]:
    """Yield a bar that makes room for what is said meanwhile."""
    bar = _tqdm()(items, file=_error, dynamic_ncols=True, disable=_is_quiet, **options)
    _bars.append(bar)
    try:
        yield bar
    finally:
        _bars.remove(bar)
        bar.close()


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ValueError as error:  # it reads its settings when it is imported
        raise OptionError(
            f"tqdm, which draws the bars, does not take what a variable is set to whose name "
            f"begins with TQDM_: {error}. Unset it."
        ) from error
    return tqdm
