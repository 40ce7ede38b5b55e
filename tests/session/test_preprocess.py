"""From a picture to the network's input, and from its output to alpha."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import get_model
from rembg_sessions.core.errors import ModelRunError
from rembg_sessions.core.registry.spec import Output
from rembg_sessions.core.session import preprocess

U2NET = get_model("u2net")
MODNET = get_model("modnet")


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
    with pytest.raises(ModelRunError, match="u2net answered with NaN, infinity"):
        preprocess.output_to_alphas(answer(0.1, bad, 0.3), U2NET)


@pytest.mark.parametrize("shape", [(1, 320, 320), (2, 1, 4, 4), (5,)])
def test_answers_of_another_shape(shape):
    with pytest.raises(ModelRunError, match=r"answered with shape .*expected"):
        preprocess.output_to_alphas(np.zeros(shape, np.float32), U2NET)
