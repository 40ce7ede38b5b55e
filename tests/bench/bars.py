"""Draws ratios as bars: the README's picture of how this pack compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # for screens of high resolution
LABELS, PANEL, BAR, GAP, TOP = 210, 250, 18, 10, 34  # pixels
Ink = tuple[int, int, int]
WHITE, INK, GREY, COLOUR = (255,) * 3, (60, 60, 60), (170, 170, 170), (46, 125, 90)
SIZE = 13  # of letters


def draw(rows: Mapping[str, Sequence[float]], panels: Sequence[str], path: Path) -> None:
    """Write a picture of bars, for each row one in every panel, which is headed by its name.

    The line at 1 is what they are compared with.
    """
    height = TOP + len(rows) * (BAR + GAP)
    size = LABELS + len(panels) * PANEL, height
    picture = Image.new("RGB", (SCALE * size[0], SCALE * size[1]), WHITE)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(SCALE * SIZE)

    def write(x: float, y: float, text: str, anchor: str, ink: Ink = INK) -> None:
        pen.text((SCALE * x, SCALE * y), text, ink, font, anchor)

    length = PANEL * 0.75  # of a bar that says 1
    for place, name in enumerate(panels):
        left = LABELS + place * PANEL
        write(left, TOP / 3, name, "lm")
        for row, values in enumerate(rows.values()):
            top = TOP + row * (BAR + GAP)
            box = (left, top, left + values[place] * length, top + BAR)
            pen.rectangle([SCALE * each for each in box], COLOUR)
            write(box[2] - 5, top + BAR / 2, f"{values[place]:.2f}", "rm", WHITE)
        line = (left + length, TOP - 6, left + length, height)
        pen.line([SCALE * each for each in line], GREY, SCALE)
    for row, label in enumerate(rows):
        write(LABELS - 10, TOP + row * (BAR + GAP) + BAR / 2, label, "rm")
    picture.quantize(32).save(path, optimize=True)
