"""Small networks with the blocks of the large ones, node by node as their exporters write them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and arrays; every method returns the name of a value."""

    def __init__(self, dtype=np.float32, seed=0):
        self.nodes, self.arrays = [], []
        self.dtype, self.rng = np.dtype(dtype), np.random.default_rng(seed)

    def op(self, kind, *inputs, name="", **attributes):
        name = name or f"/{kind}_{len(self.nodes)}"
        output = f"{name}_output_0"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))
        return output

    def constant(self, value, dtype=np.int64, name=""):
        name = name or f"/Constant_{len(self.nodes)}"
        value = numpy_helper.from_array(np.array(value, dtype))
        self.nodes.append(helper.make_node("Constant", [], [f"{name}_output_0"], name, value=value))
        return f"{name}_output_0"

    def weight(self, *shape):
        name = f"weight_{len(self.arrays)}"
        scale = 1.5 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        values = self.rng.normal(0, scale, shape).astype(self.dtype)
        self.arrays.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, value, channels, out, kernel=3, stride=1, name=""):
        attributes = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4}
        attributes |= {"strides": [stride] * 2, "dilations": [1, 1], "group": 1}
        weight = self.weight(out, channels, kernel, kernel)
        return self.op("Conv", value, weight, self.weight(out), name=name, **attributes)

    def model(self, inputs, outputs, opset, doc="a network"):
        kinds = {"float": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}

        def declared(values):
            return [helper.make_tensor_value_info(n, kinds[k], s) for n, s, k in values]

        graph = helper.make_graph(
            self.nodes, "main_graph", declared(inputs), declared(outputs), self.arrays, doc
        )
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tests")
        return model


def isnet(side=64, *, half=False, weights=np.float32, opset=15, shape=None):
    """Two stages of a U, with IS-Net's way to enlarge: constant sizes joined to a shape.

    With ``half`` it is converted to float16 as IS-Net's published file is: casts at the input, at
    the output and around each Resize.
    """
    b = Builder(np.float16 if half else weights)
    value = "input"
    if half:
        value = b.op("Cast", value, to=TensorProto.FLOAT16, name="graph_input_cast0")

    def enlarge(value, size):
        cut = b.op("Slice", b.op("Shape", value), *map(b.constant, ([0], [2], [0])))
        sizes = b.op("Concat", cut, b.constant([size, size]), axis=0)
        if half:
            value = b.op("Cast", value, to=TensorProto.FLOAT)
        modes = {"coordinate_transformation_mode": "half_pixel", "mode": "linear"}
        value = b.op("Resize", value, "", "", sizes, nearest_mode="floor", **modes)
        return b.op("Cast", value, to=TensorProto.FLOAT16) if half else value

    def pool(value):
        return b.op("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)

    first = b.op("Relu", b.conv(value, 3, 6, stride=2, name="/conv_in/Conv"))
    second = b.conv(pool(first), 6, 6, name="/stage1/rebnconvin/conv_s1/Conv")
    second = b.op("Relu", second)
    third = b.op("Relu", b.conv(pool(second), 6, 6))
    second = b.op("Concat", enlarge(third, side // 4), second, axis=1)
    second = b.op("Relu", b.conv(second, 12, 6))
    first = b.op("Concat", enlarge(second, side // 2), first, axis=1)
    first = b.op("Add", b.conv(first, 12, 6), first_six(b, first))
    alpha = b.op("Sigmoid", enlarge(b.conv(first, 6, 1), side))
    if half:
        alpha = b.op("Cast", alpha, to=TensorProto.FLOAT)
    b.nodes[-1].output[0] = "output"
    shape = shape or [1, 3, side, side]
    return b.model([("input", shape, "float")], [("output", [1, 1, *shape[2:]], "float")], opset)


KIND_NAMES = {
    "IS-Net": ["/conv_in/Conv", "/stage1/rebnconvin/conv_s1/Conv"],
    "U-2-Net": ["/stage1/rebnconvin/conv_s1/Conv"],
    "BiRefNet": ["/bb/patch_embed/Conv", "/squeeze_module/0/Conv", "/decoder/conv_out1/Conv"],
    "BEN": ["/multifieldcrossatt/Conv", "/insmask_head/insmask_head.0/Conv"],
    "": ["Conv_0"],
}
"""Names of operations by which a kind of network is known."""


def chain(family, *last, side=16, outputs=1, weights=0):
    """Convolutions named as those of a family, then operators; and megabytes that nobody uses."""
    b = Builder()
    value = "picture"
    for place, name in enumerate(KIND_NAMES[family]):
        value = b.conv(value, 1 if place else 3, 1, kernel=1, name=name)
    for op in last:
        attributes = {"to": TensorProto.FLOAT} if op == "Cast" else {}
        value = b.op(op, value, **attributes)
    b.arrays += [numpy_helper.from_array(b.rng.random(1 << 20), f"big_{i}") for i in range(weights)]
    more = [b.op("Identity", value) for _ in range(outputs - 1)]
    results = [(name, [1, 1, side, side], "float") for name in (value, *more)]
    return b.model([("picture", [1, 3, side, side], "float")], results, 17)


def first_six(b, value):
    """A second way to the same place: a convolution of one pixel."""
    return b.conv(value, 12, 6, kernel=1)


def deform_block(b, prefix, value, channels, out, kernel, size, pad=None, weight=None):
    """One modulated deformable convolution, as deform_conv2d_onnx_exporter 1.2.0 writes it."""
    pad = kernel // 2 if pad is None else pad
    numbers = iter(range(1000))

    def op(kind, *inputs, **attributes):
        return b.op(kind, *inputs, name=f"{prefix}/{kind}_{next(numbers)}", **attributes)

    def const(value, dtype=np.int64):
        return b.constant(value, dtype, f"{prefix}/Constant_{next(numbers)}")

    def reshape(value, *shape):
        return op("Reshape", value, const(list(shape)))

    def piece(value, axis):
        return op("Slice", value, const([axis]), const([axis + 1]), const([3]))

    offset = b.conv(value, channels, 2 * kernel**2, kernel, name=f"{prefix}/offset_conv/Conv")
    mask = b.conv(value, channels, kernel**2, kernel, name=f"{prefix}/modulator_conv/Conv")
    mask = op("Mul", op("Sigmoid", mask), const(2, b.dtype))
    extra = int(pad == 0)
    around, count = size + 2 * (pad + extra), kernel**2
    inside = np.stack(np.meshgrid(*[np.arange(kernel)] * 2, indexing="ij")).reshape(2, count)
    places = np.stack(np.meshgrid(*[np.arange(size)] * 2, indexing="ij")) + extra
    grid = (inside.T[:, :, None, None] + places)[None, None]
    where = op("Add", const(grid, b.dtype), reshape(offset, 1, 1, count, 2, size, size))
    floor = op("Floor", where)
    whole = op("Cast", floor, to=TensorProto.INT64)
    top, left = piece(whole, 0), piece(whole, 1)
    bottom, right = op("Add", top, const(1)), op("Add", left, const(1))
    limits = [(const(0), const(around - 1)) for _ in range(4)]
    clipped = [
        op("Clip", each, *limit)
        for each, limit in zip((top, left, bottom, right), limits, strict=True)
    ]
    corner = dict(zip("tlbr", clipped, strict=True))
    part = op("Sub", where, floor)
    y, x = piece(part, 0), piece(part, 1)
    up = op("Sub", const(1, b.dtype), y)
    back = op("Sub", const(1, b.dtype), x)
    shares = [op("Mul", *pair) for pair in ((back, up), (x, y), (back, y), (x, up))]
    shares = [reshape(share, 1, 1, 1, count, size, size) for share in shares]
    edge = pad + extra
    padded = op("Pad", value, const([0, 0, edge, edge] * 2), mode="constant")
    padded = reshape(padded, 1, 1, channels, around, around)
    samples = []
    for key in ("tl", "br", "bl", "tr"):
        flat = [reshape(corner[each], 1, 1, count * size**2, 1) for each in key]
        index = op("Concat", *flat, axis=3)
        turned = op("Transpose", padded, perm=[0, 1, 3, 4, 2])
        found = op("GatherND", turned, index, batch_dims=2)
        found = op("Transpose", found, perm=[0, 1, 3, 2])
        samples.append(reshape(found, 1, 1, channels, count, size, size))
    terms = [op("Mul", *pair) for pair in zip(shares, samples, strict=True)]
    total = op("Mul", op("Sum", *terms), reshape(mask, 1, 1, 1, count, size, size))
    total = reshape(total, 1, channels, kernel, kernel, size, size)
    total = op("Transpose", total, perm=[0, 1, 4, 2, 5, 3])
    total = reshape(total, 1, channels, size * kernel, size * kernel)
    weight = weight or b.weight(out, channels, kernel, kernel)
    shape = {"kernel_shape": [kernel] * 2, "strides": [kernel] * 2}
    total = op("Conv", total, weight, group=1, **shape)
    return op("Add", total, const(np.zeros((1, out, 1, 1)), b.dtype))


def birefnet(side=32, *, opset=17, kernels=(1, 3, 7), half=False):
    """A decoder's three deformable branches, joined; logits, as BiRefNet's.

    With ``half`` it is converted to float16, as onnxconverter_common does it.
    """
    b = Builder(np.float16 if half else np.float32)
    picture = "input_image"
    if half:
        picture = b.op("Cast", picture, to=TensorProto.FLOAT16, name="graph_input_cast0")
    first = b.op("Relu", b.conv(picture, 3, 4, stride=2))
    half = side // 2
    branches = [
        deform_block(b, f"/dec/aspp_deforms.{i}/atrous_conv", first, 4, 4, kernel, half)
        for i, kernel in enumerate(kernels)
    ]
    # the fourth has no padding, as aspp1
    branches.append(deform_block(b, "/dec/aspp1/atrous_conv", first, 4, 4, 1, half, pad=0))
    joined = b.op("Relu", b.op("Concat", *branches, axis=1))
    logits = b.conv(joined, 4 * len(branches), 1)
    scales = b.constant([1, 1, 2, 2], np.float32)
    if half:
        logits = b.op("Cast", logits, to=TensorProto.FLOAT)
    b.op("Resize", logits, "", scales, mode="linear")
    b.nodes[-1].output[0] = "output_image"
    picture = ("input_image", [1, 3, side, side], "float")
    return b.model([picture], [("output_image", [1, 1, side, side], "float")], opset)


def save(model, path):
    """Write a network and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
