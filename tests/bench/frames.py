"""Memory of the nodes for clips, beyond what comes in and goes out.

    python tests/bench/frames.py [--frames 8 24] [--size 1080 1920]

Needs torch and Linux. The unit is one picture, float32 (H, W, 3). A model of
one line shows the nodes' own need; ``backdrop`` adds a real one, without a download. What a model
found is kept (up to 256 MiB), and counted apart.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rembg_sessions import nodes
from rembg_sessions.core.session.protocol import Layer
from rembg_sessions.nodes import masks


def main() -> None:
    """Print what each node needs for each number of frames."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 24])
    parser.add_argument("--size", type=int, nargs=2, default=[1080, 1920], metavar=("H", "W"))
    options = parser.parse_args()
    height, width = options.size
    # What is freed goes back to the system at once: else glibc keeps up to 64 MiB of it.
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)
    for name, ask in _asked().items():
        ask(*clip(16, height // 4, width // 4))  # what is loaded once is not counted
        for count in options.frames:
            images, mask = clip(count, height, width)
            extra, kept, seconds = measured(partial(ask, images, mask), 4 * 3 * height * width)
            print(
                f"{name:32}{count:4} frames: {extra - kept:5.1f} pictures more"
                f" + {kept:4.1f} kept, {seconds:5.1f} s",
                flush=True,
            )


_M_MMAP_THRESHOLD = -3  # of malloc.h


class _RedIsForeground:
    """A session that needs next to nothing, so that the nodes' own need shows."""

    model_name = "red"

    def predict_layers(self, image: Image.Image, **_: Any) -> list[Layer]:
        alpha = np.array(image.getchannel(0), np.float32)
        alpha -= 0.2 * 255
        alpha /= 0.6 * 255
        return [Layer(np.clip(alpha, 0, 1, out=alpha))]


class _OnGPU(_RedIsForeground):
    """The same, as of a network on a GPU: it is asked ahead."""

    uses_gpu = True

    def give_back(self) -> None:
        """It holds nothing."""


def _asked() -> dict[str, Callable[..., Any]]:
    made = {name: cls() for name, cls in nodes.NODE_CLASS_MAPPINGS.items()}
    remove, mask_of = made["RemBGRemove"].execute, made["RemBGMask"].execute
    matte, over = made["RemBGAlphaMatting"].execute, made["RemBGApplyBackground"].execute
    return {
        "Remove": lambda images, _: remove(images, _RedIsForeground()),
        "Remove, colour": lambda images, _: remove(images, _RedIsForeground(), background="colour"),
        "Remove, on a GPU": lambda images, _: remove(images, _OnGPU()),
        "Mask": lambda images, _: mask_of(images, _RedIsForeground()),
        "Remove, backdrop": lambda images, _: remove(images, model="backdrop"),
        "Mask, backdrop": lambda images, _: mask_of(images, model="backdrop"),
        "Alpha Matting, fast": lambda images, mask: matte(images, mask=mask, method="fast"),
        "Alpha Matting, guided": lambda images, mask: matte(images, mask=mask, method="guided"),
        "Apply Background": lambda images, mask: over(images, mask=mask),
        "Apply Background, small mask": lambda images, mask: over(images, mask=mask[:1, ::2, ::2]),
    }


def clip(count: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return frames of a disc that moves before a plain backdrop, and its masks."""
    images = torch.empty(count, height, width, 3)
    mask = torch.empty(count, height, width)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    for i in range(count):
        distance = (rows - height / 2) ** 2 + (columns - width / 2 - 3 * i) ** 2
        mask[i] = (height / 4 - distance.sqrt() + 0.5).clamp(0, 1)
        for channel, (front, behind) in enumerate(((0.8, 0.2), (0.3, 0.7), (0.1, 0.3))):
            images[i, ..., channel] = behind + (front - behind) * mask[i]
    return images, mask


def measured(call: Callable[[], Any], unit: int) -> tuple[float, float, float]:
    """Return the peak beyond inputs and outputs, the masks kept of it, in units, and seconds."""
    masks._found.clear()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = _status("VmRSS"), time.perf_counter()
    answer = call()
    seconds, peak = time.perf_counter() - began, _status("VmHWM")
    outputs = answer["result"] if isinstance(answer, dict) else answer
    held, end = 0, 0  # a mask may be a channel of the image: its memory counts once
    for first, last in sorted(map(_span, outputs)):
        held += max(0, last - max(first, end))
        end = max(end, last)
    kept = sum(found.size for known in masks._found.values() for found in known.values())
    return (peak - before - held) / unit, kept / unit, seconds


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    length = 1 + sum((size - 1) * step for size, step in steps)
    return tensor.data_ptr(), tensor.data_ptr() + length * tensor.element_size()


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    sys.exit(main())
