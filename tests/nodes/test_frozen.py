"""What saved workflows rely on: ids, inputs, defaults and outputs of the nodes.

``frozen.json`` holds them as they were released. Inputs may be appended and choices added;
nothing in it may change or go.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from rembg_sessions.nodes import NODE_CLASS_MAPPINGS

FROZEN = json.loads((Path(__file__).parent / "frozen.json").read_text("utf-8"))


def inputs_of(node):
    groups = node.INPUT_TYPES()
    return {**groups.get("required", {}), **groups.get("optional", {})}


@pytest.mark.parametrize("name", FROZEN)
def test_saved_workflows_find_what_they_hold(name):
    node, frozen = NODE_CLASS_MAPPINGS[name], FROZEN[name]
    inputs = inputs_of(node)
    assert list(inputs)[: len(frozen["inputs"])] == list(frozen["inputs"])
    for key, (kind, default) in frozen["inputs"].items():
        now, options = inputs[key]
        assert options.get("default") == default, key
        if isinstance(kind, list):
            assert {*kind} <= {*now}, key
        else:
            assert now == kind, key
    assert list(zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True)) == [
        tuple(output) for output in frozen["outputs"]
    ]


def test_every_node_is_frozen():
    assert FROZEN.keys() == NODE_CLASS_MAPPINGS.keys()
