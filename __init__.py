"""rembg-sessions: background removal for ComfyUI, Python and the shell.

ComfyUI asks this package for its nodes, Python for the functions of :mod:`.core` and its errors;
each is loaded when it is first asked for, so that Python and the shell need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import (
        BaseSession,
        Composition,
        Framing,
        ModelSpec,
        compose,
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
    from .core.errors import (
        GraphError as GraphError,
    )
    from .core.errors import (
        ImageError as ImageError,
    )
    from .core.errors import (
        LowConfidenceError as LowConfidenceError,
    )
    from .core.errors import (
        ModelMemoryError as ModelMemoryError,
    )
    from .core.errors import (
        ModelPathError as ModelPathError,
    )
    from .core.errors import (
        ModelRunError as ModelRunError,
    )
    from .core.errors import (
        NotEnoughMemoryError as NotEnoughMemoryError,
    )
    from .core.errors import (
        OfflineError as OfflineError,
    )
    from .core.errors import (
        OptionError as OptionError,
    )
    from .core.errors import (
        ProviderError as ProviderError,
    )
    from .core.errors import (
        RembgSessionsError as RembgSessionsError,
    )
    from .core.errors import (
        RuntimeMissingError as RuntimeMissingError,
    )
    from .core.errors import (
        UnknownModelError as UnknownModelError,
    )
    from .core.errors import (
        WeightsError as WeightsError,
    )
    from .nodes import NODE_CLASS_MAPPINGS as NODE_CLASS_MAPPINGS
    from .nodes import NODE_DISPLAY_NAME_MAPPINGS as NODE_DISPLAY_NAME_MAPPINGS

__all__ = [  # without the nodes, which need torch
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

WEB_DIRECTORY = "./web"
# Its modules with the functions of the same names, for ``import rembg_sessions as rembg``.
_OF_REMBG = ("bg", "session_factory")
_OF_COMFYUI = ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS")


def __getattr__(name: str) -> Any:
    if name in _OF_COMFYUI:
        from . import nodes

        return getattr(nodes, name)
    if name in __all__ or name in _OF_REMBG:
        from . import core

        return core if name in _OF_REMBG else getattr(core, name)
    if name.endswith("Error"):
        from .core import errors

        if hasattr(errors, name):
            return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_OF_COMFYUI, *__all__})
