"""Layers of a clip's frames: one scale for all, steadied, and the same through remove_batch."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from helpers import Gradient, Whole, decode, encode
from rembg_sessions.core import new_session, remove, remove_batch
from rembg_sessions.core.errors import ImageError, OptionError
from rembg_sessions.core.frames import steady_layers
from rembg_sessions.core.layers import find_layers
from rembg_sessions.core.session.preprocess import output_to_alphas
from rembg_sessions.core.session.protocol import Layer


def test_a_network_may_leave_its_answer_unstretched(network, photo, monkeypatch):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    network("u2net.onnx")
    session = new_session("u2net", providers="CPU")
    (found,), (raw,) = (find_layers(session, photo(), stretch=each) for each in (True, False))
    assert session.stretches and found.stretched and not raw.stretched
    assert not np.array_equal(raw.alpha, found.alpha)
    output = np.linspace(0.2, 0.7, 48, dtype=np.float32).reshape(1, 1, 6, 8)
    assert np.array_equal(output_to_alphas(output, session.spec, stretch=False)[0], output[0, 0])
    (small,) = find_layers(session, photo(), stretch=False, max_size=50)
    assert not small.stretched and small.alpha.shape == (72, 96)


@pytest.mark.parametrize("name", ["birefnet-general-lite", "backdrop"])
def test_others_have_no_such_choice(network, photo, monkeypatch, name):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    if name == "birefnet-general-lite":
        network("BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx", "logits", (1024, 1024))
    session = new_session(name)
    stretches = getattr(session, "stretches", False)
    (layer,) = find_layers(session, photo(), stretch=False)
    assert layer.stretched == (not stretches)


def test_the_scale_is_one_for_the_clip():
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    alphas = [np.full((30, 40), 0.1, np.float32) for _ in range(4)]
    for alpha, high in zip(alphas, (0.8, 0.6, 0.8, 0.8), strict=True):
        alpha[10:20, 10:30] = high
    found = list(steady_layers((picture, [Layer(each, stretched=False)]) for each in alphas))
    for (layer,) in found:
        assert layer.stretched
        assert np.allclose(layer.alpha[12:18, 12:28], 1, atol=1e-6)
        assert np.allclose(layer.alpha[:5], 0, atol=1e-6)


def test_noise_of_an_empty_frame_does_not_become_a_foreground():
    picture = np.zeros((30, 40, 3), np.uint8)
    alpha = np.linspace(0, 0.1, 1200, dtype=np.float32).reshape(30, 40)
    ((layer,),) = steady_layers([(picture, [Layer(alpha, stretched=False)])])
    assert layer.alpha.max() <= 0.21


def test_colours_that_belong_to_other_alpha_are_dropped():
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    cutout = np.zeros((30, 40, 4), np.uint8)
    values = (1, 1, 0, 1)
    layers = [Layer(np.full((30, 40), each, np.float32), cutout=cutout) for each in values]
    found = list(steady_layers((picture, [layer]) for layer in layers))
    assert found[0][0] is layers[0]
    assert found[2][0].alpha.min() == 1 and found[2][0].cutout is None


class Blinking:
    """A session that finds nothing in every fifth frame."""

    def __init__(self):
        self.count = 0

    def predict(self, image, **options):
        self.count += 1
        return [Image.new("L", image.size, 0 if self.count % 5 == 0 else 255)]


@pytest.mark.parametrize("kind", [Image.Image.copy, np.asarray, encode])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_batch_may_be_steady(photo, kind, workers):
    frames = [photo()] * 12
    found = remove_batch(
        map(kind, frames), Blinking(), workers=workers, steady=True, only_mask=True
    )
    for mask in found:
        assert isinstance(mask, type(kind(photo())))
        assert np.asarray(decode(mask) if kind is encode else mask).min() == 255


def test_a_batch_is_the_same_for_any_number_of_threads(network, photo, monkeypatch):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    network("u2net.onnx")
    session = new_session("u2net", providers="CPU")
    frames = [photo(seed=seed // 4) for seed in range(9)]
    one, many = (
        list(remove_batch(frames, session, workers=workers, steady=True, edge_colours="estimated"))
        for workers in (1, 4)
    )
    asked = ((np.asarray(each), find_layers(session, each, stretch=False)) for each in frames)
    layers = steady_layers(asked)
    for first, second, (layer,) in zip(one, many, layers, strict=True):
        assert np.array_equal(first, second)
        alpha = np.asarray(first)[..., 3].astype(int)
        assert np.abs(alpha - np.rint(layer.alpha * 255)).max() <= 1


def test_errors_keep_their_places_among_steady_frames(photo):
    frames = [b"broken", photo(), photo(), "gone.png", photo(), b"broken"]
    found = list(remove_batch(frames, Whole(), steady=True, on_error="yield"))
    assert [isinstance(each, ImageError) for each in found] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    with pytest.raises(ImageError):
        list(remove_batch(frames, Whole(), steady=True))


def test_options_of_the_question_are_asked_once(photo):
    session = Gradient()
    list(remove_batch([photo()] * 2, session, steady=True, max_size=48, cc="upper"))
    assert session.seen == [((48, 36), {"cloth_category": "upper"})] * 2


def test_options_of_the_answer_hold(photo):
    found = list(remove_batch([photo()] * 3, Whole(), steady=True, bgcolor="red", max_size=20))
    assert all(
        np.array_equal(each, remove(photo(), session=Whole(), bgcolor="red")) for each in found
    )


def test_a_trimap_has_no_session_to_steady(photo):
    with pytest.raises(OptionError, match="trimap"):
        remove_batch([photo()], steady=True, trimap=photo())
