"""Users' own files: what kind they are, and whether they were opened as it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the tests write networks")
from onnx import TensorProto, helper  # noqa: E402

from rembg_sessions.core import new_session  # noqa: E402
from rembg_sessions.core.prepare.kind import Kind, kind_of  # noqa: E402

NAMES = {
    "IS-Net": ["/conv_in/Conv", "/stage1/rebnconvin/conv_s1/Conv"],
    "U-2-Net": ["/stage1/rebnconvin/conv_s1/Conv"],
    "BiRefNet": ["/bb/patch_embed/Conv", "/squeeze_module/0/Conv", "/decoder/conv_out1/Conv"],
    "": ["Conv_0"],
}


@pytest.fixture
def write(home):
    def write(family, *last, name="mine.onnx"):
        """A chain of steps: named as those of a family, then the given ones."""
        home.mkdir(parents=True, exist_ok=True)
        value, nodes = "picture", []
        weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 3, 1, 1], [0.5, 1.0, -0.25])
        again = helper.make_tensor("again", TensorProto.FLOAT, [1, 1, 1, 1], [1.0])
        for place, label in enumerate(NAMES[family]):
            arrays = ["w" if place == 0 else "again"]
            nodes.append(helper.make_node("Conv", [value, *arrays], [f"v{place}"], label))
            value = f"v{place}"
        for place, op in enumerate(last):
            attributes = {"to": TensorProto.FLOAT} if op == "Cast" else {}
            nodes.append(helper.make_node(op, [value], [f"l{place}"], **attributes))
            value = f"l{place}"
        size = [1, 1, 16, 16]
        graph = helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 16, 16])],
            [helper.make_tensor_value_info(value, TensorProto.FLOAT, size)],
            [weight, again],
        )
        opset = [helper.make_opsetid("", 17)]
        path = home / name
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
        return path

    return write


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize(
    ("last", "has_sigmoid"),
    [
        (["Sigmoid"], True),
        (["Sigmoid", "Cast", "Identity"], True),
        (["Identity"], False),
        (["Sigmoid", "Neg"], False),
        ([], False),
    ],
)
def test_kinds(write, family, last, has_sigmoid):
    assert kind_of(write(family, *last)) == Kind(family, has_sigmoid)


@pytest.mark.parametrize("data", [b"", b"no network", b"\x08\x08" * 1000])
def test_what_cannot_be_read_has_no_kind(tmp_path, data):
    (tmp_path / "mine.onnx").write_bytes(data)
    assert kind_of(tmp_path / "mine.onnx") == Kind()
    assert kind_of(tmp_path / "gone.onnx") == Kind()


def test_a_network_that_goes_round_in_circles(tmp_path):
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in ("xy", "yx")]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 16, 16])],
    )
    onnx.save(helper.make_model(graph), str(tmp_path / "mine.onnx"))
    assert kind_of(tmp_path / "mine.onnx") == Kind()


def test_a_file_opened_as_the_wrong_kind_is_noticed(write, caplog):
    path = write("IS-Net", "Sigmoid")
    picture = Image.new("RGB", (20, 20), (250, 10, 90))
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        session = new_session("u2net_custom", model_path=path)
    (layer,) = session.predict_layers(picture)
    assert layer.warning == "mine.onnx looks like IS-Net: choose dis_custom instead of u2net_custom"
    assert [record.getMessage() for record in caplog.records] == [f"{layer.warning}."]


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("u2net_custom", "U-2-Net"),
        ("dis_custom", "IS-Net"),
        ("birefnet_custom", "BiRefNet"),
        ("ben_custom", ""),
    ],
)
def test_the_right_kind_says_nothing(write, caplog, model, family):
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        session = new_session(model, model_path=write(family, "Sigmoid"))
    assert session.predict_layers(Image.new("RGB", (20, 20)))[0].warning == ""
    assert not caplog.records


def test_a_sigmoid_is_not_taken_twice(write):
    """Some publish BiRefNet with it, some without."""
    picture = Image.effect_noise((64, 48), 90).convert("RGB")
    alphas = [
        new_session("birefnet_custom", model_path=path).predict_alpha(picture)[0]
        for path in (write("BiRefNet"), write("BiRefNet", "Sigmoid", name="other.onnx"))
    ]
    np.testing.assert_allclose(*alphas, atol=1e-5)
