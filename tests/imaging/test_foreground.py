"""The foreground colours of soft edges, without a solver."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.imaging import composite, foreground


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


def test_opaque_pixels_keep_their_bits_and_invisible_ones_are_black():
    image = np.random.default_rng(0).integers(1, 256, (90, 120, 3), dtype=np.uint8)
    alpha = disc()
    colours = estimate(image, alpha)
    assert (colours.dtype, colours.shape) == (np.uint8, image.shape)
    np.testing.assert_array_equal(colours[alpha == 1], image[alpha == 1])
    assert not colours[alpha == 0].any()
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


def test_a_mask_that_reaches_too_far_gets_no_rim_of_the_background():
    y, x = np.mgrid[:90, :120]
    distance = np.hypot(y - 45, x - 60)
    sharp = (distance < 30).astype(np.float32)
    rough = np.random.default_rng(0).normal(0, 12, (90, 120, 3))
    picture = over(np.array([60, 55, 50]) + rough, sharp, np.array([235, 240, 250]))
    mask = np.clip((33 - distance) / 6 + 0.5, 0, 1).astype(np.float32)
    colours = estimate(picture.clip(0, 255), mask)
    rim = (distance > 31) & (mask > 0.2)
    assert rim.sum() > 500
    assert picture[rim].mean() > 220
    assert colours[rim].mean() < 160


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
