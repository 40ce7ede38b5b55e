"""The core of rembg-sessions: Python's own way in.

Importing it loads numpy and Pillow, nothing else; everything heavy waits until it is used.
"""

from __future__ import annotations

from .batch import remove_batch
from .imaging.compose import Composition, compose
from .imaging.framing import Framing
from .pipeline import remove
from .registry.lookup import get_model
from .registry.spec import ModelSpec
from .runtime.diagnosis import diagnose
from .session.factory import (
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
    "Composition",
    "Framing",
    "ModelSpec",
    "compose",
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
