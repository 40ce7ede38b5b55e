"""The command optimize: a copy of a network that computes in int8."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ..errors import ImageError, OptionError
from ..imaging.formats import readable_suffixes
from ..imaging.picture import open_picture
from ..session.factory import new_session
from ..session.network import NetworkSession
from ..session.optimize import LEAST_IOU, MOST_LEVELS, Loss, make_int8
from ..session.own import own_row
from ..text import visible
from ..weights.filesystem import replace
from ..weights.store import home
from .terminal import say, show

_MOST_PICTURES = 60


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    command.set_defaults(run=run)
    command.add_argument("model", metavar="MODEL", help="see `models`; custom for your own file")
    command.add_argument("--int8", action="store_true", help="whole numbers of 8 bit, for CPUs")
    command.add_argument(
        "--pictures",
        metavar="FOLDER",
        required=True,
        help="such as it is to be used for, 3 or more, of which a third is to judge it",
    )
    command.add_argument(
        "--model-path", metavar="FILE", help="your own file, with the model custom"
    )
    command.add_argument(
        "--anyway", action="store_true", help="keep it, however much its masks differ"
    )


def run(options: argparse.Namespace) -> int:
    """Make a copy, say what it gains and loses, and keep it where it loses little."""
    if not options.int8:
        raise OptionError("Say what to make of it: add --int8.")
    images = [open_picture(path)[0] for path in _pictures(Path(options.pictures))]
    session = new_session(options.model, "CPU", model_path=options.model_path)
    if not isinstance(session, NetworkSession):
        raise OptionError(f"{session.spec.name} is not one network that finds a subject by itself.")
    source = session.paths[0]
    target = home() / f"{source.stem}-int8.onnx"
    if target.exists():
        raise OptionError(f"{visible(str(target))} exists. Remove it to make it anew.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # beside its place: on the same disk it is moved as a whole
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=target.parent) as folder:
        copy = Path(folder) / target.name
        loss = make_int8(session, images, copy)
        show(_report(loss, source, copy))
        if not (loss.is_small or options.anyway):
            say(
                f"error: It loses too much and is not kept. Allowed is an IoU of {LEAST_IOU} or "
                f"more with each mask, and {MOST_LEVELS:.0f} levels. Use more pictures, or "
                "--input-size in place of it; --anyway keeps it."
            )
            return 1
        replace(copy, target)
    show(f"Kept as {target}: use it with -m {own_row(session.recipe).name} --model-path "
         f"{target.name}")  # fmt: skip
    return 0


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, evenly picked where there are many.

    Raises
    ------
    ImageError
        If it is no folder.
    """
    if not folder.is_dir():
        raise ImageError(f"{visible(str(folder))} is not a folder; --pictures takes one.")
    suffixes = readable_suffixes()
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return found[:: -(-len(found) // _MOST_PICTURES) or 1]


def _report(loss: Loss, source: Path, copy: Path) -> str:
    rows = {
        "seconds of a run": (loss.seconds, loss.copy_seconds),
        "MB": (source.stat().st_size / 1e6, copy.stat().st_size / 1e6),
    }
    lines = [f"{'':<18}{'as it is':>9}{'int8':>9}{'ratio':>7}"]
    for name, (one, other) in rows.items():
        lines.append(f"{name:<18}{one:>9.2f}{other:>9.2f}{other / one:>7.2f}")
    count = len(loss.ious)
    lines += [
        f"On {count} {'picture' if count == 1 else 'pictures'} that it was not made with:",
        f"  IoU with the mask of the file: {sum(loss.ious) / count:.3f} in the mean, "
        f"{min(loss.ious):.3f} at worst",
        f"  alpha differs by {loss.levels:.2f} of 255 levels in the mean",
    ]
    return "\n".join(lines)
