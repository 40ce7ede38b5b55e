"""One picture of a run: read, cut out, written, and what is said about it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import OptionError
from ..imaging.metadata import read_exif
from ..imaging.picture import FileContent, open_picture, read_file
from ..pipeline import remove
from ..text import visible
from . import asked, remote
from .jobs import STREAM, Found, Job
from .needed import Models, wanted
from .output import TargetError, write
from .terminal import about, named, say, show

_MOST_MEBIBYTES = 2048
"""Of standard input, which may have no end."""


@dataclass(slots=True)
class Done:
    """How a picture's job ended."""

    job: Job
    milliseconds: int | None = 0
    """None where the output was found, whole, of a worker that was lost."""
    model: str = ""
    device: str = ""
    warnings: list[str] = field(default_factory=list[str])
    error: str = ""
    is_last: bool = False
    """Whether the others would fail like this one."""
    is_kept: bool = False
    """Whether the output was there already, and stays."""


def report(done: Done, options: argparse.Namespace) -> None:
    """Say what is wrong with a picture, and with ``--json`` how its job ended."""
    if done.error:
        say(named(done.job.source, done.error))
    if options.json:
        line = {
            "input": done.job.source,
            "output": None if done.error else done.job.target,
            "model": done.model or None,
            "device": done.device or None,
            "milliseconds": done.milliseconds,
            "warnings": done.warnings,
            "error": done.error or None,
            "kept": done.is_kept,
        }
        show(json.dumps(line))


def attempt(
    job: Job, models: Models, options: argparse.Namespace, found: Found | None = None
) -> Done:
    """Cut a picture out; whatever is wrong with it stops no other."""
    done = Done(job)
    with about(job.source) as warnings:
        try:
            if found is not None:
                found.check(job)
            done = cut_out(job, Path(job.target).suffix, models, options)
        except Exception as error:
            done.error = str(error) or type(error).__name__
            done.is_last = isinstance(error, TargetError)
    done.warnings, done.model, done.device = warnings, models.name, models.provider
    return done


def cut_out(job: Job, suffix: str, models: Models, options: argparse.Namespace) -> Done:
    """Cut a picture out and write it; what is wrong with it is raised."""
    began = time.perf_counter()
    file = _read(job.source)
    picture, _ = open_picture(file)
    result = asked.finished(remove(picture, **wanted(models, options)), options)
    if options.keep_metadata:
        result.info["exif"] = read_exif(file if isinstance(file, bytes) else file.data)
    write(result, job, suffix, quality=options.quality, overwrite=options.overwrite)
    if options.delete_input:
        _delete(Path(job.source))
    return Done(job, round(1000 * (time.perf_counter() - began)))


def _read(source: str) -> FileContent | bytes:
    if source == STREAM:
        return _read_stream()
    if remote.is_address(source):
        return FileContent(Path(source), remote.read(source))
    return read_file(source)


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
