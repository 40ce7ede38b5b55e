"""The templates in example_workflows/ and the blueprint in subgraphs/.

``COMFYUI_PATH`` and ``COMFYUI_PYTHON``: see comfy_server.py. In ComfyUI the templates are run
as they are, on the picture that every installation has; tiny networks under the names of the
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
PICTURE = "example.png"  # in the input folder of every ComfyUI
NOTES = ("MarkdownNote", "Note")
OUTER_IN, OUTER_OUT = -10, -20  # what the nodes of a subgraph take its inputs and outputs for
TITLE = 30  # pixels that a node's title takes above its position

REMOVE = "Remove a background"
PRODUCT = "Product on a colour and on a picture"
PORTRAIT = "Portrait with alpha matting"
FRAMES = "Frames to an RGBA sequence"
SAM = "Pick an object with SAM points"
BACKDROP = "Plain backdrop without a download"
SHARED_SESSION = "Session shared with ComfyUI nodes"


# What the templates set; everything else is as the nodes come.
SET = {
    PRODUCT: {"shadow": 0.4},
    PORTRAIT: {"erode_size": 15, "preview": True},
    SAM: {"model": "mobile-sam: general purpose, small", "points": "the points"},
}


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def working(workflow):
    """The nodes of a saved file that do something."""
    return [node for node in workflow["nodes"] if node["type"] not in NOTES]


# -- the files ---------------------------------------------------------------------------


def test_all_templates_are_here():
    assert sorted([REMOVE, PRODUCT, PORTRAIT, FRAMES, SAM, BACKDROP, SHARED_SESSION]) == TEMPLATES


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
    """The common picture, small models, no identity that ComfyUI did not write."""
    for node in working(load(name)):
        assert set(node["properties"]) <= {"Node name for S&R"}
        for value in node.get("widgets_values", ()):
            if node["type"] == "LoadImage":
                assert value in (PICTURE, "image")
            elif node["type"] == "RemBGSession" and isinstance(value, str) and ": " in value:
                assert sum(file.size for file in get_model(value).weights) < 50e6


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
    if node["type"] == "LoadImage":
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
    shutil.copy(Path(str(COMFYUI)) / "input" / PICTURE, base / "input")
    models = base / "models" / "rembg"
    write_network(models / "u2net.onnx")
    write_sam(*(models / file.file for file in get_model("mobile-sam").weights))
    with running(base, MODEL_CHECKSUM_DISABLED="1") as server:
        yield server


@pytest.fixture(scope="module")
def listed(server):
    return server.get("/object_info")


@pytest.fixture(scope="module")
def picture(server):
    return np.array(Image.open(server.base / "input" / PICTURE))


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
        shown = server.run(prompt)
        return {
            prompt[node]["inputs"]["filename_prefix"]: pictures
            for node, pictures in shown.items()
            if prompt[node]["class_type"] == "SaveImage"
        }

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

    def test_remove(self, run, picture):
        results = run(REMOVE)
        assert results.keys() == {"cutout"}
        assert_cut_out(results["cutout"][0], picture)

    def test_product(self, run, picture):
        results = run(PRODUCT)
        (flat,), (placed,) = results["product_colour"], results["product_picture"]
        (cutout,) = run(REMOVE)["cutout"]
        for result in (flat, placed):
            assert result.shape == picture.shape
            opaque = cutout[..., 3] == 255
            assert np.abs(result[opaque].astype(int) - picture[opaque]).max() <= 1
        clear = cutout[..., 3] == 0
        shadow = clear & (flat.min(axis=2) < 250)
        assert 0.01 < shadow.mean() < 0.5
        assert np.ptp(flat[shadow], axis=1).max() <= 1 and flat[shadow].min() > 140
        assert flat[clear & ~shadow].min() >= 250
        # the picture, blurred: alike, but not the same
        clear &= ~shadow
        error = np.abs(placed[clear].astype(int) - picture[clear])
        assert 0 < error.mean() < 20

    def test_portrait(self, run, picture):
        (result,) = run(PORTRAIT)["portrait"]
        assert_cut_out(result, picture)

    def test_frames(self, run, picture):
        frames = run(FRAMES)["frames/frame"]
        assert len(frames) == 3
        for frame in frames:
            assert_cut_out(frame, picture)

    def test_sam_points_pick_the_object(self, run, picture):
        (result,) = run(SAM)["picked"]
        assert_cut_out(result, picture)
        (node,) = [node for node in load(SAM)["nodes"] if node["type"] == "RemBGSAMPrompt"]
        (marks,) = [
            json.loads(value)
            for value in node["widgets_values"]
            if isinstance(value, str) and value.startswith("[")
        ]
        assert {mark["label"] for mark in marks} == {0, 1}
        colours = {0: set(), 1: set()}
        for mark in marks:
            x, y = mark["data"]
            assert result[y, x, 3] == 255 * mark["label"]
            colours[mark["label"]].add(tuple(picture[y, x]))
        # the object is the dress: one colour, that nothing else has
        assert len(colours[1]) == 1
        assert not colours[0] & colours[1]

    def test_backdrop(self, run, picture):
        (result,) = run(BACKDROP)["cutout"]
        height, width = picture.shape[:2]
        assert result.shape == (height + 256, width + 256, 4)
        # the edge may be two pixels soft
        around, inside = np.ones(result.shape[:2], bool), np.zeros(result.shape[:2], bool)
        around[125:-125, 125:-125] = False
        inside[131:-131, 131:-131] = True
        assert (result[around, 3] == 0).all()
        assert (result[inside, 3] == 255).mean() > 0.99

    def test_session_is_shared_with_core(self, run, picture, server):
        before = server.log().count("Opened u2net.onnx")
        results = run(SHARED_SESSION)
        (theirs,), (ours,) = results["with_core"], results["with_rembg"]
        assert_cut_out(theirs, picture)
        assert_cut_out(ours, picture)
        assert np.abs(theirs[..., 3].astype(int) - ours[..., 3]).max() <= 1
        assert server.log().count("Opened u2net.onnx") <= before + 1

    def test_blueprint(self, server, listed, picture):
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
        prompt["photo"] = {"class_type": "LoadImage", "inputs": {"image": PICTURE}}
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
        assert_cut_out(server.run(prompt)["save"][0], picture)
