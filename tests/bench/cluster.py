"""``rembg-sessions batch --engine ray`` with one worker and with two, one thread each.

    python tests/bench/cluster.py --images FOLDER --model FILE [--kind dis_custom] [--count 32]

The floor is what two processes of the plain engine do at once, each with half of the photos and one
thread, beside one alone: two processes share caches and memory, and Ray can undo nothing of that.
Rates are those between the first picture and the last one, start-up apart.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batch import photos


def times(process: subprocess.Popen[str], began: float) -> list[float]:
    """Seconds at which pictures were done."""
    assert process.stdout is not None
    found = [time.perf_counter() - began for line in process.stdout if '"error": null' in line]
    assert process.wait() == 0
    return found


def rate(found: list[float]) -> float:
    """Pictures a second, after those that came with the first."""
    first = sum(each < found[0] + 0.05 for each in found)
    return (len(found) - first) / (found[-1] - found[0])


def main() -> None:
    """Print seconds, rates and efficiencies."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--images", type=Path, required=True)
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--kind", default="dis_custom")
    arguments.add_argument("--count", type=int, default=32)
    arguments.add_argument("--side", type=int, default=1000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        photos(options.images, base / "all", options.count, options.side)
        for number, path in enumerate(sorted((base / "all").iterdir())):
            half = base / f"half{number % 2}"
            half.mkdir(exist_ok=True)
            shutil.copy(path, half)

        def start(source: str, *more: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "rembg_sessions", "batch", str(base / source)]
            command += [str(base / "out" / source), "-m", options.kind, "--threads", "1"]
            command += ["--model-path", str(options.model.resolve()), "--json", *more]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        def show(title: str, seconds: float, pictures_a_second: float, one: float) -> None:
            efficiency = f"{pictures_a_second / one / 2:7.2f} of twice one" if one else ""
            print(f"{title:22}{seconds:7.1f} s{pictures_a_second:8.3f} a second{efficiency}")

        print(f"{options.count} photos, {len(os.sched_getaffinity(0))} processors")
        one = 0.0
        for title, sources in (("one process", ["half0"]), ("two at once", ["half0", "half1"])):
            shutil.rmtree(base / "out", ignore_errors=True)
            began = time.perf_counter()
            running = [start(source, "--jobs", "1") for source in sources]
            # the pipe holds the few lines of one, while the other's are read
            ends = [times(process, began) for process in running[:1]]
            seconds = time.perf_counter() - began
            for process in running[1:]:
                process.communicate()
                seconds = time.perf_counter() - began
            total = len(sources) * rate(ends[0])
            show(title, seconds, total, one)
            one = one or total
        one = 0.0
        for count in (1, 2):
            shutil.rmtree(base / "out", ignore_errors=True)
            began = time.perf_counter()
            found = times(start("all", "--engine", "ray", "--concurrency", str(count)), began)
            show(f"{count} of Ray's workers", time.perf_counter() - began, rate(found), one)
            one = one or rate(found)


if __name__ == "__main__":
    main()
