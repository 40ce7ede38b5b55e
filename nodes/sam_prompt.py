"""The node that tells SAM models what to cut out."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from ..core.checks import is_list
from ..core.errors import OptionError
from ..core.imaging.box import find_box
from ..core.session.prompt import Mark, check_prompt
from ..core.text import short
from . import convert, host

_log = logging.getLogger("rembg_sessions")

PICTURE_SIDE = 1024
"""Longer side at most of the picture that the node shows, in pixels."""

_COORDINATES = '[{"x": 120, "y": 80}]'
_BOX = '{"x": 10, "y": 20, "width": 300, "height": 200}'

Size = tuple[int, int]


class RemBGSAMPrompt:
    """Tells SAM models what to cut out, by marks on the picture."""

    DESCRIPTION = (
        "Tells SAM models what to cut out: click on the picture, left for the subject, right for "
        "the background, or drag a box. Boxes, painted masks and coordinates of other nodes count, "
        "too."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    OUTPUT_NODE = True  # runs alone, so that the picture is there to be clicked on
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("sam_prompt",)
    OUTPUT_TOOLTIPS = (
        "All marks as JSON, for sam_prompt of RemBG Remove Background and RemBG Foreground Mask.",
    )
    SEARCH_ALIASES = [
        *("sam", "segment anything", "points editor", "click", "point prompt", "select object"),
        *("bounding box", "positive points", "negative points", "coordinates"),
    ]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image": (
                    "IMAGE",
                    {
                        "tooltip": "The picture that SAM cuts out. One of Load Image is shown at "
                        "once, any other after a run."
                    },
                ),
                "points": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "tooltip": "Click on the picture: left = subject, right = background; "
                        "drag a box. Kept as JSON in the picture's own pixels. Empty = the centre.",
                    },
                ),
            },
            "optional": {
                "bounding_box": (
                    "BOUNDING_BOX",
                    {
                        "forceInput": True,
                        "tooltip": "A box around the subject, from RemBG Frame Subject or "
                        "ComfyUI's own nodes. SAM takes one box.",
                    },
                ),
                "mask": (
                    "MASK",
                    {
                        "tooltip": "The subject, roughly painted over as a whole, 1 = painted: SAM "
                        "gets the box around it. The mask of Load Image fits as it is."
                    },
                ),
                "coordinates": (
                    "STRING",
                    {
                        "default": "",
                        "forceInput": True,
                        "tooltip": "Points on the subject: a JSON list of x and y in pixels, as "
                        "Points Editor of KJNodes gives it and SAM3 Detect takes it.",
                    },
                ),
                "negative_coordinates": (
                    "STRING",
                    {
                        "default": "",
                        "forceInput": True,
                        "tooltip": "Points on what is not to be cut out, in the same form.",
                    },
                ),
            },
        }

    def execute(
        self,
        image: torch.Tensor,
        points: Any = "",
        bounding_box: Any = None,
        mask: torch.Tensor | None = None,
        coordinates: Any = "",
        negative_coordinates: Any = "",
    ) -> dict[str, Any]:
        image = convert.check_image(image)
        size_hw = (image.shape[1], image.shape[2])
        warnings: list[str] = []
        drawn = _drawn(points, size_hw)
        others = {
            "bounding_box": _boxes(bounding_box, size_hw, warnings.append),
            "mask": [] if mask is None else _painted(mask, len(image), size_hw, warnings.append),
            "coordinates": _points("coordinates", coordinates, 1, size_hw),
            "negative_coordinates": _points(
                "negative_coordinates", negative_coordinates, 0, size_hw
            ),
        }
        _check_one_box({"points": drawn, **others})
        given = [mark for marks in others.values() for mark in marks]
        notes = [f"From other nodes: {_count(given)}."] if given else []
        marks = [*drawn, *given]
        if not marks:
            marks = check_prompt(None, size_hw)
            warnings.append("Nothing is marked: the centre of the picture is used.")
        if all(mark.get("label") == 0 for mark in marks):
            warnings.append("Only background is marked: add a point on the subject, or a box.")
        for warning in warnings:
            _log.warning(warning)
        return {
            "ui": {
                "rembg_warnings": warnings,
                "sam_prompt": [_shown(image[0], drawn, given, notes + warnings)],
            },
            "result": (json.dumps([_tidy(mark) for mark in marks]),),
        }


def _drawn(points: Any, size_hw: Size) -> list[Mark]:
    """Return the marks of the widget, or of what is linked to it."""
    points = points.strip() if isinstance(points, str) else points
    empty = points is None or (isinstance(points, (str, list)) and points in ("", "[]", []))
    return [] if empty else check_prompt(points, size_hw, "points")


def _points(name: str, text: Any, label: int, size_hw: Size) -> list[Mark]:
    """Return points of a JSON list of x and y, as core's SAM3 nodes and KJNodes have it."""
    entries = text
    if isinstance(text, str):
        if not text.strip():
            return []
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError) as error:
            try:  # some of KJNodes' write Python's quotes
                entries = json.loads(text.replace("'", '"'))
            except (ValueError, RecursionError):
                raise OptionError(
                    f"{name} is not valid JSON ({error}): {short(text)}. Write it like "
                    f"{_COORDINATES}."
                ) from error
    if entries is None:
        return []
    if not is_list(entries):
        raise OptionError(
            f"{name} is {short(entries)}. It must be a list of points, like {_COORDINATES}."
        )
    found: list[tuple[Any, Any]] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not {"x", "y"} <= entry.keys():
            raise OptionError(
                f"Entry {number} of {name} is {short(entry)}. It must have x and y, like "
                f"{_COORDINATES[1:-1]}."
            )
        found.append((entry["x"], entry["y"]))
    if not found:
        return []
    marks = check_prompt(
        [{"type": "point", "label": label, "data": list(xy)} for xy in found], size_hw, name
    )
    values = [value for mark in marks for value in mark["data"]]
    if max(values) <= 1 and any(value % 1 for value in values):
        raise OptionError(
            f"{name} holds fractions of the picture: {short(text)}. Give pixels; Points Editor of "
            "KJNodes does with normalize off."
        )
    return marks


def _boxes(value: Any, size_hw: Size, note: Callable[[str], None]) -> list[Mark]:
    """Return the boxes of a BOUNDING_BOX: one, a list, or a list for each image."""
    if value is None:
        return []
    entries: list[Any] = list(value) if is_list(value) else [value]
    if entries and all(is_list(entry) for entry in entries):
        if any(entry != entries[0] for entry in entries):
            raise OptionError(
                f"bounding_box holds other boxes for each of {len(entries)} images, and one "
                "prompt serves all of them. Run the images one by one, or connect one box; RemBG "
                "Frame Subject gives one with batch = together."
            )
        entries = list(entries[0])
    if not entries:
        note("bounding_box holds no box: nothing was found.")
    return [_box(entry, size_hw, note) for entry in entries]


def _box(entry: Any, size_hw: Size, note: Callable[[str], None]) -> Mark:
    height, width = size_hw
    sides = ("x", "y", "width", "height")
    values = [entry.get(side) for side in sides] if isinstance(entry, dict) else []
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) < len(sides) or not all(map(math.isfinite, numbers)):
        raise OptionError(f"bounding_box is {short(entry)}. It must be in pixels, like {_BOX}.")
    x, y, wide, tall = numbers
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + wide, width), min(y + tall, height)
    if left >= right or top >= bottom:
        raise OptionError(
            f"bounding_box is {short(entry)}, of which nothing lies in the picture, which is "
            f"{width} pixels wide and {height} high. Connect a box of this picture."
        )
    if min(x, y) < -1 or x + wide > width + 1 or y + tall > height + 1:
        note("bounding_box reaches beyond the picture and is cut at its border.")
    return {"type": "rectangle", "data": [left, top, right, bottom]}


def _painted(
    mask: torch.Tensor, count: int, size_hw: Size, note: Callable[[str], None]
) -> list[Mark]:
    """Return the box around all that is painted."""
    painted = convert.check_masks(mask, count).amax(0)
    box = find_box(convert.masks_for(painted, 1, *size_hw)(0))
    if box is None:
        note("mask is empty: nothing is painted.")
        return []
    x, y, wide, tall = box
    return [{"type": "rectangle", "data": [x, y, x + wide, y + tall]}]


def _check_one_box(sources: dict[str, list[Mark]]) -> None:
    """Refuse several boxes: a SAM decoder that is given them answers with scraps."""
    counts = {
        name: sum(mark["type"] == "rectangle" for mark in marks) for name, marks in sources.items()
    }
    names = [name for name, boxes in counts.items() if boxes]
    total = sum(counts.values())
    if total > 1:
        raise OptionError(
            f"There are {total} boxes, of {' and '.join(names)}; a SAM model takes one. "
            "Keep one, and mark the rest by points."
        )


def _count(marks: list[Mark]) -> str:
    """Return how many marks of each kind there are, in words."""
    kinds = [
        (sum(mark.get("label") == 1 for mark in marks), "subject point"),
        (sum(mark.get("label") == 0 for mark in marks), "background point"),
        (sum(mark["type"] == "rectangle" for mark in marks), "box"),
    ]
    words = [
        f"{number} {kind if number == 1 else 'boxes' if kind == 'box' else kind + 's'}"
        for number, kind in kinds
        if number
    ]
    return ", ".join(words)


def _tidy(mark: Mark) -> Mark:
    """Return a mark whose whole numbers are written without a point."""
    data = [int(value) if value == int(value) else value for value in mark["data"]]
    return {**mark, "data": data}


def _shown(
    picture: torch.Tensor, drawn: list[Mark], given: list[Mark], notes: list[str]
) -> dict[str, Any]:
    """Return what the page shows: the picture, small, whose marks there are, and sentences."""
    preview = Image.fromarray(convert.to_levels(picture.numpy()))
    width, height = preview.size
    preview.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    files = host.save_previews([preview])
    return {
        # not beside the rest: the page lists every file that it finds there as a result
        "picture": {**files[0], "width": width, "height": height} if files else None,
        "drawn": [_tidy(mark) for mark in drawn],
        "marks": [_tidy(mark) for mark in given],
        "notes": notes,
    }
