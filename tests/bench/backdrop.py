"""Measure the `backdrop` model on pictures composed from cut-outs with known alpha.

    python tests/bench/backdrop.py [--images FOLDER] [--scenes NAME ...] [--quick]

Prints one row per picture and the means against the targets; the same means for the subjects
in their whole frames, and for other backdrops, on which almost nothing was tuned; the lemur against
closed-form matting from a perfect mask, the confidence on photos without a plain backdrop, and
medians of time and peak memory. ``--quick`` leaves out closed-form matting, time and memory.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from rembg_sessions.core.backdrop import solve as backdrop

IMAGES = Path(__file__).resolve().parents[3] / "shared" / "images"
PHOTOS = ("animal-1", "anime-girl-1", "car-1", "girl-1", "girl-2", "plants-1")
SOFT = (0.02, 0.98)
TARGETS = {"iou": 0.97, "mae": 0.008, "edge": 0.10}


@dataclass
class Cutout:
    name: str
    colours: np.ndarray
    alpha: np.ndarray


@dataclass
class Scene:
    """One backdrop: corner colours, what disturbs it, and how the subject stands on it."""

    name: str
    top: tuple[int, int, int]
    bottom: tuple[int, int, int] | None = None
    diagonal: bool = False
    vignette: float = 0.0
    shadow: float = 0.0
    noise: float = 0.0
    jpeg: int | None = None
    arrange: str = "plain"


SCENES = (
    Scene("white", (244, 243, 240), noise=1),
    Scene("green", (40, 180, 70), noise=2, jpeg=85),
    Scene("grey", (118, 118, 118), noise=3),
    Scene("blue graded", (90, 140, 200), (190, 215, 240), jpeg=85, arrange="border"),
    Scene("dark graded", (28, 28, 36), (92, 86, 100), diagonal=True, noise=2),
    Scene("vignette", (236, 216, 190), vignette=0.35, jpeg=85),
    Scene("shadow", (228, 228, 232), shadow=0.45, noise=1.5, arrange="border"),
    Scene("shadow tan", (200, 170, 130), (222, 200, 170), shadow=0.35, jpeg=85),
    Scene("mint pair", (150, 215, 190), (205, 240, 225), noise=2, jpeg=85, arrange="pair"),
    Scene("magenta hole", (200, 60, 160), jpeg=85, arrange="hole"),
)
# Measured only after tuning. One of them has led to a change, the lemur in front of black, which
# changed what counts as a hole; the two shadowed ones also set the constants of steep shadows.
# The subjects are also mirrored and smaller.
OTHERS = (
    Scene("paper", (232, 226, 214), noise=1.5, jpeg=92),
    Scene("teal", (20, 120, 130), (60, 170, 170), diagonal=True, noise=1),
    Scene("black", (9, 9, 11), noise=1.5),
    Scene("yellow", (245, 205, 60), vignette=0.2, jpeg=80, arrange="pair"),
    Scene("rose shadow", (225, 190, 190), shadow=0.3, noise=1, arrange="border"),
    Scene("screen blue", (20, 60, 200), noise=3, jpeg=85, arrange="hole"),
    Scene("steel graded", (70, 80, 95), (150, 160, 175), noise=2, jpeg=90),
    Scene("lilac shadow", (205, 195, 235), (180, 170, 215), shadow=0.4, noise=1.5),
)


def load_cutouts(folder: Path) -> list[Cutout]:
    """Read the subjects in their whole frames."""
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    def grey(name: str) -> np.ndarray:
        return np.asarray(Image.open(folder / name).convert("L"), np.float32) / 255

    found = []
    colours = np.asarray(Image.open(folder / "lemur_foreground.png").convert("RGB"))
    found.append(_cutout("lemur", colours, grey("lemur_alpha.png")))
    for name in PHOTOS:
        with Image.open(folder / f"{name}.rembg-u2net.png") as cut:
            alpha = np.asarray(cut.getchannel("A"), np.float32) / 255
        photo = np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB"))
        foreground = estimate_foreground_ml(photo / 255.0, alpha.astype(np.float64))
        colours = np.where((alpha == 1)[..., None], photo, np.uint8(255 * foreground + 0.5))
        found.append(_cutout(name, colours, alpha))
    return found


def _cutout(name: str, colours: np.ndarray, alpha: np.ndarray) -> Cutout:
    # masks from networks have specks far outside their subject
    return Cutout(name, colours, np.where(alpha < SOFT[0], 0, alpha))


def cropped(cutout: Cutout) -> Cutout:
    """Crop a subject to its extent, with a margin where it ends inside."""
    alpha = cutout.alpha
    rows, columns = (np.flatnonzero((alpha > 0.1).any(axis=axis)) for axis in (1, 0))
    margin = round(0.15 * max(np.ptp(rows), np.ptp(columns)))
    box = np.s_[
        max(0, rows[0] - margin) : rows[-1] + 1 + margin,
        max(0, columns[0] - margin) : columns[-1] + 1 + margin,
    ]
    return Cutout(cutout.name, cutout.colours[box], alpha[box])


def mirrored(cutout: Cutout, scale: float = 0.8) -> Cutout:
    """Mirror a subject and make it smaller."""
    height, width = cutout.alpha.shape
    size = round(scale * width), round(scale * height)
    colours, alpha = (
        np.asarray(Image.fromarray(values[:, ::-1]).resize(size))
        for values in (cutout.colours, cutout.alpha)
    )
    return Cutout(cutout.name, colours, np.clip(alpha, 0, 1))


def arranged(cutout: Cutout, how: str) -> Cutout:
    """Put the subject against a border, twice in the picture, or punch a hole into it."""
    colours, alpha = cutout.colours, cutout.alpha
    height, width = alpha.shape
    if how == "border":
        used = np.flatnonzero((alpha > 0.5).any(axis=0))
        left = int(used[0] + 0.25 * np.ptp(used))
        colours, alpha = colours[:, left:], alpha[:, left:]
    elif how == "pair":
        size = (width * 2 // 3, height * 2 // 3)
        both = [Image.fromarray(colours).resize(size), Image.fromarray(alpha).resize(size)]
        flipped = [np.asarray(p.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) for p in both]
        top = height - size[1]
        second = np.zeros((height, size[0], 3), np.uint8), np.zeros((height, size[0]), np.float32)
        second[0][top:], second[1][top:] = flipped
        colours = np.concatenate([colours, second[0]], axis=1)
        alpha = np.concatenate([alpha, second[1]], axis=1)
    elif how == "hole":
        # where the subject is thickest
        solid = Image.fromarray((alpha > 0.9).astype(np.float32) * 255).convert("L")
        depth = np.asarray(solid.filter(ImageFilter.BoxBlur(min(height, width) // 8)))
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        rows, columns = np.mgrid[:height, :width]
        radius = 0.07 * min(height, width)
        distance = np.hypot((rows - y) / 1.4, columns - x) - radius
        alpha = alpha * np.clip(distance / 3 + 0.5, 0, 1).astype(np.float32)
    return Cutout(cutout.name, colours, alpha)


def backdrop_of(scene: Scene, alpha: np.ndarray) -> np.ndarray:
    height, width = alpha.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    along = ((x + y) / 2 if scene.diagonal else y)[..., None]
    bottom = scene.bottom or scene.top
    colours = np.float32(scene.top) * (1 - along) + np.float32(bottom) * along
    colours *= 1 - scene.vignette * 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)[..., None]
    if scene.shadow:
        size = max(height, width)
        shift = round(0.03 * size)
        cast = np.pad(alpha, ((shift, 0), (shift, 0)))[:height, :width]
        cast = Image.fromarray(np.uint8(cast * 255)).filter(ImageFilter.GaussianBlur(0.03 * size))
        colours *= 1 - scene.shadow * np.asarray(cast, np.float32)[..., None] / 255
    return colours


def compose(scene: Scene, cutout: Cutout) -> tuple[np.ndarray, Cutout]:
    cutout = arranged(cutout, scene.arrange)
    a = cutout.alpha[..., None]
    picture = a * cutout.colours + (1 - a) * backdrop_of(scene, cutout.alpha)
    picture += np.random.default_rng(0).normal(0, 1, picture.shape) * scene.noise
    image = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    if scene.jpeg:
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=scene.jpeg)
        image = np.asarray(Image.open(file).convert("RGB"))
    return image, cutout


def test_set(cutouts: list[Cutout], scenes: tuple[Scene, ...]) -> Iterator[tuple]:
    for scene in scenes:
        for cutout in cutouts:
            yield scene, *compose(scene, cutout)


def measure(solved: backdrop.Backdrop, image: np.ndarray, truth: Cutout) -> dict[str, float]:
    """Errors of one answer; NaN where the image has no soft edge."""
    error = np.abs(solved.alpha - truth.alpha)
    soft = (truth.alpha > SOFT[0]) & (truth.alpha < SOFT[1])
    found, true = solved.alpha > 0.5, truth.alpha > 0.5
    row = {
        "iou": float((found & true).sum() / max((found | true).sum(), 1)),
        "mae": float(error.mean()),
        "edge": float("nan"),
        "colour": float("nan"),
        "confidence": solved.confidence,
        "sad": float(error.sum()),
    }
    if soft.any():
        colours = image.reshape(-1, 3).astype(np.float32)
        colours[solved.edge.pixels] = solved.edge.colours
        off = np.abs(colours.reshape(image.shape) - truth.colours).mean(2)[soft]
        row["edge"] = float(error[soft].mean())
        # a colour counts by its alpha
        row["colour"] = float((off * truth.alpha[soft]).sum() / truth.alpha[soft].sum())
    return row


COLUMNS = ("iou", "mae", "edge", "colour", "confidence")


def _line(first: str, row: dict[str, float]) -> str:
    return f"{first:30s}" + "".join(f"{row[name]:12.4f}" for name in COLUMNS)


Rows = list[tuple[str, str, dict[str, float]]]


def measured(cutouts: list[Cutout], scenes: tuple[Scene, ...]) -> Rows:
    return [
        (scene.name, truth.name, measure(backdrop.solve(image), image, truth))
        for scene, image, truth in test_set(cutouts, scenes)
    ]


def print_quality(title: str, rows: Rows, *, every: bool = False) -> None:
    def mean(chosen: list[dict[str, float]]) -> dict[str, float]:
        return {
            name: float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            for name in COLUMNS
            for values in [np.array([row[name] for row in chosen])]
        }

    print(f"\n{title:30s}" + "".join(f"{name:>12s}" for name in COLUMNS))
    for scene, subject, row in rows if every else []:
        print(_line(f"{scene}, {subject}", row))
    for which in (0, 1) if every else (1,):
        for name in dict.fromkeys(row[which] for row in rows):
            print(_line(f"mean of {name}", mean([row[2] for row in rows if row[which] == name])))
    total = mean([row[2] for row in rows])
    print(_line("mean", total))
    for name, target in TARGETS.items():
        good = total[name] >= target if name == "iou" else total[name] <= target
        sign = "≥" if name == "iou" else "≤"
        print(f"  {name} {total[name]:.4f}, target {sign} {target}: {'met' if good else 'MISSED'}")


def print_against_closed_form(lemur: Cutout) -> None:
    from rembg_sessions.core.matting.methods import find_matte

    print("\nlemur, sum of absolute differences; target: at most half of closed-form matting")
    for scene in SCENES:
        if scene.arrange != "plain" or scene.shadow:
            continue
        image, truth = compose(scene, lemur)
        perfect = np.where(truth.alpha > 0.5, 255, 0).astype(np.uint8)
        theirs = float(np.abs(find_matte(image, perfect).alpha - truth.alpha).sum())
        ours = measure(backdrop.solve(image), image, truth)["sad"]
        verdict = "met" if ours <= theirs / 2 else "MISSED"
        print(f"  {scene.name:14s} ours {ours:7.0f}  closed-form {theirs:7.0f}"
              f"  ratio {ours / theirs:.2f}  {verdict}")  # fmt: skip


def print_photos(folder: Path) -> None:
    print(f"\nphotos without a plain backdrop; confidence must be below {backdrop.CONFIDENT}")
    for name in (*(f"{photo}.jpg" for photo in PHOTOS), "lemur.png", "lemur_at_the_beach.png"):
        image = np.asarray(Image.open(folder / name).convert("RGB"))
        if name == "lemur_at_the_beach.png":  # four pictures in one: the composite
            image = image[image.shape[0] // 2 :, image.shape[1] // 2 :]
        confidence = backdrop.solve(image).confidence
        verdict = "refused" if confidence < backdrop.CONFIDENT else "MISSED"
        print(f"  {name:24s} {confidence:.2f}  {verdict}")


def large_picture(cutouts: list[Cutout], side: int) -> np.ndarray:
    lemur = cutouts[0]
    size = (side, side)
    alpha = Image.fromarray(lemur.alpha).resize(size, Image.Resampling.BICUBIC)
    colours = Image.fromarray(lemur.colours).resize(size, Image.Resampling.BICUBIC)
    scene = next(scene for scene in SCENES if scene.name == "dark graded")
    cutout = Cutout("lemur", np.asarray(colours), np.clip(np.asarray(alpha), 0, 1))
    return compose(scene, cutout)[0]


def print_speed(cutouts: list[Cutout], folder: Path) -> None:
    from rembg_sessions.core.matting.closed_form.numba_backend import wait_until_compiled

    print("\ntime, warm; peak memory of a fresh process with the picture and the answer")
    wait_until_compiled()
    for side, rounds, seconds, megabytes in ((1024, 15, 0.06, None), (4096, 5, 1.2, 1500)):
        image = large_picture(cutouts, side)
        backdrop.solve(image)  # loads what is loaded on first use
        times: list[float] = []
        for _ in range(rounds):
            start = time.perf_counter()
            backdrop.solve(image)
            times.append(time.perf_counter() - start)
        median = statistics.median(times)
        verdict = "met" if median <= seconds else "MISSED"
        print(f"  {side}²: median {1000 * median:.0f} ms, best {1000 * min(times):.0f} ms,"
              f" target {1000 * seconds:.0f} ms: {verdict}")  # fmt: skip
        if megabytes:
            peak, _ = fresh(folder, side)
            print(f"  {side}²: peak {peak:.0f} MB, target {megabytes} MB:"
                  f" {'met' if peak <= megabytes else 'MISSED'}")  # fmt: skip
    print(f"  1024²: first call of a process {1000 * fresh(folder, 1024)[1]:.0f} ms")


def fresh(folder: Path, side: int) -> tuple[float, float]:
    """Return peak memory in MB and seconds of the first call in a process of its own."""
    command = [sys.executable, __file__, "--images", str(folder), "--fresh", str(side)]
    peak, seconds = subprocess.run(command, check=True, capture_output=True).stdout.split()
    return float(peak), float(seconds)


def print_fresh(folder: Path, side: int) -> None:
    # drawn here, because composing one of the benchmark's images would count
    image = np.full((side, side, 3), (90, 140, 200), np.uint8)
    lemur = Image.open(folder / "lemur_alpha.png").resize((side, side))
    np.copyto(image, np.uint8(40), where=(np.asarray(lemur) > 127)[..., None])
    del lemur
    start = time.perf_counter()
    backdrop.solve(image)
    seconds = time.perf_counter() - start
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--scenes", nargs="+", default=[scene.name for scene in SCENES])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    needed = ["lemur.png", "lemur_alpha.png", "lemur_foreground.png", "lemur_at_the_beach.png"]
    needed += [f"{name}{end}" for name in PHOTOS for end in (".jpg", ".rembg-u2net.png")]
    missing = [name for name in needed if not (arguments.images / name).is_file()]
    if missing:
        sys.exit(f"{arguments.images} lacks {', '.join(missing)}. Name their folder with --images.")
    if arguments.fresh:
        print_fresh(arguments.images, arguments.fresh)
        return
    whole = load_cutouts(arguments.images)
    cutouts = [cropped(cutout) for cutout in whole]
    scenes = tuple(scene for scene in SCENES if scene.name in arguments.scenes)
    print_quality("cropped to the subject", measured(cutouts, scenes), every=True)
    print_quality("in the whole frame", measured(whole, scenes))
    print_quality("other backdrops", measured([mirrored(cutout) for cutout in cutouts], OTHERS))
    print_photos(arguments.images)
    if not arguments.quick:
        print_against_closed_form(cutouts[0])
        print_speed(cutouts, arguments.images)


if __name__ == "__main__":
    main()
