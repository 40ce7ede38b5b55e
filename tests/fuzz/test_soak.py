"""Hundreds of pictures in one process: memory, files, threads and the temporary folder stay."""

from __future__ import annotations

import ctypes
import gc
import io
import itertools
import statistics
import sys
import tempfile
import threading
import warnings

import numpy as np
import psutil
import pytest
from fuzzing import Watch, listening
from PIL import Image

from helpers import encode
from rembg_sessions.core import new_session, remove, remove_batch
from rembg_sessions.core.errors import RembgSessionsError
from rembg_sessions.core.layers import Refinement, find_layers, refine_layer
from rembg_sessions.core.matting.closed_form import numba_backend
from rembg_sessions.core.matting.methods import METHODS, MattingOptions

pytestmark = pytest.mark.slow

ROUNDS, WARM_UP = 12, 3
"""Rounds that are measured, and those before: first uses load libraries and fill caches."""
MMAP_THRESHOLD, LARGE = -3, 1 << 17
"""glibc's name for the size from which memory comes from the system and goes back, and that size.
By itself it raises it and keeps tens of MiB for each thread, more or less at random."""
SOLVERS = [name for name, method in METHODS.items() if not method.takes_model]
EDGES = ("estimated", "original", "naive")


@pytest.fixture(params=["real", "tiny"])
def model(request, home, network):
    """A real network, where the shared data is, and a tiny one."""
    if request.param == "tiny":
        return network("tiny.onnx")
    source = request.getfixturevalue("shared") / "models" / "selfie_320.onnx"
    home.mkdir(parents=True)
    path = home / source.name
    path.write_bytes(source.read_bytes())
    return path


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert tempfile.gettempdir() == str(folder)
    return folder


class Cancelled(Exception):
    """What a host raises."""


def broken(photo):
    """Make what is no picture, or fails in some way."""
    whole = encode(photo(64, 48))
    closed = Image.open(io.BytesIO(whole))
    closed.close()
    return [
        *(b"", b"no picture", whole[: len(whole) // 2], "no/such/file.png", 7, None, closed),
        *(np.zeros((0, 4), np.uint8), np.full((4, 4, 3), np.nan), np.zeros((2, 2, 2, 2, 2))),
    ]


def one_round(model, photo, folder, close):
    """Do the same as in every other round; returns how many pictures were worked on.

    ``close`` says whether the session is closed in the end, or only forgotten.
    """
    count, kinds = 0, itertools.cycle(("bytes", "array", "Pillow", "path"))

    def given(picture):
        kind = next(kinds)
        if kind == "bytes":
            return encode(picture, "JPEG")
        if kind == "path":
            picture.save(folder / "given.png")
            return folder / "given.png"
        return np.asarray(picture) if kind == "array" else picture

    session = new_session("u2net_custom", model_path=model)
    for number, (method, edges) in enumerate(itertools.product(SOLVERS, EDGES)):
        # pymatting may take long on a mask that is soft all over
        size = (48, 40) if method == "pymatting" else (300 + 40 * (number % 3), 260)
        remove(
            given(photo(*size, number)),
            session=session,
            matting_method=method,
            edge_colours=edges,
            post_process_mask=True,
        )
        count += 1
    for options in (
        {"only_mask": True},
        {"putalpha": True},
        {"bgcolor": "#abc"},
        {"max_size": 64},
        {"decontaminate": True, "force_return_bytes": True},
    ):
        remove(given(photo(400, 300)), session=session, **options)
        count += 1
    for bad in broken(photo):
        with pytest.raises(RembgSessionsError):
            remove(bad, session=session)
        count += 1
    pictures = [photo(200, 150), b"no picture", photo(90, 300), *broken(photo), photo(64, 64)]
    results = list(remove_batch(pictures, session, workers=3, on_error="yield"))
    assert len(results) == len(pictures)
    assert sum(isinstance(result, Image.Image) for result in results) == 3
    count += len(pictures)
    left = remove_batch((photo(64, 64) for _ in itertools.count()), session)
    next(left)
    left.close()

    image = photo(400, 300)
    trimap = np.full((300, 400), 128, np.uint8)
    trimap[:20], trimap[-20:] = 0, 255
    for method in SOLVERS:
        (layer,) = find_layers(session, image)
        layer.alpha[...] = trimap / np.float32(255)
        refinement = Refinement(matting=MattingOptions(method=method, erode_size=3))

        def cancel():
            raise Cancelled

        with pytest.raises(Cancelled):
            refine_layer(np.asarray(image), layer, refinement, on_step=cancel)
        count += 1
    session.close()
    remove(photo(50, 50), session=session)  # opens it again
    if close:
        session.close()
    return count + 1


@pytest.fixture
def mebibytes():
    """By which memory may differ."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        return 4 if libc.mallopt(MMAP_THRESHOLD, LARGE) else 128
    except (OSError, AttributeError):  # not glibc
        return 128


def state():
    """Return what this process holds: MiB of memory, open files, threads."""
    gc.collect()
    process = psutil.Process()
    files = process.num_handles() if sys.platform == "win32" else process.num_fds()
    return process.memory_info().rss / 2**20, files, process.num_threads(), threading.active_count()


def test_nothing_grows(model, photo, temporary, tmp_path, mebibytes):
    numba_backend.wait_until_compiled()
    rounds, count = [], 0
    watch = Watch()
    with listening(watch), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(WARM_UP + ROUNDS):
            count += one_round(model, photo, tmp_path, close=number % 2)
            if number >= WARM_UP:
                rounds.append(state())
    first, last = rounds[: ROUNDS // 3], rounds[-(ROUNDS // 3) :]
    before, after = (
        [statistics.median(column) for column in zip(*part, strict=True)] for part in (first, last)
    )
    text = f"{count} pictures; MiB, files, threads, Python's threads: {before} -> {after}"
    sys.stdout.write(text + "\n")
    # where other tests have left a large heap, it wanders with its size
    assert after[0] - before[0] < max(mebibytes, before[0] / 100), text
    assert after[1:] == before[1:], text
    assert not list(temporary.iterdir())
    assert not watch.wrong
