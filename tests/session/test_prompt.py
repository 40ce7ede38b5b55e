"""What a user may point with, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.session.prompt import check_prompt, scale_prompt


def test_prompt_forms():
    point = {"type": "point", "label": 1, "data": [3.0, 2.0]}
    assert check_prompt(None, (5, 7)) == [point]
    assert check_prompt([{**point, "data": (3, 2)}], (5, 7)) == [point]
    assert check_prompt([{**point, "data": [np.int64(3), np.float32(2)]}], (5, 7)) == [point]
    assert check_prompt(json.dumps([point]), (5, 7)) == [point]
    assert check_prompt([{**point, "label": np.int64(0)}], (5, 7)) == [{**point, "label": 0}]
    assert check_prompt(None, (1, 1))[0]["data"] == [0, 0]


def test_rectangle_from_any_corner():
    expected = [{"type": "rectangle", "data": [1, 2, 6, 4]}]
    for data in ([1, 2, 6, 4], [6, 4, 1, 2], [6, 2, 1, 4]):
        assert check_prompt([{"type": "rectangle", "data": data}], (5, 7)) == expected
    whole = [{"type": "rectangle", "data": [0, 0, 7, 5]}]
    assert check_prompt(whole, (5, 7)) == whole


def test_the_prompt_of_the_caller_is_left_alone():
    mark = {"type": "rectangle", "label": 1, "data": [6, 4, 1, 2]}
    check_prompt([mark], (5, 7))
    assert mark == {"type": "rectangle", "label": 1, "data": [6, 4, 1, 2]}


def point(**changes):
    return [{"type": "point", "label": 1, "data": [3, 2], **changes}]


@pytest.mark.parametrize(
    "prompt, message",
    [
        ([], "empty list"),
        ("[]", "empty list"),
        ("", "not valid JSON"),
        ("__import__('os').getcwd()", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"type": "point"}', "must be a list"),
        (3, "sam_prompt is 3. It must be a list"),
        ([3], "Entry 1 of sam_prompt is 3"),
        ([*point(), None], "Entry 2 of sam_prompt is None"),
        (point(type="circle"), "'type' is 'circle'. Use 'point' or 'rectangle'"),
        (point(type=["point"]), "'type' is"),
        ([{"label": 1, "data": [3, 2]}], "'type' is None"),
        ([{"type": "point", "data": [3, 2]}], "'label' is missing"),
        (point(label=2), "'label' is 2. A point needs 1"),
        (point(label="1"), "'label' is '1'"),
        (point(label=True), "'label' is True"),
        ([{"type": "point", "label": 1}], "'data' is None. A point needs"),
        (point(data=[3]), r"'data' is \[3\]. A point needs \[x, y\]: 2 numbers"),
        (point(data=[1, 2, 3, 4]), "A point needs"),
        (point(data=[[3], [2]]), "A point needs"),
        (point(data=["3", "2"]), "A point needs"),
        (point(data=[True, 2]), "A point needs"),
        (point(data="32"), "A point needs"),
        (point(type="rectangle"), "A rectangle needs .* 4 numbers"),
        (point(type="rectangle", data=[1, 2, 1, 4]), "is empty"),
        (point(data=[float("nan"), 2]), "must be finite"),
        (point(data=[3, float("inf")]), "must be finite"),
        ('[{"type": "point", "label": 1, "data": [NaN, 2]}]', "must be finite"),
        (point(data=[8, 2]), "outside the picture, which is 7 pixels wide and 5 high"),
        (point(data=[3, -1]), "outside the picture"),
        (point(data=[2, 6]), "outside the picture"),
        (point(data=[10**400, 2]), "outside the picture"),
        (point(type="rectangle", data=[0, 0, 7, 6]), "outside the picture"),
    ],
)
def test_malformed_prompts(prompt, message):
    with pytest.raises(OptionError, match=message) as error:
        check_prompt(prompt, (5, 7))
    assert len(str(error.value)) < 400  # a huge value must not fill the dialog


def test_marks_follow_a_resized_picture():
    marks = check_prompt(
        [*point(data=[700, 30]), {"type": "rectangle", "data": [0, 10, 70, 300]}], (300, 700)
    )
    moved = scale_prompt(marks, (300, 700), (100, 233))
    assert moved[0] == {"type": "point", "label": 1, "data": [233, 10]}
    assert moved[1]["data"] == pytest.approx([0, 10 / 3, 23.3, 100])
    for side in range(1, 400):  # the border stays inside
        check_prompt(scale_prompt(marks, (300, 700), (side, side)), (side, side))
