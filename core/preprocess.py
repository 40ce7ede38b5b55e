"""From a picture to the network's input, and from its output to alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .bands import in_bands
from .errors import ModelRunError
from .spec import ModelSpec, Output

# Networks of free input size accept very long pictures only up to this ratio.
_MAX_ASPECT = 4


def resize(image: Image.Image, size_hw: tuple[int, int]) -> Image.Image:
    """Resize with Pillow's Lanczos filter, large pictures on several threads.

    Parameters
    ----------
    image
        Any mode that Pillow resamples.
    size_hw
        Result (height, width), at least 1×1.

    Returns
    -------
    PIL.Image.Image
        The same pixels that ``image.resize`` gives in 8-bit modes, however many threads
        there are.
    """
    height, width = size_hw
    if image.size == (width, height):
        return image
    if image.height - height > max(0, 2 * (image.width - width)):
        # Pillow 13 starts with the height here, older ones never: leave the order to it
        return image.resize((width, height), Image.Resampling.LANCZOS)

    # Bands of whole rows, then of whole columns: each resizes one side only, and so exactly
    # as Pillow does. Tiles of the result, read through its ``box``, come out differently.
    pixels = max(width * height, image.width * image.height)
    wide = Image.new(image.mode, (width, image.height))
    result = Image.new(image.mode, (width, height))

    def stretch_rows(top: int, bottom: int) -> None:
        box = (0, top, image.width, bottom)
        wide.paste(image.resize((width, bottom - top), Image.Resampling.LANCZOS, box), (0, top))

    def stretch_columns(left: int, right: int) -> None:
        box = (left, 0, right, wide.height)
        result.paste(wide.resize((right - left, height), Image.Resampling.LANCZOS, box), (left, 0))

    in_bands(stretch_rows, image.height, pixels)
    in_bands(stretch_columns, width, pixels)
    return result


def input_size_hw(spec: ModelSpec, image_hw: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) that the network wants for a picture of ``image_hw``."""
    if spec.size_hw is not None:
        return spec.size_hw
    short = spec.short_side or 512
    scale = short / min(image_hw)

    def side(pixels: int) -> int:
        return max(32, round(min(pixels * scale, short * _MAX_ASPECT)) // 32 * 32)

    return side(image_hw[0]), side(image_hw[1])


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
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    pixels = np.asarray(resize(rgb, size_hw))
    highest = max(float(pixels.max()), 1e-6) if scale_by_max else 255.0
    levels = np.arange(256) / highest  # 256 possible values: compute each once
    result = np.empty((1, 3, *size_hw), np.float32)
    for channel in range(3):
        table = ((levels - mean[channel]) / std[channel]).astype(np.float32)
        np.take(table, pixels[..., channel], out=result[0, channel])
    return result


def output_to_alphas(output: NDArray[Any], spec: ModelSpec) -> list[NDArray[np.float32]]:
    """Turn the network's first output into alpha.

    Parameters
    ----------
    output
        (1, C, h, w); C = 1, or one score per class for :attr:`Output.LABELS`.

    Returns
    -------
    list of ndarray
        float32 (h, w), 0 background .. 1 foreground. One array; for labels one per class
        without the background class.

    Raises
    ------
    ModelRunError
        If the output has another shape or holds NaN or infinity.
    """
    if output.ndim != 4 or output.shape[0] != 1:
        raise ModelRunError(
            f"{spec.name} answered with shape {tuple(output.shape)}; expected (1, C, H, W). "
            "The file is not a model of this kind: choose the matching model name."
        )
    if not np.isfinite(output).all():
        raise ModelRunError(
            f"{spec.name} answered with NaN or infinity. Half-precision models overflow on "
            "some devices: choose the full-precision model, or the CPU provider."
        )
    if spec.output is Output.LABELS:
        winner = output[0].argmax(axis=0)
        return [(winner == label).astype(np.float32) for label in range(1, output.shape[1])]
    alpha = output[0, 0].astype(np.float32)
    if spec.output is Output.LOGITS:
        # exp of large numbers overflows to infinity, which 1 / (1 + inf) turns into 0
        with np.errstate(over="ignore"):
            alpha = 1 / (1 + np.exp(-alpha))
    if spec.min_max:
        low, high = float(alpha.min()), float(alpha.max())
        if high == low:
            return [np.zeros_like(alpha)]  # nothing stands out: no foreground
        alpha = (alpha - low) / (high - low)
    return [np.clip(alpha, 0, 1)]


def alpha_to_mask(alpha: NDArray[np.float32]) -> Image.Image:
    """Round alpha (H, W), 0..1, to a Pillow picture of mode L."""
    return Image.fromarray((alpha * 255 + 0.5).astype(np.uint8))


def mask_to_alpha(mask: Image.Image) -> NDArray[np.float32]:
    """Read a Pillow picture of mode L as alpha (H, W), 0..1."""
    return np.asarray(mask if mask.mode == "L" else mask.convert("L"), np.float32) / 255


def resize_alpha(alpha: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Resize alpha (H, W), 0..1, with the Lanczos filter, without its overshoot."""
    if alpha.shape == size_hw:
        return alpha
    source, (height, width) = Image.fromarray(alpha), size_hw
    scale = source.height / height
    result = np.empty(size_hw, np.float32)

    def band(top: int, bottom: int) -> None:
        # the filter reads beyond the box where it needs to; floats are not rounded in between
        box = (0, top * scale, source.width, min(bottom * scale, source.height))
        part = source.resize((width, bottom - top), Image.Resampling.LANCZOS, box=box)
        np.clip(np.asarray(part), 0, 1, out=result[top:bottom])

    in_bands(band, height, max(width * height, alpha.size))
    return result
