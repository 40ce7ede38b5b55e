"""``remove_batch``: order, laziness, and failures in their turn."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image, ImageSequence

from helpers import Whole, decode, encode
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


def test_no_wait_for_a_result_is_without_end(photo, monkeypatch):
    """Windows answers Ctrl-C between two waits only."""
    result = Future.result

    def done(future, timeout=None):
        assert future.done() or timeout is not None
        return result(future, timeout)

    class Sleepy(Whole):
        def predict(self, image, **options):
            time.sleep(0.2)
            return super().predict(image)

    monkeypatch.setattr(Future, "result", done)
    assert len(list(remove_batch([photo()] * 3, Sleepy(), workers=1))) == 3


def test_a_failure_is_raised_in_its_turn(photo):
    batch = remove_batch([photo(), photo(), b"broken", photo()], Whole(), workers=2)
    assert [next(batch).size, next(batch).size] == [(96, 72)] * 2
    with pytest.raises(ImageError, match="is not an image"):
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
    with pytest.raises(OptionError, match="workers is 0; use a whole number from 1"):
        remove_batch([], workers=0)


# -- sources that hand out one object again and again ------------------------------------------

COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0), (0, 90, 90), (90, 0, 90)]


class Slow(Whole):
    """Is still busy with a picture when the source has gone on."""

    def predict(self, image, **options):
        time.sleep(0.01)
        return super().predict(image)


def colours(results):
    return [tuple(np.asarray(result)[3, 3, :3].tolist()) for result in results]


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_frames_of_an_animation(form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in COLOURS]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encode(frames[0], form, save_all=True, append_images=frames[1:], **options)
    found = remove_batch(ImageSequence.Iterator(decode(data)), Slow(), putalpha=True)
    assert colours(found) == COLOURS


def test_a_file_that_is_written_again(tmp_path):
    path = tmp_path / "frame.png"

    def camera():
        for colour in COLOURS:
            Image.new("RGB", (8, 8), colour).save(path)
            yield path

    results = list(remove_batch(camera(), Slow(), putalpha=True))
    assert colours(results) == COLOURS
    assert all(isinstance(result, Image.Image) for result in results)


def test_files_that_are_gone_or_broken_are_named_in_their_turn(tmp_path):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    Image.new("RGB", (8, 8), COLOURS[0]).save(good)
    broken.write_bytes(b"no picture")
    found = list(
        remove_batch([good, tmp_path / "gone.png", str(broken), good], Whole(), on_error="yield")
    )
    assert isinstance(found[0], Image.Image) and isinstance(found[3], Image.Image)
    assert "There is no file" in str(found[1]) and "gone.png" in str(found[1])
    assert "broken.png' is not an image" in str(found[2])


@pytest.mark.parametrize("kind", [np.asarray, lambda picture: memoryview(encode(picture, "BMP"))])
def test_a_buffer_that_is_filled_again(kind):
    def camera():
        buffer = None
        for colour in COLOURS:
            new = np.frombuffer(bytes(kind(Image.new("RGB", (8, 8), colour))), np.uint8)
            buffer = new.copy() if buffer is None else buffer
            buffer[:] = new
            yield buffer.reshape(8, 8, 3) if kind is np.asarray else memoryview(buffer)

    results = remove_batch(camera(), Slow(), putalpha=True)
    if kind is not np.asarray:
        results = map(decode, results)
    assert colours(results) == COLOURS


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG"])
def test_pictures_are_still_turned_upright(form):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = decode(encode(Image.new("RGB", (9, 5), "red"), form, exif=exif))
    (result,) = remove_batch([picture], Whole(), putalpha=True)
    assert result.size == (5, 9)


# -- failures that do not end it -------------------------------------------------------------


def test_failures_may_be_yielded(photo):
    bad = Image.new("F", (5, 5), float("nan"))
    pictures = [photo(), b"broken", "gone.png", bad, photo(30, 20)]
    first, *failures, last = remove_batch(pictures, Whole(), on_error="yield")
    assert (first.size, last.size) == ((96, 72), (30, 20))
    assert [type(failure) for failure in failures] == [ImageError] * 3
    assert "gone.png" in str(failures[1])


def test_what_is_done_on_an_error_is_checked():
    with pytest.raises(OptionError, match="on_error is 'skip'; use one of raise, yield"):
        remove_batch([], Whole(), on_error="skip")
