"""The node that opens a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import OptionError, RembgSessionsError
from ..core.registry.lookup import get_model
from ..core.registry.models import MODELS
from ..core.registry.spec import ModelSpec
from ..core.runtime.providers import CHOICES, choose
from ..core.session.factory import get_session
from ..core.session.network import CLOTH_CATEGORIES
from ..core.weights.own import custom_path
from ..core.weights.store import find
from . import host
from .handle import SessionHandle

# These eight come first, in this order and wording: saved workflows of ComfyUI_essentials
# hold the strings.
_CLASSIC = (
    "u2net",
    "u2netp",
    "u2net_human_seg",
    "u2net_cloth_seg",
    "silueta",
    "isnet-general-use",
    "isnet-anime",
    "sam",
)
_NO_FILE = "none"
_SEPARATE = "separate"
SMALL_MODEL = "u2netp"

SESSION_SOCKET = "REMBG_SESSION,BACKGROUND_REMOVAL"
SESSION_TOOLTIP = (
    "From RemBG Session, or any other pack's background removal session. Unconnected: u2netp, "
    "a small general model."
)


def choices() -> list[str]:
    """List the models as the nodes do."""
    rest = [spec.choice for spec in MODELS if spec.name not in _CLASSIC]
    return [get_model(name).choice for name in _CLASSIC] + rest


def open_handle(
    model: str,
    providers: str = "Auto",
    custom_model: str = _NO_FILE,
    cpu_fallback: bool = True,
    threads: int = 0,
    cloth_category: str = "attire",
) -> SessionHandle:
    """Return a handle of the shared session for these settings, downloading if need be.

    Raises
    ------
    RembgSessionsError
        Any of the core's errors.
    """
    spec = get_model(model)
    has_file = custom_model != _NO_FILE
    if has_file and not spec.custom:
        raise OptionError(
            f"{spec.name} has its own file. To use {custom_model}, choose u2net_custom, "
            "dis_custom, ben_custom or birefnet_custom as the model; else set custom_model to "
            f"{_NO_FILE}."
        )
    if spec.custom and not has_file:
        raise OptionError(
            f"{spec.name} needs a file: put your .onnx file into ComfyUI's models/rembg folder, "
            "refresh the page, and choose it as custom_model."
        )
    folders = host.model_folders()
    session = get_session(
        spec.name,
        providers=providers,
        model_path=custom_path(custom_model, folders) if has_file else None,
        folders=folders,
        on_progress=host.download_progress(),
        cpu_fallback=cpu_fallback,
        runs_on=host.runs_on(),
        device_id=host.device_id(),
        threads=threads or None,
    )
    clothes = spec.name == "u2net_cloth_seg" and cloth_category != _SEPARATE
    return SessionHandle(session, cloth_category if clothes else None)


def default_handle() -> SessionHandle:
    """Return the session of nodes that have none connected: the smallest general model."""
    return open_handle(SMALL_MODEL)


class RemBGSession:
    """Opens a background removal model; the other nodes use it."""

    DESCRIPTION = (
        "Opens a background removal model. Equal settings share one model in memory, also "
        "across workflows. A model that is not on disk is downloaded once, into models/rembg."
    )
    CATEGORY = "image/background removal"
    FUNCTION = "execute"
    RETURN_TYPES = ("REMBG_SESSION,BACKGROUND_REMOVAL",)
    RETURN_NAMES = ("session",)
    OUTPUT_TOOLTIPS = (
        "The open model, for Remove Background, Foreground Mask, and the background removal "
        "nodes of ComfyUI and ComfyUI_essentials.",
    )
    SEARCH_ALIASES = ["rembg", "remove background", "u2net", "isnet", "birefnet", "rmbg"]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": (
                    choices(),
                    {
                        "default": get_model(SMALL_MODEL).choice,
                        "tooltip": "The network. birefnet models have the finest edges and want a "
                        "GPU; u2net and isnet are quick on a CPU; sam takes points and rectangles; "
                        "backdrop needs no download and a plain backdrop.",
                    },
                ),
                "providers": (
                    list(CHOICES),
                    {
                        "default": CHOICES[0],
                        "tooltip": "What the network runs on. Auto uses the device of ComfyUI's "
                        "other models if the installed onnxruntime can, else the CPU. The line "
                        "under Remove Background shows the one really used.",
                    },
                ),
            },
            "optional": {
                "custom_model": (
                    [_NO_FILE, *host.custom_files()],
                    {
                        "default": _NO_FILE,
                        "tooltip": "Your own .onnx file from models/rembg, for the models "
                        "u2net_custom, dis_custom, ben_custom and birefnet_custom.",
                    },
                ),
                "cpu_fallback": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "tooltip": "If the chosen provider does not work: on = run on the CPU with "
                        "a warning, off = stop with an error. Auto always may use the CPU.",
                    },
                ),
                "threads": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 256,
                        "tooltip": "CPU threads of the network; 0 = automatic.",
                    },
                ),
                "cloth_category": (
                    ["attire", *CLOTH_CATEGORIES[:-1], _SEPARATE],
                    {
                        "default": "attire",
                        "tooltip": "Only for u2net_cloth_seg. attire = all clothes in one mask; "
                        "upper, lower, full = one kind; separate = three masks per image.",
                    },
                ),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        model: str | None,
        providers: str | None = None,
        custom_model: str | None = _NO_FILE,
    ) -> bool | str:
        # naming them lifts the combo check: bare ids, other packs' names, and files as Windows
        # writes them are fine too
        try:
            if model is not None:  # not linked
                get_model(model)
            choose(providers, (), None)
            if custom_model not in (None, _NO_FILE):
                custom_path(custom_model, host.model_folders())
        except RembgSessionsError as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, model: str | None, custom_model: str | None = _NO_FILE, **_: Any) -> str:
        if model is None or custom_model is None:  # linked: their nodes decide
            return ""
        try:
            return _stamp(get_model(model), custom_model)
        except RembgSessionsError:
            return ""  # the error belongs to execute()

    def execute(
        self,
        model: str,
        providers: str,
        custom_model: str = _NO_FILE,
        cpu_fallback: bool = True,
        threads: int = 0,
        cloth_category: str = "attire",
    ) -> tuple[SessionHandle]:
        handle = open_handle(model, providers, custom_model, cpu_fallback, threads, cloth_category)
        host.load(handle.session)
        host.show_text(f"{handle.model_name} on {handle.provider}")
        return (handle,)


def _stamp(spec: ModelSpec, custom_model: str) -> str:
    """Identify the weights on disk, so that another file runs the node again."""
    folders = host.model_folders()
    paths: tuple[Path, ...]
    if spec.custom:
        paths = (custom_path(custom_model, folders),)
    else:
        paths = find(spec, folders) or ()
    stats = [path.stat() for path in paths]
    return repr([(stat.st_mtime_ns, stat.st_size) for stat in stats])
