"""Resizing: Pillow's pixels on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.imaging import resample, rows


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("mode", ["L", "RGB", "F"])
def test_threads_change_no_pixel(mode, threads, monkeypatch):
    """Noise makes the order of Pillow's two passes show."""
    monkeypatch.setattr(rows, "cpu_count", lambda: threads)
    monkeypatch.setattr(rows, "_WORTH_IT", 1)
    rng = np.random.default_rng(threads)
    fixed = [
        (40, 40, 160, 160),
        (160, 160, 40, 40),
        (300, 20, 10, 30),
        (1, 1, 50, 60),
        (50, 60, 1, 1),
    ]
    for height, width, *size_hw in [*fixed, *rng.integers(1, 200, (12, 4)).tolist()]:
        array = rng.integers(0, 256, (height, width, 3) if mode == "RGB" else (height, width))
        image = Image.fromarray(array.astype(np.float32 if mode == "F" else np.uint8))
        expected = image.resize(size_hw[::-1], Image.Resampling.LANCZOS)
        resized = np.asarray(resample.resize(image, tuple(size_hw)))
        # 8-bit modes compute with integers; floats may differ in their last bits
        np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-3 if mode == "F" else 0)


def test_a_picture_of_the_right_size_is_left_alone(photo):
    picture = photo()
    assert resample.resize(picture, (72, 96)) is picture


def test_resized_alpha_does_not_overshoot():
    alpha = np.zeros((8, 8), np.float32)
    alpha[:, 4:] = 1
    resized = resample.resize_alpha(alpha, (50, 50))
    assert resized.dtype == np.float32
    assert resized.min() == 0 and resized.max() == 1
