"""Damaged files, odd Pillow pictures, arrays of every kind: a result, or a sentence."""

from __future__ import annotations

import io
import random
import warnings

import numpy as np
import picture_files
import pytest
from fuzzing import Watch, listening, no_programs
from PIL import Image

from helpers import Gradient
from rembg_sessions.core import remove
from rembg_sessions.core.errors import RembgSessionsError
from rembg_sessions.core.imaging.picture import open_picture

SHORT, LONG = 150, 20_000
COUNTS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)]
# What is asked for, and the mode of the result.
OPTIONS = [
    ({}, "RGBA"),
    ({"only_mask": True}, "L"),
    ({"putalpha": True}, "RGBA"),
    ({"edge_colours": "estimated"}, "RGBA"),
    ({"edge_colours": "original", "max_size": 9}, "RGBA"),
    ({"post_process_mask": True, "bgcolor": (1, 2, 3, 100)}, "RGBA"),
    ({"matting_method": "guided", "alpha_matting_erode_size": 1}, "RGBA"),
]
MOST_PIXELS = 1 << 20
"""Pixels of pictures that are cut out; larger ones are only opened."""


@pytest.fixture
def watch():
    """Watch calls, and fail where one was wrong."""
    found = Watch()
    with no_programs(), listening(found), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damage, which is what there is
        yield found
    found.verdict()


@pytest.fixture(scope="module")
def files():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return picture_files.files()


def as_picture(result):
    """Return a result of any kind as a Pillow picture."""
    if isinstance(result, bytes):
        return Image.open(io.BytesIO(result))
    return Image.fromarray(result) if isinstance(result, np.ndarray) else result


@pytest.mark.parametrize("count", COUNTS)
def test_damaged_files(count, files, watch, tmp_path):
    rng, session = random.Random(1), Gradient()
    names, contents = list(files), list(files.values())
    path = tmp_path / "picture"
    for number in range(count):
        name = rng.choice(names)
        data = picture_files.damaged(files[name], rng, contents)
        label = f"{number} {name}"
        (tmp_path / "last").write_bytes(data)  # to be looked at if it takes the process down
        opened = watch.call(label, open_picture, data)
        size = opened and opened[0].size
        if size and size[0] * size[1] > MOST_PIXELS:
            continue
        options, mode = rng.choice(OPTIONS)
        kind = rng.choice((bytes, bytearray, memoryview, "path", "Pillow", "trimap"))
        given = data
        if kind == "path":
            path.write_bytes(data)
            given = path
        elif kind == "Pillow":
            try:
                given = Image.open(io.BytesIO(data))
            except Exception:  # what is no picture is no Pillow picture
                continue
        elif kind == "trimap":
            given = Image.new("RGB", size or (20, 20), "red")
            options, mode = {"trimap": data, "matting_method": "fast"}, "RGBA"
        else:
            given = kind(data)
        asked = [*options] if kind == "trimap" else options
        result = watch.call(f"{label} {kind} {asked}", remove, given, session=session, **options)
        if kind == "path":
            watch.check(label, path.read_bytes() == data, "the file was changed")
        if result is not None and size and kind not in ("Pillow", "trimap"):
            found = as_picture(result)
            watch.check(label, (found.size, found.mode) == (size, mode), f"gave {found}")


# -- pictures in memory -------------------------------------------------------------------------

KEYS = [
    *("transparency", "icc_profile", "exif", "dpi", "palette", "gamma", "xmp", "background"),
    *("Raw profile type exif", "XML:com.adobe.xmp", "jfif_density", "photoshop", "mpinfo"),
    *("srgb", "aspect", "compression", "adobe", "adobe_transform", 7, None),
]


class Unshowable:
    """Cannot even be shown."""

    def __repr__(self):
        raise RuntimeError


VALUES = [
    *(None, True, 0, 1, -1, 255, 256, 65535, 2**31, 2**64, 10**5000, 0.5, float("nan")),
    *(float("inf"), 1e300, 1j, "", "x", "9" * 5000, "\0", "\ud800", b"", b"\0", b"\xff" * 300),
    *(b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", b"Exif\0\0II*\0junk"),
    *(b"\0" * 36 + b"acsp" + b"\0" * 100, b"\0" * 16 + b"RGB " + b"\0" * 16 + b"acsp" + bytes(90)),
    *(bytearray(b"\0\1"), memoryview(b"x" * 200), (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    *((None, None), (0, 0), (-1, 72), (1e300, 1e-300), ("a", "b"), (72, float("nan"))),
    *((300, 1, 1), (1.0, 2, 3), [1, 2, 3], [72, 72], {}, {"a": 1}, set(), range(3), object()),
    *(int, len, np.float32(72), np.int64(1), np.array([72, 72]), np.array([]), Unshowable()),
    *(Image.new("L", (2, 2)), Image.Exif(), (np.int64(1), np.int64(2), np.int64(3))),
]


def state(picture):
    """What of a picture must not change."""
    pixels = picture.tobytes()
    palette = picture.palette and bytes(picture.palette.palette)
    info = [(key, id(value)) for key, value in picture.info.items()]
    return picture.mode, picture.size, pixels, palette, info


@pytest.mark.parametrize("count", COUNTS)
def test_odd_pillow_pictures(count, watch):
    rng, session = random.Random(2), Gradient()
    pictures = [
        picture_files.picture(mode, size=size)
        for mode in picture_files.MODES
        for size in ((23, 17), (1, 1), (1, 40))
    ]
    pictures += [Image.new(mode, (9, 5)) for mode in ("P", "PA", "I;16L", "I;16N", "RGBX")]
    for number in range(count):
        picture = rng.choice(pictures).copy()
        for _ in range(rng.choice((1, 1, 2, 3))):
            picture.info[rng.choice(KEYS)] = rng.choice(VALUES)
        if picture.mode in ("P", "PA") and rng.random() < 0.3:
            picture.palette = rng.choice((None, picture.palette))
        before = state(picture)
        options, mode = rng.choice(OPTIONS)
        label = f"{number} {picture.mode} {[*picture.info]} {options}"
        if rng.random() < 0.15:
            given = Image.new("RGB", picture.size, "red")
            result = watch.call(label, remove, given, trimap=picture, matting_method="guided")
            mode = "RGBA"
        else:
            result = watch.call(label, remove, picture, session=session, **options)
        watch.check(label, state(picture) == before, "the picture was changed")
        if result is not None:
            right = (result.size, result.mode) == (open_picture(picture)[0].size, mode)
            watch.check(label, right, f"gave {result}")
            # what comes back can be written
            buffer = io.BytesIO()
            watch.call(f"{label} saved", result.save, buffer, "PNG", **result.info)


def closed():
    picture = Image.open(io.BytesIO(picture_files.saved("RGB", "PNG")))
    picture.load()
    picture.close()
    return picture


def its_file_closed():
    file = io.BytesIO(picture_files.saved("RGB", "PNG"))
    picture = Image.open(file)
    file.close()
    return picture


class Odd(Image.Image):
    """A picture that cannot be loaded."""

    def load(self):
        raise KeyError("nothing here")


@pytest.mark.parametrize(
    "make",
    [
        closed,
        its_file_closed,
        Odd,
        Image.Image,
        lambda: Image.new("RGB", (0, 5)),
        lambda: Image.new("L", (0, 0)),
        lambda: Image.Image.__new__(Image.Image),
    ],
)
def test_pillow_pictures_that_hold_nothing(make):
    with pytest.raises(RembgSessionsError):
        remove(make(), session=Gradient())


# -- arrays -------------------------------------------------------------------------------------

DTYPES = [
    *("?", "u1", "i1", "<u2", ">u2", "<i2", "<u4", ">u4", "<i4", "<u8", "<i8", "<f2", ">f2"),
    *("<f4", ">f4", "<f8", ">f8", "g", "<c8", "<c16", "S3", "<U2", "O", "<M8[s]", "<m8[s]", "V4"),
    "i4,f4",
]
SHAPES = [
    *((), (0,), (5,), (6, 5), (1, 1), (1, 9), (9, 1), (0, 4), (6, 5, 0), (6, 5, 1), (6, 5, 2)),
    *((6, 5, 3), (6, 5, 4), (6, 5, 5), (1, 6, 5, 3), (3, 6, 5), (2, 2, 2, 2, 2)),
]
NUMBERS = [0, 0.5, 1, -1, 2, 254.5, 255, 256, 65535, 1e30, -1e30, np.nan, np.inf, -np.inf, 1e-40]


def arrays(rng, folder):
    """Make an array of any kind."""
    dtype, shape = np.dtype(rng.choice(DTYPES)), rng.choice(SHAPES)
    raw = np.frombuffer(rng.randbytes(dtype.itemsize * int(np.prod(shape))), np.uint8)
    if dtype.hasobject:
        array = np.full(shape, rng.choice((None, 7, "x", object())), object)
    else:
        array = raw.view(dtype).reshape(shape) if raw.size else np.zeros(shape, dtype)
        array = array.copy()
    if dtype.kind == "f" and array.size and rng.random() < 0.8:
        with np.errstate(all="ignore"):
            numbers = [rng.choice(NUMBERS[:3]) for _ in range(array.size)]
            array[...] = np.reshape(numbers, shape)
            if rng.random() < 0.5:
                array.flat[rng.randrange(array.size)] = rng.choice(NUMBERS)
    way = rng.randrange(12)
    if way == 0 and array.ndim >= 2:
        array = array[::-1, ::-2]
    elif way == 1 and array.ndim >= 2:
        array = array.swapaxes(0, 1)
    elif way == 2 and array.ndim >= 1:
        array = np.broadcast_to(array[:1], array.shape) if array.shape[0] else array
    elif way == 3:
        array = np.asfortranarray(array)
    elif way == 4:
        array = np.ma.array(array, mask=rng.random() < 0.5)
    elif way == 5 and array.ndim == 2 and not dtype.hasobject:
        array = array.view(np.matrix)
    elif way == 6:
        array.flags.writeable = False
    elif way == 7 and array.size and not dtype.hasobject:
        held = np.memmap(folder / "array", dtype, "w+", shape=shape or (1,))
        held[...] = array
        array = held
    elif way == 8:
        array = array.view(np.recarray) if dtype.names else array
    elif way == 9 and array.ndim >= 2 and not dtype.hasobject and array.size:
        # not aligned
        buffer = np.zeros(array.nbytes + 1, np.uint8)
        buffer[1:] = np.frombuffer(array.tobytes(), np.uint8)
        array = buffer[1:].view(dtype).reshape(shape)
    return array


@pytest.mark.parametrize("count", COUNTS)
def test_arrays_of_every_kind(count, watch, tmp_path):
    rng, session = random.Random(3), Gradient()
    for number in range(count):
        array = arrays(rng, tmp_path)
        before = None if array.dtype.hasobject else array.tobytes()
        options, mode = rng.choice(OPTIONS)
        order = rng.choice(("RGB", "BGR"))
        label = f"{number} {type(array).__name__} {array.dtype} {array.shape} {options}"
        if rng.random() < 0.2:
            given = np.zeros((*array.shape[:2], 3), np.uint8)
            if given.ndim != 3:
                given = np.zeros((6, 5, 3), np.uint8)
            result = watch.call(label, remove, given, trimap=array, matting_method="guided")
            mode, shape = "RGBA", given.shape[:2]
        else:
            result = watch.call(
                label, remove, array, session=session, channel_order=order, **options
            )
            shape = array.shape[:2]
        watch.check(label, before is None or array.tobytes() == before, "the array was changed")
        if result is not None:
            expected = shape if mode == "L" else (*shape, 4)
            right = type(result) is np.ndarray and result.dtype == np.uint8
            watch.check(label, right and result.shape == expected, f"gave {result.shape}")
