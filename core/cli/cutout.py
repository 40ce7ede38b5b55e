"""The command cutout: which pictures, into which files."""

from __future__ import annotations

import argparse
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import ImageError, OptionError
from ..imaging.composite import parse_colour
from ..imaging.picture import open_picture
from ..matting.methods import check_method
from ..pipeline import choose_method, remove
from ..registry.lookup import get_model
from ..registry.spec import Output
from ..session.factory import get_session
from ..session.vitmatte import get_vitmatte
from .terminal import download_bar, say

STREAM = "-"
# Formats that keep an alpha channel; the others need --bgcolor or --only-mask.
_WITH_ALPHA = (".png", ".webp", ".tif", ".tiff", ".avif", ".jp2", ".tga")


def run(options: argparse.Namespace) -> int:
    """Cut out a picture, or every picture of a folder."""
    if not options.suffix.startswith("."):
        options.suffix = f".{options.suffix}"
    if options.bgcolor is not None:
        options.bgcolor = parse_colour(options.bgcolor)  # refuse it before loading a model
    jobs = _jobs(options)
    if not jobs:
        say("Nothing to do.")
        return 0
    for _, target in jobs:
        _check_format(target, options)
    many = options.input != STREAM and Path(options.input).is_dir()
    if many and options.trimap is not None:
        raise OptionError("--trimap belongs to one picture; name a file as the input, no folder.")
    options.vitmatte = options.vitmatte or options.vitmatte_model is not None
    session, options.vitmatte_model = _open_models(options)
    failed = 0
    from tqdm import tqdm

    for source, target in tqdm(jobs, unit="picture", disable=not many):
        try:
            _cut_out_one(source, target, session, options)
        except Exception as error:  # one bad file, whatever is wrong with it, stops no folder
            if not many:
                raise
            failed += 1
            tqdm.write(f"{source}: {error}", file=sys.stderr)
    if many:
        say(f"{len(jobs) - failed} cut out on {session.provider}, {failed} failed.")
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
    with download_bar() as on_progress:
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
        say(f"{len(existing)} outputs exist and are kept; add --overwrite to replace them.")
    return [(str(path), str(output)) for output, path in jobs.items()]


def _check_format(target: str, options: argparse.Namespace) -> None:
    suffix = (options.suffix if target == STREAM else Path(target).suffix).lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE or suffix == ".ico":
        raise OptionError(f"{suffix or target!r} is not an image format; use for example .png.")
    opaque = options.only_mask or (options.bgcolor is not None and options.bgcolor[3] == 255)
    if suffix not in _WITH_ALPHA and not opaque:
        raise OptionError(
            f"{suffix} keeps no transparency. Write .png or .webp, or give an opaque --bgcolor."
        )


def _cut_out_one(source: str, target: str, session: Any, options: argparse.Namespace) -> None:
    method = _method(options) or None
    edge_colours = options.edge_colours
    if edge_colours is None and options.putalpha:
        edge_colours = "original" if method else None
    elif edge_colours is None and (options.decontaminate or method != "pymatting"):
        edge_colours = "estimated"  # pymatting brings its own
    picture, _ = open_picture(sys.stdin.buffer.read() if source == STREAM else source)
    result = remove(
        picture,
        session=session,
        alpha_matting_foreground_threshold=options.alpha_matting_foreground_threshold,
        alpha_matting_background_threshold=options.alpha_matting_background_threshold,
        alpha_matting_erode_size=options.alpha_matting_erode_size,
        alpha_matting_scale_erode=options.alpha_matting_scale_erode,
        matting_method=method,
        trimap=options.trimap,
        vitmatte_model=options.vitmatte_model,
        only_mask=options.only_mask,
        post_process_mask=options.post_process_mask,
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
