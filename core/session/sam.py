"""The models that answer prompts: an encoder reads the picture, a decoder reads the marks.

Two recipes exist, told apart by the size of the frame the encoder was exported for:

- A fixed frame, :data:`FRAME_HW` (rembg's vit_b, vit_l and vit_h). The picture is scaled
  into its top left corner; the decoder answers in the frame and the mask is scaled back.
- No frame, None (MobileSAM). The picture's longer side becomes :data:`LONG_SIDE` pixels,
  and the decoder answers at the size of the picture.

The declared inputs do not tell them apart: both exporters leave height and width free. The
first kind needs its frame because its decoders crop at that ratio whatever they are told
(https://github.com/vietanhdev/samexporter/issues/4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError, ModelRunError, OptionError, needed
from .network import NetworkSession
from .prompt import Mark, check_prompt

FRAME_HW = (684, 1024)
LONG_SIDE = 1024

# The decoder of the frameless recipe crops to the rounded short side: it must not become 0.
_MAX_ASPECT = 2000

# What the decoder calls the corners of a rectangle and the mark that ends every list.
_TOP_LEFT, _BOTTOM_RIGHT, _END = 2, 3, -1

Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]


def encode_input(
    image: Image.Image, frame_hw: tuple[int, int] | None = FRAME_HW
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Bring a picture to the size the encoder was made for.

    Parameters
    ----------
    image
        RGB picture.
    frame_hw
        (height, width) of a fixed frame, see the module's text; None for no frame.

    Returns
    -------
    array : ndarray
        float32 (H, W, 3), 0..255. In a frame the picture fills one side from the top left
        corner; the rest is 0, and the values are whole numbers, rounded down as rembg does.
    scale_xy : tuple of float
        What x and y in the picture are multiplied with to give x and y in ``array``.

    Raises
    ------
    ImageError
        If the picture has no pixels, or is too long and thin for the frameless recipe.
    """
    width, height = image.size
    if not width or not height:
        raise ImageError(f"The picture is {width}x{height} pixels. It needs at least one pixel.")
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    if frame_hw is not None:
        scale = min(frame_hw[1] / width, frame_hw[0] / height)
        pixels = _sample(np.asarray(rgb), 1 / scale, frame_hw)
        return pixels.astype(np.float32), (scale, scale)

    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise ImageError(
            f"The picture is {width}x{height} pixels; this model takes pictures whose longer "
            f"side is at most {_MAX_ASPECT} times the shorter one. Crop the picture, or use the "
            "model 'sam'."
        )
    scale = LONG_SIDE / max(width, height)
    size = (int(width * scale + 0.5), int(height * scale + 0.5))
    if size != rgb.size:
        rgb = rgb.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(rgb, np.float32), (size[0] / width, size[1] / height)


def decoder_input(
    embedding: NDArray[Any],
    marks: Sequence[Mark],
    scale_xy: tuple[float, float],
    answer_hw: tuple[int, int],
) -> dict[str, NDArray[Any]]:
    """Return what the decoder is fed with, by input name.

    Parameters
    ----------
    embedding
        The encoder's first output.
    marks
        What :func:`.prompt.check_prompt` returned.
    scale_xy
        What :func:`encode_input` returned.
    answer_hw
        (height, width) of the masks to return: the frame, or the picture without one.
    """
    points: list[list[float]] = []
    labels: list[int] = []
    for mark in marks:
        if mark["type"] == "rectangle":
            points += [mark["data"][:2], mark["data"][2:]]
            labels += [_TOP_LEFT, _BOTTOM_RIGHT]
        else:
            points.append(mark["data"])
            labels.append(mark["label"])
    # rembg rounds to float32 before it scales: the same order gives the same numbers
    coords = np.array([*points, [0.0, 0.0]], np.float32) * np.array(scale_xy)
    return {
        "image_embeddings": embedding,
        "point_coords": coords.astype(np.float32)[None],
        "point_labels": np.array([[*labels, _END]], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array(answer_hw, np.float32),
    }


def masks_to_alpha(
    masks: NDArray[Any], scale_xy: tuple[float, float] | None, size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Join the decoder's masks and bring them to the size of the picture.

    Parameters
    ----------
    masks
        Logits (1, N, h, w): above 0 is foreground, in any of the N masks.
    scale_xy
        What :func:`encode_input` returned for the frame that holds the masks; None when
        they have the size of the picture already.
    size_hw
        The picture's (height, width).

    Returns
    -------
    ndarray
        float32 (H, W), 0 or 1.
    """
    foreground = np.zeros(size_hw, bool)
    if scale_xy is None:
        return np.logical_or.reduce(masks[0] > 0).astype(np.float32)
    step = 1 / (1 / scale_xy[0])  # not always scale_xy[0]; rembg inverts twice
    for mask in masks[0]:
        foreground |= _sample(mask, step, size_hw) > 0
    # the last pixels of a large picture lie beyond the frame's last pixel centre: they take
    # the answer before them, where rembg leaves a strip of background
    height = _sampled(size_hw[0], step, masks.shape[2])
    width = _sampled(size_hw[1], step, masks.shape[3])
    foreground[height:] = foreground[height - 1]
    foreground[:, width:] = foreground[:, width - 1 : width]
    return foreground.astype(np.float32)


def _sample(picture: NDArray[Any], step: float, size_hw: tuple[int, int]) -> NDArray[Any]:
    """Read ``picture`` (H, W, ...) at (y * step, x * step), bilinear, 0 beyond the last pixel.

    Of the picture's type; fractions are cut off, as rembg does.
    """
    with needed("scipy", "SAM"):
        from scipy import ndimage

    def sample(plane: NDArray[Any]) -> NDArray[Any]:
        found = ndimage.affine_transform(
            plane, (step, step), output_shape=size_hw, output=np.float64, order=1, mode="constant"
        )
        return found.astype(picture.dtype)

    if picture.ndim == 2:
        return sample(picture)
    return np.stack([sample(picture[..., i]) for i in range(picture.shape[2])], axis=-1)


def _sampled(count: int, step: float, length: int) -> int:
    """Return how many of ``count`` positions lie before the last pixel of ``length``."""
    return int((np.arange(count) * step <= length - 1).sum())


def run_sam(
    encoder_run: Run,
    decoder_run: Run,
    image: Image.Image,
    prompt: object = None,
    *,
    encoder_input: str,
    frame_hw: tuple[int, int] | None = FRAME_HW,
) -> list[NDArray[np.float32]]:
    """Cut out what the prompt points at.

    Parameters
    ----------
    encoder_run, decoder_run
        Run one graph: arrays by input name in, its first output out.
    image
        RGB picture.
    prompt
        See :func:`.prompt.check_prompt`.
    encoder_input
        Name of the encoder's input; the decoder's are the same in every export.
    frame_hw
        See :func:`encode_input`.

    Returns
    -------
    list of ndarray
        One float32 (H, W) of the picture's size, 0 or 1.

    Raises
    ------
    OptionError, ImageError
        See :func:`.prompt.check_prompt` and :func:`encode_input`.
    ModelRunError
        If the decoder's answer is not a set of masks.
    """
    size_hw = (image.height, image.width)
    array, scale_xy = encode_input(image, frame_hw)
    marks = check_prompt(prompt, size_hw)
    embedding = encoder_run({encoder_input: array})
    answer_hw = frame_hw or size_hw
    masks = decoder_run(decoder_input(embedding, marks, scale_xy, answer_hw))
    if masks.ndim != 4 or 0 in masks.shape or masks.shape[2:] != answer_hw:
        raise ModelRunError(
            f"The decoder answered with shape {tuple(masks.shape)}; expected one or more masks of "
            f"{answer_hw}. The file is not the decoder of this model: choose the matching one."
        )
    if not np.isfinite(masks).all():
        raise ModelRunError(
            "The decoder answered with NaN or infinity. Half-precision models overflow on some "
            "devices: choose the full-precision model, or the CPU provider."
        )
    return [masks_to_alpha(masks, scale_xy if frame_hw else None, size_hw)]


class SamSession(NetworkSession):
    """A model with prompts: an encoder and a decoder."""

    def _find_alphas(
        self, image: Image.Image, *, sam_prompt: object, cloth_category: str | None
    ) -> list[NDArray[np.float32]]:
        if cloth_category is not None:
            raise OptionError(f"{self.spec.name} does not find clothes; use u2net_cloth_seg.")
        encoder, decoder = self.graphs
        return run_sam(
            encoder.run,
            decoder.run,
            image.convert("RGB"),
            sam_prompt,
            encoder_input=encoder.inputs()[0][0],
            frame_hw=self.spec.size_hw,
        )
