"""How the graphs of a model are opened: its options, and what ONNX Runtime makes of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .. import settings
from ..checks import flag, one_of, whole
from ..errors import OptionError
from ..machine import cpu_count
from ..text import short
from .accelerator import host_accelerator
from .doctor import doctor_command
from .library import import_onnxruntime, warn_once
from .providers import CPU, Choice, Request, choose

_log = logging.getLogger("rembg_sessions")

_MOST_DEVICES = 255
OPTIMIZATION_LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """Where and how the graphs of a model run.

    Attributes
    ----------
    sess_opts
        An ``onnxruntime.SessionOptions`` to pass through; its own thread counts win.
    providers
        None or ``"Auto"``, a name such as ``"CUDA"``, or ONNX Runtime's own list.
    cpu_fallback
        Whether the CPU may take over, with a warning, from a provider asked for by name.
    runs_on
        What the caller's other models run on (``"cuda"``, ``"cpu"``, …), for Auto; None
        asks the machine.
    device_id
        Index of the GPU.
    threads
        Threads inside one operator and between operators; 0 lets ONNX Runtime choose. None
        reads ``OMP_NUM_THREADS``, and else takes as many as this process may use.
    optimization
        One of ``OPTIMIZATION_LEVELS``; None keeps ONNX Runtime's default, all.
    """

    sess_opts: Any = None
    providers: Request = None
    cpu_fallback: bool = True
    runs_on: str | None = None
    device_id: int = 0
    threads: int | None = None
    optimization: str | None = None

    def __post_init__(self) -> None:
        """Raise OptionError where a value is of a wrong type or out of its range.

        Here, and not where they are used: a model without graphs uses few of them.
        """
        flag("cpu_fallback", self.cpu_fallback)
        if self.runs_on is not None and not isinstance(self.runs_on, str):
            raise OptionError(f"runs_on is {short(self.runs_on)}; use a name such as cuda or cpu.")
        whole("device_id", self.device_id, 0, _MOST_DEVICES)
        if self.threads is not None:
            whole("threads", self.threads, 0, settings.MOST_THREADS)
        if self.optimization is not None:
            one_of("optimization", self.optimization, OPTIMIZATION_LEVELS)


def runtime_options(model: str, sess_opts: Any, arguments: Mapping[str, Any]) -> RuntimeOptions:
    """Return the options that keyword arguments name.

    Parameters
    ----------
    model
        Whose arguments they are, for the message.
    sess_opts
        As in :class:`RuntimeOptions`.

    Raises
    ------
    OptionError
        If there is no option of a name, or a value is out of range.
    """
    known = [field.name for field in fields(RuntimeOptions)]
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise OptionError(
            f"{model} does not take {' or '.join(unknown)}. Every session takes {', '.join(known)}."
        )
    return RuntimeOptions(sess_opts=sess_opts, **arguments)


def choose_providers(options: RuntimeOptions) -> Choice:
    """Choose providers for the installed onnxruntime, and warn where Auto leaves a GPU idle.

    Where it is not certain that there is a GPU, that is no warning.

    Raises
    ------
    OptionError
        If a provider's name is unknown.
    RuntimeMissingError
    """
    available = import_onnxruntime().get_available_providers()
    request = options.providers
    device_id = int(options.device_id)
    choice = choose(request, available, options.runs_on, device_id=device_id)
    if choice.explicit:
        return choice
    runs_on = options.runs_on or host_accelerator()
    choice = choose(request, available, runs_on, device_id=device_id)
    if runs_on == "cpu" or choice.providers != (CPU,):
        return choice
    if runs_on == "directml" and options.runs_on is None:
        # all that is known is that this is Windows: there may be no GPU of any use
        _log.info("Running on the CPU. %s tells how to use a GPU.", doctor_command())
    else:
        warn_once(
            f"This machine has an accelerator ({runs_on}), but the installed onnxruntime "
            f"has no provider for it: running on the CPU. {doctor_command()} tells more."
        )
    return choice


def session_options(options: RuntimeOptions) -> Any:
    """Return ONNX Runtime's own session options.

    Raises
    ------
    OptionError
        If ``sess_opts`` is something else, or the environment variable is out of range.
    RuntimeMissingError
    """
    ort = import_onnxruntime()
    result = options.sess_opts
    if result is not None and not isinstance(result, ort.SessionOptions):
        raise OptionError(f"sess_opts is {short(result)}; use an onnxruntime.SessionOptions.")
    if result is None:
        result = ort.SessionOptions()
        result.log_severity_level = 3  # errors; fallbacks are reported by this package
        # else its threads burn 30 ms of processor time after each run, looking for more
        result.add_session_config_entry("session.force_spinning_stop", "1")
        # With patterns the second run takes one block for all its values, on top of what the first
        # one took. Without, BiRefNet lite's shape needs 2.2 GB in place of 4.2 and IS-Net 1.4 in
        # place of 2.2, and no run is slower. DirectML cannot have them.
        result.enable_mem_pattern = False
    threads = settings.threads() if options.threads is None else options.threads
    if threads is None and cpu_count() < (os.cpu_count() or 1):
        threads = cpu_count()  # ONNX Runtime counts the machine's
    if threads is not None:
        if result.intra_op_num_threads == 0:
            result.intra_op_num_threads = threads
        if result.inter_op_num_threads == 0:
            result.inter_op_num_threads = threads
    if options.optimization is not None:
        level = getattr(ort.GraphOptimizationLevel, OPTIMIZATION_LEVELS[options.optimization])
        result.graph_optimization_level = level
    return result
