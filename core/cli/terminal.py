"""What the shell shows: sentences on standard error, and the bar of a download."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ..errors import OptionError


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


def say(text: str) -> None:
    """Write a sentence for the user, apart from what is piped on."""
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")


@contextmanager
def download_bar() -> Generator[Callable[[int, int], None]]:
    """Yield a callback (bytes done, bytes total) that draws a bar while a download runs."""
    from tqdm import tqdm

    bar: Any = None

    def on_progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None or bar.total != (total or None):  # the first, or the next file
            if bar is not None:
                bar.close()
            bar = tqdm(total=total or None, unit="B", unit_scale=True, desc="downloading")
        bar.update(done - bar.n)

    try:
        yield on_progress
    finally:
        if bar is not None:
            bar.close()
