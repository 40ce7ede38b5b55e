"""Pictures of every kind: modes, arrays, files, and what is not an image."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers import Gradient, Whole, decode, difference, encode
from rembg_sessions.core import remove
from rembg_sessions.core.errors import ImageError
from rembg_sessions.core.imaging.parts import float_levels
from rembg_sessions.core.imaging.picture import open_picture

# -- modes -----------------------------------------------------------------------------


def transparent(mode):
    """A picture whose left half is transparent."""
    picture = Image.new("RGBA", (40, 30), (200, 100, 50, 255))
    picture.paste((200, 100, 50, 0), (0, 0, 20, 30))
    if mode == "P":  # one colour of the palette is transparent
        indices = Image.fromarray((np.asarray(picture)[..., 3] // 255).astype(np.uint8), "L")
        palette = Image.new("P", (40, 30))
        palette.putpalette([0, 0, 0, 200, 100, 50])
        palette.paste(indices, (0, 0))
        return decode(encode(palette, transparency=0))
    if mode == "L":
        grey = Image.fromarray(np.where(np.asarray(picture)[..., 3], 90, 7).astype(np.uint8))
        return decode(encode(grey, transparency=7))
    if mode == "RGB":
        colours = Image.new("RGB", (40, 30), (200, 100, 50))
        colours.paste((1, 2, 3), (0, 0, 20, 30))
        return decode(encode(colours, transparency=(1, 2, 3)))
    if mode == "PA":
        palette = picture.convert("RGB").convert("P")
        palette.putalpha(picture.getchannel("A"))
        return palette
    if mode == "La":  # Pillow loses alpha on the direct way
        picture = picture.convert("LA")
    return picture.convert(mode)


OPAQUE = ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"]


@pytest.mark.parametrize("mode", OPAQUE)
def test_opaque_modes(mode, photo):
    picture = photo(40, 30)
    if mode in ("I", "F"):
        picture = picture.convert("L")
    cutout = remove(picture.convert(mode), session=Whole())
    assert (cutout.mode, cutout.size) == ("RGBA", (40, 30))
    expected = picture if mode in ("I", "F") else picture.convert(mode)
    np.testing.assert_array_equal(cutout.convert("RGB"), expected.convert("RGB"))
    assert cutout.getchannel("A").getextrema() == (255, 255)


@pytest.mark.parametrize("mode", ["LA", "PA", "P", "L", "RGB", "RGBA", "RGBa", "La"])
@pytest.mark.parametrize(
    "options",
    [{}, {"only_mask": True}, {"edge_colours": "estimated"}, {"post_process_mask": True}],
    ids=str,
)
def test_transparent_pictures_stay_at_least_as_transparent(mode, options):
    picture = transparent(mode)
    result = remove(picture, session=Whole(), **options)
    alpha = np.asarray(result if options.get("only_mask") else result.getchannel("A"))
    assert not alpha[:, :20].any()
    assert (alpha[:, 20:] == 255).all()


def test_an_alpha_channel_and_the_mask_give_the_lower_of_both():
    picture = Image.new("RGBA", (256, 4), (9, 9, 9, 100))
    alpha = np.asarray(remove(picture, session=Gradient(), putalpha=True))[..., 3]
    np.testing.assert_array_equal(alpha[0], np.minimum(np.arange(256), 100))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bit_grey_is_scaled_not_clipped(mode):
    order = ">" if mode == "I;16B" else "<"
    values = np.linspace(0, 65535, 64).astype(f"{order}u2").reshape(8, 8)
    picture = Image.frombytes(mode, (8, 8), values.tobytes())
    grey = np.asarray(remove(picture, session=Whole()))[..., 0]
    np.testing.assert_array_equal(grey, (values.astype(float) / 257).round())


def test_a_16_bit_file():
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    grey = decode(remove(encode(Image.fromarray(values)), session=Whole()))
    np.testing.assert_array_equal(np.asarray(grey)[..., 0], (values / 257).round())


def test_values_out_of_range_are_clipped():
    floats = np.array([[-5.0, 0.4, 0.6, 254.6, 300.0]], np.float32)
    grey = np.asarray(remove(floats, session=Whole()))[0, :, 0]
    np.testing.assert_array_equal(grey, [0, 0, 1, 255, 255])
    integers = Image.fromarray(np.array([[-5, 0, 1, 255]], np.int32))
    grey = np.asarray(remove(integers, session=Whole()))[0, :, 0]
    np.testing.assert_array_equal(grey, [0, 0, 1, 255])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_float_pictures_with_nan(bad):
    values = np.full((4, 5), 7, np.float32)
    values[2, 2] = bad
    for data in (values, Image.fromarray(values)):
        with pytest.raises(ImageError, match="NaN or infinity"):
            remove(data, session=Whole())


# -- arrays ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 2), (6, 5, 3), (6, 5, 4)], ids=str)
def test_arrays_of_every_shape(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if shape[2:] in ((2,), (4,)):
        array[..., -1] = 255
    before = array.copy()
    cutout = remove(array, session=Whole(), putalpha=True)
    assert isinstance(cutout, np.ndarray)
    assert (cutout.shape, cutout.dtype) == ((6, 5, 4), np.uint8)
    colours = array[..., None] if array.ndim == 2 else array[..., : 3 if shape[2] > 2 else 1]
    np.testing.assert_array_equal(cutout[..., :3], np.broadcast_to(colours, (6, 5, 3)))
    np.testing.assert_array_equal(array, before)
    assert remove(array, session=Whole(), only_mask=True).shape == (6, 5)


def test_arrays_that_are_views():
    array = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    for view in (array[::2, ::-1], array.transpose(1, 0, 2), np.asfortranarray(array)):
        cutout = remove(view, session=Whole(), putalpha=True)
        np.testing.assert_array_equal(cutout[..., :3], view)


def test_boolean_arrays():
    array = np.eye(5, dtype=bool)
    np.testing.assert_array_equal(remove(array, session=Whole())[..., 0], array * 255)


@pytest.mark.parametrize(
    "array",
    [
        *[np.zeros(shape, np.uint8) for shape in ((), (5,), (2, 3, 5), (1, 2, 3, 3))],
        *[np.zeros((4, 4, 3), dtype) for dtype in (np.int64, np.uint16, np.complex64)],
        np.array([["a"]]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_are_no_pictures(array):
    with pytest.raises(ImageError, match=r"is not an image here\. Use uint8"):
        remove(array, session=Whole())


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0, 3), (4, 0, 4)], ids=str)
def test_empty_arrays(shape):
    with pytest.raises(ImageError, match="array is empty"):
        remove(np.zeros(shape, np.uint8), session=Whole())


@pytest.mark.parametrize("channels", [3, 4])
def test_bgr_goes_in_and_comes_out(channels):
    rgb = np.random.default_rng(0).integers(0, 256, (6, 5, channels), dtype=np.uint8)
    bgr = rgb[..., [2, 1, 0, 3][:channels]]
    session = Gradient()
    expected = remove(rgb, session=session)
    cutout = remove(bgr, session=session, channel_order="BGR")
    np.testing.assert_array_equal(cutout, expected[..., [2, 1, 0, 3]])
    mask = remove(bgr, session=session, channel_order="BGR", only_mask=True)
    np.testing.assert_array_equal(mask, expected[..., 3] if channels == 3 else mask)
    png = remove(bgr, session=session, channel_order="BGR", force_return_bytes=True)
    np.testing.assert_array_equal(decode(png), expected)


# -- files -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_bytes(kind, photo):
    assert isinstance(remove(kind(encode(photo())), session=Whole()), bytes)


def test_a_path(tmp_path, photo):
    photo().save(tmp_path / "in.png")
    for path in (tmp_path / "in.png", str(tmp_path / "in.png")):
        cutout = remove(path, session=Whole())
        assert isinstance(cutout, Image.Image)
        np.testing.assert_array_equal(cutout.convert("RGB"), photo())


def test_a_path_that_does_not_exist(tmp_path):
    for path in (tmp_path / "no.png", str(tmp_path / "no.png"), tmp_path):
        with pytest.raises(ImageError, match="There is no file"):
            remove(path, session=Whole())


@pytest.mark.parametrize("data", [None, 7, {"a": 1}, object()], ids=repr)
def test_what_is_no_picture(data):
    with pytest.raises(ImageError, match=r"is not an image\. Pass bytes, a path"):
        remove(data, session=Whole())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_files_that_end_too_soon(form, photo):
    data = encode(photo().convert("RGB"), form)
    for length in (0, 5, 40, len(data) // 2):
        with pytest.raises(ImageError, match=r"^The data "):
            remove(data[:length], session=Whole())


def test_a_lazy_picture_whose_file_ends_too_soon(photo):
    data = encode(photo(200, 200))
    with pytest.raises(ImageError, match="The image could not be read"):
        remove(Image.open(io.BytesIO(data[: len(data) // 2])), session=Whole())


def test_pictures_that_could_be_bombs(monkeypatch, photo):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="MAX_IMAGE_PIXELS"):
        remove(encode(photo()), session=Whole())


def test_damaged_exif_does_not_stop_a_picture(photo, caplog):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encode(photo(40, 30), "WEBP", exif=exif, lossless=True))
    at = data.index(b"MM\0*") if b"MM\0*" in data else data.index(b"II*\0")
    data[at + 2 : at + 4] = b"??"
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        cutout = decode(remove(bytes(data), session=Whole()))
    np.testing.assert_array_equal(cutout.convert("RGB"), photo(40, 30))
    assert "EXIF data is damaged" in caplog.text


def test_exif_that_cannot_be_written_again(photo):
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.5
    data = encode(photo(40, 30), "JPEG", exif=exif)
    assert decode(remove(data, session=Whole())).size == (30, 40)
    # text where Pillow expects a number
    damaged = data.replace(b"\x01\x1a\0\x05", b"\x01\x1a\0\x02")
    assert damaged != data
    assert decode(remove(damaged, session=Whole())).size == (30, 40)


@pytest.mark.parametrize("options", [{}, {"putalpha": True}, {"max_size": 10}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA"])
def test_the_callers_picture_is_not_changed(mode, options, photo):
    picture = photo().convert(mode)
    picture.getexif()[0x0112] = 3
    picture.info["exif"] = picture.getexif().tobytes()
    before, info = picture.copy(), dict(picture.info)
    result = remove(picture, session=Gradient(), **options)
    result.paste(0, (0, 0, 9, 9))
    assert (picture.mode, picture.info) == (before.mode, info)
    assert picture == before


# -- floats ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (8, 8, 4)], ids=str)
def test_floats_of_0_to_1(shape, dtype):
    shares = np.random.default_rng(0).random(shape).astype(dtype)
    shares[..., 0, 0] = 1
    levels = (shares.astype(np.float64) * 255 + 0.5).astype(np.uint8)
    ours, expected = (remove(data, session=Whole(), putalpha=True) for data in (shares, levels))
    assert difference(ours, expected) <= (1 if dtype is np.float16 else 0)
    # ... and of 0 to 255
    np.testing.assert_array_equal(
        remove(levels.astype(np.float32), session=Whole(), putalpha=True), expected
    )


def test_floats_that_resampling_threw_beyond_0_to_1():
    values = np.array([[0, 0.5, np.nextafter(1, 2), 1.2, -0.2]], np.float32)
    np.testing.assert_array_equal(float_levels(values), [[0, 128, 255, 255, 0]])
    sharp = Image.fromarray(np.eye(9, dtype=np.float32)).resize((40, 40), Image.Resampling.LANCZOS)
    assert np.asarray(sharp).max() > 1
    assert np.asarray(open_picture(np.asarray(sharp))[0]).max() == 255


def test_a_float_file_of_0_to_1():
    data = encode(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF")
    grey = np.asarray(decode(remove(data, session=Whole())))[0, :, 0]
    np.testing.assert_array_equal(grey, [0, 128, 255])


# -- transparency in words -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "value"), [("I;16", 700), ("I", 700), ("F", 0.5), ("L", 7), ("1", 0), ("P", 0)]
)
def test_one_value_is_transparent(mode, value):
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32, "1": np.bool_}.get(mode, np.uint8)
    values = np.full((4, 6), 1, kind)
    values[:, :3] = value
    picture = Image.fromarray(values)
    if mode == "P":
        picture = picture.convert("L").point([0, 1] + 254 * [0])
        picture.putpalette([9, 9, 9, 200, 100, 50])
    assert picture.mode == mode
    picture.info["transparency"] = value
    mask = np.asarray(remove(picture, session=Whole(), only_mask=True))
    np.testing.assert_array_equal(mask, np.broadcast_to([0, 0, 0, 255, 255, 255], (4, 6)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "I", "F"])
@pytest.mark.parametrize("value", [b"", b"\0\1", -1, 300, "red", (1, 2), (1, 2, 300), {}, object()])
def test_transparency_that_makes_no_sense(mode, value):
    if (mode == "P" and isinstance(value, bytes)) or (mode, value) == ("F", 300):
        return
    if (value == 300 and mode in ("I;16", "I")) or (mode, value) == ("F", -1):
        return
    picture = Image.new("L", (4, 4)).convert(mode if mode != "I;16" else "L")
    if mode == "I;16":
        picture = Image.fromarray(np.zeros((4, 4), np.uint16))
    picture.info["transparency"] = value
    with pytest.raises(ImageError, match=r"transparency is .* means nothing for mode"):
        remove(picture, session=Whole())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "RGBA", "CMYK"])
def test_no_transparency_is_none(mode):
    picture = Image.new(mode, (4, 4))
    picture.info["transparency"] = None
    assert remove(picture, session=Whole(), only_mask=True).getextrema() == (
        (0, 0) if mode == "RGBA" else (255, 255)
    )
    assert picture.info == {"transparency": None}


# -- what starts programs, what is too large, what moves ---------------------------------------

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
METAFILE = b"\xd7\xcd\xc6\x9a\0\0" + b"\0" * 100


@pytest.mark.parametrize("data", [POSTSCRIPT, METAFILE, b"%PDF-1.4\n" + b"\0" * 50], ids=len)
def test_files_that_start_a_program_are_not_read(data, tmp_path, monkeypatch):
    def start(*arguments, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    (tmp_path / "innocent.png").write_bytes(data)
    for given in (data, tmp_path / "innocent.png"):
        with pytest.raises(ImageError, match="is not an image that Pillow can read"):
            remove(given, session=Whole())
        with pytest.raises(ImageError, match="is not an image that Pillow can read"):
            remove(Image.new("RGB", (9, 9)), trimap=given)
    if data is POSTSCRIPT:
        with pytest.raises(ImageError, match="EPS files are not read"):
            remove(Image.open(io.BytesIO(data)), session=Whole())


def chunked(picture, *chunks):
    """A PNG with more chunks before its pixels."""
    data = encode(picture)
    at = data.index(b"IDAT") - 4
    made = b""
    for name, body in chunks:
        crc = zlib.crc32(name + body)
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)
    return data[:at] + made + data[at:]


LARGE = zlib.compress(b"0" * 3_000_000)


@pytest.mark.parametrize(
    ("chunk", "lost"),
    [
        ((b"zTXt", b"workflow\0\0" + LARGE), "text,"),
        ((b"iTXt", b"prompt\0\1\0\0\0" + LARGE), "text,"),
        ((b"iCCP", b"monitor\0\0" + LARGE), "text and its colour profile,"),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
def test_text_that_is_too_large_does_not_stop_a_picture(chunk, lost, photo, tmp_path, caplog):
    data = chunked(photo(), chunk)
    (tmp_path / "large.png").write_bytes(data)
    for given in (data, tmp_path / "large.png"):
        caplog.clear()
        cutout = remove(given, session=Whole(), putalpha=True, force_return_bytes=True)
        np.testing.assert_array_equal(decode(cutout).convert("RGB"), photo())
        assert lost in caplog.text


def test_text_that_is_too_large_costs_no_good_profile(photo):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = (b"iCCP", b"sRGB\0\0" + zlib.compress(profile))
    data = chunked(photo(), icc, (b"zTXt", b"workflow\0\0" + LARGE))
    assert decode(remove(data, session=Whole())).info["icc_profile"] == profile


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_more_than_one_frame_is_told(form, photo, caplog, tmp_path):
    frames = [photo(seed=seed) for seed in range(3)]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:])
    (tmp_path / "moving").write_bytes(data)
    remove(data, session=Whole())
    remove(tmp_path / "moving", session=Whole())
    assert caplog.text.count("has 3 frames; only the first is used") == 2
    caplog.clear()
    remove(decode(data), session=Whole())  # the caller's own image may be at any frame
    remove(encode(frames[0], form), session=Whole())
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.heic", "A.HEIF", "a.nef", "a.jxl"])
def test_formats_that_need_more_say_what(name, tmp_path):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99)
    with pytest.raises(ImageError, match=r"Pillow can read: (install|convert)"):
        remove(tmp_path / name, session=Whole())


@pytest.mark.parametrize("error", [AssertionError(), KeyError("x"), RecursionError("deep")])
def test_whatever_pillow_raises_is_an_image_error(error, monkeypatch, photo):
    def fail(*arguments, **options):
        raise error

    data = encode(photo().convert("P"))
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(ImageError, match=r"could not be read as an image: (Assertion|'x'|deep)"):
        remove(data, session=Whole())


# -- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_damage_after_the_first_frame_costs_only_that(form, photo, caplog):
    frames = [photo(40, 30, seed).quantize() for seed in range(2)]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:])
    expected = np.asarray(remove(decode(data), session=Whole(), putalpha=True))
    if form == "GIF":  # a frame is announced in one byte where there should be four
        data = data[:-1] + b"!\xf9\x01\0\0" + data[-1:]
    else:  # the second directory has no width
        first = struct.unpack_from("<I", data, 4)[0]
        count = struct.unpack_from("<H", data, first)[0]
        second = struct.unpack_from("<I", data, first + 2 + 12 * count)[0]
        data = data[: second + 2] + b"\xff\xff" + data[second + 4 :]
    cutout = decode(remove(data, session=Whole(), putalpha=True))
    np.testing.assert_array_equal(cutout, expected)
    assert "is damaged after its first frame, which is used" in caplog.text


def test_small_files_that_claim_to_be_large(photo):
    large = struct.pack(">HH", 9000, 9000)
    gif, jpeg = encode(photo(), "GIF"), encode(photo(), "JPEG")
    jpeg2000 = encode(photo(), "JPEG2000", no_jp2=True)
    at = jpeg.index(b"\xff\xc0") + 5
    for data in (
        gif[:6] + large[1::-1] + large[1::-1] + gif[10:],
        jpeg[:at] + large + jpeg[at + 4 :],
        jpeg2000[:8] + 2 * struct.pack(">I", 9000) + jpeg2000[16:],
    ):
        with pytest.raises(ImageError, match="claims 9000×9000 pixels is damaged, or made to"):
            remove(data, session=Whole())


def test_the_emptiest_large_picture_is_read():
    assert open_picture(encode(Image.new("1", (6000, 6000))))[0].size == (6000, 6000)


@pytest.mark.parametrize("values", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32)])
def test_masked_arrays(values):
    array = np.ma.array(values)
    assert type(remove(array, session=Whole())) is np.ndarray
    array[1, 2] = np.ma.masked
    for arguments in ({"data": array}, {"data": values, "trimap": array}):
        with pytest.raises(ImageError, match="has masked values; fill them"):
            remove(**arguments, session=Whole())


@pytest.mark.parametrize("dpi", [(1e9, 72), (65536, 65536), (10**5000, 1), (0, 0), ("a", "b"), 7])
def test_resolutions_that_no_file_can_say(dpi, photo):
    picture = photo()
    picture.info["dpi"] = dpi
    assert remove(picture, session=Whole()).info == {}
    if dpi == (1e9, 72):
        data = remove(encode(photo(), "TIFF", dpi=dpi), session=Whole())
        assert decode(data).info == {}


def test_what_a_result_says_is_not_what_its_source_said(photo):
    """Pillow writes more than it is given: whatever it finds with the picture."""
    picture = photo()
    picture.info.update(icc_profile=7, transparency=(1, 2, 3), exif=b"x", gamma="a")
    for options in ({}, {"only_mask": True}, {"putalpha": True}):
        data = remove(picture, session=Whole(), force_return_bytes=True, **options)
        assert decode(data).info == {}
