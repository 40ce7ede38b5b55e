"""Steady frames: less flicker, no more error, nothing behind what moves fast, little memory."""

from __future__ import annotations

import importlib.util
import itertools
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.errors import ImageError
from rembg_sessions.core.imaging.motion import find_motion, small_copies
from rembg_sessions.core.imaging.steady import steady

PATH = Path(__file__).parents[1] / "bench/steady.py"
SPEC = importlib.util.spec_from_file_location("bench_steady", PATH)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


def one_by_one(pictures, alphas):
    return [found[0] for found in steady(zip(pictures, [[each] for each in alphas], strict=True))]


@pytest.fixture(scope="module")
def clip():
    pictures, truths, near = zip(*bench.clip(None, frames=32), strict=True)
    return list(pictures), list(truths), list(near)


@pytest.mark.parametrize(
    ("kind", "flicker", "error"), [("edges", 0.85, 0.85), ("parts", 0.5, 0.45), ("stretch", 0.6, 1)]
)
def test_flicker_falls_and_the_error_does_not_rise(clip, kind, flicker, error):
    pictures, truths, near = clip
    spoilt = bench.spoil(truths, kind)
    before = bench.measure(spoilt, truths, near)
    after = bench.measure(one_by_one(pictures, spoilt), truths, near)
    assert after[0] <= flicker * before[0]
    assert after[1] <= error * before[1]
    assert after[2] <= before[2], "something trails behind the stick"


def test_true_alpha_stays_nearly_as_it_is(clip):
    pictures, truths, near = clip
    found = one_by_one(pictures, truths)
    _, error, trail = bench.measure(found, truths, near)
    _, plain, plain_trail = bench.measure(
        [alphas[0] for alphas in bench.plain_median([(None, [each]) for each in truths])],
        truths,
        near,
    )
    assert error < 0.15 * plain and trail < 0.1 * plain_trail


def test_nothing_is_steadied_across_a_cut(clip):
    pictures, truths, _ = clip
    shots = [one_by_one(pictures[part], truths[part]) for part in (np.s_[:16], np.s_[16:])]
    both = one_by_one(pictures, truths)
    for found, expected in zip(both, [*shots[0], *shots[1]], strict=True):
        assert np.array_equal(found, expected)


def still(count, size=(64, 48)):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return [picture] * count


def square(size=(64, 48)):
    alpha = np.zeros(size[::-1], np.float32)
    alpha[8:40, 8:56] = 1
    return alpha


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("value", [0, 1])
def test_a_part_that_comes_and_goes_is_held(length, value):
    truth = square() if not value else np.zeros((48, 64), np.float32)
    alphas = [truth.copy() for _ in range(16)]
    for alpha in alphas[8 : 8 + length]:
        alpha[14:34, 16:40] = value
    assert all(np.array_equal(found, truth) for found in one_by_one(still(16), alphas))


def test_what_is_said_for_long_is_believed():
    alphas = [square()] * 8 + [np.zeros((48, 64), np.float32)] * 12
    found = one_by_one(still(20), alphas)
    assert np.array_equal(found[9], alphas[0]) and np.array_equal(found[-1], alphas[-1])


def test_a_wrong_beginning_is_not_held():
    alphas = [np.zeros((48, 64), np.float32)] + [square()] * 6
    assert all(np.array_equal(each, square()) for each in one_by_one(still(7), alphas)[1:])


def test_what_comes_into_the_picture_is_there_at_once(clip):
    pictures = still(9, (320, 180))
    rng = np.random.default_rng(1)
    for at in range(5, 9):
        pictures[at] = pictures[at].copy()
        pictures[at][60:120, 100:180] = rng.integers(0, 60, (60, 80, 3))
    alphas = [np.zeros((180, 320), np.float32) for _ in range(9)]
    for alpha in alphas[5:]:
        alpha[60:120, 100:180] = 1
    found = one_by_one(pictures, alphas)
    assert np.abs(found[4] - alphas[4]).mean() < 0.002
    assert np.abs(found[5] - alphas[5]).mean() < 0.002


def test_motion_is_found():
    rng = np.random.default_rng(2)
    rough = Image.fromarray(rng.integers(0, 256, (30, 50, 3), dtype=np.uint8))
    wide = np.asarray(rough.resize((400, 240), Image.Resampling.BICUBIC))
    first, second = wide[20:200, 40:360], wide[26:206, 21:341]
    motion = find_motion(small_copies(second), small_copies(first))
    inside = np.s_[20:-20, 30:-30]
    assert motion.same[inside].mean() > 0.98
    assert np.median(motion.shift[0][inside]) == 6 and np.median(motion.shift[1][inside]) == -19


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_clips(count):
    found = one_by_one(still(count), [square()] * count)
    assert len(found) == count and all(np.array_equal(each, square()) for each in found)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (500, 1), (1, 40), (9, 9)])
def test_small_frames(size):
    alphas = [np.full(size[::-1], value, np.float32) for value in (1, 0, 1)]
    for found in one_by_one(still(3, size), alphas):
        assert found.shape == size[::-1] and found.dtype == np.float32


def test_several_foregrounds_and_frames_of_other_kinds():
    pictures = [*still(3), *still(2, (40, 30)), *still(2, (40, 30))]
    alphas = [
        *[[square(), 1 - square()]] * 3,
        *[[np.ones((30, 40), np.float32)]] * 2,
        *[[np.ones((30, 40), np.float32)] * 3] * 2,
    ]
    found = list(steady(zip(pictures, alphas, strict=True)))
    assert [len(each) for each in found] == [2, 2, 2, 1, 1, 3, 3]
    assert np.array_equal(found[1][1], 1 - square())


def test_given_arrays_are_left_alone():
    alphas = [square(), np.zeros((48, 64), np.float32), square()]
    for alpha in alphas:
        alpha.flags.writeable = False
    kept = [alpha.copy() for alpha in alphas]
    list(steady(zip(still(3), [[each] for each in alphas], strict=True)))
    assert all(np.array_equal(*pair) for pair in zip(alphas, kept, strict=True))


def test_few_frames_are_held():
    held, most = [], 0

    class Counted(np.ndarray):
        pass

    def frames():
        nonlocal most
        for picture in itertools.repeat(still(1)[0], 12):
            alpha = square().view(Counted)
            held.append(weakref.ref(alpha))
            yield picture, [alpha]
            most = max(most, sum(each() is not None for each in held))
            del alpha

    for at, _ in enumerate(steady(frames()), 1):
        assert len(held) <= at + 1, "more than one frame is taken ahead"
    assert most <= 4


def test_alpha_of_another_size_is_refused():
    with pytest.raises(ImageError, match="must be of one size"):
        next(steady([(still(1)[0], [np.ones((3, 3), np.float32)])]))
