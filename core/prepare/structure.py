"""What an .onnx file computes, without the numbers it computes with.

A network of a gigabyte has a megabyte of structure. What lies between is passed over, not read, so
that many files can be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import GraphError
from .model import Node, Value
from .reading import read_value
from .wire import (
    EIGHT_BYTES,
    FOUR_BYTES,
    LENGTH,
    VARINT,
    Budget,
    fields,
    read_varint,
    text,
)

_LONGEST_HEAD = 20  # bytes: a number of a field, and a length
# A node of more is a constant with its numbers.
_LARGEST_NODE = 1 << 16


@dataclass(frozen=True, slots=True)
class Structure:
    """A network without its weights.

    Attributes
    ----------
    nodes
        Its operations, without their attributes; large constants are left out.
    tensors
        The names of its weights.
    inputs, outputs
        What it declares. Old files list weights as inputs, too.
    """

    nodes: tuple[Node, ...] = field(repr=False)
    tensors: frozenset[str] = field(repr=False)
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_structure(path: Path) -> Structure:
    """Read the structure of an .onnx file.

    Raises
    ------
    GraphError
        If it is no network.
    OSError
        If it cannot be read.
    """
    budget = Budget()
    nodes: list[Node] = []
    tensors: list[str] = []
    values: dict[int, list[Value]] = {11: [], 12: []}
    with path.open("rb") as stream:
        graphs = [each for each in _spans(stream, 0, path.stat().st_size, budget) if each[0] == 7]
        if len(graphs) != 1:
            raise GraphError("it is no network")
        _, first, last = graphs[0]
        for number, start, end in _spans(stream, first, last, budget):
            if number == 5:
                for part, begins, ends in _spans(stream, start, end, budget):
                    if part == 8:
                        tensors.append(str(_read(stream, begins, ends), "utf-8", "replace"))
            elif number == 1 and end - start <= _LARGEST_NODE:
                nodes.append(_node(_read(stream, start, end), budget))
            elif number in values and end - start <= _LARGEST_NODE:
                values[number].append(read_value(_read(stream, start, end), budget))
    return Structure(tuple(nodes), frozenset(tensors), tuple(values[11]), tuple(values[12]))


def _spans(
    stream: IO[bytes], start: int, end: int, budget: Budget
) -> Iterator[tuple[int, int, int]]:
    """Yield (number, start, end) of each field between two places that has a length."""
    while start < end:
        head = _read(stream, start, min(start + _LONGEST_HEAD, end))
        tag, length = read_varint(head, 0)
        kind = tag & 7
        if kind == LENGTH:
            size, length = read_varint(head, length)
            start += length
            if start + size > end:
                raise GraphError("it ends in the middle")
            yield tag >> 3, start, start + size
            start += size
        elif kind == VARINT:
            start += read_varint(head, length)[1]
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            start += length + (8 if kind == EIGHT_BYTES else 4)
        else:
            raise GraphError("it is no ONNX file")
        budget.spend()


def _read(stream: IO[bytes], start: int, end: int) -> memoryview:
    stream.seek(start)
    data = stream.read(end - start)
    if len(data) < end - start:
        raise GraphError("it ends in the middle")
    return memoryview(data)


def _node(data: memoryview, budget: Budget) -> Node:
    words: dict[int, list[str]] = {number: [] for number in (1, 2, 3, 4, 7)}
    for each in fields(data, budget):
        if each.number in words:
            words[each.number].append(text(each))
    name, op, domain = (words[number][-1] if words[number] else "" for number in (3, 4, 7))
    return Node(op, tuple(words[1]), tuple(words[2]), name, domain)
