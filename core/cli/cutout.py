"""The command cutout: which pictures, into which files."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..batch import in_order
from ..errors import OptionError
from ..imaging.metadata import read_exif
from ..imaging.picture import open_picture, read_file
from ..matting.methods import check_method
from ..pipeline import remove
from ..registry.lookup import get_model
from ..registry.spec import Output
from ..runtime.library import hush_onnxruntime
from ..session.factory import get_session
from ..session.vitmatte import get_vitmatte
from ..text import visible
from . import asked
from .inputs import check_ending, check_file_name, check_folder_name, names
from .jobs import STREAM, Found, Job, ends_as_folder, find_jobs, is_folder, one_job
from .output import TargetError, check_place, remove_leftovers, write
from .terminal import about, counted, downloads, hush, named, remark, say, show

NOTHING_FOUND = 3
"""The exit code where there is no picture, which is neither done nor failed."""

SECONDS_BETWEEN_LOOKS = 1.0
"""At a folder that is watched."""

_MOST_MEBIBYTES = 2048
"""Of standard input, which may have no end."""


@dataclass(slots=True)
class _Models:
    """What the options need, opened: the session, and the model of ViTMatte; None for neither."""

    session: Any
    refiner: Any
    name: str

    @property
    def provider(self) -> str:
        """What the first of them runs on."""
        return next((each.provider for each in (self.session, self.refiner) if each), "CPU")


@dataclass(slots=True)
class _Done:
    """How a picture's job ended."""

    job: Job
    milliseconds: int = 0
    warnings: list[str] = field(default_factory=list[str])
    error: str = ""
    is_last: bool = False
    """Whether the others would fail like this one."""
    is_kept: bool = False
    """Whether the output was there already, and stays."""


def run(options: argparse.Namespace) -> int:
    """Cut out a picture, several, or every picture of a folder."""
    hush(options.quiet)
    if options.suffix is not None and not options.suffix.startswith("."):
        options.suffix = f".{options.suffix}"
    check_ending(options.name_suffix)
    inputs, output = names(options)
    many = len(inputs) > 1 or is_folder(inputs[0])
    if many and options.trimap is not None:
        raise OptionError("--trimap belongs to one picture; name one file as the input.")
    asked.settle(options)
    if options.delete_input and options.command != "p":  # -d may be a slip of the pen
        raise OptionError("--delete-input is for `rembg-sessions p`, rembg's command for folders.")
    if options.json and output == STREAM:
        raise OptionError("Standard output takes the picture or --json, not both; name a file.")
    is_place = many or output == STREAM or is_folder(output) or ends_as_folder(output)
    if many:
        check_folder_name(inputs, output)
    elif not is_place:
        check_file_name(output)
    suffix = (options.suffix or ".png") if is_place else asked.file_suffix(output, options)
    asked.check_output(options, suffix)
    ending = f"{options.name_suffix}{suffix}"
    if many:
        return _run_many(inputs, Path(output), ending, options)
    for name in ("watch", "no_recursive", "delete_input"):
        if getattr(options, name):
            raise OptionError(f"--{name.replace('_', '-')} needs a folder as the input.")
    redo, overwrite = options.redo_if_newer, options.overwrite
    job = one_job(inputs[0], output, ending, overwrite=overwrite, redo=redo)
    if job is None:
        _report(_Done(Job(inputs[0], output), is_kept=True), None, options)
        remark("Nothing is left to do.")
        return 0
    return _run_one(job, suffix, options)


def _run_one(job: Job, suffix: str, options: argparse.Namespace) -> int:
    if job.target != STREAM:
        check_place(Path(job.target).parent)
    models = _open_models(options)
    if options.json:
        done = _try(job, models, options)
        _report(done, models, options)
        return 1 if done.error else 0
    done = _cut_out(job, suffix, models, options)
    if job.target != STREAM:
        remark(
            f"{visible(job.target)}: {models.name} on {models.provider}, {done.milliseconds} ms."
        )
    return 0


def _run_many(inputs: list[str], target: Path, ending: str, options: argparse.Namespace) -> int:
    found = _find(inputs, target, ending, options)
    remove_leftovers(found.folders)
    for sentence in found.remarks():
        remark(sentence)
    for job in found.kept if options.json else ():
        _report(_Done(job, is_kept=True), None, options)
    for source, sentence in found.failures:
        _report(_Done(Job(source, ""), error=sentence), None, options)
    if not (found.jobs or options.watch):  # then no model is opened
        if found.failures:
            return 1
        if not found.kept:
            say(f"There are no pictures in {visible(', '.join(inputs))}.")
        elif not found.outdated:
            remark("Nothing is left to do.")
        return 0 if found.kept else NOTHING_FOUND
    check_place(target)
    models = _open_models(options)
    code = _cut_out_many(found, models, options) if found.jobs else 0
    if options.watch:
        return _watch(
            inputs, found.jobs, lambda: _find(inputs, target, ending, options), models, options
        )
    return code


def _watch(
    inputs: list[str],
    jobs: list[Job],
    find: Callable[[], Found],
    models: _Models,
    options: argparse.Namespace,
) -> int:
    """Cut out what comes into folders, until there is a file ``stop.txt``.

    A picture is whole when two looks find the same; one that fails is tried again when it changes.
    """
    stops = [Path(name, "stop.txt") for name in inputs]
    remark(f"Watching. Ctrl-C ends that, or a file {visible(str(stops[0]))}.")
    tried, last = _stamps(jobs), dict[str, tuple[int, int]]()
    while not any(stop.exists() for stop in stops):
        time.sleep(SECONDS_BETWEEN_LOOKS)
        found = find()
        found.failures.clear()  # said before
        now = _stamps(found.jobs)
        found.jobs = [
            job
            for job in found.jobs
            if now.get(job.source) == last.get(job.source) != tried.get(job.source)
        ]
        last = now
        if found.jobs:
            tried.update(_stamps(found.jobs))
            _cut_out_many(found, models, options)
    for stop in stops:
        stop.unlink(missing_ok=True)
    return 0


def _stamps(jobs: list[Job]) -> dict[str, tuple[int, int]]:
    """Return what tells whether the pictures of jobs have changed."""
    found: dict[str, tuple[int, int]] = {}
    for job in jobs:
        with contextlib.suppress(OSError):
            facts = Path(job.source).stat()
            found[job.source] = (facts.st_mtime_ns, facts.st_size)
    return found


def _find(inputs: list[str], target: Path, ending: str, options: argparse.Namespace) -> Found:
    return find_jobs(
        inputs,
        target,
        ending,
        overwrite=options.overwrite,
        redo=options.redo_if_newer,
        recursive=not options.no_recursive,
    )


def _cut_out_many(found: Found, models: _Models, options: argparse.Namespace) -> int:
    failed = len(found.failures)
    cut = warned = 0
    stopped = threading.Event()

    def work(job: Job) -> _Done | None:
        if stopped.is_set():
            return None
        done = _try(job, models, options, found)
        if not done.error:
            found.add(job.target)
        if done.is_last:
            stopped.set()
        return done

    open_jobs = (job for job in found.jobs if not stopped.is_set())
    # one at a time needs no threads, and ends at once when it is cancelled
    ends = map(work, open_jobs) if options.jobs == 1 else in_order(open_jobs, work, options.jobs)
    with counted(filter(None, ends), len(found.jobs)) as results:
        for done in results:
            cut, failed = cut + (not done.error), failed + bool(done.error)
            warned += bool(done.warnings)
            _report(done, models, options)
    remark(_summary(cut, warned, failed, models))
    left = len(found.jobs) + len(found.failures) - cut - failed
    if left:
        say(f"error: The run was stopped; {'1 is' if left == 1 else f'{left} are'} left to do.")
    return 1 if failed else 0


def _summary(cut: int, warned: int, failed: int, models: _Models) -> str:
    warnings = f", {warned} with warnings" if warned else ""
    return f"{cut} cut out on {models.provider}{warnings}, {failed} failed."


def _report(done: _Done, models: _Models | None, options: argparse.Namespace) -> None:
    """Say what is wrong with a picture, and with ``--json`` how its job ended."""
    if done.error:
        say(named(done.job.source, done.error))
    if options.json:
        line = {
            "input": done.job.source,
            "output": None if done.error else done.job.target,
            "model": models and models.name,
            "device": models and models.provider,
            "milliseconds": done.milliseconds,
            "warnings": done.warnings,
            "error": done.error or None,
            "kept": done.is_kept,
        }
        show(json.dumps(line))


def _open_models(options: argparse.Namespace) -> _Models:
    settings = asked.runtime_options(options)
    method = asked.method_of(options)
    session = refiner = None
    takes_model = bool(method) and check_method(method).takes_model
    if takes_model or (
        options.trimap is None and get_model(options.model).output is not Output.BACKDROP
    ):
        hush_onnxruntime()
    if options.trimap is None:
        with downloads(options.model) as on_progress:
            session = get_session(
                options.model,
                **asked.model_options(options),
                on_progress=on_progress,
                **settings,
            )
    if takes_model:
        with downloads("vitmatte") as on_progress:
            refiner = get_vitmatte(options.vitmatte_model, on_progress=on_progress, **settings)
    for model in (session, refiner):
        if model is not None:
            model.open()
    return _Models(session, refiner, options.model if session is not None else method)


def _try(
    job: Job, models: _Models, options: argparse.Namespace, found: Found | None = None
) -> _Done:
    """Cut a picture out; whatever is wrong with it stops no other."""
    done = _Done(job)
    with about(job.source) as warnings:
        try:
            if found is not None:
                found.check(job)
            done = _cut_out(job, Path(job.target).suffix, models, options)
        except Exception as error:
            done.error = str(error) or type(error).__name__
            done.is_last = isinstance(error, TargetError)
    done.warnings = warnings
    return done


def _cut_out(job: Job, suffix: str, models: _Models, options: argparse.Namespace) -> _Done:
    began = time.perf_counter()
    if job.source == STREAM:
        file = data = _read_stream()
    else:
        file = read_file(job.source)
        data = file.data
    picture, _ = open_picture(file)
    wanted = asked.picture_options(options)
    wanted.update(session=models.session, vitmatte_model=models.refiner)
    result = remove(picture, **wanted)
    if options.keep_metadata:
        result.info["exif"] = read_exif(data)
    write(result, job, suffix, quality=options.quality, overwrite=options.overwrite)
    if options.delete_input:
        _delete(Path(job.source))
    return _Done(job, round(1000 * (time.perf_counter() - began)))


def _delete(source: Path) -> None:
    try:
        source.unlink()
    except OSError as error:
        raise OptionError(
            f"{visible(str(source))} was cut out, but cannot be deleted: {error.strerror or error}."
        ) from error


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
