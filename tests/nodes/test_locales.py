"""What ComfyUI shows of the nodes in words: help pages, and texts in eight languages."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from rembg_sessions.core.registry.lookup import get_model
from rembg_sessions.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "web" / "docs"
LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "ru", "zh")
TRANSLATED = [language for language in LANGUAGES if language != "en"]
NODES = list(NODE_CLASS_MAPPINGS)
# vue-i18n takes these for placeholders, links, plurals and markup, and how they are escaped
# differs between frontends
SYNTAX = re.compile(r"[{}@|<>]")


def inputs_of(node):
    """The inputs of a node: (kind, options) by name."""
    groups = NODE_CLASS_MAPPINGS[node].INPUT_TYPES().values()
    return {name: spec for group in groups for name, spec in group.items()}


def expected(node):
    """The English texts of a node, as nodeDefs.json holds them."""
    cls = NODE_CLASS_MAPPINGS[node]
    outputs = zip(cls.RETURN_NAMES, cls.OUTPUT_TOOLTIPS, strict=True)
    return {
        "display_name": NODE_DISPLAY_NAME_MAPPINGS[node],
        "description": cls.DESCRIPTION,
        "inputs": {
            name: {"name": name, "tooltip": options["tooltip"]}
            for name, (_, options) in inputs_of(node).items()
        },
        "outputs": {
            str(i): {"name": name, "tooltip": text} for i, (name, text) in enumerate(outputs)
        },
    }


def load(language, file="nodeDefs"):
    return json.loads((ROOT / "locales" / language / f"{file}.json").read_text("utf-8"))


def flat(texts, *path):
    """Every text by its path."""
    for key, value in texts.items():
        if isinstance(value, str):
            yield (*path, key), value
        else:
            yield from flat(value, *path, key)


ENGLISH = dict(flat({node: expected(node) for node in NODES}))


# -- languages ---------------------------------------------------------------------------


def test_languages_are_complete():
    assert sorted(path.name for path in (ROOT / "locales").iterdir()) == sorted(LANGUAGES)
    for language in LANGUAGES:
        names = {path.name for path in (ROOT / "locales" / language).iterdir()}
        assert names == {"main.json", "nodeDefs.json"}


@pytest.mark.parametrize("language", TRANSLATED)
def test_translation_has_every_key_and_no_other(language):
    texts = dict(flat(load(language)))
    assert texts.keys() == ENGLISH.keys()
    assert all(text.strip() == text != "" for text in texts.values())


def test_english_is_what_the_nodes_say():
    """Where the page would misread a text it is left out: then the node's own is shown."""
    plain = {path: text for path, text in ENGLISH.items() if not SYNTAX.search(text)}
    assert dict(flat(load("en"))) == plain
    assert [path for path in ENGLISH if path not in plain] == [
        ("RemBGRemove", "inputs", "sam_prompt", "tooltip")
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_reads_every_text_as_it_is(language):
    for path, text in (*flat(load(language)), *flat(load(language, "main"))):
        assert not SYNTAX.search(text), (path, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_category_is_translated(language):
    own = {part for cls in NODE_CLASS_MAPPINGS.values() for part in cls.CATEGORY.split("/")}
    # "image" is ComfyUI's
    assert load(language, "main").keys() == {"nodeCategories"}
    assert load(language, "main")["nodeCategories"].keys() == own - {"image"}


@pytest.mark.parametrize("language", TRANSLATED)
def test_translation_is_none_of_the_english_sentences(language):
    texts = dict(flat(load(language)))
    sentences = [path for path in ENGLISH if path[-1] in ("description", "tooltip")]
    assert [path for path in sentences if texts[path] == ENGLISH[path]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_differ_within_a_node(language):
    texts = load(language)
    titles = [node["display_name"] for node in texts.values()]
    assert len({*titles}) == len(titles)
    for node in texts.values():
        for slots in (node["inputs"], node["outputs"]):
            names = [slot["name"] for slot in slots.values()]
            assert len({*names}) == len(names)


@pytest.mark.parametrize("language", TRANSLATED)
def test_translation_keeps_numbers_values_and_formats(language):
    texts = dict(flat(load(language)))
    for path, english in ENGLISH.items():
        if SYNTAX.search(english):
            continue  # reworded
        kept = {*re.findall(r"\d+(?:\.\d+)?|#[A-Z]+|models/\w+|r,g,b", english)}
        if path[1] == "inputs" and path[-1] == "tooltip":
            choices = inputs_of(path[0])[path[2]][0]
            if isinstance(choices, list):  # explained one by one
                explained = re.findall(r"([\w-]+)(?:,| =|:)", english)
                kept |= {*explained} & {choice.split(":")[0] for choice in choices}
        assert [value for value in kept if value not in texts[path]] == [], (path, texts[path])


@pytest.mark.parametrize("language", TRANSLATED)
def test_translation_names_inputs_and_nodes_as_it_shows_them(language):
    texts = load(language)
    for path, text in flat(texts):
        node, english = path[0], ENGLISH[path]
        if path[-1] == "tooltip":
            mentioned = set(re.findall(r"\w+_\w+", english)) & {*inputs_of(node)}
            for name in mentioned - {path[2]}:
                assert texts[node]["inputs"][name]["name"].lower() in text.lower(), (path, text)
        for other, title in NODE_DISPLAY_NAME_MAPPINGS.items():
            if path[-1] != "display_name" and title in english:
                assert texts[other]["display_name"] in text, (path, text)


# -- help pages --------------------------------------------------------------------------


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
            if name not in ("model", "custom_model"):
                assert [value for value in kind if f"`{value}`" not in text] == []
        elif kind == "STRING":
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
