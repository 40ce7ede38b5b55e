"""The command line, rembg-sessions: what is asked for, and what is said about it.

Every command is a module with a function that takes the parsed arguments and returns the exit
code.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from ..errors import RembgSessionsError
from .arguments import parse
from .terminal import listening, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    That is 0 if all is done, 1 if something failed, 2 for wrong usage, 3 if there was no picture,
    and 130 after Ctrl-C.
    """
    with listening():
        return _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: Sequence[str]) -> int:
    if (out := _stream()) is not None:  # a terminal may not know every letter of a name
        out.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(arguments)
        finally:
            _flush()  # at exit it would be too late to say what is wrong
    except OSError as error:
        if error.filename is not None:
            say(f"error: {error}. Check that it is there and who may use it.")
        elif not _reader_left(error):
            say(
                f"error: Standard output cannot be written ({error.strerror or error}). Make room "
                "there, or name another place."
            )
        try:
            _flush()
        except OSError:  # it cannot be written: keep Python from complaining about that at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: Sequence[str]) -> int:
    try:
        options = parse(arguments)
        return options.run(options)
    except RembgSessionsError as error:
        say(f"error: {error}")
        return 1
    except MemoryError:
        say("error: There is not enough memory. Close other programs, or give it less at once.")
        return 1
    except KeyboardInterrupt:
        say("Cancelled.")
        return 130


def _flush() -> None:
    if (out := _stream()) is not None:
        out.flush()


def _stream() -> Any:
    """Return stdout where it is a real one: a test or a program may have replaced it."""
    out: Any = sys.stdout
    return out if issubclass(type(out), TextIOWrapper) else None


def _reader_left(error: OSError) -> bool:
    """Return whether an error that names no file says that nobody reads our output any more."""
    # Windows says that an argument is not valid
    on_windows = sys.platform == "win32" and error.errno == errno.EINVAL
    return isinstance(error, BrokenPipeError) or on_windows
