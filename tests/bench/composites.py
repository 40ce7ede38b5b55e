"""Pictures composed from known colours and alpha, and masks that are wrong in known ways."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

PHOTOS = ("animal-1", "anime-girl-1", "car-1", "girl-1", "girl-2")
BACKGROUNDS = ("beach.png", "plants-1.jpg", "car-1.jpg", "lemur.png")
# drawn subjects: oversampling, size (height, width)
FINE = 4
DRAWN = (480, 640)


def needed() -> list[str]:
    """Return the names of the pictures that everything is made of."""
    ends = (".jpg", ".rembg-u2net.png")
    photos = [f"{name}{end}" for name in PHOTOS for end in ends]
    return list(dict.fromkeys([*BACKGROUNDS, "lemur_alpha.png", "lemur_foreground.png", *photos]))


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

    def circle(pen: ImageDraw.ImageDraw, size: float, fill: int | None, **more: int) -> None:
        (cx, cy), r = middle, size * radius
        pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=fill, **more)

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
    for behind in ("black", "white", "green", "blue", "graded", "rough", *BACKGROUNDS[:2]):
        yield composed("lemur", colours, alpha, behind)
    for i, name in enumerate(PHOTOS):
        for behind in BACKGROUNDS:
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
