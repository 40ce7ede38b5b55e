"""Networks that stand in for those that cannot be had: their names, small, and simple answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def save_network(
    path: Path,
    nodes: Iterable[Any],
    inputs: Iterable[tuple[str, list[Any]]],
    output: tuple[str, list[Any]],
    constants: Iterable[tuple[str, Any]] = (),
) -> None:
    """Write a network; inputs and output are pairs of name and shape."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs]
    answer = helper.make_tensor_value_info(output[0], kind, output[1])
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants]
    nodes = [helper.make_node(*given, **options) for *given, options in nodes]
    graph = helper.make_graph(nodes, path.stem, infos, [answer], tensors)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))


def write_network(path: Path) -> None:
    """A stand-in for U-2-Net that finds a disc in the middle of any picture."""
    y, x = np.mgrid[:320, :320] - 159.5
    disc = np.clip((110 - np.hypot(y, x)) / 12, 0, 1).astype(np.float32)[None, None]
    save_network(
        path,
        [
            ("Gather", ["picture", "red"], ["level"], {"axis": 1}),
            ("Unsqueeze", ["level", "one"], ["plane"], {}),
            ("Mul", ["plane", "nothing"], ["blank"], {}),
            ("Add", ["blank", "disc"], ["mask"], {}),
        ],
        [("picture", [1, 3, 320, 320])],
        ("mask", [1, 1, 320, 320]),
        [
            ("red", np.array(0, np.int64)),
            ("one", np.array([1], np.int64)),
            ("nothing", np.array(0, np.float32)),
            ("disc", disc),
        ],
    )


def write_sam(encoder: Path, decoder: Path) -> None:
    """Stand-ins for MobileSAM: the mask is a disc round each point, cut by those of label 0."""
    save_network(
        encoder,
        [("ReduceMean", ["picture"], ["embedding"], {"keepdims": 1})],
        [("picture", ["h", "w", 3])],
        ("embedding", [1, 1, 1]),
    )
    number, integers = np.float32, np.int64
    save_network(
        decoder,
        [
            # the picture's pixels in the frame of 1024, in which the points are
            ("ReduceMax", ["orig_im_size"], ["longest"], {"keepdims": 0}),
            ("Div", ["side", "longest"], ["scale"], {}),
            ("Split", ["orig_im_size", "halves"], ["height1", "width1"], {"axis": 0}),
            ("Squeeze", ["height1"], ["height"], {}),
            ("Squeeze", ["width1"], ["width"], {}),
            ("Range", ["zero", "height", "one"], ["rows"], {}),
            ("Range", ["zero", "width", "one"], ["columns"], {}),
            ("Mul", ["rows", "scale"], ["scaled_rows"], {}),
            ("Mul", ["columns", "scale"], ["scaled_columns"], {}),
            ("Unsqueeze", ["scaled_rows", "last"], ["y"], {}),  # (h, 1)
            ("Split", ["point_coords", "halves"], ["x_of", "y_of"], {"axis": 2}),
            ("Unsqueeze", ["x_of", "axis3"], ["x_point"], {}),  # (1, N, 1, 1)
            ("Unsqueeze", ["y_of", "axis3"], ["y_point"], {}),
            ("Sub", ["scaled_columns", "x_point"], ["dx"], {}),
            ("Sub", ["y", "y_point"], ["dy"], {}),
            ("Mul", ["dx", "dx"], ["dx2"], {}),
            ("Mul", ["dy", "dy"], ["dy2"], {}),
            ("Add", ["dx2", "dy2"], ["d2"], {}),
            ("Div", ["d2", "width2"], ["far"], {}),
            ("Neg", ["far"], ["exponent"], {}),
            ("Exp", ["exponent"], ["hill"], {}),
            # label 1 -> 1, label 0 -> -1, the end of the list (-1) -> 0
            ("Mul", ["point_labels", "a"], ["al"], {}),
            ("Add", ["al", "b"], ["al_b"], {}),
            ("Mul", ["al_b", "point_labels"], ["al2_bl"], {}),
            ("Add", ["al2_bl", "c"], ["sign"], {}),
            ("Unsqueeze", ["sign", "axes23"], ["signs"], {}),
            ("Mul", ["hill", "signs"], ["signed"], {}),
            ("ReduceSum", ["signed", "axis1"], ["sum"], {"keepdims": 1}),
            ("Sub", ["sum", "level"], ["masks"], {}),
        ],
        [
            ("image_embeddings", [1, 1, 1]),
            ("point_coords", [1, "n", 2]),
            ("point_labels", [1, "n"]),
            ("mask_input", [1, 1, 256, 256]),
            ("has_mask_input", [1]),
            ("orig_im_size", [2]),
        ],
        ("masks", [1, 1, "h", "w"]),
        [
            ("side", np.array(1024, number)),
            ("halves", np.array([1, 1], integers)),
            ("zero", np.array(0, number)),
            ("one", np.array(1, number)),
            ("last", np.array([1], integers)),
            ("axis1", np.array([1], integers)),
            ("axis3", np.array([3], integers)),
            ("axes23", np.array([2, 3], integers)),
            ("width2", np.array(100**2, number)),
            ("a", np.array(1.5, number)),
            ("b", np.array(0.5, number)),
            ("c", np.array(-1, number)),
            ("level", np.array(0.5, number)),
        ],
    )
