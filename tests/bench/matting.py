"""Compare alpha matting with rembg's, in one process and in turn.

    python tests/bench/matting.py [FOLDER] [--quick] [--rounds N] [--sizes 1024 2048] [--only speed]

FOLDER holds photos and rembg's own cut-outs of them: ``NAME.jpg`` and
``NAME.rembg-u2net.png``, and the lemur with its true alpha and foreground.

Speed: whole cut-outs (trimap, alpha, colours) of photos resized to each longer side, two
threads, compiled. Masks are as coarse as those of a network that sees 320×320.
Memory: peak that one cut-out adds, in a fresh process each.
Colours: subjects with known alpha and foreground are put over new backgrounds, cut out of
those, and put over three plain colours; the mean error of what one then sees, in levels.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

THREADS = 2
for _name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

PHOTOS = ("animal-1", "girl-1", "plants-1")
SUBJECTS = ("animal-1", "anime-girl-1", "car-1", "girl-1", "girl-2")
# times faster than rembg at a longer side of 1024, 2048, 4096
FASTER = {"closed-form": (6, 8, 8), "fast": (10, 15, 30), "guided": (40, 40, 40)}
SIZES = (1024, 2048, 4096)
# of rembg's peak memory
SMALLER = {"closed-form": (1 / 5, 1 / 7, 1 / 7)}
NETWORK = 320
BEHIND = ((255, 255, 255), (0, 0, 0), (220, 30, 160))

Case = tuple[Image.Image, Image.Image]


def as_a_network_finds(mask: Image.Image) -> Image.Image:
    small = mask.resize((NETWORK, NETWORK), Image.Resampling.LANCZOS)
    return small.resize(mask.size, Image.Resampling.LANCZOS)


def load(folder: Path, name: str, side: int) -> Case:
    """A photo of a longer side, and its mask."""
    photo = Image.open(folder / f"{name}.jpg").convert("RGB")
    mask = Image.open(folder / f"{name}.rembg-u2net.png").getchannel("A")
    scale = side / max(photo.size)
    size = round(photo.width * scale), round(photo.height * scale)
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    return photo, as_a_network_finds(mask.resize(size, Image.Resampling.LANCZOS))


def ours(method: str) -> Callable[[Case], Image.Image]:
    from rembg_sessions.core.imaging.composite import cut_out
    from rembg_sessions.core.imaging.foreground import estimate_edge_colours
    from rembg_sessions.core.matting.methods import MattingOptions, find_matte

    def run(case: Case) -> Image.Image:
        pixels, mask = np.asarray(case[0]), np.asarray(case[1])
        matte = find_matte(pixels, mask, options=MattingOptions(method=method))
        if matte.method != method:
            raise SystemExit(f"{method} was not used: {matte.warning}")
        return cut_out(pixels, matte.alpha, estimate_edge_colours(pixels, matte.alpha, solved=True))

    return run


def theirs(case: Case) -> Image.Image:
    from rembg.bg import alpha_matting_cutout

    return alpha_matting_cutout(*case, 240, 10, 10)


def function(name: str) -> Callable[[Case], Image.Image]:
    return theirs if name == "rembg" else ours(name)


# -- speed and memory ------------------------------------------------------------------------


def speed(folder: Path, sizes: list[int], rounds: int, photos: list[str]) -> None:
    methods = ["rembg", *FASTER]
    functions = {name: function(name) for name in methods}
    warm_up(functions, load(folder, photos[0], 300))
    print(f"seconds, medians of {rounds} rounds in turn, {THREADS} threads, compiled and warm")
    print(f"{'side  photo':<20}{'unknown':>9}" + "".join(f"{name:>20}" for name in methods))
    ratios: dict[tuple[str, int], list[float]] = {}
    for side in sizes:
        for photo in photos:
            case = load(folder, photo, side)
            taken: dict[str, list[float]] = {name: [] for name in methods}
            for turn in range(rounds + 1):
                for name in methods:
                    if name == "rembg" and turn > max(1, rounds * 1024 // side):
                        continue
                    start = time.perf_counter()
                    functions[name](case)
                    if turn:  # the first is for warming up
                        taken[name].append(time.perf_counter() - start)
            medians = {name: statistics.median(times) for name, times in taken.items()}
            line = f"{side:>4}  {photo:<14}{100 * unknown_share(case):>8.1f}%"
            for name, seconds in medians.items():
                ratio = medians["rembg"] / seconds
                ratios.setdefault((name, side), []).append(ratio)
                line += f"{seconds:>12.3f} {ratio:>6.1f}×"
            print(line, flush=True)
    print("\ntimes faster than rembg: median, range, target")
    for name, targets in FASTER.items():
        for side, target in zip(SIZES, targets, strict=True):
            if side in sizes:
                found = ratios[name, side]
                span = f"{min(found):.1f}–{max(found):.1f}"
                print(f"{name:<14}{side:>5}{statistics.median(found):>8.1f}{span:>14}{target:>5}")


def warm_up(functions: dict[str, Callable[[Case], Image.Image]], case: Case) -> None:
    """Load what is loaded on first use, and wait for compiled code."""
    from rembg_sessions.core.matting.closed_form.numba_backend import wait_until_compiled

    wait_until_compiled()
    for run in functions.values():
        run(case)


def unknown_share(case: Case) -> float:
    from rembg_sessions.core.matting.trimap import trimap_from_mask

    return float((trimap_from_mask(np.asarray(case[1])) == 0.5).mean())


def memory(folder: Path, sizes: list[int], photo: str) -> None:
    print(f"\npeak MB that a cut-out of {photo} adds, and share of rembg's; target")
    for side in sizes:
        peaks: dict[str, float] = {}
        for name in ("rembg", *FASTER):
            command = [sys.executable, __file__, str(folder), "--peak", name, photo, str(side)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[name] = float(done.stdout.split()[-1])
        line = f"{side:>5}"
        for name, peak in peaks.items():
            target = SMALLER.get(name, {})
            aim = f" (≤ {target[SIZES.index(side)]:.2f})" if target and side in SIZES else ""
            line += f"   {name} {peak:.0f}"
            line += f" = {peak / peaks['rembg']:.2f}{aim}" if name != "rembg" else ""
        print(line, flush=True)


def print_peak(folder: Path, name: str, photo: str, side: int) -> None:
    run = function(name)
    warm_up({name: run}, load(folder, photo, 300))
    case = load(folder, photo, side)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far; Linux only
    before = status("VmRSS")
    run(case)
    print((status("VmHWM") - before) / 1024)


def status(field: str) -> int:
    """Return kB of a field of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0])


# -- colours ---------------------------------------------------------------------------------


def subjects(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names, true foreground colours and true alpha."""

    def read(name: str, mode: str) -> np.ndarray:
        return np.asarray(Image.open(folder / name).convert(mode))

    yield "lemur", read("lemur_foreground.png", "RGB"), read("lemur_alpha.png", "L")
    for name in SUBJECTS:
        cut = Image.open(folder / f"{name}.rembg-u2net.png")
        yield name, read(f"{name}.jpg", "RGB"), np.asarray(cut.getchannel("A"))


def grounds(folder: Path, height: int, width: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    beach = Image.open(folder / "beach.png").convert("RGB")
    yield np.asarray(beach.resize((width, height), Image.Resampling.LANCZOS))
    yield np.full((height, width, 3), (20, 180, 60), np.uint8)
    y, x = np.mgrid[:height, :width]
    graded = [40 + 150 * x / width, 60 + 100 * y / height, 200 - 120 * x / width]
    yield np.dstack(graded).astype(np.uint8)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    rough = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    yield np.asarray(rough)


def estimated(case: Case) -> Image.Image:
    from rembg_sessions.core.imaging.composite import cut_out
    from rembg_sessions.core.imaging.foreground import estimate_edge_colours

    pixels, alpha = np.asarray(case[0]), np.asarray(case[1], np.float32) / np.float32(255)
    return cut_out(pixels, alpha, estimate_edge_colours(pixels, alpha))


def cutters() -> dict[str, Callable[[Case], Image.Image]]:
    from rembg.bg import decontaminate_cutout, naive_cutout

    return {
        "rembg, naive": lambda case: naive_cutout(*case),
        "rembg, decontaminate": lambda case: decontaminate_cutout(*case),
        "rembg, alpha_matting": theirs,
        "ours, decontaminate": estimated,
        **{f"ours, {name}": ours(name) for name in FASTER},
    }


def colours(folder: Path) -> None:
    errors: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name, front, alpha in subjects(folder):
        share = alpha[..., None] / 255.0
        masks = {"true mask": Image.fromarray(alpha)}
        masks["coarse mask"] = as_a_network_finds(masks["true mask"])
        for ground in grounds(folder, *alpha.shape):
            picture = (share * front + (1 - share) * ground + 0.5).astype(np.uint8)
            for kind, mask in masks.items():
                is_soft = (alpha > 2) & (alpha < 253)
                is_soft |= (np.asarray(mask) > 2) & (np.asarray(mask) < 253)
                for label, cut in cutters().items():
                    cutout = np.asarray(cut((Image.fromarray(picture), mask)), np.float64)
                    error = 0.0
                    for behind in BEHIND:
                        seen = cutout[..., 3:] / 255
                        over = cutout[..., :3] * seen + np.array(behind) * (1 - seen)
                        true = share * front + np.array(behind) * (1 - share)
                        error += float(np.abs(over - true)[is_soft].mean()) / len(BEHIND)
                    errors.setdefault((kind, label), {}).setdefault(name, []).append(error)
    print("\nmean error of composites in soft pixels, levels of 255")
    names = ["lemur", *SUBJECTS]
    print(f"{'':<34}" + "".join(f"{name:>14}" for name in names) + f"{'mean':>9}")
    for (kind, label), found in errors.items():
        means = [statistics.mean(found[name]) for name in names]
        line = f"{kind:<12}{label:<22}" + "".join(f"{mean:>14.2f}" for mean in means)
        print(line + f"{statistics.mean(means):>9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = Path(__file__).resolve().parents[3] / "shared" / "images"
    parser.add_argument("folder", type=Path, nargs="?", default=shared)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--photos", nargs="+", default=list(PHOTOS))
    parser.add_argument("--only", default="", help="speed, memory or colours")
    parser.add_argument("--quick", action="store_true", help="one round at 1024, no memory figures")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        name, photo, side = options.peak
        print_peak(options.folder, name, photo, int(side))
        return
    if not options.folder.is_dir():
        print(f"matting: there is no folder {options.folder}; name one with photos.")
        return
    if options.quick:
        options.sizes, options.rounds = options.sizes[:1], 1
    if options.only in "speed":
        speed(options.folder, options.sizes, options.rounds, options.photos)
    if options.only in "memory" and not options.quick:
        memory(options.folder, options.sizes, options.photos[0])
    if options.only in "colours":
        colours(options.folder)


if __name__ == "__main__":
    main()
