"""Cuts out the sample picture and says where the results are.

python tests/demo.py FOLDER
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from rembg_sessions.core import new_session, remove

SAMPLE = Path(__file__).parent / "sample" / "thistle.jpg"
MODEL = "backdrop"


def checkerboard(size: tuple[int, int], tile: int = 32) -> Image.Image:
    """Draw a grey checkerboard of (width, height), RGBA."""
    y, x = np.mgrid[: size[1], : size[0]] // tile
    levels = np.where((x + y) % 2, 160, 220).astype(np.uint8)
    return Image.fromarray(levels).convert("RGBA")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    session = new_session(MODEL)
    start = time.perf_counter()
    cutout = remove(SAMPLE, session=session, edge_colours="estimated")
    milliseconds = 1000 * (time.perf_counter() - start)
    results = {
        "cutout.png": cutout,
        "mask.png": cutout.getchannel("A"),
        "checkerboard.png": Image.alpha_composite(checkerboard(cutout.size), cutout),
    }
    sys.stdout.write(f"{SAMPLE} cut out by {MODEL} in {milliseconds:.0f} ms:\n")
    for name, picture in results.items():
        picture.save(folder / name)
        sys.stdout.write(f"  {folder / name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
