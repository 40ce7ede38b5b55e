"""Batches on a GPU: the network goes on while the pictures before are finished."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is ComfyUI's")

from rembg_sessions.core import new_session  # noqa: E402
from rembg_sessions.core.errors import ModelRunError  # noqa: E402
from rembg_sessions.core.session.protocol import Layer  # noqa: E402
from rembg_sessions.nodes import batch, host  # noqa: E402
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
    assert len(session.threads) == 1 + 2
    assert session.given_back == 1


def test_few_are_asked_for_ahead():
    session, most = OnGPU(), 2 * batch._AT_ONCE + 1
    found = batch.ask_each(session, clip(50))
    next(found), next(found)
    while len(session.seen) < most:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(session.seen) <= most
    found.close()
    assert len(session.seen) <= most and not session.given_back


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


class SlowOnGPU(OnGPU):
    """Looks for a cancel while it runs, as networks do."""

    def predict_layers(self, image, **options):
        for _ in range(10):
            time.sleep(0.01)
            host.check_cancelled()
        return super().predict_layers(image, **options)


@pytest.mark.parametrize("kind", [Exception, BaseException])  # ComfyUI 0.3.64, 0.33
@pytest.mark.parametrize("frames", ["independent", "steady"])
@pytest.mark.parametrize("busy", [0, 0.5])
def test_a_cancel_ends_what_runs(monkeypatch, kind, frames, busy):
    class Interrupted(kind):
        pass

    class Management:
        """As ComfyUI's: a cancel is told of once."""

        InterruptProcessingException = Interrupted
        is_cancelled = False

        def processing_interrupted(self):
            return self.is_cancelled

        def throw_exception_if_processing_interrupted(self):
            if self.is_cancelled:
                self.is_cancelled = False
                raise Interrupted

    def work():
        for _ in batch.ask_each(session, clip(50), frames=frames):
            finished.append(1)
            end = time.monotonic() + busy
            while time.monotonic() < end:
                host.check_cancelled()
                time.sleep(0.01)

    def cancel():
        then.extend((len(finished), len(session.seen)))
        mm.is_cancelled = True

    session, mm, finished, then = SlowOnGPU(), Management(), [], []
    monkeypatch.setattr(host, "mm", mm)
    timer = threading.Timer(0.75, cancel)
    timer.start()
    with pytest.raises(Interrupted):
        work()
    # what was about to end may have done so
    assert len(finished) <= then[0] + 1 and len(session.seen) <= then[1] + batch._AT_ONCE
    assert not any(thread.name == "batch" for thread in threading.enumerate())


def test_a_network_that_came_to_run_on_the_cpu_runs_once_at_a_time():
    class FallsBack(OnGPU):
        def predict_layers(self, image, **options):
            self.uses_gpu = False
            return super().predict_layers(image, **options)

    session = FallsBack()
    assert levels_of(batch.ask_each(session, clip(5))) == [1, 2, 3, 4, 5]
    assert session.threads == {threading.main_thread()} and not session.given_back


def test_what_fails_holds_nothing():
    class Held:
        pass

    def work():
        held = Held()
        kept.append(weakref.ref(held))
        list(batch.ask_each(OnGPU(fails_at=4), clip()))

    kept = []
    gc.disable()
    try:
        with pytest.raises(ModelRunError):
            work()
        assert kept[0]() is None
    finally:
        gc.enable()


def test_a_handle_gives_back_what_its_session_does(monkeypatch):
    session, done = new_session("backdrop"), []
    handle = SessionHandle(session)
    assert not handle.uses_gpu
    monkeypatch.setattr(type(session), "uses_gpu", True)
    monkeypatch.setattr(type(session), "give_back", lambda self: done.append(self))
    list(batch.ask_each(handle, clip(2)))
    assert done == [session]
