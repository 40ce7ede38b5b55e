"""Alpha by ViTMatte, a network that reads an image together with its trimap.

Its graphs take 1024×1024 pixels and nothing else: the positions of a vision transformer were
fixed when they were exported. rembg squeezes every image to that square. Here the network
sees the image at its own scale, as in its training (crops of 512×512) and as in its
authors' evaluation:

- A larger image is read through overlapping windows that follow the unknown band; where
  windows overlap, their results fade into each other. Certain regions cost nothing.
- A smaller image is padded by reflection at its right and lower sides. Padding with zeros, as
  the authors do up to the next multiple of 32, would here show the network mostly nothing;
  enlarging the image would show it edges softer than any in its training.
- In a window without certain foreground or without certain background, the network cannot tell
  the two sides apart. Such a window grows until it holds both, at a lower resolution.

Certain pixels keep the trimap's value, whatever the network returns.

References
----------
Yao, Wang, Yang, Wang: ViTMatte: Boosting Image Matting with Pretrained Plain Vision
Transformers, 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError
from .tiles import cover, fade, grow

_log = logging.getLogger("rembg_sessions")

SIZE = 1024
"""Side in pixels of the square that the graphs were exported for."""
# Pixels around each unknown one that the network sees at least. Two windows overlap by twice as
# many.
_MARGIN = 64


class Answers(Protocol):
    """An open graph of ViTMatte."""

    @property
    def model_name(self) -> str:
        """Its name, for the log."""
        ...

    def answer(self, image: NDArray[np.uint8], trimap: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return alpha, float32 (H, W), of an image uint8 (H, W, 3) and its trimap (H, W)."""
        ...


def estimate_alpha_vitmatte(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
    *,
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
    model: Answers | None = None,
) -> NDArray[np.float32]:
    """Estimate alpha with a network.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1.
    mask, memory
        Not used: the network takes no mask, and its memory does not depend on the image. Every
        method takes them.
    on_step
        Called before each window; may raise to cancel.
    model
        The network, from :func:`core.session.vitmatte.get_vitmatte`.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1; 0 and 1 where the trimap says so.

    Raises
    ------
    OptionError
        If there is no ``model``.
    ModelRunError, ModelMemoryError, ProviderError
        See :meth:`core.session.vitmatte.VitMatte.answer`.
    """
    is_unknown = trimap == 0.5
    alpha = trimap.copy()
    if not is_unknown.any():
        return alpha
    if model is None:
        raise OptionError("The method vitmatte needs its network; pass what get_vitmatte returns.")
    certain = [value for value in (0, 1) if (trimap == value).any()]
    places = cover(is_unknown, SIZE, _MARGIN)
    if len(places) > 1:
        _log.info("%s reads the picture through %d windows.", model.model_name, len(places))
    height, width = trimap.shape
    total, weight = np.zeros_like(trimap), np.zeros_like(trimap)
    for top, left in places:
        if on_step is not None:
            on_step()
        rows, columns = grow(trimap, top, left, SIZE, certain)
        answer = model.answer(image[rows, columns], trimap[rows, columns])
        answer = answer[top - rows.start :, left - columns.start :][:SIZE, :SIZE]
        counts = np.outer(fade(top, SIZE, height, _MARGIN), fade(left, SIZE, width, _MARGIN))
        inner = slice(top, top + SIZE), slice(left, left + SIZE)
        total[inner] += counts * answer
        weight[inner] += counts
    alpha[is_unknown] = total[is_unknown] / weight[is_unknown]
    return alpha
