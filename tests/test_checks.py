"""Checks of arguments."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from rembg_sessions.core.checks import number, one_of, whole
from rembg_sessions.core.errors import OptionError

NO_NUMBERS = [None, "5", [5], {}, object, True, 5j, np.array([5, 6])]


class Unshowable:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize("value", [0, 5, 10, np.int64(5), np.uint8(5)])
def test_whole_numbers(value):
    assert whole("size", value, 0, 10) == value
    assert type(whole("size", value, 0, 10)) is int


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, -1, 11, pytest.param(10**5000, id="huge"), 5.0, math.nan, math.inf]
)
def test_what_is_no_whole_number(value):
    with pytest.raises(OptionError, match=r"size is .*; use a whole number from 0 to 10") as caught:
        whole("size", value, 0, 10)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [0, 0.25, 1, np.float32(0.5), Fraction(1, 2)])
def test_numbers(value):
    assert number("level", value, 0, 1) == value


@pytest.mark.parametrize("value", [*NO_NUMBERS, -0.1, 1.1, math.nan, math.inf, -math.inf])
def test_what_is_no_number(value):
    with pytest.raises(OptionError, match=r"level is .*; use a number from 0 to 1"):
        number("level", value, 0, 1)


@pytest.mark.parametrize("value", [None, 7, [], {}, ["red"], "blue", b"red", Unshowable()])
def test_words(value):
    assert one_of("colour", "red", ("red", "green")) == "red"
    with pytest.raises(OptionError, match=r"colour is .*; use one of red, green"):
        one_of("colour", value, ("red", "green"))
