"""The session of the model without weights."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..backdrop.solve import CONFIDENT, check_options, low_confidence_message, solve
from ..checks import flag
from ..errors import LowConfidenceError, OptionError, ProviderError
from ..imaging.parts import check_pillow
from ..runtime.options import runtime_options
from ..runtime.providers import CPU, choose, display_name
from .protocol import Layer
from .rembg_api import BaseSession

_log = logging.getLogger("rembg_sessions")


class BackdropSession(BaseSession):
    """Solves alpha from a plain backdrop: no weights, no graph, always on the CPU.

    Thread-safe: it holds only its options.

    Parameters
    ----------
    model_name, sess_opts
        As rembg passes them.
    tolerance, soft_edge, keep_shadow, holes
        See :func:`.backdrop.solve.solve`.
    strict
        Raise LowConfidenceError where a picture has no plain backdrop, instead of a warning.
    **options
        The other fields of :class:`.runtime.options.RuntimeOptions`. A provider asked for by
        name is the CPU, or, as for every session, replaced by it with a warning or
        (``cpu_fallback=False``) refused.

    Raises
    ------
    OptionError, ProviderError
    """

    def __init__(
        self,
        model_name: str | None = None,
        sess_opts: Any = None,
        *,
        tolerance: float | None = None,
        soft_edge: float | None = None,
        keep_shadow: bool = False,
        holes: bool = True,
        strict: bool = False,
        **options: Any,
    ):
        check_options(tolerance, soft_edge, keep_shadow, holes)
        flag("strict", strict)
        self.model_name = model_name or self.spec.name
        runtime = runtime_options(self.model_name, sess_opts, options)
        choice = choose(runtime.providers, (CPU,), None)
        if choice.missing:
            name = display_name(choice.missing[0])
            message = f"{self.model_name} runs on the CPU only, not on {name}."
            if not runtime.cpu_fallback:
                raise ProviderError(f"{message} Choose Auto or CPU.")
            _log.warning(message)
        self.strict = strict
        self.solving: dict[str, Any] = {
            "tolerance": tolerance,
            "soft_edge": soft_edge,
            "keep_shadow": keep_shadow,
            "holes": holes,
        }
        self.options = {**self.solving, "strict": strict, **options}
        if sess_opts is not None:
            self.options["sess_opts"] = sess_opts

    def predict_layers(
        self,
        image: Image.Image,
        *,
        sam_prompt: object = None,
        cloth_category: str | None = None,
    ) -> list[Layer]:
        """Solve alpha and the colours of soft edges; takes neither prompt nor category.

        Raises
        ------
        LowConfidenceError
            If the session is strict and the picture has no plain backdrop; otherwise that is
            a warning, in the log and with the layer.
        """
        check_pillow(image)
        for name, value in (("sam_prompt", sam_prompt), ("cloth_category", cloth_category)):
            if value is not None:
                raise OptionError(f"{self.spec.name} does not take a {name}.")
        solved = solve(np.asarray(image.convert("RGB")), **self.solving)
        warning = ""
        if solved.confidence < CONFIDENT:
            warning = low_confidence_message(solved.confidence)
            if self.strict:
                raise LowConfidenceError(warning)
            _log.warning(warning)
        return [Layer(solved.alpha, edge=solved.edge, warning=warning)]

    def _find_alphas(
        self, image: Image.Image, *, sam_prompt: object, cloth_category: str | None
    ) -> list[NDArray[np.float32]]:
        layers = self.predict_layers(image, sam_prompt=sam_prompt, cloth_category=cloth_category)
        return [layer.alpha for layer in layers]
