"""Colour profiles and resolution: kept where RGB can keep them, else used up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers import Whole, decode, encode
from rembg_sessions.core import new_session, remove
from rembg_sessions.core.imaging.profile import from_srgb, space_of, to_srgb


def number(value):
    return round(value * 65536).to_bytes(4, "big", signed=True)


def profile(space="RGB "):
    """A small ICC profile, version 2: wide-gamut RGB (D65 P3, gamma 2.2), or grey of gamma 1.8."""

    def xyz(*values):
        return b"XYZ " + bytes(4) + b"".join(map(number, values))

    def curve(gamma):
        entry = round(gamma * 256).to_bytes(2, "big")
        return b"curv" + bytes(4) + (1).to_bytes(4, "big") + entry + bytes(2)

    text = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"wide" + bytes(79)
    tags = [(b"desc", text), (b"cprt", b"text" + bytes(4) + b"none" + bytes(4))]
    tags.append((b"wtpt", xyz(0.9642, 1, 0.8249)))
    if space == "RGB ":
        tags.append((b"rXYZ", xyz(0.5151, 0.2412, -0.0011)))
        tags.append((b"gXYZ", xyz(0.2919, 0.6922, 0.0419)))
        tags.append((b"bXYZ", xyz(0.1572, 0.0666, 0.7841)))
        tags += [(name, curve(2.2)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    else:
        tags.append((b"kTRC", curve(1.8)))
    start, table, body = 132 + 12 * len(tags), len(tags).to_bytes(4, "big"), b""
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + (start + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    head = (start + len(body)).to_bytes(4, "big") + b"none" + b"\x02\x40\0\0" + b"mntr"
    head += space.encode() + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += number(0.9642) + number(1) + number(0.8249)
    return head.ljust(128, b"\0") + table + body


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
