"""Threads that take work at any time, and hold nothing up."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import pytest

from rembg_sessions.core.threads import Workers


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_work_is_done_by_as_many_threads_as_allowed():
    running, peak, seen = [], [], set()

    def work(number):
        running.append(number)
        peak.append(len(running))
        seen.add(threading.get_ident())
        time.sleep(0.02)
        running.remove(number)
        return number * number

    with Workers(3, "test") as workers:
        results = [workers.submit(work, number) for number in range(12)]
        assert [result.result() for result in results] == [number**2 for number in range(12)]
    assert max(peak) == 3 and len(seen) == 3


def test_a_thread_that_is_free_is_used_again():
    seen = set()
    workers = Workers(8, "test")
    for _ in range(20):
        workers.submit(lambda: seen.add(threading.get_ident())).result(10)
        assert wait_until(lambda: workers._idle._value == 1)
    assert len(seen) == 1


def test_what_is_raised_is_passed_on_and_the_rest_goes_on():
    with Workers(1, "test") as workers:
        bad, good = workers.submit(lambda: 1 / 0), workers.submit(lambda: 7)
    assert good.result(0) == 7
    with pytest.raises(ZeroDivisionError):
        bad.result(0)


def test_what_has_not_begun_can_be_cancelled():
    gate = threading.Event()
    with Workers(1, "test") as workers:
        first = workers.submit(gate.wait, 10)
        second = workers.submit(lambda: 7)
        assert second.cancel()
        gate.set()
    assert first.result(0) is True and second.cancelled()


def test_threads_end_with_their_owner():
    before = set(threading.enumerate())
    workers = Workers(4, "test")
    for result in [workers.submit(time.sleep, 0.02) for _ in range(4)]:
        result.result()
    assert len(set(threading.enumerate()) - before) == 4
    del workers
    gc.collect()
    assert wait_until(lambda: set(threading.enumerate()) <= before)


PROGRAM = """
import sys, threading, time
import numpy as np
from PIL import Image
from rembg_sessions.core import new_session, remove, remove_batch

session = new_session("u2net_custom", model_path=sys.argv[1])
y, x = np.mgrid[:1200, :1300]
picture = Image.fromarray(np.stack([x % 251, y % 241, (x + y) % 239], -1).astype(np.uint8))

def work():
    threading.main_thread().join()
    time.sleep(0.3)
    remove(picture, session=session, edge_colours="estimated")
    small = picture.resize((60, 50))
    remove(small, session=session, alpha_matting=True)
    list(remove_batch([small], session=session))
    print("done")

threading.Thread(target=work).start()
"""


def test_work_goes_on_after_the_main_thread_has_ended(network):
    command = [sys.executable, "-c", PROGRAM, str(network("mine.onnx"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("done", 0), done.stderr
