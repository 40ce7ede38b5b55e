"""The command batch: many pictures, with a record of what was done."""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from ..batch import default_workers, in_order
from ..errors import OptionError
from ..text import visible
from . import asked, cluster, remote
from .inputs import check_ending
from .jobs import Found, Job, left_out_sentences
from .manifest import DONE, FAILED, KEPT, PLANNED, Manifest
from .needed import Models, open_models
from .one_picture import Done, attempt, report
from .output import check_place, remove_leftovers
from .sources import Entry, Sources, find_sources, name_in_target
from .terminal import counted, hush, named, remark, say

NOTHING_FOUND = 3
NAME = "manifest.jsonl"

SECONDS_BETWEEN_LOOKS = 1.0
"""At a source that is watched."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command has besides the options of ``cutout``."""
    command.set_defaults(run=run)
    record = command.add_argument_group("record")
    record.add_argument("--manifest", metavar="FILE", help=f"where it is kept (TARGET/{NAME})")
    record.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    cluster.add_arguments(command)


def run(options: argparse.Namespace) -> int:
    """Cut out the pictures of a source that are not done."""
    hush(options.quiet)
    source, target = _names(options)
    _check(options)
    suffix = options.suffix or ".png"
    options.suffix = suffix = suffix if suffix.startswith(".") else f".{suffix}"
    check_ending(options.name_suffix)
    asked.settle(options)
    asked.check_output(options, suffix)
    place = options.manifest or os.path.join(target, NAME)  # noqa: PTH118 an address is no path
    if remote.is_address(target):
        remote.check(target)
        if remote.is_address(place):
            raise OptionError(
                "The manifest grows line by line, which an address does not allow; name a file "
                "here with --manifest."
            )
    else:
        check_place(Path(target))
    found = find_sources(source, target, not options.no_recursive)
    with Manifest(Path(remote.local(place)), options.overwrite) as manifest:
        return _Batch(source, target, manifest, options).run(found)


def _names(options: argparse.Namespace) -> tuple[str, str]:
    names = [*options.paths, *([options.output] if options.output is not None else [])]
    if len(names) != 2 or not all(names):
        raise OptionError(
            "Name a source and a target, as in `rembg-sessions batch photos/ cutouts/`."
        )
    source, target = map(remote.local, names)
    return source, target


def _check(options: argparse.Namespace) -> None:
    if options.trimap is not None:
        raise OptionError("--trimap belongs to one picture; use `rembg-sessions cutout`.")
    if options.steady:
        raise OptionError("--steady is for frames in their order; use `rembg-sessions cutout`.")
    if options.redo_if_newer:
        raise OptionError("--redo-if-newer is for `rembg-sessions cutout`; batch has its record.")
    if options.delete_input:
        raise OptionError("--delete-input is for `rembg-sessions p`, rembg's command for folders.")
    cluster.check(options)


class _Batch:
    """A run: its source and target, its manifest, and its models once they are needed."""

    def __init__(self, source: str, target: str, manifest: Manifest, options: argparse.Namespace):
        self.source, self.target, self.manifest = source, target, manifest
        self.options, self.jobs = options, options.jobs or default_workers()
        self.ending = f"{options.name_suffix}{options.suffix}"
        self.models: Models | None = None

    def run(self, found: Sources) -> int:
        """Do what is left, and with ``--watch`` what comes; returns the exit code."""
        for sentence in left_out_sentences(found.left_out):
            remark(sentence)
        for source, sentence in found.failures:
            say(named(source, sentence))
        left, before = self._left(found.entries, self.options.retry_failed)
        if not (left or found.entries or self.options.watch):
            say(f"There are no pictures in {visible(self.source)}.")
            return NOTHING_FOUND
        failed = self._cut_out(left)
        if self.options.watch:
            self._watch(found.entries)
        return 1 if failed or before or found.failures else 0

    def _left(self, entries: dict[str, Entry], again: bool) -> tuple[dict[str, Entry], int]:
        """Return what is to be done, and how many failed before and are not to be tried again.

        What is new is planned.
        """
        manifest = self.manifest
        known = {name for name in entries if manifest.state(name)}
        manifest.plan({name: name_in_target(name) for name in entries}, self.ending)
        left: dict[str, Entry] = {}
        done = failed = 0
        for name, entry in entries.items():
            state = manifest.state(name)
            if state == FAILED and not again:
                failed += 1
            elif state in (DONE, KEPT) and self._is_there(name):
                done += 1
            elif state == PLANNED and not self.options.overwrite and self._is_there(name):
                # of a run that was killed before it wrote its line, or of another command
                manifest.note(name, DONE if name in known else KEPT, milliseconds=None, error=None)
                done += 1
            else:
                left[name] = entry
        if done:
            remark(f"{done} {'is' if done == 1 else 'are'} done already.")
        if failed:
            remark(f"{failed} failed before; add --retry-failed to try again.")
        return left, failed

    def _place(self, name: str) -> str:
        output = self.manifest.output(name)
        if remote.is_address(self.target):
            return f"{self.target.rstrip('/')}/{output}"
        return str(Path(self.target, output))

    def _is_there(self, name: str) -> bool:
        place = self._place(name)
        return remote.exists(place) if remote.is_address(place) else os.path.lexists(place)

    def _cut_out(self, left: dict[str, Entry]) -> int:
        """Cut pictures out, noting each; returns how many failed."""
        if not left:
            return 0
        if not remote.is_address(self.target):
            remove_leftovers({Path(self._place(name)).parent for name in left})
        inputs = Found()  # which no output may replace
        for entry in left.values():
            if not remote.is_address(entry.source):
                inputs.add(entry.source)
        within = "" if remote.is_address(self.target) else self.target
        jobs = {name: Job(entry.source, self._place(name), within) for name, entry in left.items()}
        if self.options.engine == cluster.RAY:
            places = [self.source, self.target]
            if within:
                Path(within).mkdir(parents=True, exist_ok=True)
            if within and self.manifest.path.is_relative_to(within):
                places.append(str(self.manifest.path))
            ends = cluster.ends(jobs, inputs, places, self.options)
        else:
            ends = self._ends(jobs, inputs)
        began, cut, failed, devices = time.perf_counter(), 0, 0, set[str]()
        with closing(ends), counted(ends, "picture", len(left)) as counting:
            for name, done in counting:
                self._note(name, done)
                cut, failed = cut + (not done.error), failed + bool(done.error)
                devices.update(filter(None, [done.device]))
                report(done, self.options)
        seconds = time.perf_counter() - began
        where = f" on {', '.join(sorted(devices))}" if devices else ""
        remark(
            f"{cut} cut out{where}, {failed} failed, "
            f"{(cut + failed) / seconds:.1f} pictures a second. {visible(str(self.manifest.path))} "
            "says more."
        )
        if len(left) > cut + failed:
            say(f"error: The run was stopped; {len(left) - cut - failed} are left to do.")
        return failed

    def _ends(self, jobs: dict[str, Job], inputs: Found) -> Generator[tuple[str, Done], None, None]:
        """Cut out in threads of this process; yields how each picture ended."""
        models = self.models = self.models or open_models(self.options)
        stopped = threading.Event()

        def work(item: tuple[str, Job]) -> tuple[str, Done] | None:
            if stopped.is_set():
                return None
            name, job = item
            done = attempt(job, models, self.options, inputs)
            if done.is_last:
                stopped.set()
            return name, done

        items = (item for item in jobs.items() if not stopped.is_set())
        yield from filter(None, in_order(items, work, self.jobs))

    def _note(self, name: str, done: Done) -> None:
        if done.is_last:  # not the picture's fault: it stays planned
            return
        self.manifest.note(
            name,
            FAILED if done.error else DONE,
            model=done.model or None,
            device=done.device or None,
            milliseconds=done.milliseconds,
            warnings=done.warnings,
            error=done.error or None,
        )

    def _watch(self, known: dict[str, Entry]) -> None:
        """Cut out what comes, once two looks find it the same, until ``stop.txt`` is there."""
        stop = None if remote.is_address(self.source) else Path(self.source, "stop.txt")
        remark(
            "Watching. Ctrl-C ends that" + (f", or a file {visible(str(stop))}." if stop else ".")
        )
        tried = {name: entry.stamp for name, entry in known.items()}
        last: dict[str, object] = {}
        while not (stop and stop.exists()):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            now = find_sources(self.source, self.target, not self.options.no_recursive).entries
            whole = {
                name: entry
                for name, entry in now.items()
                if last.get(name) == entry.stamp != tried.get(name, self)
            }
            last = {name: entry.stamp for name, entry in now.items()}
            if whole:
                tried.update({name: entry.stamp for name, entry in whole.items()})
                self._cut_out(self._left(whole, again=True)[0])
        if stop:
            stop.unlink(missing_ok=True)
