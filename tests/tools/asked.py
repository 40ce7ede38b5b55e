"""A node as tests ask it."""

from __future__ import annotations

from typing import Any

from rembg_sessions import nodes


class Asked:
    """A node whose ``execute`` gives the outputs alone; ``shown`` is what the page gets."""

    def __init__(self, name: str) -> None:
        self.node = nodes.NODE_CLASS_MAPPINGS[name]()
        self.shown: dict[str, Any] = {}

    def execute(self, *given: Any, **named: Any) -> Any:
        answer = self.node.execute(*given, **named)
        is_shown = isinstance(answer, dict)
        self.shown = answer["ui"] if is_shown else {"rembg_warnings": []}
        return answer["result"] if is_shown else answer
