"""Compare cut-outs on an NVIDIA GPU with the installed rembg's: time, video memory, and opening.

    python tests/bench/gpu.py [FILE.onnx ...] [--pictures 1024 2048] [--rounds N] [--variants]

Each FILE is a user's own IS-Net, U-2-Net or BiRefNet. After them comes a network of BiRefNet
lite's shape with random weights, which is written to a temporary folder first. ``--variants`` adds
what is not the default: the file as it is, memory patterns, cuDNN's channels last, and float16.

Each measurement is a fresh process: a first cut-out, then the median of nine, and what the network
alone takes of it. Memory is nvidia-smi's, of the whole card: at most during a run, and held after.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from networks import REMBG, open_ours, open_rembgs, picture

CUDA = "CUDAExecutionProvider"
PATTERNS = "memory patterns"
CASES: dict[str, dict[str, Any]] = {
    "ours": {},
    "as it is": {"prepare": False},
    PATTERNS: {},
    "channels last": {"providers": [(CUDA, {"prefer_nhwc": "1"})]},
    "float16": {},
    "float16, channels last": {"providers": [(CUDA, {"prefer_nhwc": "1"})]},
}
QUERY = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]


class Memory:
    """Video memory in use, in MB, above what it was."""

    def __init__(self) -> None:
        self.start = int(subprocess.check_output(QUERY))
        self.now = self.peak = 0
        self.process = subprocess.Popen([*QUERY, "-lms", "20"], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.now = int(line) - self.start
            self.peak = max(self.peak, self.now)


def measure(path: Path, kind: str, case: str, side: int) -> None:
    """Print what one case takes."""
    import onnxruntime  # not counted

    from rembg_sessions.core.runtime.graph import Graph

    image = picture(side)
    in_network = [0.0]
    if case != "rembg":
        run = Graph.run

        def timed(self: Graph, feed: Any) -> Any:
            start = time.perf_counter()
            result = run(self, feed)
            in_network[0] += time.perf_counter() - start
            return result

        Graph.run = timed  # type: ignore[method-assign]
    memory = Memory()
    start = time.perf_counter()
    if case == "rembg":
        onnxruntime.preload_dlls()
        remove, session = open_rembgs(path, kind)
        used = session.inner_session.get_providers()[0]
    else:
        options = {"providers": "CUDA", **CASES[case]}
        if case == PATTERNS:  # ONNX Runtime's own default
            options["sess_opts"] = onnxruntime.SessionOptions()
        remove, session = open_ours(path.name, options)
        used = session.provider
    first = remove(image, session=session)
    opened = time.perf_counter() - start
    times, networks = [], []
    for _ in range(9):
        in_network[0] = 0
        start = time.perf_counter()
        remove(image, session=session)
        times.append(time.perf_counter() - start)
        networks.append(in_network[0])
    time.sleep(0.3)
    memory.process.kill()
    found = {
        "provider": used,
        "first": opened,
        "run": statistics.median(times),
        "network": statistics.median(networks),
        "peak": memory.peak,
        "held": memory.now,
        "alpha": first.getchannel("A").resize((64, 64)).tobytes().hex(),
    }
    print(json.dumps(found))


def ask(path: Path, kind: str, case: str, side: int) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    command = [sys.executable, __file__, str(path), "--case", kind, case, str(side)]
    environment = {**os.environ, "U2NET_HOME": str(path.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def in_float16(path: Path) -> Path:
    """Write a copy that computes in float16 and takes and gives float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    target = path.with_name(f"{path.stem}_float16.onnx")
    onnx.save(model, target)
    return target


def compare(path: Path, kind: str, cases: list[str], pictures: list[int], rounds: int) -> None:
    """Print the table of one file."""
    print(f"\n{kind}: {path.name}, {path.stat().st_size / 1e6:.0f} MB\n")
    print("| picture | | cut-out | of rembg | network | peak | held | first | levels off |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    half: Path | None = None
    if any(case.startswith("float16") for case in cases):
        half = in_float16(prepared(path, kind))
    for side in pictures:
        base: dict[str, Any] = {}
        for case in cases:
            file = half if half is not None and case.startswith("float16") else path
            rows = [ask(file, kind, case, side) for _ in range(rounds)]
            if "error" in rows[0]:
                print(f"| {side}² | {case} | {rows[0]['error']}", flush=True)
                continue
            row: dict[str, Any] = dict(rows[0])
            for key in ("run", "network", "peak", "held", "first"):
                row[key] = statistics.median(each[key] for each in rows)
            base = base or row
            pairs = zip(bytes.fromhex(row["alpha"]), bytes.fromhex(base["alpha"]), strict=True)
            cells = [
                f"{side}²",
                f"{case} ({row['provider']})",
                f"{row['run'] * 1e3:.1f} ms",
                f"{row['run'] / base['run']:.2f}",
                f"{row['network'] * 1e3:.1f} ms",
                f"{row['peak']} MB",
                f"{row['held']} MB",
                f"{row['first']:.1f} s",
                f"{max(abs(a - b) for a, b in pairs)}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def prepared(path: Path, kind: str) -> Path:
    """Return the file that is opened in its place."""
    from rembg_sessions.core.prepare.step import prepare

    found = prepare(path, CUDA)
    return found if isinstance(found, Path) else path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--pictures", type=int, nargs="*", default=[1024, 2048])
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        kind, case, side = options.case
        measure(options.files[0], kind, case, int(side))
        return
    from rembg_sessions.core.session.own import own_kind

    cases = ["rembg", *CASES] if options.variants else ["rembg", "ours"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in options.files:
            kind = own_kind(file)
            if kind not in REMBG:
                raise SystemExit(f"{file} is of no kind that rembg runs, too: {', '.join(REMBG)}.")
            compare(Path(shutil.copy(file, folder)), kind, cases, options.pictures, options.rounds)
        sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
        from birefnet import write

        path = write(folder / "birefnet.onnx")
        compare(path, "BiRefNet", cases, options.pictures, options.rounds)


if __name__ == "__main__":
    main()
