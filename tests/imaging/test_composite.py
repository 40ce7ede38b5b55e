"""Cut-outs, colours and backgrounds."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.imaging import composite
from rembg_sessions.core.imaging.bleed import REACH
from rembg_sessions.core.imaging.foreground import estimate_edge_colours
from rembg_sessions.core.imaging.morphology import dilate

bg = pytest.importorskip("rembg.bg", reason="rembg 2.0.86 needs Python 3.11")


@pytest.fixture
def every_product():
    """Each level of a colour against each level of the mask."""
    rng = np.random.default_rng(0)
    level, alpha = np.mgrid[:256, :256].astype(np.uint8)
    colours = np.stack([level, 255 - level, rng.integers(0, 256, level.shape, np.uint8)], -1)
    return Image.fromarray(colours), Image.fromarray(alpha)


def test_the_naive_cutout_is_the_one_of_rembg(every_product):
    ours, theirs = composite.naive_cutout(*every_product), bg.naive_cutout(*every_product)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.mode == "RGBA"


def test_cutouts_of_a_large_picture():
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (1031, 1100, 3), np.uint8))
    mask = Image.fromarray(rng.integers(0, 256, (1031, 1100), np.uint8))
    ours, theirs = composite.naive_cutout(picture, mask), bg.naive_cutout(picture, mask)
    np.testing.assert_array_equal(ours, theirs)
    straight = np.asarray(composite.straight_cutout(picture, mask))
    np.testing.assert_array_equal(straight, np.dstack([picture, mask]))


def test_the_straight_cutout_keeps_colours_and_picture(every_product):
    picture, mask = every_product
    cutout = composite.straight_cutout(picture, mask)
    np.testing.assert_array_equal(np.asarray(cutout)[..., :3], picture)
    np.testing.assert_array_equal(cutout.getchannel("A"), mask)
    assert picture.mode == "RGB"


def test_the_estimated_cutout_hides_nothing(every_product):
    picture, mask = every_product
    pixels, alpha = np.asarray(picture), np.asarray(mask)
    share = alpha / np.float32(255)
    cutout = np.asarray(composite.cut_out(pixels, share, estimate_edge_colours(pixels, share)))
    assert not cutout[~dilate(alpha > 0, REACH)].any()
    np.testing.assert_array_equal(cutout[alpha == 255][:, :3], np.asarray(picture)[alpha == 255])
    np.testing.assert_array_equal(cutout[..., 3], alpha)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("#fff", (255, 255, 255, 255)),
        ("#1234", (17, 34, 51, 68)),
        ("#0A141e", (10, 20, 30, 255)),
        ("#0a141e28", (10, 20, 30, 40)),
        ("white", (255, 255, 255, 255)),
        (" Rebeccapurple ", (102, 51, 153, 255)),
        ("1,2,3", (1, 2, 3, 255)),
        (" 1, 2 ,3, 4", (1, 2, 3, 4)),
        ("rgb(1,2,3)", (1, 2, 3, 255)),
        ("hsl(0, 100%, 50%)", (255, 0, 0, 255)),
        ((1, 2, 3), (1, 2, 3, 255)),
        ((1, 2, 3, 4), (1, 2, 3, 4)),
        ([0, 0, 0], (0, 0, 0, 255)),
        (np.array([1, 2, 3]), (1, 2, 3, 255)),
    ],
    ids=str,
)
def test_colours(value, expected):
    assert composite.parse_colour(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *["", "  ", "whit", "#12", "#12345", "#gggggg", "1,2", "1,2,3,4,5", "256,0,0", "-1,0,0"],
        *["1.5,2,3", "a,b,c", "rgb(300,0,0)", "x" * 500],
        *[(), (1, 2), (1, 2, 3, 4, 5), (256, 0, 0), (0, -1, 0), ("a", "b", "c"), (None, 1, 2)],
        *[7, 1.5, {"r": 1}, (float("nan"), 0, 0), (float("inf"), 0, 0)],
    ],
    ids=str,
)
def test_what_is_no_colour(value):
    with pytest.raises(OptionError, match=r"is not a colour\. Use #RGB"):
        composite.parse_colour(value)


def test_a_cutout_over_a_colour():
    cutout = Image.new("RGBA", (2, 1), (200, 100, 0, 255))
    cutout.putpixel((1, 0), (200, 100, 0, 51))
    over = composite.over_colour(cutout, (0, 0, 255, 255))
    assert over.mode == "RGBA"
    assert over.getpixel((0, 0)) == (200, 100, 0, 255)
    assert over.getpixel((1, 0)) == (40, 20, 204, 255)


# -- background pictures ------------------------------------------------------------------------


def halves(width, height):
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("blue", (width // 2, 0, width, height))
    return picture


def columns(picture):
    """Colour names along the middle row."""
    names = {(255, 0, 0): "r", (0, 0, 255): "b", (1, 2, 3): "."}
    row = [picture.getpixel((x, picture.height // 2)) for x in range(picture.width)]
    return "".join(names.get(colour, "?") for colour in row)


@pytest.mark.parametrize(
    ("fit", "size", "expected"),
    [
        ("centre", (4, 4), "..rrbb.."),
        ("centre", (16, 4), "rrrrbbbb"),
        ("fit", (4, 4), "..rrbb.."),
        ("stretch", (8, 4), "rrrrbbbb"),
        ("fill", (8, 4), "rrrrbbbb"),
    ],
)
def test_ways_to_place_a_background(fit, size, expected):
    placed = composite.fit_picture(halves(*size), (4, 8), fit, (1, 2, 3))
    assert placed.size == (8, 4)
    assert columns(placed) == expected


def test_fitting_a_wide_picture_leaves_bars_above_and_below():
    pixels = np.asarray(composite.fit_picture(halves(20, 4), (10, 10), "fit", (1, 2, 3)))
    bars = (pixels == (1, 2, 3)).all(axis=(1, 2))
    np.testing.assert_array_equal(bars, [True] * 4 + [False] * 2 + [True] * 4)


def test_filling_covers_and_crops_evenly():
    tall = halves(10, 40).transpose(Image.Transpose.ROTATE_90)  # upper half blue, 40 by 10
    placed = composite.fit_picture(tall, (20, 20), "fill", (1, 2, 3))
    pixels = np.asarray(placed)
    assert pixels.shape == (20, 20, 3)
    assert (pixels[0, :, 2] > 200).all() and (pixels[-1, :, 0] > 200).all()


@pytest.mark.parametrize("fit", composite.FITS)
@pytest.mark.parametrize("size", [(1, 1), (1, 60000), (60000, 1), (7, 5)], ids=str)
def test_backgrounds_of_odd_proportions(fit, size):
    assert composite.fit_picture(halves(*size), (9, 11), fit).size == (11, 9)


def test_an_unknown_way_to_place_a_background():
    with pytest.raises(OptionError, match="fit is 'tile'; use one of stretch, fit, fill, centre"):
        composite.fit_picture(halves(4, 4), (4, 4), "tile")


def test_a_stack():
    one, two = Image.new("L", (4, 2), 10), Image.new("L", (3, 5), 20)
    stacked = composite.stack([one, two])
    assert (stacked.mode, stacked.size) == ("L", (4, 7))
    assert [stacked.getpixel(xy) for xy in ((3, 1), (2, 2), (3, 2))] == [10, 20, 0]
    assert composite.stack([one]) is one
