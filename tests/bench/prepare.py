"""What preparing a network saves: time, memory, and the time of an opening.

    python tests/bench/prepare.py FILE.onnx [--model dis_custom] [--sizes 768 640 512] [--rounds N]

FILE is copied to a temporary folder first. Each case is a fresh process with one thread, in turn;
times are the processor's, so that other programs count little. Prints medians, and ratios to the
file as it is, as a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 1024  # of the picture


def measure(name: str, model: str, options: dict[str, int | bool]) -> None:
    """Print seconds of an opening, seconds of a run, and peak MB, of this process."""
    import onnxruntime  # noqa: F401  # not counted

    from rembg_sessions import new_session

    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    )
    start = time.process_time()
    session = new_session(model, model_path=name, threads=1, **options)
    opened = time.process_time() - start
    session.predict(picture)
    start = time.process_time()
    session.predict(picture)
    ran = time.process_time() - start
    status = Path("/proc/self/status").read_text()  # Linux only
    print(opened, ran, int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="dis_custom")
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        size = {"input_size": int(options.case)} if options.case.isdecimal() else {}
        off = {"prepare": False} if options.case == "as it is" else {}
        measure(options.file.name, options.model, {**size, **off})
        return
    cases = ["as it is", "prepared", *map(str, options.sizes)]
    found: dict[str, list[list[float]]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(options.file, folder)
        environment = {**os.environ, "U2NET_HOME": folder}
        for _ in range(options.rounds + 1):
            for case in cases:
                command = [sys.executable, __file__, str(options.file), "--model", options.model]
                done = subprocess.run(
                    [*command, "--case", case],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                found[case].append([float(word) for word in done.stdout.split()])
        kept = sum(path.stat().st_size for path in Path(folder).glob("prepared/*"))
    print("| | first opening | opening | run | peak | opening | run | peak |")
    print("|---|---|---|---|---|---|---|---|")
    medians = {
        case: [statistics.median(column) for column in zip(*rows[1:], strict=True)]
        for case, rows in found.items()
    }
    for case, (opened, ran, peak) in medians.items():
        ratios = [a / b for a, b in zip(medians[case], medians["as it is"], strict=True)]
        line = (
            f"| {case} | {found[case][0][0]:.2f} s | {opened:.2f} s | {ran:.2f} s | {peak:.0f} MB"
        )
        print(line, *(f"{ratio:.2f}" for ratio in ratios), sep=" | ", end=" |\n")
    print(f"\n{kept / 1e6:.0f} MB are kept.")


if __name__ == "__main__":
    main()
