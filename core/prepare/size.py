"""Another input size for a network whose file fixes one.

Matches networks like U-2-Net and IS-Net: one square picture comes in, and each operator answers
for the size of what it gets (convolutions, pooling, sums and products with numbers that are the
same at every pixel, joining of channels). The one place where a size stands is the constant
``sizes`` of their ``Resize`` nodes: all four axes, or height and width joined to two axes of
another value's ``Shape``. It is scaled as the input is, which must come out even. Sizes that are
picked from the ``Shape`` of other values follow by themselves.

A network that leaves its size free, and holds no such constant, needs no change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ..errors import GraphError
from .model import INT64, Model, Node, Value, make_tensor, with_attribute
from .wiring import Wiring, wiring

MULTIPLE = 32
"""Five halvings: what the networks of the registry take."""

# fmt: off
_ANY_SIZE = frozenset((
    "AveragePool", "BatchNormalization", "Cast", "Constant", "Conv", "ConvTranspose", "Dropout",
    "Identity", "LeakyRelu", "MaxPool", "Relu", "Sigmoid", "Tanh",
))
# fmt: on
_PICKING = frozenset(("Cast", "Concat", "Gather", "Shape", "Slice", "Squeeze", "Unsqueeze"))
_NUMBERWISE = frozenset(("Add", "Div", "Mul", "PRelu", "Sub"))


def native_side(model: Model) -> int | None:
    """Return the height and width that a network declares; None where it leaves them free.

    Raises
    ------
    GraphError
        If its input is no picture, or not square.
    """
    shape = _picture(model).shape or ()
    if len(shape) != 4 or shape[1] != 3:
        raise GraphError("its input is not one picture of three channels")
    height, width = shape[2:]
    if height != width:
        raise GraphError(f"its input is not square, but {height}x{width}")
    return height


def _picture(model: Model) -> Value:
    constants = {tensor.name for tensor in model.tensors}  # old files list them as inputs, too
    pictures = [value for value in model.inputs if value.name not in constants]
    if len(pictures) != 1:
        raise GraphError(f"it takes {len(pictures)} inputs")
    return pictures[0]


def with_side(model: Model, side: int) -> Model:
    """Return the network for pictures of another height and width.

    Parameters
    ----------
    side
        Pixels.

    Raises
    ------
    GraphError
        If it does not match, see the module's text; it says why.
    """
    native = native_side(model)
    if native == side:
        return model
    edges = wiring(model)
    constants = {name for node in model.nodes for name in _fixed_sizes(edges, node)}
    if native is None:
        if constants:
            raise GraphError("it declares no size of its input, but keeps sizes inside")
        return model
    if side > native:
        raise GraphError(f"it is larger than the network's own, {native}")
    _check_operators(model, edges, constants)

    def scaled(length: int) -> int:
        if length * side % native:
            raise GraphError(f"a side of {length} pixels inside of it would be no whole number")
        return length * side // native

    changed: dict[str, NDArray[Any]] = {}
    for name in constants:
        values = edges.constant(name).copy()
        values[-2:] = [scaled(int(length)) for length in values[-2:]]
        changed[name] = values
    picture = _picture(model)
    return replace(
        model,
        nodes=tuple(_with_constant(node, changed) for node in model.nodes),
        tensors=tuple(
            make_tensor(tensor.name, changed[tensor.name]) if tensor.name in changed else tensor
            for tensor in model.tensors
        ),
        inputs=tuple(
            Value(value.name, value.kind, (*(value.shape or ())[:2], side, side))
            if value is picture
            else value
            for value in model.inputs
        ),
        outputs=tuple(
            Value(value.name, value.kind, _scaled_shape(value, scaled)) for value in model.outputs
        ),
        between=(),  # it is worked out anew
    )


def _scaled_shape(value: Value, scaled: Any) -> tuple[int | None, ...] | None:
    shape = value.shape
    if shape is None or len(shape) != 4:
        raise GraphError(f"its output {value.name!r} is no picture")
    return (*shape[:2], *(None if axis is None else scaled(axis) for axis in shape[2:]))


def _with_constant(node: Node, changed: dict[str, NDArray[Any]]) -> Node:
    name = node.outputs[0] if node.op == "Constant" and node.outputs else ""
    if name not in changed:
        return node
    return with_attribute(node, "value", make_tensor("", changed[name]))


def _check_operators(model: Model, edges: Wiring, sizes: set[str]) -> None:
    """Raise GraphError if an operator may depend on the size of what it gets."""
    chains: set[str] = set()  # values that are sizes, on their way to a Resize
    for node in model.nodes:
        if node.op == "Resize":
            chains |= _chain(edges, node)
    for name in chains & edges.constants.keys():
        if name in sizes and any(not _is_for_sizes(user, chains) for user in edges.users[name]):
            raise GraphError(f"the size {name!r} is used for something else, too")
    for node in model.nodes:
        if node.op in _ANY_SIZE or node.op == "Resize":
            continue
        if node.op in _NUMBERWISE:
            for name in node.inputs:
                tensor = edges.constants.get(name)
                if tensor is not None and any(axis != 1 for axis in tensor.shape[-2:]):
                    raise GraphError(f"{node.name or node.op} has an own number for each pixel")
        elif not (node.op == "Concat" and node.value("axis") == 1) and not (
            node.op in _PICKING and set(node.outputs) <= chains
        ):
            raise GraphError(f"{node.name or node.op} is an operator that may depend on the size")


def _is_for_sizes(user: Node, chains: set[str]) -> bool:
    return user.op == "Resize" or (user.op == "Concat" and set(user.outputs) <= chains)


def _sizes(node: Node) -> str:
    return node.inputs[3] if node.op == "Resize" and len(node.inputs) > 3 else ""


def _fixed_sizes(edges: Wiring, node: Node) -> list[str]:
    """Return the constants that say a Resize node's height and width."""
    name = _sizes(node)
    if not name:
        return []
    if name in edges.constants:
        parts = [name]
    else:
        maker = edges.makers.get(name)
        inputs = maker.inputs if maker is not None and maker.op == "Concat" else ()
        # before them may stand the picture's number and channels, which are fixed
        parts = [part for part in inputs[len(inputs) // 2 :] if part in edges.constants]
    return [part for part in parts if edges.constants[part].kind == INT64]


def _chain(edges: Wiring, node: Node) -> set[str]:
    """Return the values that lead to a Resize node's sizes.

    Raises
    ------
    GraphError
        If they are not what the module's text says.
    """
    name = _sizes(node)
    if not name:
        if len(node.inputs) > 2 and node.inputs[2] in edges.constants:
            return set()  # a factor, which holds for every size
        raise GraphError(f"{node.name or node.op} takes its size from somewhere unknown")
    if name in edges.constants:
        if edges.constants[name].shape != (4,):
            raise GraphError(f"{node.name or node.op} has sizes that are not understood")
        return {name}
    joined = edges.makers.get(name)
    if joined is None or joined.op != "Concat" or not set(joined.inputs) & edges.constants.keys():
        return _picked(edges, name)
    first, second = joined.inputs if len(joined.inputs) == 2 else ("", "")
    known = edges.constants.get(second)
    if joined.value("axis") != 0 or known is None or known.shape != (2,):
        raise GraphError(f"{joined.name or joined.op} joins sizes in an unknown way")
    return {name, second, *_picked(edges, first)}


def _picked(edges: Wiring, name: str) -> set[str]:
    """Return the values that lead to one which is picked from shapes, and changed in no way."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        value = waiting.pop()
        if value in found:
            continue
        found.add(value)
        node = edges.makers.get(value)
        if node is None or node.op not in _PICKING or not node.inputs:
            raise GraphError(f"the size {value!r} comes from somewhere unknown")
        if node.op == "Cast" and node.value("to") != INT64:
            raise GraphError(f"the size {value!r} is no whole number")
        if node.op == "Shape":
            continue
        parts = node.inputs if node.op == "Concat" else node.inputs[:1]
        places = node.inputs[len(parts) :]
        if any(each and each not in edges.constants for each in places):
            raise GraphError(f"{node.name or node.op} picks from a shape in an unknown way")
        found.update(places)
        waiting += parts
    return found
