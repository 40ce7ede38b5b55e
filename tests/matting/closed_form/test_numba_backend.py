"""The compiler works in the background, and nobody depends on it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from rembg_sessions.core.matting.closed_form import (
    loops_numeric,
    loops_symbolic,
    numba_backend,
    numpy_backend,
)

FUNCTIONS = ("nested_dissection", "find_windows", "find_borders", "factorise", "back_substitute")
ROOT = Path(numba_backend.__file__).parents[3]  # as imported: numba does not follow links


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch):
    monkeypatch.setattr(numba_backend, "_compiled", None)
    monkeypatch.setattr(numba_backend, "_builder", None)
    monkeypatch.setattr(numba_backend, "_expected", 0)


@pytest.fixture
def numba(monkeypatch):
    """A stand-in for numba that notes what it is asked to compile, and with what."""
    module = MagicMock(spec=ModuleType)
    module.config = SimpleNamespace(DISABLE_JIT=0)
    module.types = MagicMock(name="types")
    module.asked = []

    def njit(types, **options):
        module.asked.append(options)
        return lambda function: function

    module.njit = njit
    module.extending = SimpleNamespace(overload=lambda f, **options: lambda choose: f)
    monkeypatch.setitem(sys.modules, "numba", module)
    monkeypatch.setitem(sys.modules, "numba.extending", module.extending)
    return module


# -- in the background ------------------------------------------------------------------------


def test_who_has_enough_to_solve_starts_it_and_does_not_wait(monkeypatch):
    go, started = threading.Event(), []
    built = SimpleNamespace(LEAF=1)

    def compile_all():
        started.append(threading.current_thread())
        assert go.wait(30)
        return built

    monkeypatch.setattr(numba_backend, "NumbaBackend", compile_all)
    numba_backend.expect(numba_backend._WORTH_COMPILING - 1)
    assert numba_backend.compiled() is None and not started
    numba_backend.expect(1)
    numba_backend.expect(10)
    assert numba_backend.compiled() is None
    assert numba_backend.wait_until_compiled(0.01) is None
    go.set()
    assert numba_backend.wait_until_compiled(30) is built
    assert numba_backend.compiled() is built
    assert len(started) == 1
    assert started[0].daemon and started[0] is not threading.main_thread()


def test_the_compiler_does_not_start_where_it_might_end_the_process(monkeypatch):
    """LLVM aborts where it gets no memory."""
    free = []
    monkeypatch.setattr(numba_backend, "free_memory", lambda: free[-1])
    monkeypatch.setattr(numba_backend, "NumbaBackend", lambda: SimpleNamespace(LEAF=1))
    free.append(500 << 20)
    numba_backend.expect(10 * numba_backend._WORTH_COMPILING)
    assert numba_backend._builder is None
    free.append(2 << 30)
    numba_backend.expect(1)
    assert numba_backend.wait_until_compiled(30) is not None


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (ImportError("no numba"), "INFO"),
        (MemoryError(), "WARNING"),  # a limit of address space
        (RuntimeError("LLVM cannot"), "WARNING"),
        (TypeError("what?"), "WARNING"),
    ],
)
def test_without_a_compiler_there_is_numpy(error, level, monkeypatch, caplog):
    def fail():
        raise error

    monkeypatch.setattr(numba_backend, "NumbaBackend", fail)
    with caplog.at_level(logging.INFO, "rembg_sessions"):
        assert numba_backend.wait_until_compiled(30) is None
        assert numba_backend.wait_until_compiled(30) is None  # and it is not tried again
    assert [record.levelname for record in caplog.records] == [level]


def test_a_program_may_end_while_the_compiler_runs(monkeypatch, tmp_path):
    pytest.importorskip("numba")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))  # nothing is in it, which takes longer
    code = (
        "import numpy as np, sys\n"
        "from rembg_sessions.core.matting.closed_form import estimate, numba_backend\n"
        "assert 'numba' not in sys.modules\n"
        "numba_backend._WORTH_COMPILING = 1000\n"
        "trimap = np.full((30, 100), 0.5, np.float32)\n"
        "trimap[:1], trimap[-1:] = 0, 1\n"
        "image = np.zeros((30, 100, 3), np.uint8)\n"
        "alpha = estimate.estimate_alpha_closed_form(image, trimap)\n"
        "assert 0.4 < alpha[14:16].mean() < 0.6\n"
        "assert numba_backend._builder and not numba_backend.wait_until_compiled(1)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


# -- what is asked of numba -------------------------------------------------------------------


def test_every_function_is_compiled_without_the_lock_and_kept(numba):
    built = numba_backend.wait_until_compiled(30)
    assert built is not None
    assert {*vars(built)} == {"LEAF", *FUNCTIONS} == {*numpy_backend.__all__}
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
    built = numba_backend.wait_until_compiled(30)
    assert built is not None and {*FUNCTIONS} <= {*vars(built)}


def test_a_switched_off_compiler_is_not_used(numba):
    numba.config.DISABLE_JIT = 1  # it would hand back the loops, for Python to run
    assert numba_backend.wait_until_compiled(30) is None


# -- the cache --------------------------------------------------------------------------------


def test_all_loops_belong_to_one_module_that_can_be_imported_and_holds_nothing(numba):
    assert numba_backend.wait_until_compiled(30) is not None
    for module in (loops_numeric, loops_symbolic):
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, FunctionType) and value.__code__.co_filename == module.__file__
        ]
        assert own and {function.__module__ for function in own} == {"rembg_sessions_loops"}
        assert sys.modules[module.__name__] is module
    home = sys.modules["rembg_sessions_loops"]
    assert {name for name in vars(home) if not name.startswith("__")} == set()


LOAD_ONE = """
import sys
from importlib import import_module
from types import ModuleType
sys.modules["rembg_sessions"] = None
name, root = "custom_nodes/a-pack", sys.argv[1]
sys.modules[name] = ModuleType(name)
sys.modules[name].__path__ = [root]
folder = name + ".core.matting.closed_form"
backend = import_module(folder + ".numba_backend")
loops = import_module(folder + ".loops_symbolic")
import numpy as np
from numba import int32
backend._prepare()
loaded = backend._compile(loops.bisect_in_loops, (int32[::1], int32[::1]))
print(sum(loaded.stats.cache_hits.values()), sum(loaded.stats.cache_misses.values()))
rows, columns = (part.astype(np.int32) for part in np.nonzero(np.ones((9, 7))))
assert loaded(rows.copy(), columns.copy()) == loops.bisect(rows, columns) != (0, 0)
del sys.modules["rembg_sessions"]
print(*(module for module in sys.modules if module.startswith("rembg")))
"""


def test_the_cache_serves_a_package_of_any_name(monkeypatch, tmp_path):
    """In ComfyUI the package is named after its folder, and ours cannot be imported."""
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    numba_backend._prepare()
    ints = numba.int32[::1]
    # of all loops that call others, the quickest to compile
    kept = numba_backend._compile(loops_symbolic.bisect_in_loops, (ints, ints))
    assert (sum(kept.stats.cache_hits.values()), sum(kept.stats.cache_misses.values())) == (0, 1)
    command = [sys.executable, "-c", LOAD_ONE, str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.split() == ["1", "0", "rembg_sessions_loops"]  # hits, misses


# -- the same answer --------------------------------------------------------------------------


def test_compiled_code_gives_what_numpy_gives():
    pytest.importorskip("numba")
    built = numba_backend.wait_until_compiled(120)
    assert built is not None
    go_on = np.zeros(1, np.uint8)
    rows, columns = (part.astype(np.int32) for part in np.nonzero(np.ones((40, 50))))
    again = rows.copy(), columns.copy()
    expected = numpy_backend.nested_dissection(rows, columns, 16, go_on)
    found = built.nested_dissection(*again, 16, go_on)
    for a, b in zip((*expected, rows, columns), (*found, *again), strict=True):
        assert np.array_equal(a, b)
