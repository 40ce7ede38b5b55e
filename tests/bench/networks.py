"""Compare cut-outs by a network with the installed rembg's: time, memory, and an opening.

    python tests/bench/networks.py [FILE.onnx ...] [--quick] [--rounds N] [--pictures 1024 4096]
                                   [--sizes 768 512] [--float32] [--no-birefnet] [--plot FILE.png]

Each FILE is a user's own IS-Net, U-2-Net or BiRefNet, of a kind that is found out. Without any, an
installed isnet-general-use is taken. After them comes a network of BiRefNet lite's shape with
random weights, which is written to a temporary folder first: its own takes 9 GB.

Each measurement is a fresh process with one thread, ours and rembg's in turn; seconds are the
processor's, so that other programs count little. A cut-out is remove() of a picture in memory,
after one that is not counted. Peak memory is the whole process's. The floor is what ONNX Runtime
alone takes for the same file: nobody who runs it as it is gets below. Prints medians, and ratios to
rembg's, as Markdown tables; ``--plot`` draws those of 1024² pixels.
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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bars import draw
from PIL import Image

PICTURES = (512, 1024, 2048, 4096)
# rembg's rows whose steps fit a file of a kind
REMBG = {
    "IS-Net": "dis_custom",
    "U-2-Net": "u2net_custom",
    "BEN": "ben_custom",
    "BiRefNet": "birefnet-general",
}
# of rembg's time, and of its peak memory
TARGETS = {
    ("IS-Net", "ours"): (0.92, None),
    ("IS-Net", "768"): (0.55, None),
    ("IS-Net", "512"): (0.30, None),
    ("BiRefNet", "ours"): (0.60, 0.40),
}


def picture(side: int) -> Image.Image:
    """A smooth picture with some noise."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-6, 7, (side, side, 1), dtype=np.int16)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def open_ours(name: str, options: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    from rembg_sessions import new_session, remove

    return remove, new_session("custom", model_path=name, **options)


def open_rembgs(path: Path, kind: str) -> tuple[Callable[..., Any], Any]:
    import onnxruntime
    import rembg
    from rembg.sessions import sessions

    known = sessions[REMBG[kind]]
    own = type("Own", (known,), {"download_models": classmethod(lambda cls, *_, **__: str(path))})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as new_session does
    return rembg.remove, own(REMBG[kind], options, model_path=str(path))


def measure(path: Path, kind: str, case: str, side: int) -> None:
    """Print seconds of an opening and of a cut-out, peak MB, and the network's own seconds."""
    import onnxruntime  # noqa: F401  # not counted

    image = picture(side)
    start = time.process_time()
    if case == "rembg":
        remove, session = open_rembgs(path, kind)
    else:
        sized: dict[str, Any] = {"input_size": int(case)} if case.isdecimal() else {}
        options = {"prepare": "float32"} if case == "float32" else sized
        remove, session = open_ours(path.name, options)
    opened = time.process_time() - start
    remove(image, session=session)
    start = time.process_time()
    remove(image, session=session)
    ran = time.process_time() - start
    network = None
    if case == "rembg":
        (taken,) = session.inner_session.get_inputs()
        noise = np.random.default_rng(0).normal(0, 1, taken.shape)
        feed = {taken.name: noise.astype(np.float32)}
        start = time.process_time()
        session.inner_session.run([session.inner_session.get_outputs()[0].name], feed)
        network = time.process_time() - start
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])  # Linux only
    print(json.dumps({"open": opened, "run": ran, "peak": peak / 1024, "network": network}))


def ask(path: Path, kind: str, case: str, side: int) -> dict[str, float]:
    """Measure one case in a process of its own."""
    command = [sys.executable, __file__, str(path), "--case", kind, case, str(side)]
    environment = {**os.environ, "U2NET_HOME": str(path.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(
    path: Path, kind: str, cases: Sequence[str], pictures: Sequence[int], rounds: int
) -> dict[str, tuple[float, float]]:
    """Print the table of one file; return time and memory of pictures of 1024², as ratios."""
    drawn: dict[str, tuple[float, float]] = {}
    first: dict[str, float] = {}
    for case in cases[1:]:  # prepared before it is timed
        first[case] = ask(path, kind, case, pictures[0])["open"]
    print(f"\n{kind}: {path.name}, {path.stat().st_size / 1e6:.0f} MB\n")
    print(
        "| picture | | cut-out | of rembg | target | peak | of rembg | target | opening | first |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for side in pictures:
        found: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
        for _ in range(rounds):
            for case in cases:
                found[case].append(ask(path, kind, case, side))
        medians = {
            case: {key: statistics.median(row[key] or 0 for row in rows) for key in rows[0]}
            for case, rows in found.items()
        }
        base = medians["rembg"]
        for case, row in medians.items():
            if side == 1024 and case != "rembg":
                size = f"input_size {case}" if case.isdecimal() else case
                name = kind if case == "ours" else f"{kind}, {size}"
                drawn[name] = row["run"] / base["run"], row["peak"] / base["peak"]
            time_target, memory_target = TARGETS.get((kind, case), (None, None))
            cells = [
                f"{side}²",
                case,
                f"{row['run']:.2f} s",
                f"{row['run'] / base['run']:.2f}",
                "" if time_target is None else f"≤ {time_target:.2f}",
                f"{row['peak']:.0f} MB",
                f"{row['peak'] / base['peak']:.2f}",
                "" if memory_target is None else f"≤ {memory_target:.2f}",
                f"{row['open']:.2f} s",
                f"{first[case]:.2f} s" if case in first else "",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
        floor = base["network"] / base["run"]
        print(f"| {side}² | floor: the network alone | {base['network']:.2f} s | {floor:.2f} |")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="1 round, pictures of 1024²")
    parser.add_argument("--pictures", type=int, nargs="*", default=PICTURES)
    parser.add_argument("--sizes", type=int, nargs="*", default=[768, 512], help="input_size")
    parser.add_argument("--no-birefnet", action="store_true", help="build no network")
    parser.add_argument("--float32", action="store_true", help="also ours with prepare='float32'")
    parser.add_argument("--plot", type=Path, help="the picture to write")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        kind, case, side = options.case
        measure(options.files[0], kind, case, int(side))
        return
    from rembg_sessions.core import get_model
    from rembg_sessions.core.session.own import own_kind
    from rembg_sessions.core.weights.store import find

    files = options.files or find(get_model("isnet-general-use")) or ()
    if not files:
        print("IS-Net is not measured: name its file, or download isnet-general-use.")
    cases = ["rembg", "ours"]
    sizes = list(map(str, options.sizes))
    rounds, pictures = (1, [1024]) if options.quick else (options.rounds, options.pictures)
    drawn: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in files:
            kind = own_kind(file)
            if kind not in REMBG:
                raise SystemExit(f"{file} is of no kind that rembg runs, too: {', '.join(REMBG)}.")
            path = Path(shutil.copy(file, folder))
            others = [*sizes, *(["float32"] if options.float32 else [])]
            others = [] if kind == "BiRefNet" else others
            drawn |= compare(path, kind, [*cases, *others], pictures, rounds)
        if not options.no_birefnet:
            sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
            from birefnet import write

            # the network's own time is nearly all of it, whatever the picture
            drawn |= compare(write(folder / "birefnet.onnx"), "BiRefNet", cases, [1024], rounds)
    if options.plot:
        draw(drawn, ("time, rembg is 1", "peak memory"), options.plot)


if __name__ == "__main__":
    main()
