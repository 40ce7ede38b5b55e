"""The example in the solver's README is what the solver really does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rembg_sessions.core.matting.closed_form import numpy_backend
from rembg_sessions.core.matting.closed_form.laplacian import window_offsets
from rembg_sessions.core.matting.closed_form.loops_numeric import (
    BORDER,
    FACTOR,
    FIRST,
    PIXEL,
    WINDOW,
)
from rembg_sessions.core.matting.closed_form.memory import predict_memory
from rembg_sessions.core.matting.closed_form.symbolic import SymbolicFactor, analyse
from rembg_sessions.core.matting.closed_form.tree import children

README = Path(numpy_backend.__file__).with_name("README.md")
LEAF = 4
PICTURE = (
    ". . . . . . .",
    ". u u u u u .",
    ". u # # # u .",
    ". u # # # u .",
    ". u # # # u .",
    ". u u u u u .",
    ". . . . . . .",
)
NAMES = "abcdefg"


@pytest.fixture
def symbolic(monkeypatch: pytest.MonkeyPatch) -> SymbolicFactor:
    monkeypatch.setattr(numpy_backend, "LEAF", LEAF)
    values = {".": 0, "u": 0.5, "#": 1}
    trimap = np.array([[values[c] for c in row.split()] for row in PICTURE], np.float32)
    return analyse(trimap, numpy_backend, np.zeros(1, np.uint8))


def positions(symbolic: SymbolicFactor, node: int) -> list[int]:
    return list(range(symbolic.nodes[node, PIXEL], symbolic.nodes[node + 1, PIXEL]))


def border(symbolic: SymbolicFactor, node: int) -> list[int]:
    return symbolic.borders[slice(*symbolic.nodes[node : node + 2, BORDER])].tolist()


def beside(*blocks: list[str]) -> list[str]:
    """Several blocks of text from left to right."""
    height = max(map(len, blocks))
    columns = []
    for block in blocks:
        width = max(map(len, block))
        columns.append([line.ljust(width) for line in [*block, *[""] * (height - len(block))]])
    return ["     ".join(parts).rstrip() for parts in zip(*columns, strict=True)]


def draw_pixels(symbolic: SymbolicFactor) -> list[str]:
    cells = ["  " + c for row in PICTURE for c in row.split()]
    for node, name in enumerate(NAMES):
        for position in positions(symbolic, node):
            cells[symbolic.pixels[position]] = f"{position:>2}{name}"
    return [" ".join(cells[k : k + 7]) for k in range(0, 49, 7)]


def draw_tree(symbolic: SymbolicFactor, node: int, indent: str = "") -> list[str]:
    numbers = " ".join(map(str, positions(symbolic, node)))
    around = " ".join(map(str, border(symbolic, node))) or "none"
    lines = [f"{NAMES[node]}: pixels {numbers}; border {around}"]
    below = children(node, symbolic.nodes[:, FIRST])
    for child in reversed(below):
        first, *rest = draw_tree(symbolic, child)
        bar = " " if child == below[0] else "|"
        lines += [f"+- {first}", *(f"{bar}  {line}" for line in rest)]
    return lines


def draw_front(symbolic: SymbolicFactor, node: int) -> list[str]:
    """The upper triangle: where each entry comes from."""
    rows = positions(symbolic, node) + border(symbolic, node)
    sources = {(i, j): "" for i in rows for j in rows if i <= j}
    centres = symbolic.windows[slice(*symbolic.nodes[node : node + 2, WINDOW])]
    for window in symbolic.position[centres[:, None] + window_offsets(7)].tolist():
        for pair in [(i, j) for i in window for j in window if (i, j) in sources]:
            sources[pair] = "w"
    for child in reversed(children(node, symbolic.nodes[:, FIRST])):
        update = border(symbolic, child)
        for pair in [(i, j) for i in update for j in update if i <= j]:
            sources[pair] += NAMES[child]
    pivots = len(positions(symbolic, node))

    def line(head: str, cells: list[str]) -> str:
        split = [" ".join(f"{c:>2}" for c in part) for part in (cells[:pivots], cells[pivots:])]
        return f"{head:>2} {split[0]} | {split[1]}"

    lines = [f"front of {NAMES[node]}", line("", [str(row) for row in rows])]
    for k, i in enumerate(rows):
        if k == pivots:
            lines.append("-" * len(lines[1]))
        lines.append(line(str(i), [(sources[i, j] or "0") if i <= j else "" for j in rows]))
    return lines


def draw(symbolic: SymbolicFactor) -> str:
    nodes = len(symbolic.nodes) - 1
    sizes = np.diff(symbolic.nodes[:, [PIXEL, BORDER]], axis=0).sum(axis=1)
    rows = ", ".join(f"{name} {size}" for name, size in zip(NAMES, sizes, strict=True))
    lines = beside(
        ["the unknown band", "", *PICTURE],
        ["elimination order, node", "", *draw_pixels(symbolic)],
    )
    lines += ["", "tree of nodes", "", *draw_tree(symbolic, nodes - 1), ""]
    lines += beside(*(draw_front(symbolic, NAMES.index(name)) for name in "abc"))
    lines += [
        "",
        f"rows of the fronts: {rows}; "
        f"R has {symbolic.nodes[-1, FACTOR]} entries; "
        f"{symbolic.operations:g} multiplications; {predict_memory(symbolic, 1)} bytes",
    ]
    return "\n".join(lines)


def test_the_example_is_true(symbolic):
    text = draw(symbolic)
    assert text in README.read_text("utf-8"), f"The README should say:\n\n{text}"
