"""ONNX's messages, as far as rewriting a graph needs them.

What else they hold is kept as the same bytes. Field numbers, in this module and in those that read
and write, are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError
from .wire import Field, bytes_field, number_field

FLOAT, INT64, FLOAT16 = 1, 7, 10
"""TensorProto.DataType."""
DTYPES = {FLOAT: np.dtype("<f4"), INT64: np.dtype("<i8"), FLOAT16: np.dtype("<f2")}
"""The types whose numbers are understood."""


# AttributeProto.AttributeType
INT_ATTRIBUTE, TEXT_ATTRIBUTE, TENSOR_ATTRIBUTE, INTS_ATTRIBUTE = 2, 3, 4, 7


@dataclass(frozen=True, slots=True)
class Widened:
    """float16 numbers that become float32 where they are written.

    Attributes
    ----------
    halves
        Their bytes, little-endian.
    """

    halves: memoryview

    def __len__(self) -> int:
        return 2 * len(self.halves)

    def data(self) -> memoryview:
        """Return the bytes of the float32 numbers."""
        numbers: Any = np.frombuffer(self.halves, "<f2").astype("<f4")
        return memoryview(numbers).cast("B")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array that is part of the file.

    Attributes
    ----------
    kind
        TensorProto.DataType.
    data
        The numbers' bytes, little-endian; None where they are kept in another way, or in another
        file.
    raw
        The whole message as it was read; None for one that is changed.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    data: memoryview | Widened | None = field(repr=False)
    raw: memoryview | None = field(default=None, repr=False)


AttributeValue: TypeAlias = "int | str | tuple[int, ...] | Tensor"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A constant of a node; ``value`` is None for a kind that is kept as ``raw`` alone."""

    name: str
    value: AttributeValue | None
    raw: memoryview | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation; ``raw`` is the whole message, None for one that is changed or made."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = ""
    domain: str = ""
    attributes: tuple[Attribute, ...] = ()
    others: tuple[memoryview, ...] = field(default=(), repr=False)
    raw: memoryview | None = field(default=None, repr=False)

    def value(self, name: str) -> AttributeValue | None:
        """Return the value of an attribute; None where it is not set, or of another kind."""
        return next((each.value for each in self.attributes if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Value:
    """The declared type of an input, an output, or what flows between nodes.

    Attributes
    ----------
    kind
        TensorProto.DataType; 0 for what is no tensor.
    shape
        None for an axis of any length; all of it None where no shape is declared.
    """

    name: str
    kind: int
    shape: tuple[int | None, ...] | None
    raw: memoryview | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Model:
    """A network: its graph, the version of its operators, and what else the file holds.

    ``graph_others`` and ``others`` are fields as they came, by number.
    """

    ir_version: int
    opset: int
    nodes: tuple[Node, ...] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    between: tuple[Value, ...] = field(repr=False)
    graph_others: tuple[Field, ...] = field(default=(), repr=False)
    others: tuple[Field, ...] = field(default=(), repr=False)


def array(tensor: Tensor) -> NDArray[np.generic] | None:
    """Return the numbers of a tensor; None for types that are not understood.

    Raises
    ------
    GraphError
        If it is one that is yet to be widened.
    """
    if tensor.data is None:
        return None
    if isinstance(tensor.data, Widened):
        raise GraphError(f"the array {tensor.name!r} is not there yet")
    return np.frombuffer(tensor.data, DTYPES[tensor.kind]).reshape(tensor.shape)


def make_tensor(name: str, values: NDArray[np.generic]) -> Tensor:
    """Return an array as a tensor: float32, float16 or int64."""
    kind = next(kind for kind, dtype in DTYPES.items() if dtype == values.dtype)
    return Tensor(name, values.shape, kind, memoryview(values.tobytes()))


def make_node(
    op: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    name: str = "",
    **attributes: AttributeValue,
) -> Node:
    """Return a node."""
    values = tuple(Attribute(key, value) for key, value in attributes.items())
    return Node(op, tuple(inputs), tuple(outputs), name, attributes=values)


def with_attribute(node: Node, name: str, value: AttributeValue) -> Node:
    """Return a node with another value of an attribute that it has."""
    attributes = tuple(
        Attribute(name, value) if each.name == name else each for each in node.attributes
    )
    return replace(node, attributes=attributes, raw=None)


def with_opset(model: Model, opset: int, ir_version: int) -> Model:
    """Return a model with another version of its operators and, at least, of its file format."""
    ir_version = max(model.ir_version, ir_version)
    versions = {1: number_field(1, ir_version), 8: bytes_field(8, number_field(2, opset))}
    others = [each for each in model.others if each.number not in versions]
    for place, raw in versions.items():
        others.append(Field(place, 0, memoryview(raw)))
    return replace(model, opset=opset, ir_version=ir_version, others=tuple(others))
