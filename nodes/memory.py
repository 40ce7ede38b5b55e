"""Memory, as ComfyUI manages it: a session is one of its models, closed when others need the room.

Outside ComfyUI sessions open and stay open.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import torch

from ..core.errors import ModelMemoryError, ProviderError
from ..core.session.rembg_api import BaseSession
from . import masks
from .host import check_cancelled, mm

if mm is None:
    ModelPatcher = object
else:
    from comfy.model_patcher import ModelPatcher

# What a network needs beside its weights, per pixel of its input: BiRefNet's 1024² wants about
# 4 GB; IS-Net's ran in 0.6 GB on an H200, and those of its kind are no larger.
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_OF_LIGHT = 4096, 1024
_LIGHT = ("u2net", "silueta", "isnet", "dis_custom", "ormbg", "modnet")

# ComfyUI's memory management is made for one thread.
_managing = threading.RLock()


class _Holder:
    """What ComfyUI takes for the model. It never points at its patcher."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")


class _SessionPatcher(ModelPatcher):
    """Lets ComfyUI close a session when someone needs the memory; it reopens on use.

    The session owns the patcher and the patcher knows the session only through a function,
    so that both die together, without a cycle.
    """

    def __init__(self, find: Callable[[], BaseSession | None], on_gpu: bool, size: int):
        device = mm.get_torch_device()
        self._find = find
        self.on_gpu = on_gpu
        # a CPU session on a machine with a GPU takes no video memory, but is registered
        # there all the same: unloading models spares the CPU device. Size 0 would make
        # ComfyUI look for torch weights.
        counted = on_gpu or device.type == "cpu"
        super().__init__(
            _Holder(), device, torch.device("cpu"), size=max(size, 1) if counted else 1
        )

    def loaded_size(self) -> int:
        session = self._find()
        return self.size if session is not None and session.is_open else 0

    def current_loaded_device(self) -> torch.device:
        return self.load_device if self.loaded_size() else self.offload_device

    def partially_load(
        self, device_to: Any, extra_memory: int = 0, force_patch_weights: bool = False
    ) -> int:
        session = self._find()
        if session is not None:
            session.open()
        return self.size

    def partially_unload(
        self, device_to: Any, memory_to_free: int = 0, force_patch_weights: bool = False
    ) -> int:
        return 0  # all or nothing

    def detach(self, unpatch_all: bool = True) -> _Holder:
        # with unpatch_all=False ComfyUI only re-orders its list
        session = self._find()
        if unpatch_all and session is not None:
            session.close()
            masks.forget(session)
        return self.model


def load(session: BaseSession) -> None:
    """Make room for a session through ComfyUI's memory management and open it.

    The user's cancel ends its runs from then on.
    """
    for graph in session.graphs:
        graph.on_wait = check_cancelled
    if mm is None:
        session.open()
        return
    with _managing:
        _load(session)


def _load(session: BaseSession) -> None:
    patcher = session.companion
    if patcher is None or patcher.on_gpu != session.uses_gpu:  # new, or fallen back to the CPU
        patcher = session.companion = _make_patcher(session)
    registered = any(entry.model is patcher for entry in mm.current_loaded_models)
    if patcher.on_gpu or not (session.is_open and registered):
        height, width = session.spec.size_hw or (1024, 1024)
        light = session.spec.name.startswith(_LIGHT)
        each = _BYTES_PER_PIXEL_OF_LIGHT if light else _BYTES_PER_PIXEL
        needed = height * width * each if patcher.on_gpu else 0
        mm.load_models_gpu([patcher], memory_required=needed)


def _make_patcher(session: BaseSession) -> _SessionPatcher:
    patcher = _SessionPatcher(weakref.ref(session), session.uses_gpu, session.size)

    def free_others() -> None:
        with _managing:
            keep = [entry for entry in mm.current_loaded_models if entry.model is patcher]
            mm.free_memory(1e30, mm.get_torch_device(), keep_loaded=keep)
            mm.soft_empty_cache()

    if session.uses_gpu:
        for graph in session.graphs:
            graph.on_out_of_memory = free_others
    return patcher


def raise_as_comfy_does(error: ProviderError | ModelMemoryError) -> None:
    """Raise an error; one about a GPU's memory as ComfyUI's own, which frees and explains it.

    A model that ran out of memory on the CPU keeps its own words: ComfyUI's speak of a GPU.
    """
    if mm is not None and isinstance(error.__cause__, ModelMemoryError):
        raise mm.OOM_EXCEPTION(str(error)) from error
    raise error
