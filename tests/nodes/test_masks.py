"""A network runs once for a picture, whatever is done with its mask afterwards."""

from __future__ import annotations

import gc
import weakref
from functools import partial

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="torch is not installed: nodes need it")

import torch
from asked import Asked

from rembg_sessions.core.errors import ImageError
from rembg_sessions.core.session.backdrop import BackdropSession
from rembg_sessions.core.session.protocol import Layer
from rembg_sessions.core.session.rembg_api import BaseSession
from rembg_sessions.nodes import convert, host, masks
from rembg_sessions.nodes.handle import SessionHandle

REMOVE, MASK = partial(Asked, "RemBGRemove"), partial(Asked, "RemBGMask")


class Counting(BaseSession):
    """Finds what is bright, and remembers what it was asked."""

    model_name = "counting"

    def __init__(self):
        self.asked = []
        self.current = True

    def is_current(self):
        return self.current

    def predict_layers(self, image, **options):
        self.asked.append((image.size, options))
        grey = np.asarray(image.convert("L"), np.float32) / 255
        return [Layer(grey.copy())]


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    masks._found.clear()


@pytest.fixture
def session():
    return Counting()


def pictures(count=1, height=20, width=30, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).random((count, height, width, 3), "f"))


def test_another_colour_or_edge_does_not_run_the_network_again(session):
    handle, image = SessionHandle(session), pictures(2)
    first = REMOVE().execute(image, handle)
    assert len(session.asked) == 2
    for change in (
        {"background": "colour", "background_colour": "#ff0000"},
        {"edge_colours": "original"},
        {"grow": 2},
        {"feather": 1.0},
        {"invert": True},
        {"hard_edge": True},
    ):
        REMOVE().execute(image, handle, **change)
    assert len(session.asked) == 2
    again = REMOVE().execute(image, handle)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


def test_two_nodes_with_one_session_run_it_once(session):
    image = pictures()
    REMOVE().execute(image, SessionHandle(session))
    (mask,) = MASK().execute(image, SessionHandle(session), threshold=0.5)
    assert len(session.asked) == 1
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    SessionHandle(session).encode_image(image)
    assert len(session.asked) == 1


def test_what_makes_another_mask_runs_it(session):
    handle, image = SessionHandle(session), pictures()
    REMOVE().execute(image, handle)
    REMOVE().execute(pictures(seed=2), handle)
    assert len(session.asked) == 2
    one_level = image.clone()
    one_level[0, 3, 4, 1] = (one_level[0, 3, 4, 1] + 0.5) % 1
    REMOVE().execute(one_level, handle)
    assert len(session.asked) == 3
    REMOVE().execute(image.reshape(1, 30, 20, 3), handle)  # the same bytes, another shape
    assert len(session.asked) == 4
    REMOVE().execute(image, handle, max_size=10)
    REMOVE().execute(image, handle, sam_prompt='[{"type": "point", "label": 1, "data": [3, 4]}]')
    REMOVE().execute(image, SessionHandle(session, cloth_category="upper"))
    assert len(session.asked) == 7
    REMOVE().execute(image, SessionHandle(Counting()))
    assert len(session.asked) == 7


def test_a_replaced_file_is_asked_again(session):
    handle, image = SessionHandle(session), pictures()
    REMOVE().execute(image, handle)
    session.current = False
    REMOVE().execute(image, handle)
    REMOVE().execute(image, handle)
    session.current = True
    REMOVE().execute(image, handle)
    assert len(session.asked) == 4


def test_freed_memory_is_free(session):
    handle, image = SessionHandle(session), pictures()
    REMOVE().execute(image, handle)
    (known,) = masks._found.values()
    kept = weakref.ref(next(iter(known.values())).layers[0].alpha)
    del known
    masks.forget(session)
    gc.collect()
    assert kept() is None
    REMOVE().execute(image, handle)
    assert len(session.asked) == 2


def test_masks_go_with_their_session():
    session = Counting()
    REMOVE().execute(pictures(), SessionHandle(session))
    assert len(masks._found) == 1
    del session
    gc.collect()
    assert len(masks._found) == 0


def test_what_a_model_without_weights_found_is_kept_for_the_next_run(monkeypatch):
    asked = []
    find = BackdropSession.predict_layers

    def watched(self, image, **options):
        asked.append(image.size)
        return find(self, image, **options)

    monkeypatch.setattr(BackdropSession, "predict_layers", watched)
    image = pictures()
    REMOVE().execute(image, model="backdrop", background="colour")
    gc.collect()
    red = {"background": "colour", "background_colour": "red"}
    REMOVE().execute(image, model="backdrop", **red)
    assert len(asked) == 1


def test_there_is_a_limit(session, monkeypatch):
    monkeypatch.setattr(masks, "_MOST_BYTES", 3 * 20 * 30 * 4)
    handle = SessionHandle(session)
    images = [pictures(seed=seed) for seed in range(4)]
    for image in images[:3]:
        REMOVE().execute(image, handle)
    REMOVE().execute(images[0], handle)  # used again: the second is the oldest now
    REMOVE().execute(images[3], handle)
    assert len(session.asked) == 4
    REMOVE().execute(images[0], handle)
    assert len(session.asked) == 4
    REMOVE().execute(images[1], handle)
    assert len(session.asked) == 5
    REMOVE().execute(pictures(height=100, width=100), handle)  # larger than the limit alone
    assert sum(len(known) for known in masks._found.values()) <= 3


def test_a_batch_that_does_not_fit_keeps_its_first_pictures(session, monkeypatch):
    monkeypatch.setattr(masks, "_MOST_BYTES", 3 * 20 * 30 * 4)
    handle, frames = SessionHandle(session), pictures(5)
    for run, asked in (("first", 5), ("second", 7), ("third", 9)):
        monkeypatch.setattr(host, "prompt_id", lambda run=run: run)
        REMOVE().execute(frames, handle)
        assert len(session.asked) == asked
    monkeypatch.setattr(host, "prompt_id", lambda: "another")
    other = pictures(2, seed=9)
    REMOVE().execute(other, handle)
    REMOVE().execute(other, handle)
    assert len(session.asked) == 11
    held = sum(each.size for known in masks._found.values() for each in known.values())
    assert held <= masks._MOST_BYTES


def test_what_is_remembered_cannot_be_changed(session):
    handle = SessionHandle(session)
    rgb = Image.fromarray(np.full((4, 5, 3), 200, np.uint8))
    (layer,) = handle.predict_layers(rgb)
    with pytest.raises(ValueError, match="read-only"):
        layer.alpha[0, 0] = 0
    again = handle.predict_layers(rgb)
    assert again[0] is layer
    again.append("another")
    assert handle.predict_layers(rgb) == [layer]


def test_a_closed_model_is_not_opened_to_name_its_provider(session):
    class Closed(Counting):
        is_open = False

        @property
        def provider(self):
            raise AssertionError("opened")

    handle = SessionHandle(Closed())
    assert handle.provider == ""


def test_one_small_mask_is_resized_once():
    mask_of = convert.masks_for(torch.rand(1, 8, 12), 24, 16, 24)
    assert mask_of(0).shape == (16, 24)
    assert mask_of(0) is mask_of(23)


@pytest.mark.parametrize("size", [(60, 90), (120, 180)], ids=["same", "other"])
def test_masks_of_a_batch_take_the_room_of_one(size, monkeypatch):
    """What is out of range or of another size is made for one picture at a time."""
    made = []
    monkeypatch.setattr(convert, "_limited", lambda mask: made.append(mask.shape) or mask)
    mask = torch.rand(5, *size)
    mask_of = convert.masks_for(mask, 5, 60, 90)
    for i in range(5):
        assert mask_of(i).shape == (60, 90)
        assert (mask_of(i).ctypes.data == mask[i].numpy().ctypes.data) == (size == (60, 90))
    assert made == [size] * 5


def test_masks_are_limited_before_they_are_resized():
    wild, tame = torch.tensor([[[-3.0, 0.25], [0.5, 7.0]]]), torch.tensor([[[0, 0.25], [0.5, 1]]])
    got, expected = (convert.masks_for(mask, 1, 4, 4)(0) for mask in (wild, tame))
    assert (got == expected).all()
    assert convert.masks_for(wild, 1, 2, 2)(0).tolist() == tame[0].tolist()


class Uneven(Counting):
    def predict_layers(self, image, **options):
        answer = super().predict_layers(image, **options)
        return answer * len(self.asked)


def test_a_session_that_changes_its_number_of_masks_is_told_so():
    with pytest.raises(ImageError, match="2 masks for image 2, with 1"):
        MASK().execute(pictures(2), SessionHandle(Uneven()))
