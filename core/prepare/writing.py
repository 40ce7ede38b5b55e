"""From a graph to the bytes of an .onnx file, in pieces: weights stay where they lie till then."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import GraphError
from .model import (
    INT_ATTRIBUTE,
    INTS_ATTRIBUTE,
    TENSOR_ATTRIBUTE,
    TEXT_ATTRIBUTE,
    Attribute,
    Model,
    Node,
    Tensor,
    Value,
    Widened,
)
from .wire import bytes_field, head, number_field

Piece = bytes | memoryview | Widened
"""A part of a file to be written."""


def pieces(model: Model) -> list[Piece]:
    """Return the bytes of an .onnx file, in order; weights among them are not copied.

    Of a file that was written in the order of its field numbers, as protobuf does, and not
    changed, they are the same bytes.
    """
    graph = _Message()
    for node in model.nodes:
        graph.add(1, *_message(1, _node_pieces(node)))
    for tensor in model.tensors:
        graph.add(5, *_message(5, _tensor_pieces(tensor)))
    for place, values in ((11, model.inputs), (12, model.outputs), (13, model.between)):
        for value in values:
            graph.add(place, bytes_field(place, _value_bytes(value)))
    for each in model.graph_others:
        graph.add(each.number, each.raw)
    whole = _Message()
    whole.add(7, *_message(7, graph.pieces()))
    for each in model.others:
        whole.add(each.number, each.raw)
    return whole.pieces()


class _Message:
    """Fields, given in any order and written in that of their numbers."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[Piece]] = {}

    def add(self, place: int, *pieces: Piece) -> None:
        self._pieces.setdefault(place, []).extend(pieces)

    def pieces(self) -> list[Piece]:
        return [piece for place in sorted(self._pieces) for piece in self._pieces[place]]


def _message(place: int, inner: list[Piece]) -> list[Piece]:
    return [head(place, sum(map(len, inner))), *inner]


def _tensor_pieces(tensor: Tensor) -> list[Piece]:
    if tensor.raw is not None:
        return [tensor.raw]
    start = b"".join(number_field(1, length) for length in tensor.shape)
    start += number_field(2, tensor.kind)
    start += bytes_field(8, tensor.name) if tensor.name else b""
    data = tensor.data
    if data is None:
        raise GraphError(f"the array {tensor.name!r} has no values")
    return [start + head(9, len(data)), data]


def _attribute_pieces(attribute: Attribute) -> list[Piece]:
    if attribute.raw is not None:
        return [attribute.raw]
    name, value = bytes_field(1, attribute.name), attribute.value
    if isinstance(value, Tensor):
        return [name, *_message(5, _tensor_pieces(value)), number_field(20, TENSOR_ATTRIBUTE)]
    if isinstance(value, int):
        return [name + number_field(3, value) + number_field(20, INT_ATTRIBUTE)]
    if isinstance(value, str):
        return [name + bytes_field(4, value) + number_field(20, TEXT_ATTRIBUTE)]
    listed = b"".join(number_field(8, each) for each in value or ())
    return [name + listed + number_field(20, INTS_ATTRIBUTE)]


def _node_pieces(node: Node) -> list[Piece]:
    if node.raw is not None:
        return [node.raw]
    start = b"".join(bytes_field(1, each) for each in node.inputs)
    start += b"".join(bytes_field(2, each) for each in node.outputs)
    start += bytes_field(3, node.name) + bytes_field(4, node.op)
    found: list[Piece] = [start]
    for attribute in node.attributes:
        found += _message(5, _attribute_pieces(attribute))
    end = bytes_field(7, node.domain) if node.domain else b""
    return [*found, end, *node.others]


def _value_bytes(value: Value) -> bytes | memoryview:
    if value.raw is not None:
        return value.raw
    tensor = number_field(1, value.kind)
    if value.shape is not None:
        axes = [b"" if axis is None else number_field(1, axis) for axis in value.shape]
        tensor += bytes_field(2, b"".join(bytes_field(1, axis) for axis in axes))
    return bytes_field(1, value.name) + bytes_field(2, bytes_field(1, tensor))


def size(written: Iterable[Piece]) -> int:
    """Return the bytes that pieces take."""
    return sum(map(len, written))


def data_of(piece: Piece) -> bytes | memoryview:
    """Return the bytes of a piece, those of widened numbers made only now."""
    return piece.data() if isinstance(piece, Widened) else piece
