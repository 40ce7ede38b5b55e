"""What the nodes list as models, and how a choice becomes an open session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import ModelPathError, OptionError, UnknownModelError
from ..core.registry.lookup import get_model
from ..core.registry.models import MODELS
from ..core.session.factory import get_session
from ..core.session.own import OWN_MODELS, UNKNOWN, own_kind, says_its_kind
from ..core.text import short
from ..core.weights.own import custom_path
from ..core.weights.store import find
from . import host
from .handle import SessionHandle

# What most people look for comes first.
_FIRST = (
    "backdrop",
    "u2net",
    "u2netp",
    "u2net_human_seg",
    "u2net_cloth_seg",
    "silueta",
    "isnet-general-use",
    "isnet-anime",
    "sam",
)
_CLOTHES = "u2net_cloth_seg"
# What follows the name in a choice says which garments; without one of these it is all of them.
_CLOTH_LABELS = {"upper": "upper", "lower": "lower", "full": "full", None: "separate"}
SHORT_LABELS = {
    "u2netp": "small and quick",
    "u2net_human_seg": "people",
    "u2net_cloth_seg": "clothes",
    "isnet-general-use": "general",
    "isnet-anime": "drawings",
    "sam": "points and boxes",
}
"""What the page shows of choices that say it at length: saved workflows of ComfyUI_essentials hold
those, and a node is not that wide."""
DETAILS = ("full", "768", "640", "512")
"""Sides in pixels at which networks may be asked to look at a picture; full is their own."""


def choices() -> list[str]:
    """List the models as the nodes do: ``"name: label"``, and ``"file.onnx: kind"``."""
    rest = [spec.name for spec in MODELS if not spec.custom and spec.name not in _FIRST]
    listed = [get_model(name).choice for name in (*_FIRST, *rest)]
    at = listed.index(get_model(_CLOTHES).choice) + 1
    listed[at:at] = [f"{_CLOTHES}: {label}" for label in _CLOTH_LABELS.values()]
    return [listed[0], *own_choices(), *listed[1:]]


def own_choices() -> list[str]:
    """List the user's files; one whose kind cannot be told stands there once for each kind."""
    published = {file.file for spec in MODELS for file in spec.weights}
    folders = host.model_folders()
    listed: list[str] = []
    for name in host.custom_files():
        if name.rpartition("/")[2] in published:
            continue
        try:
            path = custom_path(name, folders)
        except ModelPathError:  # gone since ComfyUI looked
            continue
        kind = own_kind(path)
        others = () if says_its_kind(path) else OWN_MODELS
        listed += [f"{name}: {each}" for each in dict.fromkeys((kind, *others)) if each != UNKNOWN]
    return listed


def is_own(choice: str) -> bool:
    """Return whether a choice names a file of the user's, instead of a model of the registry."""
    name, has_kind, _ = choice.partition(": ")
    if not name.strip().lower().endswith(".onnx"):
        return False
    if has_kind:
        return True
    try:
        get_model(name)
    except UnknownModelError:
        return True
    return False


def model_of(choice: Any) -> tuple[str, str | None]:
    """Return the registry's name for a choice, and the user's file if it names one.

    Raises
    ------
    UnknownModelError
    OptionError
        If the kind of the user's file is none that can be opened, or cannot be told.
    ModelPathError
        If the user's file is missing, or outside ComfyUI's model folders.
    """
    if not (isinstance(choice, str) and is_own(choice)):
        spec = get_model(choice)
        if spec.custom:
            raise OptionError(
                f"{spec.name} is for a file of your own: put it into ComfyUI's models/rembg "
                "folder, press R, and choose it from the list by its name."
            )
        return spec.name, None
    name, _, kind = (part.strip() for part in choice.partition(": "))
    path = custom_path(name, host.model_folders())
    kind = kind or own_kind(path)
    if kind not in OWN_MODELS:
        told = "its kind cannot be told" if kind == UNKNOWN else f"{short(kind)} is no kind"
        raise OptionError(
            f"{name}: {told}. Choose the file again from the list, as one of "
            f"{', '.join(OWN_MODELS)}; its author says which."
        )
    return OWN_MODELS[kind], name


def _cloth_category(choice: str) -> str | None:
    """Return which garments a choice of the clothes model asks for; None for each by itself."""
    label = choice.partition(": ")[2]
    for category, text in _CLOTH_LABELS.items():
        if label == text:
            return category
    return "attire"


def open_handle(
    model: str,
    device: str = "Auto",
    cpu_fallback: bool = True,
    threads: int = 0,
    detail: str = DETAILS[0],
) -> SessionHandle:
    """Return a handle of the shared session for these settings, downloading if need be.

    Raises
    ------
    RembgSessionsError
        Any of the core's errors.
    """
    name, file = model_of(model)
    folders = host.model_folders()
    session = get_session(
        name,
        providers=device,
        # a name from a workflow: in ComfyUI's model folders, and nowhere else
        model_path=custom_path(file, folders) if file else None,
        folders=folders,
        on_progress=host.download_progress(),
        cpu_fallback=cpu_fallback,
        runs_on=host.runs_on(),
        device_id=host.device_id(),
        threads=threads or None,
        input_size=side_of(detail),
    )
    return SessionHandle(session, _cloth_category(model) if name == _CLOTHES else None)


def side_of(detail: Any) -> int | None:
    """Return the side in pixels that a detail stands for; None for the network's own.

    Raises
    ------
    OptionError
        If it is none of :data:`DETAILS`.
    """
    if str(detail) not in DETAILS:
        raise OptionError(f"detail is {short(detail)}; choose one of {', '.join(DETAILS)}.")
    return None if detail == DETAILS[0] else int(detail)


def stamp(model: str | None) -> str:
    """Identify the weights on disk, so that another file runs the node again.

    Returns
    -------
    str
        Empty where the model is linked or unknown: the error belongs to the run.
    """
    try:
        name, file = model_of(model)
        folders = host.model_folders()
        paths: tuple[Path, ...] = (
            (custom_path(file, folders),) if file else find(get_model(name), folders) or ()
        )
        stats = [path.stat() for path in paths]
    except (OSError, ValueError):  # the core's errors about names and paths are ValueErrors
        return ""
    return repr([(stat.st_mtime_ns, stat.st_size) for stat in stats])
