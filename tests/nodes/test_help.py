"""The help pages that ComfyUI shows of the nodes."""

import re
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from rembg_sessions.core.registry.lookup import get_model
from rembg_sessions.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "web" / "docs"
NODES = list(NODE_CLASS_MAPPINGS)


def inputs_of(node):
    """The inputs of a node: (kind, options) by name."""
    groups = NODE_CLASS_MAPPINGS[node].INPUT_TYPES().values()
    return {name: spec for group in groups for name, spec in group.items()}


def page(node):
    return (DOCS / f"{node}.md").read_text("utf-8")


def sections(node):
    """The text of each section by its heading, plural or not."""
    parts = re.split(r"^## (.+)\n", page(node), flags=re.MULTILINE)
    return {
        heading.removesuffix("s"): text
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def items(text):
    """The list items of a section by the name each begins with."""
    found = re.findall(r"^- `(\w+)`(.*(?:\n  - .*)*)", text, re.MULTILINE)
    assert len(found) == len(dict(found)) == len(re.findall(r"^- ", text, re.MULTILINE))
    return dict(found)


def test_every_node_has_a_page_and_nothing_else_has():
    assert sorted(path.stem for path in DOCS.glob("*.md")) == sorted(NODES)
    for node in NODES:
        assert page(node).startswith(f"# {NODE_DISPLAY_NAME_MAPPINGS[node]}\n")
        assert sections(node).keys() >= {"Input", "Output", "Common mistake", "See also"}


@pytest.mark.parametrize("node", NODES)
def test_page_explains_every_input_in_order(node):
    explained = items(sections(node)["Input"])
    inputs = inputs_of(node)
    assert list(explained) == list(inputs)
    for name, (kind, options) in inputs.items():
        text = explained[name]
        if kind in ("INT", "FLOAT"):
            low, high, default = (f"{options[key]:g}" for key in ("min", "max", "default"))
            assert f"({low} to {high}, default {default})" in text
        elif kind == "BOOLEAN":
            assert f"(on or off, default {'on' if options['default'] else 'off'})" in text
        elif isinstance(kind, list):
            assert f"(default `{str(options['default']).split(':')[0]}`)" in text
            if name != "model":
                assert [value for value in kind if f"`{value}`" not in text] == []
        elif kind == "STRING" and not options.get("forceInput"):
            assert "(default " in text
        elif kind == "MASK":
            assert "1 = painted" in text or ("1 = " in text and "foreground" in text)


@pytest.mark.parametrize("node", NODES)
def test_page_explains_every_output_in_order(node):
    cls = NODE_CLASS_MAPPINGS[node]
    explained = items(sections(node)["Output"])
    assert list(explained) == list(cls.RETURN_NAMES)
    for name, kind in zip(cls.RETURN_NAMES, cls.RETURN_TYPES, strict=True):
        assert kind != "MASK" or "1 = foreground" in explained[name]


@pytest.mark.parametrize("node", NODES)
def test_pictures_of_a_page_are_small_and_described(node):
    pictures = re.findall(r"!\[(.+)\]\((.+)\)", page(node))
    assert pictures
    for text, path in pictures:
        # relative: the help panel puts the folder of the page before it
        assert not re.match(r"/|\.|\w+:", path) and len(text) > 20
        assert (DOCS / path).stat().st_size < 100_000
        with Image.open(DOCS / path) as picture:
            assert picture.width <= 1400


def test_every_picture_is_shown():
    shown = {DOCS / path for node in NODES for path in re.findall(r"\]\((.+\.jpg)\)", page(node))}
    readme = (DOCS.parents[1] / "README.md").read_text(encoding="utf-8")
    shown |= {DOCS.parents[1] / path for path in re.findall(r"!\[.+\]\((.+)\)", readme)}
    assert shown == {path for path in DOCS.rglob("*") if path.is_file() and path.suffix != ".md"}


@pytest.mark.parametrize("node", NODES)
def test_links_lead_to_the_other_pages(node):
    """They are whole addresses: the help panel cannot turn to another page, and older ones
    take a relative link for one of ComfyUI's own addresses."""
    links = re.findall(r"(?<!!)\[(.+?)\]\((.+?)\)", page(node))
    assert links
    for title, target in links:
        folder, name = target.rsplit("/", 1)
        assert folder == "https://github.com/rembg-sessions/rembg-sessions/blob/main/web/docs"
        other = name.removesuffix(".md")
        assert other != node and NODE_DISPLAY_NAME_MAPPINGS[other] == title


def test_models_that_are_recommended_exist():
    text = sections("RemBGSession")["Which model"]
    for name in {*re.findall(r"`([a-z0-9-]+)`", text)}:
        assert get_model(name).name == name
