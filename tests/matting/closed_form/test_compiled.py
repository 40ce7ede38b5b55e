"""The compiler works in the background, and nobody depends on it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from rembg_sessions.core.matting.closed_form import compiled, kernels, ordering
from rembg_sessions.core.matting.closed_form import numpy_backend as elimination

FUNCTIONS = ("dissect", "find_windows", "find_boundaries", "factor", "substitute")


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch):
    monkeypatch.setattr(compiled, "_built", None)
    monkeypatch.setattr(compiled, "_builder", None)
    monkeypatch.setattr(compiled, "_expected", 0)


@pytest.fixture
def numba(monkeypatch):
    """A stand-in for numba that notes what it is asked to compile, and with what."""
    module = MagicMock(spec=ModuleType)
    module.config = SimpleNamespace(DISABLE_JIT=0)
    for name in ("int32", "int64", "float32", "float64", "uint8", "types"):
        setattr(module, name, MagicMock(name=name))
    module.asked = []

    def njit(types, **options):
        module.asked.append(options)
        return lambda function: function

    module.njit = njit
    module.extending = SimpleNamespace(overload=lambda f, **options: lambda choose: f)
    monkeypatch.setitem(sys.modules, "numba", module)
    monkeypatch.setitem(sys.modules, "numba.extending", module.extending)
    return module


def test_who_has_enough_to_solve_starts_it_and_does_not_wait(monkeypatch):
    go, started = threading.Event(), []
    built = SimpleNamespace(LEAF=1)

    def compile_all():
        started.append(threading.current_thread())
        assert go.wait(30)
        return built

    monkeypatch.setattr(compiled, "_compile_all", compile_all)
    compiled.expect(compiled._WORTH_COMPILING - 1)
    assert compiled.kernels() is None and not started
    compiled.expect(1)
    compiled.expect(10)
    assert compiled.kernels() is None
    assert compiled.wait_for_kernels(0.01) is None
    go.set()
    assert compiled.wait_for_kernels(30) is built
    assert compiled.kernels() is built
    assert len(started) == 1
    assert started[0].daemon and started[0] is not threading.main_thread()


@pytest.mark.parametrize(
    ("error", "level"), [(ImportError("no numba"), "INFO"), (TypeError("what?"), "WARNING")]
)
def test_without_a_compiler_there_is_numpy(error, level, monkeypatch, caplog):
    def fail():
        raise error

    monkeypatch.setattr(compiled, "_compile_all", fail)
    with caplog.at_level(logging.INFO, "rembg_sessions"):
        assert compiled.wait_for_kernels(30) is None
        assert compiled.wait_for_kernels(30) is None  # and it is not tried again
    assert [record.levelname for record in caplog.records] == [level]


def test_every_function_is_compiled_without_the_lock_and_kept(numba):
    built = compiled.wait_for_kernels(30)
    assert built is not None
    assert {*vars(built)} == {"LEAF", *FUNCTIONS}
    assert {*vars(built)} <= {*vars(elimination)}
    assert [options["nogil"] for options in numba.asked] == [True] * 5
    assert [options["cache"] for options in numba.asked] == [True] * 5
    assert not any("parallel" in options for options in numba.asked)


def test_where_nothing_can_be_written_it_is_compiled_for_this_process(numba):
    whole = numba.njit

    def njit(types, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return whole(types, **options)

    numba.njit = njit
    built = compiled.wait_for_kernels(30)
    assert built is not None and {*FUNCTIONS} <= {*vars(built)}


def test_a_switched_off_compiler_is_not_used(numba):
    numba.config.DISABLE_JIT = 1  # it would hand back the loops, for Python to run
    assert compiled.wait_for_kernels(30) is None


def test_the_cache_knows_the_loops_by_one_name(numba):
    # under ComfyUI the package is named after its folder
    built = compiled.wait_for_kernels(30)
    assert built is not None
    assert built.factor.__module__ == "rembg_sessions_kernels" != kernels.__name__
    assert built.dissect.__module__ == "rembg_sessions_ordering" != ordering.__name__


def test_a_program_may_end_while_the_compiler_runs():
    code = (
        "import numpy as np, sys\n"
        "from rembg_sessions.core.matting.closed_form import estimate as module\n"
        "assert 'numba' not in sys.modules\n"
        "from rembg_sessions.core.matting.closed_form import compiled\n"
        "trimap = np.full((30, 2000), 0.5, np.float32)\n"
        "trimap[:1], trimap[-1:] = 0, 1\n"
        "alpha = module.estimate_alpha_closed_form(np.zeros((30, 2000, 3), np.uint8), trimap)\n"
        "assert 0.4 < alpha[14:16].mean() < 0.6 and compiled._builder\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_compiled_code_gives_what_numpy_gives():
    pytest.importorskip("numba")
    built = compiled.wait_for_kernels(120)
    assert built is not None
    go_on = np.zeros(1, np.uint8)
    rows, columns = (part.astype(np.int32) for part in np.nonzero(np.ones((40, 50))))
    again = rows.copy(), columns.copy()
    expected = elimination.dissect(rows, columns, 16, go_on)
    found = built.dissect(*again, 16, go_on)
    for a, b in zip((*expected, rows, columns), (*found, *again), strict=True):
        assert np.array_equal(a, b)
