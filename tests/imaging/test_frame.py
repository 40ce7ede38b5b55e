"""Framing: the subject is inside, whole, and where it was asked to be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.imaging.box import Box, around, find_box
from rembg_sessions.core.imaging.frame import frame_picture, place
from rembg_sessions.core.imaging.framing import LARGEST_SIDE, Framing, Placement, plan


def drawn(height=90, width=120, box=(30, 20, 41, 33), dtype=np.float32):
    """A straight cut-out: noise in a box, with a soft rim of one pixel around it, 0 elsewhere."""
    rng = np.random.default_rng(sum(box))
    cutout = np.zeros((height, width, 4), np.float32)
    x, y, w, h = box
    cutout[y : y + h, x : x + w] = rng.uniform(0.2, 1, (h, w, 4))
    cutout[y + 1 : y + h - 1, x + 1 : x + w - 1, 3] = 1
    return (cutout * 255 + 0.5).astype(np.uint8) if dtype == np.uint8 else cutout


def framed(cutout, **options):
    """The canvas, and the box of what is on it."""
    framing = Framing(**options)
    (placement,) = plan([find_box(cutout[..., 3])], cutout.shape[:2], framing)
    canvas = place(cutout, placement)
    return canvas, find_box(canvas[..., 3])


def gaps(canvas, box):
    """Distance of a box from the left, upper, right and lower side."""
    height, width = canvas.shape[:2]
    return (box.x, box.y, width - box.x - box.width, height - box.y - box.height)


# -- the box -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (119, 89, 1, 1), (3, 5, 7, 9), (0, 0, 120, 90), (1, 0, 119, 3)]
)
def test_the_box_is_right_to_the_pixel(box, dtype):
    alpha = drawn(box=box, dtype=dtype)[..., 3]
    assert find_box(alpha) == box


def test_nothing_is_no_box():
    assert find_box(np.zeros((5, 7), np.float32)) is None
    assert find_box(np.full((5, 7), 0.05, np.float32)) is None
    assert find_box(np.full((5, 7), 0.05, np.float32), 0.04) == (0, 0, 7, 5)
    assert find_box(np.ones((5, 7), np.float32), 1) is None


@pytest.mark.parametrize("size", [(100, 140), (1000, 1400)])
def test_specks_and_haze_are_left_out_and_small_parts_are_not(size):
    height, width = size
    alpha = np.zeros(size, np.float32)
    alpha[height // 4 : height // 2, width // 4 : width // 2] = 1
    box = Box(width // 4, height // 4, width // 4, height // 4)
    assert find_box(alpha) == box
    alpha[0, 0] = alpha[-1, -3] = 1
    alpha[:, : width // 8] = np.maximum(alpha[:, : width // 8], 0.04)
    assert find_box(alpha) == box
    ball = height // 32  # 1.1 % of the subject
    alpha[2 : 2 + ball, -ball:] = 1
    assert find_box(alpha) == around([box, Box(width - ball, 2, ball, ball)])


def test_a_broken_hair_belongs_to_the_head():
    alpha = np.zeros((600, 800), np.float32)
    alpha[300:, 300:500] = 1
    alpha[100:300:3, 400] = 0.3  # dots of a pixel, with gaps of two
    assert find_box(alpha) == (300, 100, 200, 500)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, None, "low", float("nan")])
def test_threshold_is_checked(threshold):
    with pytest.raises(OptionError, match=r"threshold is .*use a number from 0 to 1"):
        find_box(np.ones((3, 3), np.float32), threshold)


# -- one picture -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("margin", [0, 1, 10, 200])
@pytest.mark.parametrize("align", ["centre", "bottom"])
def test_margins_in_pixels_are_right_to_the_pixel(margin, align, dtype):
    """Also where the margin reaches beyond the picture; the subject's pixels are copied."""
    cutout = drawn(dtype=dtype)
    canvas, box = framed(cutout, margin=margin, align=align)
    assert gaps(canvas, box) == (margin,) * 4
    x, y, w, h = find_box(cutout[..., 3])
    part = canvas[box.y : box.y + h, box.x : box.x + w]
    np.testing.assert_array_equal(part, cutout[y : y + h, x : x + w])


def options_of(rng):
    """Any way of framing."""
    return {
        "width": int(rng.integers(0, 2) * rng.integers(20, 200)),
        "height": int(rng.integers(0, 2) * rng.integers(20, 200)),
        "margin_unit": (unit := ["%", "px"][rng.integers(2)]),
        "margin": float(rng.uniform(0, 45)) if unit == "%" else int(rng.integers(0, 9)),
        "align": ["centre", "bottom"][rng.integers(2)],
        "enlarge": bool(rng.integers(2)),
    }


@pytest.mark.parametrize("seed", range(60))
def test_the_subject_is_inside_and_where_it_should_be(seed):
    rng = np.random.default_rng(seed)
    options = options_of(rng)
    if not (options["width"] and options["height"]) and rng.integers(2):
        options["aspect_ratio"] = ["1:1", "4:5", "16:9"][rng.integers(3)]
    size = rng.integers(20, 150, 2)
    corner = [int(rng.integers(0, side - 8)) for side in size]
    h, w = (int(rng.integers(8, s - c + 1)) for s, c in zip(size, corner, strict=True))
    cutout = drawn(*size, box=(corner[1], corner[0], w, h))
    framing = Framing(**options)
    (placement,) = plan([find_box(cutout[..., 3])], cutout.shape[:2], framing)
    canvas, target = place(cutout, placement), placement.target
    height, width = canvas.shape[:2]
    assert options["width"] in (0, width) and options["height"] in (0, height)
    if framing.ratio:
        assert abs(width - height * framing.ratio) <= max(0.5, framing.ratio / 2)

    left, top, right, bottom = gaps(canvas, target)
    # a subject of one pixel is never less than that
    least = min(
        (width - framing.inner(width)) / 2 if target.width > 1 else 0,
        (height - framing.inner(height)) / 2 if target.height > 1 else 0,
    )
    assert min(left, top, right, bottom) >= int(least) >= 0
    assert abs(left - right) <= 1  # half a pixel off the centre at most
    if options["align"] == "centre":
        assert abs(top - bottom) <= 1
    else:
        assert bottom == (height - framing.inner(height)) // 2

    scales = (target.width / w, target.height / h)
    if not (options["width"] or options["height"]):
        assert scales == (1, 1)
    elif not options["enlarge"]:
        assert max(scales) <= 1
    if options["enlarge"] and framing.is_fixed:  # it fills one side
        assert (
            target.width >= framing.inner(width) - 1 or target.height >= framing.inner(height) - 1
        )
    # as much of it is there as was; the filter rounds corners off
    seen = canvas[..., 3].sum() / (scales[0] * scales[1])
    assert seen == pytest.approx(cutout[..., 3].sum(), rel=0.12)


@pytest.mark.parametrize("margin", [0, 7.5, 10, 25, 45])
@pytest.mark.parametrize("box", [(30, 20, 41, 33), (10, 20, 100, 5)])
def test_per_cent_are_of_the_canvas(margin, box):
    """The subject fills the rest of the side that is tight."""
    cutout, fill = drawn(box=box), 1 - margin / 50
    canvas, found = framed(cutout, margin=margin, margin_unit="%")
    for side, part in zip(canvas.shape[:2], (found.height, found.width), strict=True):
        assert -1e-6 < side * fill - part < 1.01
    framing = Framing(margin=margin, margin_unit="%", width=2000, height=2000, enlarge=True)
    (placement,) = plan([Box(*box)], (90, 120), framing)
    assert placement.canvas_hw == (2000, 2000)
    assert max(placement.target[2:]) == round(2000 * fill)


def test_a_small_subject_is_not_enlarged_unless_asked():
    cutout = drawn()
    canvas, box = framed(cutout, width=300, height=200)
    assert canvas.shape == (200, 300, 4)
    assert (box.width, box.height) == (41, 33)
    _, box = framed(cutout, width=300, height=200, enlarge=True)
    assert box.height == pytest.approx(200, abs=1)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 82}, (33, 82)),
        ({"height": 99}, (99, 41)),
        ({"width": 82, "enlarge": True}, (66, 82)),
        ({"width": 82, "aspect_ratio": "1:1"}, (82, 82)),
        ({"height": 90, "aspect_ratio": "16:9"}, (90, 160)),
        ({"aspect_ratio": "1:1"}, (41, 41)),
        ({"aspect_ratio": "2:1"}, (33, 66)),
        ({"aspect_ratio": "1:2", "margin": 2}, (90, 45)),
        ({"aspect_ratio": "1.91:1", "height": 628}, (628, 1199)),
    ],
)
def test_sizes_that_are_not_given_follow(options, size):
    assert framed(drawn(), **options)[0].shape[:2] == size


# -- scaling -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("side", [20, 37, 150])
@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_scaling_makes_no_fringe(side, ground, dtype):
    """A grey disc, with black or white under alpha 0: every pixel that is seen is grey."""
    y, x = np.mgrid[:80, :80]
    alpha = np.clip(30 - np.hypot(x - 39.5, y - 39.5), 0, 1).astype(np.float32)
    cutout = np.full((80, 80, 4), 0.6, np.float32)
    cutout[alpha == 0] = ground
    cutout[..., 3] = alpha
    if dtype == np.uint8:
        cutout = (cutout * 255 + 0.5).astype(np.uint8)
    canvas, _ = framed(cutout, width=side, height=side, margin=1, enlarge=True)
    values = canvas / 255 if dtype == np.uint8 else canvas
    seen = values[..., 3] >= 1 / 255
    assert np.abs(values[seen][:, :3] - 0.6).max() < 0.01
    assert values[~seen][:, :3].max(initial=0) == 0
    assert values[..., 3].max() == 1 and values.min() >= 0


def test_scaled_down_is_what_pillow_gives():
    """Lanczos on alpha, to the pixel: the middle of the subject lies where it should."""
    cutout = drawn(256, 256, box=(0, 0, 256, 256))
    cutout[..., 3] = np.random.default_rng(1).uniform(0.1, 1, (256, 256))
    canvas, _ = framed(cutout, width=64, height=64)
    expected = Image.fromarray(cutout[..., 3]).resize((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(canvas[..., 3], np.clip(np.asarray(expected), 0, 1), atol=1e-5)


def test_a_subject_cut_by_the_border_stays_sharp_there():
    """A portrait stands on the canvas's edge without a soft line under it."""
    cutout = np.zeros((101, 77, 4), np.float32)
    cutout[30:, 10:60] = 1
    canvas, _ = framed(cutout, width=40, height=40, align="bottom")
    left, right = np.flatnonzero(canvas[-1, :, 3] > 0.5)[[0, -1]]
    assert canvas[-1, left + 1 : right, 3].min() > 0.995


@pytest.mark.parametrize("side", [30, 200])
def test_masks_are_framed_as_their_cut_outs(side):
    cutout = drawn(dtype=np.uint8)
    framing = Framing(width=side, height=side, margin=2, enlarge=True)
    mask, found = frame_picture(Image.fromarray(cutout[..., 3]), framing)
    whole, _ = frame_picture(Image.fromarray(cutout), framing)
    assert found and mask.mode == "L" and whole.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(mask), np.asarray(whole.getchannel("A")))


# -- batches -----------------------------------------------------------------------------

BOXES = [Box(10, 20, 30, 40), Box(50, 5, 20, 60), Box(0, 0, 10, 10)]


def test_one_box_for_a_batch():
    placements = plan(BOXES, (90, 120), Framing(margin=3), "together")
    assert len({*placements}) == 1
    assert placements[0].box == around(BOXES) == (0, 0, 70, 65)
    assert placements[0].canvas_hw == (71, 76)


@pytest.mark.parametrize("align", ["centre", "bottom"])
def test_a_box_each_on_canvases_of_one_size(align):
    placements = plan(BOXES, (90, 120), Framing(margin=3, align=align), "each")
    assert [placement.box for placement in placements] == BOXES
    assert {placement.canvas_hw for placement in placements} == {(66, 36)}
    assert {placement.target[2:] == placement.box[2:] for placement in placements} == {True}
    if align == "bottom":
        assert {target.y + target.height for target in (p.target for p in placements)} == {63}


def test_one_scale_or_a_scale_each():
    framing = Framing(width=120, height=120, enlarge=True, align="bottom")
    same = plan(BOXES, (90, 120), framing, "same-scale")
    assert [p.target[2:] for p in same] == [(60, 80), (40, 120), (20, 20)]
    each = plan(BOXES, (90, 120), framing, "each")
    assert [p.target[2:] for p in each] == [(90, 120), (40, 120), (120, 120)]
    assert {p.target.y + p.target.height for p in (*same, *each)} == {120}


def test_pictures_without_a_subject():
    framing = Framing(margin=9)
    (placement,) = plan([None], (90, 120), framing)
    assert placement == Placement((90, 120), (90, 120), (0, 0, 120, 90), (0, 0, 120, 90))
    (placement,) = plan([None], (90, 120), Framing(width=60, height=60, margin=9))
    assert placement.canvas_hw == (60, 60) and placement.target == (0, 7, 60, 45)
    first, second = plan([None, BOXES[0]], (90, 120), framing, "each")
    assert first == second


# -- putting it back ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_put_back_gives_the_original_where_nothing_was_scaled(seed):
    rng = np.random.default_rng(seed)
    options = {**options_of(rng), "width": 0, "height": 0}
    cutout = drawn(box=(*rng.integers(0, 60, 2).tolist(), 25, 30), dtype=np.uint8)
    (placement,) = plan([find_box(cutout[..., 3])], cutout.shape[:2], Framing(**options))
    back = place(place(cutout, placement), placement.inverse)
    np.testing.assert_array_equal(back, cutout)


@pytest.mark.parametrize("side", [40, 300])
@pytest.mark.parametrize("again", [1, 2])
def test_put_back_after_scaling_lies_where_it_was(side, again):
    """Also what was enlarged in between."""
    y, x = np.mgrid[:80, :110]
    alpha = np.clip(20 - np.hypot(x - 60, y - 33), 0, 1).astype(np.float32)
    framing = Framing(width=side, height=side, margin=5, margin_unit="%", enlarge=True)
    (placement,) = plan([find_box(alpha)], alpha.shape, framing)
    canvas = place(alpha, placement)
    if again > 1:
        canvas = canvas.repeat(again, axis=0).repeat(again, axis=1)
    back = place(canvas, placement.inverse)
    assert back.shape == alpha.shape
    assert np.abs(back - alpha).mean() < 0.003
    for axis in (0, 1):
        centre, expected = (
            np.average(np.arange(each.shape[axis]), weights=each.sum(axis=1 - axis))
            for each in (back, alpha)
        )
        assert centre == pytest.approx(expected, abs=0.15)


# -- what cannot be done -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": -1}, "width is -1; use a whole number from 0 to 16384"),
        ({"height": 10**9}, "height is 1000000000; use a whole number"),
        ({"margin": -1}, "margin is -1; use a number from 0"),
        ({"margin": 46, "margin_unit": "%"}, "margin is 46; use a number from 0 to 45"),
        ({"margin_unit": "cm"}, "margin_unit is 'cm'; use one of %, px"),
        ({"align": "top"}, "align is 'top'; use one of centre, bottom"),
        ({"aspect_ratio": "square"}, "aspect_ratio is 'square'; use free, or width:height"),
        ({"aspect_ratio": "0:1"}, "aspect_ratio is '0:1'"),
        ({"aspect_ratio": 1}, "aspect_ratio is 1;"),
        ({"width": 10, "height": 20, "aspect_ratio": "1:1"}, "10×20 pixels is not 1:1. Set one"),
        ({"enlarge": "yes"}, "enlarge is 'yes'"),
        ({"threshold": 2}, "threshold is 2"),
    ],
)
def test_what_no_canvas_can_be(options, message):
    with pytest.raises(OptionError, match=message):
        Framing(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": LARGEST_SIDE}, "The canvas would be 32809×32801 pixels; 1 to 16384"),
        ({"aspect_ratio": "1:99999"}, "The canvas would be 41×4099959 pixels"),
        ({"width": 16384, "aspect_ratio": "1:2"}, "The canvas would be 16384×32768 pixels"),
        ({"width": 1, "aspect_ratio": "9999:1"}, "The canvas would be 1×0 pixels"),
        (
            {"width": 100, "margin": 50},
            "margin of 50 px leaves nothing of a canvas 100 pixels long",
        ),
        ({"width": 100, "margin": 50}, "use at most 49"),
    ],
)
def test_what_no_canvas_can_be_for_this_subject(options, message):
    with pytest.raises(OptionError, match=message):
        framed(drawn(), **options)


@pytest.mark.parametrize("align", ["centre", "bottom"])
def test_extreme_shapes(align):
    """A line of one pixel, on canvases of one pixel and of a thousand."""
    for box in ((0, 50, 120, 1), (60, 0, 1, 90)):
        for width, height in itertools.product((0, 1, 1000), repeat=2):
            for enlarge in {False, bool(width and height)}:
                canvas, _ = framed(
                    drawn(box=box), width=width, height=height, align=align, enlarge=enlarge
                )
                assert width in (0, canvas.shape[1]) and height in (0, canvas.shape[0])
