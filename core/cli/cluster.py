"""The engine ray of the command batch: its pictures on a cluster, through Ray Data.

This process plans, hands out and writes the manifest. Each worker is an actor with models of its
own; it reads pictures and writes outputs itself, so that only names travel. Ray runs again what a
worker did not finish that was lost, and starts another worker in its place.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ..batch import in_order
from ..errors import ModelRunError, OptionError, RembgSessionsError, RuntimeMissingError
from ..settings import prepare_ray, value
from ..text import install_line, quotable, visible
from . import remote
from .jobs import Found, Job
from .needed import Models, open_models
from .one_picture import Done, attempt
from .terminal import about, hush, kept_for_show, listening, named, remark

THREADS, RAY = "threads", "ray"
_LOCAL = "local"  # what Ray calls a cluster that it starts here

_MOST_IN_BLOCK = 8
"""Pictures that are handed out at once: seconds of work. A block costs 9 ms of this process."""
_BLOCKS = 16  # at least, of few pictures: so that no worker waits long for the last one
_MOST_JOBS = 8  # side by side in a worker, as in batch itself
_STORE = 512 << 20
"""Bytes of a local cluster's store, which holds names of files and no pictures."""
_OURS = __name__.partition(".")[0]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of engines."""
    group = command.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=(THREADS, RAY),
        default=THREADS,
        help="what does the work: threads of this process, or the workers of a Ray cluster, for "
        "which it needs the extra ray (%(default)s)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the cluster (RAY_ADDRESS; without either, one is started on this machine)",
    )
    group.add_argument("--num-gpus", metavar="N", type=_share, help="GPUs of each worker (0)")
    group.add_argument(
        "--concurrency",
        metavar="N or M-N",
        type=_range,
        help="how many workers there are, each with a model and --threads CPUs (1) of its own; as "
        "many as the cluster has room for",
    )


def _share(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", text) or (
        float(text) > 1 and not float(text).is_integer()
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor a part of 1")
    return float(text)


def _range(text: str) -> tuple[int, int]:
    if found := re.fullmatch("([0-9]{1,5})(?:-([0-9]{1,5}))?", text):
        low, high = int(found[1]), int(found[2] or found[1])
        if 1 <= low <= high:
            return low, high
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 1 nor a range such as 1-8")


def check(options: argparse.Namespace) -> None:
    """Refuse options that do not go with the engine.

    Raises
    ------
    OptionError
    """
    if options.engine != RAY:
        for name in ("address", "num_gpus", "concurrency"):
            if getattr(options, name) is not None:
                raise OptionError(f"--{name.replace('_', '-')} is for --engine ray; add that.")
        return
    for name, instead in (
        ("watch", "run it again for what came, or watch without --engine ray"),
        ("jobs", "--concurrency says how many workers there are, --threads their CPUs"),
        ("device_id", "Ray gives each worker its GPU, see --num-gpus"),
    ):
        if getattr(options, name):
            raise OptionError(f"--{name.replace('_', '-')} is not for --engine ray: {instead}.")


def ends(
    jobs: dict[str, Job], inputs: Found, places: list[str], options: argparse.Namespace
) -> Generator[tuple[str, Done], None, None]:
    """Cut pictures out on a cluster; yields how each ended, as it does.

    Parameters
    ----------
    inputs
        Files that no output may replace.
    places
        Names that every worker has to find, where they are no addresses.

    Raises
    ------
    RuntimeMissingError
        If Ray is not installed here, or this package not where the workers are.
    OptionError
        If the cluster cannot be reached, or has no room for a worker.
    ModelRunError
        If a worker cannot open its models, for whatever reason, or Ray fails.
    """
    address = options.address or value("RAY_ADDRESS") or _LOCAL
    ray, data = _ray(address != _LOCAL)
    rows: list[dict[str, str]] = []
    for name, job in jobs.items():
        try:
            inputs.check(job)
        except RembgSessionsError as error:
            yield name, Done(job, error=str(error))
            continue
        # Arrow takes no names of files that are not UTF-8; JSON escapes them
        rows.append({"job": json.dumps([name, job.source, job.target])})
    if not rows:
        return
    with kept_for_show():
        try:
            _connect(ray, address, options)
            yield from _answers(data, rows, jobs, places, options)
        finally:
            ray.shutdown()


def _ray(joins: bool) -> tuple[Any, Any]:
    prepare_ray(joins)
    try:
        import ray  # pyright: ignore
        from ray import data  # pyright: ignore
    except ImportError as error:
        raise RuntimeMissingError(
            f"--engine ray needs the extra ray ({quotable(str(error))}): run "
            f"`{install_line('ray[data]')}`, here and on every machine of the cluster."
        ) from error
    return cast(Any, ray), cast(Any, data)


def _connect(ray: Any, address: str, options: argparse.Namespace) -> None:
    """Join the cluster, or start one, and see that a worker fits into it."""
    is_local = address == _LOCAL
    if not is_local:
        remark(f"Joining the Ray cluster at {visible(address)}.")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if is_local:
        settings |= {"include_dashboard": False, "object_store_memory": _STORE}
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, ValueError, RuntimeError, OSError, AssertionError) as error:
        what = "could be started here" if is_local else f"answers at {visible(address)}"
        raise OptionError(
            f"No Ray cluster {what} ({quotable(str(error))}). Give --address the HOST:PORT that "
            "`ray start --head` names, with the same versions of Ray and Python on all machines, "
            "or leave it out for a cluster on this machine."
        ) from error
    wanted = {"CPU": _cpus(options), "GPU": options.num_gpus or 0}
    machines: list[dict[str, float]] = [
        machine["Resources"] for machine in ray.nodes() if machine["Alive"]
    ]
    fits = any(all(m.get(kind, 0) >= n for kind, n in wanted.items()) for m in machines)
    if fits:
        return
    most = {kind: max(m.get(kind, 0) for m in machines) for kind in wanted}
    lacks = (
        f"A worker takes {wanted['CPU']} CPUs and {wanted['GPU']:g} GPUs, and the largest machine "
        f"has {most['CPU']:g} and {most['GPU']:g}"
    )
    if is_local:
        raise OptionError(f"{lacks}; change --threads or --num-gpus.")
    remark(f"{lacks}: waiting for one that the cluster may start. Ctrl-C ends that.")


def _cpus(options: argparse.Namespace) -> int:
    return options.threads or 1


def _answers(
    data: Any,
    rows: list[dict[str, str]],
    jobs: dict[str, Job],
    places: list[str],
    options: argparse.Namespace,
) -> Iterator[tuple[str, Done]]:
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    size = min(_MOST_IN_BLOCK, max(1, len(rows) // _BLOCKS))
    low, high = options.concurrency or (1, None)
    source = data.from_items(rows, override_num_blocks=math.ceil(len(rows) / size))
    work = source.map_batches(
        Worker,
        batch_size=None,  # a block
        batch_format="numpy",
        compute=data.ActorPoolStrategy(min_size=low, max_size=high),
        num_cpus=_cpus(options),
        num_gpus=options.num_gpus or 0,
        fn_constructor_args=(options, places, str(Path.cwd())),
    )
    said = set[str]()
    try:
        for block in work.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            for text in block["end"]:
                end: dict[str, Any] = json.loads(text)
                if end["failure"]:
                    raise ModelRunError(end["failure"])
                for sentence in end["opening"]:
                    if sentence not in said:
                        remark(f"WARNING: {sentence}")
                    said.add(sentence)
                done = Done(jobs[end["name"]], **end["done"])
                for sentence in done.warnings:
                    remark(f"WARNING: {named(done.job.source, sentence)}")
                yield end["name"], done
                if done.is_last:
                    return
    except RembgSessionsError:
        raise
    except Exception as error:  # of Ray, which has a kind for each of its parts
        if f"No module named '{_OURS}'" in str(error):
            raise RuntimeMissingError(
                "The workers have no rembg-sessions: install it, of the version that is here and "
                "with its extra for onnxruntime, on every machine of the cluster."
            ) from error
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ModelRunError(
            f"Ray ended the run: {quotable(lines[-1], 500)}. Run it again to go on."
        ) from error


class Worker:
    """An actor: opens the models once, and cuts out the pictures of block after block.

    Parameters
    ----------
    options
        Of the command, settled.
    places
        What has to be there, on this machine.
    folder
        That relative names start from.
    """

    def __init__(self, options: argparse.Namespace, places: list[str], folder: str):
        self.options = options
        self.models: Models | None = None
        self.failure, self.opening = "", list[str]()
        self.within = "" if remote.is_address(places[1]) else places[1]
        if not options.num_gpus:
            options.threads = _cpus(options)  # and not those of others on this machine
        try:
            _enter(folder, places)
            with listening(), about(_machine()) as said:
                hush(True)
                self.models = open_models(options)
            self.opening = [named(_machine(), sentence) for sentence in said]
        except (RembgSessionsError, MemoryError) as error:  # raised, Ray would try again
            self.failure = f"{_machine()}: {str(error) or 'There is not enough memory'}"

    def __call__(self, block: dict[str, Any]) -> dict[str, list[str]]:
        """Return how the pictures of a block ended."""
        with listening():
            hush(True)
            jobs = min(_cpus(self.options), _MOST_JOBS)
            return {"end": list(in_order(block["job"], self._end, jobs))}

    def _end(self, text: str) -> str:
        name, source, target = json.loads(text)
        end: dict[str, Any] = {
            "name": name,
            "failure": self.failure,
            "opening": self.opening,
            "done": {},
        }
        if self.models is not None:
            done = _again_or_anew(Job(source, target, self.within), self.models, self.options)
            end["done"] = {key: each for key, each in asdict(done).items() if key != "job"}
        return json.dumps(end)


def _again_or_anew(job: Job, models: Models, options: argparse.Namespace) -> Done:
    """Cut a picture out, unless a worker that was lost has done so.

    Its output was not there when the picture was handed out, and outputs have their names only
    when they are whole.
    """
    try:
        is_address = remote.is_address(job.target)
        is_there = remote.exists(job.target) if is_address else os.path.lexists(job.target)
    except RembgSessionsError as error:
        return Done(job, 0, models.name, models.provider, error=str(error))
    if is_there and not options.overwrite:
        return Done(job, None, models.name, models.provider)
    return attempt(job, models, options)


def _enter(folder: str, places: list[str]) -> None:
    """Go where relative names start from, and see that there is the same as at the driver."""
    for place in places:
        if remote.is_address(place):
            continue
        path = Path(folder, place)
        if not path.exists():
            raise OptionError(
                f"{visible(str(path))} is not on this machine. With --engine ray, source and "
                "target lie on a disk that all machines share, or at addresses such as "
                "s3://bucket/photos."
            )
        if Path(folder).is_dir():
            os.chdir(folder)


def _machine() -> str:
    return f"worker on {platform.node() or 'a machine'}"
