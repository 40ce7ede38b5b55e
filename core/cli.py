"""The command line: rembg-sessions cutout, models, download, doctor."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .composite import parse_colour
from .errors import ImageError, OptionError, RembgSessionsError
from .graph import OPTIMIZATION_LEVELS
from .matting import DEFAULT_METHOD, METHODS, check_method
from .models import MODELS
from .picture import open_picture
from .pipeline import EDGE_COLOURS, choose_method, remove
from .providers import AUTO, CHOICES
from .registry import get_model
from .session import CLOTH_CATEGORIES
from .sessions import DEFAULT_MODEL, get_session, sessions
from .spec import ModelSpec, Output
from .vitmatte import VARIANTS, get_vitmatte
from .weights import find

STREAM = "-"
# Formats that keep an alpha channel; the others need --bgcolor or --only-mask.
_WITH_ALPHA = (".png", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".tga")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 if something failed, 2 for bad usage."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except RembgSessionsError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("Cancelled.")
        return 130
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # whoever read our output has left; keep Python from complaining about it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            _say(f"error: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rembg-sessions", description="Remove the background of pictures."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    cutout = commands.add_parser("cutout", help="cut out a picture, or every picture of a folder")
    cutout.set_defaults(run=_cutout)
    cutout.add_argument("input", help="a file, a folder, or - for standard input")
    cutout.add_argument(
        "output", help="a file (its suffix says the format), a folder, or - for standard output"
    )
    cutout.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    cutout.add_argument(
        "--suffix",
        default=".png",
        help="format of the outputs of a folder or of standard output (default: .png)",
    )

    model = cutout.add_argument_group("model")
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
    model.add_argument("--sam-prompt", help="points and rectangles as JSON, for sam models")
    model.add_argument("--cloth-category", choices=CLOTH_CATEGORIES, help="for u2net_cloth_seg")

    plain = cutout.add_argument_group("plain backdrop, for the model backdrop")
    plain.add_argument(
        "--tolerance", type=float, help="levels from the backdrop's colour, 0 to 255 (measured)"
    )
    plain.add_argument(
        "--soft-edge", type=float, help="pixels inside the outline where opacity starts (measured)"
    )
    plain.add_argument("--keep-shadow", action="store_true", help="as transparent black")
    plain.add_argument("--no-holes", action="store_true", help="fill enclosed backdrop")
    plain.add_argument("--strict", action="store_true", help="fail without a plain backdrop")

    mask = cutout.add_argument_group("mask and edges")
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

    hair = cutout.add_argument_group("alpha matting, for hair and fur")
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

    models = commands.add_parser("models", help="list the models")
    models.set_defaults(run=_models)

    download = commands.add_parser("download", help="download models")
    download.set_defaults(run=_download)
    download.add_argument("names", nargs="+", metavar="NAME", help="see `models`")

    doctor = commands.add_parser("doctor", help="examine the installation")
    doctor.set_defaults(run=_doctor)
    return parser


# -- cutout ------------------------------------------------------------------------------


def _cutout(options: argparse.Namespace) -> int:
    if not options.suffix.startswith("."):
        options.suffix = f".{options.suffix}"
    if options.bgcolor is not None:
        options.bgcolor = parse_colour(options.bgcolor)  # refuse it before loading a model
    jobs = _jobs(options)
    if not jobs:
        _say("Nothing to do.")
        return 0
    for _, target in jobs:
        _check_format(target, options)
    many = options.input != STREAM and Path(options.input).is_dir()
    if many and options.trimap is not None:
        raise OptionError("--trimap belongs to one picture; name a file as the input, no folder.")
    options.vitmatte = options.vitmatte or options.vitmatte_model is not None
    session, options.vitmatte_model = _open_models(options)
    failed = 0
    from huggingface_hub.utils import tqdm

    for source, target in tqdm(jobs, unit="picture", disable=not many):
        try:
            _cut_out_one(source, target, session, options)
        except Exception as error:  # one bad file, whatever is wrong with it, stops no folder
            if not many:
                raise
            failed += 1
            tqdm.write(f"{source}: {error}", file=sys.stderr)
    if many:
        _say(f"{len(jobs) - failed} cut out on {session.provider}, {failed} failed.")
    return 1 if failed else 0


def _open_models(options: argparse.Namespace) -> tuple[Any, Any]:
    """Open what the options need: the session, and the model of ViTMatte; None for neither."""
    settings = {
        "providers": options.providers,
        "cpu_fallback": not options.no_cpu_fallback,
        "device_id": options.device_id,
        "threads": options.threads,
        "optimization": options.optimization,
    }
    method = _method(options)
    session = refiner = None
    with _download_bar() as on_progress:
        if options.trimap is None:
            session = get_session(
                options.model,
                model_path=options.model_path,
                on_progress=on_progress,
                **settings,
                **_backdrop_options(options),
            )
        if method and check_method(method).takes_model:
            refiner = get_vitmatte(options.vitmatte_model, on_progress=on_progress, **settings)
    for model in (session, refiner):
        if model is not None:
            model.open()
    return session, refiner


def _backdrop_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options given of the model for plain backdrops."""
    given = {
        "tolerance": options.tolerance,
        "soft_edge": options.soft_edge,
        "keep_shadow": options.keep_shadow or None,
        "holes": False if options.no_holes else None,
        "strict": options.strict or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if given and get_model(options.model).output is not Output.BACKDROP:
        names = ", ".join("no-holes" if n == "holes" else n.replace("_", "-") for n in given)
        raise OptionError(f"Only the model backdrop takes {names}; add `-m backdrop`.")
    return given


def _method(options: argparse.Namespace) -> str:
    return choose_method(
        options.alpha_matting, options.vitmatte, options.matting_method, options.trimap
    )


def _jobs(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Pair every input with its output; inputs whose output exists are left out and named."""
    if options.input == STREAM or not Path(options.input).is_dir():
        if options.input != STREAM and not Path(options.input).is_file():
            raise ImageError(f"There is no file or folder {options.input}.")
        if options.output != STREAM and Path(options.output).is_dir():
            if options.input == STREAM:
                raise OptionError(f"{options.output} is a folder; name a file for the output.")
            name = Path(options.input).with_suffix(options.suffix).name
            options.output = str(Path(options.output) / name)
        if options.output != STREAM and Path(options.output).exists() and not options.overwrite:
            raise OptionError(f"{options.output} exists; add --overwrite to replace it.")
        return [(options.input, options.output)]

    from PIL import Image

    if options.output == STREAM or Path(options.output).is_file():
        raise OptionError(f"The input is a folder; {options.output} must be a folder, too.")
    suffixes = Image.registered_extensions()
    source, target = Path(options.input), Path(options.output)
    if target.resolve() == source.resolve():
        raise OptionError("Input and output are the same folder; name another for the cut-outs.")
    jobs: dict[Path, Path] = {}
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if path.resolve().is_relative_to(target.resolve()):
            continue  # an output folder inside the input folder
        output = target / path.relative_to(source).with_suffix(options.suffix)
        if output in jobs:  # a.jpg and a.png: the second gets its full name
            output = output.with_name(f"{path.name}{options.suffix}")
        jobs[output] = path
    existing = [] if options.overwrite else [output for output in jobs if output.exists()]
    for output in existing:
        del jobs[output]
    if existing:
        _say(f"{len(existing)} outputs exist and are kept; add --overwrite to replace them.")
    return [(str(path), str(output)) for output, path in jobs.items()]


def _check_format(target: str, options: argparse.Namespace) -> None:
    from PIL import Image

    suffix = (options.suffix if target == STREAM else Path(target).suffix).lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE or suffix == ".ico":
        raise OptionError(f"{suffix or target!r} is no picture format; use for example .png.")
    opaque = options.only_mask or (options.bgcolor is not None and options.bgcolor[3] == 255)
    if suffix not in _WITH_ALPHA and not opaque:
        raise OptionError(
            f"{suffix} keeps no transparency. Write .png or .webp, or give an opaque --bgcolor."
        )


def _cut_out_one(source: str, target: str, session: Any, options: argparse.Namespace) -> None:
    edge_colours = options.edge_colours
    if not (edge_colours or options.putalpha or options.decontaminate or _method(options)):
        edge_colours = "estimated"
    picture, _ = open_picture(sys.stdin.buffer.read() if source == STREAM else source)
    result = remove(
        picture,
        session=session,
        alpha_matting=options.alpha_matting,
        alpha_matting_foreground_threshold=options.alpha_matting_foreground_threshold,
        alpha_matting_background_threshold=options.alpha_matting_background_threshold,
        alpha_matting_erode_size=options.alpha_matting_erode_size,
        alpha_matting_scale_erode=options.alpha_matting_scale_erode,
        matting_method=options.matting_method,
        trimap=options.trimap,
        vitmatte=options.vitmatte,
        vitmatte_model=options.vitmatte_model,
        only_mask=options.only_mask,
        post_process_mask=options.post_process_mask,
        decontaminate=options.decontaminate,
        putalpha=options.putalpha,
        edge_colours=edge_colours,
        bgcolor=options.bgcolor,
        max_size=options.max_size,
        sam_prompt=options.sam_prompt,
        cloth_category=options.cloth_category,
    )
    _write(result, target, options.suffix)


def _write(picture: Any, target: str, suffix: str) -> None:
    """Write a picture; a file appears under its name only when it is complete."""
    from io import BytesIO

    from PIL import Image

    suffix = suffix if target == STREAM else Path(target).suffix
    kind = Image.registered_extensions()[suffix.lower()]
    if suffix.lower() not in _WITH_ALPHA and picture.mode == "RGBA":
        picture = picture.convert("RGB")
    buffer = BytesIO()
    try:
        picture.save(buffer, kind)
    except (OSError, ValueError) as error:  # WebP ends at 16383 pixels, for example
        raise ImageError(f"{target} cannot be written as {kind}: {error}.") from error
    if target == STREAM:
        sys.stdout.buffer.write(buffer.getvalue())
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(buffer.getvalue())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


# -- models, download, doctor ------------------------------------------------------------


def _models(options: argparse.Namespace) -> int:
    rows = [("NAME", "SIZE", "LICENCE", "INSTALLED", "GOOD FOR")]
    for spec in MODELS:
        installed = "" if spec.custom else ("yes" if find(spec) is not None else "no")
        rows.append((spec.name, _size(spec), _licence(spec), installed, spec.good_for))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        sys.stdout.write("  ".join([*cells, row[4]]).rstrip() + "\n")
    return 0


def _size(spec: ModelSpec) -> str:
    sizes = [file.size for file in spec.weights]
    return f"{sum(sizes) / 1e6:.0f} MB" if sizes and None not in sizes else ""


def _licence(spec: ModelSpec) -> str:
    return spec.licence.split(" (")[0].split(",")[0]


def _download(options: argparse.Namespace) -> int:
    specs = [get_model(name) for name in options.names]  # refuse a wrong name before the first
    failed = 0
    for spec in specs:
        try:
            if spec.custom:
                raise OptionError(f"{spec.name} has no file to download: you supply it.")
            with _download_bar() as on_progress:
                paths = sessions[spec.name].find_weights(on_progress=on_progress)
            for path in paths:
                sys.stdout.write(f"{path}\n")
        except RembgSessionsError as error:
            failed += 1
            _say(f"error: {error}")
    return 1 if failed else 0


def _doctor(options: argparse.Namespace) -> int:
    from .diagnosis import diagnose

    sys.stdout.write(diagnose() + "\n")
    return 0


@contextmanager
def _download_bar() -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (bytes done, bytes total) that draws a bar while a download runs."""
    from huggingface_hub.utils import tqdm

    bar: Any = None

    def on_progress(done: int, total: int) -> None:
        nonlocal bar
        if bar is None or bar.total != (total or None):  # the first, or the next file
            if bar is not None:
                bar.close()
            bar = tqdm(total=total or None, unit="B", unit_scale=True, desc="downloading")
        bar.update(done - bar.n)

    try:
        yield on_progress
    finally:
        if bar is not None:
            bar.close()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
