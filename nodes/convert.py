"""Between ComfyUI's tensors and the core's pictures; the one place that knows polarity.

IMAGE is float (B, H, W, C), 0..1; MASK is float (B, H, W). Masks of this pack are
1 = foreground; ComfyUI's LoadImage and alpha nodes use 1 = transparent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ImageError, OptionError
from ..core.imaging.resample import have_same_shape
from ..core.imaging.rows import cached_rows, map_rows
from ..core.session.protocol import Layer
from ..core.text import short

OfEach = Callable[[int], NDArray[np.float32]]
"""Gives something of a picture by its number in the batch: float32 (H, W), 0..1."""


def check_image(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """Return a checked IMAGE as float32 on the CPU.

    Raises
    ------
    ImageError
        If it is not (B, H, W, 1, 3 or 4), is empty, or holds NaN or infinity.
    """
    _check_tensor(image, name)
    if image.ndim == 3:
        image = image.unsqueeze(0)
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        raise ImageError(
            f"The {name} has shape {tuple(image.shape)}; expected (batch, height, width, 3 or 4)."
        )
    if image.numel() == 0:
        raise ImageError(f"The {name} is empty: shape {tuple(image.shape)}.")
    image = image.detach().to("cpu", torch.float32)
    _check_finite(image, name)
    return image.expand(-1, -1, -1, 3) if image.shape[-1] == 1 else image


def masks_for(mask: torch.Tensor, count: int, height: int, width: int) -> OfEach:
    """Check a MASK, and return a function that gives the mask of a picture by its number.

    As :func:`check_masks`; another size is resized. Nothing is made for the whole batch: what is
    resized or limited takes the room of one picture, and one mask for all is made once.

    Raises
    ------
    ImageError
        If it has other proportions, and so belongs to another picture. Load Image's mask of a
        picture without transparency, which is square and empty, fits all.
    """
    mask = _checked_masks(mask, count, "mask")
    tall, wide = mask.shape[1:]
    if not have_same_shape((tall, wide), (height, width)) and bool(mask.any()):
        raise ImageError(
            f"The mask is {wide}×{tall} pixels and the image {width}×{height}: they have "
            "different proportions. Connect the mask that was made from this image, or crop "
            "both alike."
        )

    @lru_cache(maxsize=1)
    def fitted(i: int) -> NDArray[np.float32]:
        one = _limited(mask[i].numpy())
        if (tall, wide) == (height, width):
            return one
        resized = torch.nn.functional.interpolate(
            torch.from_numpy(one)[None, None], size=(height, width), mode="bilinear", antialias=True
        )
        return resized[0, 0].clamp_(0, 1).numpy()

    return lambda i: fitted(i if len(mask) > 1 else 0)


def check_masks(mask: torch.Tensor, count: int, name: str = "mask") -> torch.Tensor:
    """Return a checked MASK of any size as float32 (count, h, w) on the CPU, 0..1.

    (H, W), (B, 1, H, W) and (B, H, W, 1) are accepted too; one mask serves all pictures.

    Raises
    ------
    ImageError
        If the number of masks fits neither 1 nor ``count``, or a value is NaN or infinite.
    """
    mask = torch.from_numpy(_limited(_checked_masks(mask, count, name).numpy()))
    return mask.expand(count, -1, -1)


def _checked_masks(mask: torch.Tensor, count: int, name: str) -> torch.Tensor:
    """Return one mask, or as many as there are pictures: float32 (1 or count, h, w)."""
    _check_tensor(mask, name)
    mask = _plain(mask.detach().to("cpu", torch.float32))
    if mask.ndim != 3 or mask.numel() == 0:
        raise ImageError(
            f"The {name} has shape {tuple(mask.shape)}; expected (batch, height, width)."
        )
    if mask.shape[0] not in (1, count):
        raise ImageError(
            f"There are {mask.shape[0]} {name}s for {count} images; pass one {name}, or one per "
            "image."
        )
    _check_finite(mask, name)
    return mask


def _limited(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a mask within 0..1: itself where it is."""
    return np.clip(mask, 0, 1) if mask.min() < 0 or mask.max() > 1 else mask


def _check_tensor(value: object, name: str) -> None:
    if not isinstance(value, torch.Tensor):
        raise ImageError(f"The {name} is {short(value)}; connect an image or a mask of ComfyUI's.")


def _plain(mask: torch.Tensor) -> torch.Tensor:
    """Return a mask of any accepted shape as (B, H, W)."""
    if mask.ndim == 4 and 1 in (mask.shape[1], mask.shape[3]):
        return mask[:, 0] if mask.shape[1] == 1 else mask[..., 0]
    return mask.unsqueeze(0) if mask.ndim == 2 else mask


def one_per_mask(image: torch.Tensor, *masks: torch.Tensor | None) -> torch.Tensor:
    """Repeat each image (B, H, W, C) for its masks, where there are several for each.

    A session that finds garments gives three for each image, one after the other.
    """
    count, most = len(image), max(len(_plain(mask)) for mask in masks if mask is not None)
    if most <= count or most % count:
        return image
    return (
        image.repeat_interleave(most // count, 0) if count > 1 else image.expand(most, -1, -1, -1)
    )


def with_opacity(
    image: torch.Tensor, mask: torch.Tensor | None
) -> tuple[NDArray[np.float32], OfEach]:
    """Return checked images (B, H, W, 3 or 4), and a function: what of each of them is seen.

    That is the alpha channel, the mask, or the lower of the two: float32 (H, W), 0..1. Each
    image is repeated for its masks, where there are several.

    Raises
    ------
    ImageError
        If there is neither, or one cannot be used.
    """
    image = check_image(image)
    mask_of = None
    if mask is not None:
        image = one_per_mask(image, mask)
        mask_of = masks_for(mask, *image.shape[:3])
    elif image.shape[-1] == 3:
        raise ImageError(
            "The image has no alpha and no mask is connected, so nothing says what its "
            "foreground is. Connect a mask, or an RGBA image from RemBG Remove Background."
        )
    pictures = image.numpy()

    def alpha_of(i: int) -> NDArray[np.float32]:
        if mask_of is None:
            return np.clip(pictures[i, ..., 3], 0, 1)
        if pictures.shape[-1] == 3:
            return mask_of(i)
        alpha = np.clip(pictures[i, ..., 3], 0, 1)
        return np.minimum(alpha, mask_of(i), out=alpha)

    return pictures, alpha_of


def _check_finite(tensor: torch.Tensor, name: str) -> None:
    # the sum of values of this size is NaN or infinite exactly if one of them is
    if not torch.isfinite(tensor.sum()):
        raise ImageError(
            f"The {name} holds NaN or infinity: the node before this one failed. Often a VAE in "
            "half precision is the cause; try another one or full precision."
        )


def to_levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round one picture (H, W, 3 or more), 0..1, to uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    levels = np.empty((height, width, 3), np.uint8)

    def write(top: int, bottom: int) -> None:
        part = image[top:bottom, :, :3] * np.float32(255)
        part += np.float32(0.5)
        levels[top:bottom] = np.clip(part, 0, 255, out=part)

    # numpy in our own threads: torch's wait for each other when the machine is busy
    map_rows(write, height, height * width, cached_rows(width))
    return levels


class _CoreRemoval:
    """ComfyUI's own background removal, as a session of this pack."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.model_name = type(model).__name__

    def predict_layers(
        self, image: Image.Image, *, sam_prompt: object = None, cloth_category: str | None = None
    ) -> list[Layer]:
        """Ask for masks; takes neither prompt nor category."""
        if sam_prompt is not None or cloth_category is not None:
            raise OptionError(f"{self.model_name} does not take a sam_prompt; leave it empty.")
        picture = torch.from_numpy(np.asarray(image, np.float32) / 255)
        mask = self.model.encode_image(picture[None])
        return [Layer(masks_for(mask, 1, image.height, image.width)(0))]


def to_session(session: Any) -> Any:
    """Return what came through a session input as the core asks it.

    ``encode_image`` (ComfyUI's own background removal) is not known there; ``predict`` (rembg)
    and ``process`` (ComfyUI_essentials) are.
    """
    known = ("predict_layers", "predict", "process")
    if hasattr(session, "encode_image") and not any(hasattr(session, name) for name in known):
        return _CoreRemoval(session)
    return session
