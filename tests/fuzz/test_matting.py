"""Pictures, masks and trimaps that are hard on matting: a right matte, or a sentence."""

from __future__ import annotations

import random
import threading
import time
import warnings

import numpy as np
import pytest
from fuzzing import Watch, listening
from oracle import oracle
from PIL import Image

from rembg_sessions.core import remove
from rembg_sessions.core.layers import Refinement, edge_colours_of, refine_layer
from rembg_sessions.core.matting.closed_form.estimate import estimate_alpha_closed_form
from rembg_sessions.core.matting.methods import METHODS, MattingOptions, find_matte
from rembg_sessions.core.matting.trimap import trimap_from_mask
from rembg_sessions.core.session.protocol import Layer

# no network here: it has no more to do with the values than its weights
SOLVERS = [name for name, method in METHODS.items() if not method.takes_model]
SHORT, LONG = 60, 1000
COUNTS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)]
PATIENCE = 1.0
"""Seconds after which a call is stopped: pymatting may take hours."""
AFTERWARDS = 10.0
"""Seconds that it may take to stop, on a busy machine."""
STOPPING = 4.0
"""Seconds for which each method is stopped again and again."""
EXACT, NEAR = 1e-5, 1e-4
"""Alphas, 0 to 1, that differ by no more are the same: of the exact method, and of all others."""


class TooLong(Exception):
    """A host that has waited enough."""


def sizes(rng, most):
    """Choose a height and a width, of ``most`` pixels unless it is a strip."""
    way, side, other = rng.randrange(20), rng.randrange(3, most) | 1, rng.randrange(3, most)
    if way < 2:
        return rng.choice([(1, 1), (1, side), (side, 1), (2, side), (side, 2), (2, 2)])
    if way == 2:  # fast and guided work on a smaller picture
        size = rng.randrange(3, 12), rng.randrange(513, 1700)
        return rng.choice((size, size[::-1]))
    if way < 5:
        return rng.choice([(3, side), (side, 3), (3, 3), (4, side), (side, 5)])
    return rng.choice([(side, other), (min(side, 40), min(other, 40)), (17, 23)])


def levels(rng, shape):
    """Make levels 0 to 255 of a kind, of a shape (H, W)."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    field = rng.choice((1, 1, 2, 3, 8, 20))
    low, high = rng.choice(((0, 255), (0, 1), (254, 255), (0, 0), (255, 255), (9, 241), (127, 128)))
    kind = rng.randrange(9)
    if kind == 0:
        share = (rows // field + columns // field) % 2
    elif kind == 1:
        share = columns // field % 2
    elif kind == 2:
        share = rows // field % 2
    elif kind == 3:
        share = columns / max(shape[1] - 1, 1)
    elif kind == 4:
        share = numbers.random(shape)
    elif kind == 5:
        share = numbers.integers(0, 2, shape)
    elif kind == 6:
        share = numbers.random(shape) < rng.choice((0.001, 0.01, 0.1, 0.9))
    elif kind == 7:
        away = np.hypot(rows - shape[0] / 2, columns - shape[1] / 3)
        share = np.clip((min(shape) / 3 - away) / field + 0.5, 0, 1)
    else:
        share = np.full(shape, rng.random())
    return (low + (high - low) * np.asarray(share, np.float64)).round().astype(np.uint8)


def pictures(rng, shape):
    """Make a picture uint8 (H, W, 3): grey, coloured, or of one channel."""
    kind = rng.randrange(4)
    if kind == 0:
        return np.repeat(levels(rng, shape)[..., None], 3, 2)
    channels = [levels(rng, shape) for _ in range(3)]
    if kind == 1:
        channels[1:] = [np.zeros(shape, np.uint8)] * 2
    return np.ascontiguousarray(np.stack(channels, 2))


def trimaps(rng, shape):
    """Make a trimap float32 (H, W), of which any value may be missing."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    trimap = np.full(shape, rng.choice((0, 0.5, 0.5, 1)), np.float32)
    flat, kind = trimap.reshape(-1), rng.randrange(9)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    if kind == 0:  # any value anywhere
        share = rng.choice((0.02, 0.2, 1 / 3))
        flat[:] = numbers.choice((0, 0.5, 1), flat.size, p=(share, 1 - 2 * share, share))
    elif kind == 1:  # a chequered one
        trimap[...] = ((rows + columns) % 3) / 2
    elif kind == 2:  # one pixel unknown
        trimap[columns < shape[1] // 2], trimap[columns >= shape[1] // 2] = 0, 1
        flat[rng.randrange(flat.size)] = 0.5
    elif kind == 3:  # islands
        trimap[...] = rng.choice((0, 1))
        trimap[(rows % 12 < 7) & (columns % 12 < 7)] = 0.5
        trimap[(rows % 24 == 3) & (columns % 12 == 3)] = 0
        trimap[(rows % 24 == 15) & (columns % 12 == 3)] = 1
    elif kind == 4:  # all but two pixels unknown
        trimap[...] = 0.5
        flat[rng.randrange(flat.size)], flat[rng.randrange(flat.size)] = 0, 1
    elif kind == 5:
        trimap[:1], trimap[-1:] = 0, 1
    elif kind == 6:  # from a mask
        erode = rng.choice((0, 1, 2, 3, 10, 2 * max(shape) + 5))
        return trimap_from_mask(levels(rng, shape), 240, 10, erode)
    elif kind == 7:  # known and unknown by turns
        trimap[rows % 2 == 1] = rng.choice((0, 0.5, 1))
        trimap[columns % 5 == 1] = rng.choice((0, 0.5, 1))
    return trimap


def laid_out(rng, array):
    """Return an array with the same values, perhaps in another order in memory."""
    if array is None or rng.random() < 0.6:
        return array
    if rng.random() < 0.5:
        return np.asfortranarray(array)
    return array[::-1].copy()[::-1]


class Host:
    """Is called at each step, stops what takes too long, and may be told to stop at a step."""

    def __init__(self, stop_at=None):
        self.stop_at, self.steps = stop_at, 0
        self.end = time.monotonic() + PATIENCE
        self.stopped = 0.0

    def __call__(self):
        self.steps += 1
        if self.steps == self.stop_at or time.monotonic() > self.end:
            self.stopped = time.monotonic()
            raise TooLong

    def stops(self, function, *arguments, **options):
        """Call a function; returns None if it was stopped."""
        try:
            return function(*arguments, on_step=self, **options)
        except TooLong:
            return None

    def check(self, watch, label, threads):
        """Check that what was stopped has ended soon, on all but so many threads."""
        if self.stopped:
            late = time.monotonic() - self.stopped
            watch.check(label, late < AFTERWARDS, f"took {late:.1f} s to stop")
            # one may be compiling
            watch.check(label, threading.active_count() <= threads + 1, "left a thread behind")


@pytest.fixture
def watch():
    """Watch calls, and fail where one was wrong; a warning of numpy is an error."""
    found = Watch(PATIENCE + AFTERWARDS)
    with listening(found), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield found
    found.verdict()


def check_alpha(watch, label, alpha, shape):
    """Check what is true of every alpha."""
    right = alpha.shape == shape and alpha.dtype == np.float32
    watch.check(label, right, f"gave {alpha.dtype} {alpha.shape}")
    watch.check(label, np.isfinite(alpha).all(), "alpha is not finite")
    watch.check(label, alpha.min() >= 0 and alpha.max() <= 1, "alpha is not in 0..1")


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", SOLVERS)
def test_hard_pictures(name, count, watch):
    rng = random.Random(f"pictures for {name}")
    threads = threading.active_count()
    for number in range(count):
        shape = sizes(rng, 40 if name == "pymatting" else 60 if rng.random() < 0.9 else 301)
        image, mask = pictures(rng, shape), rng.choice((None, levels(rng, shape)))
        trimap = trimaps(rng, shape) if mask is None or rng.random() < 0.5 else None
        options = MattingOptions(
            method=name,
            foreground_threshold=rng.choice((0, 1, 127, 240, 254, 255)),
            background_threshold=rng.choice((0, 1, 10, 128, 254, 255)),
            erode_size=rng.choice((0, 1, 2, 3, 10, 100, 1 << 20)),
            scale_erode=rng.random() < 0.2,
        )
        image, mask, trimap = (laid_out(rng, each) for each in (image, mask, trimap))
        given = [each for each in (image, mask, trimap) if each is not None]
        before = [each.copy() for each in given]
        for each in given:
            each.flags.writeable = rng.random() < 0.5
        label = f"{number} {name} {shape} {options}"
        host = Host(rng.choice((1, 2, 3)) if rng.random() < 0.1 else None)
        found = watch.call(label, host.stops, find_matte, image, mask, trimap, options=options)
        same = all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))
        watch.check(label, same, "an argument was changed")
        host.check(watch, label, threads)
        if found is None:
            continue
        check_alpha(watch, label, found.alpha, shape)
        if trimap is not None:
            watch.check(label, np.array_equal(found.trimap, trimap), "took another trimap")
        if found.method:
            known = found.trimap != 0.5
            watch.check(
                label, np.array_equal(found.alpha[known], found.trimap[known]), "changed the known"
            )
        elif mask is not None and found.warning:
            expected = mask.astype(np.float32) / 255
            watch.check(label, np.allclose(found.alpha, expected), "is not the mask")
        if found.cutout is not None:
            right = found.cutout.shape == (*shape, 4) and found.cutout.dtype == np.uint8
            watch.check(label, right, f"cut out {found.cutout.dtype} {found.cutout.shape}")


class Fixed:
    """A session that finds what it is told."""

    def __init__(self, mask):
        self.mask = mask

    def predict(self, image, **options):
        return [Image.fromarray(self.mask)]


@pytest.mark.parametrize("count", COUNTS)
def test_hard_masks_through_the_public_doors(count, watch):
    rng = random.Random("masks")
    for number in range(count):
        shape = sizes(rng, 60 if rng.random() < 0.9 else 301)
        image, mask = pictures(rng, shape), levels(rng, shape)
        name = rng.choice([each for each in SOLVERS if each != "pymatting" or max(shape) < 40])
        label = f"{number} {name} {shape}"
        foreground, background = rng.choice((0, 240, 255)), rng.choice((0, 10, 255))
        erode = rng.choice((0, 1, 3, 10, 1000))
        if rng.random() < 0.5:
            asked = {
                "matting_method": name,
                "alpha_matting_foreground_threshold": foreground,
                "alpha_matting_background_threshold": background,
                "alpha_matting_erode_size": erode,
                "edge_colours": rng.choice((None, "estimated", "original", "naive")),
                "post_process_mask": rng.random() < 0.2,
                "only_mask": rng.random() < 0.2,
                "putalpha": rng.random() < 0.2,
            }
            mode = "L" if asked["only_mask"] else "RGBA"
            given, session = Image.fromarray(image), Fixed(mask)
            result = watch.call(f"{label} {asked}", remove, given, session=session, **asked)
            watch.check(label, np.array_equal(given, image), "the picture was changed")
            if result is not None:
                right = (result.mode, result.size) == (mode, (shape[1], shape[0]))
                watch.check(label, right, f"gave {result}")
            continue
        refinement = Refinement(
            matting=MattingOptions(
                method=name,
                foreground_threshold=foreground,
                background_threshold=background,
                erode_size=erode,
            ),
            post_process=rng.random() < 0.2,
            threshold=rng.choice((None, None, 0, 0.5, 1)),
            keep_largest=rng.random() < 0.3,
            fill_holes=rng.random() < 0.3,
            grow=rng.choice((0, 0, 1, -1, 500, -1000)),
            feather=rng.choice((0, 0, 0.3, 5, 1000)),
            invert=rng.random() < 0.3,
        )
        alpha = mask.astype(np.float32) / 255
        before, picture = alpha.copy(), image.copy()
        label = f"{label} {refinement}"
        host = Host()
        layer = Layer(alpha)
        found = watch.call(label, host.stops, refine_layer, image, layer, refinement)
        same = np.array_equal(alpha, before) and np.array_equal(image, picture)
        watch.check(label, same, "an argument was changed")
        if found is not None:
            check_alpha(watch, label, found.alpha, shape)
            edge = watch.call(label, edge_colours_of, image, found)
            if edge is not None:
                right = edge.colours.min(initial=0) >= 0 and edge.colours.max(initial=0) <= 255
                watch.check(label, right, "edge colours are not in 0..255")


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "pymatting"])
def test_foreground_and_background_change_places(name, count, watch):
    """The equations do not tell them apart: alpha of one is 1 − alpha of the other."""
    rng = random.Random(f"places for {name}")
    options = MattingOptions(method=name)
    for number in range(count):
        shape = sizes(rng, 60 if rng.random() < 0.95 else 301)
        image, mask, trimap = pictures(rng, shape), levels(rng, shape), trimaps(rng, shape)
        label = f"{number} {name} {shape}"
        one = watch.call(label, find_matte, image, mask, trimap, options=options)
        other = watch.call(label, find_matte, image, 255 - mask, 1 - trimap, options=options)
        if one is not None and other is not None:
            error = float(np.abs(one.alpha + other.alpha - 1).max())
            near = EXACT if name == "closed-form" else NEAR
            watch.check(label, error <= near, f"differs by {error:.7f}")


@pytest.mark.parametrize("count", COUNTS)
def test_closed_form_is_exact_on_hard_pictures(count, watch):
    rng = random.Random("exact")
    for number in range(count):
        shape = rng.randrange(3, 10), rng.randrange(3, 12)
        image, trimap = pictures(rng, shape), trimaps(rng, shape)
        if (trimap != 0.5).any() and (trimap == 0.5).any():
            label = f"{number} {shape}"
            alpha = watch.call(label, estimate_alpha_closed_form, image, trimap)
            error = float(np.abs(alpha - oracle(image, trimap)).max())
            watch.check(label, error <= EXACT, f"differs by {error:.7f}")


@pytest.mark.parametrize("count", [pytest.param(2, id="short"), *COUNTS[1:]])
@pytest.mark.parametrize("name", SOLVERS)
def test_every_method_ends_soon_after_it_was_told_to(name, count, watch):
    """On pictures that are all unknown, at any of its steps."""
    rng, threads = random.Random(f"stops for {name}"), threading.active_count()
    end = time.monotonic() + STOPPING
    for number in range(count):
        if time.monotonic() > end:
            break
        shape = rng.randrange(200, 400), rng.randrange(200, 700)
        trimap = np.full(shape, 0.5, np.float32)
        trimap[0], trimap[-1] = 0, 1
        label, host = f"{number} {name} {shape}", Host(rng.choice((1, 1, 2, 3, 5, 9)))
        options = MattingOptions(method=name)
        watch.call(
            label, host.stops, find_matte, pictures(rng, shape), None, trimap, options=options
        )
        host.check(watch, label, threads)
