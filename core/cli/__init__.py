"""The command line, rembg-sessions: what is asked for, and what is said about it.

Every command is a module with a function that takes the parsed arguments and returns the exit
code.
"""

from __future__ import annotations

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
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except RembgSessionsError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Cancelled.")
        return 130
    except BrokenPipeError:
        # whoever read our output has left; keep Python from complaining about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        say(f"error: {error}")
        return 1
