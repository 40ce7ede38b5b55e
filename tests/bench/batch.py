"""A folder of photos through ``rembg-sessions batch`` and through ``rembg p``, same network.

    python tests/bench/batch.py --images FOLDER --model FILE [--count 200] [--side 1000]

FILE is a network of U-2-Net's signature, small, so that what is around it counts. The photos are
crops of those in FOLDER. Each program runs as a process of its own, start-up and all, once with the
default options and, ours, once with rembg's colours (``--edge-colours naive``). The floor is one
process that decodes each photo, runs the network, and writes the PNG of a cut-out, as many at a
time as there are processors. rembg's shell wants ``pip install click filetype watchdog``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

# Its server's libraries take seconds to import, and need not be installed for this.
_REMBG = """
import sys
from unittest.mock import MagicMock
for name in ("aiohttp", "asyncer", "fastapi", "gradio", "starlette", "uvicorn"):
    sys.modules[name] = MagicMock(__path__=[])
sys.modules["starlette.responses"] = sys.modules["fastapi.middleware.cors"] = MagicMock()
sys.modules["fastapi.middleware"] = MagicMock(__path__=[])
from rembg.cli import main
main()
"""


def photos(images: Path, folder: Path, count: int, side: int) -> None:
    """Write photos of at most so many pixels a side."""
    folder.mkdir()
    sources = sorted(images.glob("*.jpg"))
    for number in range(count):
        picture = Image.open(sources[number % len(sources)]).convert("RGB")
        picture.thumbnail((side, side))
        cut = number // len(sources)
        picture = picture.crop((cut, cut, picture.width, picture.height))
        picture.save(folder / f"{number:04d}.jpg", quality=90)


def floor(folder: Path, out: Path, model: Path) -> None:
    """Do what nobody can avoid."""
    import onnxruntime

    out.mkdir()
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def one(path: Path) -> None:
        picture = Image.open(path).convert("RGB")
        small = np.asarray(picture.resize((320, 320), Image.Resampling.LANCZOS), np.float32)
        planes = np.ascontiguousarray(((small / 255 - 0.45) / 0.225).transpose(2, 0, 1))
        alpha = np.clip(session.run(None, {name: planes[None]})[0][0, 0], 0, 1)
        mask = Image.fromarray((alpha * 255).astype(np.uint8)).resize(picture.size)
        cutout = Image.composite(picture.convert("RGBA"), Image.new("RGBA", picture.size), mask)
        cutout.putalpha(mask)
        cutout.save(out / f"{path.stem}.png")

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(one, sorted(folder.iterdir())))


def main() -> None:
    """Print seconds and ratios."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--images", type=Path, required=True)
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--count", type=int, default=200)
    arguments.add_argument("--side", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--floor", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.floor:
        floor(*options.floor, options.model)
        return
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        home = base / "models"
        home.mkdir()
        model = home / options.model.name
        shutil.copy(options.model, model)
        photos(options.images, base / "in", options.count, options.side)
        extras = json.dumps({"model_path": str(model)})
        named = ["-m", "u2net_custom"]
        ours = [sys.executable, "-m", "rembg_sessions", "batch", str(base / "in"), "OUT", *named]
        ours += ["--model-path", model.name, "--quiet"]
        programs = {
            "rembg p": [
                *(sys.executable, "-c", _REMBG, "p", *named),
                *("-x", extras, str(base / "in"), "OUT"),
            ],
            "batch": ours,
            "batch, naive colours": [*ours, "--edge-colours", "naive"],
            "network and PNG alone": [
                *(sys.executable, __file__, "--images", str(options.images)),
                *("--model", str(model), "--floor", str(base / "in"), "OUT"),
            ],
        }
        environment = {**os.environ, "U2NET_HOME": str(home)}
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(options.rounds):
            for title, command in programs.items():
                out = base / "out"
                shutil.rmtree(out, ignore_errors=True)
                command = [str(out) if part == "OUT" else part for part in command]
                began = time.perf_counter()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                seconds[title].append(time.perf_counter() - began)
                assert len(list(out.rglob("*.png"))) == options.count, title
        best = {title: min(each) for title, each in seconds.items()}
        for title, each in best.items():
            print(
                f"{title:24}{each:7.1f} s{each / best['rembg p']:7.2f} of rembg"
                f"{each / best['network and PNG alone']:7.2f} of the floor"
            )


if __name__ == "__main__":
    sys.exit(main())
