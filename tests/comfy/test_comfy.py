"""The nodes in a real ComfyUI server, through its HTTP and websocket interfaces alone.

See comfy_server.py for the environment variables. The server has an empty home folder and may
not download.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import struct
import time
import urllib.error
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfy_server import COMFYUI, DRAWN, PATIENCE, PHOTOS, ROOT, Server, make_base, running
from rembg_sessions.core import Composition, Framing, compose, new_session, remove
from rembg_sessions.core.imaging.bleed import REACH
from rembg_sessions.core.imaging.composite import FITS, fit_picture
from rembg_sessions.core.imaging.mask import refine
from rembg_sessions.core.imaging.morphology import dilate
from rembg_sessions.core.registry.lookup import get_model

NODES = (
    "RemBGSession",
    "RemBGRemove",
    "RemBGMask",
    "RemBGAlphaMatting",
    "RemBGApplyBackground",
    "RemBGFrameSubject",
    "RemBGPutBack",
    "RemBGSAMPrompt",
)

pytestmark = [
    pytest.mark.comfy,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set: no ComfyUI to start"),
]


# -- the server --------------------------------------------------------------------------


class Listener:
    """The messages of a server's websocket: dicts, and bytes for binary ones."""

    def __init__(self, server: Server, client: str):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET /ws?clientId={client} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.stream = self.socket.makefile("rb")
        while self.stream.readline().strip():  # the headers of the answer
            pass

    def read(self) -> dict[str, Any] | bytes:
        opcode, length = self.stream.read(2)
        if length >= 126:
            code = ">H" if length == 126 else ">Q"
            (length,) = struct.unpack(code, self.stream.read(struct.calcsize(code)))
        payload = self.stream.read(length)
        return json.loads(payload) if opcode & 15 == 1 else payload

    def until(self, kind: str, **data: Any) -> list[dict[str, Any] | bytes]:
        """The messages up to the first of a kind that holds these data."""
        messages = []
        while True:
            message = self.read()
            messages.append(message)
            if isinstance(message, bytes):
                continue
            if message["type"] == kind and message["data"].items() >= data.items():
                return messages
            assert message["type"] != "execution_error", message["data"]["exception_message"]

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


def progress(messages: list[dict[str, Any] | bytes], node: str) -> list[tuple[int, int]]:
    data = [m["data"] for m in messages if isinstance(m, dict) and m["type"] == "progress"]
    return [(each["value"], each["max"]) for each in data if each["node"] == node]


def texts(messages: list[dict[str, Any] | bytes], node: str) -> list[str]:
    """The lines shown under a node: binary messages of type 3, length of the id, id, text."""
    start = struct.pack(">II", 3, len(node)) + node.encode()
    lines = [m for m in messages if isinstance(m, bytes) and m.startswith(start)]
    return [line[len(start) :].decode() for line in lines]


# -- what it works on --------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory: this pack, two networks, some pictures."""
    return make_base(tmp_path_factory.mktemp("comfy"))


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    with running(base) as server:
        yield server


@pytest.fixture(scope="module")
def session(base: Path) -> Any:
    """Opens a network of the base directory in Python."""
    folders = [base / "models" / "rembg"]
    return lambda network: new_session("u2net_custom", model_path=network, folders=folders)


@pytest.fixture(params=[DRAWN, *PHOTOS], ids=lambda case: case[0])
def case(request: pytest.FixtureRequest, base: Path) -> tuple[str, str]:
    picture, _ = request.param
    if not (base / "input" / picture).exists():
        pytest.skip("the shared photos and the selfie network are not here")
    return request.param


# -- workflows ---------------------------------------------------------------------------


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def start(picture: str = DRAWN[0], network: str = DRAWN[1], **settings: Any) -> dict[str, Any]:
    """A picture, ``photo``, and an open model, ``session``."""
    settings = {"model": f"{network}: U-2-Net", "device": "CPU", **settings}
    return {
        "photo": node("LoadImage", image=picture),
        "session": node("RemBGSession", **settings),
    }


def on_photo(class_type: str, **inputs: Any) -> dict[str, Any]:
    return node(class_type, **{"image": ("photo", 0), "session": ("session", 0), **inputs})


def save(name: str, source: tuple[str, int]) -> dict[str, Any]:
    return {name: node("SaveImage", images=source, filename_prefix=name)}


def save_mask(name: str, source: tuple[str, int]) -> dict[str, Any]:
    return {f"{name}_": node("MaskToImage", mask=source), **save(name, (f"{name}_", 0))}


def difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    assert one.shape == two.shape
    return np.abs(one.astype(int) - two.astype(int))


def assert_same_alpha(got: np.ndarray, expected: np.ndarray, most: int = 4) -> None:
    """Compare within what rounding to 8 bit before and after the resize may differ by."""
    error = difference(got, expected)
    assert error.mean() <= 1
    assert error.max() <= most


def assert_same_cutout(got: np.ndarray, expected: np.ndarray, most: int = 4) -> None:
    """Compare RGBA; colours where they can be seen, closer where nothing is estimated."""
    assert got.shape[-1] == 4
    assert_same_alpha(got[..., 3], expected[..., 3], most)
    alpha = np.minimum(got[..., 3], expected[..., 3])
    error = difference(got, expected)[..., :3]
    assert (alpha == 255).any()
    assert error[alpha == 255].max(initial=0) <= 1
    # estimates follow alpha, also where enlarging it overshoots
    assert error[alpha >= 128].mean() <= (1 if most == 4 else 1.5)


# -- listing and validation --------------------------------------------------------------


def test_nodes_are_listed_with_tooltips(server):
    for name in NODES:
        info = server.get(f"/object_info/{name}")[name]
        inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        assert inputs
        for key, (_, options) in inputs.items():
            assert len(options.get("tooltip", "")) > 10, (name, key)
        assert len(info["output_tooltips"]) == len(info["output"]) == len(info["output_name"])
        assert all(info["output_tooltips"])
        assert info["description"]
        assert info["category"] == "image/background removal"


def models(server):
    return server.get("/object_info/RemBGSession")["RemBGSession"]["input"]["required"]["model"][0]


def test_own_files_are_offered(server):
    assert f"{DRAWN[1]}: U-2-Net" in models(server)


@pytest.mark.parametrize("name", ["sub/Own.ONNX", r"sub\Own.ONNX"])
def test_own_files_of_another_system(server, base, name):
    folder = base / "models" / "rembg"
    (folder / "sub").mkdir(exist_ok=True)
    shutil.copy(folder / DRAWN[1], folder / "sub" / "Own.ONNX")
    assert "sub/Own.ONNX: U-2-Net" in models(server)
    nodes = start(network=name) | {"mask": on_photo("RemBGMask")}
    assert len(server.run(nodes | save_mask("out", ("mask", 0)))["out"]) == 1


def test_start_leaves_no_complaint(server):
    before_work = server.log().split("To see the GUI go to")[0]
    lines = [line for line in before_work.splitlines() if "rembg" in line.lower()]
    assert any("seconds" in line and "rembg-sessions" in line for line in lines)
    for line in lines:
        assert not re.search(r"warn|error|fail|cannot|File \"", line, re.IGNORECASE), line


def test_unknown_model_is_refused_before_queueing(server):
    nodes = start(model="u2nett") | {"mask": on_photo("RemBGMask")} | save_mask("out", ("mask", 0))
    before = len(server.get("/history"))
    with pytest.raises(urllib.error.HTTPError) as refusal:
        server.queue(nodes)
    assert refusal.value.code == 400
    # ComfyUI repeats it for every input that VALIDATE_INPUTS names
    for error in json.load(refusal.value)["node_errors"]["session"]["errors"]:
        assert "'u2nett'" in error["details"]
        assert "u2net" in error["details"].replace("'u2nett'", "")  # the closest name
    queue = server.get("/queue")
    assert queue["queue_running"] == queue["queue_pending"] == []
    assert len(server.get("/history")) == before


@pytest.mark.parametrize("model", [None, "u2net: general purpose"])
def test_missing_weights_are_explained(server, model):
    remove_node = node("RemBGRemove", image=("photo", 0))
    nodes = {"photo": node("LoadImage", image=DRAWN[0]), "cut": remove_node}
    name = "u2net"
    if model:
        nodes["session"] = node("RemBGSession", model=model, device="Auto")
        remove_node["inputs"]["session"] = ("session", 0)
        name = "u2net"
    entry = server.finished(server.queue(nodes | save("out", ("cut", 0))))
    assert entry["status"]["status_str"] == "error"
    (error,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert error["node_id"] == ("session" if model else "cut")
    message = error["exception_message"]
    (weights,) = get_model(name).weights
    assert weights.file in message
    assert weights.url in message
    assert str(server.base / "models" / "rembg") in message


# -- each node against Python ------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"edge_colours": "original"},
        {"edge_colours": "naive"},
        {"max_size": 128},
    ],
    ids=str,
)
def test_remove_equals_python(server, session, case, options):
    picture, network = case
    result = server.run(
        start(picture, network)
        | {"cut": on_photo("RemBGRemove", **options)}
        | save("image", ("cut", 0))
        | save_mask("alpha", ("cut", 1))
    )
    expected = remove(
        server.base / "input" / picture,
        session=session(network),
        **{"edge_colours": "estimated", **options},
    )
    (image,), (mask,) = result["image"], result["alpha"]
    # enlarging a small mask overshoots at hard edges, which 8 bit cuts off at every step
    assert_same_cutout(image, np.array(expected), most=16 if "max_size" in options else 4)
    assert (mask[..., 0] == image[..., 3]).all()
    assert (image[..., 3] == 0).any()
    hidden = image[..., 3] == 0
    if options.get("edge_colours") != "naive":
        hidden = ~dilate(~hidden, REACH)
    assert not image[hidden].any()


def test_backdrop_needs_no_file(server):
    """The model without weights, on the sample: the node's pixels are the Python API's."""
    sample = server.base / "input" / "thistle.png"
    with Image.open(ROOT / "tests" / "sample" / "thistle.jpg") as picture:
        picture.save(sample)
    nodes = {
        "photo": node("LoadImage", image=sample.name),
        "session": node("RemBGSession", model="backdrop", device="Auto"),
        "cut": on_photo("RemBGRemove"),
    }
    (image,) = server.run(nodes | save("image", ("cut", 0)))["image"]
    expected = remove(sample, session=new_session("backdrop"), edge_colours="estimated")
    error = difference(image, np.array(expected))
    error[image[..., 3] == 0, :3] = 0  # the node has colours beside the edge, see imaging/bleed.py
    assert error.max() <= 1
    assert 0.1 < (image[..., 3] > 127).mean() < 0.3


def test_backdrop_says_that_there_is_none(server, listener):
    """The page that asked is told with the result, and the history holds it."""
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(
        server.base / "input" / "noise.png"
    )
    nodes = {
        "photo": node("LoadImage", image="noise.png"),
        "session": node("RemBGSession", model="backdrop", device="Auto"),
        "cut": on_photo("RemBGRemove"),
    }
    prompt = server.queue(nodes | save("image", ("cut", 0)), client="listener")
    messages = listener.until("executing", node=None, prompt_id=prompt)
    (told,) = [
        message["data"]["output"]["rembg_warnings"]
        for message in messages
        if isinstance(message, dict) and message["type"] == "executed"
        if message["data"]["node"] == "cut"
    ]
    (warning,) = told
    assert "does not seem to have a plain backdrop" in warning
    assert server.finished(prompt)["outputs"]["cut"]["rembg_warnings"] == told


def test_remove_hard_edge_equals_python(server, session, case):
    picture, network = case
    result = server.run(
        start(picture, network)
        | {"cut": on_photo("RemBGRemove", hard_edge=True)}
        | save("image", ("cut", 0))
    )
    (image,) = result["image"]
    assert set(np.unique(image[..., 3])) == {0, 255}
    expected = remove(
        server.base / "input" / picture, session=session(network), post_process_mask=True
    )
    assert (image[..., 3] != np.array(expected)[..., 3]).mean() < 0.002


def test_remove_over_a_colour_is_rgb(server, session, case):
    picture, network = case
    result = server.run(
        start(picture, network)
        | {"cut": on_photo("RemBGRemove", background="colour", background_colour="10,200,30")}
        | save("image", ("cut", 0))
        | save_mask("alpha", ("cut", 1))
    )
    expected = remove(
        server.base / "input" / picture,
        session=session(network),
        edge_colours="estimated",
        bgcolor=(10, 200, 30),
    )
    (image,), (mask,) = result["image"], result["alpha"]
    assert image.shape[-1] == 3
    assert (np.abs(image[mask[..., 0] == 0].astype(int) - (10, 200, 30)) <= 1).all()
    assert_same_alpha(image, np.array(expected)[..., :3])


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ({}, {}),
        ({"invert": True}, {}),
        (
            {"threshold": 0.5, "grow": 3, "fill_holes": 1.0, "keep_largest": True},
            {"level": 0.5, "grow_pixels": 3, "holes": True, "largest": True},
        ),
        ({"grow": -4, "feather": 2.5}, {"grow_pixels": -4, "feather_radius": 2.5}),
    ],
    ids=["plain", "inverted", "hard", "soft"],
)
def test_mask_equals_python(server, session, case, inputs, options):
    picture, network = case
    result = server.run(
        start(picture, network)
        | {"mask": on_photo("RemBGMask", **inputs)}
        | save_mask("alpha", ("mask", 0))
    )
    photo = Image.open(server.base / "input" / picture).convert("RGB")
    (alpha,) = session(network).predict_alpha(photo)
    expected = refine(alpha, **options)
    expected = 255 * (1 - expected if inputs.get("invert") else expected)
    (mask,) = result["alpha"]
    # saving cuts the fraction off
    error = difference(mask[..., 0], expected.astype(np.uint8))
    assert error.mean() <= 0.01
    assert (error <= 1).all()


def test_plain_mask_equals_rembgs(server, session, case):
    picture, network = case
    result = server.run(
        start(picture, network) | {"mask": on_photo("RemBGMask")} | save_mask("alpha", ("mask", 0))
    )
    expected = remove(server.base / "input" / picture, session=session(network), only_mask=True)
    assert_same_alpha(result["alpha"][0][..., 0], np.array(expected))


def test_alpha_matting_equals_python(server, session, case):
    picture, network = case
    result = server.run(
        start(picture, network)
        | {"mask": on_photo("RemBGMask")}
        | {
            "matte": node(
                "RemBGAlphaMatting",
                image=("photo", 0),
                mask=("mask", 0),
                foreground_threshold=230,
                background_threshold=20,
                erode_size=6,
            )
        }
        | save_mask("alpha", ("matte", 0))
        | save("image", ("matte", 1))
    )
    expected = np.array(
        remove(
            server.base / "input" / picture,
            session=session(network),
            alpha_matting=True,
            alpha_matting_foreground_threshold=230,
            alpha_matting_background_threshold=20,
            alpha_matting_erode_size=6,
        )
    )
    (image,), (mask,) = result["image"], result["alpha"]
    assert (mask[..., 0] == image[..., 3]).all()
    # a mask value across a threshold moves the trimap by a pixel: only the mean is bounded
    error = difference(image[..., 3], expected[..., 3])
    assert error.mean() <= 1
    opaque = (image[..., 3] == 255) & (expected[..., 3] == 255)
    assert opaque.any()
    assert difference(image, expected)[opaque].max() <= 1
    assert not image[~dilate(image[..., 3] > 0, REACH)].any()


def over(**inputs: Any) -> dict[str, Any]:
    """A node that composes, with what the page would send."""
    numbers = {"scale": 1.0, "move_x": 0.0, "move_y": 0.0, "shadow": 0.0, "outline": 0}
    given = {"background": "colour", "background_colour": "#ffffff", "fit": "fill", **numbers}
    return node("RemBGApplyBackground", **{**given, **inputs})


@pytest.mark.parametrize("fit", [None, *FITS])
def test_background_equals_python(server, session, case, fit):
    picture, network = case
    behind = {"background_image": ("behind", 0), "fit": fit} if fit else {}
    result = server.run(
        start(picture, network)
        | {
            "behind": node("LoadImage", image="other.png"),
            "cut": on_photo("RemBGRemove"),
            "over": over(image=("cut", 0), background_colour="#08f", **behind),
        }
        | save("image", ("over", 0))
    )
    cutout = remove(
        server.base / "input" / picture, session=session(network), edge_colours="estimated"
    )
    ground = Image.new("RGB", cutout.size, "#0088ff")
    if fit:
        other = Image.open(server.base / "input" / "other.png").convert("RGB")
        ground = fit_picture(other, (cutout.height, cutout.width), fit, (0, 0x88, 0xFF))
    expected = Image.alpha_composite(ground.convert("RGBA"), cutout).convert("RGB")
    (image,) = result["image"]
    assert image.shape[-1] == 3
    assert_same_alpha(image, np.array(expected))


@pytest.mark.parametrize("background", ["colour", "transparent"])
def test_composition_on_a_background_equals_python(server, session, background):
    look = {"scale": 0.6, "move_x": 12.5, "move_y": -5.0, "shadow": 0.5, "outline": 3}
    rare = {"canvas": "background", "width": 500, "shadow_blur": 7.0, "shadow_x": -4}
    rare |= {"outline_colour": "#ffe000"}
    nodes = start() | {
        "behind": node("LoadImage", image="other.png"),
        "cut": on_photo("RemBGRemove"),
    }
    given = {"image": ("cut", 0), "background": background, "background_colour": "#08f"}
    if background == "colour":
        given["background_image"] = ("behind", 0)
    else:
        rare["canvas"] = "image"
    nodes |= {"over": over(**given, **look, **rare)}
    result = server.run(nodes | save("image", ("over", 0)) | save_mask("mask", ("over", 1)))
    cutout = remove(
        server.base / "input" / DRAWN[0], session=session(DRAWN[1]), edge_colours="estimated"
    )
    other = Image.open(server.base / "input" / "other.png").convert("RGB")
    expected = compose(
        cutout, other if background == "colour" else None, Composition(**look, **rare)
    )
    (image,), (mask,) = result["image"], result["mask"]
    expected = np.array(expected)
    assert image.shape == expected.shape
    assert image.shape[1] == mask.shape[1] == 500
    if background == "transparent":  # as they are seen
        image, expected = (each[..., :3] * (each[..., 3:] / 255) for each in (image, expected))
    # a level of alpha moves an outline by a hundredth of a pixel
    assert difference(image, expected).max() <= 6
    assert difference(image, expected).mean() < 0.5
    assert mask.max() == 255 and mask.min() == 0


# -- framing -----------------------------------------------------------------------------


def frame(**inputs: Any) -> dict[str, Any]:
    """The node as it comes, but for some inputs."""
    as_it_comes = {
        **{"image": ("cut", 0), "width": 0, "height": 0, "aspect_ratio": "free"},
        **{"margin": 5.0, "margin_unit": "%", "align": "centre", "batch": "together"},
        **{"enlarge": False, "background": "transparent", "background_colour": "#ffffff"},
    }
    return node("RemBGFrameSubject", **{**as_it_comes, **inputs})


def rectangles() -> dict[str, Any]:
    """Two pictures, ``cut``, and masks of a rectangle at (30, 20) and at (130, 90), ``pair``."""
    nodes: dict[str, Any] = {
        "nothing": node("SolidMask", value=0.0, width=300, height=200),
        "all": node("SolidMask", value=1.0, width=80, height=50),
    }
    for name, x, y in (("one", 30, 20), ("two", 130, 90)):
        nodes[name] = node(
            "MaskComposite",
            destination=("nothing", 0),
            source=("all", 0),
            x=x,
            y=y,
            operation="add",
        )
        nodes[f"{name}_image"] = node("MaskToImage", mask=(name, 0))
    return nodes | {
        "photo": node("LoadImage", image=DRAWN[0]),
        "cut": node("RepeatImageBatch", image=("photo", 0), amount=2),
        "images": node("ImageBatch", image1=("one_image", 0), image2=("two_image", 0)),
        "pair": node("ImageToMask", image=("images", 0), channel="red"),
    }


def test_framed_equals_python(server, session, case):
    picture, network = case
    size = {"width": 150, "height": 200, "align": "bottom", "enlarge": True}
    result = server.run(
        start(picture, network)
        | {"cut": on_photo("RemBGRemove"), "frame": frame(**size)}
        | {"back": node("RemBGPutBack", image=("frame", 0), placement=("frame", 3))}
        | save("framed", ("frame", 0))
        | save_mask("mask", ("frame", 1))
        | save("back_", ("back", 0))
        | save("cut_", ("cut", 0))
    )
    framing = Framing(margin=5, margin_unit="%", **size)
    path = server.base / "input" / picture
    expected = remove(path, session=session(network), edge_colours="estimated", crop=framing)
    (framed,), (mask,), (back,), (cut,) = (
        result[name] for name in ("framed", "mask", "back_", "cut_")
    )
    assert_same_cutout(framed, np.array(expected))
    assert difference(mask[..., 0], framed[..., 3]).max() <= 1
    assert back.shape == cut.shape
    assert difference(back[..., 3], cut[..., 3]).mean() < 3


@pytest.mark.parametrize("batch", ["together", "each"])
def test_a_batch_is_framed_and_put_back(server, batch):
    size = {"mask": ("pair", 0), "margin": 10.0, "margin_unit": "px", "batch": batch}
    result = server.run(
        rectangles()
        | {"frame": frame(**size)}
        | {"back": node("RemBGPutBack", image=("frame", 0), placement=("frame", 3))}
        | save("framed", ("frame", 0))
        | save("back_", ("back", 0))
    )
    photo = np.array(Image.open(server.base / "input" / DRAWN[0]).convert("RGB"))
    corners = ((30, 20), (130, 90))
    for i, (x, y) in enumerate(corners):
        part = np.s_[y : y + 50, x : x + 80]
        framed, back = result["framed"][i], result["back_"][i]
        left, top = (10, 10) if batch == "each" else (x - 20, y - 10)
        assert framed.shape == ((70, 100, 4) if batch == "each" else (140, 200, 4))
        seen = framed[top : top + 50, left : left + 80]
        assert (seen[..., 3] == 255).all() and (framed[..., 3] > 0).sum() == 50 * 80
        assert difference(seen[..., :3], photo[part]).max() <= 1
        assert back.shape == (*photo.shape[:2], 4)
        assert (back[part] == seen).all() and (back[..., 3] > 0).sum() == 50 * 80


def test_the_box_is_one_that_comfyui_takes(server):
    """0.3.64 has no node that takes one."""
    if not server.get("/object_info/ImageCropV2"):
        pytest.skip("this ComfyUI has no boxes")
    given = {"mask": ("pair", 0), "margin": 0.0}
    result = server.run(
        rectangles()
        | {"frame": frame(**given), "each": frame(batch="each", **given)}
        | {"crop": node("ImageCropV2", image=("cut", 0), crop_region=("frame", 2))}
        | {"drawn": node("DrawBBoxes", image=("cut", 0), bboxes=("each", 2))}
        | save("cropped", ("crop", 0))
        | save("drawn_", ("drawn", 0))
    )
    photo = np.array(Image.open(server.base / "input" / DRAWN[0]).convert("RGB"))
    assert difference(result["cropped"][0], photo[20:140, 30:210]).max() <= 1
    for image, (x, y) in zip(result["drawn_"], ((30, 20), (130, 90)), strict=True):
        rows, columns = np.nonzero(difference(image, photo).max(axis=2) > 8)
        assert abs(columns.min() - x) <= 4 and abs(columns.max() - x - 80) <= 4
        assert abs(rows.max() - y - 50) <= 4


# -- shapes ------------------------------------------------------------------------------


def test_batch_keeps_count_and_order(server):
    nodes = start() | {
        "other": node("LoadImage", image="other.png"),
        "pair": node("ImageBatch", image1=("photo", 0), image2=("other", 0)),
        "batch": node("RepeatImageBatch", image=("pair", 0), amount=2),
        "cut": on_photo("RemBGRemove", image=("batch", 0)),
        "mask": on_photo("RemBGMask", image=("batch", 0)),
        "matte": node("RemBGAlphaMatting", image=("batch", 0), mask=("mask", 0), **LEVELS),
        "over": over(image=("cut", 0), background_colour="red"),
    }
    saved = save("cut_", ("cut", 0)) | save_mask("mask_", ("mask", 0))
    saved |= save("matte_", ("matte", 1)) | save("over_", ("over", 0))
    result = server.run(nodes | saved)
    for name, images in result.items():
        assert len(images) == 4, name
        assert (images[0] == images[2]).all()
        assert (images[1] == images[3]).all()
        assert (images[0] != images[1]).any()
    alone = server.run(
        start("other.png") | {"cut": on_photo("RemBGRemove")} | save("cut_", ("cut", 0))
    )
    assert (alone["cut_"][0] == result["cut_"][1]).all()


def test_transparent_input_stays_transparent(server):
    half = node("SolidMask", value=0.5, width=300, height=200)
    nodes = start() | {
        "half": half,
        "rgba": node("JoinImageWithAlpha", image=("photo", 0), alpha=("half", 0)),
        "cut": on_photo("RemBGRemove", image=("rgba", 0)),
        "plain": on_photo("RemBGRemove"),
        "mask": on_photo("RemBGMask", image=("rgba", 0)),
        "over": over(image=("rgba", 0), background_colour="black"),
    }
    saved = save("cut_", ("cut", 0)) | save("plain_", ("plain", 0))
    saved |= save_mask("mask_", ("mask", 0)) | save("over_", ("over", 0))
    result = server.run(nodes | saved)
    plain = result["plain_"][0][..., 3]
    assert plain.max() > 200
    assert (result["cut_"][0][..., 3] == np.minimum(plain, 127)).all()
    assert (result["mask_"][0][..., 0] == np.minimum(plain, 127)).all()
    photo = np.array(Image.open(server.base / "input" / DRAWN[0]))
    assert difference(result["over_"][0], photo // 2).max() <= 1


def test_masks_of_another_size(server):
    nodes = start() | {
        "small": node(
            "ImageScale",
            image=("photo", 0),
            upscale_method="bilinear",
            width=150,
            height=100,
            crop="disabled",
        ),
        "mask": on_photo("RemBGMask"),
        "small_mask": on_photo("RemBGMask", image=("small", 0)),
    }
    for name in ("mask", "small_mask"):
        given = {"image": ("photo", 0), "mask": (name, 0)}
        nodes |= {
            f"{name}_matte": node("RemBGAlphaMatting", **given, **LEVELS),
            f"{name}_over": over(**given, background_colour="blue"),
        }
        nodes |= save(f"{name}_1", (f"{name}_matte", 1)) | save(f"{name}_2", (f"{name}_over", 0))
    result = server.run(nodes)
    for number in (1, 2):
        (full,), (small,) = result[f"mask_{number}"], result[f"small_mask_{number}"]
        assert difference(small, full).mean() < 3


LEVELS = {"foreground_threshold": 240, "background_threshold": 10, "erode_size": 10}


# -- other packs' nodes ------------------------------------------------------------------


def has(server: Server, name: str) -> bool:
    return name in server.get(f"/object_info/{urllib.parse.quote(name)}")


def test_core_node_takes_our_session(server, case):
    if not has(server, "RemoveBackground"):
        pytest.skip("this ComfyUI has no RemoveBackground node; 0.33 has")
    nodes = start(*case) | {
        "theirs": node("RemoveBackground", image=("photo", 0), bg_removal_model=("session", 0)),
        "ours": on_photo("RemBGMask"),
    }
    result = server.run(nodes | save_mask("a", ("theirs", 0)) | save_mask("b", ("ours", 0)))
    assert (result["a"][0] == result["b"][0]).all()


def test_essentials_node_takes_our_session(server, session, case):
    if not has(server, "ImageRemoveBackground+"):
        pytest.skip("COMFYUI_ESSENTIALS names no ComfyUI_essentials that loads")
    picture, network = case
    theirs = node("ImageRemoveBackground+", image=("photo", 0), rembg_session=("session", 0))
    result = server.run(start(*case) | {"theirs": theirs} | save("out", ("theirs", 0)))
    photo = Image.open(server.base / "input" / picture).convert("RGB")
    expected = np.array(session(network).process(photo))
    assert difference(result["out"][0], expected).max() <= 1


# -- progress, cancel, memory ------------------------------------------------------------


def batch(count: int, side: int) -> dict[str, Any]:
    scale = {"upscale_method": "bilinear", "crop": "disabled", "width": side, "height": side}
    return {
        "large": node("ImageScale", image=("photo", 0), **scale),
        "batch": node("RepeatImageBatch", image=("large", 0), amount=count),
    }


@pytest.fixture
def listener(server):
    listener = Listener(server, "listener")
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def drawn_trimap(base: Path) -> str:
    """A trimap of the drawn picture's size, among the server's inputs."""
    width, height = Image.open(base / "input" / DRAWN[0]).size
    trimap = np.full((height, width), 128, np.uint8)
    trimap[:, : width // 3], trimap[:, -(width // 3) :] = 255, 0
    Image.fromarray(trimap).save(base / "input" / "drawn_trimap.png")
    return "drawn_trimap.png"


@pytest.mark.parametrize("method", ["closed-form", "fast", "guided"])
def test_matting_methods_and_previews(server, listener, session, method):
    options = {"image": ("photo", 0), "mask": ("mask", 0), "method": method}
    nodes = start() | {"mask": on_photo("RemBGMask")}
    nodes |= {"matte": node("RemBGAlphaMatting", **options, scale_erode=True, preview=True)}
    nodes |= save("image", ("matte", 1)) | save_mask("trimap", ("matte", 2))
    prompt = server.queue(nodes, client="listener")
    messages = listener.until("executing", prompt_id=prompt, node=None)
    (line,) = texts(messages, "matte")
    assert re.fullmatch(rf"{method}, \d+ ms per image", line)
    outputs = server.finished(prompt)["outputs"]
    result = {
        name: [server.view(file) for file in output["images"]] for name, output in outputs.items()
    }
    ((image,), (trimap,)) = result["image"], result["trimap"]
    expected = remove(
        server.base / "input" / DRAWN[0],
        session=session(DRAWN[1]),
        matting_method=method,
        alpha_matting_scale_erode=True,
    )
    # the mask goes through 8 bit in Python: the trimap may be a pixel apart
    assert difference(image[..., 3], np.array(expected)[..., 3]).mean() <= 1
    assert set(np.unique(trimap[..., 0])) == {0, 127, 255}
    shown, refined = result["matte"]
    assert shown.shape == refined.shape == trimap.shape[:2]
    assert difference(shown, trimap[..., 0]).max() <= 1
    assert difference(refined, image[..., 3]).max() <= 1


def test_a_result_from_the_cache_is_shown_again(base):
    """Else the node goes on to show the picture and the warnings of the run between."""
    with running(base, "--cache-lru", "20") as server:  # keeps the results of several runs
        if "has_intermediate_output" not in server.get("/object_info/RemBGRemove")["RemBGRemove"]:
            pytest.skip("this ComfyUI tells the page nothing of what comes from the cache")
        listener = Listener(server, "listener")
        shown = []
        for preview in ("white", "black", "white"):
            nodes = start() | {"cut": on_photo("RemBGRemove", preview=preview)}
            nodes |= save("image", ("cut", 0))
            prompt = server.queue(nodes, client="listener")
            messages = listener.until("execution_success", prompt_id=prompt)
            told = [m["data"] for m in messages if isinstance(m, dict) and m["type"] == "executed"]
            (output,) = [data["output"] for data in told if data["node"] == "cut"]
            shown.append(output["images"])
        listener.close()
        assert shown[2] == shown[0] != shown[1]
        (first,) = shown[0]
        assert server.view(first)[0, 0].tolist() == [255, 255, 255]


def test_matting_takes_a_trimap_and_no_mask(server, drawn_trimap):
    nodes = start() | {
        "drawn": node("LoadImageMask", image=drawn_trimap, channel="red"),
        "matte": node("RemBGAlphaMatting", image=("photo", 0), trimap=("drawn", 0)),
    }
    result = server.run(nodes | save("image", ("matte", 1)) | save_mask("trimap", ("matte", 2)))
    ((image,), (trimap,)) = result["image"], result["trimap"]
    given = np.array(Image.open(server.base / "input" / drawn_trimap))
    assert difference(trimap[..., 0], given).max() <= 1
    assert (image[given == 255][:, 3] == 255).all()
    assert not image[given == 0][:, 3].any()
    assert not image[~dilate(image[..., 3] > 0, REACH)].any()
    entry = server.finished(
        server.queue(
            start()
            | {"matte": node("RemBGAlphaMatting", image=("photo", 0))}
            | save("image", ("matte", 1))
        )
    )
    (failure,) = [text for kind, text in entry["status"]["messages"] if kind == "execution_error"]
    assert failure["exception_message"].strip() == "Connect a mask, or a trimap."


def test_matting_can_be_cancelled(server, listener):
    nodes = start() | batch(40, 1000)
    nodes |= {"mask": on_photo("RemBGMask", image=("large", 0))}  # one for all
    given = {"image": ("batch", 0), "mask": ("mask", 0), "erode_size": 60}
    nodes |= {"work": node("RemBGAlphaMatting", **given)} | save("out", ("work", 1))
    prompt = server.queue(nodes, client="listener")
    listener.until("progress", prompt_id=prompt, node="work")
    server.post("/interrupt", {})
    messages = listener.until("executing", prompt_id=prompt, node=None)
    assert all(done < 40 for done, _ in progress(messages, "work"))
    assert interrupted_node(server, prompt) == "work"


@pytest.mark.parametrize("class_type", ["RemBGRemove", "RemBGMask"])
def test_progress_and_provider_are_shown(server, listener, class_type):
    server.free(unload_models=True, free_memory=True)  # nothing comes from the cache
    nodes = start() | batch(3, 1000) | {"work": on_photo(class_type, image=("batch", 0))}
    saver = save_mask if class_type == "RemBGMask" else save
    prompt = server.queue(nodes | saver("out", ("work", 0)), client="listener")
    messages = listener.until("executing", prompt_id=prompt, node=None)
    steps = progress(messages, "work")
    assert steps[0] == (1, 3)
    assert steps[-1] == (3, 3)
    assert texts(messages, "session") == ["u2net_custom on CPU"]
    lines = texts(messages, "work")
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r"u2net_custom on CPU, \d+ ms per image", line)


def interrupted_node(server: Server, prompt: str) -> str:
    """The node at which a workflow was cancelled."""
    entry = server.finished(prompt)
    assert not entry["status"]["completed"]
    messages = dict(entry["status"]["messages"])
    assert "execution_error" not in messages
    return messages["execution_interrupted"]["node_id"]


@pytest.mark.parametrize("class_type", ["RemBGRemove", "RemBGMask", "RemBGApplyBackground"])
def test_cancel_stops_a_batch(server, listener, class_type):
    nodes = start() | batch(60, 900)
    if class_type == "RemBGApplyBackground":
        half = node("SolidMask", value=0.5, width=900, height=900)
        given = {"image": ("batch", 0), "mask": ("half", 0), "background_image": ("photo", 0)}
        work = over(**given, background_colour="red")
        nodes |= {"half": half, "work": work}
    else:
        nodes |= {"work": on_photo(class_type, image=("batch", 0))}
    saver = save_mask if class_type == "RemBGMask" else save
    prompt = server.queue(nodes | saver("out", ("work", 0)), client="listener")
    listener.until("progress", prompt_id=prompt, node="work")
    server.post("/interrupt", {})
    messages = listener.until("executing", prompt_id=prompt, node=None)
    assert all(done < 60 for done, _ in progress(messages, "work"))
    assert interrupted_node(server, prompt) == "work"
    after = start() | {"cut": on_photo("RemBGRemove")} | save("out", ("cut", 0))
    assert len(server.run(after)["out"]) == 1


def test_cancel_stops_cores_node_with_our_session(server, listener):
    if not has(server, "RemoveBackground"):
        pytest.skip("this ComfyUI has no RemoveBackground node; 0.33 has")
    work = node("RemoveBackground", image=("batch", 0), bg_removal_model=("session", 0))
    nodes = start() | batch(60, 900) | {"work": work} | save_mask("out", ("work", 0))
    prompt = server.queue(nodes, client="listener")
    listener.until("executing", prompt_id=prompt, node="work")
    time.sleep(0.2)  # that node tells no progress
    server.post("/interrupt", {})
    assert interrupted_node(server, prompt) == "work"


@pytest.mark.parametrize(
    "flags",
    [{"unload_models": True, "free_memory": True}, {"unload_models": True}],
    ids=["all", "models"],
)
def test_free_closes_the_session_and_use_reopens_it(server, flags):
    nodes = start() | {"cut": on_photo("RemBGRemove")} | save("out", ("cut", 0))
    (first,) = server.run(nodes)["out"]
    server.free(**flags)
    before = server.opened()
    nodes["cut"]["inputs"]["edge_colours"] = "original"  # not the cached result
    (second,) = server.run(nodes)["out"]
    assert server.opened() == before + 1
    assert (first[..., 3] == second[..., 3]).all()


def test_equal_settings_share_one_open_model(server):
    server.free(unload_models=True, free_memory=True)
    before = server.opened()
    # blanks say nothing, but make ComfyUI run the node again
    for picture, blanks in ((DRAWN[0], " "), ("other.png", "  ")):
        nodes = start(picture, model=f"{DRAWN[1]}:{blanks}U-2-Net")
        server.run(nodes | {"cut": on_photo("RemBGRemove")} | save("out", ("cut", 0)))
    twin = start(model=f"{DRAWN[1]}:   U-2-Net")["session"]
    nodes = start() | {"twin": twin, "cut": on_photo("RemBGRemove", session=("twin", 0))}
    nodes |= {"mask": on_photo("RemBGMask")} | save_mask("b", ("mask", 0))
    server.run(nodes | save("a", ("cut", 0)))
    assert server.opened() == before + 1
    nodes = start(threads=1) | {"cut": on_photo("RemBGRemove")}
    server.run(nodes | save("out", ("cut", 0)))
    assert server.opened() == before + 2
    server.free(unload_models=True, free_memory=True)  # closes both


def test_half_precision_between_nodes(base, server):
    if not has(server, "RemoveBackground"):
        pytest.skip("this ComfyUI has no --fp16-intermediates; 0.33 has")
    nodes = start() | {
        "cut": on_photo("RemBGRemove"),
        "mask": on_photo("RemBGMask"),
        "matte": node("RemBGAlphaMatting", image=("photo", 0), mask=("mask", 0), **LEVELS),
        "over": over(image=("cut", 0), background_colour="red"),
        "again": on_photo("RemBGRemove", image=("cut", 0)),
    }
    nodes |= save("cut_", ("cut", 0)) | save_mask("mask_", ("mask", 0))
    nodes |= save("matte_", ("matte", 1)) | save("over_", ("over", 0)) | save("a", ("again", 0))
    full = server.run(nodes)
    with running(base, "--fp16-intermediates") as half_server:
        half = half_server.run(nodes)
    for name, (image,) in half.items():
        assert difference(image, full[name][0]).mean() < 1, name
