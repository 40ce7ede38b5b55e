"""What a smaller input_size costs in quality, on photos and on composites of known alpha.

    python tests/bench/sizes.py FOLDER FILE.onnx [--sizes 768 640 512]

FOLDER holds photos and rembg's cut-outs of them, ``NAME.jpg`` and ``NAME.rembg-u2net.png``, and the
lemur with its true alpha and foreground. Photos are told apart by whether anything but their
subject stands out; composites are their subjects before a beach and before plants, which do. FILE
is a user's own network. Prints, for each size, IoU with the true mask and the mean error of alpha
within ten pixels of the outline: the mean over all pictures, and the worst.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from composites import PHOTOS
from PIL import Image
from scipy import ndimage

BEHIND = ("beach.png", "plants-1.jpg")
CLUTTERED = ("anime-girl-1", "car-1")  # jellyfish, and a passer-by
BAND = 10  # pixels


def scenes(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield what kind it is, the picture, and its true alpha."""

    def load(name: str, mode: str) -> np.ndarray:
        return np.asarray(Image.open(folder / name).convert(mode)) / 255

    subjects = {"lemur": (load("lemur_foreground.png", "RGB"), load("lemur_alpha.png", "L"))}
    yield "photos of one thing", load("lemur.png", "RGB"), subjects["lemur"][1]
    for name in PHOTOS:
        subjects[name] = (
            load(f"{name}.jpg", "RGB"),
            load(f"{name}.rembg-u2net.png", "RGBA")[..., 3],
        )
        kind = "photos of several things" if name in CLUTTERED else "photos of one thing"
        yield kind, *subjects[name]
    for colours, alpha in subjects.values():
        for name in BEHIND:
            picture = Image.open(folder / name).convert("RGB")
            size = alpha.shape[::-1]
            behind = np.asarray(picture.resize(size, Image.Resampling.LANCZOS)) / 255
            share = alpha[..., None]
            yield "composites", colours * share + behind * (1 - share), alpha


def near_outline(alpha: np.ndarray) -> np.ndarray:
    inside = alpha > 0.5
    soft = ndimage.binary_dilation((alpha > 0.02) & (alpha < 0.98), iterations=BAND)
    grown = ndimage.binary_dilation(inside, iterations=BAND)
    return soft | (grown & ~ndimage.binary_erosion(inside, iterations=BAND))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[768, 640, 512])
    options = parser.parse_args()
    os.environ["U2NET_HOME"] = str(options.file.absolute().parent)
    from rembg_sessions import new_session

    sizes = [None, *options.sizes]
    sessions = [
        new_session("custom", model_path=options.file.name, input_size=size) for size in sizes
    ]
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for kind, picture, truth in scenes(options.folder):
        image = Image.fromarray(np.round(picture * 255).astype(np.uint8))
        inside, band = truth > 0.5, near_outline(truth)
        row = []
        for session in sessions:
            (alpha,) = session.predict_alpha(image)
            mask = alpha > 0.5
            iou = (mask & inside).sum() / (mask | inside).sum()
            row.append((float(iou), float(np.abs(alpha - truth)[band].mean())))
        found.setdefault(kind, []).append(row)
    print("| pictures | input_size | IoU | worst | error at the outline | worst |")
    print("|---|---|---|---|---|---|")
    for kind, rows in found.items():
        for place, size in enumerate(sizes):
            ious, errors = np.array([row[place] for row in rows]).T
            cells = [f"{len(rows)} {kind}", str(size or "native")]
            cells += [f"{ious.mean():.3f}", f"{ious.min():.2f}"]
            cells += [f"{errors.mean():.3f}", f"{errors.max():.2f}"]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
