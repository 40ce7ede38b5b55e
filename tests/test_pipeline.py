"""``remove``: sizes, sessions of every kind, colours, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers import Gradient
from rembg_sessions.core import new_session, remove
from rembg_sessions.core.errors import (
    ImageError,
    NotEnoughMemoryError,
    OptionError,
    RembgSessionsError,
)
from rembg_sessions.core.imaging.bleed import REACH
from rembg_sessions.core.imaging.framing import Framing
from rembg_sessions.core.imaging.morphology import dilate
from rembg_sessions.core.layers import Refinement, find_layers, refine_layer
from rembg_sessions.core.matting.methods import MattingOptions, find_matte
from rembg_sessions.core.matting.trimap import trimap_from_mask
from rembg_sessions.core.registry.models import VITMATTE
from rembg_sessions.core.session.vitmatte import VitMatte

# -- cleaning --------------------------------------------------------------------------


class Cluttered:
    """A session that finds a square with a small hole, and a speck."""

    def predict(self, img, **_):
        mask = Image.new("L", img.size)
        mask.paste(255, (10, 10, 60, 60))
        mask.paste(0, (30, 30, 34, 34))
        mask.paste(255, (80, 20, 84, 24))
        return [mask]


@pytest.mark.parametrize(
    "options", [{}, {"only_mask": True}, {"edge_colours": "estimated"}, {"alpha_matting": True}]
)
def test_specks_and_holes_go_by_size(photo, options):
    given = {"session": Cluttered(), "remove_specks": 0.01, "fill_holes": 0.01, **options}
    cleaned = remove(photo(100, 80), **given)
    alpha = np.asarray(cleaned if cleaned.mode == "L" else cleaned.getchannel("A"))
    assert not alpha[:, 70:].any()
    assert (alpha[28:36, 28:36] == 255).all()
    if "alpha_matting" in options:
        return  # where nothing is certain, it decides by itself
    left = remove(photo(100, 80), **given | {"remove_specks": 0.001, "fill_holes": 0.001})
    alpha = np.asarray(left if left.mode == "L" else left.getchannel("A"))
    assert (alpha[22, 82], alpha[32, 32]) == (255, 0)


@pytest.mark.parametrize("is_matted", [False, True])
def test_cleaning_keeps_the_known_colours_of_edges(is_matted):
    picture = Image.new("RGB", (200, 100), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((20.5, 10.5, 90.5, 90.5), "red")
    pen.ellipse((150, 40, 155, 45), "blue")
    picture = picture.resize((100, 50), Image.Resampling.BOX)
    layer = find_layers(new_session("backdrop"), picture)[0]
    matting = MattingOptions(method="auto") if is_matted else None
    refinement = Refinement(remove_specks=0.05, matting=matting)
    cleaned = refine_layer(np.asarray(picture), layer, refinement)
    assert layer.alpha[:, 60:].any()
    assert not cleaned.alpha[:, 60:].any()
    before = dict(zip(layer.edge.pixels, map(tuple, layer.edge.colours), strict=True))
    assert 0 < len(cleaned.edge.pixels) < len(before)
    for pixel, colour in zip(cleaned.edge.pixels, cleaned.edge.colours, strict=True):
        assert before[pixel] == tuple(colour)


# -- sizes -----------------------------------------------------------------------------


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


# -- cropping to the subject -----------------------------------------------------------


class Square:
    """Finds a square of 20 pixels at (30, 10); several masks: the others further to the right."""

    def __init__(self, masks=1, level=255):
        self.masks, self.level = masks, level

    def predict(self, image, **_):
        found = []
        for i in range(self.masks):
            mask = Image.new("L", image.size)
            mask.paste(self.level, (30 + 5 * i, 10, 50 + 5 * i, 30))
            found.append(mask)
        return found


@pytest.mark.parametrize("options", [{}, {"putalpha": True}, {"edge_colours": "estimated"}])
def test_a_crop_is_part_of_the_whole(photo, options):
    whole = remove(photo(), session=Square(), **options)
    crop = remove(photo(), session=Square(), crop=True, **options)
    np.testing.assert_array_equal(np.asarray(crop), np.asarray(whole.crop((30, 10, 50, 30))))


def test_a_crop_of_masks_of_several_and_of_other_kinds(photo):
    mask = remove(photo(), session=Square(), crop=Framing(margin=3), only_mask=True)
    assert (mask.mode, mask.size, mask.getbbox()) == ("L", (26, 26), (3, 3, 23, 23))
    assert remove(photo(), session=Square(3), crop=True).size == (20, 60)
    array = np.asarray(photo())
    crop = remove(array, session=Square(), crop=True, channel_order="BGR")
    assert crop.shape == (20, 20, 4)
    np.testing.assert_array_equal(crop[..., :3], array[10:30, 30:50])


def test_the_colour_fills_the_canvas(photo):
    framing = Framing(width=100, height=40, margin=5)
    canvas = remove(photo(), session=Square(), crop=framing, bgcolor="white")
    assert canvas.size == (100, 40) and canvas.getextrema()[3] == (255, 255)
    assert canvas.getpixel((0, 0)) == (255,) * 4


@pytest.mark.parametrize("level", [0, 10])
def test_without_a_subject_nothing_is_cropped(photo, level, caplog):
    result = remove(photo(), session=Square(level=level), crop=Framing(margin=9))
    assert result.size == photo().size
    assert "No subject was found (alpha is nowhere above 0.05)" in caplog.text


def test_a_crop_keeps_resolution_and_profile(photo):
    picture = photo()
    picture.info["dpi"] = (300, 300)
    assert remove(picture, session=Square(), crop=True).info == {"dpi": (300, 300)}


def test_a_canvas_beyond_the_memory(photo, monkeypatch):
    monkeypatch.setattr("rembg_sessions.core.imaging.frame.free_memory", lambda: 1 << 20)
    framing = Framing(width=1000, height=1000)
    with pytest.raises(NotEnoughMemoryError, match="needs about 4 MiB, and 1 MiB are free"):
        remove(photo(), session=Square(), crop=framing)


# -- other people's sessions -----------------------------------------------------------


def test_a_session_with_process_only(photo):
    class Processor:
        def process(self, image):
            cutout = image.convert("RGBA")
            cutout.putalpha(Image.linear_gradient("L").resize(image.size))
            return cutout

    mask = remove(photo(), session=Processor(), only_mask=True)
    assert mask == Image.linear_gradient("L").resize((96, 72))
    with pytest.raises(OptionError, match="does not take sam_prompt"):
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
    with pytest.raises(OptionError, match="not a session"):
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


# -- colours ---------------------------------------------------------------------------


def test_edge_colours(photo):
    picture, session = photo(256, 4), Gradient()
    pixels = {
        name: np.asarray(remove(picture, session=session, edge_colours=name), int)
        for name in ("original", "naive", "estimated")
    }
    colours, alpha = np.asarray(picture, int), np.arange(256)[None, :, None]
    np.testing.assert_array_equal(pixels["original"][..., :3], colours * (alpha > 0))
    assert np.abs(pixels["naive"][..., :3] - colours * alpha / 255).max() <= 1
    assert not pixels["estimated"][:, 0].any()
    np.testing.assert_array_equal(pixels["estimated"][:, 255, :3], colours[:, 255])
    for result in pixels.values():
        np.testing.assert_array_equal(result[..., 3], alpha[..., 0].repeat(4, 0))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"edge_colours": "estimated"},
        {"edge_colours": "original"},
        {"alpha_matting": True, "edge_colours": "original"},
        {"alpha_matting": True},
        {"matting_method": "pymatting"},
        {"decontaminate": True},
    ],
    ids=str,
)
def test_nothing_is_hidden_under_alpha_0(options, photo):
    cutout = np.asarray(remove(photo(90, 66), session=Disc(), **options))
    assert not cutout[~dilate(cutout[..., 3] > 0, REACH)].any()
    # but for what rembg promises to do
    kept = np.asarray(remove(photo(90, 66), session=Disc(), putalpha=True))
    np.testing.assert_array_equal(kept[..., :3], photo(90, 66))


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


# -- matting -------------------------------------------------------------------------------


class Disc:
    """A session that finds a soft disc, and counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def predict(self, image, **options):
        self.asked += 1
        y, x = np.mgrid[: image.height, : image.width]
        distance = np.hypot(y - image.height / 2, x - image.width / 2)
        alpha = np.clip((image.height / 3 - distance) / 12 + 0.5, 0, 1)
        return [Image.fromarray((alpha * 255).astype(np.uint8))]


class Quarter(VitMatte):
    """A ViTMatte without a file: everything unknown is a quarter foreground."""

    spec = VITMATTE[0]

    def __init__(self):
        self.model_name = "quarter"

    def answer(self, image, trimap):
        return np.full(trimap.shape, 0.25, np.float32)


def alpha_of(cutout):
    return np.asarray(cutout.getchannel("A"))


@pytest.mark.parametrize("name", ["closed-form", "fast", "guided", "pymatting"])
def test_a_method_switches_matting_on(name, photo):
    picture = photo(90, 66)
    ours = remove(picture, session=Disc(), matting_method=name)
    assert ours == remove(picture, session=Disc(), alpha_matting=True, matting_method=name)
    mask = Disc().predict(picture)[0]
    expected = find_matte(
        np.asarray(picture), np.asarray(mask), options=MattingOptions(method=name)
    )
    levels = expected.alpha * 255 + (0 if name == "pymatting" else 0.5)
    assert np.abs(alpha_of(ours).astype(int) - levels.astype(np.uint8)).max() <= 1
    assert (alpha_of(ours) != np.asarray(mask)).any()
    if name == "closed-form":
        assert ours == remove(picture, session=Disc(), alpha_matting=True)


def test_colours_after_matting(photo):
    picture = photo(90, 66)
    options = {"session": Disc(), "alpha_matting": True}
    estimated = remove(picture, **options)
    for same in ({"putalpha": True}, {"decontaminate": True}, {"edge_colours": "estimated"}):
        assert remove(picture, **options, **same) == estimated
    original = remove(picture, **options, edge_colours="original")
    seen = np.asarray(original)[..., 3:] > 0
    np.testing.assert_array_equal(np.asarray(original)[..., :3], np.asarray(picture) * seen)
    np.testing.assert_array_equal(alpha_of(original), alpha_of(estimated))
    opaque = alpha_of(estimated) == 255
    np.testing.assert_array_equal(np.asarray(estimated)[opaque][:, :3], np.asarray(picture)[opaque])


def test_vitmatte(photo):
    picture, mask = photo(90, 66), np.asarray(Disc().predict(photo(90, 66))[0])
    options = {"session": Disc(), "vitmatte_model": Quarter()}
    unknown = trimap_from_mask(mask) == 0.5
    cutout = remove(picture, vitmatte=True, **options)
    assert (alpha_of(cutout)[unknown] == 64).all()
    assert (alpha_of(cutout)[~unknown] % 255 == 0).all()
    assert cutout == remove(picture, matting_method="vitmatte", **options)
    # as in rembg, it comes before alpha_matting and respects putalpha
    assert cutout == remove(picture, vitmatte=True, alpha_matting=True, **options)
    straight = remove(picture, vitmatte=True, putalpha=True, **options)
    np.testing.assert_array_equal(np.asarray(straight)[..., :3], picture)
    np.testing.assert_array_equal(alpha_of(straight), alpha_of(cutout))
    # and without it its model is not even looked for
    assert remove(picture, session=Disc(), vitmatte_model="none such") == remove(
        picture, session=Disc()
    )
    assert remove(picture, session=Disc(), vitmatte=True, only_mask=True).mode == "L"


def test_a_trimap_needs_no_session(photo):
    picture, session = photo(90, 66), Disc()
    trimap = trimap_from_mask(np.asarray(Disc().predict(picture)[0]))
    cutout = remove(picture, session=session, trimap=trimap)
    assert session.asked == 0
    assert cutout == remove(picture, session=Disc(), alpha_matting=True)
    mask = remove(picture, trimap=Image.fromarray((trimap * 255).astype(np.uint8)), only_mask=True)
    assert mask == cutout.getchannel("A")
    small = remove(picture, trimap=trimap, max_size=45)
    assert small.size == picture.size
    with pytest.raises(ImageError, match="different proportions"):
        remove(picture, trimap=trimap[:, :40])


@pytest.mark.parametrize("name", ["closed-form", "fast", "guided", "pymatting"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "PA", "CMYK", "I;16", "I", "F"])
def test_matting_takes_pictures_of_every_mode(mode, name, photo, caplog):
    picture = photo(90, 66)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode in ("PA", "LA"):
        picture = picture.convert("LA").convert(mode)
    else:
        picture = picture.convert(mode)
    cutout = remove(picture, session=Disc(), matting_method=name)
    assert (cutout.mode, cutout.size) == ("RGBA", picture.size)
    alpha = alpha_of(cutout)
    assert (alpha == 0).any() and (alpha == 255).any()
    assert not caplog.records


@pytest.mark.parametrize("name", ["closed-form", "pymatting"])
def test_matting_keeps_what_was_transparent(name, photo):
    picture = photo(90, 66)
    own = Image.linear_gradient("L").resize(picture.size)
    picture.putalpha(own)
    cutout = remove(picture, session=Disc(), matting_method=name)
    assert (alpha_of(cutout) <= np.asarray(own)).all()
    assert alpha_of(cutout).max() > 100


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vitmatte": True, "matting_method": "fast"}, "both given; choose one"),
        ({"matting_method": "knn"}, "'knn'; use one of closed-form, fast"),
        ({"edge_colours": "nice"}, r"'nice'; use one of estimated, original, naive"),
        ({"max_size": 0}, "max_size is 0; use a whole number from 1"),
        ({"max_size": -5}, "max_size is -5"),
        ({"crop": "yes"}, "crop is 'yes'; use True or False"),
        ({"bgcolor": "whit"}, "'whit' is not a colour"),
        ({"bgcolor": (1, 2)}, r"\(1, 2\) is not a colour"),
        ({"channel_order": "GBR"}, "'GBR'; use one of RGB, BGR"),
        ({"alpha_matting": True, "alpha_matting_erode_size": -1}, "erode size is -1"),
        (
            {"alpha_matting": True, "alpha_matting_foreground_threshold": 3000},
            "is 3000; use a number",
        ),
        ({"cloth_category": "hat"}, "u2net_custom does not find clothes"),
        ({"sam_prompt": []}, "does not take a sam_prompt"),
    ],
    ids=str,
)
def test_bad_options(options, message, network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    with pytest.raises(OptionError, match=message):
        remove(photo(), session=session, **options)


# -- memory ------------------------------------------------------------------------------


class Failing:
    def __init__(self, error):
        self.error = error

    def predict(self, image, **options):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 9 GiB"), RuntimeError("can't start new thread")],
    ids=["array", "thread"],
)
def test_where_memory_ends_a_sentence_says_so(photo, error):
    picture = photo(40, 30)
    with pytest.raises(NotEnoughMemoryError, match=r"a picture of 40×30 pixels: \d+ MiB are free"):
        remove(picture, session=Failing(error))
    with pytest.raises(MemoryError, match="make the picture smaller"):
        find_layers(Failing(error), picture)


def test_errors_of_a_session_stay_what_they_are(photo):
    with pytest.raises(RuntimeError, match="its own"):
        remove(photo(), session=Failing(RuntimeError("its own")))


LIMITED = """
import resource
import numpy as np
from rembg_sessions.core import remove
from rembg_sessions.core.errors import NotEnoughMemoryError
from PIL import Image

class Disc:
    def predict(self, image, **options):
        y, x = np.ogrid[: image.height, : image.width]
        far = np.hypot(y - image.height / 2, x - image.width / 2) * 3 / image.height
        return [Image.fromarray((np.clip((1.02 - far) * 25, 0, 1) * 255).astype(np.uint8))]

side = {side}
pixels = np.zeros((side, side, 3), np.uint8)
pixels[::7] = 200
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {room},) * 2)
try:
    print(remove(pixels, session=Disc(), matting_method={method!r}).shape)
except NotEnoughMemoryError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, limits address space")
@pytest.mark.parametrize("method", ["closed-form", "fast", "guided"])
@pytest.mark.parametrize(("side", "room", "enough"), [(1500, 900, True), (1500, 150, False)])
def test_little_address_space_ends_in_a_result_or_a_sentence(method, side, room, enough):
    program = LIMITED.format(side=side, room=room << 20, method=method)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (f"({side}, {side}, 4)" if enough else "picture smaller") in done.stdout
