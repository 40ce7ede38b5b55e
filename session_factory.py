"""rembg's module of this name: ``from rembg_sessions.session_factory import new_session``."""

from __future__ import annotations

from .core import BaseSession, new_session, sessions_class

__all__ = ["BaseSession", "new_session", "sessions_class"]
