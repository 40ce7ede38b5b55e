"""Batches on a GPU: the network goes on while the pictures before are finished."""

from __future__ import annotations

import contextvars
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is ComfyUI's")

from rembg_sessions.core import new_session  # noqa: E402
from rembg_sessions.core.errors import ModelRunError  # noqa: E402
from rembg_sessions.core.session.protocol import Layer  # noqa: E402
from rembg_sessions.nodes import batch  # noqa: E402
from rembg_sessions.nodes.handle import SessionHandle  # noqa: E402

RUN = contextvars.ContextVar("RUN", default="")


class OnGPU:
    """Answers after a while with the picture's own level, and tells how it was asked."""

    model_name, provider, uses_gpu = "stub", "CUDA", True

    def __init__(self, fails_at=None):
        self.fails_at, self.seen, self.threads, self.given_back = fails_at, [], set(), 0

    def predict_layers(self, image, **options):
        level = image.getpixel((0, 0))[0]
        time.sleep(0.02 * (level % 2))  # every other one is overtaken
        self.seen.append((RUN.get(), torch.is_inference_mode_enabled()))
        self.threads.add(threading.current_thread())
        if level == self.fails_at:
            raise ModelRunError("it failed")
        return [Layer(np.full((image.height, image.width), level / 255, np.float32))]

    def give_back(self):
        self.given_back += 1


def clip(count=9):
    return np.tile(np.arange(1, count + 1, dtype=np.float32)[:, None, None, None] / 255, (4, 6, 3))


def levels_of(found):
    return [round(255 * float(layers[0].alpha[0, 0])) for _, _, layers in found]


@pytest.mark.parametrize("frames", ["independent", "steady"])
@pytest.mark.parametrize("inference", [False, True])
def test_pictures_are_asked_for_ahead_and_come_in_order(frames, inference):
    session = OnGPU()
    RUN.set("this one")
    with torch.inference_mode(inference):
        found = list(batch.ask_each(session, clip(), frames=frames))
    for (picture, levels, _), expected in zip(found, clip(), strict=True):
        assert np.array_equal(picture, expected)
        assert np.array_equal(levels, np.rint(expected * 255))
    if frames == "independent":
        assert levels_of(found) == list(range(1, 10))
    assert session.seen == [("this one", inference)] * 9
    assert len(session.threads) == 2 and threading.main_thread() not in session.threads
    assert session.given_back == 1


def test_few_are_asked_for_ahead():
    session = OnGPU()
    found = batch.ask_each(session, clip(50))
    next(found)
    while len(session.seen) < 2 * batch._AT_ONCE:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(session.seen) <= 2 * batch._AT_ONCE
    found.close()
    assert len(session.seen) <= 2 * batch._AT_ONCE and not session.given_back


def test_one_picture_and_the_cpu_need_no_threads():
    session = OnGPU()
    assert levels_of(batch.ask_each(session, clip(1))) == [1]
    session.uses_gpu = False
    assert levels_of(batch.ask_each(session, clip(3))) == [1, 2, 3]
    assert session.threads == {threading.main_thread()}
    assert session.given_back == 1


def test_errors_come_in_their_turn():
    found = batch.ask_each(OnGPU(fails_at=4), clip())
    assert [levels_of([next(found)]) for _ in range(3)] == [[1], [2], [3]]
    with pytest.raises(ModelRunError, match="it failed"):
        next(found)


def test_cancel_ends_it(monkeypatch):
    class Interrupted(Exception):
        pass

    def check():
        if len(session.seen) >= 3:
            raise Interrupted

    session = OnGPU()
    monkeypatch.setattr(batch.host, "check_cancelled", check)
    with pytest.raises(Interrupted):
        list(batch.ask_each(session, clip(50)))
    assert len(session.seen) < 10


def test_a_handle_gives_back_what_its_session_does(monkeypatch):
    session, done = new_session("backdrop"), []
    handle = SessionHandle(session)
    assert not handle.uses_gpu
    monkeypatch.setattr(type(session), "uses_gpu", True)
    monkeypatch.setattr(type(session), "give_back", lambda self: done.append(self))
    list(batch.ask_each(handle, clip(2)))
    assert done == [session]
