"""Finds, verifies and fetches the files of a model.

Files that are already on the machine are used where they lie: in the caller's folders, in
rembg's, or where somebody put them by hand. Only what is missing is downloaded.
"""

from __future__ import annotations

import itertools
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from .. import settings
from ..errors import DownloadError, OfflineError, OptionError, WeightsError
from ..registry.models import MODELS
from ..registry.spec import ModelSpec, Output, WeightFile
from .disk import on_disk
from .download import place
from .network import offline
from .own import custom_path
from .progress import Lines
from .sources import expectation, mismatch, urls, usual_names
from .transfer import Report

# rembg keeps every size of these in one folder.
_REMBG_FOLDERS = {Output.SAM: "sam", Output.MATTE: "vitmatte"}

_log = logging.getLogger("rembg_sessions")
_verified: set[tuple[object, ...]] = set()


def search_folders(spec: ModelSpec, folders: Sequence[Path] = ()) -> list[Path]:
    """Return every folder where files of a model are looked for, in order.

    Parameters
    ----------
    folders
        The caller's own folders, for example ComfyUI's; they come first.
    """
    names = dict.fromkeys([spec.name, _REMBG_FOLDERS.get(spec.output, spec.name)])
    own, rembgs = _own_home(), settings.rembg_homes()
    per_model = [root / "models" / name for root in (*own, *rembgs) for name in names]
    found = [*map(Path, folders), *own, *per_model, *settings.flat_homes()]
    return list(dict.fromkeys(found))


def all_folders(folders: Sequence[Path] = ()) -> list[Path]:
    """Return every folder where files of any model are looked for; ``folders`` come first."""
    found = [search_folders(spec, folders) for spec in MODELS]
    return list(dict.fromkeys(itertools.chain(*found)))


def home() -> Path:
    """Return where Python and the shell store models.

    Raises
    ------
    WeightsError
        If there is no such place.
    """
    folder = settings.home()
    if folder is None:
        raise WeightsError(
            "There is no folder to keep models in: this user has no home folder, or U2NET_HOME "
            "begins at one that does not exist. Set U2NET_HOME to a folder that can be written to."
        )
    return folder


def _own_home() -> list[Path]:
    folder = settings.home()
    return [] if folder is None else [folder]


def find(spec: ModelSpec, folders: Sequence[Path] = ()) -> tuple[Path, ...] | None:
    """Look for a model's files, offline; only their sizes are checked.

    Returns
    -------
    tuple of Path or None
        One path per row of ``spec.weights``, in that order; None unless all are there. Empty
        for a model that has no weights of its own.
    """
    found: dict[str, Path] = {}
    for group in _groups(spec):
        for paths in _copies(group, search_folders(spec, folders)):
            sizes = [(_size(path), expectation(file)[0]) for file, path in paths]
            if all(expected in (None, size) for size, expected in sizes):
                found.update({file.file: path for file, path in paths})
                break
        else:
            return None
    return tuple(found[file.file] for file in spec.weights)


def verify(path: Path, file: WeightFile) -> None:
    """Check size and hash of a file; one that was verified before is not read again.

    Raises
    ------
    WeightsError
        If they differ from the registry's. ``MODEL_CHECKSUM_DISABLED`` in the environment
        switches the check off.
    """
    try:
        stamp = _stamp(path, file)
        if stamp in _verified:
            return
        is_file = stat.S_ISREG(path.stat().st_mode)  # a pipe would be read for ever
        fault = mismatch(path, file) if is_file else None
    except OSError as exc:
        raise WeightsError(
            f"{path} cannot be read ({exc.strerror or exc}). Check its permissions, or delete it "
            "to have it downloaded again."
        ) from exc
    if not is_file:
        raise WeightsError(
            f"{path} is in the way: it is a folder or a pipe. Remove it to have the file "
            "downloaded."
        )
    if fault is None:
        _verified.add(stamp)
        return
    raise WeightsError(
        f"{path} is damaged or not the registered file: it {fault}. Delete it to have it "
        "downloaded again; to use a file of your own, take the model custom; "
        "or set the environment variable MODEL_CHECKSUM_DISABLED=1 to skip this check."
    )


def verified_sha256(path: Path) -> str | None:
    """Return the sha256 that a file was verified by in this process; None if by none."""
    facts = path.stat()
    now = (os.path.realpath(path), facts.st_size, facts.st_mtime_ns)
    for *stamp, (_, algorithm, digest) in cast("set[Any]", _verified).copy():
        if tuple(stamp) == now and algorithm == "sha256" and digest:
            return digest.lower()
    return None


def _stamp(path: Path, file: WeightFile) -> tuple[object, ...]:
    facts = path.stat()
    return (os.path.realpath(path), facts.st_size, facts.st_mtime_ns, expectation(file))


def locate(
    spec: ModelSpec,
    model_path: str | os.PathLike[str] | None = None,
    *,
    folders: Sequence[Path] = (),
    on_progress: Report | None = None,
) -> tuple[Path, ...]:
    """Return the files of a model: the user's own, or verified ones, downloaded if need be.

    Parameters
    ----------
    model_path
        The user's file, for the models that have none of their own; see :func:`.own.custom_path`.
    folders, on_progress
        See :func:`ensure`.

    Raises
    ------
    OptionError
        If a ``model_path`` is given for a model that has files of its own, or needs none.
    ModelPathError, WeightsError
    """
    if spec.custom:
        return (custom_path(model_path, folders, anywhere=True),)
    if model_path is not None:
        raise OptionError(
            f"{spec.name} has its own file and does not take a model_path. For your own file "
            "use custom, or u2net_custom, dis_custom, ben_custom or birefnet_custom."
        )
    return ensure(spec, folders=folders, on_progress=on_progress)


def ensure(
    spec: ModelSpec,
    *,
    folders: Sequence[Path] = (),
    download: bool = True,
    on_progress: Report | None = None,
) -> tuple[Path, ...]:
    """Return verified files of a model, downloading those that are nowhere on this machine.

    Parameters
    ----------
    folders
        The caller's own folders. Downloads go to the first; without any, to $U2NET_HOME.
    download
        False forbids downloads, as do ``HF_HUB_OFFLINE`` and ``REMBG_SESSIONS_OFFLINE=1``.
    on_progress
        Called with (bytes done, bytes in total) of the file being downloaded, the total 0
        while unknown; at least once per MiB, and every other second while nothing arrives
        or another process downloads the same file. What it raises cancels: it is passed on
        unchanged, and the next call continues.

    Returns
    -------
    tuple of Path
        One path per row of ``spec.weights``, in that order.

    Raises
    ------
    OfflineError
        If a file is missing and downloads are switched off.
    WeightsError
        If a file found is damaged and no good copy is known, or a download failed. Files
        that were there before are never overwritten.
    """
    where = search_folders(spec, folders)
    found: dict[str, Path] = {}
    for group in _groups(spec):
        found.update(_good_copy(group, where))
    lacking = [file for file in spec.weights if file.file not in found]
    if not lacking:
        return tuple(found[file.file] for file in spec.weights)
    folder = Path(folders[0]).absolute() if folders else home()
    missing = {file: folder / file.file for file in lacking}
    parts: dict[str, Path] = {}
    needed: list[WeightFile] = []
    for file, target in missing.items():
        for part in file.parts:
            parts.update(_good_copy((part,), where))
        if not os.path.lexists(target):
            needed += [part for part in file.parts or (file,) if part.file not in parts]
    reason = _offline_reason(download) if needed else None
    if reason:
        lines = "\n".join(f"- {file.file} from {urls(file)}" for file in needed)
        raise OfflineError(
            f"The model {spec.name} is not installed, and downloads are switched off "
            f"({reason}). Switch them on, or put into the folder {folder}:\n{lines}\n"
            f"{_instead(spec)}"
        )
    for file, target in missing.items():
        if _place(spec, file, target, parts, on_progress or Lines(spec.name, _log.warning)):
            with on_disk(file, target):
                _verified.add(_stamp(target, file))
        else:
            verify(target, file)
        found[file.file] = target
    return tuple(found[file.file] for file in spec.weights)


def _groups(spec: ModelSpec) -> list[tuple[WeightFile, ...]]:
    """Return the files of a model, those together that must share a folder.

    ONNX Runtime looks for external data beside the .onnx file; ours are those joined from
    parts, and named after the .onnx file they belong to.
    """
    data = [file for file in spec.weights if file.parts]
    groups: list[tuple[WeightFile, ...]] = []
    for file in spec.weights:
        if file not in data:
            stem = Path(file.file).stem
            groups.append((file, *(d for d in data if d.file.startswith(stem))))
    paired = set(itertools.chain(*groups))
    return [*groups, *((d,) for d in data if d not in paired)]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _copies(
    group: Sequence[WeightFile], where: Sequence[Path]
) -> Iterator[list[tuple[WeightFile, Path]]]:
    """Yield every complete set of a group's files, each set from one folder."""
    for folder in where:
        choices: list[list[tuple[WeightFile, Path]]] = []
        for file in group:
            paths = [folder / name for name in usual_names(file)]
            choices.append([(file, path) for path in paths if _size(path) is not None])
        yield from map(list, itertools.product(*choices))


def _good_copy(group: Sequence[WeightFile], where: Sequence[Path]) -> dict[str, Path]:
    """Return the first verified set of a group's files, or nothing if there is no set at all."""
    faults: list[WeightsError] = []
    for paths in _copies(group, where):
        try:
            for file, path in paths:
                verify(path, file)
        except WeightsError as exc:
            faults.append(exc)
            continue
        for fault in faults:
            _log.warning("%s Using %s.", fault, ", ".join(str(path) for _, path in paths))
        return {file.file: path for file, path in paths}
    if faults:
        raise WeightsError("\n".join(map(str, faults)))
    return {}


def _offline_reason(download: bool) -> str | None:
    if not download:
        return "by the caller: download=False"
    # a program may have switched the library's own switch
    return "HF_HUB_OFFLINE is set" if offline() else settings.offline_reason()


def _place(spec: ModelSpec, *what: Any) -> bool:
    try:
        return place(*what)
    except DownloadError as error:
        raise DownloadError(f"{error}\n{_instead(spec)}") from None


def _instead(spec: ModelSpec) -> str:
    """Return what needs no download."""
    if spec.output is Output.MATTE:
        return "The other methods of alpha matting need no download."
    return "The model backdrop, for plain backdrops, needs no download."
