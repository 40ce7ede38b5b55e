"""Pictures at addresses, s3://bucket/photo.jpg for example: whatever fsspec reads and writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote

from ..errors import ImageError, OptionError, RuntimeMissingError
from ..text import install_line, quotable, visible

Result = TypeVar("Result")

_DRIVE = re.compile(r"/[A-Za-z]:/")  # file:///C:/photos

_STAMPS = ("size", "mtime", "ETag", "etag", "LastModified", "created")
"""What file systems say that changes with a file; each says some of it."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(::[a-z0-9+.-]+)*://", re.IGNORECASE)


def is_address(name: str) -> bool:
    """Return whether a name is an address, and not that of a file: C:/photos is none."""
    return _ADDRESS.match(name) is not None


def local(name: str) -> str:
    """Return the path that an address of this machine's own files means; others as they are."""
    if not name.lower().startswith("file:///"):
        return name
    path = unquote(name[len("file://") :])
    return path[1:] if _DRIVE.match(path) else path


def usual(address: str) -> str:
    """Return an address as :func:`find` writes it."""
    system, path = _system(address)
    return system.unstrip_protocol(path)


def check(address: str) -> None:
    """Refuse an address that cannot be used, before anything is begun.

    Raises
    ------
    RuntimeMissingError, OptionError
    """
    _system(address)


def find(address: str) -> dict[str, tuple[str, object]]:
    """Return the files below a folder.

    Returns
    -------
    dict
        By name relative to the folder: the address, and what changes when the file does.

    Raises
    ------
    OptionError
        If it cannot be listed.
    """
    system, root = _system(address)

    def look() -> dict[str, Any]:
        return system.find(root, detail=True)

    found = _asked(look, f"{visible(address)} cannot be listed", OptionError)
    prefix = str(root).rstrip("/") + "/"
    return {
        path.removeprefix(prefix): (
            system.unstrip_protocol(path),
            tuple(facts.get(name) for name in _STAMPS),
        )
        for path, facts in found.items()
        if path != root and facts.get("type", "file") == "file"
    }


def read(address: str) -> bytes:
    """Read a file.

    Raises
    ------
    ImageError
        If it is not there, or cannot be read.
    """
    system, path = _system(address)
    return _asked(lambda: system.cat_file(path), f"{visible(address)} cannot be read", ImageError)


def write(address: str, data: bytes, overwrite: bool) -> None:
    """Write a file whole.

    Raises
    ------
    ImageError
        If it is there already and not to be replaced, or cannot be written.
    """
    system, path = _system(address)
    what = f"{visible(address)} cannot be written"
    if not overwrite and _asked(lambda: system.exists(path), what, ImageError):
        raise ImageError(f"{visible(address)} exists by now; add --overwrite to replace it.")

    def put() -> None:
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.pipe_file(path, data)  # in one piece: a store shows it when it has all of it

    _asked(put, what, ImageError)


def exists(address: str) -> bool:
    """Return whether a file is there."""
    system, path = _system(address)
    return _asked(lambda: system.exists(path), f"{visible(address)} cannot be read", ImageError)


def _system(address: str) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the path in it."""
    shown = visible(address)
    try:
        from fsspec import core
    except ImportError as error:
        raise RuntimeMissingError(
            f"{shown} needs the package fsspec, and for buckets s3fs, gcsfs or adlfs: run "
            f"`{install_line('fsspec')}`."
        ) from error
    fsspec: Any = core
    try:
        return fsspec.url_to_fs(address)
    except ImportError as error:  # its text names the package to install
        raise RuntimeMissingError(f"{shown}: {quotable(str(error))}") from error
    except ValueError as error:
        raise OptionError(f"{shown} is no address that fsspec knows: {error}.") from error


def _asked(call: Callable[[], Result], what: str, kind: type[Exception]) -> Result:
    """Call something; what goes wrong, which may be anything, is raised as an error of a kind."""
    try:
        return call()
    except Exception as error:
        reason = quotable(str(error)) or type(error).__name__
        raise kind(f"{what}: {reason}.") from error
