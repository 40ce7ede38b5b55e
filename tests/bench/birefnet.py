"""A network of BiRefNet lite's shape, with random weights, for benchmarks.

Operators, channels and sizes are those of BiRefNet lite: Swin-T seen twice, at full and half size,
and five blocks of four deformable convolutions, written as deform_conv2d_onnx_exporter writes them.
But windows have 8 pixels in place of 7, need no padding, and are not shifted. Masks mean nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from graphs import Builder, deform_block, save
from onnx import numpy_helper

WIDTH, DEPTHS, HEADS, WINDOW = 96, (2, 2, 6, 2), (3, 6, 12, 24), 8
INNER, BRANCH = 64, 256


class _Network(Builder):
    """Steps of several operators, named as PyTorch names those of a module."""

    def __init__(self) -> None:
        super().__init__()
        self.module = ""
        self.known: list[str] = []  # weights that are used a second time

    def weight(self, *shape):
        return self.known.pop(0) if self.known else super().weight(*shape)

    def op(self, kind, *inputs, name="", **attributes):
        name = name or f"/{self.module}/{kind}_{len(self.nodes)}"
        return super().op(kind, *inputs, name=name, **attributes)

    def number(self, value):
        return self.constant(value, np.float32)

    def array(self, values):
        if self.known:
            return self.known.pop(0)
        name = f"array_{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def reshape(self, value, *shape):
        return self.op("Reshape", value, self.constant(shape))

    def relu_conv(self, value, channels, out, kernel=3):
        return self.op("Relu", self.conv(value, channels, out, kernel))

    def linear(self, value, channels, out):
        weight = self.array(self.rng.normal(0, 1 / np.sqrt(channels), (channels, out)))
        return self.op("Add", self.op("MatMul", value, weight), self.array(np.zeros(out)))

    def norm(self, value, channels):
        scale, shift = self.array(np.ones(channels)), self.array(np.zeros(channels))
        return self.op("LayerNormalization", value, scale, shift, axis=-1)

    def resize(self, value, channels, side):
        sizes = self.constant([1, channels, side, side])
        return self.op("Resize", value, "", "", sizes, mode="linear")

    # -- the encoder ---------------------------------------------------------------------------

    def attention(self, value, channels, heads, side):
        """Attention within windows, of tokens (side², channels)."""
        count, each, tokens = side // WINDOW, channels // heads, WINDOW**2
        windows = self.reshape(self.norm(value, channels), count, WINDOW, count, WINDOW, channels)
        windows = self.op("Transpose", windows, perm=[0, 2, 1, 3, 4])
        windows = self.reshape(windows, count**2, tokens, channels)
        joined = self.linear(windows, channels, 3 * channels)
        joined = self.reshape(joined, count**2, tokens, 3, heads, each)
        joined = self.op("Transpose", joined, perm=[2, 0, 3, 1, 4])
        query, key, seen = (
            self.op("Gather", joined, self.constant(place), axis=0) for place in range(3)
        )
        query = self.op("Mul", query, self.number(each**-0.5))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        places = self.array(self.rng.normal(0, 0.1, (1, heads, tokens, tokens)))
        scores = self.op("Softmax", self.op("Add", scores, places), axis=-1)
        found = self.op("Transpose", self.op("MatMul", scores, seen), perm=[0, 2, 1, 3])
        found = self.linear(self.reshape(found, count**2, tokens, channels), channels, channels)
        found = self.reshape(found, count, count, WINDOW, WINDOW, channels)
        found = self.op("Transpose", found, perm=[0, 2, 1, 3, 4])
        return self.op("Add", value, self.reshape(found, side**2, channels))

    def perceptron(self, value, channels):
        wide = self.linear(self.norm(value, channels), channels, 4 * channels)
        erf = self.op("Erf", self.op("Mul", wide, self.number(0.5**0.5)))
        half = self.op("Mul", wide, self.number(0.5))
        wide = self.op("Mul", half, self.op("Add", erf, self.number(1)))
        return self.op("Add", value, self.linear(wide, 4 * channels, channels))

    def swin(self, picture, side):
        """Four maps, of a quarter to a thirty-second of the side."""
        side, channels, found = side // 4, WIDTH, []
        weight = self.weight(channels, 3, 4, 4)
        shape = {"kernel_shape": [4, 4], "strides": [4, 4]}
        value = self.op("Conv", picture, weight, self.weight(channels), **shape)
        for depth, heads in zip(DEPTHS, HEADS, strict=True):
            if found:  # of four neighbours, one with twice the channels
                value = self.op("SpaceToDepth", found[-1][0], blocksize=2)
                side, channels = side // 2, 2 * channels
                value = self.tokens(value, 2 * channels)
                value = self.norm(value, 2 * channels)
                weight = self.array(self.rng.normal(0, 0.03, (2 * channels, channels)))
                value = self.op("MatMul", value, weight)
            else:
                value = self.tokens(value, channels)
            for _ in range(depth):
                value = self.attention(value, channels, heads, side)
                value = self.perceptron(value, channels)
            picture = self.op("Transpose", self.norm(value, channels), perm=[1, 0])
            found.append((self.reshape(picture, 1, channels, side, side), channels, side))
        return found

    def tokens(self, value, channels):
        """(1, channels, height, width) → (height · width, channels)."""
        return self.op("Transpose", self.reshape(value, channels, -1), perm=[1, 0])

    # -- the decoder ---------------------------------------------------------------------------

    def block(self, module, value, channels, out, side):
        """A block of the decoder: four deformable convolutions and a mean, joined."""
        self.module = module
        value = self.relu_conv(value, channels, INNER)
        branches = []
        for name, kernel in (("aspp1", 1), ("aspp_deforms.0", 1), ("aspp_deforms.1", 3),
                             ("aspp_deforms.2", 7)):  # fmt: skip
            prefix = f"/{module}/dec_att/{name}/atrous_conv"
            branch = deform_block(self, prefix, value, INNER, BRANCH, kernel, side)
            branches.append(self.op("Relu", branch))
        mean = self.relu_conv(self.op("GlobalAveragePool", value), INNER, BRANCH, 1)
        branches.append(self.resize(mean, BRANCH, side))
        joined = self.op("Concat", *branches, axis=1)
        joined = self.relu_conv(joined, BRANCH * len(branches), INNER, 1)
        return self.conv(joined, INNER, out)

    def patches(self, picture, size, out):
        """The picture beside a map: its patches of size² pixels as channels."""
        value = picture if size == 1 else self.op("SpaceToDepth", picture, blocksize=size)
        return self.conv(self.conv(value, 3 * size**2, INNER), INNER, out)


def birefnet_lite(side=1024):
    """Return the network: an ONNX model of 230 MB for pictures of side², opset 17."""
    b = _Network()
    picture = "input_image"
    b.module = "bb"
    large = b.swin(picture, side)
    b.known = [array.name for array in b.arrays]
    small = b.swin(b.resize(picture, 3, side // 2), side // 2)
    b.module = "lateral"
    maps = [
        (b.op("Concat", one, b.resize(other, channels, place), axis=1), 2 * channels, place)
        for (one, channels, place), (other, *_) in zip(large, small, strict=True)
    ]
    *lower, (value, channels, place) = maps
    context = [b.resize(each, count, place) for each, count, _ in lower]
    value = b.op("Concat", *context, value, axis=1)
    sums = channels + sum(count for _, count, _ in lower)
    value = b.block("squeeze_module/squeeze_module.0", value, sums, channels, place)
    for level in (4, 3, 2, 1):
        _, channels, place = maps[level - 1]
        beside = b.patches(picture, side // place, channels // 8)
        value = b.op("Concat", value, beside, axis=1)
        out = channels // 2
        name = f"decoder/decoder_block{level}"
        value = b.block(name, value, channels + channels // 8, out, place)
        if level > 1:
            lateral, count, place = maps[level - 2]
            lateral = b.conv(lateral, count, count, 1)
            value = b.op("Add", b.resize(value, count, place), lateral)
    beside = b.patches(picture, 1, maps[0][1] // 8)
    value = b.op("Concat", b.resize(value, out, side), beside, axis=1)
    b.conv(value, out + maps[0][1] // 8, 1, 1, name="/decoder/conv_out1/Conv")
    b.nodes[-1].output[0] = "output_image"
    shape = [1, 3, side, side]
    outputs = [("output_image", [1, 1, side, side], "float")]
    return b.model([(picture, shape, "float")], outputs, 17)


def write(path: Path, side: int = 1024) -> Path:
    """Write the network to a file, and return its path."""
    return save(birefnet_lite(side), path)
