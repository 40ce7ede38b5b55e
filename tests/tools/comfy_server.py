"""A real ComfyUI for tests: its server, and a base directory with this pack to run it in.

``COMFYUI_PATH`` is a ComfyUI checkout and ``COMFYUI_PYTHON`` its interpreter (default: this
one). ``COMFYUI_FRONTEND`` may be the static folder of another frontend than that
interpreter's, and ``COMFYUI_ESSENTIALS`` a checkout of ComfyUI_essentials. The server has an
empty home folder and, unless told otherwise, may not download.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

COMFYUI = os.environ.get("COMFYUI_PATH")
PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
FRONTEND = os.environ.get("COMFYUI_FRONTEND")
ESSENTIALS = os.environ.get("COMFYUI_ESSENTIALS")
ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
# picture and network; the first pair is made here, the others are real
DRAWN = ("drawn.png", "bright.onnx")
PHOTOS = (("girl-1.png", "selfie_320.onnx"), ("girl-2.png", "selfie_320.onnx"))
PATIENCE = 180  # seconds; the first use of pymatting may compile for a minute


class Server:
    """A running ComfyUI."""

    def __init__(self, base: Path, *arguments: str, **environment: str):
        self.base = base
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log_file = base / f"server-{self.port}.log"
        # fmt: off
        command = [
            PYTHON, *_launcher(), "--cpu", "--port", str(self.port), "--disable-api-nodes",
            "--base-directory", str(base), "--database-url", "sqlite:///:memory:", *arguments,
        ]
        # fmt: on
        if FRONTEND:
            command += ["--front-end-root", FRONTEND]
        home = {"HOME": str(base), "USERPROFILE": str(base), "U2NET_HOME": str(base / "u2net")}
        inherited = dict(os.environ)
        for name in ("REMBG_HOME", "XDG_DATA_HOME", "MODEL_CHECKSUM_DISABLED"):
            inherited.pop(name, None)
        environment = {**inherited, **home, "REMBG_SESSIONS_OFFLINE": "1", **environment}
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=base
            )

    def wait_until_up(self) -> None:
        for _ in range(PATIENCE * 2):
            if self.process.poll() is not None:
                break
            try:
                self.get("/queue")
                return
            except OSError:
                time.sleep(0.5)
        pytest.fail(f"ComfyUI did not start:\n{self.log()[-3000:]}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return re.sub(r"\x1b\[\d+m", "", self.log_file.read_text(errors="replace"))

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, nodes: dict[str, Any], client: str = "tests") -> str:
        return self.post("/prompt", {"prompt": nodes, "client_id": client})["prompt_id"]

    def finished(self, prompt: str) -> dict[str, Any]:
        """Wait for a queued workflow; its entry in the history."""
        for _ in range(PATIENCE * 20):
            history = self.get(f"/history/{prompt}")
            if prompt in history:
                return history[prompt]
            time.sleep(0.05)
        pytest.fail(f"The workflow did not end:\n{self.log()[-3000:]}")

    def run(self, nodes: dict[str, Any]) -> dict[str, list[np.ndarray]]:
        """Run a workflow that must succeed; the pictures of each node that shows some."""
        entry = self.finished(self.queue(nodes))
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        return {
            name: [self.view(file) for file in output["images"]]
            for name, output in entry["outputs"].items()
            if "images" in output
        }

    def view(self, file: dict[str, str]) -> np.ndarray:
        url = f"http://127.0.0.1:{self.port}/view?{urllib.parse.urlencode(file)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return np.array(Image.open(BytesIO(answer.read())))

    def opened(self, network: str = DRAWN[1]) -> int:
        return self.log().count(f"Opened {network} on CPU")

    def free(self, **flags: bool) -> None:
        """Free memory and wait until the drawn picture's network is closed."""
        for turn in range(200):
            if turn % 50 == 0:
                # ComfyUI forgets it when asked right after a workflow, while it collects garbage
                self.post("/free", flags)
            if self.log().count(f"Closed {DRAWN[1]}") == self.opened():
                return
            time.sleep(0.1)
        pytest.fail(f"The session stayed open:\n{self.log()[-1000:]}")


@contextmanager
def running(base: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Start a ComfyUI, wait until it answers, and stop it in the end."""
    server = Server(base, *arguments, **environment)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def _launcher() -> list[str]:
    """ComfyUI's main.py, or a starter for a torch that torchvision was not built for."""
    stub = SHARED / "tools" / "comfy_cpu.py"
    if stub.exists():
        probe = subprocess.run([PYTHON, "-c", "import torchvision"], capture_output=True)
        if probe.returncode:
            return [str(stub), str(COMFYUI)]
    return [str(Path(str(COMFYUI)) / "main.py")]


def draw(seed: int) -> Image.Image:
    """A bright disc with a soft edge on a dark, uneven ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:200, :300]
    alpha = np.clip((70 + 10 * seed - np.hypot(y - 100, x - 150)) / 12 + 0.5, 0, 1)[..., None]
    ground = np.stack([30 + 0.1 * x, 20 + 0.1 * y, 60 - 0.1 * x], -1)
    disc = np.array([240, 200, 160]) + rng.normal(0, 3, (200, 300, 3))
    return Image.fromarray((disc * alpha + ground * (1 - alpha)).clip(0, 255).astype(np.uint8))


def make_network(height: int | str = 320, width: int | str = 320) -> bytes:
    """A network with U-2-Net's signature that finds what is bright; any size has a name."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["picture"], ["grey"], axes=[1], keepdims=1),
            helper.make_node("HardSigmoid", ["grey"], ["mask"], alpha=0.6, beta=0.5),
        ],
        "bright",
        [helper.make_tensor_value_info("picture", kind, [1, 3, height, width])],
        [helper.make_tensor_value_info("mask", kind, [1, 1, height, width])],
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def make_base(base: Path) -> Path:
    """Fill a base directory: this pack, two networks, some pictures."""
    for name in ("custom_nodes", "models/rembg", "input"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "rembg-sessions").symlink_to(ROOT, target_is_directory=True)
    if ESSENTIALS:
        essentials = base / "custom_nodes" / "ComfyUI_essentials"
        essentials.symlink_to(Path(ESSENTIALS).resolve(), target_is_directory=True)
    (base / "models" / "rembg" / DRAWN[1]).write_bytes(make_network())
    draw(0).save(base / "input" / DRAWN[0])
    draw(2).save(base / "input" / "other.png")
    for photo, network in PHOTOS:
        jpeg = (SHARED / "images" / photo).with_suffix(".jpg")
        if jpeg.exists() and (SHARED / "models" / network).exists():
            # as PNG: ComfyUI 0.33 decodes JPEG with FFmpeg, to other pixels than Pillow
            Image.open(jpeg).save(base / "input" / photo)
            shutil.copy(SHARED / "models" / network, base / "models" / "rembg")
    return base
