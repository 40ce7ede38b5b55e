"""What is built and published: the wheel, the source archive, the registry's archive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.py"), *ROOT.glob("core/**/*.py"), *ROOT.glob("nodes/**/*.py")]
)
# What Python and the shell get, and what ComfyUI and its registry get beside it.
TOPS = {"__init__.py", "__main__.py", "core", "nodes", "py.typed"}
PUBLISHED = TOPS | {
    *("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "requirements.txt"),
    *("example_workflows", "subgraphs", "web", ".comfyignore", ".gitignore"),
}
KINDS = {".py", ".md", ".js", ".json", ".jpg", ".png", ".mp4", ".typed", ".toml", ".txt", ""}


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


# -- metadata ------------------------------------------------------------------------------


def test_classifiers(project):
    classifiers = project["project"]["classifiers"]
    assert classifiers == sorted(classifiers)
    versions = [int(minor) for minor in re.findall(r":: Python :: 3\.(\d+)", str(classifiers))]
    assert project["project"]["requires-python"] == f">=3.{min(versions)}"
    assert sorted(versions) == [*range(min(versions), max(versions) + 1)]
    # ComfyUI takes the accelerators named here for the only ones a pack runs on
    assert not [each for each in classifiers if each.startswith("Environment")]
    assert not [each for each in classifiers if each.startswith("License")]  # SPDX says it


def test_classifiers_exist(project):
    known = pytest.importorskip("trove_classifiers").classifiers
    assert set(project["project"]["classifiers"]) <= known


def test_links(project):
    urls = project["project"]["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Repository", "Issues", "Changelog"}
    assert all(url.startswith(urls["Repository"]) for url in urls.values())


def test_what_the_registry_reads(project):
    comfy, urls = project["tool"]["comfy"], project["project"]["urls"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    # the only form that the registry reads
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["project"]["version"])
    for name in ("Icon", "Banner"):
        file = comfy[name].removeprefix(f"{urls['Repository']}/raw/main/")
        assert (ROOT / file).is_file(), comfy[name]
    assert "web" not in comfy  # ComfyUI would load every script twice


def test_the_changelog_knows_the_version(project):
    assert f"## {project['project']['version']}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


# -- wheel and source archive --------------------------------------------------------------


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **environment},
        timeout=600,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clean copy of what is under version control, changes included."""
    files = tracked()
    if not files:
        pytest.skip("this is no git checkout: nothing says which files belong to it")
    copy = tmp_path_factory.mktemp("clone")
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    return copy


def tracked() -> list[str]:
    """The files under version control that are there."""
    if shutil.which("git") is None:
        return []
    listed = run("git", "ls-files", "-z", cwd=ROOT)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    return [name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """Where the build backend lies: nowhere special if it is installed, else a folder."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    required = re.search(r'requires = \["setuptools>=(\d+)"\]', text)
    assert required
    try:
        if int(metadata.version("setuptools").split(".")[0]) >= int(required[1]):
            return ""
    except metadata.PackageNotFoundError:
        pass
    folder = tmp_path_factory.mktemp("backend")
    wanted = f"setuptools>={required[1]}"
    done = run(sys.executable, "-m", "pip", "install", "--target", folder, wanted, cwd=folder)
    if done.returncode:
        pytest.skip(f"the build backend {wanted} cannot be had: {done.stderr.strip()[-200:]}")
    return str(folder)


@pytest.fixture(scope="module")
def sdist(clone, backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    done = run(sys.executable, "-c", code, folder, cwd=clone, PYTHONPATH=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.iterdir()
    return archive


def wheel_of(source: Path, backend: str, folder: Path) -> list[str]:
    """Build a wheel as pip does; the names in it."""
    if find_spec("pip") is None:
        pytest.skip("pip is not installed")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    command = (sys.executable, "-m", "pip", "wheel", *options, source)
    done = run(*command, cwd=folder, PYTHONPATH=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def check_wheel(names: list[str]) -> None:
    inside = {name for name in names if ".dist-info/" not in name}
    assert {f"rembg_sessions/{name}" for name in [*MODULES, "py.typed"]} <= inside
    assert {PurePosixPath(name).parts[1] for name in inside} == TOPS
    about = {name.split(".dist-info/")[1] for name in names if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= about


def test_the_wheel_holds_every_module_and_no_test(clone, backend, tmp_path):
    check_wheel(wheel_of(clone, backend, tmp_path))


def test_the_source_archive_makes_the_same_wheel(sdist, backend, tmp_path):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {*MODULES, "py.typed", "LICENSE", "README.md", "CHANGELOG.md"} <= names
    assert not [name for name in names if name.startswith(("tests", "web", ".github"))]
    check_wheel(wheel_of(sdist, backend, tmp_path))


# -- the registry's archive ----------------------------------------------------------------


def ignored() -> list[str]:
    return (ROOT / ".comfyignore").read_text("utf-8").split()


def is_published(name: str) -> bool:
    """Whether the archive has a file: what is under version control and not left out."""
    folders = [f"{part.as_posix()}/" for part in PurePosixPath(name).parents if part.name]
    return not any(
        fnmatch(PurePosixPath(each).name + "/" * each.endswith("/"), pattern)
        for each in (*folders, name)
        for pattern in ignored()
    )


@pytest.fixture(scope="module")
def published():
    names = tracked()
    if not names:
        pytest.skip("this is no git checkout: nothing says which files belong to it")
    return [name for name in names if is_published(name)]


def test_only_what_users_need_is_published(published):
    """Every file more is one that the registry's scanner may stumble over."""
    assert {PurePosixPath(name).parts[0] for name in published} <= PUBLISHED
    assert {*MODULES, "py.typed", "pyproject.toml", "requirements.txt"} <= {*published}
    assert {PurePosixPath(name).suffix for name in published} <= KINDS


# What has flagged versions of packs, in code and prose alike. Each finding keeps a version from
# being installed on servers until a human has cleared it.
FINDINGS = {
    "network": r"urllib\.request|http\.client|\brequests\b|aiohttp\.Client|\bsockets?\b"
    r"|\.(?:connect|bind|send|recv)\(",
    "environment": r"os\.environ|getenv",
    "import by name": r"import_module|__import__|exec_module",
    "code from text": r"\b(?:exec|eval)\(|(?<!re\.)\bcompile\(|marshal|pickle\.load",
    "native code": r"ctypes|cffi",
    "programs": r"subprocess|os\.(?:system|popen|exec|spawn)|Popen",
    "installing": r"pip3? install|ensurepip",
    "addresses": r"raw\.githubusercontent|pastebin|discord(?:app)?\.com",
    "hidden text": r"base64|codecs\.decode|fromhex",
}
ALLOWED = {
    # the one module that reads the environment: users' and rembg's variables; and it switches
    # the telemetry of onnxruntime and of Ray off
    ("core/settings.py", "environment"): 3,
    # the one module that speaks to the network: the password of a mirror's address
    ("core/weights/network.py", "hidden text"): 1,
}


def test_what_the_registrys_scanner_finds(published):
    texts = [
        name for name in published if PurePosixPath(name).suffix not in (".png", ".jpg", ".mp4")
    ]
    found = {
        (name, rule): len(hits)
        for name in texts
        for rule, pattern in FINDINGS.items()
        if (hits := re.findall(pattern, (ROOT / name).read_text("utf-8")))
    }
    assert found == ALLOWED
