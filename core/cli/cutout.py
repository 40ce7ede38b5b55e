"""The command cutout: which pictures, into which files."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..batch import in_order, remove_batch
from ..errors import OptionError
from ..imaging.metadata import read_exif
from ..imaging.picture import read_file
from ..text import visible
from . import asked, clip
from .inputs import check_ending, check_file_name, check_folder_name, names
from .jobs import STREAM, Found, Job, ends_as_folder, find_jobs, is_folder, one_job
from .needed import Models, open_models, wanted
from .one_picture import Done, attempt, cut_out, report
from .output import TargetError, check_place, remove_leftovers, write
from .terminal import counted, hush, remark, say

NOTHING_FOUND = 3
"""The exit code where there is no picture, which is neither done nor failed."""

SECONDS_BETWEEN_LOOKS = 1.0
"""At a folder that is watched."""


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
    if not many and (found := clip.find(inputs[0], output, is_place)):
        return clip.run(found, output, is_place, options)
    if options.steady and not many:
        raise OptionError("--steady is for frames: name a video, or a folder of frames.")
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
        report(Done(Job(inputs[0], output), is_kept=True), options)
        remark("Nothing is left to do.")
        return 0
    return _run_one(job, suffix, options)


def _run_one(job: Job, suffix: str, options: argparse.Namespace) -> int:
    if job.target != STREAM:
        check_place(Path(job.target).parent)
    models = open_models(options)
    if options.json:
        done = attempt(job, models, options)
        report(done, options)
        return 1 if done.error else 0
    done = cut_out(job, suffix, models, options)
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
        report(Done(job, is_kept=True), options)
    for source, sentence in found.failures:
        report(Done(Job(source, ""), error=sentence), options)
    if not (found.jobs or options.watch):  # then no model is opened
        if found.failures:
            return 1
        if not found.kept:
            say(f"There are no pictures in {visible(', '.join(inputs))}.")
        elif not found.outdated:
            remark("Nothing is left to do.")
        return 0 if found.kept else NOTHING_FOUND
    check_place(target)
    models = open_models(options)
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
    models: Models,
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


def _cut_out_many(found: Found, models: Models, options: argparse.Namespace) -> int:
    failed = len(found.failures)
    cut = warned = 0
    stopped = threading.Event()

    def work(job: Job) -> Done | None:
        if stopped.is_set():
            return None
        done = attempt(job, models, options, found)
        if not done.error:
            found.add(job.target)
        if done.is_last:
            stopped.set()
        return done

    open_jobs = (job for job in found.jobs if not stopped.is_set())
    if options.steady:
        ends = _steady_ends(list(found.jobs), found, models, options)
    elif options.jobs in (None, 1):  # needs no threads, and ends at once when it is cancelled
        ends = map(work, open_jobs)
    else:
        ends = in_order(open_jobs, work, options.jobs)
    with counted(filter(None, ends), "picture", len(found.jobs)) as results:
        for done in results:
            cut, failed = cut + (not done.error), failed + bool(done.error)
            warned += bool(done.warnings)
            report(done, options)
    remark(_summary(cut, warned, failed, models))
    left = len(found.jobs) + len(found.failures) - cut - failed
    if left:
        say(f"error: The run was stopped; {'1 is' if left == 1 else f'{left} are'} left to do.")
    return 1 if failed else 0


def _summary(cut: int, warned: int, failed: int, models: Models) -> str:
    warnings = f", {warned} with warnings" if warned else ""
    return f"{cut} cut out on {models.provider}{warnings}, {failed} failed."


def _steady_ends(
    jobs: list[Job], found: Found, models: Models, options: argparse.Namespace
) -> Iterator[Done]:
    """Cut out the frames of a folder, in the order of their names, as those of a clip."""
    results = remove_batch(
        (job.source for job in jobs),
        workers=options.jobs,
        on_error="yield",
        steady=True,
        **wanted(models, options),
    )
    began = time.perf_counter()
    for job, result in zip(jobs, results, strict=True):
        done = Done(job, model=models.name, device=models.provider)
        try:
            if isinstance(result, Exception):
                raise result
            found.check(job)
            finished = asked.finished(result, options)
            if options.keep_metadata:
                finished.info["exif"] = read_exif(read_file(job.source).data)
            suffix = Path(job.target).suffix
            write(finished, job, suffix, quality=options.quality, overwrite=options.overwrite)
            found.add(job.target)
        except Exception as error:
            done.error = str(error) or type(error).__name__
            done.is_last = isinstance(error, TargetError)
        ended = time.perf_counter()
        done.milliseconds, began = round(1000 * (ended - began)), ended
        yield done
        if done.is_last:
            return
