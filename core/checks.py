"""Arguments, checked where they come in: of what type, in which range."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from .errors import OptionError
from .text import short


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number of a range.

    Raises
    ------
    OptionError
        If it is none, or out of the range.
    """
    if _is(value, Integral) and low <= value <= high:
        return int(value)
    raise OptionError(f"{name} is {short(value)}; use a whole number from {low} to {high}.")


def number(name: str, value: Any, low: float, high: float) -> float:
    """Return a finite number of a range.

    Raises
    ------
    OptionError
        If it is none, or out of the range.
    """
    if _is(value, Real) and low <= value <= high:  # no comparison holds of NaN
        return float(value)
    raise OptionError(f"{name} is {short(value)}; use a number from {low:g} to {high:g}.")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    """Return whether a value is a list or a tuple."""
    return isinstance(value, (list, tuple))


def flag(name: str, value: Any) -> bool:
    """Return a truth value: a bool, 0 or 1; None is False.

    Raises
    ------
    OptionError
        If it is something else. Text is refused: "false" would be true.
    """
    if type(value) in (bool, np.bool_, NoneType) or (_is(value, Integral) and value in (0, 1)):
        return bool(value)
    raise OptionError(f"{name} is {short(value)}; use True or False.")


def path_list(name: str, value: Any) -> tuple[Path, ...]:
    """Return paths of a list of them.

    Raises
    ------
    OptionError
        If it is no list of paths that the system can take.
    """
    items: Sequence[Any] = value if is_list(value) else [value]
    try:
        return tuple(Path(os.fsdecode(os.fsencode(item))) for item in items)
    except (TypeError, UnicodeEncodeError):
        raise OptionError(f"{name} is {short(items)}; use a list of paths.") from None


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
