"""Measure the estimated colours of soft edges on pictures composed from known colours and alpha.

    python tests/bench/edges.py [--images FOLDER] [--before FILE] [--network FILE] [--quick]

42 composites: the lemur over eight backgrounds; subjects of five photos, cut out along an outline
a few pixels inside their own, so that all their colours are the camera's, over four photos; seven
drawn subjects over two backgrounds. A third is as composed, a third went through JPEG, a third was
sharpened and went through JPEG. Each is cut out with its true alpha and with masks that are wrong
in nine ways, put over four new backgrounds, and compared with what one should see there.

Prints, in soft pixels, the mean error and the 99th percentile in levels, and the share of colours
that no background explains to 16 levels; the same share of nearly opaque pixels of photos with
U-2-Net's own masks; and medians of time. ``--before`` takes an older
``core/imaging/foreground.py`` into the comparison, ``--network`` the weights of an IS-Net, whose
masks are used as well. ``--quick`` takes every fourth composite.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from rembg_sessions.core.imaging import foreground

IMAGES = Path(__file__).resolve().parents[3] / "shared" / "images"
PHOTOS = ("animal-1", "anime-girl-1", "car-1", "girl-1", "girl-2")
BEHIND = np.float32([(255, 255, 255), (0, 0, 0), (30, 160, 60), (220, 30, 160)])
SOFT = (2 / 255, 253 / 255)
# levels by which a colour misses what the compositing equation allows
OFF = 16
# mean error of alpha from which on a mask is that of something else
ANOTHER = 0.08
# drawn subjects: oversampling, size (height, width)
FINE = 4
DRAWN = (480, 640)


@dataclass
class Truth:
    """A picture, uint8 (H, W, 3), and what it was composed from; alpha is float32 (H, W)."""

    name: str
    image: np.ndarray
    colours: np.ndarray
    alpha: np.ndarray


# -- subjects --------------------------------------------------------------------------------


def draw(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw a subject: its colours and its alpha."""
    height, width = (FINE * side for side in DRAWN)
    rng = np.random.default_rng(0)
    colours, shape = Image.new("RGB", (width, height)), Image.new("L", (width, height))
    paint, cut = ImageDraw.Draw(colours), ImageDraw.Draw(shape)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    middle, radius = (width / 2, height / 2), 0.36 * height

    def circle(pen: ImageDraw.ImageDraw, size: float, fill: object, **more: object) -> None:
        (cx, cy), r = middle, size * radius
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=fill, **more)  # type: ignore[arg-type]

    if name == "hair":
        colours.paste((70, 45, 30), (0, 0, width, height))
        circle(cut, 0.7, 255)
        for _ in range(400):
            turn, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.6)
            length = rng.uniform(0.8, 1.3)
            steps = np.linspace(0.5, length, 30)
            angles = turn + bend * (steps - 0.5)
            dots = [(middle[0] + radius * s * np.cos(t), middle[1] + radius * s * np.sin(t))
                    for s, t in zip(steps, angles, strict=True)]  # fmt: skip
            tone = int(rng.integers(30, 120))
            thick = int(rng.integers(2, 7))
            paint.line(dots, (tone + 40, tone, tone // 2), thick + 2)
            cut.line(dots, 255, thick)
    elif name == "stripes":
        bands = (np.floor((x + y) / (9 * FINE)) % 2)[..., None]
        colours = Image.fromarray(np.uint8(bands * (240, 200, 40) + (1 - bands) * (30, 30, 60)))
        circle(cut, 1, 255)
    elif name == "wheel":
        colours.paste((40, 40, 44), (0, 0, width, height))
        for pen, tones in ((cut, (255, 255)), (paint, (None, (190, 195, 200)))):
            if tones[0]:
                circle(pen, 1, None, outline=tones[0], width=14 * FINE)
            for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
                far = (middle[0] + radius * np.cos(turn), middle[1] + radius * np.sin(turn))
                pen.line((middle, far), tones[1], (2 + 4 * (pen is cut)) * FINE // 2)
    elif name == "text":
        rows = 12
        for row in range(rows):
            size = (10 + 4 * row) * FINE
            at = (20 * FINE, int(height * (row / rows) ** 1.5))
            tone = tuple(int(level) for level in rng.integers(0, 256, 3))
            font = ImageFont.load_default(size)
            cut.text(at, "Quick brown foxes & 1234567890", 255, font)
            paint.rectangle((0, at[1], width, height), tone)
    elif name == "ball":
        dx, dy = (x - middle[0]) / radius, (y - middle[1]) / radius
        light = np.clip(0.35 - 0.5 * dx - 0.6 * dy, 0.08, 1)[..., None]
        shine = np.exp(-(((dx + 0.62) ** 2 + (dy + 0.72) ** 2) / 0.012))[..., None]
        tones = np.clip(light * (230, 60, 40) + shine * 255, 0, 255)
        colours = Image.fromarray(np.uint8(tones))
        circle(cut, 1, 255)
    elif name == "outlines":
        colours.paste((250, 225, 200), (0, 0, width, height))
        for i in range(7):
            cx, cy = 40 * FINE + width * i / 7, height * (0.3 + 0.4 * (i % 2))
            r = (30 + 8 * i) * FINE
            cut.ellipse((cx - r, cy - r, cx + r, cy + r), 255)
        edge = ImageChops.subtract(shape, shape.filter(ImageFilter.BoxBlur(2 * FINE)))
        colours.paste((20, 15, 30), mask=edge.point([0] + 255 * [255]))
    else:  # grey
        tones = 120 + 12 * np.sin(x / 90) + rng.normal(0, 4, x.shape)
        colours = Image.fromarray(np.uint8(tones)).convert("RGB")
        circle(cut, 0.9, 255)
        cut.rectangle((0.4 * width, 0, 0.45 * width, height), 255)
    small = (DRAWN[1], DRAWN[0])
    alpha = np.asarray(shape, np.float32) / 255
    share = np.asarray(Image.fromarray(alpha).resize(small, Image.Resampling.BOX))
    seen = [
        Image.fromarray(band * alpha).resize(small, Image.Resampling.BOX)
        for band in np.moveaxis(np.asarray(colours, np.float32), 2, 0)
    ]
    straight = np.dstack([np.asarray(band) for band in seen]) / np.maximum(share, 1e-6)[..., None]
    return straight, share


def inside(folder: Path, name: str, softness: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut a subject out along a soft outline inside its own, where all colours are its own."""
    colours = np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB"), np.float32)
    mask = Image.open(folder / f"{name}.rembg-u2net.png").getchannel("A")
    solid = mask.point([255 * (level > 230) for level in range(256)])
    solid = solid.filter(ImageFilter.MinFilter(7)).filter(ImageFilter.MinFilter(3))
    return colours, np.asarray(solid.filter(ImageFilter.GaussianBlur(softness)), np.float32) / 255


def background(folder: Path, name: str, size_hw: tuple[int, int]) -> np.ndarray:
    height, width = size_hw
    y, x = np.mgrid[:height, :width]
    if name == "graded":
        return np.dstack([40 + 150 * x / width, 60 + 100 * y / height, 200 - 120 * x / width])
    if name == "rough":
        shape = (height // 8 + 1, width // 8 + 1, 3)
        coarse = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    plain = {"black": (0, 0, 0), "white": (255, 255, 255), "green": (20, 180, 60),
             "blue": (30, 60, 200), "grey": (140, 140, 140)}  # fmt: skip
    if name in plain:
        return np.broadcast_to(np.float32(plain[name]), (height, width, 3))
    photo = Image.open(folder / name).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(photo.resize((width, height), Image.Resampling.LANCZOS))


def finished(image: np.ndarray, how: str | None) -> np.ndarray:
    """Do to a picture what cameras and websites do."""
    if how is None:
        return image
    picture = Image.fromarray(image)
    if how == "sharpened":
        picture = picture.filter(ImageFilter.UnsharpMask(1, 80, 0))
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file).convert("RGB"))


def truths(folder: Path) -> Iterator[Truth]:
    """Compose the pictures: as they are, as JPEG, and sharpened and as JPEG, in turn."""
    finish = itertools.cycle((None, "JPEG", "sharpened"))

    def composed(name: str, colours: np.ndarray, alpha: np.ndarray, behind: str) -> Truth:
        share = alpha[..., None]
        picture = share * colours + (1 - share) * background(folder, behind, alpha.shape)
        image = finished(np.clip(picture + 0.5, 0, 255).astype(np.uint8), next(finish))
        return Truth(f"{name}, {behind}", image, colours, alpha)

    colours = np.asarray(Image.open(folder / "lemur_foreground.png").convert("RGB"), np.float32)
    alpha = np.asarray(Image.open(folder / "lemur_alpha.png").convert("L"), np.float32) / 255
    photos = ("beach.png", "plants-1.jpg", "car-1.jpg", "lemur.png")
    for behind in ("black", "white", "green", "blue", "graded", "rough", *photos[:2]):
        yield composed("lemur", colours, alpha, behind)
    for i, name in enumerate(PHOTOS):
        for behind in photos:
            yield composed(name, *inside(folder, name, 0.7 + 0.5 * (i % 3)), behind)
    for name in ("hair", "stripes", "wheel", "text", "ball", "outlines", "grey"):
        for behind in ("grey", "rough") if name == "grey" else ("beach.png", "graded"):
            yield composed(name, *draw(name), behind)


# -- masks -----------------------------------------------------------------------------------


def masks(alpha: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the true mask, then wrong ones, in levels as networks' masks are."""
    true = Image.fromarray(np.uint8(alpha * 255 + 0.5))
    small = true.resize((320, 320), Image.Resampling.LANCZOS)
    found = {
        "true": true,
        "through 320 px": small.resize(true.size, Image.Resampling.LANCZOS),
        "2 px too narrow": true.filter(ImageFilter.MinFilter(5)),
        "4 px too narrow": true.filter(ImageFilter.MinFilter(9)),
        "2 px too wide": true.filter(ImageFilter.MaxFilter(5)),
        "4 px too wide": true.filter(ImageFilter.MaxFilter(9)),
        "blurred by 2 px": true.filter(ImageFilter.GaussianBlur(2)),
        "blurred by 5 px": true.filter(ImageFilter.GaussianBlur(5)),
        "shifted by 2 px": ImageChops.offset(true, 2, 0),
        "shifted by 4 px": ImageChops.offset(true, 0, 4),
    }
    for name, mask in found.items():
        yield name, np.asarray(mask, np.float32) / np.float32(255)


def network(weights: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return what asks an IS-Net for its mask."""
    os.environ["U2NET_HOME"] = str(weights.resolve().parent)
    from rembg_sessions.core import new_session

    session = new_session("dis_custom", model_path=str(weights))

    def ask(image: np.ndarray) -> np.ndarray:
        mask = session.predict(Image.fromarray(image))[0]
        return np.asarray(mask, np.float32) / np.float32(255)

    return ask


# -- methods ---------------------------------------------------------------------------------

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def estimator(module: object, *, solved: bool = False) -> Method:
    def run(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        edge = module.estimate_edge_colours(image, alpha, solved=solved)  # type: ignore[attr-defined]
        colours = image.reshape(-1, 3).astype(np.float32)
        colours[edge.pixels] = edge.colours
        return colours.reshape(image.shape)

    return run


def multi_level(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    return 255 * estimate_foreground_ml(image / 255.0, alpha.astype(np.float64))


def module_of(file: Path) -> object:
    spec = importlib.util.spec_from_file_location("rembg_sessions.core.imaging._before", file)
    if spec is None or spec.loader is None:
        sys.exit(f"{file} is not a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# -- figures ---------------------------------------------------------------------------------


def is_soft(alpha: np.ndarray) -> np.ndarray:
    return (alpha > SOFT[0]) & (alpha < SOFT[1])


def errors(truth: Truth, colours: np.ndarray, mask: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Mean error of each pixel of the band over the new backgrounds, in levels."""
    share, true = mask[band][:, None], truth.alpha[band][:, None]
    # αF + (1−α)B, less what should be there
    front = share * colours[band] - true * truth.colours[band]
    total = np.zeros(len(front), np.float32)
    for behind in BEHIND:
        total += np.abs(front + (true - share) * behind).mean(axis=1) / len(BEHIND)
    return total


def off_equation(image: np.ndarray, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """By how many levels colours (N, 3) miss those that a background could explain."""
    share = np.maximum(alpha, 1 / 255)[:, None]
    lowest, highest = 255 - (255 - image) / share, image / share
    return np.maximum(lowest - colours, colours - highest).max(axis=1)


Rows = dict[tuple[str, str], list[tuple[float, float, float]]]


def measured(
    cases: list[Truth],
    methods: dict[str, Method],
    ask: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Rows:
    """Mean error, 99th percentile, and share off the equation, of each mask and method."""
    rows: Rows = {}
    for truth in cases:
        found = dict(masks(truth.alpha))
        if ask is not None:
            mask = ask(truth.image)
            # where it finds another subject, there is nothing to compare
            if np.abs(mask - truth.alpha).mean() < ANOTHER:
                found["IS-Net's"] = mask
        for kind, mask in found.items():
            soft = is_soft(mask)
            # where a mask is hard, there is no colour to estimate
            for name, method in methods.items():
                colours = method(truth.image, mask)
                error = errors(truth, colours, mask, soft)
                off = off_equation(truth.image[soft].astype(np.float32), colours[soft], mask[soft])
                row = (float(error.mean()), float(np.percentile(error, 99)),
                       100 * float((off > OFF).mean()) if len(off) else 0.0)  # fmt: skip
                rows.setdefault((kind, name), []).append(row)
    return rows


def print_rows(rows: Rows, methods: dict[str, Method]) -> None:
    print(f"{'mask':<20}" + "".join(f"{name:>22}" for name in methods))
    print(f"{'':<20}" + f"{'mean   99 %   off %':>22}" * len(methods))
    kinds = list(dict.fromkeys(kind for kind, _ in rows))
    wrong = [kind for kind in kinds if kind not in ("true", "IS-Net's")]
    for label, chosen in [*((kind, [kind]) for kind in kinds), ("wrong masks", wrong),
                          ("all masks", kinds)]:  # fmt: skip
        line = f"{label:<20}"
        for name in methods:
            mean = np.mean([row for kind in chosen for row in rows[kind, name]], axis=0)
            line += f"{mean[0]:>9.2f}{mean[1]:>7.1f}{mean[2]:>6.2f}"
        print(line, flush=True)


def print_photos(folder: Path, methods: dict[str, Method]) -> None:
    print(f"\nphotos, U-2-Net's masks: % of pixels of alpha ≥ 0.9 off by more than {OFF} levels")
    found: dict[str, list[float]] = {name: [] for name in methods}
    for photo in PHOTOS:
        image = np.asarray(Image.open(folder / f"{photo}.jpg").convert("RGB"))
        mask = Image.open(folder / f"{photo}.rembg-u2net.png").getchannel("A")
        alpha = np.asarray(mask, np.float32) / np.float32(255)
        chosen = (alpha >= 0.9) & (alpha < foreground.OPAQUE)
        for name, method in methods.items():
            colours = method(image, alpha)
            off = off_equation(image[chosen].astype(np.float32), colours[chosen], alpha[chosen])
            found[name].append(100 * float((off > OFF).mean()))
    for name, shares in found.items():
        line = f"  {name:<22}{statistics.mean(shares):6.2f}   "
        print(line + "  ".join(f"{share:.2f}" for share in shares))


def print_speed(folder: Path, methods: dict[str, object], rounds: int = 15) -> None:
    print(f"\ntime of the estimate, medians of {rounds} rounds in turn, ms")
    for photo, scale in (("girl-1", 3), ("animal-1", 2), ("plants-1", 1), ("plants-1", 2)):
        picture = Image.open(folder / f"{photo}.jpg").convert("RGB")
        size = scale * picture.width, scale * picture.height
        image = np.asarray(picture.resize(size))
        mask = Image.open(folder / f"{photo}.rembg-u2net.png").getchannel("A").resize(size)
        alpha = np.asarray(mask, np.float32) / np.float32(255)
        taken: dict[tuple[str, bool], list[float]] = {}
        for _ in range(rounds + 1):
            for name, module in methods.items():
                for solved in (False, True):
                    start = time.perf_counter()
                    module.estimate_edge_colours(image, alpha, solved=solved)  # type: ignore[attr-defined]
                    taken.setdefault((name, solved), []).append(time.perf_counter() - start)
        line = f"  {photo} {size[0]}×{size[1]}, {100 * is_soft(alpha).mean():.0f} % soft:"
        for solved in (False, True):
            # the first round is for warming up
            medians = [1000 * statistics.median(taken[name, solved][1:]) for name in methods]
            line += f"   {'solved' if solved else 'mask'} "
            line += " → ".join(f"{median:.1f}" for median in medians)
            line += f" = {medians[-1] / medians[0]:.2f}×" if len(medians) > 1 else ""
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, default=IMAGES)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    needed = [
        "beach.png",
        "plants-1.jpg",
        "plants-1.rembg-u2net.png",
        "lemur.png",
        "lemur_alpha.png",
        "lemur_foreground.png",
    ]
    needed += [f"{name}{end}" for name in PHOTOS for end in (".jpg", ".rembg-u2net.png")]
    missing = [name for name in needed if not (arguments.images / name).is_file()]
    if missing:
        print(f"edges: {arguments.images} lacks {', '.join(missing)}; name a folder with --images.")
        return
    modules: dict[str, object] = {}
    if arguments.before:
        modules["before"] = module_of(arguments.before)
    modules["estimated"] = foreground
    methods: dict[str, Method] = {"original": lambda image, _: image.astype(np.float32)}
    for name, module in modules.items():
        methods[name] = estimator(module)
        methods[f"{name}, solved"] = estimator(module, solved=True)
    methods["multi-level"] = multi_level
    cases = list(truths(arguments.images))[:: 4 if arguments.quick else 1]
    ask = network(arguments.network) if arguments.network else None
    print(f"{len(cases)} composites")
    print_rows(measured(cases, methods, ask), methods)
    print_photos(arguments.images, methods)
    print_speed(arguments.images, modules)


if __name__ == "__main__":
    main()
