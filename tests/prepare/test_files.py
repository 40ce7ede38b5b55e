"""Reading and writing .onnx files: the same bytes, and no harm from bad ones."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import onnx
import pytest
from graphs import birefnet, isnet
from onnx import TensorProto, helper, numpy_helper

from rembg_sessions.core.errors import GraphError
from rembg_sessions.core.prepare.deform import with_deform_conv
from rembg_sessions.core.prepare.half import widen
from rembg_sessions.core.prepare.model import array, make_node, make_tensor
from rembg_sessions.core.prepare.reading import read_model
from rembg_sessions.core.prepare.size import with_side
from rembg_sessions.core.prepare.wire import bytes_field, head, number_field, varint
from rembg_sessions.core.prepare.writing import data_of, pieces, size

NETWORKS = {"isnet": isnet(), "half": isnet(half=True), "birefnet": birefnet()}


def rewritten(data):
    written = pieces(read_model(memoryview(data)))
    result = b"".join(map(data_of, written))
    assert size(written) == len(result)
    return result


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_not_changed_is_written_byte_by_byte(name):
    data = NETWORKS[name].SerializeToString()
    assert rewritten(data) == data


def test_fields_that_are_not_understood_are_kept():
    model = isnet()
    model.doc_string, model.model_version = "all of it", -3
    model.metadata_props.add(key="who", value="ich")
    model.graph.node[0].doc_string = "the first"
    model.graph.node[0].metadata_props.add(key="why", value="because")
    model.graph.initializer[0].doc_string = "a weight"
    model.graph.quantization_annotation.add(tensor_name="x")
    model.graph.value_info.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]))
    data = model.SerializeToString()
    assert rewritten(data) == data
    data += bytes_field(1000, b"from the future") + number_field(1001, 5)
    assert onnx.load_from_string(rewritten(data)) == onnx.load_from_string(data)


def test_fields_in_another_order_mean_the_same():
    model = isnet()
    graph = model.graph.SerializeToString()
    # a graph before its version, with the length of the graph in more bytes than it needs
    length = bytes(each | 0x80 for each in varint(len(graph))) + b"\x00"
    data = varint(7 << 3 | 2) + length + graph
    model.ClearField("graph")
    data += model.SerializeToString()
    again = rewritten(data)
    assert again != data
    assert onnx.load_from_string(again) == onnx.load_from_string(data)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_numbers_that_are_not_raw(dtype):
    values = np.array([[1.5, -2, 0], [7, -0.25, 3]], dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = isnet()
    model.graph.initializer.append(helper.make_tensor("listed", kind, (2, 3), values.ravel()))
    assert not model.graph.initializer[-1].raw_data
    found = read_model(memoryview(model.SerializeToString())).tensors[-1]
    np.testing.assert_array_equal(array(found), values)


def test_what_is_made_is_what_onnx_makes():
    values = np.arange(6, dtype=np.float16).reshape(2, 3)
    model = isnet()
    read = read_model(memoryview(model.SerializeToString()))
    node = make_node(
        "Pad", ("a", "b"), ("c",), "n", mode="edge", to=-1, perm=(2, -1), t=make_tensor("", values)
    )
    object.__setattr__(read, "nodes", (*read.nodes, node))
    again = onnx.load_from_string(b"".join(map(data_of, pieces(read)))).graph.node[-1]
    expected = helper.make_node(
        "Pad",
        ["a", "b"],
        ["c"],
        "n",
        mode="edge",
        to=-1,
        perm=[2, -1],
        t=numpy_helper.from_array(values),
    )
    assert {
        each.name: helper.get_attribute_value(each) for each in again.attribute if each.name != "t"
    } == {
        each.name: helper.get_attribute_value(each)
        for each in expected.attribute
        if each.name != "t"
    }
    tensor = next(each.t for each in again.attribute if each.name == "t")
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), values)


def test_weights_are_not_copied():
    model = isnet()
    big = np.zeros(4_000_000, np.float16)
    model.graph.initializer.append(numpy_helper.from_array(big, "big"))
    data = memoryview(model.SerializeToString())
    tracemalloc.start()
    written = pieces(widen(read_model(data)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert size(written) > 2 * big.nbytes


# -- files that are not what they say ---------------------------------------------------------


def everything(data):
    """All that is done with a file, short of ONNX Runtime."""
    model = read_model(memoryview(data))
    for step in (widen, lambda m: with_deform_conv(m)[0], lambda m: with_side(m, 32)):
        try:
            changed = step(model)
        except GraphError:
            continue
        if changed is not None:
            for piece in pieces(changed):
                data_of(piece)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_that_is_cut_off(name):
    data = NETWORKS[name].SerializeToString()
    for end in np.linspace(1, len(data) - 1, 60).astype(int):
        with pytest.raises(GraphError):
            everything(data[:end])


@pytest.mark.parametrize("name", NETWORKS)
def test_damaged_bytes_do_no_harm(name):
    data = np.frombuffer(NETWORKS[name].SerializeToString(), np.uint8)
    rng = np.random.default_rng(0)
    # the graph's nodes come first; weights say nothing
    for _ in range(150):
        damaged = data.copy()
        where = rng.integers(0, len(data), rng.integers(1, 8))
        damaged[where] = rng.integers(0, 256, len(where))
        try:
            everything(damaged.tobytes())
        except GraphError as error:
            assert str(error)


def a_model(graph, opset=17):
    return number_field(1, 8) + bytes_field(7, graph) + bytes_field(8, number_field(2, opset))


HOSTILE = {
    "nothing": b"",
    "text": b"<html><body>Not found</body></html>" * 100,
    "a group": b"\x0b\x0c",
    "a length beyond the end": head(7, 1 << 40),
    "a length beyond all": b"\x3a" + b"\xff" * 9 + b"\x01",
    "a number without an end": b"\x3a" + b"\xff" * 100,
    "empty nodes": a_model(b"\x0a\x00" * 1_100_000),
    "empty dims": a_model(bytes_field(5, number_field(1, 1) * 1_100_000)),
    "packed dims": a_model(bytes_field(5, bytes_field(1, b"\x01" * 1_100_000))),
    "a huge shape": a_model(
        bytes_field(5, number_field(1, 1 << 40) * 3 + number_field(2, 1) + bytes_field(9, b""))
    ),
    "a negative shape": a_model(bytes_field(5, number_field(1, -1) + number_field(2, 1))),
    "a long name": a_model(bytes_field(1, bytes_field(4, b"x" * 5000))),
    "a name that is no text": a_model(bytes_field(1, bytes_field(4, b"\xff\xfe"))),
    "a graph in a node": a_model(bytes_field(1, bytes_field(5, bytes_field(6, b"")))),
    "weights elsewhere": a_model(bytes_field(5, number_field(14, 1))),
    "another domain": a_model(bytes_field(1, bytes_field(7, "com.microsoft"))),
    "functions": a_model(b"") + bytes_field(25, b""),
    "two graphs": a_model(b"") + bytes_field(7, b""),
    "no operators' version": bytes_field(7, b""),
    "a number for a name": a_model(bytes_field(1, number_field(4, 3))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name):
    start = time.process_time()
    with pytest.raises(GraphError):
        read_model(memoryview(HOSTILE[name]))
    assert time.process_time() - start < 20


@pytest.mark.parametrize("op", ["Cast", "Slice", "Concat", "Reshape", "Conv", "Resize", "GatherND"])
def test_nodes_that_feed_themselves_or_nothing(op):
    for inputs in ((), ("a",), ("a", "a", "a", "a")):
        node = helper.make_node(op, inputs, ["a"], axis=0, kernel_shape=[1, 1], strides=[1, 1])
        resize = helper.make_node("Resize", ["x", "", "", "a"], ["y"])
        model = isnet()
        del model.graph.node[:]
        model.graph.node.extend([node, resize])
        everything(model.SerializeToString())
