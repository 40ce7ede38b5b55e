"""Cleaning masks up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.imaging import mask

bg = pytest.importorskip("rembg.bg", reason="rembg 2.0.86 needs Python 3.11")

SIZES = [
    *[(h, w) for h in (1, 2, 3, 7) for w in (1, 2, 5, 16, 33)],
    *[(15, 17), (16, 16), (31, 48), (97, 3), (100, 131), (129, 257)],
]


def blob(height, width, seed=0):
    """Grey shapes with soft edges, from the border to the middle."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = ndimage.gaussian_filter(noise, 4, mode="wrap")
    return np.clip(smooth / (smooth.std() + 1e-9) * 120 + 127, 0, 255).astype(np.uint8)


# -- post_process -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_post_process_gives_the_pixels_of_rembg(size):
    rng = np.random.default_rng(2)
    for picture in (
        blob(*size),
        rng.integers(0, 256, size, dtype=np.uint8),
        rng.integers(126, 129, size, dtype=np.uint8),  # ties at the threshold
        (rng.random(size) < 0.5).astype(np.uint8) * 255,
        np.full(size, 127, np.uint8),
    ):
        before = picture.copy()
        np.testing.assert_array_equal(mask.post_process(picture), bg.post_process(picture))
        np.testing.assert_array_equal(picture, before)


def test_post_process_of_a_large_mask():
    # more tiles on an edge than are gathered at a time
    picture = np.random.default_rng(3).integers(0, 256, (700, 900), dtype=np.uint8)
    np.testing.assert_array_equal(mask.post_process(picture), bg.post_process(picture))


# -- steps of refine --------------------------------------------------------------------------


def square(height=40, width=50):
    alpha = np.zeros((height, width), np.float32)
    alpha[10:20, 15:30] = 1
    return alpha


@pytest.mark.parametrize("pixels", [-4, -1, 1, 3])
def test_grow_moves_every_edge(pixels):
    expected = np.zeros((40, 50), np.float32)
    expected[10 - pixels : 20 + pixels, 15 - pixels : 30 + pixels] = 1
    np.testing.assert_array_equal(mask.grow(square(), pixels), expected)


def test_growing_by_nothing_changes_nothing():
    alpha = blob(20, 30).astype(np.float32) / 255
    np.testing.assert_array_equal(mask.grow(alpha, 0), alpha)
    np.testing.assert_array_equal(mask.refine(alpha), alpha)


def test_growing_keeps_a_soft_edge_soft():
    alpha = np.clip((np.arange(30, dtype=np.float32) - 10) / 8, 0, 1)[None].repeat(5, 0)
    np.testing.assert_allclose(mask.grow(alpha, 3)[:, :-3], alpha[:, 3:])


def test_shrinking_does_not_eat_in_from_the_border_of_the_picture():
    assert mask.grow(np.ones((10, 10), np.float32), -3).min() == 1


def test_fill_holes_fills_what_the_border_does_not_reach():
    alpha = square()
    alpha[13:16, 18:22] = 0.2
    alpha[18:20, 28:30] = 0  # a notch
    filled = mask.fill_holes(alpha)
    assert (filled[13:16, 18:22] == 1).all()
    assert (filled[18:20, 28:30] == 0).all()
    assert filled.dtype == np.float32


def test_keep_largest_takes_the_soft_edge_along():
    alpha = square()
    alpha[9, 15:30] = 0.3
    alpha[30:33, 5:8] = 0.9
    alpha[33, 5:8] = 0.3
    kept = mask.keep_largest(alpha)
    np.testing.assert_array_equal(kept[:25], alpha[:25])
    assert not kept[25:].any()


@pytest.mark.parametrize("alpha", [np.zeros((9, 9), np.float32), np.full((9, 9), 0.4, np.float32)])
def test_keep_largest_without_any_region(alpha):
    np.testing.assert_array_equal(mask.keep_largest(alpha), alpha)


def speckled(*, apart=6):
    """A subject, a sure region of 2 % of it, an unsure one of 6 %, and a faint haze in between."""
    alpha = np.zeros((80, 100), np.float32)
    alpha[10:60, 10:50] = 1  # 2000 pixels
    alpha[20:28, 50 + apart : 55 + apart] = 1  # 40
    alpha[40:50, 50 + apart : 62 + apart] = 0.7  # 120
    return alpha


def test_specks_go_by_their_nearly_opaque_pixels():
    alpha = speckled()
    kept = mask.remove_specks(alpha, 0.01)
    expected = alpha.copy()
    expected[40:50, 56:68] = 0
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(mask.remove_specks(alpha, 0.03)[:, 50:], 0)
    assert mask.remove_specks(kept, 0.01) is kept


def test_what_is_two_pixels_apart_is_one_region():
    alpha = speckled(apart=2)
    assert mask.remove_specks(alpha, 1) is alpha
    assert not mask.remove_specks(speckled(apart=3), 1)[:, 53:].any()


def test_what_scatters_as_hair_does_stays():
    alpha = np.zeros((120, 120), np.float32)
    alpha[40:80, 40:80] = 1
    alpha[60, 80:116] = 12 * [0.4, 0.3, 0.6]  # a strand, in pieces
    assert mask.remove_specks(alpha, 0.02) is alpha


def test_a_haze_fades_between_what_stays_and_a_speck():
    alpha = np.full((60, 100), 0.3, np.float32)
    alpha[:, :40] = 1
    alpha[28:32, 80:84] = 1
    kept = mask.remove_specks(alpha, 0.1)
    assert (kept[:, :40] == 1).all()
    row = kept[30, 40:84]
    assert row[0] == pytest.approx(0.3)
    assert row[-10:].max() == 0
    assert (np.abs(np.diff(row)) < 0.05).all()  # no cut
    assert (np.diff(row) <= 0).all()


def test_specks_of_large_pictures_take_their_soft_edges_along():
    alpha = np.zeros((300, 3000), np.float32)
    alpha[50:250, 100:1500] = 1
    alpha[100:130, 2000:2040] = 1
    soft = mask.feather(alpha, 3)
    kept = mask.remove_specks(soft, 0.01)
    assert not kept[:, 1800:].any()
    np.testing.assert_array_equal(kept[:, :1700], soft[:, :1700])


@pytest.mark.parametrize("alpha", [np.zeros((9, 9), np.float32), np.full((9, 9), 0.4, np.float32)])
def test_specks_without_any_region(alpha):
    assert mask.remove_specks(alpha, 0.5) is alpha


def test_holes_are_filled_by_size():
    alpha = np.zeros((60, 80), np.float32)
    alpha[5:55, 5:65] = 1
    alpha[10:20, 10:20] = 0  # 100 of 2891 pixels
    alpha[30:33, 30:33] = 0.1  # 9
    filled = mask.fill_holes(alpha, 0.01)
    assert (filled[30:33, 30:33] == 1).all()
    assert not filled[10:20, 10:20].any()
    assert mask.fill_holes(alpha, 0.003) is alpha
    assert (mask.refine(alpha, holes=0.05)[6:54, 6:64] == 1).all()
    np.testing.assert_array_equal(mask.refine(alpha, holes=1), mask.refine(alpha, holes=True))
    np.testing.assert_array_equal(mask.refine(alpha, holes=0.0), alpha)


@pytest.mark.parametrize("given", [{"specks": 1.1}, {"specks": True}, {"holes": -0.1}])
def test_shares_out_of_range(given):
    with pytest.raises(OptionError, match=r"(remove_specks|fill_holes) is .* from 0 to 1"):
        mask.refine(square(), **given)


def test_feather_keeps_the_area_and_softens_the_edge():
    soft = mask.feather(square(), 2.0)
    assert soft.dtype == np.float32
    assert soft.sum() == pytest.approx(square().sum(), rel=1e-4)
    assert 0.4 < soft[14, 15] < 0.6
    np.testing.assert_array_equal(mask.feather(square(), 0), square())


def test_threshold_includes_its_level():
    alpha = np.array([[0.2, 0.5, 0.7]], np.float32)
    np.testing.assert_array_equal(mask.threshold(alpha, 0.5), [[0, 1, 1]])


def test_refine_applies_the_steps_in_order():
    alpha = square()
    alpha[13:16, 18:22] = 0.2  # a hole
    alpha[30:33, 5:8] = 0.9  # a speck
    alpha[9, 15:30] = 0.3  # a faint rim
    refined = mask.refine(alpha, level=0.5, grow_pixels=2, holes=True, largest=True)
    np.testing.assert_array_equal(refined, mask.grow(square(), 2))
    assert refined.dtype == np.float32


def test_refine_does_not_change_its_input():
    alpha = square()
    mask.refine(alpha, level=0.5, grow_pixels=1, holes=True, largest=True, feather_radius=1)
    np.testing.assert_array_equal(alpha, square())


@pytest.mark.parametrize("level", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range(level):
    with pytest.raises(OptionError, match=r"threshold is .* from 0 to 1"):
        mask.refine(square(), level=level)


def test_a_negative_feather():
    with pytest.raises(OptionError, match=r"feather is -1.0; use a number from 0 to 1000"):
        mask.refine(square(), feather_radius=-1.0)


def test_a_filled_hole_leaves_no_rim():
    alpha = mask.feather(np.pad(np.zeros((30, 30), np.float32), 30, constant_values=1), 3)
    alpha = np.pad(alpha, 20)
    filled = mask.fill_holes(alpha)
    assert filled[45:85, 45:85].min() == 1
    np.testing.assert_array_equal(filled[:20], alpha[:20])
    outer = (alpha > 0) & (alpha < 0.5) & (np.indices(alpha.shape)[0] < 30)
    np.testing.assert_array_equal(filled[outer], alpha[outer])


@pytest.mark.parametrize("end", [(110, 10), (115, 25), (80, 5)], ids=["45°", "30°", "60°"])
def test_the_largest_region_keeps_its_thin_slanting_parts(end):
    picture = Image.new("L", (120, 120))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 50, 80, 110), fill=255)
    draw.line((60, 60, *end), fill=255, width=1)
    alpha = (np.asarray(picture) > 0).astype(np.float32)
    np.testing.assert_array_equal(mask.keep_largest(alpha), alpha)
    alpha[1, 1] = 1
    assert mask.keep_largest(alpha)[1, 1] == 0
