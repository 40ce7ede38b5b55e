"""Alpha by ViTMatte, a network that reads a picture together with its trimap.

Its graphs take 1024×1024 pixels and nothing else: the positions of a vision transformer were
fixed when they were exported. rembg squeezes every picture to that square. Here the network
sees the picture at its own scale, as in its training (crops of 512×512) and as in its
authors' evaluation:

- A larger picture is read through overlapping windows that follow the unknown band; where
  windows overlap, their answers fade into each other. Certain regions cost nothing.
- A smaller picture is continued by its mirror image to the right and below. Padding it with
  zeros, as the authors do up to the next multiple of 32, would here show the network mostly
  void; enlarging it would show edges softer than any it knows.
- A window without certain foreground or without certain background cannot tell which side
  is which. It grows until it sees both, at a lower resolution.

Certain pixels keep the trimap's value, whatever the network says.

References
----------
Yao, Wang, Yang, Wang: ViTMatte: Boosting Image Matting with Pretrained Plain Vision
Transformers, 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import preprocess
from .errors import ModelRunError
from .models import VITMATTE
from .registry import get_model
from .session import Model
from .sessions import share
from .windows import cover, fade, grow

_log = logging.getLogger("rembg_sessions")

VARIANTS = tuple(spec.name.removeprefix("vitmatte-") for spec in VITMATTE)
"""The names of the four graphs in rembg; the first is the default."""
SIZE = 1024
"""Side in pixels of the square that the graphs were exported for."""
# Two windows share twice as many pixels; inside them, every pixel sees at least this much of
# its surroundings.
_MARGIN = 64


class VitMatte(Model):
    """One of the four graphs. Arguments: see :class:`.session.Model`; thread-safe."""

    def answer(self, image: NDArray[np.uint8], trimap: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network once.

        Parameters
        ----------
        image
            uint8 (H, W, 3), sRGB. A side above the network's is scaled down, and the other
            with it; what is missing is filled up by mirroring.
        trimap
            float32 (H, W): 0, 0.5 or 1.

        Returns
        -------
        ndarray
            float32 (H, W), 0..1: what the network says, also of certain pixels.

        Raises
        ------
        ModelRunError
            If the file is not a ViTMatte graph, or its answer is no alpha.
        ModelMemoryError, ProviderError
            See :meth:`.graph.Graph.run`.
        """
        name = _check_input(self)
        height, width = trimap.shape
        scale = min(1, SIZE / max(height, width))
        inner_hw = max(1, round(height * scale)), max(1, round(width * scale))
        spec = self.spec
        picture = preprocess.normalize(
            Image.fromarray(image), spec.mean, spec.std, inner_hw, scale_by_max=spec.scale_by_max
        )
        if scale < 1:  # interpolated, a trimap would have more than its three values
            inner_wh = inner_hw[1], inner_hw[0]
            trimap = np.asarray(Image.fromarray(trimap).resize(inner_wh, Image.Resampling.NEAREST))
        array = np.concatenate([picture, trimap[None, None]], axis=1)
        missing = (0, SIZE - inner_hw[0]), (0, SIZE - inner_hw[1])
        array = np.pad(array, ((0, 0), (0, 0), *missing), mode="symmetric")
        alpha = preprocess.output_to_alphas(self.graphs[0].run({name: array})[0], spec)[0]
        if alpha.shape != (SIZE, SIZE):
            raise ModelRunError(
                f"{self.paths[0]} answered with shape {alpha.shape} instead of {(SIZE, SIZE)}: it "
                "is no ViTMatte graph. Delete it to have the right one downloaded."
            )
        return preprocess.resize_alpha(alpha[: inner_hw[0], : inner_hw[1]], (height, width))


_TYPES = {spec.name: type(spec.session_class, (VitMatte,), {"spec": spec}) for spec in VITMATTE}


def get_vitmatte(name: str | None = None, **options: Any) -> VitMatte:
    """Return the one model for a graph and its options, making it if need be.

    Shared and kept alive as by :func:`.sessions.get_session`; the graph is loaded on first
    use.

    Parameters
    ----------
    name
        One of :data:`VARIANTS`, with or without ``vitmatte-`` in front; None takes the first.
    **options
        The keyword arguments of :class:`.session.Model`: ``providers``, ``folders``,
        ``on_progress``, ``cpu_fallback``, ``runs_on``, ``device_id``, ``threads``,
        ``optimization``.

    Raises
    ------
    UnknownModelError
        If there is no such graph; the message lists them.
    OptionError, WeightsError, RuntimeMissingError
    """
    spec = VITMATTE[0] if name is None else get_model(name, VITMATTE)
    return share(_TYPES[spec.name], **options)


def estimate_alpha_vitmatte(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    mask: NDArray[np.float32] | None = None,
    *,
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
    model: VitMatte | None = None,
) -> NDArray[np.float32]:
    """Estimate alpha with a network.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1.
    mask, memory
        As every method takes them. Not needed here: the network reads no mask, and what it
        takes does not depend on the picture.
    on_step
        Called before each window; may raise to cancel.
    model
        What :func:`get_vitmatte` returned; None takes the default graph.

    Returns
    -------
    ndarray
        float32 (H, W), 0..1; 0 and 1 where the trimap says so.

    Raises
    ------
    ModelRunError, ModelMemoryError, ProviderError
        See :meth:`VitMatte.answer`.
    """
    is_unknown = trimap == 0.5
    alpha = trimap.copy()
    if not is_unknown.any():
        return alpha
    model = model or get_vitmatte()
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


def _check_input(model: VitMatte) -> str:
    """Return the name of the graph's input."""
    inputs, shape = model.graphs[0].inputs(), [1, 4, SIZE, SIZE]
    if len(inputs) == 1 and inputs[0][1] == shape:
        return inputs[0][0]
    declared = " and ".join(f"{name} of shape {sizes}" for name, sizes, _ in inputs)
    raise ModelRunError(
        f"{model.paths[0]} takes {declared}; a ViTMatte graph takes one input of shape {shape}. "
        "Delete the file to have the right one downloaded."
    )
