"""Compiles :mod:`.ordering` and :mod:`.kernels` with numba, in the background.

Importing numba takes a second, loading compiled code from its cache another, and compiling
anew ten. Nobody waits for it: until :func:`kernels` has something to give, callers use numpy.
And who has little to solve is not slowed down by it: see :func:`expect`.

numba keeps the compiled code in ``__pycache__`` beside this file, where that cannot be written
in the user's cache folder, or where ``NUMBA_CACHE_DIR`` says. Without any such place the code
is compiled anew in every process.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType, SimpleNamespace
from typing import Any

from .kernels import __file__ as kernels_file
from .ordering import __file__ as ordering_file

_log = logging.getLogger("rembg_sessions")
_lock = threading.Lock()
_builder: threading.Thread | None = None
_built: SimpleNamespace | None = None
_expected = 0
# Unknown pixels that numpy solves in about half a second.
_WORTH_COMPILING = 50_000

# a multiplication and an addition may be rounded once; division by zero is not looked for
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}


def expect(pixels: int) -> None:
    """Count the unknown pixels to be solved; compiling starts when they are worth it."""
    global _expected
    with _lock:
        _expected += pixels
        enough = _expected >= _WORTH_COMPILING
    if enough:
        _start()


def kernels() -> SimpleNamespace | None:
    """Return the compiled functions, or None.

    Returns
    -------
    SimpleNamespace or None
        ``dissect``, ``find_windows``, ``find_boundaries``, ``factor``, ``substitute`` and
        ``LEAF`` of the two modules; they release Python's lock. None before they are
        compiled, and where that is not possible.
    """
    return _built


def wait_for_kernels(timeout: float | None = None) -> SimpleNamespace | None:
    """Start compiling if need be, wait for it at most ``timeout`` seconds, return the result."""
    _start().join(timeout)
    return _built


def _start() -> threading.Thread:
    global _builder
    with _lock:
        if _builder is None:
            builder = threading.Thread(target=_build, name="compile-kernels", daemon=True)
            builder.start()
            _builder = builder
        return _builder


def _build() -> None:
    global _built
    try:
        _built = _compile_all()
    except ImportError as exc:
        _log.info("Alpha matting runs without compiled code: %s.", exc)
    except Exception:  # numba refuses in many ways, and none of them may end the program
        _log.warning("Alpha matting runs without compiled code:", exc_info=True)


def _compile_all() -> SimpleNamespace:
    import numba
    from numba import extending

    compiler: Any = numba
    extensions: Any = extending
    if compiler.config.DISABLE_JIT:
        raise ImportError("NUMBA_DISABLE_JIT is set")
    ordering = _copy("rembg_sessions_ordering", ordering_file)
    kernels = _copy("rembg_sessions_kernels", kernels_file)
    for called, loops in (
        (ordering.divide, ordering.divide_in_loops),
        (ordering.cost_of_cut, ordering.cost_of_cut),
        (kernels.add_window, kernels.add_window),
        (kernels.add_update, kernels.add_update),
        (kernels.eliminate, kernels.eliminate),
        (kernels.subtract, kernels.subtract),
    ):
        extensions.overload(called, jit_options=_OPTIONS, strict=False)(_always(loops))
    i4, i8, u1 = compiler.int32, compiler.int64, compiler.uint8
    f4, f8 = compiler.float32, compiler.float64
    pixels = compiler.types.Array(u1, 2, "C", readonly=True)  # Pillow's cannot be written to
    nodes, stopped = i8[:, ::1], u1[::1]
    band, buffers = (i4[::1], i4[::1], i4[::1], pixels, i8), (f4[::1], f8[::1], f8[::1], f8[::1])
    # what is soon done comes first: a program that ends early leaves it in the cache
    arguments: dict[str, tuple[Any, ...]] = {
        "substitute": (i8, i8, nodes, i4[::1], f4[::1], f8[::1], stopped),
        "find_windows": (i4[::1], i4[::1], i8, i8, i8[::1], stopped),
        "find_boundaries": (i8[::1], i8[::1], i4[::1], i8[::1], i4[::1], i8, stopped),
        "dissect": (i4[::1], i4[::1], i8, stopped),
        "factor": (i8, i8, nodes, *band, *buffers, stopped),
    }
    built = SimpleNamespace(LEAF=ordering.LEAF)
    for name, types in arguments.items():
        source = getattr(kernels, name, None) or getattr(ordering, name)
        # its sums may be taken in any order, so that several terms go at once
        math = {"contract", "reassoc"} if name == "substitute" else {"contract"}
        options = {**_OPTIONS, "fastmath": math, "nogil": True}
        try:
            function = compiler.njit(types, cache=True, **options)(source)
        except Exception as exc:  # no place to write to, or something unreadable in it
            _log.debug("Compiled code of alpha matting is not kept: %s", exc)
            function = compiler.njit(types, **options)(source)
        setattr(built, name, function)
    return built


def _always(function: Any) -> Callable[..., Any]:
    def choose(*types: Any) -> Any:
        return function

    return choose


def _copy(name: str, file: str) -> ModuleType:
    """Return a second copy of a module, under a name that is always the same.

    numba's cache remembers modules by name, and the package is named after its folder in
    ComfyUI, but not elsewhere.
    """
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a module")
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
