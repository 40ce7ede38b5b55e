"""Draws the mark of the pack: a thistle that is cut out of its backdrop.

    python tests/tools/mark.py    writes web/icon.png and web/banner.png

A thistle, because its hair is what background removal is hard for; the sample picture shows one,
too. On the left is the backdrop, on the right what is left without it.
"""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

WEB = Path(__file__).resolve().parents[2] / "web"
ICON, BANNER = WEB / "icon.png", WEB / "banner.png"
ICON_SIDE = 400
BANNER_SIZE = (1260, 540)  # 21:9, as the registry of ComfyUI shows it

Colour = tuple[int, int, int]
BACKDROP = ((52, 38, 128), (22, 18, 66))  # at its top and bottom, as all pairs
HAIR = ((255, 122, 190), (146, 62, 236))
BULB = ((84, 200, 132), (16, 112, 92))
STEM, SCALES = (16, 112, 92), (28, 128, 100)
SQUARES = ((244, 245, 250), (206, 211, 224))
TITLE, WORDS = (255, 255, 255), (222, 214, 255)

# Places and lengths are shares of the side of the square that the thistle stands in.
Point = tuple[float, float]
HEART = (0.5, 0.62)  # where the hair comes out of the bulb
BULB_AT = (0.5, 0.72)
STRANDS, LENGTH, WIDTH = 17, 0.54, 0.066
FAN = math.radians(60)  # between the middle strand and the outermost


def icon() -> Image.Image:
    """Draw the icon: RGBA, with round corners."""
    side = 4 * ICON_SIDE  # drawn larger and averaged, as the banner is
    picture = ground((side, side), 0.5, side // 8, side / 90)
    picture.paste(flower := thistle(side), (0, 0), flower)
    # without the last bit of its levels, which nobody sees, the file is a tenth smaller
    picture = picture.resize((ICON_SIDE, ICON_SIDE), Image.Resampling.BOX)
    picture = picture.point([level | 1 for level in range(256)] * 3)
    corners = Image.new("L", (side, side))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, side - 1, side - 1), side / 5, 255)
    picture.putalpha(corners.resize((ICON_SIDE, ICON_SIDE), Image.Resampling.BOX))
    return picture


def banner() -> Image.Image:
    """Draw the banner, RGB."""
    width, height = 2 * BANNER_SIZE[0], 2 * BANNER_SIZE[1]
    picture = ground((width, height), 0.72, height // 9, height / 60)
    side = round(0.98 * height)
    flower = thistle(side)
    picture.paste(flower, (round(0.72 * width - side / 2), height - side), flower)
    draw = ImageDraw.Draw(picture)
    for text, below, size, colour in (
        ("rembg-sessions", 0.36, 164, TITLE),
        ("Background removal", 0.52, 62, WORDS),
        ("for ComfyUI, Python and the shell", 0.615, 62, WORDS),
    ):
        place = (round(0.055 * width), round(below * height))
        draw.text(place, text, colour, ImageFont.load_default(size), "ls")
    return picture.resize(BANNER_SIZE, Image.Resampling.BOX)


def ground(size: tuple[int, int], middle: float, tile: int, softness: float) -> Image.Image:
    """Draw the backdrop and, right of ``middle``, nothing; one fades into the other."""
    (width, height), lean = size, 0.09 * size[1]
    right = Image.new("L", size)
    at = middle * width
    corners = [(at + lean, 0), (width, 0), size, (at - lean, height)]
    ImageDraw.Draw(right).polygon(corners, 255)
    right = right.filter(ImageFilter.GaussianBlur(softness))
    return Image.composite(checkerboard(size, tile), vertical(size, BACKDROP), right)


def checkerboard(size: tuple[int, int], tile: int) -> Image.Image:
    picture = Image.new("RGB", size, SQUARES[0])
    draw = ImageDraw.Draw(picture)
    for top in range(0, size[1], tile):
        for left in range(0, size[0], tile):
            if (top + left) // tile % 2:
                draw.rectangle((left, top, left + tile - 1, top + tile - 1), SQUARES[1])
    return picture


def vertical(size: tuple[int, int], colours: tuple[Colour, Colour]) -> Image.Image:
    share = Image.linear_gradient("L").resize(size, Image.Resampling.BILINEAR)
    top, bottom = (Image.new("RGB", size, colour) for colour in colours)
    return Image.composite(bottom, top, share)


def thistle(side: int) -> Image.Image:
    """Draw the thistle on nothing, RGBA."""
    picture = Image.new("RGBA", (side, side))
    bulb, scales = bulb_and_scales(side)
    for shape, colours, top, bottom in (
        (hair(side), HAIR, HEART[1] - LENGTH, HEART[1]),
        (stem(side), (STEM, STEM), 0, 1),
        (bulb, BULB, BULB_AT[1] - 0.09, BULB_AT[1] + 0.14),
        (scales, (SCALES, SCALES), 0, 1),
    ):
        paint = Image.new("RGB", (side, side), colours[1])
        height = round((bottom - top) * side)
        paint.paste(vertical((side, height), colours), (0, round(top * side)))
        paint.putalpha(shape)
        picture.alpha_composite(paint)
    return picture


def hair(side: int) -> Image.Image:
    shape = Image.new("L", (side, side))
    for number in range(STRANDS):
        place = 2 * number / (STRANDS - 1) - 1
        length = LENGTH * (1 - 0.27 * place**2) * (0.84 if number % 2 else 1)
        ImageDraw.Draw(shape).polygon(scaled(strand(FAN * place, length), side), 255)
    return shape


def strand(angle: float, length: float) -> list[Point]:
    """Return the outline of one hair, which leaves half upright, bends, and tapers."""
    left: list[Point] = []
    right: list[Point] = []
    for step in range(25):
        t = step / 24
        bend = angle * (0.55 + 0.45 * t)
        x = HEART[0] + 0.11 * math.sin(angle) + length * t * math.sin(bend)
        y = HEART[1] + 0.06 - length * t * math.cos(bend)
        half = WIDTH / 2 * (1 - t**1.6) + 0.0012
        left.append((x - half * math.cos(bend), y - half * math.sin(bend)))
        right.append((x + half * math.cos(bend), y + half * math.sin(bend)))
    return left + right[::-1]


def stem(side: int) -> Image.Image:
    middle = [(0.5 + 0.02 * math.sin(0.12 * i), 0.8 + 0.011 * i) for i in range(21)]
    outline = [(x - 0.032, y) for x, y in middle] + [(x + 0.032, y) for x, y in middle[::-1]]
    shape = Image.new("L", (side, side))
    ImageDraw.Draw(shape).polygon(scaled(outline, side), 255)
    return shape


def bulb_and_scales(side: int) -> tuple[Image.Image, Image.Image]:
    x, y = BULB_AT
    bulb, lines = Image.new("L", (side, side)), Image.new("L", (side, side))
    draw = ImageDraw.Draw(bulb)
    draw.ellipse([v * side for v in (x - 0.155, y - 0.15, x + 0.155, y + 0.14)], 255)
    draw.ellipse([v * side for v in (x - 0.25, y - 0.32, x + 0.25, y - 0.072)], 0)
    draw = ImageDraw.Draw(lines)
    for number in range(-3, 8):
        start = x - 0.39 + 0.13 * number
        for slope in (0.36, -0.36):
            ends = [(start, y - 0.2), (start + slope, y + 0.2)]
            draw.line(scaled(ends, side), 255, round(side / 100))
    return bulb, ImageChops.multiply(lines, bulb)


def scaled(points: list[Point], side: int) -> list[Point]:
    return [(x * side, y * side) for x, y in points]


if __name__ == "__main__":
    icon().save(ICON, optimize=True)
    banner().save(BANNER, optimize=True)
