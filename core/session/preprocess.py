"""From a picture to the network's input, and from its output to alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ModelRunError
from ..imaging.parts import check_pillow
from ..imaging.resample import resize
from ..registry.spec import ModelSpec, Output

# Networks of free input size accept very long pictures only up to this ratio.
_MAX_ASPECT = 4

# Twice that of the largest network there is, BiRefNet at 2048: a user's file may declare anything.
LONGEST_SIDE = 4096
"""Pixels that a side of a network's input or answer may have."""

# Background, upper body, lower body, full body.
_LABELS = 4

# Differences of larger numbers leave the range of float32.
_HIGHEST_SCORE = 1e30


def input_size_hw(
    spec: ModelSpec, image_hw: tuple[int, int], side: int | None = None
) -> tuple[int, int]:
    """Return the (height, width) that the network wants for a picture of ``image_hw``.

    ``side`` is a wish for another height and width than the network's own, or for another shorter
    side where its size follows the picture.
    """
    if spec.size_hw is not None:
        return spec.size_hw if side is None else (side, side)
    short = side or spec.short_side or 512
    scale = short / min(image_hw)

    def scaled(pixels: int) -> int:
        return max(32, round(min(pixels * scale, short * _MAX_ASPECT)) // 32 * 32)

    return scaled(image_hw[0]), scaled(image_hw[1])


def normalize(
    image: Image.Image,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    size_hw: tuple[int, int],
    *,
    scale_by_max: bool = True,
) -> NDArray[np.float32]:
    """Resize a picture and shift its values to what the network was trained on.

    Parameters
    ----------
    image
        Any mode; converted to RGB.
    mean, std
        Per channel, for values in 0..1.
    size_hw
        Network input (height, width).
    scale_by_max
        Divide by the brightest value of the resized picture (rembg) instead of by 255.

    Returns
    -------
    ndarray
        float32 (1, 3, H, W).
    """
    check_pillow(image)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    pixels = np.asarray(resize(rgb, size_hw))
    highest = max(float(pixels.max()), 1e-6) if scale_by_max else 255.0
    levels = np.arange(256) / highest  # 256 possible values: compute each once
    result = np.empty((1, 3, *size_hw), np.float32)
    for channel in range(3):
        table = ((levels - mean[channel]) / std[channel]).astype(np.float32)
        # every level is in the table, and without the check numpy writes straight into out
        np.take(table, pixels[..., channel], out=result[0, channel], mode="clip")
    return result


def output_to_alphas(
    output: NDArray[Any], spec: ModelSpec, *, stretch: bool = True
) -> list[NDArray[np.float32]]:
    """Turn the network's first output into alpha.

    Parameters
    ----------
    output
        (1, C, h, w); C = 1, or one score per class for :attr:`Output.LABELS`.
    stretch
        Whether to bring it to the full range of 0..1, where the spec says so.

    Returns
    -------
    list of ndarray
        float32 (h, w), 0 background .. 1 foreground. One array; for labels one per class
        without the background class.

    Raises
    ------
    ModelRunError
        If the output has another shape, or holds NaN, infinity or what comes close to it.
    """
    channels = _LABELS if spec.output is Output.LABELS else 1
    fits = output.ndim == 4 and output.shape[0] == 1 and output.shape[1] >= channels
    if not (fits and all(1 <= side <= LONGEST_SIDE for side in output.shape[2:])):
        raise ModelRunError(
            f"{spec.name} answered with shape {tuple(output.shape)}; expected (1, {channels}, H, "
            "W). The file is not a model of this kind: choose the matching model name."
        )
    with np.errstate(over="ignore"):  # of float64; infinity is refused below
        scores = (output[0] if channels > 1 else output[0, 0]).astype(np.float32, copy=False)
    if not (np.abs(scores) < _HIGHEST_SCORE).all():
        raise ModelRunError(
            f"{spec.name} answered with NaN, infinity or numbers close to it. Half-precision "
            "models overflow on some devices: choose the full-precision model, or the CPU "
            "provider."
        )
    if spec.output is Output.LABELS:
        winner = scores.argmax(axis=0)
        return [(winner == label).astype(np.float32) for label in range(1, _LABELS)]
    alpha = scores
    if spec.output is Output.LOGITS:
        # exp of large numbers overflows to infinity, which 1 / (1 + inf) turns into 0
        with np.errstate(over="ignore"):
            alpha = 1 / (1 + np.exp(-alpha))
    if spec.min_max and stretch:
        low, high = float(alpha.min()), float(alpha.max())
        if high == low:
            return [np.zeros_like(alpha)]  # nothing stands out: no foreground
        alpha = (alpha - low) / (high - low)
    return [np.clip(alpha, 0, 1)]
