"""Colours under alpha 0, beside the edge."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from rembg_sessions.core.imaging import rows
from rembg_sessions.core.imaging.bleed import REACH, bleed
from rembg_sessions.core.imaging.composite import cut_out, original_cutout
from rembg_sessions.core.imaging.foreground import estimate_edge_colours


def disc(height=90, width=120, softness=6.0, radius=30):
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)


def near(seen):
    """What lies within reach of pixels that are seen, in a square, by the definition."""
    height, width = seen.shape
    padded = np.pad(seen, REACH)
    window = 2 * REACH + 1
    views = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    assert views.shape[:2] == (height, width)
    return views.any(axis=(2, 3))


def cutout_of(colours, alpha):
    cutout = np.dstack([colours, np.round(255 * alpha)]).astype(np.uint8)
    cutout[cutout[..., 3] == 0] = 0
    return cutout


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (61, 90), (90, 120)], ids=str)
def test_the_band_is_filled_and_nothing_else_changes(size):
    rng = np.random.default_rng(0)
    alpha = disc(*size, radius=min(size) / 3)
    cutout = cutout_of(rng.integers(1, 256, (*size, 3)), alpha)
    before = cutout.copy()
    bleed(cutout)
    hidden = before[..., 3] == 0
    filled = hidden & near(before[..., 3] >= 13)
    np.testing.assert_array_equal(cutout[~filled], before[~filled])
    np.testing.assert_array_equal(cutout[..., 3], before[..., 3])
    assert cutout[filled][:, :3].min(initial=255) > 0


def test_a_colour_is_the_weighted_mean_of_those_around():
    rng = np.random.default_rng(1)
    alpha = np.roll(disc(40, 40, radius=12), 12, 0) * rng.uniform(0.1, 1, (40, 40)).astype(
        np.float32
    )
    cutout = cutout_of(rng.integers(1, 256, (40, 40, 3)), alpha)
    before = cutout.astype(float)
    bleed(cutout)
    rows_, columns = np.nonzero((cutout[..., 3] == 0) & cutout[..., :3].any(axis=2))
    assert len(rows_) > 200
    y, x = np.mgrid[:40, :40]
    cross = ndimage.generate_binary_structure(2, 1)
    least = ndimage.minimum_filter(before[..., 3], footprint=cross, mode="constant", cval=255)
    for row, column in zip(rows_[::17], columns[::17], strict=True):
        dy, dx = np.abs(y - row), np.abs(x - column)
        weight = np.exp(-(dy**2 + dx**2) / (2 * 1.2**2)) * (np.maximum(dy, dx) <= REACH)
        weight *= before[..., 3] * (before[..., 3] >= 13) * (1 + least)
        mean = (before[..., :3] * weight[..., None]).sum((0, 1)) / weight.sum()
        assert np.abs(cutout[row, column, :3] - mean).max() <= 0.51


def test_levels_and_floats_agree():
    rng = np.random.default_rng(2)
    levels = cutout_of(rng.integers(0, 256, (70, 75, 3)), disc(70, 75, 20.0))
    floats = levels.astype(np.float32) / 255
    floats[..., 3][levels[..., 3] == 0] = 0.6 / 255  # less than is seen
    bleed(levels)
    bleed(floats)
    np.testing.assert_array_equal(np.round(floats[..., :3] * 255), levels[..., :3])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_the_colours(threads, monkeypatch):
    rng = np.random.default_rng(3)
    alone = cutout_of(rng.integers(0, 256, (1030, 1100, 3)), disc(1030, 1100, 2.0, 400))
    together = alone.copy()
    monkeypatch.setattr(rows, "cpu_count", lambda: 1)
    bleed(alone)
    monkeypatch.setattr(rows, "cpu_count", lambda: threads)
    bleed(together)
    np.testing.assert_array_equal(alone, together)


def test_haze_carries_no_colour():
    cutout = cutout_of(np.full((30, 30, 3), 200), np.full((30, 30), 12 / 255))
    cutout[:, 15:] = 0
    before = cutout.copy()
    bleed(cutout)
    np.testing.assert_array_equal(cutout, before)


@pytest.mark.parametrize("softness", [0.01, 3.0, 15.0], ids=["hard", "soft", "very soft"])
@pytest.mark.parametrize("way", ["estimated", "original"])
def test_nothing_of_the_old_background_is_carried(softness, way):
    """Green over magenta: what drops alpha sees green around the edge, then nothing."""
    alpha = disc(softness=softness)
    front, back = np.array([20, 200, 60]), np.array([240, 10, 230])
    image = alpha[..., None] * front + (1 - alpha[..., None]) * back
    image = image.round().astype(np.uint8)
    if way == "estimated":
        cutout = np.array(cut_out(image, alpha, estimate_edge_colours(image, alpha)))
    else:
        mask = Image.fromarray(np.round(255 * alpha).astype(np.uint8))
        cutout = np.array(original_cutout(Image.fromarray(image), mask))
    bleed(cutout, from_certain=way == "original")
    hidden = cutout[cutout[..., 3] == 0][:, :3].astype(int)
    coloured = hidden[hidden.any(axis=1)]
    assert len(coloured) or (way, softness) == ("original", 15.0)
    assert np.abs(coloured - front).max(initial=0) <= 5
    assert len(coloured) < len(hidden)


@pytest.mark.parametrize("scale", [0.5, 0.37])
@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_resizing_makes_no_dark_fringe(scale, how):
    alpha = disc(200, 240, 0.01, 70)
    image = np.full((200, 240, 3), (210, 170, 130), np.uint8)
    pixels = np.array(cut_out(image, alpha, estimate_edge_colours(image, alpha)))
    bleed(pixels)
    cutout = Image.fromarray(pixels)
    size = (round(240 * scale), round(200 * scale))
    channels = [np.asarray(each.resize(size, how), int) for each in cutout.split()]
    for channel, colour in zip(channels, (210, 170, 130), strict=False):
        assert (np.abs(channel - colour) * channels[3] / 255).max() < 0.5
