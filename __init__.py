"""rembg-sessions: background removal for ComfyUI, Python and the shell.

ComfyUI asks this package for its nodes, Python for the functions of :mod:`.core`; each is loaded
when it is first asked for, so that Python and the shell need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import (
        BaseSession,
        Framing,
        ModelSpec,
        diagnose,
        get_model,
        get_session,
        new_session,
        release_sessions,
        remove,
        remove_batch,
        sessions,
        sessions_class,
        sessions_names,
    )
    from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = [
    "NODE_CLASS_MAPPINGS",
    "NODE_DISPLAY_NAME_MAPPINGS",
    "WEB_DIRECTORY",
    "BaseSession",
    "Framing",
    "ModelSpec",
    "diagnose",
    "get_model",
    "get_session",
    "new_session",
    "release_sessions",
    "remove",
    "remove_batch",
    "sessions",
    "sessions_class",
    "sessions_names",
]

WEB_DIRECTORY = "./web"


def __getattr__(name: str) -> Any:
    if name.startswith("NODE_") and name in __all__:
        from . import nodes

        return getattr(nodes, name)
    if name in __all__:
        from . import core

        return getattr(core, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
