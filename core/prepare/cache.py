"""The files of prepared networks: named, written whole or not at all, found and removed."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from .. import settings
from ..errors import GraphError
from ..weights.filesystem import remove, replace, stamp
from ..weights.store import all_folders
from .wire import bytes_field
from .writing import Piece, data_of, size

FOLDER = "prepared"
"""The folder beside the weights."""
SUFFIX = ".prepared"
"""Not .onnx: hosts list all files of that kind in a folder of models, and in those below it."""
VERSION = 2
"""Of what this room makes of a file. It is raised with every change that makes another graph."""

_PART = ".part"
# Users' own files may lie in folders of a model folder.
_DEPTHS = (FOLDER, f"*/{FOLDER}", f"*/*/{FOLDER}")
# of the source and its hash, of this room and ONNX Runtime, and what was wished
_NAME = re.compile(
    rf"(.+)\.([0-9a-f]{{32}})\.(v[0-9]+)-([a-z0-9_]+)\.[a-z0-9+]+{re.escape(SUFFIX)}"
)
_LONGEST_STEM = 100
_SECONDS_OF_A_PART = 3600  # what is older was left by a process that was killed
_SECONDS_OF_ANOTHER_LIBRARY = 30 * 24 * 3600
_ROOM = 64 << 20  # bytes that are left free on a disk

# A file ends in a field that no reader of .onnx files knows: a hash of all before it.
_SEAL, _SEAL_BYTES = 15_000, 32
_SEAL_LENGTH = len(bytes_field(_SEAL, bytes(_SEAL_BYTES)))
_MOST_OF_A_SOURCE = 3  # variants that are kept, for one release of ONNX Runtime
_LARGEST = (1 << 31) - 1  # bytes that protobuf reads

Check = Callable[["Path | bytes", "Path | None"], None]

_log = logging.getLogger("rembg_sessions")


def folders(source: Path) -> list[Path]:
    """Return where what is made of a file is kept: beside it; else in the user's cache."""
    beside = source.absolute().parent
    home = settings.cache_home()
    return [beside / FOLDER, *([] if home is None else [_of_folder(home / FOLDER, beside)])]


def _of_folder(home: Path, beside: Path) -> Path:
    """Return where in the cache is kept what is made of the files of a folder of models.

    Files of one name in two folders are two networks.
    """
    return home / hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]


def file_name(source: Path, sha256: str, library: str, wish: Sequence[str]) -> str:
    """Return the name of what is made of a file.

    Parameters
    ----------
    source, sha256
        The file, and its hash.
    library
        The version of the ONNX Runtime that took a hand in it.
    wish
        Words for what else the result depends on, such as ``"cpu"`` and ``"512"``.
    """
    made = f"v{VERSION}-{re.sub('[^a-z0-9]', '_', library.lower())}"
    return f"{_stem(source)}.{sha256[:32]}.{made}.{'+'.join(wish)}{SUFFIX}"


def _stem(source: Path) -> str:
    return source.stem[:_LONGEST_STEM]


def holds_some(source: Path) -> bool:
    """Return whether anything is kept that a file of this name may be the source of."""
    kept = [path.name for folder in folders(source) for path in _kept_in(folder)]
    return any(name.startswith(f"{_stem(source)}.") for name in kept)


def find(source: Path, name: str) -> Path | None:
    """Return the file of a name that was kept for a source; one that is damaged is removed."""
    for folder in folders(source):
        path = folder / name
        with suppress(OSError):
            if not path.is_file():
                continue
            if _is_sound(path):
                return path
            _log.warning("%s is damaged, and is made again.", path)
            remove(path, missing_ok=True)
    return None


_sound: set[tuple[object, ...]] = set()


def _is_sound(path: Path) -> bool:
    """Return whether a file is as it was written; each is read once in a process."""
    now = stamp(path)
    if now not in _sound:
        length = path.stat().st_size - _SEAL_LENGTH
        with path.open("rb") as stream:
            if _seal_of_next(stream, length) != stream.read():
                return False
        _sound.add(now)
    return True


def _seal(path: Path) -> None:
    with path.open("rb+") as stream:
        stream.write(_seal_of_next(stream, path.stat().st_size))
        _flush(stream)


def _seal_of_next(stream: IO[bytes], length: int) -> bytes:
    """Read so many bytes, or as many as there are, and return what seals them."""
    digest = hashlib.blake2b(digest_size=_SEAL_BYTES)
    while length > 0 and (data := stream.read(min(length, 1 << 20))):
        digest.update(data)
        length -= len(data)
    return bytes_field(_SEAL, digest.digest())


def keep(source: Path, name: str, written: Sequence[Piece], check: Check) -> Path | bytes:
    """Write a prepared file, and remove those that an older version, or another source, left.

    A file gets its name only when it is whole, on the disk, and checked; so any number of
    processes may do the same at once, and be killed.

    Parameters
    ----------
    source
        The file it is made of.
    name
        From :func:`file_name`.
    written
        Its bytes.
    check
        Called with the file before it gets its name, and with the path of one that it may write in
        place of it. What it raises is passed on, and nothing is kept.

    Returns
    -------
    Path or bytes
        The bytes where no folder takes the file; the log says why.

    Raises
    ------
    GraphError
        If it is too large for a file.
    """
    if size(written) > _LARGEST:
        raise GraphError(f"it would be larger than {_LARGEST >> 20} MiB, which no program reads")
    reasons: list[str] = []
    for folder in folders(source):
        try:
            path = _write(folder, name, written, check)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror or error}")
        else:
            _log.info(
                "Prepared %s; kept as %s, %.0f MB.", source.name, path, path.stat().st_size / 1e6
            )
            _remove_stale(folder, name)
            return path
    data = b"".join(map(data_of, written))
    check(data, None)
    _log.warning(
        "%s is prepared in memory, and again each time it is opened, because the result cannot be "
        "written (%s).",
        source.name,
        "; ".join(reasons),
    )
    return data


def _write(folder: Path, name: str, written: Sequence[Piece], check: Check) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < size(written) + _ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    part, better = (folder / f"{name}.{uuid.uuid4().hex}{_PART}" for _ in range(2))
    try:
        with part.open("xb") as stream:
            for piece in written:
                stream.write(data_of(piece))
        check(part, better)
        if better.exists():
            replace(better, part)
        _seal(part)
        replace(part, folder / name)
    finally:
        for path in (part, better):
            with suppress(OSError):
                remove(path, missing_ok=True)
    return folder / name


def _flush(stream: IO[bytes]) -> None:
    """Bring a file to the disk: else a crash may leave its name with another content."""
    stream.flush()
    os.fsync(stream.fileno())


def _remove_stale(folder: Path, name: str) -> None:
    own, twins = _origin(name), list[Path]()
    for path in _kept_in(folder):
        other = _origin(path.name)
        if own[0] != other[0] or own == other:
            twins += [path] if own == other else []
            continue
        # programs of two releases of ONNX Runtime may share a folder of models
        if own[:3] != other[:3] or _age(path) > _SECONDS_OF_ANOTHER_LIBRARY:
            _remove_if_free(path)
    for path in sorted(twins, key=_age)[_MOST_OF_A_SOURCE:]:  # of other sizes
        _remove_if_free(path)
    _remove_parts(folder)


def _remove_if_free(path: Path) -> None:
    """Remove a prepared file, or a folder of engines; not one that is open, on Windows."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_parts(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.glob(f"*{SUFFIX}.*{_PART}"):
            if _age(path) > _SECONDS_OF_A_PART:
                path.unlink()


def _age(path: Path) -> float:
    """Return the seconds since a file was written; 0 for one that is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0


def _origin(name: str) -> tuple[str, ...]:
    """Return what a file was made of, and by which versions; empty for other files."""
    match = _NAME.fullmatch(name)
    return match.groups() if match else ()


def _kept_in(folder: Path) -> list[Path]:
    try:
        return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if _origin(path.name)]
    except OSError:
        return []


def _engines_home() -> Path | None:
    home = settings.cache_home()
    return None if home is None else home / "tensorrt"


def engines(source: Path, name: str) -> tuple[Path, Path] | None:
    """Make the folder for TensorRT's engines of a file, and remove those of what it was before.

    They are kept in the user's cache, not beside the file: an engine holds code for the GPU, and
    must not come with a folder of models from somewhere.

    Parameters
    ----------
    source
        The file they are made of.
    name
        From :func:`file_name`.

    Returns
    -------
    tuple of Path
        The folder, and that of the times which TensorRT took, which all engines share; None if
        this user has no folder for that.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    home = _engines_home()
    if home is None:
        return None
    folder = _of_folder(home, source.absolute().parent) / name
    folder.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder.parent, name)
    return folder, home


def kept(beside: Sequence[Path] = ()) -> dict[Path, int]:
    """Return the prepared files, and the folders of TensorRT's engines; the bytes each takes.

    Parameters
    ----------
    beside
        The caller's own folders of models, for example ComfyUI's. Those where Python and the shell
        look for models, and the user's cache, are looked into, too.
    """
    found: dict[Path, int] = {}
    home = settings.cache_home()
    places = [] if home is None else [*_folders_in(home / FOLDER, "*")]
    for folder in all_folders(beside):
        for pattern in _DEPTHS:
            places += _folders_in(folder, pattern)
    if (engines_home := _engines_home()) is not None:
        places += _folders_in(engines_home, "*")
    for folder in dict.fromkeys(places):
        for path in _kept_in(folder):
            with suppress(OSError):
                taken = _bytes_of(path)
                if taken or path.is_file():  # where TensorRT cannot be loaded, a folder stays empty
                    found[path] = taken
    return found


def _bytes_of(path: Path) -> int:
    """Return what a prepared file takes, or the engines in a folder."""
    parts = path.iterdir() if path.is_dir() else [path]
    return sum(part.stat().st_size for part in parts)


def _folders_in(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_dir())
    except OSError:
        return []


def remove_kept(beside: Sequence[Path] = ()) -> dict[Path, int]:
    """Remove what is kept, and return what is gone, with the bytes each took.

    Networks that are open go on; the next opening prepares them again. Arguments: see
    :func:`kept`.

    Raises
    ------
    OSError
        If one cannot be removed.
    """
    found = kept(beside)
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            remove(path, missing_ok=True)
        _remove_parts(path.parent)
        with suppress(OSError):  # only an empty folder goes
            path.parent.rmdir()
    if (home := _engines_home()) is not None:
        for path in home.glob("*.timing"):
            remove(path, missing_ok=True)
    return found
