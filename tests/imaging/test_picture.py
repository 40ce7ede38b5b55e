"""Pictures of every kind: modes, arrays, files, and what is not an image."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from PIL import Image

from helpers import Gradient, Whole, decode, encode
from rembg_sessions.core import remove
from rembg_sessions.core.errors import ImageError

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
        *[np.zeros((4, 4, 3), dtype) for dtype in (np.float32, np.float64, np.int64, np.uint16)],
        np.zeros((4, 4), np.complex64),
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


@pytest.mark.parametrize("data", [None, 7, [1, 2], {"a": 1}, object()], ids=repr)
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
    with pytest.raises(ImageError, match="The picture could not be read"):
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
