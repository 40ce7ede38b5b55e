"""The command line, rembg-sessions: what is asked for, and what is said about it.

Every command is a module with a function that takes the parsed arguments and returns the exit
code.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from ..errors import RembgSessionsError
from .arguments import parser
from .terminal import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 if something failed, 2 for bad usage."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal may not know every letter of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(arguments)
        finally:
            _flush()  # at exit it would be too late to say what is wrong
    except OSError as error:
        if not _reader_left(error):
            say(f"error: {error}")
        try:
            _flush()
        except OSError:  # it cannot be written: keep Python from complaining about that at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except RembgSessionsError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Cancelled.")
        return 130


def _flush() -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.flush()


def _reader_left(error: OSError) -> bool:
    """Return whether an error says that nobody reads our output any more."""
    # Windows says that an argument is not valid, and names no file
    on_windows = sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or on_windows
