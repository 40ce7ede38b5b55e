"""Colour profiles and resolution: kept where RGB can keep them, else used up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers import Whole, decode, encode, profile
from rembg_sessions.core import new_session, remove
from rembg_sessions.core.imaging.profile import from_srgb, space_of, to_srgb, without_profile

WIDE, GREY = profile(), profile("GRAY")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
COLOURS = [
    {},
    {"putalpha": True},
    {"edge_colours": "estimated"},
    {"edge_colours": "original"},
    {"decontaminate": True},
    {"bgcolor": "white"},
    {"matting_method": "guided"},
    {"max_size": 10},
    {"post_process_mask": True},
]


def test_spaces():
    assert (space_of(WIDE), space_of(GREY), space_of(SRGB)) == ("RGB", "GRAY", "RGB")
    for other in (None, b"", b"acsp" * 10, b"\0" * 200, "text", 7):
        assert space_of(other) == ""


@pytest.mark.parametrize("options", COLOURS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_an_rgb_profile_is_kept_and_so_are_the_numbers(mode, options):
    picture = Image.new("RGB", (60, 60), (255, 30, 30)).convert(mode)
    data = encode(picture, icc_profile=WIDE, dpi=(300, 300))
    cutout = decode(remove(data, session=Whole(), **options))
    assert cutout.info["icc_profile"] == WIDE
    assert [round(side) for side in cutout.info["dpi"]] == [300, 300]
    expected = picture.convert("RGB").getpixel((30, 30))
    assert np.abs(np.subtract(cutout.convert("RGB").getpixel((30, 30)), expected)).max() <= 1


def test_a_cutout_without_its_profile():
    picture = Image.new("RGBA", (9, 9), (40, 200, 60, 128))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.putpixel((1, 1), (255, 255, 255, 0))
    found = without_profile(picture, WIDE)
    # Display P3 in linear sRGB: -0.11, 0.61, -0.001
    assert [found.getpixel((x, x)) for x in (0, 1, 4)] == [
        (0, 0, 0, 0),
        (255, 255, 255, 0),
        (0, 205, 0, 128),
    ]


def test_a_profile_that_cannot_be_used_changes_nothing(caplog):
    picture = Image.new("RGBA", (9, 9), (40, 200, 60, 128))
    assert without_profile(picture, b"nonsense") is picture
    assert "could not be used" in caplog.text


def test_pillow_pictures_carry_it_in_their_info():
    picture = Image.new("RGB", (9, 9), (255, 30, 30))
    picture.info.update(icc_profile=WIDE, dpi=(72, 96), comment="private", exif=b"Exif")
    cutout = remove(picture, session=Whole())
    assert cutout.info == {"icc_profile": WIDE, "dpi": (72.0, 96.0)}
    assert remove(picture, session=Whole(), only_mask=True).info == {"dpi": (72.0, 96.0)}


def test_grey_numbers_of_a_grey_profile_become_srgb():
    picture = Image.new("L", (9, 9), 100)
    cutout = decode(remove(encode(picture, icc_profile=GREY), session=Whole()))
    assert "icc_profile" not in cutout.info
    level = cutout.getpixel((4, 4))[0]
    # gamma 1.8 shown as sRGB: lighter
    expected = 255 * (1.055 * ((100 / 255) ** 1.8) ** (1 / 2.4) - 0.055)
    assert abs(level - expected) <= 1.5 and level > 110
    # grey numbers in an RGB profile are its neutral colours
    cutout = decode(remove(encode(picture, icc_profile=WIDE), session=Whole()))
    assert cutout.info["icc_profile"] == WIDE and cutout.getpixel((4, 4))[:3] == (100, 100, 100)


def test_inks_become_srgb():
    inks = Image.new("CMYK", (9, 9), (0, 255, 255, 0))
    plain = decode(remove(encode(inks, "TIFF"), session=Whole()))
    assert plain.getpixel((4, 4))[:3] == (255, 0, 0)
    # one that only says CMYK cannot be used, and must not be put on RGB
    broken = WIDE[:16] + b"CMYK" + WIDE[20:]
    cutout = decode(remove(encode(inks, "TIFF", icc_profile=broken), session=Whole()))
    assert "icc_profile" not in cutout.info
    assert cutout.getpixel((4, 4))[:3] == (255, 0, 0)


@pytest.mark.parametrize("wrong", [GREY, b"nonsense", b"\0" * 500])
def test_another_space_is_never_put_on_rgb(wrong, caplog):
    picture = Image.new("RGB", (9, 9), (255, 30, 30))
    picture.info["icc_profile"] = wrong
    assert "icc_profile" not in remove(picture, session=Whole()).info
    assert "was ignored" in caplog.text


def test_a_background_is_of_the_colour_that_was_asked_for():
    class Nothing:
        def predict(self, image, **options):
            return [Image.new("L", image.size, 0)]

    picture = Image.new("RGB", (9, 9))
    picture.info["icc_profile"] = WIDE
    found = remove(picture, session=Nothing(), bgcolor="#c83214")
    assert found.info["icc_profile"] == WIDE
    shown = to_srgb(found.convert("RGB"), WIDE)
    assert np.abs(np.subtract(shown.getpixel((4, 4)), (200, 50, 20))).max() <= 2
    assert from_srgb((200, 50, 20), b"nonsense") == (200, 50, 20)


def test_the_model_without_weights_keeps_it_too():
    picture = Image.new("RGB", (60, 60), "white")
    picture.paste((255, 30, 30), (15, 15, 45, 45))
    data = encode(picture, icc_profile=WIDE)
    cutout = decode(remove(data, session=new_session("backdrop"), edge_colours="estimated"))
    assert cutout.info["icc_profile"] == WIDE and cutout.getpixel((30, 30)) == (255, 30, 30, 255)


@pytest.mark.parametrize("dpi", [None, 72, (0, 0), (-1, 72), ("a", "b"), (float("nan"), 72), (1,)])
def test_resolutions_that_make_no_sense(dpi):
    picture = Image.new("RGB", (9, 9))
    picture.info["dpi"] = dpi
    assert remove(picture, session=Whole()).info == {}
    assert isinstance(remove(picture, session=Whole(), force_return_bytes=True), bytes)
