"""What each pattern makes of a network, what it leaves alone, and that answers stay the same."""

from __future__ import annotations

import collections

import numpy as np
import onnx
import pytest
from graphs import Builder, birefnet, deform_block, isnet
from onnx import TensorProto, helper, numpy_helper

from rembg_sessions.core.errors import GraphError
from rembg_sessions.core.prepare import prove
from rembg_sessions.core.prepare.deform import with_deform_conv
from rembg_sessions.core.prepare.half import widen
from rembg_sessions.core.prepare.reading import read_model
from rembg_sessions.core.prepare.size import native_side, with_side
from rembg_sessions.core.prepare.writing import data_of, pieces

CPU = "CPUExecutionProvider"


def read(model):
    return read_model(memoryview(model.SerializeToString()))


def written(model):
    return b"".join(map(data_of, pieces(model)))


def answer(data, picture):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(data, providers=[CPU])
    return session.run(None, {session.get_inputs()[0].name: picture})[0]


def noise(*shape):
    return np.random.default_rng(3).normal(0, 1, shape).astype(np.float32)


def operators(data):
    return collections.Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


# -- float16 ----------------------------------------------------------------------------------


def test_half_weights_become_float():
    model = isnet(half=True)
    data = written(widen(read(model)))
    onnx.checker.check_model(data, full_check=True)
    again = onnx.load_from_string(data)
    assert {each.data_type for each in again.graph.initializer} == {TensorProto.FLOAT}
    for old, new in zip(model.graph.initializer, again.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(old), numpy_helper.to_array(new))
    picture = noise(1, 3, 64, 64)
    before, after = answer(model.SerializeToString(), picture), answer(data, picture)
    assert np.ptp(before) > 0.3
    assert np.abs(before - after).max() < 2e-3
    # float32 throughout: what a network of the same numbers in float32 answers
    full = isnet()
    for old, new in zip(full.graph.initializer, again.graph.initializer, strict=True):
        old.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(new), old.name))
    np.testing.assert_allclose(answer(full.SerializeToString(), picture), after, atol=1e-6)


def test_inputs_outputs_and_constants_of_half_become_float():
    b = Builder(np.float16)
    b.op("Mul", b.conv("x", 3, 1), b.constant(0.5, np.float16))
    model = b.model([("x", [1, 3, 8, 8], "float16")], [("y", [1, 1, 8, 8], "float16")], 17)
    model.graph.node[-1].output[0] = "y"
    model.graph.value_info.append(
        helper.make_tensor_value_info("/Conv_0_output_0", TensorProto.FLOAT16, [1, 1, "h", "w"])
    )
    data = written(widen(read(model)))
    onnx.checker.check_model(data, full_check=True)
    picture = noise(1, 3, 8, 8)
    expected = answer(model.SerializeToString(), picture.astype(np.float16))
    np.testing.assert_allclose(answer(data, picture), expected, atol=0.02)


def test_what_has_no_half_weights_is_left_alone():
    assert widen(read(isnet())) is None
    assert widen(read(birefnet())) is None


def test_an_operator_that_is_not_known_is_left_alone():
    model = isnet(half=True)
    model.graph.node[-1].op_type = "EyeLike"
    assert widen(read(model)) is None


# -- input size -------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [False, True])
def test_another_input_size(half):
    model, picture = isnet(half=half), noise(1, 3, 32, 32)
    assert native_side(read(model)) == 64
    data = written(with_side(read(model), 32))
    onnx.checker.check_model(data, full_check=True)
    # the same weights, in a network made for that size
    assert np.array_equal(
        answer(data, picture), answer(isnet(32, half=half).SerializeToString(), picture)
    )


def test_the_native_size_changes_nothing():
    model = read(isnet())
    assert with_side(model, 64) is model


def test_sizes_may_be_all_four_axes_or_a_factor():
    model = isnet()
    at = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Resize")
    sizes = numpy_helper.from_array(np.array([1, 6, 16, 16]), "whole")
    model.graph.initializer.append(sizes)
    model.graph.node[at].input[3] = "whole"
    last = [node for node in model.graph.node if node.op_type == "Resize"][-1]
    factor = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "factor")
    model.graph.initializer.append(factor)
    del last.input[2:]
    last.input.append("factor")
    picture = noise(1, 3, 32, 32)
    assert not np.array_equal(model.SerializeToString(), isnet().SerializeToString())
    kept = [node for node in model.graph.node if not _is_dead(node, model)]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    data = written(with_side(read(model), 32))
    assert np.array_equal(answer(data, picture), answer(isnet(32).SerializeToString(), picture))


def test_sizes_may_be_picked_from_another_value():
    """As exporters write them that do not work out what follows from constants."""
    b = Builder()
    small = b.op("MaxPool", "input", kernel_shape=[2, 2], strides=[2, 2])
    first = b.op("Slice", b.op("Shape", small), *map(b.constant, ([0], [2], [0])))
    zero, shape = b.constant([0]), b.op("Shape", "input")
    # by one axis at a time, and by both at once
    sides = [b.op("Gather", shape, b.constant(axis)) for axis in (2, 3)]
    sides = b.op("Concat", *(b.op("Unsqueeze", side, zero) for side in sides), axis=0)
    sizes = b.op("Concat", first, b.op("Cast", sides, to=TensorProto.INT64), axis=0)
    large = b.op("Resize", small, "", "", sizes, mode="linear")
    sizes = b.op("Concat", first, b.op("Slice", shape, b.constant([2]), b.constant([4])), axis=0)
    large = b.op("Resize", large, "", "", sizes, mode="linear")
    b.conv(large, 3, 1)
    b.nodes[-1].output[0] = "output"
    model = b.model([("input", [1, 3, 64, 64], "float")], [("output", [1, 1, 64, 64], "float")], 17)
    data = written(with_side(read(model), 32))
    assert answer(data, noise(1, 3, 32, 32)).shape == (1, 1, 32, 32)


def _is_dead(node, model):
    """Whether a node leads to sizes that no Resize takes any more."""
    nodes = {node.name: node for node in model.graph.node}
    used = {name for each in nodes.values() for name in each.input}
    names = {"output"}
    if node.op_type in ("Shape", "Slice", "Concat", "Constant"):
        if node.output[0] not in used:
            return True
        users = [each for each in nodes.values() if node.output[0] in each.input]
        return all(_is_dead(each, model) for each in users) and node.output[0] not in names
    return False


def test_a_network_of_free_size_needs_no_change():
    b = Builder()
    b.op("Sigmoid", b.conv("x", 3, 1))
    model = b.model([("x", [1, 3, "h", "w"], "float")], [("y", [1, 1, "h", "w"], "float")], 17)
    read_one = read(model)
    assert native_side(read_one) is None
    assert with_side(read_one, 512) is read_one
    # channels are fixed, height and width are another value's
    joined = b.op("Concat", b.constant([1, 1]), *_height_and_width(b, "x"), axis=0)
    b.op("Resize", b.nodes[1].output[0], "", "", joined)
    model = b.model([("x", [1, 3, "h", "w"], "float")], [("y", [1, 1, "h", "w"], "float")], 17)
    assert with_side(read(model), 512) is not None


def _height_and_width(b, value):
    shape = b.op("Shape", value)
    return [b.op("Slice", shape, b.constant([i]), b.constant([i + 1])) for i in (2, 3)]


def changed(change):
    model = isnet()
    change(model.graph)
    return model


def _add_grid(graph):
    """A number of its own for each pixel, as positions are in transformers."""
    graph.initializer.append(numpy_helper.from_array(noise(1, 1, 64, 64), "grid"))
    graph.node[-1].output[0] = "before"
    graph.node.append(helper.make_node("Add", ["before", "grid"], ["output"]))


def _reshape(graph):
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 64, 64]), "to"))
    graph.node[-1].output[0] = "before"
    graph.node.append(helper.make_node("Reshape", ["before", "to"], ["output"]))


def _use_size_elsewhere(graph):
    size = next(n for n in graph.node if n.op_type == "Concat" and n.attribute[0].i == 0).input[1]
    graph.node.append(helper.make_node("Slice", ["input", size, size], ["other"]))


def _free(graph):
    for value in (*graph.input, *graph.output):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = "s"


def _wide(graph):
    graph.input[0].type.tensor_type.shape.dim[3].dim_value = 96


def _two(graph):
    graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 1, 64, 64]))


def _half_as_large(graph):
    """A size that is computed, not picked."""
    joined = next(n for n in graph.node if n.op_type == "Concat" and n.attribute[0].i == 0)
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1]), "factor"))
    graph.node.insert(0, helper.make_node("Mul", [joined.input[0], "factor"], ["product"]))
    joined.input[0] = "product"


def _three_parts(graph):
    joined = next(n for n in graph.node if n.op_type == "Concat" and n.attribute[0].i == 0)
    joined.input.append(joined.input[1])


@pytest.mark.parametrize(
    ("change", "side", "why"),
    [
        (_add_grid, 32, "an own number for each pixel"),
        (_reshape, 32, "Reshape is an operator that may depend on the size"),
        (_use_size_elsewhere, 32, "used for something else"),
        (_free, 32, "declares no size of its input, but keeps sizes inside"),
        (_wide, 32, "not square, but 64x96"),
        (_two, 32, "takes 2 inputs"),
        (_half_as_large, 32, "'product' comes from somewhere unknown"),
        (_three_parts, 32, "joins sizes in an unknown way"),
        (lambda graph: None, 96, "larger than the network's own, 64"),
        (lambda graph: None, 50, "no whole number"),
    ],
)
def test_networks_that_are_refused_another_size(change, side, why):
    with pytest.raises(GraphError, match=why):
        with_side(read(changed(change)), side)


def test_birefnet_is_refused_another_size():
    with pytest.raises(GraphError, match="may depend on the size"):
        with_side(read(birefnet()), 16)


# -- deformable convolution ---------------------------------------------------------------------

needs_kernel = pytest.mark.skipif(
    not prove.has_deform_conv(CPU), reason="this onnxruntime has no DeformConv"
)


@needs_kernel
@pytest.mark.parametrize("opset", [17, 18])
def test_deformable_convolutions_become_one_operator(opset):
    model = birefnet(opset=opset)
    changed, count = with_deform_conv(read(model))
    data = written(changed)
    onnx.checker.check_model(data, full_check=True)
    assert count == 4
    assert operators(data)["DeformConv"] == 4
    assert not {"GatherND", "Floor", "Clip", "Pad"} & operators(data).keys()
    again = onnx.load_from_string(data)
    assert again.opset_import[0].version == 19
    assert [each.name for each in again.graph.initializer] == [
        each.name for each in model.graph.initializer
    ]
    picture = noise(1, 3, 32, 32)
    before, after = answer(model.SerializeToString(), picture), answer(data, picture)
    assert np.ptp(before) > 1
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


@needs_kernel
def test_half_precision_convolves_in_float32():
    half, full = birefnet(64, half=True), birefnet(64)
    for own, other in zip(full.graph.initializer, half.graph.initializer, strict=True):
        values = numpy_helper.to_array(other).astype(np.float32)
        own.CopyFrom(numpy_helper.from_array(values, own.name))
    changed, count = with_deform_conv(read(half))
    data = written(changed)
    onnx.checker.check_model(data, full_check=True)
    assert count == operators(data)["DeformConv"] == 4
    assert not {"GatherND", "Floor", "Clip", "Pad"} & operators(data).keys()
    picture = noise(1, 3, 64, 64)
    true = answer(full.SerializeToString(), picture)
    before, after = answer(half.SerializeToString(), picture), answer(data, picture)
    np.testing.assert_allclose(after, before, atol=0.01 * np.abs(true).max())
    assert np.square(after - true).mean() < np.square(before - true).mean()
    wide = widen(changed)
    assert wide is not None
    np.testing.assert_allclose(answer(written(wide), picture), true, atol=1e-4 * true.max())


@needs_kernel
def test_offsets_that_lead_far_outside():
    model = birefnet()
    for array in model.graph.initializer:
        if array.dims[0] in (18, 98):
            values = 30 * numpy_helper.to_array(array)
            array.CopyFrom(numpy_helper.from_array(values, array.name))
    picture = noise(1, 3, 32, 32)
    data = written(with_deform_conv(read(model))[0])
    before, after = answer(model.SerializeToString(), picture), answer(data, picture)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


def _nodes(graph, op):
    return [node for node in graph.node if node.op_type == op]


def _tensor(graph, name):
    node = next(node for node in graph.node if node.output[0] == name)
    return node.attribute[0].t


def _set(graph, name, change):
    tensor = _tensor(graph, name)
    values = change(numpy_helper.to_array(tensor).copy())
    tensor.CopyFrom(numpy_helper.from_array(values))


def _move(values):
    values[..., 0, 3] += 1
    return values


def _swap(node):
    node.input[0], node.input[1] = node.input[1], node.input[0]


def _attribute(node, name, value):
    kept = [each for each in node.attribute if each.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


OTHERS = {
    "positions": lambda g: _set(g, _nodes(g, "Add")[0].input[0], _move),
    "no positions": lambda g: _set(g, _nodes(g, "Add")[0].input[0], lambda v: v * np.nan),
    "a limit": lambda g: _set(g, _nodes(g, "Clip")[0].input[2], lambda v: v - 1),
    "the neighbour": lambda g: _set(g, _nodes(g, "Add")[1].input[1], lambda v: v + 1),
    "the padding": lambda g: _attribute(_nodes(g, "Pad")[0], "mode", "edge"),
    "its width": lambda g: _set(g, _nodes(g, "Pad")[0].input[1], lambda v: v[::-1].copy()),
    "order of axes": lambda g: _attribute(_nodes(g, "Transpose")[-1], "perm", [0, 1, 4, 3, 5, 2]),
    "order of the last": lambda g: _swap(_nodes(g, "Concat")[0]),
    "a share": lambda g: _swap(_nodes(g, "Sub")[1]),
    "another share": lambda g: _swap(_nodes(g, "Mul")[1]),
    "the sum": lambda g: _swap(_nodes(g, "Sum")[0]),
    "a cast": lambda g: _attribute(_nodes(g, "Cast")[0], "to", TensorProto.INT32),
    "a slice": lambda g: _set(g, _nodes(g, "Slice")[0].input[1], lambda v: v + 1),
    "ceiling": lambda g: setattr(_nodes(g, "Floor")[0], "op_type", "Ceil"),
    "groups": lambda g: _attribute(_nodes(g, "Conv")[-1], "group", 2),
    "a bias": lambda g: _nodes(g, "Conv")[-1].input.append("weight_1"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_block_that_differs_anywhere_is_left_alone(name):
    model = birefnet(kernels=())
    b = Builder()
    deform_block(b, "/atrous_conv", "x", 4, 4, 3, 8)
    model = b.model([("x", [1, 4, 8, 8], "float")], [("y", [1, 4, 8, 8], "float")], 17)
    model.graph.node[-1].output[0] = "y"
    assert with_deform_conv(read(model))[1] == 1
    OTHERS[name](model.graph)
    found, count = with_deform_conv(read(model))
    assert count == 0
    assert written(found) == model.SerializeToString()


@pytest.mark.parametrize("opset", [13, 16])
def test_older_operators_are_left_alone(opset):
    assert with_deform_conv(read(birefnet(opset=opset)))[1] == 0


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("ReduceMean", ["x"], ["y"], axes=[1]),
        helper.make_node("Split", ["x"], ["y", "z"]),
    ],
)
def test_operators_that_mean_something_else_later_are_left_alone(node):
    model = birefnet()
    model.graph.node.append(node)
    assert with_deform_conv(read(model))[1] == 0


def test_a_provider_that_is_not_there_has_no_kernel():
    assert not prove.has_deform_conv("NoSuchExecutionProvider")
    assert not prove.has_deform_conv("TensorrtExecutionProvider")
    assert not prove.has_deform_conv(("CUDAExecutionProvider", {"device_id": 200}))
