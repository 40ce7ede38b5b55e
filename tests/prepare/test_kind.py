"""Of what kind a file is, told from its operations, or by the user."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the tests write networks")
from graphs import KIND_NAMES, chain, save  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from rembg_sessions.core.errors import GraphError  # noqa: E402
from rembg_sessions.core.prepare.kind import FAMILIES, Kind, kind_of, tell, told_family  # noqa: E402
from rembg_sessions.core.prepare.structure import read_structure  # noqa: E402


@pytest.mark.parametrize("family", KIND_NAMES)
@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (["Sigmoid"], "Sigmoid"),
        (["Sigmoid", "Cast", "Identity"], "Sigmoid"),
        (["Identity"], "Conv"),
        (["Sigmoid", "Neg"], "Neg"),
        ([], "Conv"),
    ],
)
def test_kinds(tmp_path, family, last, expected):
    path = save(chain(family, *last), tmp_path / "mine.onnx")
    assert kind_of(path) == Kind(family, bool(family), expected)


def test_every_family_has_names():
    assert {*FAMILIES, ""} == KIND_NAMES.keys()


@pytest.mark.parametrize(
    ("last", "options", "family"),
    [
        (["Sigmoid"], {"side": 320}, "U-2-Net"),
        (["Sigmoid", "Identity"], {"side": 320, "outputs": 7}, "U-2-Net"),
        ([], {"side": 320}, ""),
        (["Sigmoid", "Softmax"], {"side": 320}, ""),
        (["Softmax", "Sigmoid"], {"side": 320}, ""),
        (["Sigmoid"], {"side": 1024, "outputs": 6}, "IS-Net"),
        (["Sigmoid"], {"side": 1024}, ""),
        (["Sigmoid"], {"side": 512, "outputs": 6}, ""),
    ],
)
def test_kinds_of_files_without_names(tmp_path, last, options, family):
    path = save(chain("", *last, **options), tmp_path / "mine.onnx")
    assert kind_of(path).family == family
    assert not kind_of(path).is_named


@pytest.mark.parametrize(("op", "count"), [("DeformConv", 1), ("GatherND", 80)])
def test_deformable_convolutions_are_birefnets(tmp_path, op, count):
    model = chain("")
    model.graph.node.extend(helper.make_node(op, ["a"], [f"b{i}"]) for i in range(count - 1))
    assert kind_of(save(model, tmp_path / "few.onnx")).family == ""
    model.graph.node.append(helper.make_node(op, ["a"], ["b"]))
    assert kind_of(save(model, tmp_path / "mine.onnx")).family == "BiRefNet"


def test_names_of_weights_say_it_too(tmp_path):
    model = chain("")
    for tensor, name in zip(
        model.graph.initializer, ("stage1.rebnconvin.conv_s1.weight", "conv_in.weight"), strict=True
    ):
        tensor.name = name
    assert kind_of(save(model, tmp_path / "mine.onnx")) == Kind("IS-Net", True, "Conv")


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    path = save(chain("U-2-Net"), tmp_path / "mine.onnx")
    assert kind_of(path).family == "U-2-Net"
    save(chain("BiRefNet"), path)
    assert kind_of(path).family == "BiRefNet"


@pytest.mark.parametrize("data", [b"", b"no network", b"\x08\x08" * 1000, b"\x3a\xff\xff\x03"])
def test_what_cannot_be_read_has_no_kind(tmp_path, data):
    path = tmp_path / "mine.onnx"
    path.write_bytes(data)
    assert kind_of(path) == Kind()
    with pytest.raises(GraphError):
        read_structure(path)
    assert kind_of(tmp_path / "gone.onnx") == Kind()
    assert kind_of(tmp_path) == Kind()


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


def test_weights_are_passed_over(tmp_path, monkeypatch):
    """Of 24 MB less than 100 kB are read: also of a constant with its numbers."""
    model = chain("IS-Net", "Sigmoid", weights=2)
    large = model.graph.initializer.pop()
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=large))
    path = save(model, tmp_path / "mine.onnx")
    assert path.stat().st_size > 16 << 20
    read = []
    original = type(path).open

    def counting(self, mode):
        stream = original(self, mode, buffering=0)
        return _Counting(stream, read)

    monkeypatch.setattr(type(path), "open", counting)
    structure = read_structure(path)
    assert len(structure.nodes) == len(model.graph.node) - 1
    assert "big_0" in structure.tensors
    assert 0 < sum(read) < 100_000


class _Counting:
    def __init__(self, stream, read):
        self.stream, self.counts, self.seek = stream, read, stream.seek

    def read(self, size):
        self.counts.append(size)
        return self.stream.read(size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()


def test_weights_in_another_file_and_other_operators_do_not_matter(tmp_path):
    model = chain("BiRefNet", "Sigmoid")
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[0].domain = "com.microsoft"
    path = tmp_path / "mine.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="mine.data", size_threshold=0)
    assert kind_of(path) == Kind("BiRefNet", True, "Sigmoid")


# -- what the user has said --------------------------------------------------------------------


def test_what_was_told_is_remembered(tmp_path):
    path = save(chain(""), tmp_path / "models" / "mine.onnx")
    assert told_family(path) == ""
    tell(path, "BEN")
    tell(path, "IS-Net")
    assert told_family(path) == "IS-Net"
    names = sorted(each.name for each in path.parent.iterdir())
    assert names == ["mine.onnx", "mine.onnx.kind"]
    save(chain("", weights=1), path)
    assert told_family(path) == ""  # another file of the name


def test_what_was_told_is_kept_in_the_users_cache_else(tmp_path, monkeypatch):
    path = save(chain(""), tmp_path / "models" / "mine.onnx")
    (path.parent / "mine.onnx.kind").mkdir()  # cannot be written to
    tell(path, "BEN")
    assert told_family(path) == "BEN"
    assert [each.is_dir() for each in path.parent.glob("*.kind*")] == [True]


def test_a_note_may_be_written_by_hand(tmp_path):
    path = save(chain(""), tmp_path / "mine.onnx")
    for note, family in (("BiRefNet", "BiRefNet"), ("birefnet?", ""), ("\xff" * 999, "")):
        (tmp_path / "mine.onnx.kind").write_text(note, "latin-1")
        assert told_family(path) == family
    assert told_family(tmp_path / "gone.onnx") == ""
    tell(tmp_path / "gone.onnx", "BEN")
    assert not (tmp_path / "gone.onnx.kind").exists()
