"""pymatting behind our door: its own numbers, but it is quiet, can be stopped and has a limit."""

from __future__ import annotations

import _thread
import logging
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import remove
from rembg_sessions.core.matting import reference
from rembg_sessions.core.matting.closed_form.memory import BudgetError
from rembg_sessions.core.matting.methods import MattingOptions, find_matte
from rembg_sessions.core.matting.reference import estimate_alpha_pymatting

PYMATTING = MattingOptions(method="pymatting")
SECONDS = 20  # that stopping may take on a busy machine; it takes a fraction of one


def bands(side):
    """A trimap that is unknown between its first and its last row."""
    trimap = np.full((side, side), 0.5, np.float32)
    trimap[0], trimap[-1] = 0, 1
    return trimap


def chequered(side, field=1):
    """Black and white, where pymatting's Laplacian is wrong."""
    rows, columns = np.mgrid[:side, :side] // field
    levels = ((rows + columns) % 2 * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, 2)


def smooth(side):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("image", [chequered(40), chequered(40, 8), smooth(40)])
def test_it_is_what_pymatting_returns_and_standard_output_stays_empty(image, capsys):
    """Standard output may be the picture's."""
    pymatting = pytest.importorskip("pymatting")
    trimap = bands(40)
    expected = pymatting.estimate_alpha_cf(image / 255.0, trimap.astype(np.float64))
    capsys.readouterr()
    alpha = estimate_alpha_pymatting(image, trimap)
    np.testing.assert_array_equal(alpha, expected)
    assert capsys.readouterr() == ("", "")


class Stop(Exception):
    """What a host raises to cancel."""


@pytest.mark.parametrize(
    ("stage", "image"), [("_factor", smooth(400)), ("_watch", chequered(200, 8))]
)
def test_it_can_be_stopped_while_it_factorises_and_while_it_iterates(stage, image, monkeypatch):
    """They would take many seconds."""
    original, begun, ended = getattr(reference, stage), [], []

    def noted(*arguments):
        begun.append(stage)
        try:
            return original(*arguments)
        finally:
            ended.append(stage)

    monkeypatch.setattr(reference, stage, noted)
    steps = []

    def step():
        steps.extend(begun)
        if len(steps) > 9:
            steps.append(time.monotonic())
            raise Stop

    with pytest.raises(Stop):
        find_matte(image, None, bands(len(image)), options=PYMATTING, on_step=step)
    assert time.monotonic() - steps[-1] < SECONDS
    assert begun == ended == [stage]
    assert not [each for each in threading.enumerate() if each.name.startswith("matting")]


def test_an_interrupt_ends_it():
    """As Ctrl-C does."""
    timer = threading.Timer(1, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        trimap = Image.fromarray((bands(200) * 255).astype(np.uint8))
        remove(Image.fromarray(chequered(200, 8)), trimap=trimap, matting_method="pymatting")
    assert not timer.is_alive()
    assert not [each for each in threading.enumerate() if each.name.startswith("matting")]


def test_it_gives_up_at_once_where_its_error_is_not_finite():
    """No window joins the unknown pixel to foreground, and pymatting divides zero by zero."""
    trimap = np.zeros((30, 30), np.float32)
    trimap[2, 2], trimap[20:, 20:] = 0.5, 1
    steps = []
    with pytest.raises(ValueError, match="did not converge"):
        estimate_alpha_pymatting(chequered(30), trimap, on_step=lambda: steps.append(1))
    assert len(steps) < 10000
    mask = np.full((30, 30), 50, np.uint8)
    found = find_matte(chequered(30), mask, trimap, options=PYMATTING)
    np.testing.assert_array_equal(found.alpha, mask.astype(np.float32) / 255)
    assert found.warning.startswith("Alpha matting was skipped: pymatting gave up (Conjugate")


def test_a_long_iteration_is_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(reference, "_PATIENCE", 0)
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        estimate_alpha_pymatting(chequered(40), bands(40))
    assert [record.getMessage() for record in caplog.records] == [
        "Alpha matting: pymatting has not found a solution in 0 seconds, and may take many times "
        "as long. Stop it, and use the method closed-form or fast instead."
    ]


@pytest.mark.parametrize("beyond", [0, 1 << 20])
def test_over_its_budget_it_hands_over_to_fast_and_says_so(beyond, caplog):
    """Before anything is taken, or where the incomplete factor grows too large."""
    image, trimap = smooth(64), bands(64)
    need = reference._PIXEL * trimap.size + reference._UNKNOWN * int((trimap == 0.5).sum())
    memory = need - 1 if not beyond else need + beyond
    with pytest.raises(BudgetError):
        estimate_alpha_pymatting(image, trimap, memory=memory)
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        found = find_matte(image, None, trimap, options=PYMATTING, memory=memory)
    assert found.method == "fast" and found.cutout is None
    assert found.warning.startswith("fast matting instead of pymatting, which would take")
    expected = find_matte(image, None, trimap, options=MattingOptions(method="fast"))
    np.testing.assert_array_equal(found.alpha, expected.alpha)


def test_it_takes_no_more_memory_than_a_full_factor(monkeypatch):
    """By itself it asks the system for 4 GB, which not every system lends."""
    pytest.importorskip("pymatting")
    module = sys.modules["pymatting.preconditioner.ichol"]
    asked = []

    def noted(matrix, max_nnz):
        asked.append((matrix.shape[0], max_nnz))
        return original(matrix, max_nnz=max_nnz)

    original = module.ichol
    monkeypatch.setattr(module, "ichol", noted)
    estimate_alpha_pymatting(smooth(16), bands(16))
    assert asked == [(14 * 16, 14 * 16 * (14 * 16 + 1) // 2)]
