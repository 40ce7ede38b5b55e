"""From a picture to the network's input, and from its output to alpha."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import bands, get_model, preprocess
from rembg_sessions.core.errors import ModelRunError
from rembg_sessions.core.spec import Output

U2NET = get_model("u2net")
MODNET = get_model("modnet")


# -- resize -------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("mode", ["L", "RGB", "F"])
def test_threads_change_no_pixel(mode, threads, monkeypatch):
    """Noise makes the order of Pillow's two passes show."""
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    monkeypatch.setattr(bands, "_WORTH_IT", 1)
    rng = np.random.default_rng(threads)
    fixed = [
        (40, 40, 160, 160),
        (160, 160, 40, 40),
        (300, 20, 10, 30),
        (1, 1, 50, 60),
        (50, 60, 1, 1),
    ]
    for height, width, *size_hw in [*fixed, *rng.integers(1, 200, (30, 4)).tolist()]:
        array = rng.integers(0, 256, (height, width, 3) if mode == "RGB" else (height, width))
        image = Image.fromarray(array.astype(np.float32 if mode == "F" else np.uint8))
        expected = image.resize(size_hw[::-1], Image.Resampling.LANCZOS)
        resized = np.asarray(preprocess.resize(image, tuple(size_hw)))
        # 8-bit modes compute with integers; floats may differ in their last bits
        np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-3 if mode == "F" else 0)


def test_a_picture_of_the_right_size_is_left_alone(photo):
    picture = photo()
    assert preprocess.resize(picture, (72, 96)) is picture


def test_resized_alpha_does_not_overshoot():
    alpha = np.zeros((8, 8), np.float32)
    alpha[:, 4:] = 1
    resized = preprocess.resize_alpha(alpha, (50, 50))
    assert resized.dtype == np.float32
    assert resized.min() == 0 and resized.max() == 1


# -- input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture_hw", "expected"),
    [
        ((512, 512), (512, 512)),
        ((1024, 2048), (512, 1024)),
        ((2000, 1000), (1024, 512)),
        ((100, 150), (512, 768)),
        ((10, 20000), (512, 2048)),
        ((1, 1), (512, 512)),
    ],
)
def test_networks_of_free_size_see_the_shape_of_the_picture(picture_hw, expected):
    assert preprocess.input_size_hw(MODNET, picture_hw) == expected
    assert preprocess.input_size_hw(U2NET, picture_hw) == (320, 320)


def test_values_are_scaled_and_shifted():
    picture = Image.new("RGB", (4, 4), (100, 50, 0))
    mean, std = (0.5, 0.25, 0.1), (0.5, 0.25, 0.2)
    tensor = preprocess.normalize(picture, mean, std, (4, 4))
    np.testing.assert_allclose(tensor[0, :, 0, 0], [1, 1, -0.5])
    tensor = preprocess.normalize(picture, mean, std, (4, 4), scale_by_max=False)
    np.testing.assert_allclose(
        tensor[0, :, 0, 0], [(100 / 255 - 0.5) / 0.5, (50 / 255 - 0.25) / 0.25, -0.5], rtol=1e-6
    )
    assert (tensor.shape, tensor.dtype) == ((1, 3, 4, 4), np.float32)


# -- output -------------------------------------------------------------------------------


def answer(*values):
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


def test_probabilities_are_stretched():
    (alpha,) = preprocess.output_to_alphas(answer(0.2, 0.3, 0.4), U2NET)
    np.testing.assert_allclose(alpha, [[0, 0.5, 1]], atol=1e-6)


def test_values_are_kept_where_the_model_asks_for_it():
    (alpha,) = preprocess.output_to_alphas(answer(-0.1, 0.3, 1.2), MODNET)
    np.testing.assert_allclose(alpha, [[0, 0.3, 1]], atol=1e-6)


def test_logits_become_probabilities_even_at_the_extremes():
    spec = dataclasses.replace(U2NET, output=Output.LOGITS, min_max=False)
    with np.errstate(all="raise", under="ignore"):
        (alpha,) = preprocess.output_to_alphas(answer(-1e4, -1, 0, 1, 1e4), spec)
    np.testing.assert_allclose(alpha, [[0, 0.268941, 0.5, 0.731059, 1]], atol=1e-6)


def test_labels_give_one_mask_for_each_class_but_the_first():
    scores = np.zeros((1, 4, 1, 4), np.float32)
    scores[0, [0, 1, 2, 3], 0, [0, 1, 2, 3]] = 1
    masks = preprocess.output_to_alphas(scores, get_model("u2net_cloth_seg"))
    np.testing.assert_array_equal(np.concatenate(masks), np.eye(4)[1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_is_an_error(bad):
    with pytest.raises(ModelRunError, match="u2net answered with NaN or infinity"):
        preprocess.output_to_alphas(answer(0.1, bad, 0.3), U2NET)


@pytest.mark.parametrize("shape", [(1, 320, 320), (2, 1, 4, 4), (5,)])
def test_answers_of_another_shape(shape):
    with pytest.raises(ModelRunError, match=r"answered with shape .*expected"):
        preprocess.output_to_alphas(np.zeros(shape, np.float32), U2NET)


def test_masks_round_there_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    alpha = preprocess.mask_to_alpha(Image.fromarray(levels))
    assert (alpha.dtype, alpha.max()) == (np.float32, 1)
    np.testing.assert_array_equal(preprocess.alpha_to_mask(alpha), levels)
