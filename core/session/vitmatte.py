"""ViTMatte's networks: what one window of a picture and its trimap is answered with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ModelRunError
from ..imaging.resample import resize_alpha
from ..matting.vitmatte import SIZE
from ..registry.lookup import get_model
from ..registry.models import VITMATTE
from ..registry.names import VitMatteName
from .factory import share
from .network import Model
from .preprocess import normalize, output_to_alphas

VARIANTS = tuple(spec.name.removeprefix("vitmatte-") for spec in VITMATTE)
"""The names of the four graphs in rembg; the first is the default."""


class VitMatte(Model):
    """One of the four graphs. Arguments: see :class:`.network.Model`; thread-safe."""

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
            If the file is not a ViTMatte graph, or its answer is not alpha.
        ModelMemoryError, ProviderError
            See :meth:`.runtime.graph.Graph.run`.
        """
        name = _check_input(self)
        height, width = trimap.shape
        scale = min(1, SIZE / max(height, width))
        inner_hw = max(1, round(height * scale)), max(1, round(width * scale))
        spec = self.spec
        picture = normalize(
            Image.fromarray(image), spec.mean, spec.std, inner_hw, scale_by_max=spec.scale_by_max
        )
        if scale < 1:  # interpolated, a trimap would have more than its three values
            inner_wh = inner_hw[1], inner_hw[0]
            trimap = np.asarray(Image.fromarray(trimap).resize(inner_wh, Image.Resampling.NEAREST))
        array = np.concatenate([picture, trimap[None, None]], axis=1)
        missing = (0, SIZE - inner_hw[0]), (0, SIZE - inner_hw[1])
        array = np.pad(array, ((0, 0), (0, 0), *missing), mode="symmetric")
        alpha = output_to_alphas(self.graphs[0].run({name: array}), spec)[0]
        if alpha.shape != (SIZE, SIZE):
            raise ModelRunError(
                f"{self.paths[0]} answered with shape {alpha.shape} instead of {(SIZE, SIZE)}: it "
                "is not a ViTMatte graph. Delete it to have the right one downloaded."
            )
        return resize_alpha(alpha[: inner_hw[0], : inner_hw[1]], (height, width))


_TYPES: dict[str, type[VitMatte]] = {
    spec.name: type(spec.session_class, (VitMatte,), {"spec": spec}) for spec in VITMATTE
}


def get_vitmatte(name: VitMatteName | str | None = None, **options: Any) -> VitMatte:
    """Return the one model for a graph and its options, making it if need be.

    Shared and kept alive as by :func:`.factory.get_session`; the graph is loaded on first
    use.

    Parameters
    ----------
    name
        One of :data:`VARIANTS`, with or without ``vitmatte-`` in front; None takes the first.
    **options
        The keyword arguments of :class:`.network.Model`, without ``model_path``.

    Raises
    ------
    UnknownModelError
        If there is no such graph; the message lists them.
    OptionError, WeightsError, RuntimeMissingError
    """
    spec = VITMATTE[0] if name is None else get_model(name, VITMATTE)
    return share(_TYPES[spec.name], **options)


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
