"""Weights of float16, and what is computed with them, become float32.

The CPU has no float16 arithmetic: ONNX Runtime converts every number back and forth between two
nodes. IS-Net's file of float16 weights took 0.94 to 0.96 of its time after this. It is done on
request only, because masks change by a level or two, and the file becomes twice as large.

Matches networks whose nodes are all of the operators below, at least one of whose weights is
float16. Changed are arrays, casts, and declared types of float16: each becomes float32. So results
differ by what float16 would have rounded away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .model import FLOAT, FLOAT16, Attribute, Model, Node, Tensor, Value, Widened

# Those of convolutional networks and transformers that compute in whatever type comes in. Not
# among them: operators with a type of their own in an attribute (EyeLike, RandomNormal), whose
# inputs are told apart by type, or that are about the bits of a number.
# fmt: off
OPERATORS = frozenset((
    "Abs", "Add", "And", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip",
    "Concat", "Constant", "ConstantOfShape", "Conv", "ConvTranspose", "Cos", "DeformConv",
    "DepthToSpace", "Div", "Dropout", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand",
    "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "HardSigmoid",
    "HardSwish", "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "MatMul", "Max", "MaxPool", "Min", "Mod", "Mul", "Neg", "Not", "Or",
    "Pad", "Pow", "PRelu", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceSum", "Relu", "Reshape", "Resize", "ScatterND", "Shape", "Sigmoid", "Sign", "Sin",
    "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tanh", "Tile", "Transpose", "Unsqueeze", "Where",
))
# fmt: on


def widen(model: Model) -> Model | None:
    """Return the network in float32; None if it does not match, see the module's text.

    The numbers are converted where they are written, one array after another.
    """
    arrays = [*model.tensors, *_constants(model.nodes)]
    if not any(each.kind == FLOAT16 for each in arrays):
        return None
    if any(node.op not in OPERATORS for node in model.nodes):
        return None
    if any(each.kind == FLOAT16 and each.data is None for each in arrays):
        return None
    return replace(
        model,
        nodes=tuple(map(_node, model.nodes)),
        tensors=tuple(map(_tensor, model.tensors)),
        inputs=tuple(map(_value, model.inputs)),
        outputs=tuple(map(_value, model.outputs)),
        between=tuple(map(_value, model.between)),
    )


def _constants(nodes: Iterable[Node]) -> list[Tensor]:
    values = [each.value for node in nodes for each in node.attributes]
    return [value for value in values if isinstance(value, Tensor)]


def _tensor(tensor: Tensor) -> Tensor:
    if tensor.kind != FLOAT16 or not isinstance(tensor.data, memoryview):
        return tensor
    return Tensor(tensor.name, tensor.shape, FLOAT, Widened(tensor.data))


def _value(value: Value) -> Value:
    return Value(value.name, FLOAT, value.shape) if value.kind == FLOAT16 else value


def _node(node: Node) -> Node:
    attributes: list[Attribute] = []
    for each in node.attributes:
        if isinstance(each.value, Tensor) and each.value.kind == FLOAT16:
            attributes.append(Attribute(each.name, _tensor(each.value)))
        elif node.op == "Cast" and each.name == "to" and each.value == FLOAT16:
            attributes.append(Attribute(each.name, FLOAT))
        else:
            attributes.append(each)
    changed = any(new is not old for new, old in zip(attributes, node.attributes, strict=True))
    return replace(node, attributes=tuple(attributes), raw=None) if changed else node
