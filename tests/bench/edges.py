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
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from composites import PHOTOS, Truth, masks, needed, truths
from PIL import Image

from rembg_sessions.core.imaging import foreground

IMAGES = Path(__file__).resolve().parents[3] / "shared" / "images"
BEHIND = np.float32([(255, 255, 255), (0, 0, 0), (30, 160, 60), (220, 30, 160)])
SOFT = (2 / 255, 253 / 255)
# levels by which a colour misses what the compositing equation allows
OFF = 16
# mean error of alpha from which on a mask is that of something else
ANOTHER = 0.08
# photos that are timed, and how many times larger
TIMED = {"girl-1": 3, "animal-1": 2, "anime-girl-1": 4}


# -- masks of a network -----------------------------------------------------------------------


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


def estimator(module: ModuleType, *, solved: bool = False) -> Method:
    def run(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        edge = module.estimate_edge_colours(image, alpha, solved=solved)
        colours = image.reshape(-1, 3).astype(np.float32)
        colours[edge.pixels] = edge.colours
        return colours.reshape(image.shape)

    return run


def multi_level(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    return 255 * estimate_foreground_ml(image / 255.0, alpha.astype(np.float64))


def module_of(file: Path) -> ModuleType:
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
            soft = is_soft(mask)  # where it is hard, there is no colour to estimate
            if not soft.any():
                continue
            for name, method in methods.items():
                colours = method(truth.image, mask)
                error = errors(truth, colours, mask, soft)
                off = off_equation(truth.image[soft].astype(np.float32), colours[soft], mask[soft])
                row = (
                    float(error.mean()),
                    float(np.percentile(error, 99)),
                    100 * float((off > OFF).mean()),
                )
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


def print_speed(folder: Path, methods: dict[str, ModuleType], rounds: int = 15) -> None:
    print(f"\ntime of the estimate, medians of {rounds} rounds in turn, ms")
    for photo, scale in TIMED.items():
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
                    module.estimate_edge_colours(image, alpha, solved=solved)
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
    missing = [name for name in needed() if not (arguments.images / name).is_file()]
    if missing:
        print(f"edges: {arguments.images} lacks {', '.join(missing)}; name a folder with --images.")
        return
    modules: dict[str, ModuleType] = {}
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
