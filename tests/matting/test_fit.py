"""Whether a mask or what was solved explains a picture better."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from rembg_sessions.core.imaging.foreground import EdgeColours
from rembg_sessions.core.layers import Refinement, refine_layer
from rembg_sessions.core.matting.fit import likelier_by
from rembg_sessions.core.matting.methods import MattingOptions, find_matte
from rembg_sessions.core.matting.trimap import trimap_from_mask
from rembg_sessions.core.session.protocol import Layer

AUTO = MattingOptions(method="auto")


def subject(radius=40, soft=1.0):
    """Levels (120, 160) of a disc with a wavy outline."""
    turn = np.linspace(0, 2 * np.pi, 200)
    far = radius + 4 * np.sin(7 * turn)
    shape = Image.new("L", (160, 120))
    dots = np.column_stack([80 + far * np.cos(turn), 60 + far * np.sin(turn)])
    ImageDraw.Draw(shape).polygon([tuple(dot) for dot in dots], fill=255)
    return np.asarray(shape.filter(ImageFilter.GaussianBlur(soft)))


def picture(levels, seed=0):
    """The subject, orange and rough, over rough green."""
    rng = np.random.default_rng(seed)
    share = levels[..., None] / 255
    noise = rng.normal(0, 3, (*levels.shape, 3))
    mixed = share * (210, 120, 40) + (1 - share) * (40, 130, 90) + noise
    return np.clip(mixed, 0, 255).astype(np.uint8)


def changed(levels, how):
    mask = Image.fromarray(levels)
    if how == "wide":
        mask = mask.filter(ImageFilter.MaxFilter(7))
    elif how == "narrow":
        mask = mask.filter(ImageFilter.MinFilter(7))
    elif how == "shifted":
        return np.roll(levels, 4, axis=1)
    else:
        mask = mask.filter(ImageFilter.GaussianBlur(5))
    return np.asarray(mask)


def test_a_mask_that_fits_stays():
    true = subject()
    found = find_matte(picture(true), true, options=AUTO)
    assert (found.method, found.warning) == ("", "")
    np.testing.assert_array_equal(found.alpha, true.astype(np.float32) / 255)


@pytest.mark.parametrize("how", ["wide", "narrow", "shifted", "blurred"])
def test_a_mask_that_does_not_fit_is_solved(how):
    true = subject()
    mask = changed(true, how)
    found = find_matte(picture(true), mask, options=AUTO)
    assert found.method == "auto"
    solved = find_matte(picture(true), mask)
    np.testing.assert_array_equal(found.alpha, solved.alpha)
    assert np.abs(found.alpha - true / 255).mean() < 0.5 * np.abs(mask / 255 - true / 255).mean()


def test_the_truth_is_likelier_than_what_is_off():
    true = subject()
    alpha = true.astype(np.float32) / 255
    trimap = trimap_from_mask(true, erode_size=16)
    for how in ("wide", "narrow", "shifted", "blurred"):
        other = changed(true, how).astype(np.float32) / 255
        gain = likelier_by(picture(true), trimap, alpha, other)
        assert gain > 1
        assert likelier_by(picture(true), trimap, other, alpha) == pytest.approx(-gain)
    assert likelier_by(picture(true), trimap, alpha, alpha) == 0
    assert likelier_by(picture(true), np.round(alpha), alpha, 1 - alpha) == 0


def test_what_was_drawn_or_painted_is_solved():
    true = subject()
    trimap = trimap_from_mask(true)
    assert find_matte(picture(true), true, trimap, options=AUTO).method == "auto"
    unknown = np.zeros(true.shape, np.float32)
    unknown[60:70, 100:110] = 1
    hints = {"unknown": unknown}
    assert find_matte(picture(true), true, hints=hints, options=AUTO).method == "auto"


def test_a_layer_whose_mask_stays_is_the_very_same():
    true = subject()
    edge = EdgeColours(np.array([60 * 160 + 40]), np.float32([[1, 2, 3]]))
    layer = Layer(true.astype(np.float32) / np.float32(255.5), edge=edge)
    refined = refine_layer(picture(true), layer, Refinement(matting=AUTO))
    np.testing.assert_array_equal(refined.alpha, layer.alpha)
    assert refined.edge is edge
    assert not refined.solved
    wide = Layer(changed(true, "wide").astype(np.float32) / 255)
    assert refine_layer(picture(true), wide, Refinement(matting=AUTO)).solved


def test_short_of_memory_it_is_fast_that_may_take_the_place():
    true = subject()
    found = find_matte(picture(true), changed(true, "wide"), options=AUTO, memory=1_200_000)
    assert found.method == "fast"
    assert "fast matting instead of auto" in found.warning
