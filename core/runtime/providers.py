"""Execution providers: their names, the choice among them, and what the machine can run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from ..errors import OptionError
from ..text import short
from .doctor import doctor_command

ProviderName = Literal[
    "Auto", "CPU", "CUDA", "ROCM", "DirectML", "OpenVINO", "CoreML", "Tensorrt", "Azure", "MIGraphX"
]
"""What a request may name, for the completion of editors; any case is accepted."""

AUTO: ProviderName = "Auto"

PROVIDERS: dict[str, str] = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "ROCM": "ROCMExecutionProvider",
    "DirectML": "DmlExecutionProvider",
    "OpenVINO": "OpenVINOExecutionProvider",
    "CoreML": "CoreMLExecutionProvider",
    "Tensorrt": "TensorrtExecutionProvider",
    "Azure": "AzureExecutionProvider",
    "MIGraphX": "MIGraphXExecutionProvider",
}
"""Short name to ONNX Runtime's name."""

CHOICES: tuple[str, ...] = (AUTO, *PROVIDERS)

Request = ProviderName | str | Sequence[str | tuple[str, Mapping[str, Any]]] | None
"""A provider, or several in order of preference, each by either name."""

CPU = PROVIDERS["CPU"]
TENSORRT = PROVIDERS["Tensorrt"]
ENGINES = "trt_engine_cache_path"
"""TensorRT's option for the folder that its engines are kept in."""
_CUDA = PROVIDERS["CUDA"]
_OPENVINO = PROVIDERS["OpenVINO"]

GPU_PROVIDERS = frozenset(
    PROVIDERS[name] for name in ("CUDA", "ROCM", "DirectML", "CoreML", "Tensorrt", "MIGraphX")
)
"""ONNX Runtime names of those that take video memory."""

NVIDIA = frozenset({_CUDA, TENSORRT})

_TAKES_DEVICE_ID = frozenset(
    PROVIDERS[name] for name in ("CUDA", "ROCM", "DirectML", "Tensorrt", "MIGraphX")
)

# cuDNN tries out every algorithm by default, again for each new size of picture: the first picture
# of IS-Net took 2.4 to 3.2 s on an H200 instead of 0.4 s, and the next were no faster for it.
_SEARCH, _ADVICE = "cudnn_conv_algo_search", "HEURISTIC"
_DEFAULTS: dict[str, dict[str, Any]] = {_CUDA: {_SEARCH: _ADVICE}}

# The first one available is taken. A provider stands here only where its driver is certain
# to be there: the -gpu package lists CUDA on every machine, and trying it without a driver
# costs seconds and a frightening log. OpenVINO and DirectML come only with packages that are
# installed on purpose. OpenVINO brings its own CPU kernels, so it runs on every machine that
# has it (rembg takes it too); a driver that serves CUDA or ROCm on Windows serves DirectML.
_AUTO_ORDER: dict[str, tuple[str, ...]] = {
    "cuda": (_CUDA, PROVIDERS["DirectML"], _OPENVINO),
    "rocm": (PROVIDERS["MIGraphX"], PROVIDERS["ROCM"], PROVIDERS["DirectML"], _OPENVINO),
    "mps": (PROVIDERS["CoreML"],),
    "directml": (PROVIDERS["DirectML"], _OPENVINO),
    "xpu": (_OPENVINO, PROVIDERS["DirectML"]),
    "cpu": (_OPENVINO,),
}

_PACKAGES = {
    "CUDA": "onnxruntime-gpu",
    "Tensorrt": "onnxruntime-gpu, which also needs NVIDIA's TensorRT libraries",
    "DirectML": "onnxruntime-directml (Windows)",
    "OpenVINO": "onnxruntime-openvino",
    "MIGraphX": "onnxruntime-migraphx (Linux with ROCm)",
}

_ELSEWHERE = {
    "ROCM": (
        "ROCM left onnxruntime in version 1.23: use MIGraphX on Linux or DirectML on Windows."
    ),
    "CoreML": "CoreML is only in the macOS builds of onnxruntime.",
    "Azure": (
        "Azure is only in the package onnxruntime; it calls remote services and makes none of "
        "these models faster."
    ),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request comes to.

    Attributes
    ----------
    providers
        Ready for ``onnxruntime.InferenceSession``, in order of preference: names, or
        (name, options). The CPU is last, exactly once.
    explicit
        Whether providers were asked for by name.
    missing
        ONNX Runtime names that were asked for and that this onnxruntime does not have.
    """

    providers: tuple[str | tuple[str, dict[str, Any]], ...]
    explicit: bool
    missing: tuple[str, ...] = ()


def provider_name(entry: str | tuple[str, Mapping[str, Any]]) -> str:
    """Return ONNX Runtime's name of an entry of :attr:`Choice.providers`."""
    return entry if isinstance(entry, str) else entry[0]


def provider_options(entry: str | tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the options of an entry of :attr:`Choice.providers`, a copy."""
    return {} if isinstance(entry, str) else dict(entry[1])


def display_name(ort_name: str) -> str:
    """Return the short name, ``"CUDA"`` for ``"CUDAExecutionProvider"``."""
    short = {ort: name for name, ort in PROVIDERS.items()}
    return short.get(ort_name, ort_name.removesuffix("ExecutionProvider"))


def without_advice(
    entry: str | tuple[str, dict[str, Any]],
) -> str | tuple[str, dict[str, Any]] | None:
    """Return an entry that has cuDNN try its algorithms; None if it does so already.

    cuDNN 9.19 has no advice for some convolutions in float16, which it can compute: 98 channels of
    7×7 in BiRefNet.
    """
    options = provider_options(entry)
    if options.pop(_SEARCH, None) != _ADVICE:
        return None
    name = provider_name(entry)
    return (name, options) if options else name


def choose(
    request: Request, available: Sequence[str], runs_on: str | None, *, device_id: int = 0
) -> Choice:
    """Choose providers; a pure function.

    Parameters
    ----------
    request
        None or ``"Auto"``; a short name (``"CUDA"``) in any case or ONNX Runtime's own; or a
        list of those and of (name, options) in order of preference. What follows the CPU in
        a list is dropped, because the CPU runs every operator itself.
    available
        ``onnxruntime.get_available_providers()``.
    runs_on
        What torch runs on, or :func:`.accelerator.host_accelerator` without torch. None and
        devices that ONNX Runtime does not know count as ``"cpu"``.
    device_id
        Index of the device, for providers that take one.

    Raises
    ------
    OptionError
        If a name is unknown.
    """
    asked = _entries(request, available)
    entries = list(asked)
    if not asked:
        order = _AUTO_ORDER.get((runs_on or "cpu").lower(), _AUTO_ORDER["cpu"])
        entries.append((next((name for name in order if name in available), CPU), {}))
    elif len(asked) == 1 and asked[0][0] == TENSORRT and _CUDA in available:
        # TensorRT leaves the operators it does not know to the next one in line
        entries.append((_CUDA, {}))

    chosen: dict[str, dict[str, Any]] = {}
    missing: list[str] = []
    cpu: dict[str, Any] = {}
    for name, given in entries:
        if name == CPU:
            cpu = dict(given)
            break
        if name not in available:
            missing.append(name)
        elif name not in chosen:
            own = {**_DEFAULTS.get(name, {}), **_device_options(name, runs_on, device_id)}
            chosen[name] = {**own, **given}
    chosen[CPU] = cpu
    return Choice(
        providers=tuple((name, options) if options else name for name, options in chosen.items()),
        explicit=bool(asked),
        missing=tuple(dict.fromkeys(missing)),
    )


def _device_options(name: str, runs_on: str | None, device_id: int) -> dict[str, Any]:
    if name == _OPENVINO and runs_on == "xpu":
        # without this OpenVINO runs on the CPU
        return {"device_type": f"GPU.{device_id}" if device_id else "GPU"}
    if name in _TAKES_DEVICE_ID and device_id:
        return {"device_id": device_id}
    return {}


def _entries(request: Any, available: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (ONNX Runtime name, options) pairs; an empty list means Auto."""
    items: list[Any] = []
    if isinstance(request, str):
        items = [request]
    elif isinstance(request, Sequence):
        items = list(cast("Sequence[Any]", request))
    elif request is not None:
        raise OptionError(_not_a_provider(request))
    if len(items) == 1 and isinstance(items[0], str) and _key(items[0]) == _key(AUTO):
        return []
    entries: list[tuple[str, Mapping[str, Any]]] = []
    for item in items:
        pair = cast("tuple[Any, ...]", item if isinstance(item, tuple) else (item, {}))
        if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], Mapping):
            raise OptionError(_not_a_provider(cast("object", item)))
        entries.append((_resolve(pair[0], available), cast("Mapping[str, Any]", pair[1])))
    return entries


def _not_a_provider(value: object) -> str:
    return (
        f"{short(value)} is not a provider: give one of {', '.join(CHOICES)}, or a list of names "
        "and of (name, options) pairs."
    )


def _resolve(name: str, available: Sequence[str]) -> str:
    names = {_key(key): ort for own, ort in PROVIDERS.items() for key in (own, ort)}
    if _key(name) in names:
        return names[_key(name)]
    if name in available:
        return name  # an own build of onnxruntime with a provider that is in no table here
    if _key(name) == _key(AUTO):
        raise OptionError("Auto stands alone: it cannot be combined with other providers.")
    choices = {_key(choice): choice for choice in CHOICES}
    close = difflib.get_close_matches(_key(name), choices, 1, 0.5)
    hint = f" Did you mean {choices[close[0]]}?" if close else ""
    raise OptionError(f"Unknown provider {short(name)}.{hint} Use one of {', '.join(CHOICES)}.")


# Characters: comparing takes time that grows with the square of the length.
_LONGEST = 200


def _key(name: str) -> str:
    return name[:_LONGEST].strip().casefold().removesuffix("executionprovider")


def missing_message(missing: Sequence[str], available: Sequence[str]) -> str:
    """Explain why requested providers cannot be had, and what to install.

    Parameters
    ----------
    missing, available
        ONNX Runtime names; ``missing`` is that of :class:`Choice`.
    """
    wanted = [display_name(name) for name in missing]
    verb = "was" if len(wanted) == 1 else "were"
    offered = " and ".join(display_name(name) for name in available)
    text = f"{' and '.join(wanted)} {verb} requested, but this onnxruntime has only {offered}"
    packages = [f"{name} comes with {_PACKAGES[name]}" for name in wanted if name in _PACKAGES]
    if packages:
        text += f"; {' and '.join(packages)}, in place of every other onnxruntime package"
    elsewhere = [_ELSEWHERE[name] for name in wanted if name in _ELSEWHERE]
    return " ".join(
        [f"{text}.", *elsewhere, f"{doctor_command()} tells what this machine can run."]
    )
