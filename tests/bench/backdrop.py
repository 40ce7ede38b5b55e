"""Measure the `backdrop` model on pictures composed from cut-outs with known alpha.

    python tests/bench/backdrop.py [--images FOLDER] [--scenes NAME ...] [--quick]

Prints one row per picture, the means against the targets, the lemur against closed-form
matting from a perfect mask, the confidence on photos without a plain backdrop, and medians
of time and peak memory. ``--quick`` leaves out closed-form matting, time and memory.
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

from rembg_sessions.core import backdrop

IMAGES = Path(__file__).resolve().parents[3] / "shared" / "images"
PHOTOS = ("animal-1", "anime-girl-1", "car-1", "girl-1", "girl-2", "plants-1")
SOFT = (0.02, 0.98)
TARGETS = {"iou": 0.97, "mae": 0.008, "band": 0.10}


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


def load_cutouts(folder: Path) -> list[Cutout]:
    """Read the subjects, cropped to their extent with a margin where they end inside."""
    from rembg_sessions.core.matting import estimate_foreground_ml

    def grey(name: str) -> np.ndarray:
        return np.asarray(Image.open(folder / name).convert("L"), np.float32) / 255

    found = []
    colours = np.asarray(Image.open(folder / "lemur_foreground.png").convert("RGB"))
    found.append(_cropped("lemur", colours, grey("lemur_alpha.png")))
    for name in PHOTOS:
        with Image.open(folder / f"{name}.rembg-u2net.png") as cut:
            alpha = np.asarray(cut.getchannel("A"), np.float32) / 255
        photo = np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB"))
        found.append(_cropped(name, estimate_foreground_ml(photo, alpha), alpha))
    return found


def _cropped(name: str, colours: np.ndarray, alpha: np.ndarray) -> Cutout:
    rows, columns = (np.flatnonzero((alpha > 0.1).any(axis=axis)) for axis in (1, 0))
    margin = round(0.15 * max(np.ptp(rows), np.ptp(columns)))
    box = np.s_[
        max(0, rows[0] - margin) : rows[-1] + 1 + margin,
        max(0, columns[0] - margin) : columns[-1] + 1 + margin,
    ]
    # masks of networks have specks far outside their subject
    alpha = np.where(alpha < SOFT[0], 0, alpha)[box]
    return Cutout(name, colours[box], alpha)


def arranged(cutout: Cutout, how: str) -> Cutout:
    """Put the subject against a border, twice in the picture, or punch a hole into it."""
    colours, alpha = cutout.colours, cutout.alpha
    height, width = alpha.shape
    if how == "border":
        left = int(np.flatnonzero((alpha > 0.5).any(axis=0))[0] + 0.2 * width)
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
