"""The core of rembg-sessions: Python's own way in.

Importing it loads numpy and Pillow, nothing else; everything heavy waits until it is used.
"""

from __future__ import annotations

from .diagnosis import diagnose
from .pipeline import remove, remove_batch
from .registry import get_model

# After this line ``core.sessions`` is the dictionary, as in rembg, no longer the module.
from .sessions import (
    BaseSession,
    get_session,
    new_session,
    release_sessions,
    sessions,
    sessions_class,
    sessions_names,
)
from .spec import ModelSpec

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
