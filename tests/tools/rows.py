"""The registry as text, in which a review sees every change of a row.

python tests/tools/rows.py    writes tests/registry/rows.json
"""

from __future__ import annotations

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

from rembg_sessions.core.registry.models import MODELS, VITMATTE

FILE = Path(__file__).resolve().parents[1] / "registry" / "rows.json"


def rows_as_text() -> str:
    """Return every row of the registry as JSON; what is at its default is left out."""
    rows = {"models": [*map(_plain, MODELS)], "vitmatte": [*map(_plain, VITMATTE)]}
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = [(field.name, field.default) for field in dataclasses.fields(value)]
    kept = {name: getattr(value, name) for name, default in fields}
    return {name: _plain(kept[name]) for name, default in fields if kept[name] != default}


if __name__ == "__main__":
    FILE.write_text(rows_as_text(), "utf-8")
