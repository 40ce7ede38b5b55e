"""The pages and files about the project: workflows, architecture, how to contribute, the mark."""

from __future__ import annotations

import re
from pathlib import Path

import architecture
import mark
import pytest
from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


# -- workflows -----------------------------------------------------------------------------


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(request.param.read_text("utf-8"))


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def commands_of(name: str, job: str) -> list[str]:
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(read(f".github/workflows/{name}.yml"))["jobs"]
    return [step["run"] for step in jobs[job]["steps"] if "run" in step]


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"comfy", "publish", "test"}


def test_a_workflow_may_read_and_no_more(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert not [job for job in workflow["jobs"].values() if "permissions" in job]
    for step in steps_of(workflow):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_a_workflow_ends_and_does_not_pile_up(workflow):
    assert workflow["concurrency"].keys() == {"group", "cancel-in-progress"}
    for job in workflow["jobs"].values():
        # one that calls another workflow ends with that one's jobs
        assert "uses" in job or job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_say_what_they_are(path):
    for line in path.read_text("utf-8").splitlines():
        if "uses:" in line and "./" not in line:
            assert re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # \S", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_others_write_reaches_no_shell(path):
    """Names of branches, titles: a shell would take them for commands."""
    for command in re.findall(r"run: (\|\n(?:\s{10,}.*\n)+|.*)", path.read_text("utf-8")):
        assert "${{" not in command


def test_tests_run_as_contributing_says():
    block = re.search(r"```bat\n(.+?)```", read("CONTRIBUTING.md"), re.DOTALL)
    assert block
    lines = [line.replace("\\", "/") for line in block[1].splitlines()[1:]]
    wanted = [line.replace(".venv/Scripts/python", "python") for line in lines]
    assert commands_of("test", "test") == wanted
    assert commands_of("test", "lint") == ["make lint"]


def test_the_oldest_versions_are_allowed_ones():
    oldest = re.findall(r"^([\w-]+)==", read("tests/oldest.txt"), re.MULTILINE)
    required = re.findall(r"^([\w-]+)", read("requirements.txt"), re.MULTILINE)
    assert oldest and set(oldest) <= set(required)
    lowest = re.search(r"huggingface-hub>=([\d.]+)", read("requirements.txt"))
    assert lowest and f"huggingface-hub=={lowest[1]}" in read("tests/oldest.txt")


def test_the_oldest_comfyui_is_that_of_the_registry():
    oldest = re.search(r'requires-comfyui = ">=(.+)"', read("pyproject.toml"))
    assert oldest and f"comfyui: [v{oldest[1]}, newest]" in read(".github/workflows/comfy.yml")


# -- pages ---------------------------------------------------------------------------------


def test_the_architecture_is_that_of_the_code():
    """If not: python tests/tools/architecture.py"""
    assert read("ARCHITECTURE.md") == architecture.rewritten(read("ARCHITECTURE.md"))


def test_the_architecture_needs_its_marks():
    with pytest.raises(ValueError, match="must hold"):
        architecture.rewritten("a page without marks")


def test_floors_are_counted_from_below():
    rules = {"b": {"a"}, "a": set(), "d": {"b", "c"}, "c": set()}
    assert architecture.floors(rules) == {"a": 1, "c": 1, "b": 2, "d": 3}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page):
    """Folders and files in code or links; words in capitals stand for a name of your own."""
    text = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
    names = re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:md|py|toml|txt))`", text)
    names += re.findall(r"\]\(([^)#:]+)\)", text)
    for block in re.findall(r"```sh\n(.*?)```", read(page), re.DOTALL):
        names += re.findall(r"\btests/[\w/.-]+", block)
    own = [name for name in names if not re.search(r"NAME|NODE|^ComfyUI/|^\.venv/", name)]
    assert own
    folders = [ROOT, ROOT / "core", ROOT / "tests" / "tools"]
    missing = [name for name in own if not any((folder / name).exists() for folder in folders)]
    assert missing == []


def test_contributing_names_every_marker():
    markers = re.findall(r'^  "(\w+): ', read("pyproject.toml"), re.MULTILINE)
    assert markers
    for marker in markers:
        assert f"| `{marker}` |" in read("CONTRIBUTING.md")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_read_at_once(page):
    text = re.sub(r"<!-- made by.*?<!-- end -->", "", read(page), flags=re.DOTALL)
    assert len(text.splitlines()) <= 220
    assert all(len(line) <= 100 or line.startswith("|") for line in text.splitlines())


# -- the mark ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "file", "mode", "size", "most"),
    [
        (mark.icon, mark.ICON, "RGBA", (400, 400), 30_000),
        (mark.banner, mark.BANNER, "RGB", (1260, 540), 100_000),
    ],
    ids=["icon", "banner"],
)
def test_the_mark_is_what_its_script_draws(draw, file, mode, size, most):
    """If not: python tests/tools/mark.py"""
    assert file.stat().st_size <= most
    with Image.open(file) as picture:
        assert (picture.mode, picture.size, picture.format) == (mode, size, "PNG")
        off = ImageChops.difference(draw(), picture)
    # versions of Pillow may draw edges and letters a little differently
    assert sum(high for _, high in off.getextrema()) == 0 or _share(off) < 0.01


def _share(difference: Image.Image) -> float:
    """The share of pixels that differ by more than a few levels."""
    grey = difference.convert("RGB").convert("L").point([0] * 9 + [1] * 247)
    return sum(grey.histogram()[1:]) / (grey.width * grey.height)
