"""A copy of a network that computes in int8, made with ONNX Runtime's own tools.

Static, per channel, and with QDQ nodes, as ONNX Runtime's documentation recommends for CPUs: see
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html. The tools need the
package ``onnx``, which is an extra.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError, OptionError
from ..runtime.library import import_onnxruntime
from ..text import quotable
from .half import widen
from .reading import read_model
from .writing import data_of, pieces

_OPERATORS = ["Conv", "Gemm", "MatMul"]  # nearly all of the work

# Weights keep 7 bits: x86 processors without VNNI add pairs of products in 16 bits, which 8 bits
# overflow. A small IS-Net's answers then were off by 0.35 to 0.52 of their deviation, instead of
# 0.02 to 0.04, and by no less than that with 8 bits where nothing overflows.
_REDUCE_RANGE = True


def quantise(
    source: Path, feeds: Iterable[Mapping[str, NDArray[np.float32]]], target: Path
) -> None:
    """Write a copy of a network that computes in int8.

    Parameters
    ----------
    source
        The .onnx file, of float32 or float16.
    feeds
        What it is given for each picture that the ranges of its values are taken from.
    target
        Where to write to.

    Raises
    ------
    OptionError
        If the extra ``optimize`` is not installed, or the network cannot be changed.
    """
    tools = _tools()
    with tempfile.TemporaryDirectory(prefix="rembg-sessions-") as name:
        wide, ready = Path(name) / "wide.onnx", Path(name) / "ready.onnx"
        try:
            model = read_model(memoryview(source.read_bytes()))
            with wide.open("wb") as stream:
                for piece in pieces(widen(model) or model):
                    stream.write(data_of(piece))
            tools.quant_pre_process(wide, ready, skip_symbolic_shape=True)
            tools.quantize_static(
                ready,
                target,
                _Feeds(feeds),
                quant_format=tools.QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                per_channel=True,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                reduce_range=_REDUCE_RANGE,
            )
        except (GraphError, ValueError, RuntimeError) as error:
            raise OptionError(
                f"{source.name} cannot be brought to int8: {quotable(str(error))}"
            ) from error


def _tools() -> Any:
    import_onnxruntime()
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise OptionError(
            f"Bringing a network to int8 needs the package onnx ({quotable(str(error))}): install "
            "it, or the pack as rembg-sessions[optimize]."
        ) from error
    return quantization


class _Feeds:
    """What ONNX Runtime's tools ask for one picture after the other."""

    def __init__(self, feeds: Iterable[Mapping[str, NDArray[np.float32]]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Mapping[str, NDArray[np.float32]] | None:
        """Return the next picture's; None after the last."""
        return next(self._feeds, None)
