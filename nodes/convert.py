"""Between ComfyUI's tensors and the core's pictures; the one place that knows polarity.

IMAGE is float (B, H, W, C), 0..1; MASK is float (B, H, W). Masks of this pack are
1 = foreground; ComfyUI's LoadImage and alpha nodes use 1 = transparent.
"""

from __future__ import annotations

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


def check_mask(mask: torch.Tensor, count: int, height: int, width: int) -> torch.Tensor:
    """Return a checked MASK as float32 (count, height, width) on the CPU, 0..1.

    As :func:`check_masks`; another size is resized.

    Raises
    ------
    ImageError
        If it has other proportions, and so belongs to another picture. Load Image's mask of a
        picture without transparency, which is square and empty, fits all.
    """
    mask = check_masks(mask, count)
    if mask.shape[1:] != (height, width):
        if mask.stride(0) == 0:  # one for all: resized once, not once for each picture
            mask = mask[:1]
        tall, wide = mask.shape[1:]
        if not have_same_shape((tall, wide), (height, width)) and bool(mask.any()):
            raise ImageError(
                f"The mask is {wide}×{tall} pixels and the image {width}×{height}: they have "
                "different proportions. Connect the mask that was made from this image, or crop "
                "both alike."
            )
        mask = torch.nn.functional.interpolate(
            mask.unsqueeze(1), size=(height, width), mode="bilinear", antialias=True
        )[:, 0].clamp_(0, 1)
    return mask.expand(count, -1, -1)


def check_masks(mask: torch.Tensor, count: int, name: str = "mask") -> torch.Tensor:
    """Return a checked MASK of any size as float32 (count, h, w) on the CPU, 0..1.

    (H, W), (B, 1, H, W) and (B, H, W, 1) are accepted too; one mask serves all pictures.

    Raises
    ------
    ImageError
        If the number of masks fits neither 1 nor ``count``, or a value is NaN or infinite.
    """
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
    if mask.min() < 0 or mask.max() > 1:
        mask = mask.clamp(0, 1)
    return mask.expand(count, -1, -1)


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
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return checked images (B, H, W, 3 or 4), and what says what of them is seen.

    That is the alpha channel, the mask, or the lower of the two: float32 (B, H, W), 0..1. Each
    image is repeated for its masks, where there are several.

    Raises
    ------
    ImageError
        If there is neither, or one cannot be used.
    """
    image, mask = with_mask(image, mask)
    alpha = image[..., 3].clamp(0, 1) if image.shape[-1] == 4 else torch.ones(1)
    if mask is not None:
        alpha = torch.minimum(alpha, mask)
    return image, alpha


def with_mask(
    image: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return checked images and the mask that belongs to them; see :func:`with_opacity`.

    Where nothing is to be repeated, resized or limited, both are what came in, and take no memory.
    """
    image = check_image(image)
    if mask is not None:
        image = one_per_mask(image, mask)
        return image, check_mask(mask, *image.shape[:3])
    if image.shape[-1] == 3:
        raise ImageError(
            "The image has no alpha and no mask is connected, so nothing says what its "
            "foreground is. Connect a mask, or an RGBA image from RemBG Remove Background."
        )
    return image, None


def opacity(picture: NDArray[np.float32], mask: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return what of one picture (H, W, 3 or 4) is seen: float32 (H, W), 0..1."""
    if picture.shape[-1] == 3:
        return np.ones(picture.shape[:2], np.float32) if mask is None else mask
    alpha = np.clip(picture[..., 3], 0, 1)
    return alpha if mask is None else np.minimum(alpha, mask, out=alpha)


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
        masks = check_mask(self.model.encode_image(picture[None]), 1, image.height, image.width)
        return [Layer(alpha) for alpha in masks.numpy()]


def to_session(session: Any) -> Any:
    """Return what came through a session input as the core asks it.

    ``encode_image`` (ComfyUI's own background removal) is not known there; ``predict`` (rembg)
    and ``process`` (ComfyUI_essentials) are.
    """
    known = ("predict_layers", "predict", "process")
    if hasattr(session, "encode_image") and not any(hasattr(session, name) for name in known):
        return _CoreRemoval(session)
    return session
