"""The core of rembg-sessions: Python's own way in.

Names are imported on first use, so that importing this package reads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .diagnosis import diagnose
    from .pipeline import remove, remove_batch
    from .registry import ModelSpec, get_model
    from .sessions import (
        BaseSession,
        get_session,
        new_session,
        release_sessions,
        sessions,
        sessions_class,
        sessions_names,
    )

__all__ = [
    "BaseSession",
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

_MODULES = {
    "diagnose": "diagnosis",
    "remove": "pipeline",
    "remove_batch": "pipeline",
    "ModelSpec": "registry",
    "get_model": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{_MODULES.get(name, 'sessions')}", __name__)
    return getattr(module, name)
