"""The user's own model files: found by path or by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .. import settings
from ..errors import ModelPathError
from ..registry.models import MODELS
from ..text import quotable, short
from .sources import usual_names


def custom_path(
    model_path: str | os.PathLike[str] | None,
    folders: Sequence[Path] = (),
    *,
    anywhere: bool = False,
) -> Path:
    """Return the path of a user's own model file, absolute.

    What a name says decides, not where links lead: whoever can put links into a model folder
    can put files there, too, and files of Hugging Face's cache are links.

    Parameters
    ----------
    model_path
        A path, or a name that is looked up in the model folders; also as Windows writes it.
    folders
        Model folders besides $U2NET_HOME, ~/.u2net and rembg's own.
    anywhere
        True for who may read the file anyway, at the shell or in Python: it may lie outside the
        model folders, and the working folder comes before them. Never for names that arrive over
        a network, or in a workflow.

    Raises
    ------
    ModelPathError
        If it is missing, or lies outside the model folders, also by ``..``, and may not.
    """
    roots = _roots(folders)
    allowed = quotable(", ".join(map(str, roots)), 1000) or "that U2NET_HOME names"
    if model_path is None or (isinstance(model_path, str) and not model_path):
        place = "" if anywhere else f" in one of the folders {allowed}"
        raise ModelPathError(f"model_path is required: the path of a model file{place}.")
    if not isinstance(model_path, (str, os.PathLike)):
        raise ModelPathError(f"model_path is {short(model_path)}; use the path of a model file.")
    text = os.fspath(model_path)
    shown = f"'{quotable(text)}'"
    try:
        names = [Path(model_path).expanduser()]
        if "\\" in text:  # of a workflow that was saved on Windows
            names.append(Path(text.replace("\\", "/")))
        here = [name.absolute() for name in names]
        candidates = [root / name for name in names for root in roots]
        candidates = [*here, *candidates] if anywhere else [*candidates, *here]
        # a folder may be allowed by the name of a link to it, and asked for by its own
        real = [root.resolve() for root in roots]
        inside = [
            path
            for path in candidates
            if anywhere
            or (".." not in path.parts and any(map(path.is_relative_to, (*roots, *real))))
        ]
        found = next((path for path in inside if path.is_file()), None)
        elsewhere = any(path.is_file() for path in candidates)
    except (OSError, RuntimeError, ValueError) as exc:  # a loop of links, a null character
        raise ModelPathError(f"model_path {shown} is not usable: {quotable(str(exc))}.") from exc
    if found is not None:
        return found
    if anywhere:
        raise ModelPathError(
            f"model_path {shown} is not a file. Give the path of a model file, or the name of one "
            f"in the folders {allowed}."
        )
    if inside and not elsewhere:
        raise ModelPathError(
            f"model_path {shown} is not a file. Put the model file into one of the folders "
            f"{allowed}, and give its name."
        )
    raise ModelPathError(
        f"model_path {shown} leads outside the model folders. Put the file, or a link to it, into "
        f"one of the folders {allowed}."
    )


def own_files(folders: Sequence[Path] = ()) -> list[Path]:
    """Return the .onnx files in the model folders that belong to no model of the registry.

    Those that lie in a folder itself, each name once: the one that :func:`custom_path` finds.
    """
    known = {name.lower() for spec in MODELS for file in spec.weights for name in usual_names(file)}
    found: dict[str, Path] = {}
    for root in _roots(folders):
        try:
            paths = sorted(path for path in root.iterdir() if path.is_file())
        except OSError:  # it is not there, or nobody may look into it
            continue
        for path in paths:
            if path.suffix.lower() == ".onnx" and path.name.lower() not in known:
                found.setdefault(path.name, path)
    return list(found.values())


def _roots(folders: Sequence[Path]) -> list[Path]:
    home = settings.home()
    homes = [*([] if home is None else [home]), *settings.flat_homes(), *settings.rembg_homes()]
    return list(dict.fromkeys([*(Path(folder).absolute() for folder in folders), *homes]))
