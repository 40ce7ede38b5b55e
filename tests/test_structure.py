"""Which part may import which, and what no part may do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*ROOT.glob("*.py"), *ROOT.glob("core/**/*.py"), *ROOT.glob("nodes/**/*.py")])
CORE = [path for path in MODULES if path.is_relative_to(ROOT / "core")]

# What each part of the core may import of the others, also inside functions. A room is a folder.
RULES: dict[str, set[str]] = {
    "errors": set(),
    "text": set(),
    "checks": {"errors", "text"},
    "settings": {"errors"},
    "machine": {"settings"},
    "threads": set(),
    "registry": {"errors", "text"},
    "weights": {"errors", "settings", "registry", "text"},
    "runtime": {"checks", "errors", "machine", "settings", "text", "threads"},
    "prepare": {"errors", "machine", "runtime", "settings", "text", "weights"},
    "imaging": {"checks", "errors", "machine", "text", "threads"},
    "matting.closed_form": {"errors", "machine", "threads"},
    "matting": {"checks", "errors", "imaging", "matting.closed_form"},
    "backdrop": {"checks", "errors", "imaging", "matting", "matting.closed_form"},
    "session": {
        "checks",
        "text",
        *("errors", "settings", "registry", "weights", "runtime", "imaging", "matting"),
        *("backdrop", "prepare"),
    },
    "layers": {"checks", "errors", "machine", "text", "imaging", "matting", "session"},
    "options": {"errors", "imaging", "session", "text"},
    "pipeline": {"checks", "errors", "imaging", "layers", "matting", "options", "session", "text"},
    "frames": {"imaging", "session"},
    "batch": {
        *("checks", "errors", "frames", "imaging", "layers", "machine", "pipeline", "session"),
        *("text", "threads"),
    },
    # the core's own __init__
    "": {"batch", "imaging", "pipeline", "registry", "runtime", "session"},
    "clips": {"errors", "imaging", "text"},
    "cli": {
        *(
            "clips",
            "errors",
            "imaging",
            "matting",
            "pipeline",
            "prepare",
            "registry",
            "runtime",
            "session",
        ),
        *("batch", "layers", "options", "settings", "text", "weights"),
    },
}
# Rooms that are pure maths: arrays and pictures in, arrays and pictures out.
MATHS = {"imaging", "matting.closed_form", "matting", "backdrop", "machine", "threads"}
MATHS_IMPORTS = {
    "numpy",
    "PIL",
    "scipy",
    "numba",
    "pymatting",
    "psutil",
    "pillow_heif",
    *sys.stdlib_module_names,
}

# ComfyUI's own, and the library it runs on.
HOST = {
    *("torch", "torchvision", "torchaudio", "comfy", "comfy_api", "comfy_execution"),
    *("comfy_extras", "folder_paths", "server", "nodes", "execution", "node_helpers"),
}
# These take from a third of a second to 40 seconds: functions that need them import them.
HEAVY = {
    "av",
    "onnxruntime",
    "huggingface_hub",
    "scipy",
    "pymatting",
    "numba",
    "torch",
    "onnx",
    "ray",
    "rembg",
}

FORBIDDEN_IMPORTS = {"pickle", "subprocess", "pip", "imp", "marshal", "shelve", "cv2", "ctypes"}
# The network is spoken to through huggingface_hub alone, and from one module; through its library
# where a setting keeps huggingface_hub itself from being imported.
NETWORK = {
    *("urllib.request", "urllib.error", "http.client", "http.server", "socket", "ssl", "ftplib"),
    *("requests", "httpx", "httpx2", "urllib3"),
}
NETWORK_CALLS = {"connect", "bind", "send", "recv", "urlopen"}  # the registry's scanner flags these
NETWORK_MODULE = ROOT / "core/weights/network.py"
FORBIDDEN_NAMES = {"eval", "exec", "print", "compile", "__import__", "input", "breakpoint"}
FORBIDDEN_ATTRIBUTES = {"os.system", "os.popen", "os.execv", "sys.path", "importlib.import_module"}
TERMINAL = {"sys.stdout", "sys.stderr", "sys.exit"}  # the command line's own
ENVIRONMENT = {"os.environ", "os.getenv", "os.getenvb", "os.environb"}  # of settings alone
LONGEST = 400


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, *, top_only: bool = False) -> list[str]:
    """Names a module imports: ``numpy``, or ``rembg_sessions.core.errors.Name`` for its own."""
    package = ["rembg_sessions", *path.relative_to(ROOT).parts[:-1]]
    found: list[str] = []
    tree = parse(path)
    for node in _at_import(tree) if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parent, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
            found += names if node.level else [base]
    return found


def _at_import(tree: ast.AST) -> list[ast.AST]:
    """Everything that runs when the module is imported: no function bodies, no type checks."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        found += [node, *_at_import(node)]
    return found


def dotted(path: Path) -> set[str]:
    """Every prefix of the names a module imports from elsewhere, those of "from" included."""
    found: list[str] = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in found]
    return {".".join(name[:length]) for name in parts for length in range(1, len(name) + 1)}


def tops(path: Path, **options: bool) -> set[str]:
    return {name.split(".")[0] for name in imports(path, **options)}


def room_of(name: str) -> str:
    """The part of the core that a dotted name below it belongs to: the longest in RULES."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in RULES:
            return ".".join(parts[:length])
    return ""


def module_of(path: Path) -> str:
    """The dotted name of a module below the core."""
    parts = path.relative_to(ROOT / "core").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own(path: Path) -> set[str]:
    """Dotted names below the core that a module of it imports, also inside functions."""
    found = [name for name in imports(path) if name.startswith("rembg_sessions.core.")]
    return {name.removeprefix("rembg_sessions.core.") for name in found}


# -- directions -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_the_core_knows_neither_its_host_nor_the_nodes(path):
    assert not tops(path) & HOST
    inside = [name for name in imports(path) if name.startswith("rembg_sessions")]
    assert all(name.startswith("rembg_sessions.core.") for name in inside)


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_rooms_import_what_the_table_allows(path):
    room = room_of(module_of(path))
    used = {room_of(name) for name in own(path)} - {room}
    assert used <= RULES[room], f"{room} may not import {used - RULES[room]}"


def test_the_table_has_no_circle_and_no_dead_rule():
    above = {room: rules - {room} for room, rules in RULES.items()}
    while above:
        ready = {room for room, needs in above.items() if not needs & above.keys()}
        assert ready, f"these import each other: {above}"
        above = {room: needs for room, needs in above.items() if room not in ready}
    used: dict[str, set[str]] = {room: set() for room in RULES}
    for path in CORE:
        used[room_of(module_of(path))] |= {room_of(name) for name in own(path)}
    for room, rules in RULES.items():
        assert rules == used[room] - {room}, room


def test_no_modules_import_each_other():
    """Also inside functions, where Python itself would not notice."""
    modules = {module_of(path): path for path in CORE}
    above: dict[str, set[str]] = {}
    for module, path in modules.items():
        # of "from .a import b", b may be a module or a name in one
        parts = {name if name in modules else name.rpartition(".")[0] for name in own(path)}
        above[module] = parts & modules.keys() - {module, ""}
    while above:
        ready = {name for name, needs in above.items() if not needs & above.keys()}
        assert ready, f"these import each other: {above}"
        above = {name: needs for name, needs in above.items() if name not in ready}


@pytest.mark.parametrize("path", sorted({path.parent for path in CORE}), ids=relative)
def test_every_room_says_in_two_sentences_what_belongs_there(path):
    text = ast.get_docstring(parse(path / "__init__.py"))
    assert text and text.count(".") >= 2


def test_every_room_is_in_the_package():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = {path.parent.relative_to(ROOT).parts for path in MODULES}
    expected = {".".join(["rembg_sessions", *parts]) for parts in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == expected


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_is_too_long_to_be_read(path):
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_the_package_itself_imports_what_it_is_asked_for():
    path = ROOT / "__init__.py"
    parts = {".".join(name.split(".")[:2]) for name in imports(path)}
    assert parts == {"__future__", "typing", "rembg_sessions.core", "rembg_sessions.nodes"}
    assert imports(path, top_only=True) == ["__future__", "typing"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_within_the_pack_are_relative(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not (node.module or "").startswith("rembg_sessions")
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("rembg_sessions") for alias in node.names)


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_nothing_heavy_is_imported_with_the_core(path):
    assert not tops(path, top_only=True) & HEAVY


@pytest.mark.parametrize(
    "path", [path for path in CORE if room_of(module_of(path)) in MATHS], ids=relative
)
def test_the_maths_imports_arrays_and_pictures_only(path):
    assert tops(path) - {"rembg_sessions"} <= MATHS_IMPORTS


# -- what no part may do --------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_forbidden(path):
    assert not tops(path) & FORBIDDEN_IMPORTS
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_NAMES, f"line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in FORBIDDEN_ATTRIBUTES, f"line {node.lineno}"
            if path.parent.name != "cli":
                assert ast.unparse(node) not in TERMINAL, f"line {node.lineno}"
            if path.stem != "settings":
                assert ast.unparse(node) not in ENVIRONMENT, f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_one_module_speaks_to_the_network(path):
    library = {"httpx", "httpx2"} if path == NETWORK_MODULE else set()
    assert not dotted(path) & (NETWORK - library)
    assert path == NETWORK_MODULE or "huggingface_hub" not in dotted(path)
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in NETWORK_CALLS, f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_there_is_one_logger(path):
    # inside ComfyUI the package is named after its folder
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger"):
            assert ast.unparse(node) == "logging.getLogger('rembg_sessions')"


# -- in practice ------------------------------------------------------------------------------


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; sys.stdout.write(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.anchor
    )
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import rembg_sessions",
        "from rembg_sessions import remove, remove_batch, new_session, sessions, BaseSession",
        "import rembg_sessions.core",
        "import rembg_sessions.core.pipeline",
        "from rembg_sessions.core import remove, new_session, diagnose, sessions",
    ],
)
def test_importing_the_core_loads_nothing_heavy(statement):
    # the metadata of packages are e-mails to Python, which load "socket"
    assert not modules_after(statement) & (HEAVY | HOST | (NETWORK - {"socket"}))


def test_requirements_are_the_dependencies_and_an_onnxruntime():
    """ComfyUI's users get one without being asked; Python's choose theirs, as an extra."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    required = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    count = len(project["dependencies"])
    assert required[:count] == project["dependencies"]
    names = [line.split(";")[0] for line in required[count:]]
    assert names == ["onnxruntime-gpu", "onnxruntime"]
    extras = project["optional-dependencies"]
    assert [name for name in extras if extras[name][0].startswith("onnxruntime")] == [
        *("cpu", "gpu", "directml", "openvino")
    ]
    assert not re.search("onnxruntime|torch", str(project["dependencies"]))
