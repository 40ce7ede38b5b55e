"""What several test files share."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[2] / "shared"

# A shell has what it starts in the background ignore Ctrl-C, and tests of it would never end.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Send every search for models to an empty folder, and forbid downloads."""
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE", "REMBG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("U2NET_HOME", str(home / "u2net"))
    monkeypatch.setenv("REMBG_SESSIONS_OFFLINE", "1")
    for name in (
        "XDG_CACHE_HOME",
        "LOCALAPPDATA",
        "XDG_DATA_HOME",
        "MODEL_CHECKSUM_DISABLED",
        "OMP_NUM_THREADS",
        "RAY_ADDRESS",
        "RAY_USAGE_STATS_ENABLED",
    ):
        monkeypatch.delenv(name, raising=False)
    return home / "u2net"


@pytest.fixture
def shared() -> Path:
    """The folder of photos, networks and facts that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared data is not here: {SHARED}")
    return SHARED


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    """Make an RGB picture of smooth colour shapes, nowhere brighter than 200."""

    def make(width: int = 96, height: int = 72, seed: int = 0) -> Image.Image:
        rng = np.random.default_rng(seed)
        small = Image.fromarray(rng.integers(0, 200, (6, 8, 3), dtype=np.uint8))
        return small.resize((width, height), Image.Resampling.BILINEAR)

    return make


@pytest.fixture
def network(home: Path) -> Callable[..., Path]:
    """Write a tiny network into the model folder and return its path.

    Its first output is a 3×3 convolution of the picture, so that it depends on every number
    it is fed with; a second output must never be read.

    Parameters
    ----------
    kind
        ``probability``, ``logits``, ``labels`` (4 classes), ``constant`` or ``nan``.
    size_hw
        Input (height, width); None leaves it free.
    half
        Input and output in float16.
    """
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper, node = onnx.helper, onnx.numpy_helper, onnx.helper.make_node

    def write(
        name: str,
        kind: str = "probability",
        size_hw: tuple[int, int] | None = (320, 320),
        *,
        half: bool = False,
    ) -> Path:
        channels = 4 if kind == "labels" else 1
        dtype, array_type = (
            (onnx.TensorProto.FLOAT16, np.float16) if half else (onnx.TensorProto.FLOAT, np.float32)
        )
        weight = np.random.default_rng(1).normal(0, 0.4, (channels, 3, 3, 3)).astype(array_type)
        last = {
            "probability": [node("Sigmoid", ["raw"], ["alpha"])],
            "logits": [node("Identity", ["raw"], ["alpha"])],
            "labels": [node("Identity", ["raw"], ["alpha"])],
            "constant": [node("Mul", ["raw", "zero"], ["alpha"])],
            "nan": [
                node("Mul", ["raw", "zero"], ["none"]),
                node("Div", ["none", "none"], ["alpha"]),
            ],
        }[kind]
        size = ["height", "width"] if size_hw is None else [*size_hw]
        graph = helper.make_graph(
            [
                node("Conv", ["picture", "weight"], ["raw"], pads=[1, 1, 1, 1]),
                *last,
                node("Neg", ["alpha"], ["side"]),
            ],
            "tiny",
            [helper.make_tensor_value_info("picture", dtype, [1, 3, *size])],
            [
                helper.make_tensor_value_info(output, dtype, [1, channels, *size])
                for output in ("alpha", "side")
            ],
            [
                numpy_helper.from_array(weight, "weight"),
                numpy_helper.from_array(np.zeros((), array_type), "zero"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        home.mkdir(parents=True, exist_ok=True)
        path = home / name
        onnx.save(model, str(path))
        return path

    return write
