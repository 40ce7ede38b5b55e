"""Public functions given what makes no sense: they work, or say in their words what is wrong."""

from __future__ import annotations

import inspect
import random
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import Gradient
from rembg_sessions.core import get_model, get_session, new_session, remove, remove_batch
from rembg_sessions.core.backdrop.solve import solve
from rembg_sessions.core.errors import RembgSessionsError
from rembg_sessions.core.imaging.composite import parse_colour
from rembg_sessions.core.imaging.mask import refine
from rembg_sessions.core.layers import Refinement, find_layers, refine_layer
from rembg_sessions.core.matting.methods import MattingOptions
from rembg_sessions.core.matting.trimap import trimap_from_mask
from rembg_sessions.core.session.prompt import check_prompt
from rembg_sessions.core.text import short


class Unshowable:
    """Cannot even be shown."""

    def __repr__(self):
        raise RuntimeError


def loop():
    """Return a list that holds itself."""
    held = []
    held.append(held)
    return held


ODD = [
    *(None, True, False, 0, 1, -1, 7, 300, 2**31, 2**63, 2**64, -(2**70), 10**5000),
    *(0.0, 0.5, -0.5, 1e300, -1e300, float("nan"), float("inf"), float("-inf"), 1j),
    *("", " ", "x", "nothing", "\0", "é\ud800", "../..", "7", "white", "[", "9" * 5000),
    *(b"", b"\x89PNG\r\n\x1a\n", b"\0" * 100, bytearray(b"x"), memoryview(b"x")),
    *((), [], {}, set(), [1], (1, 2, 3), {"a": 1}, {1}, [None], [[[]]], loop(), range(3)),
    *(int, object, Gradient, Unshowable(), len, lambda *_: 1 / 0, NotImplemented, ...),
    *(np.float32(0.5), np.int8(-1), np.array(3), np.array([]), np.zeros((0, 3)), np.zeros(5)),
    *(np.zeros((4, 4, 4, 4)), np.array(["a"]), np.array([object()]), np.full((4, 4), np.nan)),
    *(np.zeros((72, 96)), np.zeros((72, 96, 3), np.uint8), np.zeros((2, 2), bool)),
    *(Image.new("L", (96, 72), 9), Image.new("1", (1, 1)), Image.new("RGBA", (3, 2))),
    *(Path("/nowhere"), Path(), random.Random(1), iter(()), (x for x in ()), warnings),
]
SETTINGS = {"model_path": None, "folders": (), "on_progress": None, "sess_opts": None}
IMAGE = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
ALPHA = np.clip(np.add.outer(np.arange(72), np.arange(96)) / 120, 0, 1).astype(np.float32)


BACKDROP = new_session("backdrop")


def one_step(**options):
    layer = find_layers(Gradient(), Image.fromarray(IMAGE))[0]
    refine_layer(IMAGE, layer, Refinement(**options))


CALLS = {
    "remove": (remove, {"data": IMAGE, "session": Gradient()}),
    "remove_matting": (
        remove,
        {"data": IMAGE, "session": Gradient(), "matting_method": "fast", "edge_colours": None},
    ),
    "remove_batch": (
        lambda **given: list(remove_batch(**given)),
        {"images": [IMAGE], "session": Gradient(), "workers": 2, "on_error": "raise"},
    ),
    "get_model": (get_model, {"name": "u2net"}),
    "new_session": (new_session, {"model_name": "backdrop", **SETTINGS}),
    "of_a_network": (
        lambda **given: new_session(**{"model_name": "u2net_custom", **given}),
        dict.fromkeys((*SETTINGS, "threads", "device_id", "runs_on", "optimization"))
        | {"providers": "CPU", "cpu_fallback": True},
    ),
    "predict": (lambda **given: BACKDROP.predict(**given), {"img": Image.fromarray(IMAGE)}),
    "predict_layers": (
        lambda picture, **given: BACKDROP.predict_layers(picture, **given),
        {"picture": Image.fromarray(IMAGE), "sam_prompt": None, "cloth_category": None},
    ),
    "process": (lambda picture: BACKDROP.process(picture), {"picture": Image.fromarray(IMAGE)}),
    "get_session": (get_session, {"model_name": "backdrop", **SETTINGS}),
    "find_layers": (find_layers, {"session": Gradient(), "rgb": Image.fromarray(IMAGE)}),
    "Refinement": (one_step, {field.name: field.default for field in fields(Refinement)}),
    "MattingOptions": (MattingOptions, {}),
    "refine": (refine, {"alpha": ALPHA}),
    "solve": (solve, {"image": IMAGE}),
    "trimap_from_mask": (trimap_from_mask, {"mask": (ALPHA * 255).astype(np.uint8)}),
    "parse_colour": (parse_colour, {"value": "white"}),
    "check_prompt": (check_prompt, {"prompt": None, "size_hw": (72, 96)}),
}
# Made by our own code alone, of arrays that it has checked.
INNER = {"alpha", "rgb", "mask", "size_hw", "image", "models"}


def arguments():
    for name, (call, given) in CALLS.items():
        known = set(inspect.signature(call).parameters) - {"given", "options"} | set(given)
        for argument in sorted(known - INNER):
            yield pytest.param(name, argument, id=f"{name}-{argument}")


@pytest.mark.parametrize(("name", "argument"), list(arguments()))
def test_odd_values(name, argument, monkeypatch, home):
    """Whatever is given: a result, or an error of our own in a few lines."""
    monkeypatch.setenv("REMBG_SESSIONS_OFFLINE", "1")
    call, given = CALLS[name]
    wrong = []
    for value in ODD:
        try:
            call(**{**given, argument: value})
        except RembgSessionsError as error:
            text = str(error)
            if len(text) > 3000 or text.count("\n") > 5:
                wrong.append(f"a long message: {text[:200]!r}")
        except Exception as error:
            wrong.append(f"{short(value)}: {type(error).__name__}: {short(str(error))}")
    assert not wrong, "\n" + "\n".join(wrong)
