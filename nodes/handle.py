"""The object behind a REMBG_SESSION link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..core.errors import ModelMemoryError, ProviderError
from ..core.session.protocol import Layer
from ..core.session.rembg_api import BaseSession
from . import convert, host, masks, memory


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
        """Short name of the provider really used; empty while the model is not in memory."""
        return self.session.provider if self.session.is_open else ""

    @property
    def stretches(self) -> bool:
        """See :attr:`NetworkSession.stretches`."""
        return getattr(self.session, "stretches", False)

    @property
    def uses_gpu(self) -> bool:
        """See :attr:`NetworkSession.uses_gpu`."""
        return self.session.uses_gpu

    def give_back(self) -> None:
        """See :meth:`NetworkSession.give_back`."""
        self.session.give_back()

    def predict_layers(self, image: Image.Image, **options: Any) -> list[Layer]:
        """See :meth:`BaseSession.predict_layers`; what was found before is not found again."""
        options = {name: value for name, value in options.items() if value is not None}
        if self.cloth_category is not None:
            options.setdefault("cloth_category", self.cloth_category)
        return masks.remembered(
            self.session,
            image,
            options,
            lambda: self._ask(self.session.predict_layers, image, options),
            batch=host.prompt_id(),
        )

    def predict(self, img: Image.Image, **options: Any) -> list[Image.Image]:
        """See :meth:`BaseSession.predict`."""
        return self._ask(self.session.predict, img, options)

    def process(self, img: Image.Image) -> Image.Image:
        """Cut one picture out: RGB in, RGBA out."""
        return self._ask(self.session.process, img, {})

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
        found = []
        for picture in convert.check_image(image).numpy():
            host.check_cancelled()
            layers = self.predict_layers(Image.fromarray(convert.to_levels(picture)))
            found.append(torch.from_numpy(np.maximum.reduce([layer.alpha for layer in layers])))
        return host.to_output(torch.stack(found))

    def _ask(
        self, question: Callable[..., Any], image: Image.Image, options: dict[str, Any]
    ) -> Any:
        if self.cloth_category is not None:
            options.setdefault("cloth_category", self.cloth_category)
        memory.load(self.session)
        try:
            answer = question(image, **options)
        except (ProviderError, ModelMemoryError) as error:
            memory.raise_as_comfy_does(error)
            raise
        host.tell_fallback(self.session)
        return answer


def describe(session: Any, milliseconds: float, count: int) -> str:
    """Return the line shown under a node: model, provider really used, time."""
    name = getattr(session, "model_name", type(session).__name__)
    provider = getattr(session, "provider", None)
    place = f" on {provider}" if provider else ""
    return f"{name}{place}, {milliseconds / max(count, 1):.0f} ms per image"


def fallback_warning(session: Any) -> str:
    """Return the warning that a session runs on the CPU though it should not; empty if not so."""
    own = session.session if isinstance(session, SessionHandle) else session
    return host.fallback_text(own) if isinstance(own, BaseSession) else ""
