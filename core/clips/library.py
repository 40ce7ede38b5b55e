"""PyAV, which brings ffmpeg's libraries: an optional part of the installation."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..errors import ImageError, RuntimeMissingError
from ..text import install_line, quotable


def load_av() -> Any:
    """Import PyAV.

    Raises
    ------
    RuntimeMissingError
        If it is not installed, with the line that installs it.
    """
    try:
        import av
    except ImportError as error:
        raise RuntimeMissingError(
            f"Videos and animations need the package av: run `{install_line('av')}`."
        ) from error
    return av


@contextmanager
def telling(what: str) -> Generator[None]:
    """Turn what ffmpeg says of a file into ImageError; ``what`` says what could not be done."""
    av = load_av()
    try:
        yield
    except av.error.FFmpegError as error:
        reason = quotable(getattr(error, "strerror", None) or str(error))
        raise ImageError(f"{what}: {reason}.") from error
