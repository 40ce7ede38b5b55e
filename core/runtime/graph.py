"""One ONNX file on one execution provider: opened on first use, closed on request."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelMemoryError, ModelRunError, ProviderError
from ..text import quotable
from ..threads import wait_for
from .accelerator import nvidia_driver, preload_cuda
from .doctor import doctor_command
from .library import import_onnxruntime, warn_once
from .providers import (
    CPU,
    ENGINES,
    NVIDIA,
    Choice,
    display_name,
    missing_message,
    provider_name,
    provider_options,
    without_advice,
)
from .runs import Opened, forget_runs, open_runs, run_until_done

_log = logging.getLogger("rembg_sessions")

# Characters of ONNX Runtime's messages, whose end says what is wrong.
_LONGEST_REASON = 600

# What CUDA and its libraries say stands behind a screenful of C++.
_DEVICE_FAILURE = re.compile(
    r"\b(?:CUDA|CUDNN|CUDNN_FE|CUBLAS|CUFFT|HIP|MIOPEN) failure \d+: [^;\n]+"
    r"|Please install \w+ libraries"
)

# ONNX Runtime's words, of the arena and of C++. ComfyUI 0.33 on Linux loads ANGLE so that its C++
# takes over: ONNX Runtime then knows none of its own exceptions when it meets them. In networks
# that ran before, memory is what they are about.
_UNKNOWN = "unknown exception in Run"
_OUT_OF_MEMORY = ("llocate memory", "out of memory", "bad alloc", "bad_alloc", _UNKNOWN)

FLOATS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""ONNX types that arrays are cast to."""


_graphs: weakref.WeakSet[Graph] = weakref.WeakSet()


def _after_fork() -> None:
    forget_runs()
    for graph in list(_graphs):
        graph.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

Prepare = Callable[[Path, Any], "tuple[Path | bytes, Any]"]
"""Of a file and a provider, given as ONNX Runtime takes it: what to open in place of both."""


class Graph:
    """One ONNX file, its provider and its options.

    Thread-safe: any number of threads may run it; it opens on the first run and reopens
    after :meth:`close`.

    Parameters
    ----------
    path
        The .onnx file.
    choice
        Providers in order of preference, see :func:`.providers.choose`.
    options
        An ``onnxruntime.SessionOptions``.
    cpu_fallback
        Whether the CPU may take over from a provider that was asked for by name. With
        Auto it always may. Either way a warning says so.
    prepare
        What stands between the file and ONNX Runtime: see :data:`Prepare`.
    must_prepare
        Whether the file itself must not be opened in place of what was prepared of it.
    """

    def __init__(
        self,
        path: Path,
        choice: Choice,
        options: Any,
        *,
        cpu_fallback: bool = True,
        prepare: Prepare | None = None,
        must_prepare: bool = False,
    ):
        self.path = path
        self.choice = choice
        self.fallback = ""
        """Why the CPU took over from a provider that was wanted; empty while it did not."""
        self.on_out_of_memory: Callable[[], None] | None = None
        """Called once before a run that ran out of memory is tried again."""
        self.on_wait: Callable[[], None] | None = None
        """Called ten times a second during a run; what it raises ends the run."""
        self._options = options
        self._prepare, self._must_prepare = prepare, must_prepare
        self._may_fall_back = cpu_fallback or not choice.explicit
        self._providers: list[Any] = list(choice.providers)
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        _graphs.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the file is loaded at the moment."""
        return self._opened is not None

    @property
    def wanted(self) -> str:
        """ONNX Runtime's name of the provider that the next opening tries first."""
        return provider_name(self._providers[0])

    @property
    def provider(self) -> str:
        """The provider really used, by its short name; opens the file if need be."""
        return display_name(self.session.get_providers()[0])

    @property
    def session(self) -> Any:
        """The open ``onnxruntime.InferenceSession``."""
        return self._open().session

    def close(self) -> None:
        """Release the memory; runs under way finish first."""
        with self._lock:
            if self._opened is not None:
                self._opened = None
                _log.info("Closed %s.", self.path.name)

    def give_back(self) -> None:
        """Give back the memory that runs worked in; the network stays open.

        Happens by itself after a second without a run.
        """
        opened = self._opened
        if opened is not None:
            wait_for(opened.workers.submit(opened.give_back))

    def inputs(self) -> list[tuple[str, list[int | str | None], str]]:
        """Return name, shape and ONNX type of each input."""
        return [(node.name, node.shape, node.type) for node in self.session.get_inputs()]

    def outputs(self) -> list[tuple[str, list[int | str | None], str]]:
        """Return name, shape and ONNX type of each output."""
        return [(node.name, node.shape, node.type) for node in self.session.get_outputs()]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Run the network and return its first output. Ctrl-C ends it, too.

        The others, eleven in IS-Net, are not asked for: bringing them back from the GPU took a
        third of the run.

        Parameters
        ----------
        feed
            Arrays by input name; cast to the declared float type.

        Raises
        ------
        ProviderError
            If the provider failed and the CPU may not take over.
        ModelMemoryError, ModelRunError
            If the network failed on the CPU.
        """
        tried, opened = self._providers[0], self._open()
        try:
            return self._run(opened, feed)
        except ModelRunError as error:
            if isinstance(error, ModelMemoryError) and self.on_out_of_memory is not None:
                self.on_out_of_memory()
                with contextlib.suppress(ModelRunError):
                    return self._run(self._open(), feed)
            if opened.session.get_providers()[0] == CPU:
                raise
            self._fall_back(tried, error)
        return self.run(feed)

    def _run(self, opened: Opened, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        session = opened.session
        types = {node.name: FLOATS.get(node.type) for node in session.get_inputs()}
        cast = {
            name: array if types.get(name) is None else array.astype(types[name], copy=False)
            for name, array in feed.items()
        }
        finished = run_until_done(opened, cast, self.on_wait)
        try:
            return finished.result()[0]
        except Exception as error:  # ONNX Runtime's own errors share no base class
            text = _reason(error)
            kind = ModelRunError
            if _is_about_memory(error):
                kind = ModelMemoryError
                likely = ", most likely" if _UNKNOWN in text else ""
                way_out = "Choose a smaller model, or free memory."
                text = f"it ran out of memory{likely}. {way_out} ({text})"
            provider = display_name(session.get_providers()[0])
            raise kind(f"{self.path.name} failed on {provider}: {text}") from error
        finally:
            del finished  # it holds the error, and the error this frame

    def _fall_back(self, tried: Any, error: Exception) -> None:
        """Prepare another run of a network that failed on a GPU."""
        with self._lock:
            if self._providers[0] != tried:
                return  # another thread has already done so
            advised = without_advice(tried)
            if advised is not None and "HEURISTIC" in str(error):
                _log.info("%s cuDNN tries out all its algorithms instead.", error)
                self._providers[0] = advised
            elif self._may_fall_back:
                _log.warning("%s Running on the CPU from now on.", error)
                self.fallback = str(error)
                self._providers = [CPU]
            else:
                raise ProviderError(
                    f"{error} Allow the CPU to take over, or choose another provider."
                ) from error
            self._opened = self._create_first()

    def _open(self) -> Opened:
        with self._lock:
            if self._opened is None:
                self._opened = self._create_first()
            return self._opened

    def after_fork(self) -> None:
        """Make what a forked process does not have: threads, and a lock that none of them holds."""
        self._lock = threading.Lock()
        if self._opened is not None:
            self._opened = open_runs(self._opened.session)

    def _create_first(self) -> Opened:
        """Open the file on the first provider that opens it."""
        if self.choice.missing:
            message = missing_message(self.choice.missing, _available())
            if not self._may_fall_back:
                raise ProviderError(message)
            warn_once(f"{message} Running on {display_name(self.wanted)}.")
            self.fallback = message
        try:
            opened = self._create(self._providers)
        except ModelRunError as error:
            if len(self._providers) == 1:
                raise
            if not self._may_fall_back:
                raise ProviderError(f"{error} The CPU was not allowed to take over.") from error
            _log.warning("%s Running on the CPU.", error)
            self.fallback = str(error)
            self._providers = [CPU]  # and so it does after the next opening
            return self._create([CPU])

        wanted = provider_name(self._providers[0])
        active = opened.session.get_providers()
        if wanted not in active:
            message = f"{display_name(wanted)} was requested for {self.path.name}, but could not be"
            message += f" loaded: {_why_not(wanted)}. {doctor_command()} tells more."
            if not self._may_fall_back:
                raise ProviderError(message)
            _log.warning("%s Running on %s.", message, display_name(active[0]))
            self.fallback = message
            self._providers = [CPU] if active[0] == CPU else self._providers[1:]
        return opened

    def _create(self, providers: list[Any]) -> Opened:
        ort = import_onnxruntime()
        if provider_name(providers[0]) in NVIDIA:
            preload_cuda(ort)
        prepared = self._prepared(providers)
        try:
            session = self._load(ort, *prepared)
        except Exception as error:  # ONNX Runtime's own errors share no base class
            provider = display_name(provider_name(providers[0]))
            way_out = "If the file is damaged, delete it: a model of the list is downloaded again."
            if _DEVICE_FAILURE.search(str(error)):
                way_out = f"{doctor_command()} tells more."
            raise ModelRunError(
                f"{self.path} could not be opened on {provider}: {_reason(error)} {way_out}"
            ) from error
        active = session.get_providers()[0]
        _log.info("Opened %s on %s.", self.path.name, display_name(active))
        return open_runs(session)

    def _prepared(self, providers: list[Any]) -> tuple[Path | bytes, list[Any]]:
        if self._prepare is None:
            return self.path, providers
        source, first = self._prepare(self.path, providers[0])
        return source, [first, *providers[1:]]

    def _load(self, ort: Any, source: Path | bytes, providers: list[Any]) -> Any:
        try:
            return self._session(ort, source, providers)
        except Exception as error:  # ONNX Runtime's own errors share no base class
            made = [] if providers[0] in self._providers else _engines(providers[0])
            is_prepared = source != self.path
            is_of_device = _DEVICE_FAILURE.search(str(error)) or _is_about_memory(error)
            if not (is_prepared or made) or is_of_device:
                raise
            if is_prepared and isinstance(source, Path):
                made.append(source)
            what = f"What was prepared of {self.path.name}"
            _log.warning("%s could not be opened, and is removed: %s", what, _reason(error))
            for path in made:
                with contextlib.suppress(OSError):  # another process has it open, on Windows
                    path.unlink(missing_ok=True)
        try:
            return self._session(ort, *self._prepared(self._providers))
        except Exception:
            if self._must_prepare or not is_prepared:
                raise
        return self._session(ort, self.path, self._providers)

    def _session(self, ort: Any, source: Path | bytes, providers: list[Any]) -> Any:
        # enable_fallback=0: ONNX Runtime would print and choose a provider of its own
        session = ort.InferenceSession(
            source if isinstance(source, bytes) else str(source),
            sess_options=self._options,
            providers=providers,
            enable_fallback=0,
        )
        # it keeps them in case that it is told to change providers: 180 MB of BiRefNet lite
        if isinstance(source, bytes) and hasattr(session, "_model_bytes"):
            session._model_bytes = None
        return session


def _is_about_memory(error: Exception) -> bool:
    text = _reason(error)
    return isinstance(error, MemoryError) or any(word in text for word in _OUT_OF_MEMORY)


def _reason(error: Exception) -> str:
    text = str(error)
    failure = _DEVICE_FAILURE.search(text)
    return f"{quotable(failure[0])}." if failure else quotable(text, _LONGEST_REASON)


def _engines(provider: Any) -> list[Path]:
    """Return the files that TensorRT has kept: a program that was killed may have left a part."""
    options = provider_options(provider)
    return list(Path(options[ENGINES]).glob("*")) if ENGINES in options else []


def _why_not(provider: str) -> str:
    has_none = provider in NVIDIA and not nvidia_driver()[0]
    return "no NVIDIA GPU was found" if has_none else "its libraries are missing, or outdated"


def _available() -> list[str]:
    return import_onnxruntime().get_available_providers()
