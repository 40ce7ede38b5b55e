"""Compare this pack with the installed rembg, alternating in one process.

    python tests/bench/bench.py [--rounds N] [--quick]

Prints medians, the ratio ours / rembg, the target, and the floor: what Pillow on one
thread, and fresh memory, need for the steps nobody can avoid. Peak memory comes from one
fresh process per case.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

SIZE = 320  # network input of the stubs, U-2-Net's


def network_output() -> np.ndarray:
    """A soft blob; 5 % of its pixels are edge, as in u2net's masks of photos (0.3 to 12 %)."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    wobble = 0.03 * np.sin(40 * np.arctan2(y - 0.5, x - 0.5))
    distance = np.hypot(x - 0.5, y - 0.5) - 0.3 - wobble
    return (1 / (1 + np.exp(np.clip(distance * 440, -60, 60))))[None, None].astype(np.float32)


def picture(side: int) -> Image.Image:
    """A smooth picture with some noise."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-6, 7, (side, side, 1), dtype=np.int16)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


class _Stub:
    """Stands for an ONNX Runtime session: answers at once."""

    output = network_output()

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input", shape=[1, 3, SIZE, SIZE], type="tensor(float)")]

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def run(self, *_: Any) -> list[np.ndarray]:
        return [self.output]


def our_session() -> Any:
    from rembg_sessions.core.runtime.providers import Choice
    from rembg_sessions.core.session.factory import sessions

    class Session(sessions["u2net"]):
        """U-2-Net without a file: a graph that answers at once."""

        def __init__(self) -> None:
            graph = SimpleNamespace(
                run=lambda feed: _Stub.output,
                inputs=lambda: [("input", [1, 3, SIZE, SIZE], "tensor(float)")],
                provider="CPU",
                choice=Choice(("CPUExecutionProvider",), explicit=True),
                is_open=True,
            )
            self.graphs, self.model_name, self.companion = (graph,), "u2net", None
            self.input_size, self.recipe, self._warning = None, self.spec, ""
            self._is_told = True

        def open(self) -> None:
            pass

        def is_current(self) -> bool:
            return True

    return Session()


def their_session() -> Any:
    from rembg.sessions import sessions

    session = sessions["u2net"].__new__(sessions["u2net"])
    session.inner_session, session.model_name = _Stub(), "u2net"
    return session


def cutout_cases(side: int, **options: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import rembg

    from rembg_sessions.core import remove

    image, ours, theirs = picture(side), our_session(), their_session()
    return (
        # rembg changes the caller's picture under putalpha, hence the copy; ours does not
        lambda: remove(image, session=ours, **options),
        lambda: rembg.remove(image.copy() if options else image, session=theirs, **options),
    )


def pillow_floor(side: int) -> Callable[[], Any]:
    """Both resizes, which every implementation needs, with Pillow on one thread."""
    image = picture(side)
    mask = Image.fromarray((_Stub.output[0, 0] * 255).astype(np.uint8))

    def run() -> None:
        image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        mask.resize((side, side), Image.Resampling.LANCZOS)

    return run


def node_floor(side: int, count: int) -> Callable[[], Any]:
    """The resizes of every picture, and filling fresh memory of the result's size."""
    resizes = pillow_floor(side)

    def run() -> np.ndarray:
        for _ in range(count):
            resizes()
        result = np.empty((count, side, side, 4), np.float32)
        result.fill(0)
        return result

    return run


def post_process_cases(side: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from rembg.bg import post_process as theirs

    from rembg_sessions.core.imaging.mask import post_process as ours

    mask = Image.fromarray((_Stub.output[0, 0] * 255).astype(np.uint8))
    array = np.asarray(mask.resize((side, side), Image.Resampling.LANCZOS))
    if not np.array_equal(ours(array), theirs(array)):
        raise SystemExit("post_process: the pixels differ")
    return lambda: ours(array), lambda: theirs(array)


def node_cases(
    side: int, count: int, edge_colours: str
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Our Remove node against the way of ComfyUI_essentials' ImageRemoveBackground+."""
    import rembg
    import torch

    from rembg_sessions.nodes import masks
    from rembg_sessions.nodes.handle import SessionHandle
    from rembg_sessions.nodes.remove import RemBGRemove

    batch = torch.from_numpy(np.stack([np.asarray(picture(side), np.float32) / 255] * count))
    ours, theirs, node = our_session(), their_session(), RemBGRemove()
    handle = SessionHandle(ours)

    def run_ours() -> Any:
        masks.forget(ours)  # a second run would only colour
        return node.execute(batch, handle, edge_colours=edge_colours)

    def run_theirs() -> Any:
        # each picture: tensor to Pillow, rembg's remove, Pillow to tensor; then one stack
        results = []
        for tensor in batch.permute(0, 3, 1, 2):
            levels = tensor.mul(255).byte().permute(1, 2, 0).numpy()
            cutout = np.array(rembg.remove(Image.fromarray(levels), session=theirs))
            results.append(torch.from_numpy(cutout).permute(2, 0, 1).contiguous().div(255))
        stacked = torch.stack(results).permute(0, 2, 3, 1)
        return stacked, stacked[..., 3]

    return run_ours, run_theirs


CASES: dict[str, tuple[Callable[[], tuple[Callable[[], Any], Callable[[], Any]]], float]] = {
    "cut-out, naive, 4096²": (lambda: cutout_cases(4096), 0.5),
    "cut-out, straight alpha, 4096²": (lambda: cutout_cases(4096, putalpha=True), 0.6),
    "cut-out, post_process_mask, 2048²": (
        lambda: cutout_cases(2048, post_process_mask=True),
        0.25,
    ),
    "post_process, 2048²": (lambda: post_process_cases(2048), 0.2),
    "post_process, 4096²": (lambda: post_process_cases(4096), 0.2),
    "Remove node, estimated, 4 × 2048²": (lambda: node_cases(2048, 4, "estimated"), 0.5),
    "Remove node, original, 4 × 2048²": (lambda: node_cases(2048, 4, "original"), 0.5),
}


def median_times(functions: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of each function, taken in turn after one warm-up of each."""
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def peak_memory(name: str, which: int) -> float:
    """Peak MB that one run adds, in a fresh process."""
    command = [sys.executable, __file__, "--peak", name, str(which)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout.split()[-1])


def print_peak(name: str, which: int) -> None:
    function = CASES[name][0]()[which]
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far; Linux only
    before = memory("VmRSS")
    function()
    print((memory("VmHWM") - before) / 1024)


def memory(field: str) -> int:
    """Return kB of a field of /proc/self/status."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def import_times(rounds: int) -> None:
    """Seconds that importing adds, in fresh processes."""
    program = (
        "import time, sys\nimport torch\nstart = time.perf_counter()\n{}\n"
        "print(time.perf_counter() - start)"
    )
    for what, line, target in (
        (
            "the nodes, after torch",
            "import rembg_sessions; rembg_sessions.NODE_CLASS_MAPPINGS",
            0.15,
        ),
        ("rembg, after torch", "import rembg", None),
    ):
        times = []
        for _ in range(rounds):
            done = subprocess.run(
                [sys.executable, "-c", program.format(line)],
                capture_output=True,
                text=True,
                check=True,
            )
            times.append(float(done.stdout.split()[-1]))
        aim = f"   target ≤ {target} s" if target else ""
        print(f"import of {what:<26} {statistics.median(times):6.2f} s{aim}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="3 rounds, no memory figures")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak[0], int(options.peak[1]))
        return
    rounds = 3 if options.quick else options.rounds
    print(f"{os.cpu_count()} cores; medians of {rounds} rounds in turn; MB = peak added by one run")
    header = f"{'case':<36}{'ours':>9}{'rembg':>9}{'ratio':>7}{'target':>8}{'floor':>8}"
    print(header + ("" if options.quick else f"{'MB ours':>9}{'rembg':>7}"))
    for name, (make, target) in CASES.items():
        if options.only not in name:
            continue
        functions = list(make())
        if name.startswith("cut-out"):
            functions.append(pillow_floor(2048 if "2048" in name else 4096))
        elif name.startswith("Remove node"):
            functions.append(node_floor(2048, 4))
        ours, theirs, *floor = median_times(functions, rounds)
        line = f"{name:<36}{1000 * ours:>6.0f} ms{1000 * theirs:>6.0f} ms{ours / theirs:>7.2f}"
        line += f"{target:>8.2f}" + (f"{floor[0] / theirs:>8.2f}" if floor else f"{'':>8}")
        if not options.quick:
            line += f"{peak_memory(name, 0):>9.0f}{peak_memory(name, 1):>7.0f}"
        print(line, flush=True)
    if not options.only:
        import_times(3 if options.quick else 5)


if __name__ == "__main__":
    main()
