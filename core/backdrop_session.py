"""The session of the model without weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .backdrop import CONFIDENT, Backdrop, check_options, low_confidence_message, solve
from .errors import LowConfidenceError, OptionError, ProviderError
from .foreground import Band
from .graph import CPU
from .providers import choose, display_name
from .session import BaseSession

_log = logging.getLogger("rembg_sessions")


class BackdropSession(BaseSession):
    """Solves alpha from a plain backdrop: no weights, no graph, always on the CPU.

    Takes part wherever a :class:`BaseSession` does. Thread-safe: it holds only its options.

    Parameters
    ----------
    model_name, sess_opts, providers, model_path, folders, on_progress, cpu_fallback, runs_on,
    device_id, threads, optimization
        Accepted as by every session. There is nothing to load or to run elsewhere: a
        ``model_path`` is refused, and a provider asked for by name is the CPU, or, as for
        every session, replaced by it with a warning or (``cpu_fallback=False``) refused.
    tolerance, soft_edge, keep_shadow, holes
        See :func:`.backdrop.solve`.
    strict
        Raise LowConfidenceError where a picture has no plain backdrop, instead of a warning.

    Raises
    ------
    OptionError, ProviderError
    """

    def __init__(
        self,
        model_name: str | None = None,
        sess_opts: Any = None,
        *,
        providers: Any = None,
        model_path: str | os.PathLike[str] | None = None,
        folders: Sequence[Path] = (),
        on_progress: Callable[[int, int], None] | None = None,
        cpu_fallback: bool = True,
        runs_on: str | None = None,
        device_id: int = 0,
        threads: int | None = None,
        optimization: str | None = None,
        tolerance: float | None = None,
        soft_edge: float | None = None,
        keep_shadow: bool = False,
        holes: bool = True,
        strict: bool = False,
    ):
        check_options(tolerance, soft_edge)
        choice = choose(providers, (CPU,), None)
        if choice.missing:
            message = f"backdrop runs on the CPU only, not on {display_name(choice.missing[0])}."
            if not cpu_fallback:
                raise ProviderError(f"{message} Choose Auto or CPU.")
            _log.warning(message)
        self.model_name = model_name or "backdrop"
        self.paths = self.find_weights(model_path, folders, on_progress)
        self.graphs = ()
        self._stamp = []
        self.companion = None
        self.strict = strict
        self.options: dict[str, Any] = {
            "tolerance": tolerance,
            "soft_edge": soft_edge,
            "keep_shadow": keep_shadow,
            "holes": holes,
        }

    @classmethod
    def find_weights(
        cls,
        model_path: str | os.PathLike[str] | None = None,
        folders: Sequence[Path] = (),
        on_progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Path, ...]:
        """Return no files: the model has none.

        Raises
        ------
        OptionError
            If a ``model_path`` is given.
        """
        if model_path is not None:
            raise OptionError("backdrop needs no file and takes no model_path.")
        return ()

    @property
    def provider(self) -> str:
        """``"CPU"``."""
        return "CPU"

    @property
    def inner_session(self) -> Any:
        """None: there is no network."""
        return None

    @property
    def is_open(self) -> bool:
        """True: there is nothing to load."""
        return True

    @property
    def uses_gpu(self) -> bool:
        """False."""
        return False

    def solve(self, image: Image.Image) -> Backdrop:
        """Solve alpha and the foreground colours of a picture of any mode.

        Raises
        ------
        LowConfidenceError
            If the session is strict and the picture has no plain backdrop; otherwise that is
            a warning in the log.
        """
        solved = solve(np.asarray(image.convert("RGB")), **self.options)
        if solved.confidence < CONFIDENT:
            message = low_confidence_message(solved.confidence)
            if self.strict:
                raise LowConfidenceError(message)
            _log.warning(message)
        return solved

    def predict_layers(
        self, image: Image.Image, **options: Any
    ) -> list[tuple[NDArray[np.float32], Band | None]]:
        """Solve alpha and the colours of soft edges; takes no options."""
        _refuse(options)
        return layers(self.solve(image))

    def normalize(
        self,
        img: Image.Image,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        size: tuple[int, int],
    ) -> dict[str, NDArray[np.float32]]:
        """Raise OptionError: there is no network to prepare the picture for."""
        raise OptionError("backdrop has no network, so that there is nothing to normalize for.")

    def _alphas(
        self, image: Image.Image, *, sam_prompt: Any, cloth_category: str | None
    ) -> list[NDArray[np.float32]]:
        _refuse({"sam_prompt": sam_prompt, "cloth_category": cloth_category})
        return [self.solve(image).alpha]


def layers(solved: Backdrop) -> list[tuple[NDArray[np.float32], Band | None]]:
    """Return a solution in the form of :meth:`BaseSession.predict_layers`."""
    return [(solved.alpha, (solved.band, solved.colours))]


def _refuse(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None:
            raise OptionError(f"backdrop takes no {name}.")
