"""The environment variables that change what the pack does: the one module that knows them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from .errors import OptionError

MOST_THREADS = 1024
"""More threads than this are a slip: thousands take gigabytes, or never end."""
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "U2NET_HOME": "where Python and the shell store models",
        "REMBG_HOME": "another folder of rembg's, looked into for models",
        "XDG_CACHE_HOME": "for TensorRT's engines, and prepared networks that have no other place",
        "LOCALAPPDATA": "the same on Windows",
        "XDG_DATA_HOME": "where rembg's folders lie, looked into for models",
        "HF_ENDPOINT": "a mirror of Hugging Face",
        "HTTPS_PROXY": "the proxy of downloads, from https addresses",
        "HTTP_PROXY": "the proxy of downloads, from http addresses",
        "ALL_PROXY": "the proxy of all other downloads",
        "NO_PROXY": "hosts that are asked without a proxy",
        "HF_HUB_OFFLINE": "never download",
        "REMBG_SESSIONS_OFFLINE": "never download",
        "MODEL_CHECKSUM_DISABLED": "accept files whose size or hash differ from the registry",
        "OMP_NUM_THREADS": "CPU threads",
        "ORT_DISABLE_TELEMETRY": "0 lets onnxruntime report to its maker; it is not asked to",
        "CUDA_VISIBLE_DEVICES": "the NVIDIA GPUs that may be used",
        "RAY_ADDRESS": "the cluster of `batch --engine ray`",
        "RAY_USAGE_STATS_ENABLED": "1 lets Ray report to its maker; it is not asked to",
    }
)
"""Every variable that is read, and what it is for."""

ADDRESSES = ("HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
"""Those of them that are addresses, and may hold a password."""


def value(name: str) -> str | None:
    """Return what a variable of ``VARIABLES`` is set to; None if it is not set."""
    if name not in VARIABLES:
        return None
    # The rest of the world writes these in lower case, too, which wins.
    names = [name.lower(), name] if name.endswith("_PROXY") else [name]
    found = [os.environ.get(each) for each in names]
    return next(filter(None, found), found[-1])


def silence_onnxruntime() -> None:
    """Keep onnxruntime from looking for its maker's telemetry host, unless it is told to.

    Since 1.32 it does so from its import on, also where everything else is offline, and only
    this variable stops it.
    """
    _unless_set({"ORT_DISABLE_TELEMETRY": "1"})


def prepare_ray(joins: bool) -> None:
    """Keep Ray from reporting to its maker, and from talk of its own, unless it is told to.

    Where it joins a cluster, also from trying for a quarter of an hour what does not answer. It
    reads these variables while it is imported.
    """
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_DATA_LOG_LEVEL": "CRITICAL",
    }
    # tries of 40 seconds each
    _unless_set({**quiet, "RAY_NUM_REDIS_GET_RETRIES": "2"} if joins else quiet)


def _unless_set(variables: Mapping[str, str]) -> None:
    for name, text in variables.items():
        os.environ.setdefault(name, text)


def all_set() -> dict[str, str]:
    """Return the variables that are set, in the order of ``VARIABLES``."""
    found = {name: value(name) for name in VARIABLES}
    return {name: text for name, text in found.items() if text is not None}


def offline_reason() -> str | None:
    """Say which variable forbids downloads; None if none does."""
    for name in ("HF_HUB_OFFLINE", "REMBG_SESSIONS_OFFLINE"):
        if (value(name) or "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{name} is set"
    return None


def hub_settings(reason: str) -> list[str]:
    """Return the variables that may have made huggingface_hub fail while it was imported.

    Those whose value the reason quotes; else its address, where that is set; else all.
    """
    found = {name: text for name, text in os.environ.items() if name.startswith("HF_")}
    quoted = [name for name, text in found.items() if repr(text) in reason]
    return quoted or (["HF_ENDPOINT"] if "HF_ENDPOINT" in found else sorted(found))


def proxies() -> list[str]:
    """Return the variables that name a proxy; only the unusual ones where not all are http."""
    found = {name: value(name) or "" for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")}
    unusual = [name for name, text in found.items() if not text.lower().startswith("http")]
    return [name for name in unusual if "://" in found[name]] or [n for n in found if found[n]]


def checksum_disabled() -> bool:
    """Return whether ``MODEL_CHECKSUM_DISABLED`` is set; as in rembg, to whatever."""
    return value("MODEL_CHECKSUM_DISABLED") is not None


def threads() -> int | None:
    """Return how many CPU threads ``OMP_NUM_THREADS`` asks for; None if it does not.

    Raises
    ------
    OptionError
        If it is not a whole number.
    """
    text = value("OMP_NUM_THREADS") or ""
    outermost = text.split(",")[0].strip()  # OpenMP allows one number per nesting level
    if not text.strip():
        return None
    if not outermost.isdecimal() or len(outermost) > 6 or int(outermost) > MOST_THREADS:
        raise OptionError(
            f"OMP_NUM_THREADS is {text[:40]!r}; set it to a whole number up to {MOST_THREADS}, or "
            "unset it."
        )
    return int(outermost)


def home() -> Path | None:
    """Return where Python and the shell store models: $U2NET_HOME or ~/.u2net.

    Absolute. None where that begins at a home folder which there is not, as in a container
    whose user is in no list.
    """
    return _folder(value("U2NET_HOME") or "~/.u2net")


def cache_home() -> Path | None:
    """Return this user's folder for what can be made again; None if there is none.

    $XDG_CACHE_HOME or ~/.cache, on Windows %LOCALAPPDATA%, on macOS ~/Library/Caches: of it the
    folder rembg-sessions. Absolute.
    """
    if sys.platform == "win32":
        root = value("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        root = "~/Library/Caches"
    else:
        root = value("XDG_CACHE_HOME") or "~/.cache"
    folder = _folder(root)
    return None if folder is None else folder / "rembg-sessions"


def rembg_homes() -> list[Path]:
    """Return where rembg may keep its models, a folder for each; absolute."""
    xdg = value("XDG_DATA_HOME")
    return _folders(value("REMBG_HOME"), xdg and f"{xdg}/rembg", "~/.rembg")


def flat_homes() -> list[Path]:
    """Return where rembg kept its models, all in one folder; absolute."""
    xdg = value("XDG_DATA_HOME")
    return _folders("~/.u2net", xdg and f"{xdg}/.u2net")


def _folders(*texts: str | None) -> list[Path]:
    folders = [_folder(text) for text in texts if text]
    return [folder for folder in folders if folder is not None]


def _folder(text: str) -> Path | None:
    try:
        # the working folder may change before it is used
        return Path(text).expanduser().absolute()
    except (RuntimeError, OSError):  # no such user; a working folder that is gone
        return None
