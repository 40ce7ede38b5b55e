"""Shadows and outlines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rembg_sessions.core.imaging.effects import cast_shadow, draw_outline


def disc(height=150, width=170, radius=40.0, y=75.0, x=85.0, softness=1.0):
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - y, columns - x)
    return np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("blur", [0.5, 2.0, 5.0, 12.0, 30.0])
def test_a_shadow_is_a_gaussian_of_alpha(blur):
    alpha = disc()
    exact = ndimage.gaussian_filter(alpha.astype(np.float64), blur, mode="nearest", truncate=6)
    assert np.abs(cast_shadow(alpha, blur, 0, 0) - exact).max() < 0.01


@pytest.mark.parametrize(("right", "down"), [(5, 0), (0, -7), (-3, 9)])
def test_a_shadow_falls_to_a_side(right, down):
    alpha = disc(softness=8)
    shadow = cast_shadow(alpha, 0, right, down)
    np.testing.assert_array_equal(shadow, np.roll(alpha, (down, right), (0, 1)))
    assert shadow is not alpha


def test_the_shadow_of_what_the_border_cuts_off_goes_on():
    alpha = np.ones((60, 80), np.float32)
    np.testing.assert_allclose(cast_shadow(alpha, 9, 20, 15), 1, atol=1e-5)


@pytest.mark.parametrize("width", [1, 3, 10, 25])
@pytest.mark.parametrize("softness", [1.0, 6.0], ids=["sharp", "soft"])
def test_an_outline_is_round_and_smooth(width, softness):
    """That of a disc is a larger disc, to within a twentieth of a pixel's opacity in the mean."""
    drawn = draw_outline(disc(softness=softness, y=74.3, x=85.4), width)
    larger = disc(radius=40 + width, y=74.3, x=85.4)
    error = np.abs(drawn - larger)
    rim = (larger > 0) & (larger < 1)
    assert error[~rim].max() < 0.2
    assert error[rim].mean() < 0.06
    assert drawn[disc(radius=40 + width - 1, y=74.3, x=85.4) == 1].min() == 1


@pytest.mark.parametrize("angle", [0, 5, 20, 45])
def test_an_outline_of_a_straight_edge(angle):
    rows, columns = np.mgrid[:90, :90] - 45.0
    along = columns * np.cos(np.radians(angle)) + rows * np.sin(np.radians(angle))
    alpha = np.clip(0.5 - along, 0, 1).astype(np.float32)
    drawn, expected = draw_outline(alpha, 6), np.clip(6.5 - along, 0, 1)
    middle = np.s_[12:-12, 12:-12]  # at the border the nearest pixel may be outside
    assert np.abs(drawn - expected)[middle].max() < 0.12


def test_an_outline_of_nothing():
    assert not draw_outline(np.full((20, 30), 0.4, np.float32), 5).any()
    assert draw_outline(np.ones((20, 30), np.float32), 5).min() == 1
    one = np.zeros((21, 21), np.float32)
    one[10, 10] = 1
    assert 55 < draw_outline(one, 4).sum() < 65  # a disc of half a pixel and 4: 64
