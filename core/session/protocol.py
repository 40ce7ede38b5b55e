"""What a session is, to those who ask it, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.foreground import EdgeColours


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One foreground of a picture, of its size.

    Attributes
    ----------
    alpha
        float32 (H, W), 0 background .. 1 foreground.
    edge
        The colours of its soft edges where they are known; None where they must be estimated
        from alpha, as for every network.
    solved
        Whether alpha was solved from the picture's colours, as by alpha matting, and so fits
        them; a network's may be some pixels off.
    cutout
        uint8 (H, W, 4), where a matting method brings a cut-out of its own; else None.
    warning
        A sentence for the user; empty where all is well.
    stretched
        False where alpha is what a network gave, which it does not bring to the full range of
        0..1: that is done for all frames of a clip alike, see :mod:`.frames`.
    """

    alpha: NDArray[np.float32] = field(repr=False)
    edge: EdgeColours | None = field(default=None, repr=False)
    solved: bool = False
    cutout: NDArray[np.uint8] | None = field(default=None, repr=False)
    warning: str = ""
    stretched: bool = True


@runtime_checkable
class FindsLayers(Protocol):
    """This pack's own sessions."""

    def predict_layers(
        self,
        image: Image.Image,
        *,
        sam_prompt: object = None,
        cloth_category: str | None = None,
    ) -> list[Layer]:
        """Find the foregrounds of an RGB picture."""
        ...


@runtime_checkable
class Predicts(Protocol):
    """rembg's sessions."""

    def predict(self, img: Image.Image, **options: object) -> list[Image.Image]:
        """Find masks of an RGB picture: mode L, of its size."""
        ...


@runtime_checkable
class Processes(Protocol):
    """What ComfyUI_essentials passes along as a session."""

    def process(self, img: Image.Image) -> Image.Image:
        """Cut an RGB picture out: RGBA."""
        ...


AnySession: TypeAlias = FindsLayers | Predicts | Processes
"""Anything that can be asked for the foreground of a picture, see :mod:`.ask`."""
