"""Alpha as a linear function of colour: fitting it, and carrying it up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.imaging.morphology import dilate
from rembg_sessions.core.matting.local_linear import carry_alpha, fit_coefficients


def reference(image, alpha, radius, epsilon):
    """(ā, b̄) in the words of the paper, window by window."""
    height, width = alpha.shape
    side = 2 * radius + 1
    fitted = np.full((height, width, 4), np.nan)
    for y in range(radius, height - radius):
        for x in range(radius, width - radius):
            window = slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1)
            colours, target = image[window].reshape(-1, 3) / 255.0, alpha[window].ravel()
            centred = colours - colours.mean(axis=0)
            covariance = centred.T @ centred / side**2 + epsilon * np.eye(3)
            a = np.linalg.solve(covariance, centred.T @ target / side**2)
            fitted[y, x] = [*a / 255, target.mean() - a @ colours.mean(axis=0)]
    # each pixel takes the mean of the windows around it; at the rim the nearest ones count
    y = np.clip(np.arange(height)[:, None] + np.arange(-radius, radius + 1), radius, None)
    x = np.clip(np.arange(width)[:, None] + np.arange(-radius, radius + 1), radius, None)
    y, x = np.minimum(y, height - 1 - radius), np.minimum(x, width - 1 - radius)
    return fitted[y[:, None, :, None], x[None, :, None, :]].mean(axis=(2, 3))


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-4])
def test_the_fit_is_the_one_of_the_paper(radius, epsilon):
    rng = np.random.default_rng(radius)
    image = rng.integers(0, 256, (14, 17, 3), dtype=np.uint8)
    alpha = rng.random((14, 17)).astype(np.float32)
    everywhere = np.ones(alpha.shape, np.bool_)
    found = fit_coefficients(image, alpha, everywhere, radius, epsilon)
    expected = reference(image, alpha, radius, epsilon)
    value = (found * np.dstack([image, np.ones_like(alpha)])).sum(axis=2)
    other = (expected * np.dstack([image, np.ones_like(alpha)])).sum(axis=2)
    np.testing.assert_allclose(value, other, atol=1e-4)


def test_only_what_is_marked_is_fitted_and_comes_out_the_same():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    alpha = rng.random((40, 50)).astype(np.float32)
    where = np.zeros(alpha.shape, np.bool_)
    where[0, :9], where[20:23, 30], where[-1, -1] = True, True, True
    everywhere = fit_coefficients(image, alpha, np.ones_like(where), 2, 1e-4)
    found = fit_coefficients(image, alpha, where, 2, 1e-4)
    around = dilate(where, 1)
    np.testing.assert_allclose(found[around], everywhere[around], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("grey", [False, True])
def test_flat_and_grey_windows_stay_finite(grey):
    # no colour, or one line of colours: without ε there would be nothing to divide by
    levels = np.random.default_rng(0).integers(0, 256, (20, 20, 1)) if grey else 90
    image = np.broadcast_to(levels, (20, 20, 3)).astype(np.uint8)
    alpha = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    found = fit_coefficients(image, alpha, np.ones((20, 20), np.bool_), 1, 1e-6)
    assert np.isfinite(found).all()
    value = carry_alpha(found, image, np.arange(400), 1).reshape(20, 20)
    if not grey:  # then alpha is the mean of the windows
        np.testing.assert_allclose(value[5:-5, 5:-5], alpha[5:-5, 5:-5], atol=1e-4)


@pytest.mark.parametrize("size", [(240, 320), (239, 317)])
def test_an_alpha_that_is_linear_in_colour_comes_back_at_full_size(size):
    rng = np.random.default_rng(5)
    detail = Image.fromarray(rng.integers(0, 256, (60, 80), dtype=np.uint8))
    alpha = np.asarray(detail.resize(size[::-1], Image.Resampling.BICUBIC), np.float32) / 255
    front, back = np.float32([230, 180, 90]), np.float32([20, 40, 80])
    image = (alpha[..., None] * front + (1 - alpha[..., None]) * back).round().astype(np.uint8)
    small = np.asarray(Image.fromarray(image).reduce(4))
    small_alpha = np.asarray(Image.fromarray(alpha).reduce(4))
    where = np.ones(small_alpha.shape, np.bool_)
    fitted = fit_coefficients(small, small_alpha, where, 1, 1e-6)
    found = carry_alpha(fitted, image, np.arange(alpha.size), 4)
    plain = np.asarray(Image.fromarray(small_alpha).resize(size[::-1], Image.Resampling.BICUBIC))
    error = np.abs(found.reshape(alpha.shape) - alpha)
    assert error.mean() < 0.01
    assert error.mean() < 0.1 * np.abs(plain - alpha).mean()


def test_coefficients_lie_where_the_small_pixels_are():
    # a step of ā, b̄ between two small pixels is met half way, also where the last block of
    # the large picture is not full
    coefficients = np.zeros((1, 6, 4), np.float32)
    coefficients[..., 3] = np.arange(6) / 10
    found = carry_alpha(coefficients, np.zeros((1, 22, 3), np.uint8), np.arange(22), 4)
    np.testing.assert_allclose(found, np.clip((np.arange(22) - 1.5) / 40, 0, 0.5), atol=1e-6)


def test_no_pixels():
    coefficients = np.zeros((4, 4, 4), np.float32)
    image = np.zeros((8, 8, 3), np.uint8)
    assert carry_alpha(coefficients, image, np.empty(0, np.intp), 2).shape == (0,)


@pytest.mark.parametrize("radius", [0, 1, 3, 9])
def test_dilation_is_by_a_square(radius):
    region = np.random.default_rng(0).random((12, 15)) < 0.05
    expected = np.zeros_like(region)
    for y, x in zip(*np.nonzero(region), strict=True):
        expected[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1] = True
    np.testing.assert_array_equal(dilate(region, radius), expected)
