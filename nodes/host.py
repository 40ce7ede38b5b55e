"""Everything asked of ComfyUI but memory: folders, devices, progress, cancelling, node text.

Outside ComfyUI every function still answers, so that nodes can be tested without it.
"""

from __future__ import annotations

import os
import threading
import uuid
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar, copy_context
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..core.runtime.providers import display_name, provider_name
from ..core.session.rembg_api import BaseSession

FOLDER = "rembg"
_MOST_WARNINGS = 5

try:
    import comfy.model_management as mm
    import comfy.utils
    import folder_paths
except ImportError:  # plain Python: tests, or another program that uses the nodes
    mm = None
    folder_paths = None


# -- folders -----------------------------------------------------------------------------


def register_folder() -> None:
    """Tell ComfyUI about models/rembg, keeping what the user's yaml says of it."""
    if folder_paths is None:
        return
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    paths, extensions = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, set(extensions) | {".onnx"})


def model_folders() -> tuple[Path, ...]:
    """Return ComfyUI's folders for this pack's models; downloads go to the first."""
    if folder_paths is None:
        return ()
    paths = list(folder_paths.get_folder_paths(FOLDER))
    if "background_removal" in folder_paths.folder_names_and_paths:
        paths += folder_paths.get_folder_paths("background_removal")
    return tuple(Path(path) for path in paths)


def custom_files() -> list[str]:
    """List the .onnx files in ComfyUI's rembg folders, written the same on every system."""
    if folder_paths is None:
        return []
    names = folder_paths.get_filename_list(FOLDER)
    return [name.replace(os.sep, "/") for name in names if name.lower().endswith(".onnx")]


# -- devices -----------------------------------------------------------------------------


def runs_on() -> str | None:
    """Return what ComfyUI's own models run on, in the words of ``core.providers``."""
    if mm is None:
        return None
    if mm.cpu_mode():
        return "cpu"
    if mm.is_directml_enabled():
        return "directml"
    if mm.mps_mode():
        return "mps"
    kind = mm.get_torch_device().type
    if kind == "cuda":
        return "rocm" if torch.version.hip else "cuda"
    return kind if kind == "xpu" else "cpu"


def device_id() -> int:
    """Return the index of ComfyUI's GPU among those this process may see."""
    return 0 if mm is None else (mm.get_torch_device().index or 0)


def to_output(tensor: torch.Tensor) -> torch.Tensor:
    """Move a result to where, and to the type in which, ComfyUI keeps them between nodes."""
    if mm is None:
        return tensor
    dtype = getattr(mm, "intermediate_dtype", lambda: torch.float32)()  # new in 0.33
    return tensor.to(mm.intermediate_device(), dtype=dtype)


# -- progress, cancelling, text ----------------------------------------------------------


# In threads beside that of a node: whether what they work for is over.
_is_over: ContextVar[threading.Event | None] = ContextVar("_is_over", default=None)


def aside(is_over: threading.Event) -> Context:
    """Return this thread's context for threads beside it, which work until ``is_over`` is set."""
    context = copy_context()
    context.run(_is_over.set, is_over)
    return context


def check_cancelled() -> None:
    """Raise ComfyUI's interrupt if the user pressed cancel.

    ComfyUI tells of a cancel once. So the thread of the node takes it, and those aside only look.
    """
    if mm is None:
        return
    is_over = _is_over.get()
    if is_over is None:
        mm.throw_exception_if_processing_interrupted()
    elif is_over.is_set() or mm.processing_interrupted():
        raise mm.InterruptProcessingException


def progress(total: int) -> Callable[[int], None]:
    """Return a function that shows progress (done of ``total``) and honours cancel."""
    if mm is None:
        return lambda _: None
    bar = comfy.utils.ProgressBar(total)

    def update(done: int) -> None:
        check_cancelled()
        bar.update_absolute(done, total)

    return update


def download_progress() -> Callable[[int, int], None]:
    """Return a callback (bytes done, bytes total) that shows a download on the node."""
    show = progress(100)
    last = None

    def update(done: int, total: int) -> None:
        nonlocal last
        check_cancelled()
        percent = 100 * done // total if total else 0
        step = (percent, 0 if total else done // 10_000_000)  # without a total every 10 MB
        if step != last:
            last = step
            show(percent)
            of = f" of {total / 1e6:.0f}" if total else ""
            show_text(f"downloading {done / 1e6:.0f}{of} MB")

    return update


def show_text(text: str) -> None:
    """Show a line under the node that is being executed."""
    context, page = _executing(), server()
    if context is not None and page is not None:
        page.send_progress_text(text, context.node_id, page.client_id)


def result(
    outputs: tuple[Any, ...],
    warnings: Sequence[str] = (),
    previews: Sequence[Image.Image] | None = None,
    overall: str = "",
) -> Any:
    """Return what a node answers: its outputs, and with them what the page shows, if anything.

    The page that asked is told when the node has run, and keeps it; the history holds it, too.

    Parameters
    ----------
    warnings
        One for each result, empty where there is none; equal ones are said once.
    previews
        Small pictures; none of them takes away what is shown, None leaves it as it is.
    overall
        A warning that concerns all results.
    """
    told = [*filter(None, [overall]), *tally(warnings)]
    if not told and previews is None:
        return outputs
    shown: dict[str, Any] = {"rembg_warnings": told}
    if previews is not None:
        shown["images"] = save_previews(previews)
    return {"ui": shown, "result": outputs}


def tally(warnings: Sequence[str]) -> list[str]:
    """Return the warnings of a batch, each once and how many it concerns; a handful of them."""
    counts = Counter(filter(None, warnings))
    listed = [
        text if count == len(warnings) else f"{count} of {len(warnings)} images: {text}"
        for text, count in counts.items()
    ]
    more = len(listed) - _MOST_WARNINGS
    return listed if more <= 0 else [*listed[:_MOST_WARNINGS], f"{more} more warnings like these"]


def server() -> Any:
    """Return ComfyUI's web server; None outside ComfyUI."""
    if mm is None:
        return None
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)


def _executing() -> Any:
    """Return what ComfyUI executes at the moment: ``prompt_id`` and ``node_id``; or None."""
    if mm is None:
        return None
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return None
    return get_executing_context()


def prompt_id() -> str | None:
    """Return ComfyUI's name of the run that is under way; None where there is none."""
    return getattr(_executing(), "prompt_id", None)


def save_previews(pictures: Sequence[Image.Image]) -> list[dict[str, str]]:
    """Save small pictures where ComfyUI keeps its previews, and return them as it wants them.

    Returns an empty list outside ComfyUI.
    """
    if folder_paths is None:
        return []
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"rembg_{uuid.uuid4().hex}.png" for _ in pictures]
    for name, picture in zip(names, pictures, strict=True):
        picture.save(folder / name, compress_level=1)
    return [{"filename": name, "subfolder": "", "type": "temp"} for name in names]


# -- falling back to the CPU -------------------------------------------------------------

FALLBACK_EVENT = "rembg-sessions.fallback"
_told: weakref.WeakKeyDictionary[BaseSession, str] = weakref.WeakKeyDictionary()


def tell_fallback(session: BaseSession) -> None:
    """Tell the page, once a workflow, that a model runs on the CPU though it should not."""
    wanted = fallen_back_from(session)
    context, page = _executing(), server()
    if not wanted or context is None or page is None or _told.get(session) == context.prompt_id:
        return
    _told[session] = context.prompt_id
    data = {
        "model": session.model_name,
        "wanted": wanted,
        "reason": session.graphs[0].fallback,
        "node": context.node_id,
    }
    page.send_sync(FALLBACK_EVENT, data, page.client_id)


def fallback_text(session: BaseSession) -> str:
    """Return the warning that a session runs on the CPU though it should not; empty if not so.

    The page saves it with the workflow, also in pictures that are shared: why it is so names
    folders of this machine, and is told by the log, the toast and the diagnosis alone.
    """
    wanted = fallen_back_from(session)
    if not wanted:
        return ""
    return (
        f"{session.model_name} runs on the CPU, not on {wanted}. Why, and what repairs it: menu "
        "Extensions, rembg-sessions: examine the installation."
    )


def fallen_back_from(session: BaseSession) -> str:
    """Return what an open session should run on, if it runs on the CPU instead; else ''."""
    if not session.graphs or session.provider != "CPU":
        return ""
    choice = session.graphs[0].choice
    if choice.missing:
        return display_name(choice.missing[0])
    first = choice.providers[0]
    name = display_name(provider_name(first))
    if name != "CPU":
        return name
    # Auto found no provider for the device of ComfyUI's other models
    device = None if choice.explicit else runs_on()
    return "" if device in (None, "cpu") else f"the GPU ({device})"
