"""Trimaps, alpha matting, and the colours of soft edges by pymatting."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from rembg_sessions.core import matting
from rembg_sessions.core.errors import OptionError


def disc(height=60, width=80, radius=20.0, softness=10.0):
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return (np.clip((radius - distance) / softness + 0.5, 0, 1) * 255).astype(np.uint8)


def expected_trimap(mask, foreground, background, size):
    """The trimap in rembg's words: scipy's erosion by a square."""
    structure = np.ones((size, size)) if size else None
    trimap = np.full(mask.shape, 0.5, np.float32)
    trimap[binary_erosion(mask > foreground, structure)] = 1
    trimap[binary_erosion(mask < background, structure, border_value=1)] = 0
    return trimap


# -- trimap ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(14))
def test_the_trimap_is_the_one_of_rembg(size):
    rng = np.random.default_rng(size)
    masks = [
        disc(),
        disc(radius=70),  # touches the border of the picture
        (rng.random((40, 51)) < 0.97).astype(np.uint8) * 255,
        (rng.random((40, 51)) < 0.03).astype(np.uint8) * 255,
        *[np.full(shape, 255, np.uint8) for shape in ((1, 1), (3, 9), (12, 2))],
        *[np.zeros(shape, np.uint8) for shape in ((1, 1), (9, 3))],
    ]
    for mask in masks:
        trimap = matting.trimap_from_mask(mask, 240, 10, size)
        np.testing.assert_array_equal(trimap, expected_trimap(mask, 240, 10, size))
        assert trimap.dtype == np.float32


@pytest.mark.parametrize(("foreground", "background"), [(0, 255), (255, 0), (128, 128)])
def test_thresholds_exclude_their_own_level(foreground, background):
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    trimap = matting.trimap_from_mask(mask, foreground, background, 1)
    np.testing.assert_array_equal(trimap, expected_trimap(mask, foreground, background, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((256, 10, 10), "foreground threshold is 256; use a value from 0 to 255"),
        ((240, -1, 10), "background threshold is -1; use a value from 0 to 255"),
        ((240, 10, -1), "erode size is -1; use 0 or more pixels"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(OptionError, match=message):
        matting.trimap_from_mask(disc(), *arguments)


# -- alpha ------------------------------------------------------------------------------------


def test_the_matte_finds_the_edge_that_the_mask_missed():
    true = disc(softness=3).astype(np.float32) / 255
    image = np.where(true[..., None] > 0.5, [230, 180, 90], [20, 40, 80])
    image = (true[..., None] * [230, 180, 90] + (1 - true[..., None]) * [20, 40, 80]).round()
    coarse = disc(radius=19, softness=12)
    alpha = matting.matte(Image.fromarray(image.astype(np.uint8)), coarse, erode_size=5)
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0 and alpha.max() <= 1
    assert np.abs(alpha - true).sum() < 0.1 * np.abs(coarse / 255 - true).sum()


def test_the_matte_of_the_lemur(shared):
    image = Image.open(shared / "images" / "lemur.png").convert("RGB")
    true = Image.open(shared / "images" / "lemur_alpha.png").convert("L")
    # as coarse as the mask of a network with a small input
    small = true.resize((image.width // 8, image.height // 8))
    mask = np.asarray(small.resize(image.size, Image.Resampling.LANCZOS))
    alpha, true = matting.matte(image, mask), np.asarray(true) / 255
    before, after = np.abs(mask / 255 - true).sum(), np.abs(alpha - true).sum()
    assert after < 0.6 * before


@pytest.mark.parametrize("level", [0, 255, 128])
def test_nothing_to_solve_gives_the_mask_and_a_warning(level, caplog):
    mask = np.full((20, 30), level, np.uint8)
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        alpha = matting.matte(Image.new("RGB", (30, 20)), mask)
    np.testing.assert_array_equal(alpha, mask.astype(np.float32) / 255)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Alpha matting was skipped" in caplog.text


@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 2)])
def test_pictures_too_small_to_solve(shape, caplog):
    mask = np.full(shape, 128, np.uint8)
    mask.flat[0], mask.flat[-1] = 0, 255
    alpha = matting.matte(Image.new("RGB", shape[::-1]), mask, erode_size=1)
    np.testing.assert_array_equal(alpha, mask.astype(np.float32) / 255)
    assert "Alpha matting was skipped" in caplog.text


def test_a_trimap_without_unknown_pixels_is_the_answer(caplog):
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 15:] = 255
    alpha = matting.matte(Image.new("RGB", (30, 20)), mask, erode_size=1)
    np.testing.assert_array_equal(alpha, mask / 255)
    assert not caplog.records


# -- colours ----------------------------------------------------------------------------------


def test_the_foreground_keeps_the_colours_of_opaque_pixels():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    alpha = disc(40, 50, 12).astype(np.float32) / 255
    foreground = matting.estimate_foreground_ml(image, alpha)
    assert foreground.dtype == np.uint8
    np.testing.assert_array_equal(foreground[alpha == 1], image[alpha == 1])
    assert (foreground != image).any()


def test_the_foreground_loses_the_background():
    alpha = disc().astype(np.float32) / 255
    image = alpha[..., None] * [200, 50, 50] + (1 - alpha[..., None]) * [0, 0, 255]
    image = image.round().astype(np.uint8)
    error = np.abs(matting.estimate_foreground_ml(image, alpha) - np.array([200.0, 50.0, 50.0]))
    assert (alpha[..., None] * error).max() < 6
