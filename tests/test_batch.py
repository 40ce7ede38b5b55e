"""``remove_batch``: order, laziness, and failures in their turn."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from PIL import Image

from helpers import Whole, encode
from rembg_sessions.core import remove_batch
from rembg_sessions.core.errors import ImageError, OptionError


def test_a_batch_keeps_its_order(photo):
    class Uneven(Whole):
        """Takes longer for the first pictures than for the last."""

        def __init__(self):
            self.later = threading.Event()

        def predict(self, image, **options):
            if image.width == 30:
                self.later.wait(10)
            if image.width == 31:
                self.later.set()
            return super().predict(image)

    widths = [30, 31, 32, 33, 34]
    results = remove_batch((photo(w, 20) for w in widths), Uneven(), putalpha=True)
    assert [result.width for result in results] == widths


def test_a_batch_returns_the_kinds_it_was_given(photo):
    data = [photo(), np.asarray(photo()), encode(photo())]
    results = list(remove_batch(data, Whole(), only_mask=True))
    assert [type(result) for result in results] == [Image.Image, np.ndarray, bytes]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_batch_is_lazy_and_may_be_endless(workers, photo):
    taken = itertools.count()

    def pictures():
        while True:
            next(taken)
            yield photo(20, 10)

    batch = remove_batch(pictures(), Whole(), workers=workers)
    assert next(taken) == 0  # nothing is read before the first result is asked for
    for _ in range(7):
        next(batch)
    batch.close()
    assert next(taken) <= 7 + 2 * workers + 1


def test_a_failure_is_raised_in_its_turn(photo):
    batch = remove_batch([photo(), photo(), b"broken", photo()], Whole(), workers=2)
    assert [next(batch).size, next(batch).size] == [(96, 72)] * 2
    with pytest.raises(ImageError, match="is not a picture"):
        next(batch)
    assert list(batch) == []


def test_a_source_that_fails_loses_nothing_before_it(photo):
    def pictures():
        yield photo(30, 20)
        yield photo(31, 20)
        raise OSError("the camera was unplugged")

    batch, widths = remove_batch(pictures(), Whole(), workers=4), []
    with pytest.raises(OSError, match="unplugged"):
        widths.extend(result.width for result in batch)
    assert widths == [30, 31]


@pytest.mark.parametrize("pictures", [[], ()], ids=["list", "tuple"])
def test_an_empty_batch(pictures):
    assert list(remove_batch(pictures, Whole())) == []


def test_a_batch_without_workers():
    with pytest.raises(OptionError, match="workers is 0; use 1 or more"):
        remove_batch([], workers=0)
