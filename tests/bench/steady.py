"""Steady frames against frames on their own, on clips whose alpha is known.

    python tests/bench/steady.py [--images FOLDER]

A cut-out (the lemur of pymatting's example, in FOLDER, or else a drawn one) moves over a picture,
a thin fast stick turns beside it, and after half of the clip there is a cut to another
background. Its true alpha is then spoilt as networks spoil it:

- ``edges``: the outline wanders by a pixel or two, another way in each frame
- ``parts``: besides, parts drop out, and others appear, for one to four frames
- ``stretch``: the answer is stretched to 0..1 frame by frame, though it never reaches 1

Flicker is the mean change of the error between two frames; error the mean distance from the true
alpha; trail the same over the pixels that the stick has just left or reached. All in thousandths.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIZE_HW = (270, 480)
FRAMES = 48


def clip(images: Path | None, size_hw=SIZE_HW, frames=FRAMES) -> Iterator[tuple[Any, Any, Any]]:
    """Yield pictures (H, W, 3), their true alpha, and where the stick was or will be."""
    height, width = size_hw
    colours, alpha = _cutout(images, height * 4 // 5)
    scenes = [_texture(size_hw, seed) for seed in (1, 2)]
    if images is not None:
        beach = Image.open(images / "beach.png").convert("RGB")
        scenes[0] = np.asarray(beach.resize((width, height)), np.float32)
    sticks = [_stick(size_hw, at) for at in range(-1, frames + 1)]
    for at in range(frames):
        scene = scenes[at >= frames // 2]
        x = width * (0.08 + 0.45 * at / FRAMES) + 4 * np.sin(at / 3)
        y = height * 0.15 + 5 * np.cos(at / 4)
        found = _paste(alpha, size_hw, x, y)
        layer = np.stack([_paste(colours[..., i], size_hw, x, y) for i in range(3)], -1)
        stick = sticks[at + 1]
        truth = np.maximum(found, stick)
        layer = np.where((stick > found)[..., None], np.float32((200, 60, 40)), layer)
        picture = layer * truth[..., None] + scene * (1 - truth[..., None])
        noise = np.random.default_rng(at).normal(0, 2, picture.shape)
        near = np.maximum(np.maximum(sticks[at], sticks[at + 2]), stick) > 0.5
        yield np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8), truth, near


def _cutout(images: Path | None, height: int) -> tuple[Any, Any]:
    if images is not None:
        picture = Image.open(images / "lemur_foreground.png").convert("RGB")
        mask = Image.open(images / "lemur_alpha.png").convert("L")
        size = (round(picture.width * height / picture.height), height)
        return (
            np.asarray(picture.resize(size), np.float32),
            np.asarray(mask.resize(size), np.float32) / 255,
        )
    y, x = np.mgrid[:height, :height] / height
    distance = np.hypot(x - 0.5, y - 0.5) - 0.33 - 0.05 * np.sin(7 * np.arctan2(y - 0.5, x - 0.5))
    alpha = np.clip(0.5 - distance * height / 3, 0, 1).astype(np.float32)
    return _texture((height, height), 3) * 0.7 + 60, alpha


def _texture(size_hw: tuple[int, int], seed: int) -> Any:
    rng = np.random.default_rng(seed)
    result = np.zeros((*size_hw, 3), np.float32)
    for grid, weight in ((5, 0.6), (24, 0.3), (90, 0.1)):
        small = Image.fromarray(rng.integers(0, 256, (grid, grid, 3), dtype=np.uint8))
        scaled = small.resize(size_hw[::-1], Image.Resampling.BICUBIC)
        result += np.asarray(scaled, np.float32) * weight
    return result


def _stick(size_hw: tuple[int, int], at: int) -> Any:
    """A stick that swings by more than its width each frame."""
    height, width = size_hw
    angle = -1.2 + 0.9 * np.sin(at * 0.55)
    base = (width * 0.72, height * 0.95)
    tip = (base[0] + height * 0.7 * np.sin(angle), base[1] - height * 0.7 * np.cos(angle))
    big = Image.new("L", (width * 2, height * 2))
    line = [tuple(2 * value for value in point) for point in (base, tip)]
    ImageDraw.Draw(big).line(line, fill=255, width=max(2, height // 22))
    return np.asarray(big.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def _paste(values: Any, size_hw: tuple[int, int], x: float, y: float) -> Any:
    moved = Image.fromarray(values).transform(
        size_hw[::-1], Image.Transform.AFFINE, (1, 0, -x, 0, 1, -y), Image.Resampling.BILINEAR
    )
    return np.asarray(moved, np.float32)


def spoil(truths: list[Any], kind: str) -> list[Any]:
    """Return what a network might have said of a clip."""
    from scipy import ndimage

    rng = np.random.default_rng(5)
    height, width = truths[0].shape
    found = []
    for truth in truths:
        shift = [
            ndimage.zoom(rng.normal(0, 1.3, (7, 12)), (height / 7, width / 12), order=3)
            for _ in range(2)
        ]
        grid = np.mgrid[:height, :width].astype(np.float32)
        alpha = ndimage.map_coordinates(truth, grid + np.stack(shift), order=1, mode="nearest")
        found.append(alpha.astype(np.float32))
    if kind == "parts":
        y, x = np.mgrid[:height, :width]
        for number in range(len(truths) // 2):
            start, length = int(rng.integers(0, len(truths))), int(rng.integers(1, 5))
            drops = number % 3 > 0
            inside = np.argwhere(truths[start] > 0.9 if drops else truths[start] < 0.1)
            cy, cx = inside[rng.integers(len(inside))]
            ry, rx = rng.uniform(0.05, 0.14, 2) * height
            blob = np.hypot((y - cy) / ry, (x - cx) / rx) < 1
            for at in range(start, min(start + length, len(truths))):
                found[at] = np.where(blob, 1.0 - drops, found[at]).astype(np.float32)
    if kind == "stretch":
        for at, alpha in enumerate(found):
            weak = alpha * np.float32(rng.uniform(0.8, 0.95)) + np.float32(rng.uniform(0, 0.04))
            found[at] = np.clip(weak, 0, 1)
    return found


def measure(found: Iterable[Any], truths: list[Any], near: list[Any]) -> tuple[float, float, float]:
    """Return flicker, error and trail, in thousandths."""
    errors = [alpha - truth for alpha, truth in zip(found, truths, strict=True)]
    changes = [
        np.abs(later - earlier).mean()
        for at, (earlier, later) in enumerate(pairwise(errors), 1)
        if at != len(errors) // 2  # the cut
    ]
    error = np.mean([np.abs(each).mean() for each in errors])
    trail = np.mean([np.abs(each[where]).mean() for each, where in zip(errors, near, strict=True)])
    return float(1000 * np.mean(changes)), float(1000 * error), float(1000 * trail)


def plain_median(frames: list[tuple[Any, list[Any]]]) -> Iterator[list[Any]]:
    """Take the median of three alphas, pixel by pixel."""
    alphas = [alpha for _, (alpha,) in frames]
    padded = [alphas[0], *alphas, alphas[-1]]
    for three in zip(padded, padded[1:], padded[2:], strict=False):
        yield [np.median(three, axis=0)]


def main() -> None:
    """Print the table."""
    from rembg_sessions.core.imaging.steady import steady

    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--images", type=Path, help="a folder with pymatting's lemur")
    images = arguments.parse_args().images
    pictures, truths, near = zip(*clip(images), strict=True)
    ways: dict[str, Callable[[Any], Iterator[list[Any]]]] = {
        "on their own": lambda frames: (alphas for _, alphas in frames),
        "plain median": plain_median,
        "steady": steady,
    }
    print(f"{'':24}{'flicker':>9}{'error':>9}{'trail':>9}{'ms':>7}")
    for kind in ("true", "edges", "parts", "stretch"):
        spoilt = list(truths) if kind == "true" else spoil(list(truths), kind)
        frames = [(picture, [alpha]) for picture, alpha in zip(pictures, spoilt, strict=True)]
        for name, way in ways.items():
            began = time.perf_counter()
            found = [alphas[0] for alphas in way(frames)]
            each = 1000 * (time.perf_counter() - began) / len(frames)
            flicker, error, trail = measure(found, list(truths), list(near))
            print(f"{kind:9}{name:15}{flicker:9.2f}{error:9.2f}{trail:9.2f}{each:7.0f}")


if __name__ == "__main__":
    sys.exit(main())
