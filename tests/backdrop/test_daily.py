"""Plain backdrops of daily life: the answer is right, or says that it is unsure."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from rembg_sessions.core.backdrop.solve import CONFIDENT, solve

FINE = 4
"""How many times larger scenes are drawn."""


def sheet(size, ink=None):
    """A drawing (width, height), or its alpha, at ``FINE`` times its size; and its pen."""
    width, height = (FINE * side for side in size)
    drawn = Image.new("RGB" if ink else "L", (width, height), ink or 0)
    return drawn, ImageDraw.Draw(drawn)


def small(drawn):
    size = drawn.width // FINE, drawn.height // FINE
    return np.asarray(drawn.resize(size, Image.Resampling.BOX), np.float32)


def scaled(*numbers):
    return tuple(FINE * number for number in numbers)


def composed(colours, alpha, backdrop):
    return alpha[..., None] * colours + (1 - alpha[..., None]) * np.float32(backdrop)


def finished(picture, noise=0.0, jpeg=None, seed=1):
    rng = np.random.default_rng(seed)
    picture = picture + rng.normal(0, 1, picture.shape) * noise
    image = Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    if jpeg is None:
        return np.asarray(image)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=jpeg)
    return np.asarray(Image.open(file))


# -- scenes ----------------------------------------------------------------------------------
# each returns a picture, and the true alpha


def product():
    """A red bottle on white, with a soft shadow."""
    size = 600, 480
    shape, pen = sheet(size)
    pen.rounded_rectangle(scaled(240, 140, 360, 400), FINE * 24, 255)
    pen.rectangle(scaled(280, 80, 320, 150), 255)
    alpha = small(shape) / 255
    colours = np.full((480, 600, 3), (170, 30, 45), np.float32)
    colours *= np.linspace(0.7, 1.15, 600, dtype=np.float32)[None, :, None]
    cast = Image.new("L", size)
    ImageDraw.Draw(cast).ellipse((230, 380, 420, 420), 70)
    dark = np.asarray(cast.filter(ImageFilter.GaussianBlur(16)), np.float32) / 255
    backdrop = np.float32((248, 248, 247)) * (1 - dark[..., None])
    return finished(composed(np.minimum(colours, 255), alpha, backdrop), 0.8, 90), alpha


def sprite():
    """A sprite of hard pixels on magenta, enlarged."""
    rng = np.random.default_rng(3)
    half = rng.random((16, 8)) < 0.7
    shape = np.pad(np.concatenate([half, half[:, ::-1]], axis=1), 4)
    shape[10:14, 10:14] = True
    tones = rng.integers(30, 220, (24, 24, 3)) // (1, 2, 1)
    alpha = np.float32(shape).repeat(12, 0).repeat(12, 1)
    colours = np.float32(tones).repeat(12, 0).repeat(12, 1)
    return finished(composed(colours, alpha, (255, 0, 255))), alpha


def logo():
    """A blue ring with a bar, and large letters, on white; a JPEG."""
    shape, pen = sheet((640, 320))
    pen.ellipse(scaled(40, 60, 240, 260), 255)
    pen.ellipse(scaled(80, 100, 200, 220), 0)
    pen.rectangle(scaled(130, 60, 150, 260), 255)
    pen.text(scaled(280, 80), "BODE", 255, ImageFont.load_default(FINE * 110))
    alpha = small(shape) / 255
    return finished(composed(np.float32((20, 60, 160)), alpha, (255, 255, 255)), 0, 85), alpha


def small_text():
    """Lines of small text on white."""
    shape, pen = sheet((500, 240))
    for row, size in enumerate((14, 18, 24, 32)):
        pen.text(scaled(20, 15 + 52 * row), "Quick brown fox 1689", 255,
                 ImageFont.load_default(FINE * size))  # fmt: skip
    alpha = small(shape) / 255
    return finished(composed(np.float32((30, 30, 30)), alpha, (255, 255, 255)), 0, 90), alpha


def signature():
    """A signature on paper, photographed: uneven light, grain, and a JPEG."""
    shape, pen = sheet((640, 360))
    t = np.linspace(0, 1, 200)
    x, y = 80 + 460 * t + 30 * np.sin(19 * t), 190 + 70 * np.sin(23 * t) * (1.1 - t)
    pen.line([scaled(*dot) for dot in zip(x, y, strict=True)], 255, FINE * 5, "curve")
    alpha = small(shape) / 255
    across, down = np.linspace(-1, 1, 640), np.linspace(-1, 1, 360)[:, None]
    light = np.float32(0.93 - 0.1 * across - 0.05 * down**2)
    paper = np.float32((236, 230, 218)) * light[..., None]
    return finished(composed(np.float32((25, 35, 110)), alpha, paper), 2.5, 88), alpha


def icon():
    """A rounded square with a white arrow in it, on grey."""
    shape, pen = sheet((256, 256))
    pen.rounded_rectangle(scaled(40, 40, 216, 216), FINE * 36, 255)
    colours, pen = sheet((256, 256), (240, 120, 30))
    pen.polygon(scaled(100, 80, 100, 176, 180, 128), (255, 255, 255))
    alpha = small(shape) / 255
    return finished(composed(small(colours), alpha, (236, 236, 236))), alpha


def green_screen():
    """A head with blurred hair before a green screen, with its spill, noise, and a JPEG."""
    shape, pen = sheet((560, 420))
    pen.ellipse(scaled(200, 80, 360, 280), 255)
    pen.ellipse(scaled(130, 270, 430, 560), 255)
    alpha = small(shape.filter(ImageFilter.GaussianBlur(FINE * 2))) / 255
    blurred = Image.fromarray(np.uint8(255 - 255 * alpha)).filter(ImageFilter.BoxBlur(20))
    near = np.asarray(blurred, np.float32)[..., None] / 255
    colours = np.float32((190, 140, 115)) * (1 - 0.25 * near) + np.float32((10, 90, 20)) * near
    light = np.linspace(1.05, 0.9, 560, dtype=np.float32)[None, :, None]
    screen = np.float32((40, 175, 70)) * light
    return finished(composed(colours, alpha, screen), 2, 88), alpha


def video_frame(noise=3):
    """A frame of a blue screen, strongly compressed."""
    shape, pen = sheet((640, 360))
    pen.ellipse(scaled(240, 60, 380, 220), 255)
    pen.rectangle(scaled(220, 200, 400, 360), 255)
    alpha = small(shape.filter(ImageFilter.GaussianBlur(FINE))) / 255
    colours = np.full((360, 640, 3), (200, 170, 60), np.float32)
    colours[240:] = (90, 30, 30)
    return finished(composed(colours, alpha, (30, 70, 190)), noise, 60), alpha


def noisy_frame():
    """The same in bad light."""
    return video_frame(noise=7)


CLEAR = (product, sprite, logo, signature, icon, green_screen, video_frame)
# thin strokes have little of which anything is certain, and noise hides what is plain
UNCLEAR = (small_text, noisy_frame)


@pytest.mark.parametrize("scene", CLEAR)
def test_a_scene_of_daily_life_comes_out_right(scene):
    image, truth = scene()
    found = solve(image)
    assert found.confidence >= CONFIDENT
    is_found, is_true = found.alpha > 0.5, truth > 0.5
    assert (is_found & is_true).sum() > 0.97 * (is_found | is_true).sum()
    assert np.abs(found.alpha - truth).mean() < 0.005


@pytest.mark.parametrize("scene", UNCLEAR)
def test_an_unclear_scene_says_so(scene):
    assert solve(scene()[0]).confidence < CONFIDENT


# -- holes -----------------------------------------------------------------------------------


def rings(back, ink, jpeg, holes=(10, 14, 16, 20, 28)):
    """Rings with strokes of six pixels: a picture, and the middles of their holes."""
    colours, pen = sheet((400, 120), back)
    middles = []
    for place, hole in enumerate(holes):
        x, y, r = 50 + 70 * place, 60, hole / 2
        pen.ellipse(scaled(x - r - 6, y - r - 6, x + r + 6, y + r + 6), ink)
        pen.ellipse(scaled(x - r, y - r, x + r, y + r), back)
        middles.append((y, x))
    return finished(small(colours), 0, jpeg), middles


@pytest.mark.parametrize("jpeg", [None, 95, 85])
@pytest.mark.parametrize(
    ("back", "ink"),
    [
        ((255, 255, 255), (20, 20, 20)),
        ((255, 255, 255), (200, 30, 40)),
        ((30, 160, 70), (240, 240, 240)),
        ((230, 225, 210), (40, 60, 140)),
    ],
)
def test_small_holes_are_open_though_jpeg_rings_in_them(back, ink, jpeg):
    image, middles = rings(back, ink, jpeg)
    alpha = solve(image).alpha
    assert [alpha[at] < 0.05 for at in middles[1:]] == [True] * (len(middles) - 1)
    if jpeg is None:
        assert alpha[middles[0]] < 0.05


# -- parts of nearly the backdrop's colour ----------------------------------------------------


def banded(distance, jpeg, noise):
    """A teal block with a cream band so many levels from the wall: a picture, and the band."""
    wall = np.float32((240, 236, 226))
    alpha = np.zeros((400, 400), np.float32)
    alpha[100:320, 120:280] = 1
    colours = np.full((400, 400, 3), (33, 107, 133), np.float32)
    colours[180:230] = wall + distance * np.float32((0.3, -0.3, -0.9))
    band = np.zeros(alpha.shape, bool)
    band[180:230, 120:280] = True
    return finished(composed(colours, alpha, wall), noise, jpeg), band


@pytest.mark.parametrize("distance", [8, 10, 12])
@pytest.mark.parametrize("jpeg", [None, 95, 85, 75])
@pytest.mark.parametrize("noise", [0, 1.5])
def test_a_band_near_the_wall_is_no_ringing(distance, jpeg, noise):
    image, band = banded(distance, jpeg, noise)
    found = solve(image)
    # at quality 75 the steps of JPEG are as large as the band's distance
    assert found.alpha[band].mean() > (0.9 if jpeg is None or jpeg == 95 else 0.7)


def labelled(wall, label, body, jpeg, height=60):
    """A jar with a label across its whole width."""
    shape, pen = sheet((600, 480))
    pen.rounded_rectangle(scaled(200, 100, 400, 400), FINE * 24, 255)
    colours, pen = sheet((600, 480), body)
    pen.rectangle(scaled(200, 220, 400, 220 + height), label)
    alpha = small(shape) / 255
    return finished(composed(small(colours), alpha, wall), 0.8, jpeg), alpha


@pytest.mark.parametrize("jpeg", [None, 95, 85, 75])
@pytest.mark.parametrize("height", [30, 80])
@pytest.mark.parametrize(
    ("wall", "label", "body"),
    [
        ((225, 215, 195), (219, 209, 189), (60, 40, 30)),
        ((225, 215, 195), (231, 221, 201), (20, 60, 90)),
        ((250, 250, 249), (240, 240, 239), (120, 20, 30)),
        ((150, 160, 170), (144, 154, 162), (30, 30, 30)),
    ],
    ids=["cream", "brighter", "white", "grey"],
)
def test_a_label_ten_levels_from_the_wall_stays(wall, label, body, height, jpeg):
    """Though beside the strong edges above and below it that much might be ringing."""
    image, truth = labelled(wall, label, body, jpeg, height)
    found = solve(image)
    assert found.confidence >= CONFIDENT
    assert np.abs(found.alpha - truth).mean() < 0.005
