"""Protobuf's wire format: a message as its fields, each with the very bytes it came as.

Reading makes no copy: values are windows into the data. Reference: Protocol Buffers, "Encoding",
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import GraphError

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
"""What comes after the number of a field."""
_LONGEST_VARINT = 10  # bytes, of 64 bit

# BiRefNet, the largest network there is, has 25,000 nodes and 234,000 fields. A file of nothing but
# empty fields would take minutes and gigabytes.
MOST_FIELDS = 1_000_000
"""Fields of one file that are looked at."""
# BiRefNet's longest name has 90 characters.
LONGEST_TEXT = 4096
"""Bytes that a name may have."""


class Field(NamedTuple):
    """One field of a message.

    Attributes
    ----------
    number
        Which field, as the .proto file numbers it.
    value
        The number of a varint, 0 <= value < 2**64; else the bytes, without their length.
    raw
        All of the field's bytes, with its number.
    """

    number: int
    value: int | memoryview
    raw: memoryview


class Budget:
    """How many fields of a file may still be looked at.

    Parameters
    ----------
    left
        Fields.
    """

    def __init__(self, left: int = MOST_FIELDS) -> None:
        self.left = left

    def spend(self) -> None:
        """Count one field.

        Raises
        ------
        GraphError
            If there are too many.
        """
        self.left -= 1
        if self.left < 0:
            raise GraphError(f"it has more than {MOST_FIELDS} parts")


def fields(data: memoryview, budget: Budget) -> list[Field]:
    """Return the fields of a message, in the order of the data.

    Raises
    ------
    GraphError
        If the data are no message, end before a field does, or use up the budget.
    """
    found: list[Field] = []
    position, end = 0, len(data)
    while position < end:
        start = position
        tag = data[position]
        if tag < 0x80:
            position += 1
        else:
            tag, position = read_varint(data, position)
        kind, value = tag & 7, memoryview(b"")
        if kind == LENGTH:
            length, position = read_varint(data, position)
            value = data[position : position + length]
            position += length
        elif kind == VARINT:
            value, position = read_varint(data, position)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if kind == EIGHT_BYTES else 4
            value = data[position : position + length]
            position += length
        else:
            raise GraphError("it is no ONNX file")  # a group, which ONNX never had, or nonsense
        if position > end:
            raise GraphError("it ends in the middle")
        found.append(Field(tag >> 3, value, data[start:position]))
        budget.spend()
    return found


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it.

    Raises
    ------
    GraphError
        If there is none, or one of more than 64 bit.
    """
    value = shift = 0
    for byte in data[position : position + _LONGEST_VARINT]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise GraphError("it ends in the middle, or holds a number that is too long")


def number(field: Field) -> int:
    """Return a field's value as a signed number of 64 bit.

    Raises
    ------
    GraphError
        If it is no number.
    """
    if not isinstance(field.value, int):
        raise GraphError("it holds a text where a number belongs")
    return field.value - (1 << 64) if field.value >> 63 else field.value


def content(field: Field) -> memoryview:
    """Return the bytes of a field.

    Raises
    ------
    GraphError
        If it is a number.
    """
    if isinstance(field.value, int):
        raise GraphError("it holds a number where a text belongs")
    return field.value


def text(field: Field) -> str:
    """Return a field's value as text, of at most ``LONGEST_TEXT`` bytes.

    Raises
    ------
    GraphError
        If it is no UTF-8, or longer.
    """
    data = content(field)
    if len(data) > LONGEST_TEXT:
        raise GraphError(f"it holds a name of more than {LONGEST_TEXT} bytes")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise GraphError("it holds a name that is no text") from None


def numbers(found: Iterable[Field], budget: Budget) -> list[int]:
    """Return the signed numbers of a repeated field, packed into bytes or not.

    Raises
    ------
    GraphError
        If they are cut off, or use up the budget.
    """
    result: list[int] = []
    for field in found:
        if isinstance(field.value, int):
            result.append(number(field))
            continue
        position = 0
        while position < len(field.value):
            value, position = read_varint(field.value, position)
            result.append(value - (1 << 64) if value >> 63 else value)
            budget.spend()
    return result


# -- writing ---------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """Return a number as the wire has it; a negative one as 64 bit."""
    value &= 0xFFFFFFFFFFFFFFFF
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def number_field(field: int, value: int) -> bytes:
    """Return a field that holds a number."""
    return varint(field << 3 | VARINT) + varint(value)


def bytes_field(field: int, data: bytes | memoryview | str) -> bytes:
    """Return a field that holds bytes, a text, or a message."""
    if isinstance(data, str):
        data = data.encode()
    return head(field, len(data)) + bytes(data)


def head(field: int, length: int) -> bytes:
    """Return what stands before ``length`` bytes of a field."""
    return varint(field << 3 | LENGTH) + varint(length)
