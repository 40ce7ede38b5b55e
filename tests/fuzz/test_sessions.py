"""Sessions of others that answer with odd things: a result, or a sentence."""

from __future__ import annotations

import itertools
import random
from unittest.mock import MagicMock

import numpy as np
import picture_files
import pytest
from fuzzing import Watch, listening
from PIL import Image

from rembg_sessions.core import remove, remove_batch
from rembg_sessions.core.imaging.foreground import EdgeColours
from rembg_sessions.core.session.protocol import Layer

SHORT, LONG = 300, 20_000
COUNTS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)]
SIZE = WIDTH, HEIGHT = 23, 17
OPTIONS = [
    ({}, "RGBA"),
    ({"only_mask": True}, "L"),
    ({"putalpha": True}, "RGBA"),
    ({"edge_colours": "estimated"}, "RGBA"),
    ({"edge_colours": "naive", "max_size": 11}, "RGBA"),
    ({"post_process_mask": True}, "RGBA"),
    ({"matting_method": "guided", "alpha_matting_erode_size": 1}, "RGBA"),
    ({"alpha_matting": True, "alpha_matting_erode_size": 1}, "RGBA"),
]


class Lost(Image.Image):
    """A picture that has lost its pixels."""

    def load(self):
        raise OSError("the disk is gone")


def masks(rng, size):
    """Make what stands for one mask."""
    width, height = size
    mode = rng.choice(picture_files.MODES)
    made = picture_files.picture(mode, rng.randrange(9), rng.choice((size, size, size, (9, 9))))
    floats = np.random.default_rng(rng.randrange(9)).random((height, width)).astype(np.float32)
    levels = (floats * 255).astype(np.uint8)
    floats[0, 0] = rng.choice((0, 1, np.nan, np.inf, -1, 1e30))
    lost = Lost()
    lost._mode, lost._size = "L", size
    odd = [lost, Image.new("L", (0, 0)), floats, levels, None, "mask", 7, [made], {}, b"", object()]
    return rng.choice((made, made, made, made, Image.fromarray(floats), rng.choice(odd)))


def layers(rng, size):
    """Make what stands for one layer."""
    width, height = size
    alpha = np.random.default_rng(rng.randrange(9)).random((height, width)).astype(np.float32)
    kind = rng.choice((*8 * ["<f4"], ">f4", "f2", "f8", "g", "u1", "?", "O", "c8"))
    with np.errstate(all="ignore"):
        if rng.random() < 0.1:
            alpha[3, 4] = rng.choice((np.nan, np.inf, -1, 2, 1e30))
        alpha = (255 * alpha if kind == "u1" else alpha).astype(kind)
    if rng.random() < 0.1:
        alpha = rng.choice((alpha[:3], alpha[None], alpha[0], alpha.tolist(), None, "alpha", 7))
    count = rng.choice((0, 1, 5))
    edge = rng.choice(
        (
            *(None, None, None, None, "edge", (), ([0], [[1, 2, 3]])),
            EdgeColours(np.arange(count), np.full((count, 3), 7, np.float32)),
            EdgeColours(np.array([0, 10**6]), np.zeros((2, 3), np.float32)),
            EdgeColours(np.array([-(10**6)]), np.zeros((1, 3), np.float32)),
            EdgeColours(np.arange(5), np.zeros((4, 3), np.float32)),
            EdgeColours(np.zeros((2, 2)), np.full((2, 3), np.nan, np.float32)),
        )
    )
    cut = np.zeros((height, width, 4), np.uint8)
    cutout = rng.choice((*9 * [None], "cut", cut, cut[:3], cut.astype(float)))
    made = Layer(alpha, edge, rng.random() < 0.5, cutout, rng.choice(("", "a warning", None, 7)))
    return rng.choice((made, made, made, made, None, "layer", alpha, object()))


def answers(rng, one):
    """Make an answer of what stands for its parts."""
    few = [one(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    return rng.choice(
        [
            *(*20 * [few], tuple(few), iter(few), (each for each in few), few[0]),
            *([], (), None, 7, "masks", b"masks", {}, {"mask": few[0]}, object(), [None]),
            *(itertools.repeat(few[0]), few * 2000, range(3), np.zeros((3, 17, 23)), MagicMock()),
        ]
    )


def sessions(rng):
    """Make a session, and say what it is."""
    door = rng.choice(("predict", "predict", "process", "predict_layers"))

    class Session:
        pass

    def answer(self, image, **options):
        image.paste(0, (0, 0, 9, 9))  # what it is shown is its own
        if door == "process":
            cutout = picture_files.picture(rng.choice(("RGBA", "LA")), size=image.size)
            return rng.choice((cutout, cutout, masks(rng, image.size)))
        one = layers if door == "predict_layers" else masks
        return answers(rng, lambda rng: one(rng, image.size))

    if door == "predict_layers":  # ours, which draw on nothing

        def answer(self, image, **options):
            return answers(rng, lambda rng: layers(rng, image.size))

    setattr(Session, door, answer)
    return door, Session()


@pytest.fixture
def watch():
    """Watch calls, and fail where one was wrong."""
    found = Watch()
    with listening(found):
        yield found
    found.verdict()


@pytest.mark.parametrize("count", COUNTS)
def test_odd_answers(count, watch):
    rng = random.Random(4)
    for number in range(count):
        door, session = sessions(rng)
        options, mode = rng.choice(OPTIONS)
        given = picture_files.picture(rng.choice(("RGB", "L", "RGBA")), size=SIZE)
        before = given.tobytes()
        label = f"{number} {door} {options}"
        result = watch.call(label, remove, given, session=session, **options)
        watch.check(label, given.tobytes() == before, "the picture was changed")
        if result is not None:
            # several stand below each other
            right = result.mode == mode and result.width == WIDTH and result.height % HEIGHT == 0
            watch.check(label, right, f"gave {result}")


class Failure(Exception):
    """What a session may raise, to cancel for example."""


class Fails:
    """A session that fails at every third picture."""

    def __init__(self):
        self.asked = 0

    def predict(self, image, **options):
        self.asked += 1
        if self.asked % 3 == 0:
            raise Failure(self.asked)
        return [Image.new("L", image.size, 255)]


class FailsLater:
    """A session whose answer fails when it is read."""

    def predict(self, image, **options):
        yield Image.new("L", image.size, 255)
        raise Failure


@pytest.mark.parametrize("session", [Fails(), FailsLater()], ids=lambda each: type(each).__name__)
def test_what_a_session_raises_is_its_own(session):
    """A host cancels by an exception that the core does not know."""
    picture = picture_files.picture("RGB")
    with pytest.raises(Failure):
        for _ in range(3):
            remove(picture, session=session)
    results = list(remove_batch([picture] * 9, session, workers=3, on_error="yield"))
    failed = sum(isinstance(result, Failure) for result in results)
    assert failed == (3 if isinstance(session, Fails) else 9)


def test_a_session_that_is_a_mock():
    """It has every attribute, and answers with more of them."""
    with pytest.raises(ValueError, match="The session answered with"):
        remove(picture_files.picture("RGB"), session=MagicMock())


def test_the_masks_of_a_session_stay_its_own():
    kept = Image.new("L", SIZE, 200)

    class Keeps:
        def predict(self, image):
            return [kept]

    mask = remove(picture_files.picture("RGB", size=SIZE), session=Keeps(), only_mask=True)
    mask.paste(0, (0, 0, 9, 9))
    mask.info["said"] = 1
    assert kept.getextrema() == (200, 200) and not kept.info


def test_a_session_may_answer_with_layers_alone():
    class Layers:
        def predict_layers(self, image, **options):
            return [Layer(np.full((image.height, image.width), 0.4, np.float32))]

    for options in ({}, {"edge_colours": "estimated"}):
        cutout = remove(picture_files.picture("RGB"), session=Layers(), **options)
        assert cutout.getchannel("A").getextrema() == (102, 102)


@pytest.mark.parametrize("kind", ["I;16", "I", "F", "1", "RGB"])
def test_masks_of_every_depth_mean_the_same(kind):
    """16 bit are scaled to 8, not cut off; floats are 0 to 1."""
    levels = np.tile(np.arange(0, 256, 5, np.uint8), (4, 1))
    if kind == "1":
        levels = np.where(levels > 127, 255, 0).astype(np.uint8)
    mask = Image.fromarray(levels)
    if kind == "I;16":
        mask = Image.fromarray(levels.astype(np.uint16) * 257)
    elif kind == "F":
        mask = Image.fromarray(levels.astype(np.float32) / 255)
    elif kind != "L":
        mask = mask.convert(kind)

    class Deep:
        def predict(self, image):
            return [mask]

    picture = Image.new("RGB", mask.size)
    np.testing.assert_array_equal(remove(picture, session=Deep(), only_mask=True), levels)
