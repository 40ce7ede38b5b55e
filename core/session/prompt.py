"""The marks a user points with: points and rectangles, checked, and moved when a picture is."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ..checks import is_list
from ..errors import OptionError
from ..text import short

_EXAMPLE = '[{"type": "point", "label": 1, "data": [120, 80]}]'
_VALUES = {"point": ("[x, y]", 2), "rectangle": ("[x0, y0, x1, y1]", 4)}

_MOST_MARKS = 1000

Mark = dict[str, Any]


def check_prompt(prompt: object, size_hw: tuple[int, int], name: str = "sam_prompt") -> list[Mark]:
    """Check the marks a user gave and bring them into one form.

    Parameters
    ----------
    prompt
        A list of ``{"type": "point", "label": 1, "data": [x, y]}`` (label 1 foreground,
        0 background) and ``{"type": "rectangle", "data": [x0, y0, x1, y1]}`` (any two
        opposite corners; a label is ignored, as in rembg), the same as JSON text, or None
        for one foreground point in the centre. In pixels of the picture as it is shown:
        x from 0 to its width, y from 0 to its height.
    size_hw
        The picture's (height, width).
    name
        What messages call the prompt.

    Returns
    -------
    list of dict
        New marks, values as float, rectangles from top left to bottom right.

    Raises
    ------
    OptionError
        If the prompt is empty or an entry is malformed; the message names the entry.
    """
    height, width = size_hw
    if prompt is None:
        return [{"type": "point", "label": 1, "data": [float(width // 2), float(height // 2)]}]
    entries = prompt
    if isinstance(entries, str):
        try:
            entries = json.loads(entries)
        except (ValueError, RecursionError) as error:
            raise OptionError(
                f"{name} is not valid JSON ({error}): {short(prompt)}. Write it like {_EXAMPLE}."
            ) from error
    if not isinstance(entries, (list, tuple)):
        raise OptionError(
            f"{name} is {short(entries)}. It must be a list of points and rectangles, like "
            f"{_EXAMPLE}."
        )
    if not entries:
        raise OptionError(
            f"{name} is an empty list. Give at least one point or rectangle, or leave "
            f"{name} out to use the centre of the picture."
        )
    items = cast("Sequence[Any]", entries)
    if len(items) > _MOST_MARKS:
        raise OptionError(f"{name} has {len(items)} entries; give at most {_MOST_MARKS}.")
    return [
        _check_mark(entry, f"Entry {number} of {name}", size_hw)
        for number, entry in enumerate(items, 1)
    ]


def _check_mark(entry: Any, where: str, size_hw: tuple[int, int]) -> Mark:
    if not isinstance(entry, dict):
        raise OptionError(
            f"{where} is {short(entry)}. It must be an object with 'type', 'label' and 'data'."
        )
    mark = cast("Mark", entry)
    kind: Any = mark.get("type")
    if not isinstance(kind, str) or kind not in _VALUES:
        raise OptionError(f"{where}: 'type' is {short(kind)}. Use 'point' or 'rectangle'.")
    data = _check_data(mark.get("data"), kind, where, size_hw)
    if kind == "rectangle":
        (left, right), (top, bottom) = sorted(data[0::2]), sorted(data[1::2])
        if left == right or top == bottom:
            raise OptionError(
                f"{where}: the rectangle {short(data)} is empty. "
                "Give two opposite corners that differ in x and in y."
            )
        return {"type": kind, "data": [left, top, right, bottom]}
    label: Any = mark.get("label")
    if not _is_number(label) or label not in (0, 1):
        found = short(label) if "label" in mark else "missing"
        raise OptionError(
            f"{where}: 'label' is {found}. A point needs 1 (foreground) or 0 (background)."
        )
    return {"type": kind, "label": int(label), "data": data}


def _check_data(data: Any, kind: str, where: str, size_hw: tuple[int, int]) -> list[float]:
    form, count = _VALUES[kind]
    shown = short(data)
    values: list[Any] = list(data) if is_list(data) else []
    if len(values) != count or not all(_is_number(value) for value in values):
        raise OptionError(
            f"{where}: 'data' is {shown}. A {kind} needs {form}: {count} numbers, in pixels."
        )
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise OptionError(f"{where}: 'data' is {shown}. All values must be finite.")
    height, width = size_hw
    limits = [width, height] * 2
    if not all(0 <= value <= limit for value, limit in zip(values, limits, strict=False)):
        raise OptionError(
            f"{where}: {shown} is outside the picture, which is {width} pixels wide and "
            f"{height} high. x may be 0 to {width}, y 0 to {height}."
        )
    return [float(value) for value in values]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def scale_prompt(
    marks: Sequence[Mark], from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> list[Mark]:
    """Move checked marks along when their picture is resized.

    Parameters
    ----------
    marks
        What :func:`check_prompt` returned for the picture of size ``from_hw``.
    from_hw, to_hw
        (height, width) before and after.
    """
    # multiplied before it is divided: a mark on the border stays exactly on the border
    ratios = [(to_hw[1], from_hw[1]), (to_hw[0], from_hw[0])] * 2

    def scaled(data: list[float]) -> list[float]:
        return [v * new / old for v, (new, old) in zip(data, ratios, strict=False)]

    return [{**mark, "data": scaled(mark["data"])} for mark in marks]
