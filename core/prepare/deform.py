"""Deformable convolution as one operator, ONNX's ``DeformConv``.

When BiRefNet was exported, ONNX Runtime had no such operator: its file computes each of twenty by
some fifty nodes and as many constants, which gather every pixel four times for every element of
the kernel. That takes most of its time, and nearly all of its memory.

Matches what deform_conv2d_onnx_exporter (https://github.com/masamitsu-murase/
deform_conv2d_onnx_exporter, 1.2.0, with GatherND) writes for ``torchvision.ops.deform_conv2d``
with a mask, one group and one offset group. Every node from the last convolution back to picture,
offset and mask is compared with it, and every constant: shapes, positions, padding, limits.
Operators go from version 17 or 18 to 19, where none of those used means something else.

A block that onnxconverter_common converted to float16 becomes ``DeformConv`` in float32, as PyTorch
computes it in half precision. The block itself rounds positions, too: to an eighth of a pixel from
the 128th on. So the mask changes, towards that of the float32 network.

References: X. Zhu et al., "Deformable ConvNets v2", CVPR 2019; ONNX, "DeformConv".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GraphError
from .model import DTYPES, FLOAT, FLOAT16, INT64, Model, Node, make_node, with_opset
from .wiring import Wiring, wiring, without_unused

OPSET, IR_VERSION = 19, 9
"""Where DeformConv came to ONNX."""

_FARTHEST = 1 << 16  # pixels; NaN and infinity are no places, either

# How the exporter orders the four neighbours of a position: top left, bottom right, bottom left,
# top right; 0 is the one before a position, 1 the one after it.
_CORNERS = ((0, 0), (1, 1), (1, 0), (0, 1))


@dataclass(frozen=True, slots=True)
class _Block:
    """What one deformable convolution takes, and how."""

    picture: str
    weight: str
    kind: int
    offset: str
    mask: str
    kernel_hw: tuple[int, int]
    pad_hw: tuple[int, int]
    stride_hw: tuple[int, int]
    dilation_hw: tuple[int, int]


def with_deform_conv(model: Model) -> tuple[Model, int]:
    """Return the network with ``DeformConv``, and how many of them.

    The same network, and 0, where nothing matches, see the module's text.
    """
    if model.opset < 17 or not all(map(_is_the_same_in_19, model.nodes)):
        return model, 0
    edges = wiring(model)
    nodes: list[Node] = []
    count = 0
    for node in model.nodes:
        block = _match(edges, node)
        count += block is not None
        nodes += [node] if block is None else _nodes(node, block)
    if not count:
        return model, 0
    changed = without_unused(replace(model, nodes=tuple(nodes)))
    if model.opset < OPSET:
        changed = with_opset(changed, OPSET, IR_VERSION)
    return changed, count


def _is_the_same_in_19(node: Node) -> bool:
    # 18 made the axes of these an input, and wants to be told how many parts there are
    if node.op == "Split":
        return len(node.inputs) == 2
    return not node.op.startswith("Reduce") or node.op == "ReduceSum"


def _nodes(last: Node, block: _Block) -> list[Node]:
    inputs, (result,) = (block.picture, block.weight, block.offset, block.mask), last.outputs
    casts: list[Node] = []
    if block.kind == FLOAT16:  # the operator computes in float32
        wide = tuple(f"{result}_input_{place}" for place in range(len(inputs)))
        for source, name in zip(inputs, wide, strict=True):
            casts.append(make_node("Cast", (source,), (name,), name, to=FLOAT))
        inputs, result = wide, f"{result}_float32"
    picture, weight, offset, mask = inputs
    node = make_node(
        "DeformConv",
        (picture, weight, offset, "", mask),
        (result,),
        last.name,
        dilations=block.dilation_hw,
        group=1,
        kernel_shape=block.kernel_hw,
        offset_group=1,
        pads=block.pad_hw * 2,
        strides=block.stride_hw,
    )
    if block.kind == FLOAT16:
        back = make_node("Cast", (result,), last.outputs, f"{result}_cast", to=FLOAT16)
        return [*casts, node, back]
    return [node]


def _match(edges: Wiring, node: Node) -> _Block | None:
    """Return the block that a convolution ends; None where it ends none."""
    kernel_hw = node.value("kernel_shape")
    # its kernel moves by its own size: each sampled patch is used once
    ends_one = node.op == "Conv" and len(node.inputs) == 2 and kernel_hw == node.value("strides")
    if not ends_one or not isinstance(kernel_hw, tuple) or len(kernel_hw) != 2:
        return None
    try:
        return _Matcher(edges, node, (kernel_hw[0], kernel_hw[1])).block()
    except GraphError:
        return None


def _check(holds: bool) -> None:
    if not holds:
        raise GraphError("this is another block")


class _Matcher:
    """Compares the nodes before one convolution with the exporter's.

    Parameters
    ----------
    last
        The convolution.
    kernel_hw
        Its kernel.
    """

    def __init__(self, edges: Wiring, last: Node, kernel_hw: tuple[int, int]) -> None:
        self.edges, self.last, self.kernel_hw = edges, last, kernel_hw
        self.kind = self.batch = self.channels = self.height = self.width = 0

    def block(self) -> _Block:
        """Return the block; GraphError if it is another one."""
        last, (kernel_h, kernel_w) = self.last, self.kernel_hw
        known = {"group", "kernel_shape", "strides", "pads", "dilations"}
        _check({each.name for each in last.attributes} <= known)
        _check(last.value("group") in (None, 1) and last.value("dilations") in (None, (1, 1)))
        _check(last.value("pads") in (None, (0, 0, 0, 0)))
        weight = self.edges.constants.get(last.inputs[1])
        _check(weight is not None and weight.kind in (FLOAT, FLOAT16))
        self.kind = 0 if weight is None else weight.kind
        patches, shape = self.reshaped(last.inputs[0])
        turned = self.edges.maker(patches, "Transpose")
        _check(turned.value("perm") == (0, 1, 4, 2, 5, 3))
        summed, full = self.reshaped(turned.inputs[0])
        _check(len(full) == 6)
        self.batch, self.channels, _, _, self.height, self.width = full
        _check(full[2:4] == [kernel_h, kernel_w])
        _check(
            shape == [*full[:2], self.height * kernel_h, self.width * kernel_w]
            and weight is not None
            and weight.shape[1:] == (self.channels, kernel_h, kernel_w)
        )
        weighted, masked = self.inputs(summed, "Mul", 2)
        mask = self.reshaped_to(masked, [self.batch, 1, 1, *self.samples()])
        terms = self.inputs(weighted, "Sum", 4)
        pairs = [self.inputs(term, "Mul", 2) for term in terms]
        position = self.position(pairs[0][1])
        found = {
            self.padded(pair[1], position, corner)
            for pair, corner in zip(pairs, _CORNERS, strict=True)
        }
        for pair, corner in zip(pairs, _CORNERS, strict=True):
            self.check_share(pair[0], position, corner)
        _check(len(found) == 1)
        return self.finished(found.pop(), position, mask)

    def samples(self) -> list[int]:
        """Elements of the kernel, height, width."""
        return [self.kernel_hw[0] * self.kernel_hw[1], self.height, self.width]

    # -- small steps -----------------------------------------------------------------

    def inputs(self, name: str, op: str, count: int) -> tuple[str, ...]:
        node = self.edges.maker(name, op)
        _check(len(node.inputs) == count)
        return node.inputs

    def integers(self, name: str) -> list[int]:
        tensor = self.edges.constants.get(name)
        _check(tensor is not None and tensor.kind == INT64)
        return [int(each) for each in self.edges.constant(name).ravel()]

    def reshaped(self, name: str) -> tuple[str, list[int]]:
        """Return what is reshaped, and to which shape."""
        node = self.edges.maker(name, "Reshape")
        _check(len(node.inputs) == 2 and node.value("allowzero") in (None, 0))
        shape = self.integers(node.inputs[1])
        _check(min(shape, default=0) > 0)
        return node.inputs[0], shape

    def reshaped_to(self, name: str, shape: list[int]) -> str:
        source, found = self.reshaped(name)
        _check(found == shape)
        return source

    def is_number(self, name: str, value: float) -> None:
        numbers = self.edges.constant(name)
        _check(numbers.size == 1 and float(numbers.ravel()[0]) == value)

    def half(self, name: str, axis: int) -> str:
        """Return what a value is y (0) or x (1) of."""
        source, *where = self.inputs(name, "Slice", 4)
        _check([self.integers(each) for each in where] == [[axis], [axis + 1], [3]])
        return source

    # -- the exporter's parts --------------------------------------------------------

    def sampled(self, name: str) -> tuple[str, ...]:
        """Return the picture, channels last, and the y and x that it is read at."""
        count, height, width = self.samples()
        gathered = self.reshaped_to(name, [self.batch, 1, self.channels, count, height, width])
        turned = self.edges.maker(gathered, "Transpose")
        _check(turned.value("perm") == (0, 1, 3, 2))
        gather = self.edges.maker(turned.inputs[0], "GatherND")
        _check(gather.value("batch_dims") == 2 and len(gather.inputs) == 2)
        source = self.edges.maker(gather.inputs[0], "Transpose")
        _check(source.value("perm") == (0, 1, 3, 4, 2))
        where = self.edges.maker(gather.inputs[1], "Concat")
        _check(where.value("axis") == 3 and len(where.inputs) == 2)
        flat = [self.batch, 1, count * height * width, 1]
        return source.inputs[0], *(self.reshaped_to(each, flat) for each in where.inputs)

    def position(self, name: str) -> str:
        """Return the value that holds the positions, y and x, as fractions of pixels."""
        top = self.sampled(name)[1]
        whole = self.half(self.inputs(top, "Clip", 3)[0], 0)
        cast = self.edges.maker(whole, "Cast")
        _check(cast.value("to") == INT64)
        return self.inputs(cast.inputs[0], "Floor", 1)[0]

    def padded(self, name: str, position: str, corner: tuple[int, int]) -> tuple[str, int, int]:
        """Check where a corner is read; return the padded picture, its height and width."""
        source, *indices = self.sampled(name)
        picture, shape = self.reshaped(source)
        _check(len(shape) == 5 and shape[:3] == [self.batch, 1, self.channels])
        for axis, (index, after) in enumerate(zip(indices, corner, strict=True)):
            value, low, high = self.inputs(index, "Clip", 3)
            self.is_number(low, 0)
            self.is_number(high, shape[3 + axis] - 1)
            if after:
                value, one = self.inputs(value, "Add", 2)
                self.is_number(one, 1)
            cast = self.edges.maker(self.half(value, axis), "Cast")
            _check(cast.value("to") == INT64)
            _check(self.inputs(cast.inputs[0], "Floor", 1)[0] == position)
        return picture, shape[3], shape[4]

    def check_share(self, name: str, position: str, corner: tuple[int, int]) -> None:
        """Check how much a corner counts: bilinear interpolation."""
        product = self.reshaped_to(name, [self.batch, 1, 1, *self.samples()])
        across, down = self.inputs(product, "Mul", 2)
        for axis, (value, after) in enumerate(zip((down, across), corner, strict=True)):
            fraction = value
            if not after:
                one, fraction = self.inputs(value, "Sub", 2)
                self.is_number(one, 1)
            whole, floor = self.inputs(self.half(fraction, axis), "Sub", 2)
            _check(whole == position and self.inputs(floor, "Floor", 1)[0] == position)

    def finished(self, padded: tuple[str, int, int], position: str, mask: str) -> _Block:
        """Check padding and positions, which say pads, strides and dilations."""
        name, *padded_hw = padded
        pad = self.edges.maker(name, "Pad")
        _check(len(pad.inputs) == 2 and pad.value("mode") in (None, "constant"))
        around = self.integers(pad.inputs[1])
        _check(len(around) == 8 and around[2:4] == around[6:] and min(around[2:4]) > 0)
        _check(around[:2] == around[4:6] == [0, 0])

        grid_name, reshaped = self.inputs(position, "Add", 2)
        count, height, width = self.samples()
        offset = self.reshaped_to(reshaped, [self.batch, 1, count, 2, height, width])
        grid = self.edges.constant(grid_name)
        _check(grid.dtype == DTYPES[self.kind])
        _check(grid.shape == (1, 1, count, 2, height, width))
        grid = grid.astype(np.float32)
        _check(bool(((grid >= 0) & (grid < _FARTHEST)).all()))
        own = [_steps(grid[0, 0, :, axis], self.kernel_hw, axis) for axis in (0, 1)]
        _check(np.array_equal(grid[0, 0], _grid(own, self.kernel_hw, (height, width))))
        for axis, (start, stride, dilation) in enumerate(own):
            # without padding the exporter adds a pixel of its own, and starts behind it
            _check(start == 0 or (start == 1 and around[2 + axis] == 1))
            reach = padded_hw[axis] - 2 * start - dilation * (self.kernel_hw[axis] - 1) - 1
            _check(reach // stride + 1 == (height, width)[axis])
        return _Block(
            picture=pad.inputs[0],
            weight=self.last.inputs[1],
            kind=self.kind,
            offset=offset,
            mask=mask,
            kernel_hw=self.kernel_hw,
            pad_hw=(around[2] - own[0][0], around[3] - own[1][0]),
            stride_hw=(own[0][1], own[1][1]),
            dilation_hw=(own[0][2], own[1][2]),
        )


def _steps(places: NDArray[Any], kernel_hw: tuple[int, int], axis: int) -> tuple[int, int, int]:
    """Return start, stride and dilation of positions (K, h, w) along one axis; 1 for no step."""
    kernel = places.reshape(*kernel_hw, *places.shape[1:])
    first = kernel[0, 0, 0, 0]
    moved = kernel[0, 0].take(1, axis)[0] if kernel.shape[2 + axis] > 1 else first + 1
    along = kernel[..., 0, 0].take(1, axis).ravel()[0] if kernel_hw[axis] > 1 else first + 1
    start, stride, dilation = int(first), int(moved - first), int(along - first)
    _check(stride > 0 and dilation > 0)
    return start, stride, dilation


def _grid(
    own: list[tuple[int, int, int]], kernel_hw: tuple[int, int], size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the positions (K, 2, h, w) that a kernel is laid on, y and x."""
    axes: list[NDArray[np.float32]] = []
    for (start, stride, dilation), kernel, length in zip(own, kernel_hw, size_hw, strict=True):
        inside = np.arange(kernel, dtype=np.float32)[:, None] * dilation
        axes.append(start + inside + np.arange(length, dtype=np.float32) * stride)
    kernel_h, kernel_w = kernel_hw
    grid = np.empty((kernel_h, kernel_w, 2, *size_hw), np.float32)
    grid[:, :, 0] = axes[0][:, None, :, None]
    grid[:, :, 1] = axes[1][None, :, None, :]
    return grid.reshape(kernel_h * kernel_w, 2, *size_hw)
