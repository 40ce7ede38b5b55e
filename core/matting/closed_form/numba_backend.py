"""The loops of :mod:`.loops_symbolic` and :mod:`.loops_numeric`, compiled with numba.

Importing numba and loading compiled code from its cache takes a second, compiling anew more than
ten. Nobody waits for it: it happens in the background, and :mod:`.choice` lends numpy until
:func:`compiled` has something to give. Who has little to solve is not slowed down by it: see
:func:`expect`.

numba keeps the compiled code in ``__pycache__`` beside this file, where that cannot be written
in the user's cache folder, or where ``NUMBA_CACHE_DIR`` says. Without any such place the code
is compiled anew in every process.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from ...machine import free_memory
from . import loops_numeric, loops_symbolic

Function = TypeVar("Function", bound=Callable[..., object])

_log = logging.getLogger("rembg_sessions")
_lock = threading.Lock()
_builder: threading.Thread | None = None
_compiled: NumbaBackend | None = None
_expected = 0
# Bytes that must be free: numba and LLVM take up to 470 MB of address space, and where they get
# none, they end the process.
_COMPILER_MEMORY = 1 << 30
# Unknown pixels that numpy solves in about half a second.
_WORTH_COMPILING = 50_000

# The module that the loops belong to as far as numba knows, see _prepare.
_HOME = "rembg_sessions_loops"
# a multiplication and an addition may be rounded once; division by zero is not looked for
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}


def expect(pixels: int) -> None:
    """Count the unknown pixels to be solved; compiling starts when they are worth it."""
    global _expected
    with _lock:
        _expected += pixels
        enough = _expected >= _WORTH_COMPILING
    if enough and (_builder is not None or free_memory() >= _COMPILER_MEMORY):
        _start()


def compiled() -> NumbaBackend | None:
    """Return the compiled backend; None before it is ready, and where there cannot be one."""
    return _compiled


def wait_until_compiled(timeout: float | None = None) -> NumbaBackend | None:
    """Start compiling if need be, wait for it at most ``timeout`` seconds, return the result."""
    _start().join(timeout)
    return _compiled


def _start() -> threading.Thread:
    global _builder
    with _lock:
        if _builder is None:
            builder = threading.Thread(target=_build, name="compile-loops", daemon=True)
            builder.start()
            _builder = builder
        return _builder


def _build() -> None:
    global _compiled
    try:
        _compiled = NumbaBackend()
    except ImportError as exc:
        _log.info("Alpha matting runs without compiled code: %s.", exc)
    except Exception:  # numba refuses in many ways, and none of them may end the program
        _log.warning("Alpha matting runs without compiled code:", exc_info=True)


class NumbaBackend:
    """A :class:`.backend.Backend` of compiled loops, which release Python's lock.

    Compiles them, or loads them from numba's cache.

    Raises
    ------
    ImportError
        If there is no numba, or it is switched off.
    Exception
        Whatever numba and LLVM raise where they cannot compile.
    """

    def __init__(self) -> None:
        import numba

        module: Any = numba  # what it says about its own types lacks much of what is used here
        config, types = module.config, module.types
        if config.DISABLE_JIT:
            raise ImportError("NUMBA_DISABLE_JIT is set")
        _prepare()
        # the array types of :mod:`.backend`, contiguous
        i8 = types.int64
        bytes_, ints, longs = types.uint8[::1], types.int32[::1], i8[::1]
        singles, floats, nodes = types.float32[::1], types.float64[::1], i8[:, ::1]
        image = types.Array(types.uint8, 2, "C", readonly=True)  # Pillow's cannot be written to
        self.LEAF: int = loops_symbolic.LEAF
        # what is soon done comes first: a program that ends early leaves it in the cache
        self.back_substitute = _compile(
            loops_numeric.back_substitute,
            (i8, i8, nodes, ints, singles, floats, bytes_),
            # its sums may be taken in any order, so that several terms go at once
            fastmath={"contract", "reassoc"},
        )
        self.find_windows = _compile(
            loops_symbolic.find_windows, (ints, ints, i8, i8, longs, bytes_)
        )
        self.find_borders = _compile(
            loops_symbolic.find_borders, (longs, longs, ints, longs, ints, i8, bytes_)
        )
        self.nested_dissection = _compile(
            loops_symbolic.nested_dissection, (ints, ints, i8, bytes_)
        )
        symbolic = (nodes, ints, ints, ints)
        self.factorise = _compile(
            loops_numeric.factorise,
            (i8, i8, *symbolic, image, i8, singles, floats, floats, floats, bytes_),
        )


def _prepare() -> None:
    """Tell numba which loops stand for the functions that loops call, and whose they are.

    numba keeps the name of a function's module with the compiled code, and imports that module
    when it loads the code. The package's own name does not serve, because in ComfyUI it is that
    of a folder. So all loops belong to a module whose name is always the same. It stays empty:
    compiled code looks nothing up in it.
    """
    from numba import extending

    sys.modules.setdefault(_HOME, ModuleType(_HOME, "Owns compiled code, see numba_backend.py."))
    for module in (loops_symbolic, loops_numeric):
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                value.__module__ = _HOME
    overload: Any = extending.overload
    for called, loops in (
        (loops_symbolic.bisect, loops_symbolic.bisect_in_loops),
        (loops_symbolic.separator_cost, loops_symbolic.separator_cost),
        (loops_numeric.copy_row, loops_numeric.copy_row),
        (loops_numeric.assemble_window, loops_numeric.assemble_window),
        (loops_numeric.extend_add, loops_numeric.extend_add),
        (loops_numeric.eliminate_pivots, loops_numeric.eliminate_pivots),
        (loops_numeric.subtract_products, loops_numeric.subtract_products),
    ):
        overload(called, jit_options=_OPTIONS, strict=False)(_always(loops))


def _always(function: Callable[..., object]) -> Callable[..., object]:
    def choose(*types: object) -> object:
        return function

    return choose


def _compile(function: Function, arguments: tuple[Any, ...], **changes: Any) -> Function:
    """Compile a function for arguments of these types, or load it from numba's cache."""
    from numba import njit

    compiler: Any = njit
    options = {**_OPTIONS, "nogil": True, **changes}
    try:
        return compiler(arguments, cache=True, **options)(function)
    except Exception as exc:  # no place to write to, or something unreadable in it
        _log.debug("Compiled code of alpha matting is not kept: %s", exc)
        return compiler(arguments, **options)(function)
