"""The templates in example_workflows/ and the blueprint in subgraphs/.

``COMFYUI_PATH`` and ``COMFYUI_PYTHON``: see comfy_server.py. In ComfyUI the templates are run
as they are, on the pictures that the page brings along; tiny networks under the names of the
models stand in for downloads.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from comfy_server import COMFYUI, ROOT, make_base, running
from rembg_sessions.core.registry.lookup import get_model
from stand_ins import write_network, write_sam

FOLDER = ROOT / "example_workflows"
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.json"))
BLUEPRINT = ROOT / "subgraphs" / "Remove background.json"
# the page brings them along
EXAMPLES = sorted(path.name for path in (ROOT / "web" / "examples").glob("rembg_sessions_*.*"))
NOTES = ("MarkdownNote", "Note")
OUTER_IN, OUTER_OUT = -10, -20  # what the nodes of a subgraph take its inputs and outputs for
TITLE = 30  # pixels that a node's title takes above its position

REMOVE = "Remove a background"
PRODUCT = "Product on a colour and on a picture"
PORTRAIT = "Portrait with alpha matting"
HINTS = "Hints painted by hand"
CENTRED = "Subject cropped and centred"
FRAMES = "Frames to an RGBA sequence"
WEBM = "Video to WebM with transparency"
MOVING = "Video over a moving background"
SAM = "Pick an object with SAM points"
BACKDROP = "Plain backdrop without a download"
SHARED_SESSION = "Session shared with ComfyUI nodes"


NO_DOWNLOAD = {"model": get_model("backdrop").choice}
STEADY = NO_DOWNLOAD | {"frames": "steady"}
# What the templates set; everything else is as the nodes come.
SET = {
    PORTRAIT: {"erode_size": 15, "preview": True},
    HINTS: {"preview": True},
    SAM: {"model": "mobile-sam: general purpose, small", "points": "the points"},
    PRODUCT: NO_DOWNLOAD | {"shadow": 0.4},
    CENTRED: {
        **NO_DOWNLOAD,
        **{"width": 1000, "height": 1000, "margin": 7.5, "enlarge": True, "background": "colour"},
    },
    FRAMES: STEADY,
    WEBM: STEADY,
    MOVING: STEADY,
}


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def working(workflow):
    """The nodes of a saved file that do something."""
    return [node for node in workflow["nodes"] if node["type"] not in NOTES]


# -- the files ---------------------------------------------------------------------------


def test_all_templates_are_here():
    listed = [REMOVE, PRODUCT, PORTRAIT, HINTS, CENTRED, FRAMES, WEBM, MOVING, SAM, BACKDROP]
    assert sorted([*listed, SHARED_SESSION]) == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
def test_links_join_what_the_nodes_say(name):
    workflow = load(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert len(nodes) == len(workflow["nodes"])
    assert workflow["last_node_id"] == max(nodes)
    taken, given = set(), set()
    for link, origin, out, target, into, _ in workflow["links"]:
        assert nodes[target]["inputs"][into]["link"] == link
        assert link in nodes[origin]["outputs"][out]["links"]
        taken.add((target, into))
        given.add((origin, out, link))
    assert taken == {
        (node["id"], at)
        for node in nodes.values()
        for at, entry in enumerate(node["inputs"])
        if entry["link"] is not None
    }
    assert given == {
        (node["id"], at, link)
        for node in nodes.values()
        for at, entry in enumerate(node["outputs"])
        for link in entry["links"] or ()
    }
    assert len(workflow["links"]) == workflow["last_link_id"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_nodes_do_not_overlap(name):
    boxes = []
    for node in load(name)["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        boxes.append((x, y - TITLE, x + width, y + height, node["type"]))
    for i, (left, top, right, bottom, one) in enumerate(boxes):
        for other_left, other_top, other_right, other_bottom, two in boxes[:i]:
            apart = right <= other_left or other_right <= left
            assert apart or bottom <= other_top or other_bottom <= top, (one, two)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_note_explains(name):
    (note,) = [node for node in load(name)["nodes"] if node["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert text.startswith(f"## {name}\n")
    assert 150 < len(text) < 600


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_what_a_fresh_installation_has(name):
    """Pictures that come along, small models, no foreign identity."""
    for node in working(load(name)):
        assert set(node["properties"]) <= {"Node name for S&R"}
        for value in node.get("widgets_values", ()):
            if node["type"] in ("LoadImage", "LoadVideo"):
                assert value in (*EXAMPLES, "image")
            elif node["type"] == "RemBGSession" and isinstance(value, str) and ": " in value:
                assert sum(file.size for file in get_model(value).weights) < 200e6


@pytest.mark.parametrize("name", TEMPLATES)
def test_thumbnail(name):
    path = FOLDER / f"{name}.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (400, 400)
        assert np.asarray(picture.convert("L")).std() > 20
    assert path.stat().st_size < 60_000


def test_thumbnails_have_templates():
    assert sorted(path.stem for path in FOLDER.glob("*.jpg")) == TEMPLATES


def test_blueprint_is_one_sound_subgraph():
    """As ComfyUI 0.33 wants it; anything else is an error message for every user."""
    saved = json.loads(BLUEPRINT.read_text("utf-8"))
    (outer,), (inner,) = saved["nodes"], saved["definitions"]["subgraphs"]
    assert outer["type"] == inner["id"]
    assert outer["title"] == inner["name"] == BLUEPRINT.stem
    assert "links" in saved
    nodes = {node["id"]: node for node in inner["nodes"]}
    for side, slots in (("inputs", "inputs"), ("outputs", "outputs")):
        seen = [(slot["name"], slot["type"]) for slot in outer[slots]]
        assert seen == [(slot["name"], slot["type"]) for slot in inner[side]]
    for link in inner["links"]:
        number, origin, target = link["id"], link["origin_id"], link["target_id"]
        if origin == OUTER_IN:
            assert inner["inputs"][link["origin_slot"]]["linkIds"] == [number]
        else:
            assert number in nodes[origin]["outputs"][link["origin_slot"]]["links"]
        if target == OUTER_OUT:
            assert inner["outputs"][link["target_slot"]]["linkIds"] == [number]
        else:
            assert nodes[target]["inputs"][link["target_slot"]]["link"] == number
    for number, name in outer["properties"]["proxyWidgets"]:
        (entry,) = [each for each in nodes[int(number)]["inputs"] if each["name"] == name]
        assert entry["widget"] == {"name": name}
        assert entry["link"] is not None
        assert name in [slot["name"] for slot in inner["inputs"]]


# -- from the saved file to the API --------------------------------------------------------


def is_widget(kind, options):
    if options.get("forceInput"):
        return False
    return not isinstance(kind, str) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def widget_values(node, info):
    """A node's values by input, in the order in which the page makes widgets."""
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    widgets = [name for name, (kind, *rest) in inputs.items() if is_widget(kind, *(rest or [{}]))]
    assert {entry["name"] for entry in node["inputs"]} - {"upload"} == inputs.keys(), (
        f"{node['type']} has other inputs than this file"
    )
    saved = list(node.get("widgets_values") or ())
    if node["type"] in ("LoadImage", "LoadVideo"):
        saved.pop()  # the upload button
    assert len(saved) == len(widgets), node["type"]
    return dict(zip(widgets, saved, strict=True))


def to_prompt(nodes, links, listed):
    """What the page sends to the server for these nodes.

    ``links`` are (origin, slot, target, input slot); ``listed`` is the answer of
    ``/object_info``.
    """
    prompt = {}
    for node in nodes:
        inputs = widget_values(node, listed[node["type"]])
        for origin, slot, target, into in links:
            if target == node["id"]:
                inputs[node["inputs"][into]["name"]] = [str(origin), slot]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


# -- in ComfyUI ----------------------------------------------------------------------------

in_comfyui = [
    pytest.mark.comfy,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set: no ComfyUI to start"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = make_base(tmp_path_factory.mktemp("templates") / "base")
    for name in EXAMPLES:
        shutil.copy(ROOT / "web" / "examples" / name, base / "input")
    models = base / "models" / "rembg"
    write_network(models / "u2net.onnx")
    write_sam(*(models / file.file for file in get_model("mobile-sam").weights))
    with running(base, MODEL_CHECKSUM_DISABLED="1") as server:
        yield server


@pytest.fixture(scope="module")
def listed(server):
    return server.get("/object_info")


@pytest.fixture(scope="module")
def example(server):
    """The pictures that the templates load, as ComfyUI reads them, by the end of their names."""
    nodes = {}
    for name in (name for name in EXAMPLES if name.endswith(".jpg")):
        nodes[name] = {"class_type": "LoadImage", "inputs": {"image": name}}
        inputs = {"images": [name, 0], "filename_prefix": "read"}
        nodes[f"{name} saved"] = {"class_type": "SaveImage", "inputs": inputs}
    shown = server.run(nodes)
    read = {name.removesuffix(" saved"): found[0] for name, found in shown.items()}
    return lambda name: read[f"rembg_sessions_{name}.jpg"]


def frames_of(server, name):
    """The frames of a clip that a template loads, as ComfyUI reads them."""
    shown = server.run(
        {
            "clip": {"class_type": "LoadVideo", "inputs": {"file": f"rembg_sessions_{name}.mp4"}},
            "parts": {"class_type": "GetVideoComponents", "inputs": {"video": ["clip", 0]}},
            "save": {
                "class_type": "SaveImage",
                "inputs": {"images": ["parts", 0], "filename_prefix": "frame"},
            },
        }
    )
    return shown["save"]


@pytest.fixture
def run(server, listed):
    """Runs a template; the pictures it saves by the prefix of their names."""

    def run(name):
        workflow = load(name)
        for node in working(workflow):
            if node["type"] not in listed:
                pytest.skip(f"this ComfyUI has no {node['type']}; 0.33 has")
        links = [link[1:5] for link in workflow["links"]]
        prompt = to_prompt(working(workflow), links, listed)
        entry = server.finished(server.queue(prompt))
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        saved = {}
        for node, output in entry["outputs"].items():
            kind = prompt[node]["class_type"]
            prefix = prompt[node]["inputs"].get("filename_prefix")
            if kind == "SaveImage":
                saved[prefix] = [server.view(file) for file in output["images"]]
            elif kind == "SaveWEBM":
                (file,) = output["images"]
                saved[prefix] = server.base / "output" / file["subfolder"] / file["filename"]
        return saved

    return run


def assert_cut_out(result, original):
    """RGBA of the same size, with something kept as it was and something cleared."""
    assert result.shape == (*original.shape[:2], 4)
    alpha = result[..., 3]
    assert 0.02 < (alpha == 255).mean() < 0.98
    assert 0.02 < (alpha == 0).mean() < 0.98
    opaque = alpha == 255
    error = np.abs(result[opaque][:, :3].astype(int) - original[opaque])
    assert error.max() <= 1


def decoded(path):
    """The frames of a WebM: uint8 (H, W, 4); libvpx alone reads its transparency."""
    av = pytest.importorskip("av", reason="PyAV is not installed: nothing reads a video")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = av.CodecContext.create("libvpx-vp9", "r")
        frames = [frame for packet in container.demux(stream) for frame in codec.decode(packet)]
    return [frame.to_ndarray(format="rgba") for frame in frames]


class TestInComfyUI:
    pytestmark = in_comfyui

    @pytest.mark.parametrize("name", TEMPLATES)
    def test_values_are_those_of_new_nodes(self, listed, name):
        found = {}
        for node in working(load(name)):
            if not node["type"].startswith("RemBG"):
                continue
            info = listed[node["type"]]
            inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
            for key, value in widget_values(node, info).items():
                if value != inputs[key][1]["default"]:
                    found[key] = "the points" if key == "points" else value
        assert found == SET.get(name, {})

    def test_the_page_finds_them(self, server):
        offered = server.get("/workflow_templates")
        assert sorted(offered["rembg-sessions"]) == TEMPLATES

    def test_remove(self, run, example):
        results = run(REMOVE)
        assert results.keys() == {"cutout"}
        assert_cut_out(results["cutout"][0], example("person"))

    def test_product(self, run, example):
        results = run(PRODUCT)
        (flat,), (placed,) = results["product_colour"], results["product_picture"]
        photo = example("product")
        mug = slice(330, 460), slice(215, 505)  # of the mug, what is surely its own
        for result in (flat, placed):
            assert result.shape == photo.shape
            assert np.abs(result[mug].astype(int) - photo[mug]).max() <= 1
        assert (flat[:150] == 255).all()
        assert flat[662, 360].max() < 250  # its shadow
        assert np.ptp(placed[:150].astype(int), axis=(0, 1)).min() > 20  # a picture

    @pytest.mark.parametrize(("name", "prefix"), [(PORTRAIT, "portrait"), (HINTS, "hinted")])
    def test_matting(self, run, example, name, prefix):
        (result,) = run(name)[prefix]
        assert_cut_out(result, example("fur"))

    def test_centred(self, run):
        (result,) = run(CENTRED)["centred"]
        assert result.shape == (1000, 1000, 3)
        seen = np.abs(result.astype(int) - 255).max(-1) > 30
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert abs(rows[0] + rows[-1] - 999) < 9 and abs(columns[0] + columns[-1] - 999) < 9
        assert abs(max(np.ptp(rows), np.ptp(columns)) - 850) < 25

    def test_frames(self, run, server):
        frames = run(FRAMES)["frames/frame"]
        originals = frames_of(server, "clip")
        assert len(frames) == len(originals) == 24
        for frame, original in zip(frames, originals, strict=True):
            assert_cut_out(frame, original)

    def test_a_transparent_video(self, run):
        frames = decoded(run(WEBM)["cutout"])
        assert len(frames) == 24
        if "yuva420p" not in (Path(COMFYUI) / "comfy_extras/nodes_video.py").read_text("utf-8"):
            pytest.skip("this ComfyUI saves no transparent WebM; 0.33 does")
        assert (frames[0][..., 3] < 10).mean() > 0.3 and (frames[0][..., 3] > 245).mean() > 0.1

    def test_a_video_over_another(self, run, server):
        frames = decoded(run(MOVING)["moved"])
        behind = frames_of(server, "dusk")
        assert len(frames) == len(behind) == 24
        for frame, other in zip(frames, behind, strict=True):
            corner = np.abs(frame[:60, :60, :3].astype(int) - other[:60, :60])
            assert corner.mean() < 12  # it is compressed

    def test_sam_points_pick_the_object(self, run, example):
        picture = example("backdrop")
        (result,) = run(SAM)["picked"]
        assert_cut_out(result, picture)
        (node,) = [node for node in load(SAM)["nodes"] if node["type"] == "RemBGSAMPrompt"]
        (marks,) = [
            json.loads(value)
            for value in node["widgets_values"]
            if isinstance(value, str) and value.startswith("[")
        ]
        assert {mark["label"] for mark in marks} == {0, 1}
        for mark in marks:
            x, y = mark["data"]
            assert result[y, x, 3] == 255 * mark["label"]
            red, green, blue = picture[y, x].astype(int)
            is_blossom = min(red, blue) > green + 40
            assert is_blossom == bool(mark["label"])

    def test_backdrop(self, run, example):
        (result,) = run(BACKDROP)["cutout"]
        assert_cut_out(result, example("backdrop"))
        assert (result[:60, :, 3] == 0).all() and result[320, 384, 3] == 255

    def test_session_is_shared_with_core(self, run, example, server):
        picture = example("person")
        before = server.log().count("Opened u2net.onnx")
        results = run(SHARED_SESSION)
        (theirs,), (ours,) = results["with_core"], results["with_rembg"]
        assert_cut_out(theirs, picture)
        assert_cut_out(ours, picture)
        assert np.abs(theirs[..., 3].astype(int) - ours[..., 3]).max() <= 1
        assert server.log().count("Opened u2net.onnx") <= before + 1

    def test_blueprint(self, server, listed, example):
        """Expanded as the page does when it runs, the blueprint cuts out."""
        if "subgraph_manager" not in (Path(str(COMFYUI)) / "server.py").read_text("utf-8"):
            pytest.skip("this ComfyUI offers no blueprints; 0.33 does")
        offered = server.get("/global_subgraphs")
        (key,) = [
            key
            for key, entry in offered.items()
            if entry["info"]["node_pack"] == "custom_nodes.rembg-sessions"
        ]
        assert offered[key]["name"] == BLUEPRINT.stem
        served = json.loads(server.get(f"/global_subgraphs/{key}")["data"])
        assert served == json.loads(BLUEPRINT.read_text("utf-8"))
        (inner,) = served["definitions"]["subgraphs"]
        links = [
            (link["origin_id"], link["origin_slot"], link["target_id"], link["target_slot"])
            for link in inner["links"]
            if link["origin_id"] != OUTER_IN and link["target_id"] != OUTER_OUT
        ]
        prompt = to_prompt(inner["nodes"], links, listed)
        prompt["photo"] = {
            "class_type": "LoadImage",
            "inputs": {"image": "rembg_sessions_person.jpg"},
        }
        for link in inner["links"]:
            if link["origin_id"] == OUTER_IN and link["type"] == "IMAGE":
                (node,) = [node for node in inner["nodes"] if node["id"] == link["target_id"]]
                name = node["inputs"][link["target_slot"]]["name"]
                prompt[str(node["id"])]["inputs"][name] = ["photo", 0]
        for link in inner["links"]:
            if link["target_id"] == OUTER_OUT and link["type"] == "IMAGE":
                source = [str(link["origin_id"]), link["origin_slot"]]
                inputs = {"images": source, "filename_prefix": "blueprint"}
                prompt["save"] = {"class_type": "SaveImage", "inputs": inputs}
        assert_cut_out(server.run(prompt)["save"][0], example("person"))
