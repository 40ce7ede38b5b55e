"""Cut-outs over a background: placed, with a shadow and an outline."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import Composition, compose
from rembg_sessions.core.errors import ImageError, OptionError
from rembg_sessions.core.imaging.box import Box, find_box
from rembg_sessions.core.imaging.compose import arrange, compose_into, make_ground

H, W = 60, 80


@pytest.fixture
def cutout():
    """Noise in a box off the middle, with a soft edge."""
    levels = np.zeros((H, W, 4), np.uint8)
    levels[10:40, 15:45] = np.random.default_rng(0).integers(60, 200, (30, 30, 4))
    levels[11:39, 16:44, 3] = 255
    return Image.fromarray(levels)


@pytest.fixture
def photo():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 100, 3), np.uint8))


def box_of(result):
    return find_box(np.asarray(result)[..., 3], 0.5)


def test_over_a_colour_as_pillow_does_it(cutout):
    result = compose(cutout, "#10c020")
    assert result.mode == "RGB"
    expected = Image.alpha_composite(Image.new("RGBA", cutout.size, "#10c020"), cutout)
    assert np.abs(np.asarray(result, int) - np.asarray(expected, int)[..., :3]).max() <= 1


def test_alone_it_is_what_it_was(cutout):
    result = np.asarray(compose(cutout))
    alpha = np.asarray(cutout)[..., 3]
    np.testing.assert_array_equal(result[..., 3], alpha)
    np.testing.assert_array_equal(result[alpha > 0], np.asarray(cutout)[alpha > 0])


def test_a_half_transparent_colour_is_as_opaque_as_it_says(cutout):
    result = compose(cutout, (200, 100, 0, 128))
    assert result.mode == "RGBA"
    assert result.getpixel((0, 0)) == (200, 100, 0, 128)
    expected = Image.alpha_composite(Image.new("RGBA", cutout.size, (200, 100, 0, 128)), cutout)
    assert np.abs(np.asarray(result, int) - np.asarray(expected, int)).max() <= 2


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (W, H)),
        ({"canvas": "background"}, (100, 50)),
        ({"width": 40}, (40, 30)),
        ({"height": 120}, (160, 120)),
        ({"width": 33, "height": 21, "canvas": "background"}, (33, 21)),
    ],
    ids=str,
)
def test_sizes_of_the_result(options, size, cutout, photo):
    assert compose(cutout, photo, Composition(**options)).size == size
    if options.get("canvas") and "width" not in options:
        with pytest.raises(ImageError, match="no background picture"):
            compose(cutout, "white", Composition(**options))


@pytest.mark.parametrize(
    ("options", "box"),
    [
        ({}, (15, 10, 30, 30)),
        ({"scale": 2.0}, (0, 0, 60, 55)),  # its middle, 30 and 25, stays; the canvas ends
        ({"scale": 0.5}, (22, 18, 15, 15)),
        ({"move_x": 10.0, "move_y": -10.0}, (23, 4, 30, 30)),
        ({"move_x": -3.0, "move_y": 4.0, "move_unit": "px"}, (12, 14, 30, 30)),
        ({"width": 100, "height": 100}, (25, 30, 30, 30)),
    ],
    ids=str,
)
def test_where_the_subject_goes(options, box, cutout):
    cutout.putalpha(cutout.getchannel("A").point(lambda level: 255 if level else 0))
    found = box_of(compose(cutout, None, Composition(**options)))
    assert np.abs(np.array(found) - box).max() <= 1


def test_unscaled_pixels_are_copied(cutout):
    moved = np.asarray(compose(cutout, "white", Composition(move_x=7, move_unit="px")))
    still = np.asarray(compose(cutout, "white"))
    np.testing.assert_array_equal(moved[:, 7:], still[:, :-7])


def test_subjects_of_a_batch_move_alike():
    boxes = [Box(10, 10, 20, 20), None, Box(50, 30, 20, 20)]
    placement = arrange(boxes, (H, W), (H, W), Composition(scale=0.5))
    assert placement == arrange([Box(10, 10, 60, 40)], (H, W), (H, W), Composition(scale=0.5))
    empty = arrange([None], (H, W), (H, W), Composition(scale=0.5))
    assert empty.target == Box(W // 4, H // 4, W // 2, H // 2)


def test_scaled_colours_stay_in_their_range():
    """Filters overshoot, most at hard edges; an outline beside them must not be exceeded."""
    levels = np.zeros((H, W, 4), np.uint8)
    levels[10:40:2, 15:45] = levels[:, 20:40:3] = 255
    with np.errstate(all="raise"):
        for scale in (0.37, 1.7):
            options = Composition(scale=scale, outline=5)
            result = np.asarray(compose(Image.fromarray(levels), "white", options))
            assert result.min() >= 253


def test_the_shadow_is_below_the_subject_and_not_in_the_mask(cutout):
    options = Composition(shadow=0.6, shadow_blur=0, shadow_x=0, shadow_y=10)
    plain, shaded = (np.asarray(compose(cutout, "white", each), int) for each in (None, options))
    alpha = np.asarray(cutout)[..., 3]
    np.testing.assert_array_equal(shaded[alpha == 255], plain[alpha == 255])
    assert (shaded[41:49, 17:43] == 255 * 4 // 10).all()
    assert (shaded[:9] == 255).all() and (shaded[51:] == 255).all()
    alone = np.asarray(compose(cutout, None, options))
    assert np.abs(alone[41:49, 17:43] - np.array([0, 0, 0, 153])).max() == 0


def test_the_mask_holds_subject_and_outline(cutout):
    values = np.asarray(cutout, np.float32) / 255
    alpha = values[..., 3].copy()
    mask, out = np.empty((H, W), np.float32), np.empty((H, W, 3), np.float32)
    options = Composition(shadow=1.0, outline=4, outline_colour="#f00")
    placement = arrange([], (H, W), (H, W), options)
    ground = make_ground(None, (H, W), "fill", (0, 0, 255, 255))
    compose_into(values, alpha, placement, options, ground, out, mask)
    assert mask[25, 12] == 1 and mask[25, 9] == 0
    assert out[25, 12].tolist() == [1, 0, 0]
    np.testing.assert_array_equal(values[..., 3], alpha)
    soft = (alpha > 0) & (alpha < 1)  # over the outline, not over the ground
    assert out[soft][:, 2].max() < 0.8 and mask[soft].min() > 0.99


def test_a_transparent_picture_lets_the_colour_through(cutout):
    picture = Image.new("RGBA", (W, H), (0, 255, 0, 0))
    np.testing.assert_array_equal(
        np.asarray(
            Image.fromarray(make_ground(picture, (H, W), "fill", (9, 8, 7, 255))).convert("RGB")
        ),
        np.broadcast_to([9, 8, 7], (H, W, 3)),
    )
    assert compose(cutout, picture).mode == "RGBA"


def test_what_is_refused(cutout):
    for options, word in (
        ({"scale": 0}, "scale is 0"),
        ({"shadow": 2}, "shadow is 2"),
        ({"outline": 1.5}, "outline is 1.5"),
        ({"canvas": "page"}, "canvas is 'page'"),
        ({"move_unit": "cm"}, "move_unit is 'cm'"),
        ({"outline_colour": "reddish"}, "reddish"),
    ):
        with pytest.raises(OptionError, match=word):
            Composition(**options)
    with pytest.raises(ImageError, match="mode RGBA"):
        compose("cut.png", "white")
