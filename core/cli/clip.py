"""The command cutout for a video or an animation: into another, or into a folder of frames."""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..batch import in_order, remove_batch
from ..clips.read import Clip, Frame, is_video, open_animation, open_video
from ..clips.write import CONTAINERS, ClipWriter
from ..errors import OptionError
from ..text import visible
from . import asked
from .jobs import STREAM, Job
from .needed import Models, open_models, wanted
from .output import check_place, placed, write
from .terminal import counted, once, remark, show

_LIST = ", ".join(CONTAINERS)
_DIGITS = 5  # of a frame's number in its name


@dataclass(slots=True)
class _Result:
    """A frame's result, and when it is shown."""

    frame: Frame
    picture: Image.Image


def find(source: str, output: str, is_place: bool) -> Clip | None:
    """Return the clip that is to be cut out frame by frame; None for a picture.

    An animation is one where the output takes all its frames.
    """
    if source == STREAM:
        return None
    if is_video(source):
        return open_video(source)
    suffix = Path(output).suffix.lower()
    takes_frames = output != STREAM and (is_place or suffix in CONTAINERS)
    return open_animation(source) if takes_frames else None


def run(clip: Clip, output: str, is_place: bool, options: argparse.Namespace) -> int:
    """Cut out a clip."""
    source = str(clip.path)
    _check(source, options)
    if output == STREAM:
        raise OptionError(f"{visible(source)} has many frames; name a file or a folder for them.")
    if is_place:
        suffix = options.suffix or ".png"
        asked.check_output(options, suffix)
    else:
        suffix = asked.file_suffix(output, options)
        _check_suffix(source, suffix, options)
    job = Job(source, output)
    check_place(Path(output) if is_place else Path(output).parent)
    if not is_place and not options.overwrite and Path(output).exists():
        raise OptionError(f"{visible(output)} exists; add --overwrite to replace it.")
    models = open_models(options)
    began = time.perf_counter()
    with once(), counted(_results(clip, models, options), "frame", clip.count) as results:
        if is_place:
            number = _to_folder(results, job, suffix, options)
        else:
            number = _to_file(results, clip, job, options)
    milliseconds = round(1000 * (time.perf_counter() - began))
    _report(job, number, milliseconds, models, options)
    return 0


def _check(source: str, options: argparse.Namespace) -> None:
    shown = visible(source)
    if options.trimap is not None:
        raise OptionError(f"--trimap belongs to one picture, and {shown} has many frames.")
    if options.framing is not None:
        raise OptionError(
            f"--crop and its like would crop each frame of {shown} differently; leave them out."
        )
    if options.keep_metadata:
        raise OptionError(f"--keep-metadata is for pictures, and {shown} has many frames.")
    for name in ("watch", "no_recursive", "delete_input", "redo_if_newer"):
        if getattr(options, name):
            raise OptionError(f"--{name.replace('_', '-')} needs a folder as the input.")


def _check_suffix(source: str, suffix: str, options: argparse.Namespace) -> None:
    kind = CONTAINERS.get(suffix.lower())
    if kind is None:
        raise OptionError(
            f"A file '{visible(suffix)}' does not hold the frames of {visible(source)}. Write "
            f"{_LIST}, or a folder of frames, as in `rembg-sessions cutout clip.mp4 frames/`."
        )
    if not kind.alpha and not asked.is_opaque(options):
        raise OptionError(
            f"{suffix} keeps no transparency. Write .webm or .mov, or give an opaque --bgcolor or "
            "a --background."
        )
    if options.quality is not None and not kind.lossy:
        raise OptionError(f"{suffix} takes no --quality; leave it out.")


def _results(clip: Clip, models: Models, options: argparse.Namespace) -> Iterator[_Result]:
    """Yield the frames, cut out, in order."""
    waiting: deque[Frame] = deque()

    def pictures() -> Iterator[Image.Image]:
        for frame in clip:
            waiting.append(frame)
            yield frame.picture

    results = remove_batch(
        pictures(), workers=options.jobs, steady=options.steady, **wanted(models, options)
    )
    for result in results:
        yield _Result(waiting.popleft(), asked.finished(result, options))


def _to_file(results: Iterable[_Result], clip: Clip, job: Job, options: argparse.Namespace) -> int:
    """Write the results into one file; returns how many there were."""
    number, suffix = 0, Path(job.target).suffix
    with (
        placed(job, options.overwrite) as part,
        ClipWriter(part, suffix, clip, asked.is_opaque(options), options.quality) as writer,
    ):
        for result in results:
            writer.add(result.picture, result.frame.time, result.frame.duration)
            number += 1
    return number


def _to_folder(
    results: Iterable[_Result], job: Job, suffix: str, options: argparse.Namespace
) -> int:
    """Write the results into a folder, a file for each; returns how many there were."""
    ending = f"{options.name_suffix}{suffix}"

    def save(numbered: tuple[int, _Result]) -> int:
        number, result = numbered
        name = f"{Path(job.source).stem}-{number:0{_DIGITS}d}{ending}"
        target = Job(job.source, str(Path(job.target, name)), job.target)
        write(result.picture, target, suffix, quality=options.quality, overwrite=options.overwrite)
        return number

    return max(in_order(enumerate(results, 1), save, options.jobs or 2), default=0)


def _report(
    job: Job, frames: int, milliseconds: int, models: Models, options: argparse.Namespace
) -> None:
    each = milliseconds / max(frames, 1)
    remark(
        f"{visible(job.target)}: {frames} frames, {models.name} on {models.provider}, "
        f"{each:.0f} ms a frame."
    )
    if options.json:
        line: dict[str, Any] = {
            "input": job.source,
            "output": job.target,
            "model": models.name,
            "device": models.provider,
            "frames": frames,
            "milliseconds": milliseconds,
            "warnings": [],
            "error": None,
        }
        show(json.dumps(line))
