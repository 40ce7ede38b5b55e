"""From the bytes of an .onnx file to its graph.

Weights are windows into the file: reading a network of a gigabyte reads what lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import GraphError
from .model import (
    DTYPES,
    FLOAT,
    FLOAT16,
    INT64,
    INT_ATTRIBUTE,
    INTS_ATTRIBUTE,
    TENSOR_ATTRIBUTE,
    TEXT_ATTRIBUTE,
    Attribute,
    AttributeValue,
    Model,
    Node,
    Tensor,
    Value,
)
from .wire import Budget, Field, content, fields, number, numbers, text

_MOST_AXES = 16


def read_model(data: memoryview) -> Model:
    """Read the bytes of an .onnx file.

    The result holds windows into ``data``.

    Raises
    ------
    GraphError
        If it is no network, or one of a kind that is not rewritten: with operators of other
        domains than ONNX's, graphs inside of nodes, functions, or weights in another file.
    """
    budget = Budget()
    found = fields(data, budget)
    graphs = [each for each in found if each.number == 7]
    opsets = [_read_opset(content(each), budget) for each in found if each.number == 8]
    if len(graphs) != 1 or len(opsets) != 1 or opsets[0][0] not in ("", "ai.onnx"):
        raise GraphError("it is no network of ONNX's own operators alone")
    if any(each.number in (20, 25) for each in found):
        raise GraphError("it holds functions, or what it was trained with")
    parts = fields(content(graphs[0]), budget)

    def messages(wanted: int) -> list[memoryview]:
        return [content(each) for each in parts if each.number == wanted]

    return Model(
        ir_version=max([number(each) for each in found if each.number == 1], default=0),
        opset=opsets[0][1],
        nodes=tuple(_read_node(each, budget) for each in messages(1)),
        tensors=tuple(_read_tensor(each, budget) for each in messages(5)),
        inputs=tuple(read_value(each, budget) for each in messages(11)),
        outputs=tuple(read_value(each, budget) for each in messages(12)),
        between=tuple(read_value(each, budget) for each in messages(13)),
        graph_others=tuple(each for each in parts if each.number not in (1, 5, 11, 12, 13)),
        others=tuple(each for each in found if each.number != 7),
    )


def _read_opset(data: memoryview, budget: Budget) -> tuple[str, int]:
    domain, version = "", 0
    for each in fields(data, budget):
        if each.number == 1:
            domain = text(each)
        elif each.number == 2:
            version = number(each)
    return domain, version


def _read_node(data: memoryview, budget: Budget) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[Attribute] = []
    others: list[memoryview] = []
    words = {3: "", 4: "", 7: ""}
    for each in fields(data, budget):
        if each.number == 1:
            inputs.append(text(each))
        elif each.number == 2:
            outputs.append(text(each))
        elif each.number == 5:
            attributes.append(_read_attribute(content(each), budget))
        elif each.number in words:
            words[each.number] = text(each)
        else:
            others.append(each.raw)
    if words[7] not in ("", "ai.onnx"):
        raise GraphError(f"it uses operators of {words[7]!r}")
    return Node(
        op=words[4],
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        name=words[3],
        domain=words[7],
        attributes=tuple(attributes),
        others=tuple(others),
        raw=data,
    )


def _read_attribute(data: memoryview, budget: Budget) -> Attribute:
    found = fields(data, budget)
    if any(each.number in (6, 11) for each in found):
        raise GraphError("its nodes hold graphs")
    name = next((text(each) for each in found if each.number == 1), "")
    kind = next((number(each) for each in found if each.number == 20), 0)
    value: AttributeValue | None = None
    if kind == INT_ATTRIBUTE:
        # zero is what a number is that is not written
        value = next((number(each) for each in found if each.number == 3), 0)
    elif kind == INTS_ATTRIBUTE:
        value = tuple(numbers((each for each in found if each.number == 8), budget))
    elif kind == TEXT_ATTRIBUTE:
        value = next((text(each) for each in found if each.number == 4), "")
    elif kind == TENSOR_ATTRIBUTE:
        tensors = [content(each) for each in found if each.number == 5]
        value = _read_tensor(tensors[-1], budget) if tensors else None
    return Attribute(name, value, data)


def _read_tensor(data: memoryview, budget: Budget) -> Tensor:
    found = fields(data, budget)
    by_number = {each.number: each for each in found}
    if 13 in by_number or (14 in by_number and number(by_number[14]) != 0):
        raise GraphError("its weights lie in another file")
    if 3 in by_number:
        raise GraphError("its weights are cut into pieces")
    shape = tuple(numbers((each for each in found if each.number == 1), budget))
    kind = number(by_number[2]) if 2 in by_number else 0
    if len(shape) > _MOST_AXES or min(shape, default=0) < 0:
        raise GraphError(f"it holds an array of shape {shape[:_MOST_AXES]}")
    name = text(by_number[8]) if 8 in by_number else ""
    values = _values(kind, found, by_number.get(9), budget)
    size = DTYPES[kind].itemsize if kind in DTYPES else 0
    for axis in shape:
        size *= axis
        if values is None or size > len(values):
            break
    if values is not None and size != len(values):
        raise GraphError(f"the array {name!r} has another number of values than its shape says")
    return Tensor(name, shape, kind, values, data)


def _values(
    kind: int, found: Sequence[Field], raw: Field | None, budget: Budget
) -> memoryview | None:
    """Return the bytes of a tensor's numbers, of the types that are understood."""
    if kind not in DTYPES:
        return None
    if raw is not None:
        return content(raw)
    # float_data is written as it lies in memory where it is packed, and it always is
    if kind == FLOAT:
        packed = [content(each) for each in found if each.number == 4]
        return packed[0] if len(packed) == 1 else memoryview(b"".join(packed))
    # int32_data holds the bits of float16
    listed = numbers((each for each in found if each.number == (7 if kind == INT64 else 5)), budget)
    if kind == FLOAT16:
        listed = [bits & 0xFFFF for bits in listed]
        return memoryview(np.array(listed, "<u2").tobytes())
    return memoryview(np.array(listed, "<i8").tobytes())


def read_value(data: memoryview, budget: Budget) -> Value:
    """Read a ValueInfoProto: name, and type → tensor type → element type, shape → axes."""
    name, kind = "", 0
    shape: tuple[int | None, ...] | None = None
    for each in fields(data, budget):
        if each.number == 1:
            name = text(each)
        elif each.number == 2:
            for type_field in fields(content(each), budget):
                if type_field.number != 1:
                    continue
                for part in fields(content(type_field), budget):
                    if part.number == 1:
                        kind = number(part)
                    elif part.number == 2:
                        axes = fields(content(part), budget)
                        shape = tuple(_read_axis(content(axis), budget) for axis in axes)
    return Value(name, kind, shape, data)


def _read_axis(data: memoryview, budget: Budget) -> int | None:
    lengths = [number(each) for each in fields(data, budget) if each.number == 1]
    return lengths[-1] if lengths else None
