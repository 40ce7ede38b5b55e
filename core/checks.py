"""Arguments, checked where they come in: of what type, in which range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from .errors import OptionError
from .text import short


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number of a range.

    Raises
    ------
    OptionError
        If it is none, or out of the range.
    """
    if isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high:
        return int(value)
    raise OptionError(f"{name} is {short(value)}; use a whole number from {low} to {high}.")


def number(name: str, value: Any, low: float, high: float) -> float:
    """Return a finite number of a range.

    Raises
    ------
    OptionError
        If it is none, or out of the range.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and low <= value <= high:
        return float(value)
    raise OptionError(f"{name} is {short(value)}; use a number from {low:g} to {high:g}.")


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return a word that is among those allowed.

    Raises
    ------
    OptionError
        If it is not.
    """
    words = list(allowed)
    if isinstance(value, str) and value in words:
        return value
    raise OptionError(f"{name} is {short(value)}; use one of {', '.join(words)}.")
