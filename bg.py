"""rembg's module of this name: ``from rembg_sessions.bg import remove``."""

from __future__ import annotations

from .core import BaseSession, new_session, remove, sessions, sessions_names

__all__ = ["BaseSession", "new_session", "remove", "sessions", "sessions_names"]
