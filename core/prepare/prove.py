"""Whether ONNX Runtime takes a changed graph, and whether it has an operator at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError
from ..machine import cpu_count
from ..runtime.graph import FLOATS
from ..runtime.library import import_onnxruntime
from ..runtime.providers import CPU, TENSORRT, provider_name, provider_options
from ..text import quotable
from .deform import IR_VERSION, OPSET
from .model import FLOAT, AttributeValue, Model, Value, make_node, with_opset
from .writing import data_of, pieces

_log = logging.getLogger("rembg_sessions")

_LONGEST_REASON = 300
# ONNX Runtime's own name for it: a provider must not hand a node over to the CPU.
_NO_CPU = "session.disable_cpu_ep_fallback"


def prove(
    source: Path | bytes, model: Model, provider: Any, *, run: bool, folded: Path | None = None
) -> None:
    """Open a changed graph once, and compare its inputs and outputs with what they must be.

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
    folded
        Where to write what ONNX Runtime makes of it on every machine alike, its "basic" level:
        above all, what follows from constants is worked out.

    Raises
    ------
    GraphError
        If anything differs, or ONNX Runtime does not take it.
    """
    session = _open(source, provider, folded)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    expected = {each.name: each for each in (*model.inputs, *model.outputs)}
    for value in (*inputs, *outputs):
        if value.name not in expected or not _fits(value.shape, expected[value.name]):
            raise GraphError(f"{value.name!r} has shape {value.shape}")
    if run:
        feed: dict[str, NDArray[Any]] = {}
        for value in inputs:
            shape = [length if isinstance(length, int) else 1 for length in value.shape]
            feed[value.name] = np.zeros(shape, FLOATS.get(value.type, np.float32))
        answer = _run(session, feed)
        if not _fits(list(answer.shape), expected[outputs[0].name]):
            raise GraphError(f"its answer has shape {answer.shape}")


def _open(
    source: Path | bytes, provider: Any, folded: Path | None = None, *, alone: bool = False
) -> Any:
    """Open a graph as it is written; GraphError says what is wrong with it."""
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = cpu_count()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folded is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
    providers = [provider] if provider_name(provider) == CPU or alone else [provider, CPU]
    if alone and provider_name(provider) != CPU:
        options.add_session_config_entry(_NO_CPU, "1")
    graph = source if isinstance(source, bytes) else str(source)
    try:
        return ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise _refusal(error) from error


def _run(session: Any, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    try:
        return session.run([session.get_outputs()[0].name], feed)[0]
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise _refusal(error) from error


def _refusal(error: Exception) -> GraphError:
    return GraphError(f"ONNX Runtime says: {quotable(str(error), _LONGEST_REASON)}")


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
    # TensorRT has none without a plugin, and takes seconds to say so
    if name == TENSORRT or name not in import_onnxruntime().get_available_providers():
        return False
    return _probe(name, str(provider_options(provider).get("device_id", "")))


@lru_cache(maxsize=16)
def _probe(name: str, device: str) -> bool:
    provider = (name, {"device_id": device}) if device else name
    graph = b"".join(map(data_of, pieces(_one_deform_conv())))
    rng = np.random.default_rng(0)
    # every element of the kernel is moved by half a pixel down: the mean of two rows
    picture = rng.normal(0, 1, (1, 1, 4, 4)).astype(np.float32)
    offset = np.zeros((1, 2, 4, 4), np.float32)
    offset[:, 0] = 0.5
    mask = rng.uniform(0, 2, (1, 1, 4, 4)).astype(np.float32)
    feed = {"x": picture, "o": offset, "m": mask, "w": np.full((1, 1, 1, 1), 3, np.float32)}
    below = np.concatenate([picture[:, :, 1:], np.zeros((1, 1, 1, 4), np.float32)], axis=2)
    try:
        answer = _run(_open(graph, provider, alone=True), feed)
    except GraphError as error:
        _log.debug("%s has no DeformConv: %s", name, error)
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
