"""Draws the sample picture: a thistle in front of a graded backdrop.

    python tests/sample/draw.py

Thousands of hairs thinner than a pixel make its edge; one stem leaves the picture.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 1024
FINE = 3  # drawn this much larger, then averaged: that makes the soft edges
TARGET = Path(__file__).with_name("thistle.jpg")


def draw_layer(rng: random.Random) -> Image.Image:
    """Draw the plant, RGBA with straight alpha, at ``FINE`` times the size."""
    side = SIDE * FINE
    layer = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(layer)
    cx, cy = 0.5 * side, 0.42 * side

    def line(points: list[tuple[float, float]], colour: tuple[int, ...], width: float) -> None:
        draw.line(points, fill=colour, width=max(1, round(width)), joint="curve")

    stem = [(cx + 60 * FINE * t * t, cy + (side - cy + 10) * t) for t in np.linspace(0, 1, 60)]
    line(stem, (122, 140, 62, 255), 13 * FINE)
    line([(x - 2.5 * FINE, y) for x, y in stem], (160, 176, 92, 255), 3 * FINE)

    radius = 238 * FINE
    draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=(126, 48, 116, 255))
    for _ in range(14000):  # hairs, denser and longer than the head they grow from
        angle, start = rng.uniform(0, 2 * math.pi), 232 * FINE * rng.uniform(0, 1) ** 0.4
        length = rng.uniform(20, 48) * FINE
        bend = angle + rng.uniform(-0.5, 0.5)
        foot = (cx + start * math.cos(angle), cy + start * math.sin(angle))
        tip = (foot[0] + length * math.cos(bend), foot[1] + length * math.sin(bend))
        shade = rng.uniform(0.7, 1)
        tone = tuple(round(shade * level) for level in (196, 84, 168))
        line([foot, tip], (*tone, 255), 1 if rng.random() < 0.7 else 2)
    return layer


def draw_backdrop() -> np.ndarray:
    """Return the backdrop, float (H, W, 3), 0..255: a gradient, darker in the corners."""
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    top, bottom = np.array([38.0, 92.0, 128.0]), np.array([112.0, 168.0, 186.0])
    graded = top + (bottom - top) * (0.85 * y + 0.15 * x)[..., None]
    return graded * (1 - 0.22 * np.hypot(x - 0.5, y - 0.5) ** 2)[..., None]


def main() -> None:
    layer = np.asarray(draw_layer(random.Random(7)).reduce(FINE), np.float64)
    alpha = layer[..., 3:] / 255
    picture = alpha * layer[..., :3] + (1 - alpha) * draw_backdrop()
    noise = np.random.default_rng(7).normal(0, 1, picture.shape)
    levels = np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)
    Image.fromarray(levels).save(TARGET, quality=92, subsampling=0)


if __name__ == "__main__":
    main()
