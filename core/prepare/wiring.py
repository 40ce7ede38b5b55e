"""What makes and what uses each value of a graph, and which values are constants."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from ..errors import GraphError
from .model import Model, Node, Tensor, array


@dataclass(frozen=True, slots=True)
class Wiring:
    """The edges of a graph, by the name of the value that flows there."""

    makers: dict[str, Node]
    users: dict[str, list[Node]]
    constants: dict[str, Tensor]

    def maker(self, name: str, op: str) -> Node:
        """Return the node of an operator that makes a value of others.

        Raises
        ------
        GraphError
            If something else makes it.
        """
        node = self.makers.get(name)
        if node is None or node.op != op or not node.inputs:
            raise GraphError(f"{name!r} comes from no {op}")
        return node

    def constant(self, name: str) -> NDArray[Any]:
        """Return the numbers of a constant.

        Raises
        ------
        GraphError
            If it is none, or not of a type that is understood.
        """
        tensor = self.constants.get(name)
        values = None if tensor is None else array(tensor)
        if values is None:
            raise GraphError(f"{name!r} is no constant")
        return values


def wiring(model: Model) -> Wiring:
    """Return the edges of a graph.

    Raises
    ------
    GraphError
        If a value is made twice.
    """
    makers: dict[str, Node] = {}
    users: dict[str, list[Node]] = {}
    constants = {tensor.name: tensor for tensor in model.tensors}
    for node in model.nodes:
        for name in node.outputs:
            if name and (name in makers or name in constants):
                raise GraphError(f"{name!r} is made twice")
            makers[name] = node
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    for node in model.nodes:
        value = node.value("value")
        if node.op == "Constant" and isinstance(value, Tensor) and len(node.outputs) == 1:
            constants[node.outputs[0]] = value
    return Wiring(makers, users, constants)


def without_unused(model: Model) -> Model:
    """Return a graph without the nodes and constants that nothing uses any more."""
    wanted = {value.name for value in model.outputs}
    makers = {name: node for node in model.nodes for name in node.outputs if name}
    waiting = list(wanted)
    while waiting:
        node = makers.get(waiting.pop())
        new = set(node.inputs) - wanted if node is not None else ()
        wanted.update(new)
        waiting += new
    return replace(
        model,
        nodes=tuple(node for node in model.nodes if _any_of(node.outputs, wanted)),
        tensors=tuple(tensor for tensor in model.tensors if tensor.name in wanted),
        between=tuple(value for value in model.between if value.name in wanted),
    )


def _any_of(names: tuple[str, ...], wanted: Container[str]) -> bool:
    return any(name and name in wanted for name in names)
