"""Arguments, checked where they come in: of what type, in which range."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
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
    if is_number and low <= value <= high:  # neither holds of NaN
        return float(value)
    raise OptionError(f"{name} is {short(value)}; use a number from {low:g} to {high:g}.")


def flag(name: str, value: Any) -> bool:
    """Return a truth value: a bool, 0 or 1; None is False.

    Raises
    ------
    OptionError
        If it is something else. Text is refused: "false" would be true.
    """
    if value is None or isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral) and value in (0, 1):
        return bool(value)
    raise OptionError(f"{name} is {short(value)}; use True or False.")


def path_list(name: str, value: Any) -> tuple[Path, ...]:
    """Return paths of a list of them.

    Raises
    ------
    OptionError
        If it is no list of paths that the system can take.
    """
    paths: list[Path] = []
    for path in value if isinstance(value, (list, tuple)) else [value]:
        try:
            os.fsencode(path)
            paths.append(Path(path))
        except (TypeError, UnicodeEncodeError):
            raise OptionError(f"{name} is {short(value)}; use a list of paths.") from None
    return tuple(paths)


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
