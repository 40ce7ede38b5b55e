"""The foreground colours of soft edges, without a solver."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from rembg_sessions.core.imaging import composite, foreground
from rembg_sessions.core.imaging.bleed import REACH
from rembg_sessions.core.imaging.morphology import dilate


def estimate(image, alpha, **options):
    """The colours of a cut-out with this alpha."""
    edge = foreground.estimate_edge_colours(image, alpha, **options)
    return np.asarray(composite.cut_out(image, alpha, edge))[..., :3]


def disc(height=90, width=120, softness=20.0):
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return np.clip((30 - distance) / softness + 0.5, 0, 1).astype(np.float32)


def over(front, alpha, back):
    return (alpha[..., None] * front + (1 - alpha[..., None]) * back).round().astype(np.uint8)


def error(colours, true, alpha):
    """Mean absolute error in levels, weighted by how much of the colour is seen."""
    soft = (alpha > 0) & (alpha < 1)
    difference = np.abs(colours.astype(np.float64) - true)[soft].mean(axis=1)
    return (difference * alpha[soft]).sum() / alpha[soft].sum()


def test_opaque_pixels_keep_their_bits_and_invisible_ones_have_none():
    image = np.random.default_rng(0).integers(1, 256, (90, 120, 3), dtype=np.uint8)
    alpha = disc()
    colours = estimate(image, alpha)
    assert (colours.dtype, colours.shape) == (np.uint8, image.shape)
    np.testing.assert_array_equal(colours[alpha == 1], image[alpha == 1])
    assert not colours[~dilate(alpha > 0, REACH)].any()
    assert (colours[(alpha > 0.2) & (alpha < 0.8)] != image[(alpha > 0.2) & (alpha < 0.8)]).any()


def test_the_input_is_not_changed():
    image, alpha = np.full((30, 40, 3), 90, np.uint8), disc(30, 40)
    before = alpha.copy()
    estimate(image, alpha)
    assert (image == 90).all()
    np.testing.assert_array_equal(alpha, before)


@pytest.mark.parametrize("level", [0.0, 1.0], ids=["empty", "full"])
def test_masks_without_an_edge(level):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    colours = estimate(image, np.full((20, 30), level, np.float32))
    np.testing.assert_array_equal(colours, image * np.uint8(level))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 400), (400, 1), (65, 9)])
@pytest.mark.parametrize("level", [1 / 255, 0.5, 254 / 255])
def test_sizes_and_masks_without_a_certain_pixel(size, level):
    image = np.full((*size, 3), 77, np.uint8)
    colours = estimate(image, np.full(size, level, np.float32))
    # where nothing is known, the picture's own colour is the best there is
    assert np.abs(colours.astype(int) - 77).max() <= 1


def test_a_uniform_subject_over_a_uniform_ground():
    alpha, front, back = disc(), np.array([200, 50, 50]), np.array([0, 60, 255])
    colours = estimate(over(front, alpha, back), alpha)
    assert error(colours, front, alpha) < 3
    assert error(over(front, alpha, back), front, alpha) > 40


def test_over_an_even_ground_a_textured_subject_comes_out_as_it_is():
    alpha, rng = disc(), np.random.default_rng(0)
    front = rng.integers(0, 256, (90, 120, 3))
    back = np.array([20, 180, 60])
    colours = estimate(over(front, alpha, back), alpha, solved=True)
    assert error(colours, front, alpha) < 2
    # and where the subject is even, a textured ground leaves no trace
    colours = estimate(over(back, alpha, front), alpha)
    assert error(colours, back, alpha) < 4
    assert error(over(back, alpha, front), back, alpha) > 25


@pytest.mark.parametrize("highest", [0.02, 0.2, 0.4])
def test_a_subject_that_is_faint_everywhere_does_not_turn_black(highest):
    alpha, front, back = (
        disc() * np.float32(highest),
        np.array([200, 50, 50]),
        np.array([0, 60, 255]),
    )
    picture = over(front, alpha, back)
    colours = estimate(picture, alpha)
    assert error(colours, front, alpha) <= error(picture, front, alpha) + 1


@pytest.mark.parametrize("x", range(12, 17))
def test_a_line_too_thin_for_the_averages(x):
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, x] = 0.5
    picture = over(np.array([200, 50, 50]), alpha, np.zeros(3))
    colours = estimate(picture, alpha)
    assert error(colours, [200, 50, 50], alpha) <= error(picture, [200, 50, 50], alpha) + 1


def test_the_band_is_what_is_neither_invisible_nor_opaque():
    image, alpha = np.full((90, 120, 3), 90, np.uint8), disc()
    pixels, colours = foreground.estimate_edge_colours(image, alpha)
    expected = np.flatnonzero((alpha >= foreground.VISIBLE) & (alpha < foreground.OPAQUE))
    np.testing.assert_array_equal(np.sort(pixels), expected)
    assert (colours.shape, colours.dtype) == ((len(pixels), 3), np.float32)
    assert colours.min() >= 0 and colours.max() <= 255


BACKGROUNDS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "green": (20, 180, 60),
    "blue": (30, 60, 200),
    "beach": None,
}


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_the_lemur_loses_its_background(name, shared):
    def read(file, mode):
        return np.asarray(Image.open(shared / "images" / file).convert(mode))

    front = read("lemur_foreground.png", "RGB")
    alpha = read("lemur_alpha.png", "L").astype(np.float32) / 255
    colour = BACKGROUNDS[name]
    back = read("beach.png", "RGB") if colour is None else np.array(colour)
    picture = over(front, alpha, back)
    colours = estimate(picture, alpha)
    assert error(colours, front, alpha) < 0.5 * error(picture, front, alpha)


def test_colours_are_closer_to_the_truth_than_those_of_the_multi_level_method(shared):
    matting = pytest.importorskip("rembg.bg", reason="rembg 2.0.86 needs Python 3.11")
    folder = shared / "images"
    mask = Image.open(folder / "lemur_alpha.png").convert("L")
    front = np.asarray(Image.open(folder / "lemur_foreground.png").convert("RGB"))
    back = np.asarray(Image.open(folder / "beach.png").convert("RGB"))
    alpha = np.asarray(mask, np.float32) / 255
    picture = over(front, alpha, back)
    theirs = np.asarray(matting.decontaminate_cutout(Image.fromarray(picture), mask))[..., :3]
    assert error(estimate(picture, alpha), front, alpha) < 0.9 * error(theirs, front, alpha)


@pytest.mark.parametrize(("sharpened", "most"), [(False, 160), (True, 190)])
def test_a_mask_that_reaches_too_far_gets_no_rim_of_the_background(sharpened, most):
    y, x = np.mgrid[:90, :120]
    distance = np.hypot(y - 45, x - 60)
    sharp = (distance < 30).astype(np.float32)
    rough = np.random.default_rng(0).normal(0, 12, (90, 120, 3))
    picture = over(np.array([60, 55, 50]) + rough, sharp, np.array([235, 240, 250]))
    mask = np.clip((33 - distance) / 6 + 0.5, 0, 1).astype(np.float32)
    if sharpened:  # what is light becomes lighter still beside what is dark
        unsharp = ImageFilter.UnsharpMask(2, 100, 0)
        picture = np.asarray(Image.fromarray(picture).filter(unsharp))
    colours = estimate(picture, mask)
    rim = (distance > 31) & (mask > 0.2)
    assert rim.sum() > 500
    assert picture[rim].mean() > 220
    assert colours[rim].mean() < most


def possible(image, alpha):
    """The lowest and highest foreground with any background behind it, black to white."""
    share = alpha.astype(np.float64)[..., None]
    return 255 - (255 - image) / share, image / share


def lowest_around(alpha, reach):
    """The lowest alpha within a square around each pixel."""
    padded = np.pad(alpha, reach, mode="edge")
    side = 2 * reach + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side)).min(axis=(2, 3))


def scene(seed, height=70, width=90):
    """Patches of colour with noise, and a mask of soft patches that has nothing to do with them."""
    rng = np.random.default_rng(seed)

    def patches(channels, side, filter):
        shape = (height // side + 1, width // side + 1, channels)
        small = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8).squeeze())
        return np.asarray(small.resize((width, height), filter), np.float64)

    colours = patches(3, 9, Image.Resampling.NEAREST) + rng.normal(0, 10, (height, width, 3))
    mask = patches(1, 12, Image.Resampling.BICUBIC)
    alpha = np.clip((mask - 60) / 70, 0, 0.97).astype(np.float32)
    return colours.clip(0, 255).astype(np.uint8), alpha


@pytest.mark.parametrize("seed", range(8))
def test_with_solved_alpha_some_background_explains_every_colour(seed):
    image, alpha = scene(seed)
    pixels, colours = foreground.estimate_edge_colours(image, alpha, solved=True)
    lowest, highest = possible(image.reshape(-1, 3)[pixels], alpha.reshape(-1)[pixels])
    assert (colours >= lowest - 0.1).all()
    assert (colours <= highest + 0.1).all()
    assert (colours >= 0).all() and (colours <= 255).all()


@pytest.mark.parametrize("seed", range(8))
def test_with_a_mask_too_unless_alpha_is_lower_around(seed):
    image, alpha = scene(seed)
    pixels, colours = foreground.estimate_edge_colours(image, alpha)
    near = lowest_around(alpha, foreground._REACH).reshape(-1)[pixels]
    seen = near >= foreground.VISIBLE
    own = image.reshape(-1, 3)[pixels]
    lowest, highest = possible(own[seen], near[seen])
    assert (colours[seen] >= lowest - 0.1).all()
    assert (colours[seen] <= highest + 0.1).all()
    # so inside a subject, what is nearly opaque is nearly the picture's
    inside = near >= 0.9
    assert inside.sum() > 50
    off = np.abs(colours[inside] - own[inside]).max(axis=1)
    assert (off <= 255 * (1 / near[inside] - 1) + 0.1).all()


def test_highlights_inside_a_subject_stay():
    alpha = disc(softness=6) * np.float32(0.98)  # networks seldom say 1
    front, light = np.full((90, 120, 3), (60.0, 50, 45)), np.array([241, 217, 193])
    front[40:43, 55:58] = light
    front[30:60, 70] = light
    picture = over(front, alpha, np.array([30, 90, 40]))
    colours = estimate(picture, alpha)
    for spot in (np.s_[40:43, 55:58], np.s_[35:55, 70]):
        assert np.abs(colours[spot] - light).max() <= 5


def test_an_outline_that_is_unlike_the_background_stays():
    # a drawing: pale skin in a dark line, over a light sky
    y, x = np.mgrid[:90, :120]
    distance = np.hypot(y - 45, x - 60)
    line, sky = np.array([30, 15, 40]), np.array([170, 215, 240])
    front = np.where((distance > 28)[..., None], line, np.array([250, 225, 205]))
    alpha = np.clip((30.5 - distance) / 2 + 0.5, 0, 1).astype(np.float32)
    colours = estimate(over(front, alpha, sky), alpha)
    rim = (alpha > 0.3) & (alpha < 0.99) & (distance > 29)
    assert rim.sum() > 200
    assert np.abs(colours[rim].astype(int) - line).mean() < 12


def test_a_mask_that_fits_costs_a_patterned_subject_little():
    y, x = np.mgrid[:90, :120]
    stripes = ((x + y) // 3 % 2)[..., None]
    front = np.where(stripes, np.array([240, 200, 40]), np.array([30, 30, 60]))
    alpha = disc(softness=6)
    picture = over(front, alpha, np.array([60, 150, 220]))
    assert error(picture, front, alpha) > 20
    assert error(estimate(picture, alpha, solved=True), front, alpha) < 2
    assert error(estimate(picture, alpha), front, alpha) < 3


def test_what_is_held_back_gets_no_tint():
    grey, sand = np.array([90.0, 90, 90]), np.array([230.0, 190, 110])
    y, x = np.mgrid[:90, :120]
    distance = np.hypot(y - 45, x - 60)
    picture = over(grey, (distance < 30).astype(np.float32), sand)
    mask = np.clip((32 - distance) / 6 + 0.5, 0, 1).astype(np.float32)
    pixels, colours = foreground.estimate_edge_colours(picture, mask)
    between = (colours - grey) / (sand - grey)
    assert between[:, 0].max() > 0.5 and between[:, 0].min() < 0.1
    # on the line from the one colour to the other: the same share in each channel, but where the
    # most probable colour would be brighter than white
    assert np.percentile(np.ptp(between, axis=1), 90) < 0.1
    assert np.ptp(between, axis=1).max() < 0.25
    assert len(pixels) > 500


def test_there_are_no_squares():
    # a highlight that fades away, in a subject that a network is not quite sure of
    y, x = np.mgrid[:96, :128]
    glow = np.exp(-((y - 48) ** 2 + (x - 64) ** 2) / 80)[..., None]
    front = glow * np.array([250, 240, 230]) + (1 - glow) * np.array([40, 60, 50])
    alpha = np.full((96, 128), 0.95, np.float32)
    alpha[:, :6] = 0
    alpha[8:, 100:] = 1
    picture = over(front, alpha, np.array([20, 20, 20]))
    colours = estimate(picture, alpha)[20:80, 20:90].astype(int)
    steps = np.abs(np.diff(colours, axis=1) - np.diff(picture[20:80, 20:90].astype(int), axis=1))
    assert steps.max() <= 8


def test_a_colour_does_not_depend_on_how_the_work_is_divided(monkeypatch):
    image, alpha = scene(3)
    whole = foreground.estimate_edge_colours(image, alpha)
    monkeypatch.setattr(foreground, "CACHED", 61)
    monkeypatch.setattr("rembg_sessions.core.imaging.rows._WORTH_IT", 1)
    monkeypatch.setattr("rembg_sessions.core.imaging.rows.cpu_count", lambda: 3)
    parts = foreground.estimate_edge_colours(image, alpha)
    np.testing.assert_array_equal(parts.pixels, whole.pixels)
    np.testing.assert_array_equal(parts.colours, whole.colours)


def test_a_picture_that_is_soft_all_over_takes_little_memory():
    import tracemalloc

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1200, 1000, 3), np.uint8)
    alpha = rng.uniform(0.1, 0.9, (1200, 1000)).astype(np.float32)
    tracemalloc.start()
    try:
        edge = foreground.estimate_edge_colours(image, alpha)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(edge.pixels) == alpha.size
    assert taken / alpha.size < 70  # bytes; the result takes 20
