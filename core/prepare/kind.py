"""What kind of network a user's file is, told from its operations, or by the user."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..errors import GraphError
from ..weights.filesystem import remove, replace, stamp
from . import cache
from .structure import Structure, read_structure

# Parts of the names of operations or weights, as PyTorch exports the authors' code: all of them
# must be there. MVANet's are those of BEN, which was made from it.
_PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "IS-Net": ("conv_in/", "rebnconvin/"),
        "U-2-Net": ("rebnconvin/",),
        "BiRefNet": ("bb/", "decoder/", "squeeze_module"),
        "BEN": ("multifieldcrossatt/", "insmask_head/"),
    }
)
FAMILIES = tuple(_PARTS)
"""The kinds that are told apart."""

# What may follow the last step of a network, and keeps numbers between 0 and 1 there.
# fmt: off
_KEEPS_RANGE = frozenset((
    "Cast", "Gather", "Identity", "Reshape", "Resize", "Slice", "Squeeze", "Transpose", "Unsqueeze",
))
# fmt: on
# Where names are lost. BiRefNet's twenty deformable convolutions, as one operator or as four
# GatherND each; U-2-Net and IS-Net are the ones without attention, and look at one size each.
_FROM_BIREFNET = {"DeformConv": 1, "GatherND": 80}
_ATTENTION = frozenset(("Einsum", "Gemm", "MatMul", "Softmax"))
_U2NET_SHAPE, _ISNET_SHAPE = (1, 3, 320, 320), (1, 3, 1024, 1024)
_ISNET_OUTPUTS = 6

_LARGEST_NOTE = 100  # bytes
_LONGEST_NAME = 200  # most file systems take 255 characters


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file says of itself.

    Attributes
    ----------
    family
        One of ``FAMILIES``; empty where it cannot be told.
    is_named
        Whether names say so, not only shapes, which another network may have, too.
    last
        The operator that its first output comes from: ``"Sigmoid"`` where that is 0..1.
    """

    family: str = ""
    is_named: bool = False
    last: str = ""


def kind_of(path: Path) -> Kind:
    """Return what kind of network a file is; nothing is known of one that cannot be read.

    Its weights are not read, and nothing twice in a process unless the file has changed.
    """
    try:
        now = stamp(path)
        if now not in _kinds:
            _kinds[now] = _kind_of(read_structure(path))
        return _kinds[now]
    except (GraphError, OSError):
        return Kind()


_kinds: dict[tuple[object, ...], Kind] = {}


def _kind_of(structure: Structure) -> Kind:
    makers = {output: node for node in structure.nodes for output in node.outputs}
    node = makers.get(structure.outputs[0].name) if structure.outputs else None
    for _ in structure.nodes:  # a damaged network may go round in circles
        if node is None or node.op not in _KEEPS_RANGE or not node.inputs:
            break
        node = makers.get(node.inputs[0])
    else:
        node = None
    last = "" if node is None else node.op
    family = _family_by_names(structure)
    return Kind(family or _family_by_shapes(structure, last), bool(family), last)


def _family_by_names(structure: Structure) -> str:
    names = [node.name for node in structure.nodes]
    names += [name.replace(".", "/") for name in structure.tensors]
    for family, parts in _PARTS.items():
        if all(any(part in name for name in names) for part in parts):
            return family
    return ""


def _family_by_shapes(structure: Structure, last: str) -> str:
    operators = Counter(node.op for node in structure.nodes)
    if any(operators[op] >= count for op, count in _FROM_BIREFNET.items()):
        return "BiRefNet"
    pictures = [each for each in structure.inputs if each.name not in structure.tensors]
    if last != "Sigmoid" or len(pictures) != 1 or _ATTENTION & operators.keys():
        return ""
    if pictures[0].shape == _U2NET_SHAPE:
        return "U-2-Net"
    is_isnet = pictures[0].shape == _ISNET_SHAPE and len(structure.outputs) >= _ISNET_OUTPUTS
    return "IS-Net" if is_isnet else ""


# -- what the user has said --------------------------------------------------------------------


def told_family(path: Path) -> str:
    """Return the kind that a file was last used as, see :func:`tell`; empty if none is known."""
    for note in _notes(path):
        with suppress(OSError, UnicodeDecodeError), note.open("rb") as stream:
            told = stream.read(_LARGEST_NOTE).decode().strip()
            # another file may have taken the name
            family = told.removesuffix(f" of {path.stat().st_size} bytes")
            if family in FAMILIES:
                return family
    return ""


def tell(path: Path, family: str) -> None:
    """Remember the kind of a file that does not say it itself.

    A note is kept beside the file, ``my.onnx.kind``; in the user's cache where that folder cannot
    be written to. Where nothing can, it is forgotten.
    """
    if told_family(path) == family:
        return
    for note in _notes(path):
        part = note.with_name(f"{note.name}.{uuid.uuid4().hex}")
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(f"{family} of {path.stat().st_size} bytes\n", "utf-8")
            replace(part, note)
        except OSError:
            with suppress(OSError):
                remove(part, missing_ok=True)
        else:
            return


def _notes(path: Path) -> list[Path]:
    """Return where a note about a file may be."""
    beside = path.with_name(f"{path.name[:_LONGEST_NAME]}.kind")
    return [beside, *(folder / beside.name for folder in cache.folders(path)[1:])]
