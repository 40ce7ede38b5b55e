"""One ONNX file on one execution provider: opened on first use, closed on request."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelMemoryError, ModelRunError, ProviderError
from ..text import quotable
from .accelerator import preload_cuda
from .doctor import doctor_command
from .library import import_onnxruntime, warn_once
from .providers import CPU, Choice, display_name, missing_message

_log = logging.getLogger("rembg_sessions")

# ONNX Runtime's documentation: no two threads may run one session of this provider.
_ONE_AT_A_TIME = "DmlExecutionProvider"

# How long a cancelled run goes on unnoticed.
_SECONDS_BETWEEN_LOOKS = 0.1

# Characters of ONNX Runtime's messages, whose end says what is wrong.
_LONGEST_REASON = 600

# ONNX Runtime's words, of the arena and of C++.
_OUT_OF_MEMORY = ("llocate memory", "out of memory", "bad alloc", "bad_alloc")

FLOATS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""ONNX types that arrays are cast to."""


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
    """

    def __init__(self, path: Path, choice: Choice, options: Any, *, cpu_fallback: bool = True):
        self.path = path
        self.choice = choice
        self.fallback = ""
        """Why the CPU took over from a provider that was wanted; empty while it did not."""
        self.on_out_of_memory: Callable[[], None] | None = None
        """Called once before a run that ran out of memory is tried again."""
        self.on_wait: Callable[[], None] | None = None
        """Called ten times a second during a run; what it raises ends the run."""
        self._options = options
        self._may_fall_back = cpu_fallback or not choice.explicit
        self._providers = list(choice.providers)
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._session: Any = None

    @property
    def is_open(self) -> bool:
        """Whether the file is loaded at the moment."""
        return self._session is not None

    @property
    def wanted(self) -> str:
        """ONNX Runtime's name of the provider that the next opening tries first."""
        return _name(self._providers[0])

    @property
    def provider(self) -> str:
        """The provider really used, by its short name; opens the file if need be."""
        return display_name(self.session.get_providers()[0])

    @property
    def session(self) -> Any:
        """The open ``onnxruntime.InferenceSession``."""
        with self._lock:
            if self._session is None:
                self._session = self._open()
            return self._session

    def close(self) -> None:
        """Release the memory; runs under way finish first."""
        with self._lock:
            if self._session is not None:
                self._session = None
                _log.info("Closed %s.", self.path.name)

    def inputs(self) -> list[tuple[str, list[int | str | None], str]]:
        """Return name, shape and ONNX type of each input."""
        return [(node.name, node.shape, node.type) for node in self.session.get_inputs()]

    def outputs(self) -> list[tuple[str, list[int | str | None], str]]:
        """Return name, shape and ONNX type of each output."""
        return [(node.name, node.shape, node.type) for node in self.session.get_outputs()]

    def run(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the network. Ctrl-C ends it, too.

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
        session = self.session
        try:
            return self._run(session, feed)
        except ModelRunError as error:
            if isinstance(error, ModelMemoryError) and self.on_out_of_memory is not None:
                self.on_out_of_memory()
                with contextlib.suppress(ModelRunError):
                    return self._run(self.session, feed)
            if session.get_providers()[0] == CPU:
                raise
            self._fall_back(error)
            return self._run(self.session, feed)

    def _run(self, session: Any, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        types = {node.name: FLOATS.get(node.type) for node in session.get_inputs()}
        cast = {
            name: array if types.get(name) is None else array.astype(types[name], copy=False)
            for name, array in feed.items()
        }
        alone = session.get_providers()[0] == _ONE_AT_A_TIME
        with self._running if alone else contextlib.nullcontext():
            finished = _run_until_done(session, cast, self.on_wait)
        try:
            return finished.result()
        except Exception as error:  # ONNX Runtime's own errors share no base class
            text = quotable(str(error), _LONGEST_REASON)
            kind = ModelRunError
            if isinstance(error, MemoryError) or any(word in text for word in _OUT_OF_MEMORY):
                kind = ModelMemoryError
                text = f"it ran out of memory. Choose a smaller model, or free memory. ({text})"
            provider = display_name(session.get_providers()[0])
            raise kind(f"{self.path.name} failed on {provider}: {text}") from error

    def _fall_back(self, error: Exception) -> None:
        if not self._may_fall_back:
            raise ProviderError(
                f"{error} Allow the CPU to take over, or choose another provider."
            ) from error
        with self._lock:
            if self._providers != [CPU]:  # else another thread has already done so
                _log.warning("%s Running on the CPU from now on.", error)
                self.fallback = str(error)
                self._providers = [CPU]
                self._session = self._open()

    def _open(self) -> Any:
        if self.choice.missing:
            message = missing_message(self.choice.missing, _available())
            if not self._may_fall_back:
                raise ProviderError(message)
            warn_once(f"{message} Running on {display_name(self.wanted)}.")
            self.fallback = message
        try:
            session = self._create(self._providers)
        except ModelRunError as error:
            if len(self._providers) == 1:
                raise
            if not self._may_fall_back:
                raise ProviderError(f"{error} The CPU was not allowed to take over.") from error
            _log.warning("%s Running on the CPU.", error)
            self.fallback = str(error)
            self._providers = [CPU]  # and so it does after the next opening
            return self._create([CPU])

        wanted = _name(self._providers[0])
        active = session.get_providers()
        if wanted not in active:
            message = (
                f"{display_name(wanted)} was requested for {self.path.name}, but ONNX Runtime "
                f"could not load it and uses {display_name(active[0])}. Usually its libraries "
                f"are missing or of another version: run {doctor_command()}."
            )
            if not self._may_fall_back:
                raise ProviderError(message)
            _log.warning("%s", message)
            self.fallback = message
            self._providers = [CPU] if active[0] == CPU else self._providers[1:]
        return session

    def _create(self, providers: list[Any]) -> Any:
        ort = import_onnxruntime()
        if _name(providers[0]) in ("CUDAExecutionProvider", "TensorrtExecutionProvider"):
            preload_cuda(ort)
        try:
            # enable_fallback=0: ONNX Runtime would print and choose a provider of its own
            session = ort.InferenceSession(
                str(self.path), sess_options=self._options, providers=providers, enable_fallback=0
            )
        except Exception as error:  # ONNX Runtime's own errors share no base class
            provider = display_name(_name(providers[0]))
            raise ModelRunError(
                f"{self.path} could not be opened on {provider}: "
                f"{quotable(str(error), _LONGEST_REASON)} If the file is damaged, delete it: a "
                "model of the list is then downloaded again."
            ) from error
        _log.info("Opened %s on %s.", self.path.name, display_name(session.get_providers()[0]))
        return session


def _run_until_done(
    session: Any, feed: Mapping[str, NDArray[Any]], on_wait: Callable[[], None] | None
) -> Future[list[NDArray[Any]]]:
    """Run a network in a thread of its own, so that this one can be interrupted meanwhile."""
    options = import_onnxruntime().RunOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    finished: Future[list[NDArray[Any]]] = Future()

    def run() -> None:
        try:
            finished.set_result(session.run(None, feed, options))
        except BaseException as error:
            finished.set_exception(error)

    threading.Thread(target=run, name="rembg-sessions run").start()
    try:
        while not wait([finished], _SECONDS_BETWEEN_LOOKS).done:
            if on_wait is not None:
                on_wait()
    except BaseException:
        options.terminate = True  # looked at after each node of the graph
        while not wait([finished], _SECONDS_BETWEEN_LOOKS).done:
            pass  # Windows answers another Ctrl-C between two waits only
        raise
    return finished


def _name(provider: Any) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _available() -> list[str]:
    return import_onnxruntime().get_available_providers()
