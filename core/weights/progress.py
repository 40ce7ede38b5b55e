"""A download told in lines, where nobody draws a bar."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST, NEXT = 10.0, 60.0
"""Seconds from the beginning to the first line about progress, and between two of them."""


class Lines:
    """A callback (bytes done, bytes total) that says a line now and then.

    At the beginning of each file, after ten seconds, and then once a minute.

    Parameters
    ----------
    name
        What is downloaded.
    tell
        Takes each line.
    """

    def __init__(self, name: str, tell: Callable[[str], None]) -> None:
        self._name, self._tell = name, tell
        self._total: int | None = None
        self._due = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Hear how far the download is; the total is 0 while it is unknown."""
        now = time.monotonic()
        if total != self._total and (total or done):  # the next file, or the first
            self._total, self._due = total, now + FIRST
            size = f", {_megabytes(total)}" if total else ""
            self._tell(f"Downloading {self._name}{size}.")
        elif self._total is not None and now >= self._due:
            self._due = now + NEXT
            of = f" of {_megabytes(total)}" if total else ""
            self._tell(f"Downloading {self._name}: {_megabytes(done)}{of}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 10_000_000 else f"{size / 1e6:.0f} MB"
