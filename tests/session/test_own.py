"""Users' own files: found out, or opened as what the user says."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the tests write networks")
from graphs import chain, save  # noqa: E402

from rembg_sessions.core import get_session, new_session  # noqa: E402
from rembg_sessions.core.cli import main  # noqa: E402
from rembg_sessions.core.errors import OptionError  # noqa: E402
from rembg_sessions.core.session.own import own_kinds  # noqa: E402


@pytest.fixture
def write(home):
    return lambda *words, name="mine.onnx", **options: save(chain(*words, **options), home / name)


@pytest.fixture
def picture():
    return Image.effect_noise((64, 48), 90).convert("RGB")


MODELS = [
    ("u2net_custom", "U-2-Net"),
    ("dis_custom", "IS-Net"),
    ("birefnet_custom", "BiRefNet"),
    ("ben_custom", "BEN"),
]


@pytest.mark.parametrize(("model", "family"), MODELS)
def test_custom_answers_as_the_model_of_its_kind(write, picture, model, family):
    write(family, "Sigmoid")
    found = new_session("custom", model_path="mine.onnx")
    assert repr(found) == "<CustomSession custom on CPU, open>"
    expected = new_session(model, model_path="mine.onnx").predict_alpha(picture)
    np.testing.assert_array_equal(found.predict_alpha(picture), expected)
    assert found.predict_layers(picture)[0].warning == ""


@pytest.mark.parametrize("family", ["U-2-Net", "BiRefNet"])
def test_logits_are_noticed(write, picture, family):
    """Some publish networks with their last sigmoid, some without."""
    write(family, name="logits.onnx")
    write(family, "Sigmoid", name="alpha.onnx")
    alphas = [
        new_session("custom", model_path=name).predict_alpha(picture)[0]
        for name in ("logits.onnx", "alpha.onnx")
    ]
    assert np.ptp(alphas[0]) > 0.5
    np.testing.assert_allclose(*alphas, atol=1e-5)


def test_what_is_not_known_is_asked_for_once(write, picture):
    path = write("", "Sigmoid")
    with pytest.raises(OptionError) as caught:
        new_session("custom", model_path=path)
    assert str(caught.value) == (
        "mine.onnx does not say of which kind it is. Use it once as u2net_custom, dis_custom, "
        "ben_custom or birefnet_custom, as its author says or as the mask is right: that is "
        "remembered for custom."
    )
    told = new_session("birefnet_custom", model_path=path)
    with pytest.raises(OptionError):  # it has not answered yet
        new_session("custom", model_path=path)
    expected = told.predict_alpha(picture)
    found = new_session("custom", model_path=path)
    np.testing.assert_array_equal(found.predict_alpha(picture), expected)


def test_what_the_user_says_goes_before_a_guess(write, picture):
    path = write("", "Sigmoid", side=320)
    guessed = new_session("custom", model_path=path).predict_alpha(picture)
    told = new_session("dis_custom", model_path=path)
    (layer,) = told.predict_layers(picture)
    assert layer.warning == ""  # it need not be a U-2-Net
    found = new_session("custom", model_path=path).predict_alpha(picture)
    np.testing.assert_array_equal(found[0], layer.alpha)
    assert np.abs(found[0] - guessed[0]).max() > 0.01


def test_kinds_of_many(write, picture):
    write("IS-Net", name="a.onnx")
    write("", name="b.onnx")
    write("", name="sub/c.onnx")
    names = ["a.onnx", "b.onnx", "sub/c.onnx", "gone.onnx", "../a.onnx"]
    expected = ["IS-Net", *["unknown"] * 4]
    assert own_kinds(names) == dict(zip(names, expected, strict=True))
    new_session("ben_custom", model_path="sub/c.onnx").predict_alpha(picture)
    assert own_kinds(names)["sub/c.onnx"] == "BEN"


def test_a_shared_session_follows_its_file(write, picture):
    write("U-2-Net", "Sigmoid")
    first = get_session("custom", model_path="mine.onnx").predict_alpha(picture)
    write("IS-Net", "Sigmoid")
    second = get_session("custom", model_path="mine.onnx").predict_alpha(picture)
    expected = new_session("dis_custom", model_path="mine.onnx").predict_alpha(picture)
    np.testing.assert_array_equal(second, expected)
    assert np.abs(first[0] - second[0]).max() > 0.01


def test_the_shell_needs_no_name_of_a_kind(write, picture, tmp_path, monkeypatch):
    write("BiRefNet")
    monkeypatch.chdir(tmp_path)
    picture.save("in.png")
    assert main(["cutout", "in.png", "out.png", "--model-path", "mine.onnx", "-om"]) == 0
    assert main(["i", "-m", "birefnet_custom", "-x", '{"model_path": "mine.onnx"}', "in.png",
                 "expected.png", "-om"]) == 0  # fmt: skip
    assert Image.open("out.png").tobytes() == Image.open("expected.png").tobytes()


# -- the wrong kind ----------------------------------------------------------------------------


def test_a_file_opened_as_the_wrong_kind_is_noticed(write, caplog):
    path = write("IS-Net", "Sigmoid")
    picture = Image.new("RGB", (20, 20), (250, 10, 90))
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        session = new_session("u2net_custom", model_path=path)
    (layer,) = session.predict_layers(picture)
    assert layer.warning == "mine.onnx looks like IS-Net: choose dis_custom instead of u2net_custom"
    assert [record.getMessage() for record in caplog.records] == [f"{layer.warning}."]


@pytest.mark.parametrize(("model", "family"), [*MODELS, ("ben_custom", "")])
def test_the_right_kind_says_nothing(write, caplog, model, family):
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        session = new_session(model, model_path=write(family, "Sigmoid"))
    assert session.predict_layers(Image.new("RGB", (20, 20)))[0].warning == ""
    assert not caplog.records
