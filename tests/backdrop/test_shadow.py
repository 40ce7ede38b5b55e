"""A product on a seamless wall: its shadow goes or turns to black, and the product stays whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rembg_sessions.core.backdrop.solve import CONFIDENT, solve

SIZE, FINE = 400, 2
WALL = (219, 217, 212), (194, 189, 181)
TEAL, DARK, CREAM = (33, 107, 133), (38, 36, 36), (250, 246, 236)


def mug(size=SIZE):
    """Alpha of a mug with a handle."""
    side = FINE * size
    drawn = Image.new("L", (side, side))
    pen = ImageDraw.Draw(drawn)

    def box(*corners):
        return [corner * side for corner in corners]

    pen.ellipse(box(0.575, 0.385, 0.775, 0.665), 255)
    pen.ellipse(box(0.62, 0.43, 0.735, 0.62), 0)
    pen.rectangle(box(0.24, 0.30, 0.66, 0.765), 255)
    pen.ellipse(box(0.24, 0.72, 0.66, 0.81), 255)
    return np.asarray(drawn.resize((size, size), Image.Resampling.BOX), np.float32) / 255


def ball(size=SIZE):
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.clip((0.255 - np.hypot(x - 0.45, y - 0.55)) * size + 0.5, 0, 1).astype(np.float32)


def darkening(size=SIZE, strength=0.38, softness=1.0, second=0.0):
    """How dark the shadow is, 0..1: a wide cast, a dark contact, and perhaps a second cast."""
    y, x = ((np.mgrid[:size, :size] + 0.5) / size).astype(np.float32)

    def spot(at, radii, power):
        inside = ((x - at[0]) / radii[0]) ** 2 + ((y - at[1]) / (softness * radii[1])) ** 2
        return np.exp(-(inside**power))

    cast = np.maximum(spot((0.53, 0.815), (0.27, 0.045), 1.2),
                      0.92 * spot((0.47, 0.808), (0.205, 0.018), 2))  # fmt: skip
    return 1 - (1 - strength * cast) * (1 - second * spot((0.33, 0.79), (0.25, 0.06), 1))


def pictured(alpha, colour, dark, wall=WALL, tint=(1, 1, 1), noise=1.6, light=(1.0, 1.0)):
    """A picture; ``light`` is that of its subject, at the top and at the bottom."""
    size = len(alpha)
    y = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    backdrop = (1 - y) * np.float32(wall[0]) + y * np.float32(wall[1])
    backdrop = backdrop * (1 - dark[..., None] * np.float32(tint))
    subject = np.float32(colour) * (light[0] + (light[1] - light[0]) * y)
    picture = alpha[..., None] * np.minimum(subject, 255) + (1 - alpha[..., None]) * backdrop
    picture = picture + np.random.default_rng(1).normal(0, 1, picture.shape) * noise
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def grown(mask, pixels=4):
    wide = np.pad(mask, pixels)
    for axis in (0, 1):
        wide = np.lib.stride_tricks.sliding_window_view(wide, 2 * pixels + 1, axis).any(-1)
    return wide


def assert_cut_out(found, truth):
    outside, inside = ~grown(truth > 0), ~grown(truth < 1)
    area = (truth > 0.5).sum()
    assert found.confidence >= CONFIDENT
    assert found.alpha[outside].sum() < 0.003 * area
    assert (1 - found.alpha[inside]).sum() < 0.003 * area


SHADOWS = {
    "faint": {"strength": 0.15},
    "medium": {"strength": 0.38},
    "strong": {"strength": 0.6},
    "crisp": {"softness": 0.7},
    "wide": {"softness": 2.5},
    "two": {"second": 0.3},
}


@pytest.mark.parametrize("shadow", SHADOWS.values(), ids=SHADOWS)
def test_a_contact_shadow_goes_and_the_hole_of_the_handle_is_open(shadow):
    truth = mug()
    found = solve(pictured(truth, TEAL, darkening(**shadow)))
    assert_cut_out(found, truth)
    assert found.alpha[int(0.525 * SIZE), int(0.69 * SIZE)] == 0


@pytest.mark.parametrize("shadow", SHADOWS.values(), ids=SHADOWS)
def test_a_contact_shadow_can_be_kept_as_black(shadow):
    truth, dark = mug(), darkening(**shadow)
    found = solve(pictured(truth, TEAL, dark), keep_shadow=True)
    outside = ~grown(truth > 0)
    assert found.confidence >= CONFIDENT
    assert np.abs(found.alpha - dark)[outside].mean() < 0.01
    assert (np.abs(found.alpha - dark)[outside] > 0.1).sum() < 0.003 * (truth > 0.5).sum()
    colours = np.zeros((SIZE * SIZE, 3), np.float32)
    colours[found.edge.pixels] = found.edge.colours
    visible = outside & (found.alpha > 0.1)
    assert (colours.reshape(SIZE, SIZE, 3)[visible].max(-1) > 12).mean() < 0.05


WALLS = {
    "warm": ((225, 205, 180), (205, 180, 150)),
    "cool": ((190, 205, 225), (160, 178, 205)),
    "white": ((250, 250, 249), (244, 244, 243)),
    "middle grey": ((150, 150, 150), (120, 120, 122)),
}


@pytest.mark.parametrize("wall", WALLS.values(), ids=WALLS)
@pytest.mark.parametrize("colour", [TEAL, DARK], ids=["teal", "dark"])
def test_walls_of_any_colour(wall, colour):
    truth = mug()
    assert_cut_out(solve(pictured(truth, colour, darkening(), wall)), truth)


def test_a_pale_product_on_a_grey_wall():
    truth = mug()
    assert_cut_out(solve(pictured(truth, CREAM, darkening())), truth)


@pytest.mark.parametrize("tint", [(1, 0.9, 0.8), (0.8, 0.9, 1), (1, 0.8, 0.6)])
def test_the_light_in_a_shadow_may_have_a_colour_of_its_own(tint):
    truth = mug()
    assert_cut_out(solve(pictured(truth, TEAL, darkening(strength=0.45), tint=tint)), truth)


def test_a_large_and_a_small_picture():
    for size in (240, 1200):
        truth = mug(size)
        assert_cut_out(solve(pictured(truth, TEAL, darkening(size))), truth)


@pytest.mark.parametrize("wall", ["warm", "cool", "white"])
def test_a_grey_ball_that_is_as_dark_as_its_shadow_stays(wall):
    truth = ball()
    picture = pictured(truth, (110, 109, 107), darkening(), WALLS[wall], light=(1.3, 0.3))
    assert_cut_out(solve(picture), truth)


def test_a_grey_product_without_a_shadow_stays():
    truth = ball()
    picture = pictured(truth, (170, 168, 164), np.zeros((SIZE, SIZE)), light=(1.4, 0.4))
    assert_cut_out(solve(picture), truth)


def test_what_may_be_shadow_or_subject_lowers_the_confidence():
    truth = ball()
    # as bright as the wall above, as dark as its shadow below, and of the same hue
    picture = pictured(truth, (128, 128, 128), darkening(), WALLS["middle grey"], light=(1.4, 0.2))
    assert solve(picture).confidence < CONFIDENT
    assert solve(picture, keep_shadow=True).confidence < CONFIDENT
