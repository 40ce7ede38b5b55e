"""Workflows of other packs: what ComfyUI turns them into, and that it runs.

``workflows/`` holds files as ComfyUI saves them, written from the input lists of the other
packs' nodes. The names end in the years whose versions stored their widgets in that order.
"""

from __future__ import annotations

import json
import sys
import types
import urllib.error
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from asked import Asked  # noqa: E402

from comfy_server import COMFYUI, make_base, make_network, running  # noqa: E402
from rembg_sessions import nodes  # noqa: E402
from rembg_sessions.core import layers  # noqa: E402
from rembg_sessions.core.errors import OptionError, UnknownModelError  # noqa: E402
from rembg_sessions.core.imaging.composite import parse_colour  # noqa: E402
from rembg_sessions.core.imaging.mask import refine  # noqa: E402
from rembg_sessions.core.matting.methods import Matte  # noqa: E402
from rembg_sessions.core.registry.lookup import get_model  # noqa: E402
from rembg_sessions.core.session.protocol import Layer  # noqa: E402
from rembg_sessions.nodes import host, replacements, routes  # noqa: E402
from rembg_sessions.nodes import remove as remove_module  # noqa: E402
from rembg_sessions.nodes.foreign import Look, own_look, own_values  # noqa: E402
from rembg_sessions.nodes.replacements import REPLACEMENTS  # noqa: E402

WORKFLOWS = Path(__file__).parent / "workflows"
REMOVE = nodes.NODE_CLASS_MAPPINGS["RemBGRemove"]
SESSION = nodes.NODE_CLASS_MAPPINGS["RemBGSession"]
ASKED = Asked("RemBGRemove")
BY_OLD = {row.old: row for row in REPLACEMENTS}
OURS = {
    "RMBG-2.0": "bria-rmbg",
    "BIREFNET-HR": "birefnet-hr",
    "BiRefNet-general": "birefnet-general",
    "BiRefNet-HR": "birefnet-hr",
    "BiRefNet-portrait": "birefnet-portrait",
    "BiRefNet-matting": "birefnet-matting",
    "BiRefNet-HR-matting": "birefnet-hr-matting",
    "BiRefNet_lite": "birefnet-general-lite",
    "General": "birefnet-general",
    "General-HR": "birefnet-hr",
    "General-Lite": "birefnet-general-lite",
    "Portrait": "birefnet-portrait",
    "Matting": "birefnet-matting",
    "Matting-HR": "birefnet-hr-matting",
    "DIS": "birefnet-dis",
    "HRSOD": "birefnet-hrsod",
    "COD": "birefnet-cod",
    "DIS-TR_TEs": "birefnet-massive",
    "General.safetensors": "birefnet-general",
    "u2net_human_seg": "u2net_human_seg",
    "isnet-anime: anime illustrations": "isnet-anime",
    "BiRefNet_512x512": "birefnet-general-512-fp16",
    "BiRefNet_lite-2K": "birefnet-general-lite-2k",
}
NOBODYS = ("INSPYRENET", "BEN2", "General-dynamic")


def inputs_of(name):
    groups = nodes.NODE_CLASS_MAPPINGS[name].INPUT_TYPES()
    return {**groups["required"], **groups["optional"]}


# -- the table -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", REPLACEMENTS, ids=lambda row: row.old)
def test_a_replacement_fits_our_node(row):
    ours = inputs_of(row.new)
    for name, old in row.inputs.items():
        assert (old in row.widgets) != (name in ("image", "session")), name
    for name, value in row.values.items():
        assert value in ours[name][0]
    assert row.outputs <= len(nodes.NODE_CLASS_MAPPINGS[row.new].RETURN_TYPES)
    assert len(set(row.inputs.values())) == len(row.inputs)
    outputs = json.loads(json.dumps(row.arguments()))["output_mapping"]
    assert outputs == [{"old_idx": i, "new_idx": i} for i in range(row.outputs)]


def test_nothing_is_replaced_twice_and_nothing_of_ours():
    assert len(BY_OLD) == len(REPLACEMENTS)
    assert not BY_OLD.keys() & nodes.NODE_CLASS_MAPPINGS.keys()


def test_networks_that_we_lack_are_left_alone():
    assert not [old for old in BY_OLD if "inspyrenet" in old.lower() or "TransparentBG" in old]


def test_registering_needs_no_comfyui():
    assert host.server() is None
    replacements.register()


class FakeApi:
    """The part of ``comfy_api.latest`` that 0.33 has and 0.3.64 has not."""

    def __init__(self):
        self.registered = []
        self.node_replacement = types.SimpleNamespace(register=self.registered.append)

    def __call__(self):
        return self


@pytest.mark.parametrize("version", ["0.33", "0.3.64"])
def test_registering(monkeypatch, version):
    api = FakeApi()
    io = types.SimpleNamespace(NodeReplace=dict)
    if version == "0.3.64":
        del api.node_replacement, io.NodeReplace
    latest = types.SimpleNamespace(ComfyAPISync=api, io=io)
    monkeypatch.setitem(sys.modules, "comfy_api", types.SimpleNamespace(latest=latest))
    monkeypatch.setitem(sys.modules, "comfy_api.latest", latest)
    monkeypatch.setattr(host, "server", types.SimpleNamespace)
    replacements.register()
    registered = [(row["old_node_id"], row["new_node_id"]) for row in api.registered]
    expected = [(row.old, row.new) for row in REPLACEMENTS]
    assert registered == (expected if version == "0.33" else [])


# -- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "ours"), OURS.items())
def test_their_models_are_ours(name, ours):
    assert SESSION.VALIDATE_INPUTS(name, "AUTO") is True
    values = own_values({"model": name, "device": "AUTO"})
    assert values == {"model": get_model(ours).choice, "device": "Auto"}


@pytest.mark.parametrize("name", NOBODYS)
def test_models_without_counterpart_are_refused_by_name(name):
    assert repr(name) in SESSION.VALIDATE_INPUTS(name, "CPU")
    with pytest.raises(UnknownModelError, match=name):
        ASKED.execute(torch.zeros(1, 8, 8, 3), model=name)


@pytest.mark.parametrize(
    "provider", ["CPU", "CUDA", "ROCM", "DirectML", "OpenVINO", "CoreML", "Tensorrt", "AUTO", None]
)
def test_their_providers_are_ours(provider):
    assert SESSION.VALIDATE_INPUTS("u2net", provider) is True


def test_an_unknown_provider_is_refused():
    assert "'Abacus'" in SESSION.VALIDATE_INPUTS("u2net", "Abacus")


def test_remove_accepts_the_values_of_others_and_says_later_what_is_wrong():
    assert REMOVE.VALIDATE_INPUTS("Alpha", True, "RMBG-2.0", False) is True
    for wrong in ({"background": "plaid"}, {"invert": "both"}, {"edge_colours": "some"}):
        with pytest.raises(OptionError, match=repr(*wrong.values())):
            ASKED.execute(torch.zeros(1, 8, 8, 3), Bright(), **wrong)


def test_search_finds_the_nodes():
    words = {alias for node in nodes.NODE_CLASS_MAPPINGS.values() for alias in node.SEARCH_ALIASES}
    assert words >= {"rembg", "remove background", "cutout", "matting", "transparent", "rmbg"}
    assert words >= {"birefnet", "u2net", "isnet"}


# -- swapping ------------------------------------------------------------------------------


def load(name):
    return json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))


def swap(name):
    """The first node of a file that we replace, as ComfyUI's page swaps it: our values."""
    rows = [(node, BY_OLD[node["type"]]) for node in load(name)["nodes"] if node["type"] in BY_OLD]
    node, row = next((node, row) for node, row in rows if row.new == "RemBGRemove")
    values = {
        key: options["default"]
        for key, (_, options) in inputs_of(row.new).items()
        if "default" in options
    }
    values |= row.values
    for ours, theirs in row.inputs.items():
        if theirs in row.widgets and row.widgets.index(theirs) < len(node["widgets_values"]):
            values[ours] = node["widgets_values"][row.widgets.index(theirs)]
    return values


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "essentials": {"edge_colours": "naive"},
        "was_node_suite": {
            "model": "u2netp",
            "edge_colours": "naive",
            "background": "colour",
            "background_colour": "#00b140",
            "hard_edge": True,
        },
        "rembg_comfyui_node": {"model": "u2net", "edge_colours": "naive"},
        "rmbg": {
            "model": "bria-rmbg",
            "edge_colours": "original",
            "background": "colour",
            "background_colour": "#ff8000",
            "grow": -3,
            "feather": 2,
        },
        "rmbg_until_2025": {
            "model": "bria-rmbg",
            "edge_colours": "original",
            "background": "colour",
            "background_colour": "#00ff00",
            "grow": -3,
            "feather": 2,
        },
        "birefnet_rmbg": {
            "model": "birefnet-portrait",
            "edge_colours": "original",
            "background_colour": "#222222",
            "invert": True,
            "grow": 4,
        },
        "birefnet_rmbg_until_2025": {
            "model": "birefnet-portrait",
            "edge_colours": "original",
            "background": "colour",
            "background_colour": "#ff0000",
            "grow": 4,
        },
        "birefnet_rmbg_2026": {
            "model": "birefnet-general",
            "edge_colours": "original",
            "invert": True,
            "grow": -3,
            "feather": 2,
        },
        "birefnet_ll": {},
        "birefnet_ll_advanced": {"background": "colour", "background_colour": "#ff8000"},
    }.items(),
)
def test_swapped_values_mean_what_they_meant(name, expected):
    plain = swap("birefnet_ll")
    expected = {**plain, **expected}
    expected["model"] = get_model(expected["model"]).choice
    values = own_values(swap(name))
    if values["background"] == "transparent":
        values["background_colour"] = expected["background_colour"]
    assert values == expected
    for key in ("model", "background", "edge_colours", "detail", "alpha_matting"):
        assert values[key] in inputs_of("RemBGRemove")[key][0]


@pytest.mark.parametrize(
    ("stored", "colour"),
    [
        ({"background": True, "background_colour": "white"}, None),
        ({"background": "true"}, None),
        ({"background": "false", "background_colour": "magenta"}, "#ff00ff"),
        ({"background": False, "background_colour": "none"}, "#000000"),
        ({"background": False, "background_colour": "chroma blue"}, "#0047bb"),
        ({"background": False, "background_colour": 255}, None),
        ({"background": True, "background_colour": "255"}, "#0000ff"),
        ({"background": "Alpha", "background_colour": "#222222"}, None),
        ({"background": "Color", "background_colour": "#22222280"}, "#22222280"),
        ({"background": "gray", "background_colour": "False", "invert": False}, "#808080"),
        ({"invert": "Alpha", "edge_colours": False, "background": "default"}, None),
        ({"invert": "white", "edge_colours": False, "background": "on"}, "#ffffff"),
    ],
)
def test_backgrounds_of_others(stored, colour):
    look = own_look(Look(**stored))
    assert look.invert is False
    assert look.background == ("colour" if colour else "transparent")
    if colour:
        assert parse_colour(look.background_colour) == parse_colour(colour)


@pytest.mark.parametrize(
    ("process_res", "detail"),
    [(1024, "full"), (2048, "full"), (900, "full"), (800, "768"), (700, "640"), (256, "512")],
)
def test_their_size_is_a_detail(process_res, detail):
    assert own_look(Look(detail=process_res)).detail == detail


def test_our_own_words_stay():
    look = Look("colour", "green", "naive", True, 3, 0.5, "768", "auto")
    assert own_look(look) == look
    assert own_look(Look()) == Look()


def test_a_lost_colour_is_said():
    look = Look(False, "Color", False, 0)
    with pytest.raises(OptionError, match="background_colour"):
        own_look(look)
    assert own_values(look._asdict()) == look._asdict()


@pytest.mark.parametrize("name", Look._fields)
@pytest.mark.parametrize("value", [None, -1, float("nan"), "", [], [1], {"a": 1}], ids=repr)
def test_values_of_no_kind_are_refused_by_the_node(name, value):
    """Never by an error of Python's own; some mean nothing, and the node runs."""
    given = Look(**{name: value})._asdict()
    with suppress(OptionError):
        ASKED.execute(torch.zeros(1, 8, 8, 3), Bright(), **given)
    own_values({"model": value, "device": value, **given})


def test_what_cannot_be_read_stays():
    values = {"model": "BEN2", "device": "Abacus", "invert": "both"}
    assert own_values(values) == values
    look = Look("plaid", "²", "some", "both", 1, 2)
    assert own_look(look) == look


# -- the inputs that migration brought -----------------------------------------------------


class Bright:
    """Finds what is bright."""

    model_name, provider = "bright", "CPU"

    def predict_layers(self, image, **options):
        return [Layer(np.asarray(image, np.float32).mean(-1) / 255)]


@pytest.fixture
def disc():
    y, x = np.mgrid[:40, :60]
    alpha = np.clip((12 - np.hypot(y - 20, x - 30)) / 4 + 0.5, 0, 1).astype(np.float32)
    levels = (alpha * 255 + 0.5).astype(np.uint8)
    return torch.from_numpy(levels.astype(np.float32) / 255)[None, ..., None].repeat(1, 1, 1, 3)


def test_model_counts_without_a_session(monkeypatch, disc):
    opened = []
    monkeypatch.setattr(
        remove_module, "open_handle", lambda name, **_: opened.append(name) or Bright()
    )
    ASKED.execute(disc, model="RMBG-2.0")
    ASKED.execute(disc, Bright(), model="RMBG-2.0")
    assert opened == ["RMBG-2.0"]


def test_grow_and_feather_shape_the_mask(disc):
    _, mask, _ = ASKED.execute(disc, Bright(), grow=-2, feather=1.5)
    expected = refine(disc[0, ..., 0].numpy(), grow_pixels=-2, feather_radius=1.5)
    assert np.abs(mask[0].numpy() - expected).max() < 1e-6


def test_inverted_is_the_opposite(disc):
    image, mask, _ = ASKED.execute(disc, Bright(), invert=True)
    assert torch.allclose(mask[0], 1 - disc[0, ..., 0])
    assert torch.equal(image[..., 3], mask)


def test_mask_image_is_the_mask(disc):
    _, mask, picture = ASKED.execute(disc, Bright(), background="colour")
    assert picture.shape == (1, 40, 60, 3)
    assert all(torch.equal(picture[..., channel], mask) for channel in range(3))


def test_alpha_matting_solves_the_edge(monkeypatch, disc):
    asked = []

    def solve(picture, mask, *, options, on_step):
        asked.append((picture.shape, mask.dtype, options.foreground_threshold))
        half = np.full((40, 60), 0.5, np.float32)
        return Matte(alpha=half, trimap=half, method="fast", warning="fast took over")

    monkeypatch.setattr(layers, "find_matte", solve)
    image, mask, _ = ASKED.execute(disc, Bright(), edge_colours="naive", alpha_matting="on")
    assert asked == [((40, 60, 3), np.uint8, 240)]
    assert ASKED.shown["rembg_warnings"] == ["fast took over"]
    assert (mask == 0.5).all()
    assert image[0, 20, 30, 0] > 0.9  # not darkened


# -- in ComfyUI ----------------------------------------------------------------------------

needs_comfyui = pytest.mark.skipif(
    not COMFYUI, reason="COMFYUI_PATH is not set: no ComfyUI to start"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A ComfyUI without the other packs, and with a network under the name of every model."""
    base = make_base(tmp_path_factory.mktemp("migration") / "base")
    (base / "custom_nodes" / "ComfyUI_essentials").unlink(missing_ok=True)
    for name in ("u2net", "u2netp", *set(OURS.values())):
        (weights,) = get_model(name).weights
        network = make_network("height", "width")
        (base / "models" / "rembg" / weights.file).write_bytes(network)
    with running(base, MODEL_CHECKSUM_DISABLED="1") as server:
        yield server


@pytest.fixture
def with_replacements(server):
    if "node_replace" not in (Path(COMFYUI) / "server.py").read_text("utf-8"):
        pytest.skip("this ComfyUI replaces no nodes; 0.33 does")
    return server


def to_prompt(workflow):
    """What ComfyUI's page makes of a saved file while all of its nodes are installed."""
    links = {link[0]: link for link in workflow["links"]}
    prompt = {}
    for node in workflow["nodes"]:
        values = iter(node["widgets_values"])
        inputs = {}
        for entry in node["inputs"]:
            if "widget" in entry:
                inputs[entry["name"]] = next(values)
            else:
                _, origin, slot, *_ = links[entry["link"]]
                inputs[entry["name"]] = [str(origin), slot]
        about = {"title": node["type"]}
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": about}
    return prompt


def pictures(server, prompt):
    """Run a workflow; its saved pictures by the prefix of their names."""
    shown = server.run(prompt)
    return {
        prompt[name]["inputs"]["filename_prefix"]: found
        for name, found in shown.items()
        if "filename_prefix" in prompt[name]["inputs"]  # else previews
    }


def ours(session_model=None, **options):
    """A workflow of our own nodes that saves picture and mask."""
    prompt = {
        "photo": {"class_type": "LoadImage", "inputs": {"image": "drawn.png"}},
        "cut": {"class_type": "RemBGRemove", "inputs": {"image": ["photo", 0], **options}},
        "foreground": {"class_type": "MaskToImage", "inputs": {"mask": ["cut", 1]}},
    }
    if session_model:
        settings = {"model": session_model, "device": "CPU"}
        prompt["session"] = {"class_type": "RemBGSession", "inputs": settings}
        prompt["cut"]["inputs"]["session"] = ["session", 0]
    for prefix, source in (("image", "cut"), ("mask", "foreground")):
        inputs = {"images": [source, 0], "filename_prefix": prefix}
        prompt[f"save {prefix}"] = {"class_type": "SaveImage", "inputs": inputs}
    return prompt


MIGRATED = {
    "essentials": {"session_model": "u2net", "edge_colours": "naive"},
    "was_node_suite": {
        "model": "u2netp",
        "edge_colours": "naive",
        "background": "colour",
        "background_colour": "0,177,64",
        "hard_edge": True,
    },
    "rembg_comfyui_node": {"model": "u2net", "edge_colours": "naive"},
    "rmbg": {
        "model": "bria-rmbg",
        "edge_colours": "original",
        "background": "colour",
        "background_colour": "#ff8000",
        "grow": -3,
        "feather": 2,
    },
    "birefnet_rmbg": {
        "model": "birefnet-portrait",
        "edge_colours": "original",
        "invert": True,
        "grow": 4,
    },
    "birefnet_rmbg_2026": {
        "model": "birefnet-general",
        "edge_colours": "original",
        "invert": True,
        "grow": -3,
        "feather": 2,
    },
    "birefnet_ll": {"session_model": "birefnet-general-lite"},
    "birefnet_ll_advanced": {
        "session_model": "birefnet-general",
        "background": "colour",
        "background_colour": "#ff8000",
    },
}


@pytest.mark.comfy
@needs_comfyui
@pytest.mark.parametrize(("name", "options"), MIGRATED.items())
def test_replaced_workflows_run(with_replacements, name, options):
    """A saved workflow gives the pictures that our own nodes give."""
    server = with_replacements
    got = pictures(server, to_prompt(load(name)))
    expected = pictures(server, ours(**options))
    assert got.keys() >= {"image"}
    for prefix, (picture,) in got.items():
        (wanted,) = expected["mask" if prefix in ("mask_image", "alone") else prefix]
        assert picture.shape == wanted.shape
        assert (picture == wanted).all(), prefix
    (picture,) = got["image"]
    photo = np.array(Image.open(server.base / "input" / "drawn.png"))
    assert picture.shape == (*photo.shape[:2], 3 if "background" in options else 4)
    opaque = np.abs(picture[..., :3].astype(int) - photo).max(-1) < 64
    if "background" not in options:
        opaque = picture[..., 3] > 127
    assert 0.1 < opaque.mean() < 0.9


@pytest.mark.comfy
@needs_comfyui
def test_replacements_are_offered_to_the_page(with_replacements):
    offered = with_replacements.get("/node_replacements")
    for row in REPLACEMENTS:
        (found,) = offered[row.old]
        assert found == json.loads(json.dumps(row.arguments()))


@pytest.mark.comfy
@needs_comfyui
def test_the_page_may_ask_for_values_in_our_words(server):
    stored = {"model": "RMBG-2.0", "device": "AUTO"}
    answer = server.post("/rembg-sessions/own-values", stored, {routes.HEADER: "1"})
    assert answer == {"model": get_model("bria-rmbg").choice, "device": "Auto"}
    for wrong in ([], {"model": ["2", 0]}, {"model": None}):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            server.post("/rembg-sessions/own-values", wrong, {routes.HEADER: "1"})
        assert refusal.value.code == 400


@pytest.mark.comfy
@needs_comfyui
def test_models_that_we_lack_are_named_where_workflows_are_replaced(with_replacements):
    prompt = to_prompt(load("rmbg"))
    prompt["2"]["inputs"]["model"] = "BEN2"
    entry = with_replacements.finished(with_replacements.queue(prompt))
    (error,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert "'BEN2'" in error["exception_message"]


@pytest.mark.comfy
@needs_comfyui
def test_replacing_is_no_trouble_for_any_version(server):
    for name in ("RemBGRemove", "RemBGSession"):
        info = server.get(f"/object_info/{name}")[name]
        assert "model" in {**info["input"]["required"], **info["input"]["optional"]}
    assert "replacements.py" not in server.log()


def test_a_number_beyond_all_floats_stays_for_the_node_to_refuse():
    values = Look(detail=10**400)._asdict()
    assert own_values(values) == values
