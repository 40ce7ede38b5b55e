"""The options of the command line, and their help."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ..matting.methods import DEFAULT_METHOD, METHODS
from ..pipeline import EDGE_COLOURS
from ..runtime.installation import pack_version
from ..runtime.options import OPTIMIZATION_LEVELS
from ..runtime.providers import AUTO, CHOICES
from ..session.factory import DEFAULT_MODEL
from ..session.network import CLOTH_CATEGORIES
from ..session.vitmatte import VARIANTS
from ..text import visible
from . import cutout, framing, models
from .terminal import say, show


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in two lines; the usage, with every option, would hide it."""

    def error(self, message: str) -> NoReturn:
        """End with a sentence."""
        say(f"error: {visible(message)}")
        say(f"`{self.prog} --help` tells what there is.")
        raise SystemExit(2)


class _Version(argparse.Action):
    """Says the version, which is looked for only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        show(f"rembg-sessions {pack_version()}")
        parser.exit()


def _quality(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = _Parser(prog="rembg-sessions", description="Remove the background of pictures.")
    root.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

    cut = commands.add_parser("cutout", help="cut out a picture, or every picture of a folder")
    cut.set_defaults(run=cutout.run)
    cut.add_argument("input", help="a file, a folder, or - for standard input")
    cut.add_argument(
        "output", help="a file (its suffix says the format), a folder, or - for standard output"
    )
    cut.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    cut.add_argument(
        "--suffix",
        default=".png",
        help="format of the outputs of a folder or of standard output (default: .png)",
    )

    cut.add_argument(
        "--quality",
        type=_quality,
        help="1 to 100, of JPEG, WebP and AVIF (as little loss as they can; WebP: none)",
    )

    model = cut.add_argument_group("model")
    model.add_argument("-m", "--model", default=DEFAULT_MODEL, help="see `models` (%(default)s)")
    model.add_argument("--model-path", help="your own file, for the *_custom models")
    model.add_argument(
        "--providers", default=AUTO, help=f"one of {', '.join(CHOICES)} (%(default)s)"
    )
    model.add_argument(
        "--no-cpu-fallback", action="store_true", help="stop if the chosen provider does not work"
    )
    model.add_argument("--device-id", type=int, default=0, help="index of the GPU")
    model.add_argument("--threads", type=int, help="CPU threads of the network")
    model.add_argument("--optimization", choices=OPTIMIZATION_LEVELS, help="of the graph")
    model.add_argument(
        "--input-size",
        type=int,
        help="pixels a side at which the network looks, a multiple of 32 below its own: faster, "
        "and less exact",
    )
    model.add_argument(
        "--no-prepare", action="store_true", help="run the network's file just as it is"
    )
    model.add_argument("--sam-prompt", help="points and rectangles as JSON, for sam models")
    model.add_argument("--cloth-category", choices=CLOTH_CATEGORIES, help="for u2net_cloth_seg")

    plain = cut.add_argument_group("plain backdrop, for the model backdrop")
    plain.add_argument(
        "--tolerance", type=float, help="levels from the backdrop's colour, 0 to 255 (measured)"
    )
    plain.add_argument(
        "--soft-edge", type=float, help="pixels inside the outline where opacity starts (measured)"
    )
    plain.add_argument("--keep-shadow", action="store_true", help="as transparent black")
    plain.add_argument("--no-holes", action="store_true", help="fill enclosed backdrop")
    plain.add_argument("--strict", action="store_true", help="fail without a plain backdrop")

    mask = cut.add_argument_group("mask and edges")
    mask.add_argument("--only-mask", action="store_true", help="write the mask")
    mask.add_argument("--post-process-mask", action="store_true", help="smooth, hard-edged mask")
    mask.add_argument(
        "--edge-colours",
        choices=EDGE_COLOURS,
        help="colours of soft edges (estimated, unless one of the next two is given)",
    )
    mask.add_argument("--putalpha", action="store_true", help="keep the picture's own colours")
    mask.add_argument(
        "--decontaminate", action="store_true", help="the same as --edge-colours estimated"
    )
    mask.add_argument("--bgcolor", help="#RRGGBB, #RRGGBBAA, a name, or r,g,b")
    mask.add_argument("--max-size", type=int, help="process at most this large, in pixels")

    framing.add_options(cut)

    hair = cut.add_argument_group("alpha matting, for hair and fur")
    hair.add_argument("--alpha-matting", action="store_true", help="refine the edge")
    hair.add_argument(
        "--matting-method",
        choices=METHODS,
        help="; ".join(f"{name}: {row.good_for}" for name, row in METHODS.items())
        + f" ({DEFAULT_METHOD}; switches matting on)",
    )
    hair.add_argument(
        "--trimap",
        metavar="FILE",
        help="black background, grey unknown, white foreground; takes the place of a model",
    )
    hair.add_argument("--vitmatte", action="store_true", help="--matting-method vitmatte")
    hair.add_argument(
        "--vitmatte-model", choices=VARIANTS, help=f"({VARIANTS[0]}; switches vitmatte on)"
    )
    for name, default in (
        ("foreground-threshold", 240),
        ("background-threshold", 10),
        ("erode-size", 10),
    ):
        hair.add_argument(
            f"--alpha-matting-{name}", type=int, default=default, help="(%(default)s)"
        )
    hair.add_argument(
        "--alpha-matting-scale-erode",
        action="store_true",
        help="the erode size is meant for 1024 pixels, and grows and shrinks with the picture",
    )

    listing = commands.add_parser("models", help="list the models")
    listing.set_defaults(run=models.list_models)

    fetch = commands.add_parser("download", help="download models")
    fetch.set_defaults(run=models.download)
    fetch.add_argument("names", nargs="+", metavar="NAME", help="see `models`")

    keeping = commands.add_parser("prepared", help="list the prepared networks, and their size")
    keeping.set_defaults(run=models.prepared)
    keeping.add_argument("--remove", action="store_true", help="remove them to make room")

    examine = commands.add_parser("doctor", help="examine the installation")
    examine.set_defaults(run=models.doctor)
    return root
