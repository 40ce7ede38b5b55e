"""The part of ARCHITECTURE.md that is made from the code: the rooms of core, and their imports.

    python tests/tools/architecture.py    rewrites what is between the two marks

The tree holds the docstrings of the rooms; who may import whom is RULES of test_structure.py.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from textwrap import wrap
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core"
FILE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- made by tests/tools/architecture.py -->", "<!-- end -->"
NAME, WIDTH = 18, 100  # columns of a name in the tree, and of a line


def rewritten(text: str) -> str:
    """Return the page with what is between the marks made anew."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError(f"{FILE.name} must hold {BEGIN} and after it {END}.")
    rules = load_structure()
    return f"{before}{BEGIN}\n\n{tree(rules)}\n\n{table(rules)}\n\n{END}{after}"


def tree(structure: ModuleType) -> str:
    """Return the rooms, those that import nothing first, with what they say of themselves."""
    heights = floors(structure.RULES)

    def place(path: Path) -> list[tuple[int, str]]:
        parts = path.relative_to(CORE).with_suffix("").parts
        names = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        return [(heights[structure.room_of(name)], name) for name in names]

    rooms = [path.parent for path in CORE.glob("*/**/__init__.py")]
    rooms += [path for path in CORE.glob("*.py") if path.name != "__init__.py"]
    lines = ["```text", "core/"]
    for path in sorted(rooms, key=place):
        label = "  " * len(place(path)) + path.name + "/" * path.is_dir()
        text = docstring(path / "__init__.py") if path.is_dir() else docstring(path)
        first, *others = wrap(text, WIDTH - NAME, break_on_hyphens=False)
        lines += [f"{label:{NAME}}{first}", *(" " * NAME + line for line in others)]
    return "\n".join([*lines, "```"])


def table(structure: ModuleType) -> str:
    """Return what each part of core may import of the others."""
    heights = floors(structure.RULES)
    order = sorted(heights, key=lambda part: (heights[part], part))
    lines = ["| floor | part of core | may import |", "|---|---|---|"]
    for part in order:
        name = f"`{part}`" if part else "`core` itself"
        allowed = ", ".join(f"`{other}`" for other in order if other in structure.RULES[part])
        lines.append(f"| {heights[part]} | {name} | {allowed or 'nothing'} |")
    return "\n".join(lines)


def floors(rules: dict[str, set[str]]) -> dict[str, int]:
    """Return the floor of each part, from 1: it is above all that the part may import."""
    found: dict[str, int] = {}
    while len(found) < len(rules):
        for part, needs in rules.items():
            if part not in found and needs <= found.keys():
                found[part] = 1 + max([found[need] for need in needs], default=0)
    return found


def docstring(path: Path) -> str:
    """Return what a module says of itself on one line; of a room all, else the first sentence."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join((text if path.name == "__init__.py" else text.partition("\n\n")[0]).split())


def load_structure() -> ModuleType:
    """Return tests/test_structure.py as a module."""
    file = ROOT / "tests" / "test_structure.py"
    spec = importlib.util.spec_from_file_location("structure_of_core", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    FILE.write_text(rewritten(FILE.read_text("utf-8")), "utf-8", newline="\n")
