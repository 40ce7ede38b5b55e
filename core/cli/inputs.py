"""The names on the command line: which are inputs, and which is the output."""

from __future__ import annotations

import argparse
import glob
import os
import sys
from pathlib import Path

from ..clips.read import is_video
from ..errors import OptionError
from ..imaging.formats import UNREADABLE, WRITTEN
from ..text import visible
from .jobs import STREAM, ends_as_folder, is_folder
from .terminal import is_terminal

_SAY = "`rembg-sessions cutout --help` tells more."


def names(options: argparse.Namespace) -> tuple[list[str], str]:
    """Return the inputs and the output that a command names, or means.

    Raises
    ------
    OptionError
        If a name is empty, or one that is needed is missing.
    """
    inputs, output = list[str](options.paths), options.output
    if output is None and len(inputs) > 1:
        output = inputs.pop()
    for what, name in (*(("input", each) for each in inputs), ("output", output)):
        if name == "":
            raise OptionError(f"The {what} is empty: is a variable in your command not set?")
    if sys.platform == "win32":  # where the shell leaves that to programs
        inputs = [each for name in inputs for each in _matching(name)]
    if not inputs:
        if is_terminal(sys.stdin):
            raise OptionError(
                f"Name a picture, as in `rembg-sessions cutout photo.jpg cutout.png`; {_SAY}"
            )
        inputs = [STREAM]
    if len(inputs) > 1 and STREAM in inputs:
        raise OptionError("- for standard input is one picture; name it alone, or name files.")
    return inputs, _default(inputs, options) if output is None else output


def _matching(pattern: str) -> list[str]:
    if os.path.lexists(pattern) or not glob.has_magic(pattern):
        return [pattern]
    return sorted(glob.glob(pattern)) or [pattern]  # noqa: PTH207 the names as they were written


def _default(inputs: list[str], options: argparse.Namespace) -> str:
    """Return the output of a command that names none."""
    (source, *more) = inputs
    if more or is_folder(source):
        raise OptionError(
            "Name a folder for the cut-outs, as in `rembg-sessions cutout photos/ cutouts/`; "
            f"{_SAY}"
        )
    suffix = options.suffix or (".webm" if is_video(source) else ".png")
    if source == STREAM or (options.command == "i" and not is_terminal(sys.stdout)):
        if is_terminal(sys.stdout):
            raise OptionError(
                "Standard output is a terminal, which shows no pictures: name an output, or add "
                "`> cutout.png`."
            )
        return STREAM
    added = options.name_suffix or (".out" if options.command == "i" else "")
    output = Path(source).parent / f"{Path(source).stem}{added}{suffix}"
    if output == Path(source):
        raise OptionError(
            f"The output of {visible(source)} would be itself: name another, or add "
            "`--name-suffix=-cutout`."
        )
    return str(output)


def check_file_name(output: str) -> None:
    """Raise OptionError where the name of one output has no suffix."""
    if not Path(output).suffix:
        shown = visible(output)
        raise OptionError(
            f"The output '{shown}' is no folder that is there, and no name with a suffix that says "
            f"its format, as cutout.png is. Write {shown}/ to have a folder made."
        )


def check_folder_name(inputs: list[str], output: str) -> None:
    """Raise OptionError where the output of several pictures is no folder, or looks like none."""
    shown = visible(output)
    what = "Several inputs need" if len(inputs) > 1 else "The input is a folder; it needs"
    if output == STREAM or os.path.isfile(output):  # noqa: PTH113 it raises
        raise OptionError(f"{what} a folder for the cut-outs, and {shown} is none.")
    kinds = (*WRITTEN, *UNREADABLE)
    if not (is_folder(output) or ends_as_folder(output)) and Path(output).suffix.lower() in kinds:
        raise OptionError(
            f"{what} a folder for the cut-outs, and {shown} is called like a picture. Write "
            f"{shown}/ if that is to be the folder's name."
        )


def check_ending(name_suffix: str) -> None:
    """Raise OptionError where ``--name-suffix`` would lead to another folder."""
    if any(char in name_suffix for char in "/\\:\0") or name_suffix in (".", ".."):
        raise OptionError(
            f"--name-suffix is '{visible(name_suffix)}'; use a part of a name, such as -cutout."
        )
