"""What kind of network a user's file is, told from its operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..errors import GraphError
from .model import Model
from .reading import read_model

# Parts of the names of operations, as PyTorch exports the authors' code: all of them must be there.
_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "IS-Net": ("conv_in/", "rebnconvin/"),
        "U-2-Net": ("rebnconvin/",),
        "BiRefNet": ("bb/", "decoder/", "squeeze_module"),
    }
)
# What may follow the last step of a network, and changes no value.
_CHANGES_NOTHING = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file says of itself.

    Attributes
    ----------
    family
        ``"U-2-Net"``, ``"IS-Net"`` or ``"BiRefNet"``; empty where it cannot be told.
    has_sigmoid
        Whether its first output has gone through a sigmoid and is 0..1.
    """

    family: str = ""
    has_sigmoid: bool = False


def kind_of(path: Path) -> Kind:
    """Return what kind of network a file is; nothing is known of one that cannot be read."""
    try:
        return _kind_of(read_model(memoryview(path.read_bytes())))
    except (GraphError, OSError):
        return Kind()


def _kind_of(model: Model) -> Kind:
    names = [node.name for node in model.nodes]
    family = ""
    for each, parts in _PARTS.items():
        if all(any(part in name for name in names) for part in parts):
            family = each
            break
    makers = {output: node for node in model.nodes for output in node.outputs}
    node = makers.get(model.outputs[0].name) if model.outputs else None
    for _ in model.nodes:  # a damaged network may go round in circles
        if node is None or node.op not in _CHANGES_NOTHING or not node.inputs:
            break
        node = makers.get(node.inputs[0])
    return Kind(family, has_sigmoid=node is not None and node.op == "Sigmoid")
