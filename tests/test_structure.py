"""Which part may import which, and what no part may do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([ROOT / "__init__.py", *ROOT.glob("core/*.py"), *ROOT.glob("nodes/*.py")])
CORE = [path for path in MODULES if path.parent.name == "core"]
NODES = [path for path in MODULES if path.parent.name == "nodes"]

# ComfyUI's own, and the library it runs on.
HOST = {
    *("torch", "torchvision", "torchaudio", "comfy", "comfy_api", "comfy_execution"),
    *("comfy_extras", "folder_paths", "server", "nodes", "execution", "node_helpers"),
}
# These take from a third of a second to 40 seconds: functions that need them import them.
HEAVY = {"onnxruntime", "huggingface_hub", "scipy", "pymatting", "numba", "torch", "onnx", "rembg"}
# Pure maths: arrays and pictures in, arrays and pictures out.
MATHS = {"bands", "composite", "foreground", "mask", "picture", "regions"}
MATHS |= {"backdrop", "backdrop_edge", "backdrop_field"}
MATHS |= {"planes", "prompt", "windows"}
MATHS |= {"closed_form", "cholesky", "compiled", "dissection", "fast_matting", "machine"}
MATHS |= {"elimination", "kernels", "laplacian", "ordering"}
MATHS |= {"guided", "local_linear", "reference", "trimap"}
MATHS_IMPORTS = {"numpy", "PIL", "scipy", "numba", "pymatting", *sys.stdlib_module_names}

FORBIDDEN_IMPORTS = {"pickle", "subprocess", "pip", "imp", "marshal", "shelve", "cv2"}
FORBIDDEN_NAMES = {"eval", "exec", "print", "compile", "__import__", "input", "breakpoint"}
FORBIDDEN_ATTRIBUTES = {"os.system", "os.popen", "os.execv", "sys.path"}
TERMINAL = {"sys.stdout", "sys.stderr", "sys.exit"}  # the command line's own


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, *, top_only: bool = False) -> list[str]:
    """Names a module imports: ``numpy``, or ``rembg_sessions.core.errors`` for its own."""
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


def tops(path: Path, **options: bool) -> set[str]:
    return {name.split(".")[0] for name in imports(path, **options)}


def own(path: Path, **options: bool) -> set[str]:
    """Modules of the core that a module of the core imports."""
    stems = {module.stem for module in CORE}
    parts = [name.split(".") for name in imports(path, **options) if name.startswith("rembg_")]
    return {name[2] for name in parts if name[1] == "core" and name[2] in stems}


# -- directions -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_the_core_knows_neither_its_host_nor_the_nodes(path):
    assert not tops(path) & HOST
    inside = [name for name in imports(path) if name.startswith("rembg_sessions")]
    assert all(name.startswith("rembg_sessions.core.") for name in inside)


def test_the_package_itself_imports_nothing_but_the_nodes_when_asked():
    path = ROOT / "__init__.py"
    assert imports(path) == ["__future__", "typing", "rembg_sessions.nodes"]
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


@pytest.mark.parametrize("path", [p for p in CORE if p.stem in MATHS], ids=relative)
def test_the_maths_imports_numpy_and_pillow_and_errors_only(path):
    assert tops(path) - {"rembg_sessions"} <= MATHS_IMPORTS
    assert own(path) <= MATHS | {"errors"}


def test_the_modules_of_the_core_stand_on_each_other():
    above = {path.stem: own(path, top_only=True) - {path.stem} for path in CORE}
    assert above["errors"] == set()
    while above:
        ready = {name for name, needs in above.items() if not needs & above.keys()}
        assert ready, f"these import each other: {above}"
        above = {name: needs for name, needs in above.items() if name not in ready}


def test_low_modules_know_none_above_them():
    by_name = {path.stem: path for path in CORE}
    assert own(by_name["spec"]) == set()
    assert own(by_name["models"]) == {"spec"}
    assert own(by_name["registry"]) == {"errors", "models", "spec"}
    for name in ("weights", "providers", "preprocess", "graph"):
        assert not own(by_name[name]) & {"session", "sessions", "pipeline", "cli"}
    for name in ("session", "sessions", "sam", "vitmatte"):
        assert not own(by_name[name]) & {"pipeline", "cli"}


# -- what no part may do --------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_forbidden(path):
    assert not tops(path) & FORBIDDEN_IMPORTS
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_NAMES, f"line {node.lineno}"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) not in FORBIDDEN_ATTRIBUTES, f"line {node.lineno}"
            if path.stem != "cli":
                assert ast.unparse(node) not in TERMINAL, f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"


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
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import rembg_sessions",
        "import rembg_sessions.core",
        "import rembg_sessions.core.pipeline",
        "from rembg_sessions.core import remove, new_session, diagnose, sessions",
    ],
)
def test_importing_the_core_loads_nothing_heavy(statement):
    assert not modules_after(statement) & (HEAVY | HOST)


def test_requirements_are_the_dependencies():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    required = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert required == project["dependencies"]
    assert not any(line.startswith("torch") for line in required)
