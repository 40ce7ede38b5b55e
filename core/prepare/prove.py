"""Whether ONNX Runtime takes a changed graph, and whether it has an operator at all."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GraphError
from ..machine import cpu_count
from ..runtime.library import import_onnxruntime
from ..text import quotable
from .deform import IR_VERSION, OPSET
from .model import FLOAT, AttributeValue, Model, Value, make_node, with_opset
from .writing import data_of, pieces

_log = logging.getLogger("rembg_sessions")

_CPU = "CPUExecutionProvider"
_LONGEST_REASON = 300
# ONNX Runtime's own name for it: a provider must not hand a node over to the CPU.
_NO_CPU = "session.disable_cpu_ep_fallback"


def provider_name(provider: Any) -> str:
    """Return ONNX Runtime's name of a provider, given alone or as (name, options)."""
    return provider if isinstance(provider, str) else provider[0]


def prove(source: Path | bytes, model: Model, provider: Any, *, run: bool) -> None:
    """Open a changed graph once, as it is written, and compare its inputs and outputs.

    Parameters
    ----------
    source
        The file, or its bytes.
    model
        What it must be.
    provider
        ONNX Runtime's name, or (name, options).
    run
        Also run it, on zeros, and compare the shape of its first output: where sizes changed.

    Raises
    ------
    GraphError
        If anything differs, or ONNX Runtime does not take it.
    """
    try:
        session = _open(source, provider)
        declared = [*session.get_inputs(), *session.get_outputs()]
        for value in declared:
            expected = {each.name: each for each in (*model.inputs, *model.outputs)}[value.name]
            if not _fits(value.shape, expected):
                raise GraphError(f"{value.name!r} has shape {value.shape}")
        if run:
            shapes = {value.name: value.shape for value in session.get_inputs()}
            types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
            feed = {
                value.name: np.zeros(
                    [n if isinstance(n, int) else 1 for n in shapes[value.name]], types[value.type]
                )
                for value in session.get_inputs()
            }
            first = session.get_outputs()[0].name
            answer = session.run([first], feed)[0]
            if not _fits(list(answer.shape), model.outputs[0]):
                raise GraphError(f"its answer has shape {answer.shape}")
    except GraphError:
        raise
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise GraphError(f"ONNX Runtime says: {quotable(str(error), _LONGEST_REASON)}") from error


def _open(source: Path | bytes, provider: Any, **settings: str) -> Any:
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = cpu_count()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in settings.items():
        options.add_session_config_entry(name, value)
    providers = [provider] if provider_name(provider) == _CPU or settings else [provider, _CPU]
    graph = source if isinstance(source, bytes) else str(source)
    return ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)


def _fits(shape: list[Any] | None, expected: Value) -> bool:
    """Return whether lengths agree; a name, or None, stands for any."""
    if shape is None or expected.shape is None:
        return True
    if len(shape) != len(expected.shape):
        return False
    pairs = zip(shape, expected.shape, strict=True)
    return all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def has_deform_conv(provider: Any) -> bool:
    """Return whether a provider has ``DeformConv`` for float32, and computes it rightly.

    Releases and providers differ, and their version numbers do not tell: a graph of one node is
    run. Once for a provider in each process.

    Parameters
    ----------
    provider
        ONNX Runtime's name, or (name, options).
    """
    name = provider_name(provider)
    if name not in import_onnxruntime().get_available_providers():
        return False
    device = "" if isinstance(provider, str) else str(dict(provider[1]).get("device_id", ""))
    return _probe(name, device)


@lru_cache(maxsize=16)
def _probe(name: str, device: str) -> bool:
    provider = (name, {"device_id": device}) if device else name
    graph = b"".join(map(data_of, pieces(_one_deform_conv())))
    settings = {} if name == _CPU else {_NO_CPU: "1"}
    rng = np.random.default_rng(0)
    # every element of the kernel is moved by half a pixel down: the mean of two rows
    picture = rng.normal(0, 1, (1, 1, 4, 4)).astype(np.float32)
    offset = np.zeros((1, 2, 4, 4), np.float32)
    offset[:, 0] = 0.5
    mask = rng.uniform(0, 2, (1, 1, 4, 4)).astype(np.float32)
    feed = {"x": picture, "o": offset, "m": mask, "w": np.full((1, 1, 1, 1), 3, np.float32)}
    below = np.concatenate([picture[:, :, 1:], np.zeros((1, 1, 1, 4), np.float32)], axis=2)
    try:
        answer = _open(graph, provider, **settings).run(None, feed)[0]
    except Exception as error:  # ONNX Runtime's own errors share no base class
        _log.debug("%s has no DeformConv: %s", name, quotable(str(error), _LONGEST_REASON))
        return False
    return bool(np.allclose(answer, 3 * mask * (picture + below) / 2, atol=1e-4))


def _one_deform_conv() -> Model:
    attributes: dict[str, AttributeValue] = {
        "kernel_shape": (1, 1),
        "pads": (0, 0, 0, 0),
        "group": 1,
        "offset_group": 1,
    }
    node = make_node("DeformConv", ("x", "w", "o", "", "m"), ("y",), "probe", **attributes)
    shapes = {"x": (1, 1, 4, 4), "w": (1,) * 4, "o": (1, 2, 4, 4), "m": (1, 1, 4, 4)}
    inputs = tuple(Value(name, FLOAT, shape) for name, shape in shapes.items())
    outputs = (Value("y", FLOAT, (1, 1, 4, 4)),)
    empty = Model(0, 0, (node,), (), inputs, outputs, ())
    return with_opset(empty, OPSET, IR_VERSION)
