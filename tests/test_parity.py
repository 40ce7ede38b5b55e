"""The installed rembg and this pack, on the same networks, pictures and options.

With one Pillow and one onnxruntime under both, masks and plain cut-outs are in fact equal;
the tolerance leaves room for processors that fuse products and sums.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from helpers import decode, difference, encode
from rembg_sessions.core import get_model, new_session, remove, sessions

rembg = pytest.importorskip("rembg", reason="rembg 2.0.86 needs Python 3.11")
rembg_sessions = pytest.importorskip("rembg.sessions").sessions

LEVEL = 1  # of 255

REMOTE = {"withoutbg", "atlascloud"}
PROMPTED = {"sam"}
CUSTOM = ["u2net_custom", "dis_custom", "ben_custom"]
CLOTHES = "u2net_cloth_seg"
SINGLE = [name for name in rembg_sessions if name not in {*REMOTE, *PROMPTED, *CUSTOM, CLOTHES}]


def bright(picture):
    """Add some white: then dividing by the brightest value is dividing by 255."""
    picture = picture.copy()
    picture.paste("white", (0, 0, picture.width // 3, picture.height // 3))
    return picture


class Fixed:
    """A session that answers with masks drawn in advance."""

    def __init__(self, *masks):
        self.masks = masks

    def predict(self, image, *args, **options):
        return [mask.copy() for mask in self.masks]


def disc(width=96, height=72, radius=24.0, softness=8.0):
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    alpha = np.clip((radius - distance) / softness + 0.5, 0, 1)
    return Image.fromarray((alpha * 255).astype(np.uint8))


@pytest.fixture(autouse=True)
def any_weights(monkeypatch):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")


# -- masks --------------------------------------------------------------------------------


def test_every_local_model_of_rembg_is_here():
    assert set(rembg_sessions) - REMOTE <= set(sessions)
    assert len(SINGLE) == 15


@pytest.mark.parametrize("name", SINGLE)
def test_masks_of_single_file_models(name, network, photo):
    spec = get_model(name)
    for file in {f"{name}.onnx", spec.weights[0].file}:  # theirs, ours
        network(file, spec.output.value, spec.size_hw)
    ours, theirs = new_session(name), rembg.new_session(name)
    picture = photo(301, 47).convert("RGBA")
    if not spec.scale_by_max:  # the one export that is not rembg's
        picture = bright(picture)
    mask = ours.predict(picture)[0]
    assert mask.mode == "L" and np.ptp(np.asarray(mask)) > 100
    assert difference(mask, theirs.predict(picture)[0]) <= LEVEL


@pytest.mark.parametrize("name", CUSTOM)
def test_masks_of_custom_models(name, network, photo):
    spec = get_model(name)
    path = network("mine.onnx", size_hw=spec.size_hw)
    ours = new_session(name, model_path=path)
    theirs = rembg.new_session(name, model_path=str(path))
    mask = ours.predict(photo())[0]
    assert np.ptp(np.asarray(mask)) > 100
    assert difference(mask, theirs.predict(photo())[0]) <= LEVEL


def test_masks_of_large_pictures(network, photo):
    # above a megapixel several threads resize
    network("u2net.onnx")
    ours, theirs = new_session("u2net"), rembg.new_session("u2net")
    for size in ((1500, 900), (700, 2000), (3000, 401)):
        picture = photo(*size)
        assert difference(ours.predict(picture)[0], theirs.predict(picture)[0]) <= LEVEL


def test_a_black_picture(network):
    # divided by its brightest value, which is 0
    network("u2net.onnx")
    black = Image.new("RGB", (40, 30))
    ours, theirs = new_session("u2net").predict(black), rembg.new_session("u2net").predict(black)
    assert difference(ours[0], theirs[0]) <= LEVEL


def test_a_real_network_on_real_photos(shared, home):
    home.mkdir(parents=True)
    path = home / "selfie_320.onnx"
    path.write_bytes((shared / "models" / "selfie_320.onnx").read_bytes())
    ours = new_session("u2net_custom", model_path=path)
    theirs = rembg.new_session("u2net_custom", model_path=str(path))
    photos = sorted((shared / "images").glob("*.jpg"))
    assert photos
    for file in photos:
        data = file.read_bytes()
        for options in ({"only_mask": True}, {"post_process_mask": True, "only_mask": True}):
            mask = decode(remove(data, session=ours, **options))
            assert difference(mask, decode(rembg.remove(data, session=theirs, **options))) <= LEVEL
        if decode(data).mode == "RGB":
            cutout = decode(remove(data, session=ours))
            assert difference(cutout, decode(rembg.remove(data, session=theirs))) <= LEVEL


# -- clothes --------------------------------------------------------------------------------


@pytest.fixture
def clothes(network):
    network(f"{CLOTHES}.onnx", "labels", (768, 768))
    return new_session(CLOTHES), rembg.new_session(CLOTHES)


@pytest.mark.parametrize("category", [None, "upper", "lower", "full", "attire"])
def test_clothes_at_the_size_of_the_network(category, clothes, photo):
    ours, theirs = clothes
    picture = photo(768, 768)
    options = {"cc": category} if category else {}
    masks, expected = ours.predict(picture, **options), theirs.predict(picture, **options)
    assert len(masks) == len(expected) == (1 if category else 3)
    for mask, other in zip(masks, expected, strict=True):
        assert difference(mask, other) <= LEVEL


def test_clothes_at_other_sizes(clothes, photo):
    """rembg resizes the class numbers: between classes 1 and 3 it finds a rim of class 2.

    Here each class has a mask of its own and only that is resized.
    """
    ours, theirs = clothes
    picture = photo(600, 500)
    for category in ("upper", "lower", "full", "attire"):
        mask = np.asarray(ours.predict(picture, cloth_category=category)[0]) > 127
        other = np.asarray(theirs.predict(picture, cloth_category=category)[0]) > 127
        assert (mask & other).sum() / (mask | other).sum() > 0.9


# -- cut-outs -----------------------------------------------------------------------------

FLAGS = ("only_mask", "post_process_mask", "putalpha", "decontaminate", "alpha_matting")
COLOURS = (None, (0, 0, 0), (10, 120, 240, 128))
COMBINATIONS = [
    {**dict(zip(FLAGS, flags, strict=True)), "bgcolor": colour}
    for *flags, colour in itertools.product(*[(False, True)] * len(FLAGS), COLOURS)
]


def name_of(options):
    return "-".join([flag for flag in FLAGS if options[flag]] + [str(options["bgcolor"])])


@pytest.mark.parametrize("options", COMBINATIONS, ids=name_of)
def test_every_combination_of_options(options, photo, caplog):
    """With the method pymatting, matting gives rembg's very pixels, cut fractions included.

    Decontaminated edges have the same alpha and other colours, closer to the truth: see
    test_foreground.
    """
    session, picture = Fixed(disc(48, 36, radius=12, softness=6)), photo(48, 36)
    options = {**options, "session": session, "alpha_matting_erode_size": 4}
    matting = options["alpha_matting"] and not options["only_mask"]
    method = {"matting_method": "pymatting"} if matting else {}
    ours, theirs = remove(picture, **options, **method), rembg.remove(picture, **options)
    assert not caplog.records  # the matting was not skipped
    assert ours.mode == theirs.mode
    if matting:  # where nothing is to be seen rembg leaves colours, and we do beside the edge
        ours, theirs = (
            np.asarray(each) * (np.asarray(each)[..., 3:] > 0) for each in (ours, theirs)
        )
    if matting or options["only_mask"] or options["putalpha"] or not options["decontaminate"]:
        assert difference(ours, theirs) <= (0 if matting else LEVEL)
        return
    alpha = np.asarray(remove(picture, **{**options, "bgcolor": None}).getchannel("A"))
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert (alpha == 255).any() and (alpha == 0).any()
    assert difference(ours[..., 3], theirs[..., 3]) <= LEVEL
    assert difference(ours[alpha == 255, :3], np.asarray(picture)[alpha == 255]) <= LEVEL


def test_the_default_method_agrees_where_pymatting_is_right(photo):
    picture, session = photo(96, 72), Fixed(disc())
    ours = remove(picture, session=session, alpha_matting=True).getchannel("A")
    theirs = rembg.remove(picture, session=session, alpha_matting=True).getchannel("A")
    error = np.abs(np.asarray(ours, int) - np.asarray(theirs, int))
    band = (np.asarray(theirs) > 0) & (np.asarray(theirs) < 255)
    assert band.sum() > 100
    # it cuts fractions off; beyond that, its iteration stops early
    assert (error[band] <= LEVEL).mean() >= 0.99


@pytest.mark.parametrize(
    ("foreground", "background"), [(270, 10), (240, -5), (300, 300), (240, 270)]
)
def test_thresholds_beyond_the_levels_of_a_mask(foreground, background, photo):
    """Mostly nothing is certain then, and the mask comes back; rembg's own examples say 270."""
    options = {
        "session": Fixed(disc(48, 36, radius=12, softness=6)),
        "alpha_matting": True,
        "alpha_matting_foreground_threshold": foreground,
        "alpha_matting_background_threshold": background,
        "alpha_matting_erode_size": 4,
    }
    ours = remove(photo(48, 36), **options, matting_method="pymatting")
    theirs = rembg.remove(photo(48, 36), **options)
    assert difference(ours.getchannel("A"), theirs.getchannel("A")) == 0


@pytest.mark.parametrize("option", [None, *FLAGS])
def test_every_kind_of_input_comes_back(option, photo):
    picture = photo(48, 36)
    options = {option: True} if option else {}
    options |= {"session": Fixed(disc(48, 36, radius=12, softness=6)), "bgcolor": (255, 0, 0, 255)}
    for data in (picture, np.asarray(picture), encode(picture)):
        ours, theirs = remove(data, **options), rembg.remove(data, **options)
        assert type(ours) is type(theirs)
        forced = remove(data, **options, force_return_bytes=True)
        if isinstance(data, bytes):
            assert ours == forced
            ours, theirs = decode(ours), decode(theirs)
        assert difference(decode(forced), ours) == 0
        assert np.shape(ours) == np.shape(theirs)


def test_force_return_bytes_gives_what_rembg_gives(photo):
    session, data = Fixed(disc()), encode(photo())
    ours = remove(data, session=session, force_return_bytes=True)
    theirs = rembg.remove(data, session=session, force_return_bytes=True)
    assert difference(decode(ours), decode(theirs)) <= LEVEL


@pytest.mark.parametrize("options", [{}, {"only_mask": True}], ids=str)
def test_several_masks_stand_below_each_other(options, photo):
    session = Fixed(disc(), disc(radius=10), disc(softness=30))
    ours = remove(photo(), session=session, **options)
    theirs = rembg.remove(photo(), session=session, **options)
    assert ours.size == theirs.size == (96, 3 * 72)
    # rembg makes a stack of masks RGBA
    assert difference(ours, theirs.convert(ours.mode)) <= LEVEL


def test_several_masks_keep_the_colours_of_the_picture(photo):
    """rembg's putalpha repeats the last mask, because it writes each into one picture."""
    masks = [disc(), disc(radius=10)]
    ours = remove(photo(), session=Fixed(*masks), putalpha=True)
    theirs = rembg.remove(photo(), session=Fixed(*masks), putalpha=True)
    bottom = (0, 72, 96, 144)
    assert difference(ours.crop(bottom), theirs.crop(bottom)) <= LEVEL
    assert difference(ours.getchannel("A").crop((0, 0, 96, 72)), masks[0]) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_that_lie_on_their_side(orientation, form, photo, network):
    network("u2net.onnx")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(40, 30), form, exif=exif)
    ours = decode(remove(data, session=new_session("u2net"), putalpha=True))
    theirs = decode(rembg.remove(data, session=rembg.new_session("u2net"), putalpha=True))
    assert ours.size == ((40, 30) if orientation < 5 else (30, 40))
    assert difference(ours, theirs) <= LEVEL
    assert ours.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_opaque_pictures_of_every_mode(mode, photo):
    picture = photo().convert(mode)
    ours = remove(picture, session=Fixed(disc()))
    assert difference(ours, rembg.remove(picture, session=Fixed(disc()))) <= LEVEL


# -- sessions of one in the other -------------------------------------------------------------


@pytest.mark.parametrize("name", ["u2net", "isnet-general-use", CLOTHES])
def test_sessions_are_interchangeable(name, network, photo):
    spec = get_model(name)
    for file in {f"{name}.onnx", spec.weights[0].file}:  # theirs, ours
        network(file, spec.output.value, spec.size_hw)
    ours, theirs = new_session(name), rembg.new_session(name)
    picture = photo(*spec.size_hw)
    results = [f(picture, session=s) for f in (remove, rembg.remove) for s in (ours, theirs)]
    assert all(difference(result, results[0]) <= LEVEL for result in results[1:])


def test_rembg_passes_options_on_to_our_session(clothes, photo):
    ours, theirs = clothes
    picture = photo(768, 768)
    mask = rembg.remove(picture, session=ours, only_mask=True, cc="lower")
    assert difference(mask, rembg.remove(picture, session=theirs, only_mask=True, cc="lower")) <= 1
    other = remove(picture, session=theirs, only_mask=True, cloth_category="lower")
    assert difference(mask, other) <= LEVEL


def test_normalize_gives_what_rembg_gives(network, photo):
    network("u2net.onnx")
    mean, std, size = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), (50, 30)
    ours = new_session("u2net").normalize(photo(), mean, std, size)
    theirs = rembg.new_session("u2net").normalize(photo(), mean, std, size)
    assert ours.keys() == theirs.keys() == {"picture"}
    assert ours["picture"].dtype == np.float32
    np.testing.assert_array_equal(ours["picture"], theirs["picture"])
