"""Every deliberate error of the pack.

Each class also inherits the built-in it is a case of, so that callers of rembg who
catch ``ValueError`` or ``OSError`` keep working. The message is what the user reads in
ComfyUI's dialog or in the shell: it names the value, what is allowed, and the next step.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager


class RembgSessionsError(Exception):
    """Base of every error the pack raises on purpose."""

    # ComfyUI shows where a class is defined, which there is the path of the pack's folder; and
    # it is the name under which Python users catch it.
    __module__ = "rembg_sessions"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__module__ = RembgSessionsError.__module__


class UnknownModelError(RembgSessionsError, ValueError):
    """A model name that is in no row of the registry."""


class OptionError(RembgSessionsError, ValueError):
    """An argument outside its allowed set or range."""


class ImageError(RembgSessionsError, ValueError):
    """A picture, mask or array that cannot be processed."""


class LowConfidenceError(RembgSessionsError, ValueError):
    """A picture that a model says it cannot cut out."""


class ModelPathError(RembgSessionsError, ValueError):
    """A custom model file outside the model folders, or missing."""


class WeightsError(RembgSessionsError, OSError):
    """Weights that are missing, damaged or could not be downloaded."""


class DownloadError(WeightsError):
    """Weights that no source gave."""


class OfflineError(WeightsError):
    """A download was needed but downloads are switched off."""


class ProviderError(RembgSessionsError, RuntimeError):
    """An execution provider that was asked for by name and cannot be had."""


class ModelRunError(RembgSessionsError, RuntimeError):
    """A model that could not be opened, or failed while running."""


class GraphError(RembgSessionsError, ValueError):
    """A network whose graph cannot be read, or cannot be changed as is wished."""


class ModelMemoryError(ModelRunError, MemoryError):
    """A model that ran out of memory while running."""


class NotEnoughMemoryError(RembgSessionsError, MemoryError):
    """A picture that is too large for the memory there is."""


class RuntimeMissingError(RembgSessionsError, ImportError):
    """onnxruntime is not installed or does not import."""


class PackageMissingError(RembgSessionsError, ImportError):
    """A package that only some of the work needs is not installed."""


@contextmanager
def needed(package: str, what: str) -> Generator[None]:
    """Import meanwhile from a package that may not be installed.

    Parameters
    ----------
    package
        Its name for pip.
    what
        Which of the pack's abilities needs it.

    Raises
    ------
    PackageMissingError
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackageMissingError(
            f"{what} needs the package {package}, which is not installed ({error}). Install it "
            f"with pip for {sys.executable or 'this Python'}, and start again."
        ) from error
