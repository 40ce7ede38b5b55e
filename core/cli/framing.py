"""The options that crop to the subject, and what they ask for."""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from ..imaging.framing import ALIGNS, FREE, LARGEST_PERCENT, LARGEST_SIDE, Framing

_CANVAS = re.compile(r"(?P<width>\d{0,5})[x×](?P<height>\d{0,5})|(?P<ratio>[\d.]+:[\d.]+)")


class _Canvas(NamedTuple):
    width: int = 0
    height: int = 0
    ratio: str = FREE


def add_options(command: argparse.ArgumentParser) -> None:
    """Add a group of options to a command."""
    group = command.add_argument_group("crop to the subject (each option switches it on)")
    group.add_argument("--crop", action="store_true", help="cut off what is empty around it")
    group.add_argument(
        "--margin",
        type=_margin,
        metavar="SIZE",
        help="around the subject: 10 (pixels) or 7.5%% of the canvas (0)",
    )
    group.add_argument(
        "--canvas",
        type=_canvas,
        metavar="SIZE",
        help="2000x2000, 2000x or x2000 (pixels; the subject is scaled down to fit), or a ratio "
        "such as 4:5 (as large as the subject and its margin)",
    )
    group.add_argument(
        "--align", choices=ALIGNS, help=f"of the subject on the canvas ({ALIGNS[0]})"
    )
    group.add_argument("--enlarge", action="store_true", help="scale small subjects up, too")


def framing(options: argparse.Namespace) -> Framing | None:
    """Return what the options ask for; None where the result is not to be cropped.

    Raises
    ------
    OptionError
        If they cannot be had together.
    """
    given = (options.margin, options.canvas, options.align, options.enlarge or None)
    if not options.crop and all(value is None for value in given):
        return None
    (margin, unit), canvas = options.margin or (0.0, "px"), options.canvas or _Canvas()
    return Framing(
        width=canvas.width,
        height=canvas.height,
        aspect_ratio=canvas.ratio,
        margin=margin,
        margin_unit=unit,
        align=options.align or ALIGNS[0],
        enlarge=options.enlarge,
    )


def _margin(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"(\d{1,5})(?:px)?|(\d{1,2}(?:\.\d{1,5})?)%", text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no margin: use pixels such as 10, up to {LARGEST_SIDE}, or per cent such "
            f"as 7.5%, up to {LARGEST_PERCENT:g}%"
        )
    return (float(found[2]), "%") if found[1] is None else (float(found[1]), "px")


def _canvas(text: str) -> _Canvas:
    found = _CANVAS.fullmatch(text)
    if found is None or not any(found.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no canvas: use 2000x2000, 2000x, x2000, or a ratio such as 4:5"
        )
    if found["ratio"]:
        return _Canvas(ratio=found["ratio"])
    return _Canvas(int(found["width"] or 0), int(found["height"] or 0))
