"""``remove`` and ``remove_batch``: what goes in, what comes out, what is refused."""

from __future__ import annotations

import io
import itertools
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import new_session, remove, remove_batch
from rembg_sessions.core.errors import (
    ImageError,
    ModelRunError,
    OptionError,
    RembgSessionsError,
    UnknownModelError,
)


class Gradient:
    """A session that finds more the further right it looks, and notes what it was shown."""

    def __init__(self):
        self.seen = []

    def predict(self, image, **options):
        assert image.mode == "RGB"
        self.seen.append((image.size, options))
        row = np.linspace(0, 255, image.width).astype(np.uint8)
        return [Image.fromarray(np.broadcast_to(row, (image.height, image.width)).copy())]


class Whole:
    """A session that finds everything."""

    def predict(self, image, **options):
        return [Image.new("L", image.size, 255)]


def encode(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def decode(data):
    return Image.open(io.BytesIO(data))


# -- modes --------------------------------------------------------------------------------


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


@pytest.mark.parametrize("mode", ["LA", "PA", "P", "L", "RGB", "RGBA", "RGBa"])
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


# -- arrays -------------------------------------------------------------------------------


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
    with pytest.raises(ImageError, match=r"is no picture here\. Use uint8"):
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


# -- sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 2), (1, 2), (3, 1), (20000, 10), (10, 20000)], ids=str
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"putalpha": True},
        {"edge_colours": "estimated", "post_process_mask": True},
        {"max_size": 100},
        {"max_size": 1, "only_mask": True},
        {"alpha_matting": True, "max_size": 50},
    ],
    ids=str,
)
def test_sizes_without_a_middle(size, options):
    result = remove(Image.new("RGB", size, "red"), session=Gradient(), **options)
    assert result.size == size


@pytest.mark.parametrize("size", [(1, 1), (20000, 10), (10, 20000)], ids=str)
def test_a_network_takes_every_size(size, network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    assert remove(photo(*size), session=session).size == size


def test_a_network_of_free_size(network, photo):
    session = new_session("u2net_custom", model_path=network("free.onnx", size_hw=None))
    fixed = new_session("u2net_custom", model_path=network("fixed.onnx"))
    assert session.predict(photo())[0] == fixed.predict(photo())[0]


def test_a_custom_network_is_fed_at_the_size_it_declares(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", size_hw=(64, 96)))
    mask = session.predict(photo(192, 128))[0]
    assert mask.size == (192, 128)
    assert np.ptp(np.asarray(mask)) > 100


def test_a_network_in_half_precision(network, photo):
    half = new_session("u2net_custom", model_path=network("half.onnx", half=True))
    full = new_session("u2net_custom", model_path=network("full.onnx"))
    masks = [np.asarray(session.predict(photo())[0], int) for session in (half, full)]
    assert np.abs(masks[0] - masks[1]).max() <= 2


def test_max_size_limits_what_the_session_sees(photo):
    session, picture = Gradient(), photo(300, 100)
    cutout = remove(picture, session=session, max_size=60, putalpha=True)
    assert session.seen == [((60, 20), {})]
    assert cutout.size == (300, 100)
    np.testing.assert_array_equal(np.asarray(cutout)[..., :3], picture)
    alpha = np.asarray(cutout.getchannel("A"), int)
    full = np.asarray(remove(picture, session=session, only_mask=True), int)
    assert np.abs(alpha - full).max() <= 4


def test_max_size_does_not_enlarge(photo):
    session = Gradient()
    remove(photo(30, 20), session=session, max_size=500)
    assert session.seen[0][0] == (30, 20)


def test_max_size_moves_the_prompt_along(photo):
    session = Gradient()
    prompt = [{"type": "point", "label": 1, "data": [150, 50]}]
    remove(photo(300, 100), session=session, max_size=30, sam_prompt=prompt)
    assert session.seen[0][1]["sam_prompt"][0]["data"] == [15, 5]


# -- what a network may answer ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["constant"])
def test_a_constant_answer_is_an_empty_mask(kind, network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", kind))
    assert session.predict(photo())[0].getextrema() == (0, 0)
    assert remove(photo(), session=session).getchannel("A").getextrema() == (0, 0)
    assert session.predict_alpha(photo())[0].max() == 0


def test_nan_from_a_network(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", "nan"))
    with pytest.raises(ModelRunError, match="answered with NaN or infinity"):
        remove(photo(), session=session)


def test_predict_alpha_is_finer_than_8_bit(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    alpha = session.predict_alpha(photo())[0]
    assert (alpha.dtype, alpha.shape) == (np.float32, (72, 96))
    assert alpha.min() >= 0 and alpha.max() <= 1
    mask = np.asarray(session.predict(photo())[0], float)
    assert np.abs(alpha * 255 - mask).max() <= 2
    assert len(np.unique(alpha)) > 256


def test_process_gives_a_cutout(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    cutout = session.process(photo())
    assert cutout.mode == "RGBA"
    assert cutout.getchannel("A") == session.predict(photo())[0]


# -- other people's sessions ----------------------------------------------------------------


def test_a_session_with_process_only(photo):
    class Processor:
        def process(self, image):
            cutout = image.convert("RGBA")
            cutout.putalpha(Image.linear_gradient("L").resize(image.size))
            return cutout

    mask = remove(photo(), session=Processor(), only_mask=True)
    assert mask == Image.linear_gradient("L").resize((96, 72))
    with pytest.raises(OptionError, match="takes no sam_prompt"):
        remove(photo(), session=Processor(), sam_prompt=[])


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ([], ImageError, "no mask"),
        ([Image.new("L", (5, 5))], ImageError, r"mask of \(5, 5\) for \(96, 72\)"),
    ],
)
def test_sessions_that_answer_wrongly(answer, error, message, photo):
    class Wrong:
        def predict(self, image):
            return answer

    with pytest.raises(error, match=message):
        remove(photo(), session=Wrong())


def test_a_processor_without_alpha(photo):
    class Opaque:
        def process(self, image):
            return image

    with pytest.raises(ImageError, match="mode RGB; expected RGBA"):
        remove(photo(), session=Opaque())


@pytest.mark.parametrize("session", ["u2net", 7, object])
def test_what_is_no_session(session, photo):
    with pytest.raises(OptionError, match="is no session"):
        remove(photo(), session=session)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "F"])
def test_masks_of_other_modes(mode, photo):
    class Masks:
        def predict(self, image):
            return [Image.linear_gradient("L").resize(image.size).convert(mode)]

    assert remove(photo(), session=Masks(), only_mask=True).mode == "L"


def test_several_masks(photo):
    class Two:
        def predict(self, image):
            return [Image.new("L", image.size, level) for level in (255, 51)]

    cutout = remove(photo(), session=Two(), putalpha=True, bgcolor=None)
    assert cutout.size == (96, 144)
    assert [cutout.getpixel((9, y))[3] for y in (71, 72)] == [255, 51]
    for y in (5, 77):
        assert cutout.getpixel((9, y))[:3] == photo().getpixel((9, 5))
    mask = remove(photo(), session=Two(), only_mask=True)
    assert (mask.mode, mask.size) == ("L", (96, 144))


def test_without_a_session_the_default_model_is_asked_for(photo):
    with pytest.raises(RembgSessionsError, match="u2net is not installed"):
        remove(photo())


# -- colours ------------------------------------------------------------------------------


def test_edge_colours(photo):
    picture, session = photo(256, 4), Gradient()
    pixels = {
        name: np.asarray(remove(picture, session=session, edge_colours=name), int)
        for name in ("original", "naive", "estimated")
    }
    colours, alpha = np.asarray(picture, int), np.arange(256)[None, :, None]
    np.testing.assert_array_equal(pixels["original"][..., :3], colours)
    assert np.abs(pixels["naive"][..., :3] - colours * alpha / 255).max() <= 1
    assert not pixels["estimated"][:, 0].any()
    np.testing.assert_array_equal(pixels["estimated"][:, 255, :3], colours[:, 255])
    for result in pixels.values():
        np.testing.assert_array_equal(result[..., 3], alpha[..., 0].repeat(4, 0))


def test_edge_colours_win_over_the_options_of_rembg(photo):
    session = Gradient()
    for name, option in (("naive", "putalpha"), ("original", "decontaminate")):
        ours = remove(photo(), session=session, edge_colours=name, **{option: True})
        assert ours == remove(photo(), session=session, edge_colours=name)


@pytest.mark.parametrize("colour", ["#0a78f0", "10,120,240", (10, 120, 240), (10, 120, 240, 255)])
def test_background_colours(colour, photo):
    cutout = remove(photo(256, 4), session=Gradient(), bgcolor=colour, putalpha=True)
    assert cutout.getpixel((0, 0)) == (10, 120, 240, 255)
    assert cutout.getpixel((255, 0)) == (*photo(256, 4).getpixel((255, 0)), 255)


def test_a_mask_ignores_the_background(photo):
    session = Gradient()
    mask = remove(photo(), session=session, only_mask=True, bgcolor="red")
    assert mask == remove(photo(), session=session, only_mask=True)


# -- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vitmatte": True}, "use alpha_matting=True instead"),
        ({"vitmatte_model": "small"}, "use alpha_matting=True instead"),
        ({"edge_colours": "nice"}, r"'nice'; use one of estimated, original, naive"),
        ({"max_size": 0}, "max_size is 0; use a number of pixels"),
        ({"max_size": -5}, "max_size is -5"),
        ({"bgcolor": "whit"}, "'whit' is no colour"),
        ({"bgcolor": (1, 2)}, r"\(1, 2\) is no colour"),
        ({"channel_order": "GBR"}, "'GBR'; use RGB or BGR"),
        ({"alpha_matting": True, "alpha_matting_erode_size": -1}, "erode size is -1"),
        ({"alpha_matting": True, "alpha_matting_foreground_threshold": 300}, "is 300; use a value"),
        ({"cloth_category": "hat"}, "u2net_custom knows no clothes"),
        ({"sam_prompt": []}, "takes no sam_prompt"),
    ],
    ids=str,
)
def test_bad_options(options, message, network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    with pytest.raises(OptionError, match=message):
        remove(photo(), session=session, **options)


def test_a_category_that_does_not_exist(network, monkeypatch, photo):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    network("u2net_cloth_seg.onnx", "labels", (768, 768))
    with pytest.raises(OptionError, match="'hat' is no cloth category; use one of upper, lower"):
        remove(photo(), session=new_session("u2net-cloth-seg"), cc="hat")


@pytest.mark.parametrize("data", [None, 7, [1, 2], {"a": 1}, object()], ids=repr)
def test_what_is_no_picture(data):
    with pytest.raises(ImageError, match=r"is no picture\. Pass bytes, a path"):
        remove(data, session=Whole())


def test_a_path_that_does_not_exist(tmp_path):
    for path in (tmp_path / "no.png", str(tmp_path / "no.png"), tmp_path):
        with pytest.raises(ImageError, match="There is no file"):
            remove(path, session=Whole())


def test_a_path(tmp_path, photo):
    photo().save(tmp_path / "in.png")
    for path in (tmp_path / "in.png", str(tmp_path / "in.png")):
        cutout = remove(path, session=Whole())
        assert isinstance(cutout, Image.Image)
        np.testing.assert_array_equal(cutout.convert("RGB"), photo())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "DDS"])
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
    with pytest.raises(Image.DecompressionBombError):
        remove(encode(photo()), session=Whole())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_bytes(kind, photo):
    assert isinstance(remove(kind(encode(photo())), session=Whole()), bytes)


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
    # a number where Pillow expects text: it reads, but exif_transpose raises
    exif = Image.Exif()
    exif[0x0112], exif[0x8298] = 6, "copyright"
    data = encode(photo(40, 30), "JPEG", exif=exif)
    assert decode(remove(data, session=Whole())).size == (30, 40)
    damaged = data.replace(b"\x82\x98\0\x02", b"\x82\x98\0\x07").replace(
        b"\x98\x82\x02\0", b"\x98\x82\x07\0"
    )
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


# -- threads and batches --------------------------------------------------------------------


def test_many_threads_share_a_session(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", size_hw=(64, 64)))
    pictures = [photo(50 + i, 40, seed=i) for i in range(12)]
    expected = [remove(picture, session=session) for picture in pictures]
    session.close()  # they race to open it again
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda picture: remove(picture, session=session), pictures * 4))
    assert results == expected * 4


def test_a_batch_keeps_its_order(photo):
    class Uneven(Gradient):
        """Takes longer for the first pictures than for the last."""

        def __init__(self):
            super().__init__()
            self.later = threading.Event()

        def predict(self, image, **options):
            if image.width == 30:
                self.later.wait(10)
            if image.width == 31:
                self.later.set()
            return super().predict(image)

    widths = [30, 31, 32, 33, 34]
    results = remove_batch((photo(w, 20) for w in widths), Uneven(), putalpha=True)
    assert [result.width for result in results] == widths


def test_a_batch_returns_the_kinds_it_was_given(photo):
    data = [photo(), np.asarray(photo()), encode(photo())]
    results = list(remove_batch(data, Whole(), only_mask=True))
    assert [type(result) for result in results] == [Image.Image, np.ndarray, bytes]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_batch_is_lazy_and_may_be_endless(workers, photo):
    taken = itertools.count()

    def pictures():
        while True:
            next(taken)
            yield photo(20, 10)

    batch = remove_batch(pictures(), Whole(), workers=workers)
    assert next(taken) == 0  # nothing is read before the first result is asked for
    for _ in range(7):
        next(batch)
    batch.close()
    assert next(taken) <= 7 + 2 * workers + 1


def test_a_failure_is_raised_in_its_turn(photo):
    batch = remove_batch([photo(), photo(), b"broken", photo()], Whole(), workers=2)
    assert [next(batch).size, next(batch).size] == [(96, 72)] * 2
    with pytest.raises(ImageError, match="is not a picture"):
        next(batch)
    assert list(batch) == []


def test_a_source_that_fails_loses_nothing_before_it(photo):
    def pictures():
        yield photo(30, 20)
        yield photo(31, 20)
        raise OSError("the camera was unplugged")

    batch, widths = remove_batch(pictures(), Whole(), workers=4), []
    with pytest.raises(OSError, match="unplugged"):
        widths.extend(result.width for result in batch)
    assert widths == [30, 31]


@pytest.mark.parametrize("pictures", [[], ()], ids=["list", "tuple"])
def test_an_empty_batch(pictures):
    assert list(remove_batch(pictures, Whole())) == []


def test_a_batch_without_workers():
    with pytest.raises(OptionError, match="workers is 0; use 1 or more"):
        remove_batch([], workers=0)


def test_an_unknown_model():
    with pytest.raises(UnknownModelError, match="Unknown model 'u3net'"):
        new_session("u3net")
