"""The face that rembg gives a session: its names, its arguments, its masks of 8 bit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import settings
from ..errors import OptionError
from ..imaging.composite import cut_out
from ..imaging.foreground import estimate_edge_colours
from ..imaging.parts import check_pillow
from ..imaging.resample import resize, resize_alpha
from ..registry.spec import ModelSpec
from ..runtime.graph import Graph
from ..runtime.providers import display_name
from ..weights import store
from .protocol import Layer

if TYPE_CHECKING:
    from typing_extensions import Self


class BaseSession:
    """A model that finds the foreground of a picture, under the names of rembg's sessions.

    A kind of session says how it finds alpha (:meth:`_find_alphas`); one whose model lies in
    files also says where it runs.
    """

    spec: ClassVar[ModelSpec]
    model_name: str
    options: dict[str, Any]
    """The keyword arguments it was made with."""
    graphs: tuple[Graph, ...] = ()
    companion: object = None
    """Whatever the host program wants to live exactly as long as the session."""

    # -- what the session is ---------------------------------------------------------

    @property
    def provider(self) -> str:
        """Short name of the provider really used; opens the model if need be."""
        return "CPU"

    @property
    def is_open(self) -> bool:
        """Whether the model is in memory."""
        return True

    @property
    def uses_gpu(self) -> bool:
        """Whether it runs, or will try to run, on a provider that takes video memory."""
        return False

    @property
    def size(self) -> int:
        """Bytes of the weights on disk."""
        return 0

    def is_current(self) -> bool:
        """Return whether the files on disk are still those the session was made from."""
        return True

    def open(self) -> None:
        """Load the model now instead of on first use."""

    def close(self) -> None:
        """Release the model's memory; the next use opens it again."""

    def give_back(self) -> None:
        """Give back the memory that runs worked in; the model stays open."""

    def __enter__(self) -> Self:
        """Return the session, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def __repr__(self) -> str:
        """Say what it is and what it runs on, without opening it."""
        if not self.graphs or self.graphs[0].is_open:
            state = f"on {self.provider}, open"
        else:
            state = f"for {display_name(self.graphs[0].wanted)}, closed"
        return f"<{type(self).__name__} {self.spec.name} {state}>"

    # -- what it does ----------------------------------------------------------------

    def _find_alphas(
        self, image: Image.Image, *, sam_prompt: object, cloth_category: str | None
    ) -> list[NDArray[np.float32]]:
        """Find alpha, at the picture's size or at the network's."""
        raise NotImplementedError

    def predict_alpha(
        self,
        image: Image.Image,
        *,
        sam_prompt: object = None,
        cloth_category: str | None = None,
    ) -> list[NDArray[np.float32]]:
        """Estimate alpha at the picture's size.

        Parameters
        ----------
        image
            Any mode; converted to RGB.
        sam_prompt
            Only for models that take prompts.
        cloth_category
            ``upper``, ``lower``, ``full`` or ``attire``, only for clothes models; None
            gives the first three, one mask each.

        Returns
        -------
        list of ndarray
            float32 (H, W), 0 background .. 1 foreground.

        Raises
        ------
        ImageError, OptionError, ModelRunError, ProviderError
        """
        check_pillow(image)
        size_hw = (image.height, image.width)
        alphas = self._find_alphas(image, sam_prompt=sam_prompt, cloth_category=cloth_category)
        return [resize_alpha(alpha, size_hw) for alpha in alphas]

    def predict_layers(
        self,
        image: Image.Image,
        *,
        sam_prompt: object = None,
        cloth_category: str | None = None,
    ) -> list[Layer]:
        """Estimate alpha, and the colours of soft edges where the model knows them.

        Arguments and errors as of :meth:`predict_alpha`.
        """
        alphas = self.predict_alpha(image, sam_prompt=sam_prompt, cloth_category=cloth_category)
        return [Layer(alpha) for alpha in alphas]

    def predict(
        self,
        img: Image.Image,
        *,
        sam_prompt: object = None,
        cloth_category: str | None = None,
        cc: str | None = None,
    ) -> list[Image.Image]:
        """Estimate masks as rembg's sessions do: Pillow pictures of mode L.

        See :meth:`predict_alpha`; ``cc`` is rembg's short name of ``cloth_category``.
        """
        check_pillow(img)
        category = cc if cloth_category is None else cloth_category
        alphas = self._find_alphas(img, sam_prompt=sam_prompt, cloth_category=category)
        size_hw = (img.height, img.width)
        # truncated to 8 bit before the resize: rembg's masks, pixel by pixel
        small = [Image.fromarray((alpha * 255).astype(np.uint8)) for alpha in alphas]
        return [resize(mask, size_hw) for mask in small]

    def process(self, img: Image.Image, **options: Any) -> Image.Image:
        """Cut one picture out: RGB in, RGBA out with estimated foreground colours.

        Options as in :meth:`predict_alpha`; several masks are joined.
        """
        layers = self.predict_layers(img, **options)
        alpha = np.maximum.reduce([layer.alpha for layer in layers])
        pixels = np.asarray(img.convert("RGB"))
        edge = layers[0].edge if len(layers) == 1 else None
        return cut_out(pixels, alpha, edge or estimate_edge_colours(pixels, alpha))

    # -- rembg's own -----------------------------------------------------------------

    @property
    def inner_session(self) -> Any:
        """The ``onnxruntime.InferenceSession``; None where there is no network."""
        return self.graphs[0].session if self.graphs else None

    def normalize(
        self,
        img: Image.Image,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        size: tuple[int, int],
    ) -> dict[str, NDArray[np.float32]]:
        """Prepare the network's input as rembg does.

        Parameters
        ----------
        img
            Any mode.
        mean, std
            Per RGB channel.
        size
            (width, height), as Pillow counts.

        Returns
        -------
        dict
            Input name → float32 (1, 3, height, width).

        Raises
        ------
        OptionError
            If there is no network.
        """
        from .preprocess import normalize

        if not self.graphs:
            raise OptionError(f"{self.spec.name} has no network to prepare a picture for.")
        name = self.graphs[0].inputs()[0][0]
        return {name: normalize(img, mean, std, (size[1], size[0]))}

    @classmethod
    def name(cls) -> str:
        """Return the registry name."""
        return cls.spec.name

    @classmethod
    def download_models(
        cls, *, model_path: str | os.PathLike[str] | None = None
    ) -> str | tuple[str, ...]:
        """Find or download the weights: a path, or a tuple of paths unless there is one."""
        paths = tuple(str(path) for path in store.locate(cls.spec, model_path))
        return paths[0] if len(paths) == 1 else paths

    @classmethod
    def u2net_home(cls) -> str:
        """Return the folder where downloads are stored."""
        return str(store.home())

    @classmethod
    def checksum_disabled(cls) -> bool:
        """Return whether ``MODEL_CHECKSUM_DISABLED`` is set."""
        return settings.checksum_disabled()
