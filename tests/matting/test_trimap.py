"""Trimaps: made from a mask as rembg makes them, and drawn by the user."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from rembg_sessions.core.errors import ImageError, OptionError
from rembg_sessions.core.matting.trimap import (
    paint,
    read_trimap,
    scale_erode_size,
    trimap_from_mask,
)


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


# -- from a mask --------------------------------------------------------------------------------


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
        trimap = trimap_from_mask(mask, 240, 10, size)
        np.testing.assert_array_equal(trimap, expected_trimap(mask, 240, 10, size))
        assert trimap.dtype == np.float32


@pytest.mark.parametrize("size", [0, 1, 10, 41])
def test_large_masks_are_worked_on_in_blocks(size, monkeypatch):
    monkeypatch.setattr("rembg_sessions.core.matting.trimap._BLOCK", 1 << 14)
    mask = disc(300, 220, radius=90, softness=20)
    mask[::97] = 128  # lines that run through every block
    trimap = trimap_from_mask(mask, 240, 10, size)
    np.testing.assert_array_equal(trimap, expected_trimap(mask, 240, 10, size))


@pytest.mark.parametrize(("foreground", "background"), [(0, 255), (255, 0), (128, 128)])
def test_thresholds_exclude_their_own_level(foreground, background):
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    trimap = trimap_from_mask(mask, foreground, background, 1)
    np.testing.assert_array_equal(trimap, expected_trimap(mask, foreground, background, 1))


@pytest.mark.parametrize("level", [0, 255])
def test_an_erode_size_beyond_the_picture_takes_no_more_memory(level):
    mask = np.full((5, 9), level, np.uint8)
    np.testing.assert_array_equal(
        trimap_from_mask(mask, erode_size=1 << 20), expected_trimap(mask, 240, 10, 101)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1001, 10, 10), "foreground threshold is 1001; use a number from -1000 to 1000"),
        ((240, None, 10), "background threshold is None; use a number from -1000"),
        ((240, 10, -1), "erode size is -1; use a whole number from 0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(OptionError, match=message):
        trimap_from_mask(disc(), *arguments)


@pytest.mark.parametrize(
    ("size", "size_hw", "expected"),
    [
        (10, (1024, 1024), 10),
        (10, (2160, 3840), 38),
        (10, (300, 512), 5),
        (1, (100, 100), 1),
        (0, (4096, 4096), 0),
        (-1, (100, 100), -1),
        (1 << 20, (2000, 10), 1 << 20),
    ],
)
def test_the_band_follows_the_size_of_the_picture(size, size_hw, expected):
    assert scale_erode_size(size, size_hw) == expected


# -- drawn ---------------------------------------------------------------------------------


LEVELS = np.array([[0, 32, 33, 100, 128, 200, 222, 223, 255]], np.uint8)
CLASSES = np.float32([[0, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1]])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "CMYK"])
def test_values_need_not_be_exact(mode):
    trimap = read_trimap(Image.fromarray(LEVELS).convert(mode), (1, 9))
    assert trimap.dtype == np.float32
    np.testing.assert_array_equal(trimap, CLASSES)


def test_a_trimap_may_be_bytes_a_file_or_an_array(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(LEVELS).save(buffer, "PNG")
    (tmp_path / "trimap.png").write_bytes(buffer.getvalue())
    for given in (buffer.getvalue(), tmp_path / "trimap.png", LEVELS):
        np.testing.assert_array_equal(read_trimap(given, (1, 9)), CLASSES)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_run_from_0_to_1(dtype):
    np.testing.assert_array_equal(read_trimap(CLASSES.astype(dtype), (1, 9)), CLASSES)


def test_floats_that_resampling_threw_beyond_0_to_1():
    thrown = np.where(CLASSES == 1, np.nextafter(1, 2), CLASSES - 0.1 * (CLASSES == 0))
    np.testing.assert_array_equal(read_trimap(thrown, (1, 9)), CLASSES)


def test_a_trimap_of_16_bit_and_of_a_palette():
    wide = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_trimap(wide, (1, 9)), CLASSES)
    few = Image.fromarray(LEVELS).convert("RGB").quantize(9)
    np.testing.assert_array_equal(read_trimap(few, (1, 9)), CLASSES)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.6, 128.0])
def test_floats_out_of_range_are_refused(bad):
    trimap = CLASSES.copy()
    trimap[0, 3] = bad
    with pytest.raises(ImageError, match=r"outside 0\.\.1, or NaN"):
        read_trimap(trimap, (1, 9))


def test_an_empty_trimap_is_refused():
    with pytest.raises(ImageError, match=r"empty: shape \(0, 4\)"):
        read_trimap(np.zeros((0, 4), np.float32), (3, 3))


def test_another_size_of_the_same_proportions_is_scaled():
    trimap = np.kron(np.array([[0, 128], [255, 128]], np.uint8), np.ones((30, 40), np.uint8))
    scaled = read_trimap(trimap, (25, 33))
    assert scaled.shape == (25, 33)
    assert set(np.unique(scaled)) == {0, 0.5, 1}
    assert (scaled[0, 0], scaled[-1, 0], scaled[0, -1]) == (0, 1, 0.5)


def test_other_proportions_are_refused():
    with pytest.raises(ImageError, match=r"40×30 pixels and the picture 40×40"):
        read_trimap(np.full((30, 40), 128, np.uint8), (40, 40))


# -- painting -----------------------------------------------------------------------------


@pytest.mark.parametrize("opacity", [1, 0.5, 0.06])
def test_a_soft_brush_of_any_opacity_counts_to_half_its_strength(opacity):
    stroke = opacity * np.array([[0, 0.1, 0.4, 0.5, 0.9, 1, 0.6, 0.2, 0]], np.float32)
    trimap = np.zeros((1, 9), np.float32)
    for name, value in (("keep", 1), ("unknown", 0.5), ("remove", 0)):
        painted = paint(trimap + np.float32(name == "remove"), **{name: stroke})
        expected = np.where(stroke >= opacity / 2, value, trimap + (name == "remove"))
        np.testing.assert_array_equal(painted, expected)
    assert not trimap.any()


def test_what_nobody_painted_changes_nothing():
    dirt = np.full((1, 9), 0.04, np.float32)
    np.testing.assert_array_equal(paint(CLASSES, keep=dirt, remove=dirt, unknown=dirt), CLASSES)
    np.testing.assert_array_equal(paint(CLASSES), CLASSES)


def test_unknown_wins_over_keep_and_keep_over_remove():
    ones = np.ones((1, 9), np.float32)
    assert (paint(CLASSES, keep=ones, remove=ones) == 1).all()
    assert (paint(CLASSES, keep=ones, unknown=ones) == 0.5).all()
