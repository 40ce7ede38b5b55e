"""The library onnxruntime: imported when it is needed, explained where it is not there."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from .. import settings
from ..errors import RuntimeMissingError

_log = logging.getLogger("rembg_sessions")


def import_onnxruntime() -> Any:
    """Import onnxruntime.

    Raises
    ------
    RuntimeMissingError
        With the pip line that repairs the installation and the real reason.
    """
    settings.silence_onnxruntime()
    try:
        import onnxruntime
    except ImportError as error:
        from .diagnosis import missing_runtime_message

        raise RuntimeMissingError(missing_runtime_message(error)) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # what an uninstall of one of two overlapping packages leaves behind
        from .diagnosis import missing_runtime_message

        error = ImportError("the onnxruntime folder has no InferenceSession")
        raise RuntimeMissingError(missing_runtime_message(error))
    return onnxruntime


def hush_onnxruntime() -> None:
    """Keep onnxruntime from writing to the terminal: what it says is raised or reported, too.

    For a program of our own; elsewhere it would change what others see of theirs.
    """
    import_onnxruntime().set_default_logger_severity(4)


@lru_cache(maxsize=64)
def warn_once(message: str) -> None:
    """Warn about the installation the first time, not for every graph and opening."""
    _log.warning("%s", message)
