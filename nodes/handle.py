"""The object behind the REMBG_SESSION socket."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..core.composite import estimated_cutout
from ..core.errors import ModelMemoryError, ProviderError
from ..core.foreground import Band
from ..core.session import BaseSession
from . import convert, host


class SessionHandle:
    """One model as nodes pass it along, under the protocols of three worlds.

    ``predict`` serves rembg and Python, ``process`` ComfyUI_essentials, ``encode_image``
    ComfyUI's own background removal. Every call asks ComfyUI for memory first.

    Parameters
    ----------
    session
        The shared session; two handles may hold the same.
    cloth_category
        What a clothes model is asked for; None for all categories, one mask each.
    """

    def __init__(self, session: BaseSession, cloth_category: str | None = None):
        self.session = session
        self.cloth_category = cloth_category

    @property
    def model_name(self) -> str:
        """Registry name of the model."""
        return self.session.model_name

    @property
    def provider(self) -> str:
        """Short name of the provider really used."""
        return self.session.provider

    def predict_layers(
        self, image: Image.Image, **options: Any
    ) -> list[tuple[NDArray[np.float32], Band | None]]:
        """See :meth:`BaseSession.predict_layers`."""
        host.load(self.session)
        try:
            return self.session.predict_layers(image, **self._complete(options))
        except (ProviderError, ModelMemoryError) as error:
            host.raise_as_comfy_does(error)
            raise

    def predict(self, img: Image.Image, **options: Any) -> list[Image.Image]:
        """See :meth:`BaseSession.predict`."""
        host.load(self.session)
        return self.session.predict(img, **self._complete(options))

    def process(self, img: Image.Image) -> Image.Image:
        """Cut one picture out: RGB in, RGBA out."""
        return estimated_cutout(img.convert("RGB"), self.predict(img)[0])

    def encode_image(self, image: torch.Tensor) -> torch.Tensor:
        """Estimate masks of a batch.

        Parameters
        ----------
        image
            float (B, H, W, 3 or more), 0..1.

        Returns
        -------
        torch.Tensor
            float (B, H, W), 1 = foreground.
        """
        masks = []
        for picture in convert.check_image(image).numpy():
            host.check_cancelled()
            alpha, _ = convert.layers_of(self, convert.to_levels(picture))[0]
            masks.append(torch.from_numpy(alpha))
        return host.to_output(torch.stack(masks))

    def _complete(self, options: dict[str, Any]) -> dict[str, Any]:
        if self.cloth_category is not None:
            options.setdefault("cloth_category", self.cloth_category)
        return options


def describe(session: Any, milliseconds: float, count: int) -> str:
    """Return the line shown under a node: model, provider really used, time per picture."""
    name = getattr(session, "model_name", type(session).__name__)
    provider = getattr(session, "provider", None)
    place = f" on {provider}" if provider else ""
    return f"{name}{place}, {milliseconds / max(count, 1):.0f} ms per image"
