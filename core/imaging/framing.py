"""How subjects are to be framed, and where that puts them on their canvases; no pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..checks import flag, number, one_of, whole
from ..errors import OptionError
from ..text import short
from .box import THRESHOLD, Box, around

UNITS = ("%", "px")
ALIGNS = ("centre", "bottom")
BATCHES = ("together", "same-scale", "each")
FREE = "free"
LARGEST_SIDE = 16384
"""Pixels of a canvas, as ComfyUI has it; a larger picture may stay as large as it is."""
LARGEST_PERCENT = 45.0

_RATIO = re.compile(r"(\d{1,5}(?:\.\d{1,5})?):(\d{1,5}(?:\.\d{1,5})?)")
# Of lengths that are whole numbers but for rounding.
_TINY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a subject is framed.

    Attributes
    ----------
    width, height
        Of the canvas, in pixels; 0 follows the other one and ``aspect_ratio``. Without either the
        canvas is as large as the subject and its margins, and nothing is scaled.
    aspect_ratio
        Width to height, such as ``"4:5"``; ``"free"`` is that of the subject.
    margin
        Least distance of the subject from each side of the canvas: whole pixels, or per cent of
        the canvas's width and height: with 7.5 % the subject fills 85 %.
    margin_unit
        ``"%"`` or ``"px"``.
    align
        ``"centre"``, or ``"bottom"``: the subject stands on the lower margin.
    enlarge
        Whether a small subject is scaled up to fill a given canvas. A large one is always
        scaled down.
    threshold
        See :func:`.box.find_box`.

    Raises
    ------
    OptionError
        If a value is out of range, or the three sizes contradict each other.
    """

    width: int = 0
    height: int = 0
    aspect_ratio: str = FREE
    margin: float = 0
    margin_unit: str = "px"
    align: str = "centre"
    enlarge: bool = False
    threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        """Check everything that does not depend on a picture."""
        whole("width", self.width, 0, LARGEST_SIDE)
        whole("height", self.height, 0, LARGEST_SIDE)
        one_of("margin_unit", self.margin_unit, UNITS)
        if self.margin_unit == "%":
            number("margin", self.margin, 0, LARGEST_PERCENT)
        else:
            number("margin", self.margin, 0, LARGEST_SIDE)
        one_of("align", self.align, ALIGNS)
        flag("enlarge", self.enlarge)
        number("threshold", self.threshold, 0, 1)
        ratio = self.ratio
        is_off = abs(self.width - self.height * ratio) > max(1, ratio)  # by more than rounding
        if ratio and self.width and self.height and is_off:
            raise OptionError(
                f"A canvas of {self.width}×{self.height} pixels is not {self.aspect_ratio}. Set "
                f"one of the two to 0, or aspect_ratio to {FREE}."
            )

    @property
    def ratio(self) -> float:
        """Width divided by height; 0 where it is free."""
        if self.aspect_ratio == FREE:
            return 0.0
        found = None
        if isinstance(self.aspect_ratio, str):
            found = re.fullmatch(
                r"(\d{1,5}(?:\.\d{1,5})?):(\d{1,5}(?:\.\d{1,5})?)", self.aspect_ratio
            )
        sides = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
        if not all(sides):
            raise OptionError(
                f"aspect_ratio is {short(self.aspect_ratio)}; use {FREE}, or width:height such as "
                "4:5."
            )
        return sides[0] / sides[1]

    @property
    def is_fixed(self) -> bool:
        """Whether the canvas has a size of its own, so that subjects are scaled to fit it."""
        return bool(self.width or self.height)

    def inner(self, side: int) -> int:
        """Return what the margins leave of a side of the canvas.

        Raises
        ------
        OptionError
            If that is nothing.
        """
        if self.margin_unit == "%":
            return max(1, round(side * (1 - self.margin / 50)))
        left = side - 2 * round(self.margin)
        if left < 1:
            raise OptionError(
                f"A margin of {self.margin:g} px leaves nothing of a canvas {side} pixels long; "
                f"use at most {max(0, side - 1) // 2}, or a larger canvas."
            )
        return left

    def outer(self, side: int) -> int:
        """Return a side of the canvas that has this much between its margins."""
        if self.margin_unit == "%":
            return math.ceil(side / (1 - self.margin / 50) - _TINY)
        return side + 2 * round(self.margin)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture's box goes on its canvas; what is around the box goes along.

    Attributes
    ----------
    picture_hw, canvas_hw
        Sizes, in pixels.
    box
        In the picture.
    target
        On the canvas.
    """

    picture_hw: tuple[int, int]
    canvas_hw: tuple[int, int]
    box: Box
    target: Box

    @property
    def inverse(self) -> Placement:
        """What puts the canvas back into the picture."""
        return Placement(self.canvas_hw, self.picture_hw, self.target, self.box)


def plan(
    boxes: Sequence[Box | None],
    picture_hw: tuple[int, int],
    framing: Framing,
    batch: str = "each",
) -> list[Placement]:
    """Plan where the subjects of pictures of one size go, all on canvases of one size.

    Parameters
    ----------
    boxes
        Of the subjects; None where there is none. Without any, the pictures are not cropped.
    batch
        ``together``: one box around all, so that nothing moves; ``same-scale``: a box each, and
        one scale; ``each``: a box and a scale each.

    Raises
    ------
    OptionError
        If the canvas would be too large, or the margins leave nothing of it.
    """
    one_of("batch", batch, BATCHES)
    found = [box for box in boxes if box is not None]
    if not found:
        framing = replace(framing, margin=0)
        found = [Box(0, 0, picture_hw[1], picture_hw[0])]
    union = around(found)
    each = [union if box is None or batch == "together" else box for box in boxes]
    largest = union
    if batch != "together":
        largest = Box(0, 0, max(box.width for box in found), max(box.height for box in found))
    canvas_hw = _canvas(largest, picture_hw, framing)
    scale = _scale(largest, canvas_hw, framing)
    return [
        Placement(
            picture_hw,
            canvas_hw,
            box,
            _target(
                box,
                _scale(box, canvas_hw, framing) if batch == "each" else scale,
                canvas_hw,
                framing,
            ),
        )
        for box in each
    ]


def _canvas(box: Box, picture_hw: tuple[int, int], framing: Framing) -> tuple[int, int]:
    """Return the size of the canvas for a subject."""
    width, height, ratio = framing.width, framing.height, framing.ratio
    if not framing.is_fixed:
        width, height = framing.outer(box.width), framing.outer(box.height)
        if ratio and width >= height * ratio:
            height = max(height, round(width / ratio))
        elif ratio:
            width = max(width, round(height * ratio))
    elif ratio:
        width, height = width or round(height * ratio), height or round(width / ratio)
    elif not height:
        scale = _least(framing.inner(width) / box.width, framing)
        height = framing.outer(max(1, math.ceil(box.height * scale - _TINY)))
    elif not width:
        scale = _least(framing.inner(height) / box.height, framing)
        width = framing.outer(max(1, math.ceil(box.width * scale - _TINY)))
    if not (0 < width <= max(LARGEST_SIDE, picture_hw[1])) or not (
        0 < height <= max(LARGEST_SIDE, picture_hw[0])
    ):
        raise OptionError(
            f"The canvas would be {width}×{height} pixels; 1 to {LARGEST_SIDE} are possible on a "
            "side. Use a smaller margin, another aspect ratio, or a width and a height."
        )
    return height, width


def _least(scale: float, framing: Framing) -> float:
    return scale if framing.enlarge else min(1.0, scale)


def _scale(box: Box, canvas_hw: tuple[int, int], framing: Framing) -> float:
    """Return by how much a subject is scaled to fit between the margins."""
    if not framing.is_fixed:
        return 1.0
    height, width = canvas_hw
    fit = min(framing.inner(width) / box.width, framing.inner(height) / box.height)
    return _least(fit, framing)


def _target(box: Box, scale: float, canvas_hw: tuple[int, int], framing: Framing) -> Box:
    """Return where a subject goes: whole pixels, so that its borders stay sharp."""
    canvas_height, canvas_width = canvas_hw
    width, height = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    left, top = (canvas_width - width) // 2, (canvas_height - height) // 2
    if framing.align == "bottom":
        top = canvas_height - (canvas_height - framing.inner(canvas_height)) // 2 - height
    return Box(left, top, width, height)
