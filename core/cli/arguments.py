"""The options of the command line, and their help."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..matting.methods import DEFAULT_METHOD, METHODS
from ..pipeline import EDGE_COLOURS
from ..runtime.installation import pack_version
from ..runtime.options import OPTIMIZATION_LEVELS
from ..runtime.providers import AUTO, CHOICES
from ..session.factory import DEFAULT_MODEL
from ..session.network import CLOTH_CATEGORIES
from ..session.vitmatte import VARIANTS
from ..text import visible
from . import batch, cutout, framing, models, optimize
from .terminal import say, show

_COLOUR_OPTIONS = ("-bgc", "--bgcolor")
_NO_SERVER = (
    "There is no server here. ComfyUI is one: save a workflow such as the template 'Remove a "
    "background' with 'Export (API)', and POST it to /prompt."
)
_ABSENT = {
    "s": _NO_SERVER,
    "serve": _NO_SERVER,
    "b": "Raw frames are not read from standard input. Videos are cut out as they are: "
    "`rembg-sessions cutout clip.mp4 cutout.webm`. In Python, hand arrays to remove_batch.",
    "m": "There is nothing to migrate: models are used where they lie, in rembg's old folder and "
    "in its new one.",
}
"""Commands of rembg that are not offered, and what to do instead."""
_EXAMPLES = """\
examples:
  rembg-sessions cutout photo.jpg cutout.png
  rembg-sessions cutout *.jpg cutouts/ --model isnet-general-use
  rembg-sessions cutout photos/ cutouts/ --jobs 2 --json
  rembg-sessions cutout clip.mp4 cutout.webm --steady
  rembg-sessions cutout < photo.jpg > cutout.png
  rembg-sessions cutout photo.jpg --model-path ./my.onnx
  rembg-sessions i -m u2net -a -bgc 255 255 255 255 photo.jpg card.png

exit codes:
  0 done, or done before; 1 something failed; 2 wrong usage; 3 no picture found; 130 cancelled
"""


_BATCH_EXAMPLES = """\
A source is a folder, a .txt file with a path or an address in each line, or an address that fsspec
lists, s3://bucket/photos for example. The outputs, and a record of each picture in JSON Lines, go
to the target. Run it again to go on: what is done is not done again.

examples:
  rembg-sessions batch photos/ cutouts/ --model isnet-general-use
  rembg-sessions batch photos/ cutouts/ --retry-failed
  rembg-sessions batch incoming/ cutouts/ --watch
  rembg-sessions batch s3://bucket/photos s3://bucket/cutouts --manifest done.jsonl
  rembg-sessions batch /mnt/photos /mnt/cutouts --engine ray --address head:6379
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in two lines; the usage, with every option, would hide it."""

    def error(self, message: str) -> NoReturn:
        """End with a sentence."""
        say(f"error: {visible(message)}")
        say(f"`{self.prog} --help` tells what there is.")
        raise SystemExit(2)

    def _get_option_tuples(self, option_string: str) -> Any:
        """Let nobody shorten rembg's short options: -o would be --only-mask, by way of -om."""
        found: Any = super()._get_option_tuples(option_string)
        return [
            each for each in found if each[1].startswith("--") or option_string.startswith(each[1])
        ]


class _Version(argparse.Action):
    """Says the version, which is looked for only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        show(f"rembg-sessions {pack_version()}")
        parser.exit()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what arguments ask for; ends the program where they make no sense.

    Names of files may stand anywhere between the options, which argparse allows for a fixed
    number of them only.
    """
    root = parser()
    if arguments and arguments[0] in _ABSENT:
        root.error(_ABSENT[arguments[0]])
    for word in arguments:  # argparse drops such a value, and gives an empty list for it
        if re.fullmatch("-[a-z]--|--[a-z-]+=--", word):
            root.error(f"-- is no value: {word}")
    options, rest = root.parse_known_args(_with_colours(arguments))
    marks = rest.index("--") if "--" in rest else len(rest)
    unknown = [word for word in rest[:marks] if word.startswith("-") and word != "-"]
    names = [*rest[:marks], *rest[marks + 1 :]]
    if unknown or (names and not hasattr(options, "paths")):
        root.error(f"unrecognized arguments: {' '.join(unknown or names)}")
    if names:
        options.paths = [*options.paths, *names]
    return options


def _with_colours(arguments: Sequence[str]) -> list[str]:
    """Return arguments with a colour of four numbers, as rembg takes it, as one of them."""
    words = list(arguments)
    for start in range(len(words) - 4, 0, -1):
        numbers = words[start : start + 4]
        if words[start - 1] in _COLOUR_OPTIONS and all(map(str.isdecimal, numbers)):
            words[start : start + 4] = [",".join(numbers)]
    return words


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = _Parser(prog="rembg-sessions", description="Remove the background of pictures.")
    root.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = root.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command"
    )

    cut = commands.add_parser(
        "cutout",
        aliases=["i", "p"],
        help="cut out a picture, several, or every picture of a folder (i and p: as in rembg)",
        usage="rembg-sessions cutout [INPUT ...] [OUTPUT] [options]",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_cutout(cut)

    many = commands.add_parser(
        "batch",
        help="cut out a folder, a list or a bucket, with a record; goes on where it stopped",
        usage="rembg-sessions batch SOURCE TARGET [options]",
        epilog=_BATCH_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_cutout(many)
    batch.add_arguments(many)

    listing = commands.add_parser(
        "models", help="list the models", epilog="example: rembg-sessions models --installed"
    )
    listing.set_defaults(run=models.list_models)
    listing.add_argument("--installed", action="store_true", help="only those that are here")

    fetch = commands.add_parser(
        "download",
        aliases=["d"],
        help="download models",
        epilog="example: rembg-sessions download isnet-general-use",
    )
    fetch.set_defaults(run=models.download)
    fetch.add_argument("names", nargs="*", metavar="NAME", help="see `models`; all for all of them")

    keeping = commands.add_parser(
        "prepared",
        help="list the prepared networks, and their size",
        epilog="example: rembg-sessions prepared --remove",
    )
    keeping.set_defaults(run=models.prepared)
    keeping.add_argument("--remove", action="store_true", help="remove them to make room")

    making = commands.add_parser(
        "optimize",
        help="make a copy of a network that computes in int8, and judge it",
        epilog="example: rembg-sessions optimize isnet-general-use --int8 --pictures photos/",
    )
    optimize.add_arguments(making)

    examine = commands.add_parser(
        "doctor", help="examine the installation", epilog="example: rembg-sessions doctor"
    )
    examine.set_defaults(run=models.doctor)
    return root


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse_whole(text: str) -> int:
        # not int() alone: it takes digits of every script, and thousands of them
        if not (re.fullmatch("[0-9]{1,9}", text) and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse_whole


def _add_cutout(cut: argparse.ArgumentParser) -> None:
    """Add the options of cutout; the short ones are rembg's."""
    cut.set_defaults(run=cutout.run)
    cut.add_argument(
        "paths",
        nargs="*",
        metavar="INPUT, OUTPUT",
        help="files or folders, and last where to: a file (its suffix says the format), a folder "
        "(NAME/ makes it), or - for standard input or output. Without an output, photo.jpg goes "
        "to photo.png beside it; without any name, standard input to standard output",
    )
    cut.add_argument(
        "-o", "--output", metavar="PLACE", help="the output, where all other names are inputs"
    )
    cut.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    cut.add_argument(
        "--redo-if-newer",
        action="store_true",
        help="replace outputs that are older than their pictures",
    )
    cut.add_argument(
        "--suffix",
        metavar="SUFFIX",
        help="format of outputs that are not named one by one (default: .png)",
    )
    cut.add_argument(
        "--name-suffix", default="", metavar="TEXT", help="such as -cutout: photo-cutout.png"
    )
    cut.add_argument("--no-recursive", action="store_true", help="leave out folders in a folder")
    cut.add_argument(
        "--jobs",
        metavar="N",
        type=_whole(1, 64),
        help="pictures worked on at a time (1; of clips and batches one for each processor)",
    )
    cut.add_argument(
        "--steady",
        action="store_true",
        help="for videos and folders of frames: alpha that does not flicker",
    )
    cut.add_argument(
        "-w", "--watch", action="store_true", help="go on with what comes into a folder"
    )
    cut.add_argument(
        "-d",
        "--delete-input",
        "--delete_input",
        action="store_true",
        help="with p: delete a picture once its output is written",
    )
    cut.add_argument("--quiet", action="store_true", help="say nothing but errors")
    cut.add_argument(
        "--json", action="store_true", help="a line of JSON for each picture on standard output"
    )

    cut.add_argument(
        "--quality",
        metavar="N",
        type=_whole(1, 100),
        help="1 to 100, of JPEG, WebP and AVIF (as little loss as they can; WebP: none)",
    )
    cut.add_argument(
        "--keep-metadata",
        action="store_true",
        help="keep the EXIF data: camera, time, place, author, copyright",
    )

    model = cut.add_argument_group("model")
    model.add_argument("-m", "--model", metavar="NAME", help=f"see `models` ({DEFAULT_MODEL})")
    model.add_argument(
        "--model-path",
        metavar="FILE",
        help="your own .onnx file, such as ./my.onnx; -m says its kind (u2net_custom, dis_custom, "
        "ben_custom, birefnet_custom), where the file itself does not",
    )
    model.add_argument(
        "--providers",
        metavar="NAME",
        default=AUTO,
        help=f"one of {', '.join(CHOICES)} (%(default)s)",
    )
    model.add_argument(
        "--no-cpu-fallback", action="store_true", help="stop if the chosen provider does not work"
    )
    model.add_argument("--device-id", metavar="N", type=int, default=0, help="index of the GPU")
    model.add_argument("--threads", metavar="N", type=int, help="CPU threads of the network")
    model.add_argument("--optimization", choices=OPTIMIZATION_LEVELS, help="of the graph")
    model.add_argument(
        "--input-size",
        metavar="N",
        type=int,
        help="pixels a side at which the network looks, a multiple of 32 below its own: faster, "
        "and less exact",
    )
    model.add_argument(
        "--no-prepare", action="store_true", help="run the network's file just as it is"
    )
    model.add_argument(
        "--sam-prompt", metavar="JSON", help="points and rectangles as JSON, for sam models"
    )
    model.add_argument("--cloth-category", choices=CLOTH_CATEGORIES, help="for u2net_cloth_seg")

    plain = cut.add_argument_group("plain backdrop, for the model backdrop")
    plain.add_argument(
        "--tolerance",
        metavar="N",
        type=float,
        help="levels from the backdrop's colour, 0 to 255 (measured)",
    )
    plain.add_argument(
        "--soft-edge",
        metavar="N",
        type=float,
        help="pixels inside the outline where opacity starts (measured)",
    )
    plain.add_argument("--keep-shadow", action="store_true", help="as transparent black")
    plain.add_argument("--no-holes", action="store_true", help="fill enclosed backdrop")
    plain.add_argument("--strict", action="store_true", help="fail without a plain backdrop")

    mask = cut.add_argument_group("mask and edges")
    mask.add_argument("-om", "--only-mask", action="store_true", help="write the mask")
    mask.add_argument(
        "-ppm", "--post-process-mask", action="store_true", help="smooth, hard-edged mask"
    )
    mask.add_argument(
        "--remove-specks",
        metavar="SHARE",
        type=float,
        default=0.0,
        help="remove regions smaller than this share of the largest: 0.01 for clutter",
    )
    mask.add_argument(
        "--fill-holes",
        metavar="SHARE",
        type=float,
        default=0.0,
        help="fill holes smaller than this share of the largest region; 1 fills all",
    )
    mask.add_argument(
        "--edge-colours",
        choices=EDGE_COLOURS,
        help="colours of soft edges (estimated, unless one of the next two is given)",
    )
    mask.add_argument("--putalpha", action="store_true", help="keep the picture's own colours")
    mask.add_argument(
        "-dc", "--decontaminate", action="store_true", help="the same as --edge-colours estimated"
    )
    mask.add_argument(
        "-bgc", "--bgcolor", metavar="COLOUR", help="#RRGGBB, #RRGGBBAA, a name, r,g,b, or R G B A"
    )
    mask.add_argument(
        "--background", metavar="FILE", help="a picture to put behind the cut-out, cropped to fit"
    )
    mask.add_argument(
        "--max-size", metavar="N", type=int, help="process at most this large, in pixels"
    )

    framing.add_options(cut)

    hair = cut.add_argument_group("alpha matting, for hair and fur")
    hair.add_argument("-a", "--alpha-matting", action="store_true", help="refine the edge")
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
    hair.add_argument("-vm", "--vitmatte", action="store_true", help="--matting-method vitmatte")
    hair.add_argument(
        "--vitmatte-model",
        choices=VARIANTS,
        metavar="NAME",
        help=f"{', '.join(VARIANTS)} ({VARIANTS[0]}; switches vitmatte on)",
    )
    for short, name, default in (
        ("-af", "foreground-threshold", 240),
        ("-ab", "background-threshold", 10),
        ("-ae", "erode-size", 10),
    ):
        hair.add_argument(
            short, f"--alpha-matting-{name}", type=int, metavar="N", help=f"({default})"
        )
    hair.add_argument(
        "--alpha-matting-scale-erode",
        action="store_true",
        help="the erode size is meant for 1024 pixels, and grows and shrinks with the picture",
    )

    more = cut.add_argument_group("for scripts written for rembg")
    more.add_argument(
        "-x",
        "--extras",
        metavar="JSON",
        help="arguments of new_session and remove, such as "
        '{"sam_prompt": [{"type": "point", "label": 1, "data": [320, 240]}]}',
    )
    more.add_argument("--accept-usage-cost", action="store_true", help="no model here costs money")
