"""The command cutout: which pictures, into which files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import OptionError
from ..imaging.composite import parse_colour
from ..imaging.picture import open_picture
from ..matting.methods import check_method
from ..pipeline import choose_method, remove
from ..registry.lookup import get_model
from ..registry.spec import Output
from ..session.factory import get_session
from ..session.vitmatte import get_vitmatte
from ..text import visible
from .framing import framing
from .jobs import STREAM, Found, Job, folder_jobs, one_job
from .output import check_format, remove_leftovers, write
from .terminal import counted, download_bar, say

_MOST_MEBIBYTES = 2048
"""Of standard input, which may have no end."""


def run(options: argparse.Namespace) -> int:
    """Cut out a picture, or every picture of a folder."""
    for name in ("input", "output"):
        if not getattr(options, name):
            raise OptionError(f"The {name} is empty: is a variable in your command not set?")
    if not options.suffix.startswith("."):
        options.suffix = f".{options.suffix}"
    if options.bgcolor is not None:
        options.bgcolor = parse_colour(options.bgcolor)  # refuse it before loading a model
    options.framing = framing(options)  # the same
    opaque = options.only_mask or (options.bgcolor is not None and options.bgcolor[3] == 255)
    # Path's own raise where nobody may look
    many = options.input != STREAM and os.path.isdir(options.input)  # noqa: PTH112
    is_named = options.output != STREAM and not os.path.isdir(options.output)  # noqa: PTH112
    suffix = Path(options.output).suffix if is_named and not many else options.suffix
    if not many:
        if is_named:
            _check_name(options.output)
        job = one_job(options.input, options.output, options.suffix, options.overwrite)
        check_format(suffix, opaque)
        session, options.vitmatte_model = _open_models(options)
        _cut_out(job, session, options)
        return 0

    if options.trimap is not None:
        raise OptionError("--trimap belongs to one picture; name a file as the input, no folder.")
    if options.output == STREAM or os.path.isfile(options.output):  # noqa: PTH113
        shown = visible(options.output)
        raise OptionError(f"The input is a folder; {shown} must be a folder, too.")
    check_format(suffix, opaque)
    source, target = Path(options.input), Path(options.output)
    found = folder_jobs(source, target, options.suffix, options.overwrite)
    remove_leftovers(found.folders)
    for remark in (*found.remarks(), *found.failures):
        say(remark)
    if not found.jobs:  # then no model is opened
        if found.failures:
            return 1
        if not found.kept:
            say(f"There are no pictures in {visible(options.input)}.")
        elif not found.outdated:
            say("Nothing is left to do.")
        return 0 if found.kept else 1
    return _cut_out_many(found, options)


def _check_name(output: str) -> None:
    """Raise OptionError where an output is no file's name, or has no suffix."""
    shown = f"'{visible(output)}'"
    if output.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        raise OptionError(f"There is no folder {shown}; make it, or name a file.")
    if not Path(output).suffix:
        raise OptionError(
            f"The output {shown} is no folder that is there, and no name with a suffix that says "
            "its format, as cutout.png is."
        )


def _cut_out_many(found: Found, options: argparse.Namespace) -> int:
    session, options.vitmatte_model = _open_models(options)
    failed = len(found.failures)
    with counted(found.jobs, "picture") as jobs:
        for job in jobs:
            try:
                found.check(job)
                _cut_out(job, session, options)
                found.add(job.target)
            except Exception as error:  # one bad file, whatever is wrong with it, stops no folder
                failed += 1
                say(_sentence(job.source, str(error) or type(error).__name__))
    done = len(found.jobs) + len(found.failures) - failed
    say(f"{done} cut out on {session.provider}, {failed} failed.")
    return 1 if failed else 0


def _sentence(source: str, reason: str) -> str:
    """Return what is wrong with a picture, with its name, once."""
    shown = visible(source)
    return reason if shown in reason else f"{shown}: {reason}"


def _open_models(options: argparse.Namespace) -> tuple[Any, Any]:
    """Open what the options need: the session, and the model of ViTMatte; None for neither."""
    options.vitmatte = options.vitmatte or options.vitmatte_model is not None
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
                **_network_options(options),
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


def _network_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options given of how a network's file is opened."""
    return {
        "input_size": options.input_size,
        "prepare": False if options.no_prepare else None,
    }


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


def _cut_out(job: Job, session: Any, options: argparse.Namespace) -> None:
    method = _method(options) or None
    edge_colours = options.edge_colours
    if edge_colours is None and options.putalpha:
        edge_colours = "original" if method else None
    elif edge_colours is None and (options.decontaminate or method != "pymatting"):
        edge_colours = "estimated"  # pymatting brings its own
    picture, _ = open_picture(_read_stream() if job.source == STREAM else job.source)
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
        crop=options.framing or False,
    )
    write(result, job, options.suffix, quality=options.quality, overwrite=options.overwrite)


def _read_stream() -> bytes:
    if sys.stdin is None:
        raise OptionError("Standard input is closed; name a file instead of -.")
    chunks: list[bytes] = []
    while chunk := _read_chunk(sys.stdin.buffer):
        chunks.append(chunk)
        if len(chunks) > _MOST_MEBIBYTES:  # it may never end
            raise OptionError(
                f"Standard input brings more than {_MOST_MEBIBYTES} MiB; is it a picture? Name a "
                "file instead of -."
            )
    return b"".join(chunks)


def _read_chunk(stream: BinaryIO) -> bytes:
    try:
        return stream.read(1 << 20)
    except OSError as error:  # it is a folder, or a disk that fails
        raise OptionError(
            f"Standard input cannot be read ({error.strerror or error}); name a file instead of -."
        ) from error
