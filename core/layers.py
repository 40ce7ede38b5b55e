"""One picture's way from a session to refined foregrounds: the same for Python, shell and nodes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .checks import flag, whole
from .errors import NotEnoughMemoryError, OptionError, RembgSessionsError
from .imaging import mask
from .imaging.foreground import EdgeColours, estimate_edge_colours
from .imaging.levels import to_levels
from .imaging.parts import check_pillow
from .imaging.resample import resize, resize_alpha
from .machine import free_memory
from .matting.methods import Matte, MattingOptions, check_method, find_matte
from .session.ask import ask_layers
from .session.prompt import check_prompt, scale_prompt
from .session.protocol import AnySession, Layer
from .text import short

LONGEST = 1 << 20
"""Pixels that no side of a picture has more of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """What is done to the alpha of a layer, in this order.

    Attributes
    ----------
    post_process
        Smooth the mask and make it hard-edged, see :func:`.mask.post_process`.
    matting
        Solve soft edges by alpha matting; None does not.
    threshold
        Make alpha 1 from this value on (0..1) and 0 below; None keeps soft values.
    remove_specks, keep_largest, fill_holes, grow, feather
        See :func:`.mask.refine`. With matting, the first three clean its mask: so it looks for
        fine hair in what is left, and what it finds stays.
    invert
        Swap foreground and background.
    """

    post_process: bool = False
    matting: MattingOptions | None = None
    threshold: float | None = None
    remove_specks: float = 0.0
    keep_largest: bool = False
    fill_holes: bool | float = False
    grow: int = 0
    feather: float = 0.0
    invert: bool = False

    def __post_init__(self) -> None:
        """Raise OptionError where a type is wrong; numbers are checked where they are used."""
        for name in ("post_process", "keep_largest", "invert"):
            flag(name, getattr(self, name))
        if self.matting is not None and not isinstance(self.matting, MattingOptions):
            raise OptionError(f"matting is {short(self.matting)}; use MattingOptions or None.")


@contextmanager
def enough_memory(size: tuple[int, int]) -> Generator[None]:
    """Say what to do where memory ends while a picture of (width, height) is worked on.

    Raises
    ------
    NotEnoughMemoryError
        If the work inside raised a bare MemoryError, or could not start a thread.
    """
    try:
        yield
    except RembgSessionsError:
        raise
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "can't start new thread" not in str(error):
            raise
        raise NotEnoughMemoryError(
            f"There is not enough memory for a picture of {size[0]}×{size[1]} pixels: "
            f"{free_memory() / 2**20:.0f} MiB are free. Free some memory, or make the picture "
            "smaller."
        ) from error


def find_layers(
    session: AnySession,
    rgb: Image.Image,
    *,
    max_size: int | None = None,
    sam_prompt: object = None,
    cloth_category: str | None = None,
    stretch: bool = True,
) -> list[Layer]:
    """Ask a session for the foregrounds of a picture.

    Parameters
    ----------
    session
        Any session.
    rgb
        Mode RGB.
    max_size
        Show the session a picture whose longer side has at most this many pixels, and bring
        alpha back to full size; None for no limit.
    sam_prompt
        In pixels of ``rgb``; see :func:`.prompt.check_prompt`.
    cloth_category
        See :meth:`.rembg_api.BaseSession.predict_alpha`.
    stretch
        Whether a session that would stretch a network's answer to 0..1, picture by picture, does
        so. Not for frames of a clip, see :func:`.frames.steady_layers`.

    Returns
    -------
    list of Layer
        At least one, of the size of ``rgb``.

    Raises
    ------
    OptionError, ImageError
        If an argument, or the session's answer, cannot be used.
    ModelRunError, ProviderError
        If the model failed.
    NotEnoughMemoryError
    """
    check_pillow(rgb)
    with enough_memory(rgb.size):
        small, sam_prompt = shrink(rgb, max_size, sam_prompt)
        question: dict[str, object] = {"sam_prompt": sam_prompt, "cloth_category": cloth_category}
        if not flag("stretch", stretch) and getattr(session, "stretches", False):
            question["stretch"] = False
        layers = ask_layers(session, small, **question)
        if small is rgb:
            return layers
        size_hw = (rgb.height, rgb.width)
        # colours belong to the small picture's pixels
        return [
            Layer(resize_alpha(each.alpha, size_hw), warning=each.warning, stretched=each.stretched)
            for each in layers
        ]


def refine_layer(
    image: NDArray[np.uint8],
    layer: Layer,
    refinement: Refinement,
    *,
    on_step: Callable[[], None] | None = None,
) -> Layer:
    """Refine the alpha of a layer.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    on_step
        Called many times a second during matting; may raise to cancel.

    Returns
    -------
    Layer
        The very same where nothing was to be done.

    Raises
    ------
    OptionError
        If an option is out of range.
    NotEnoughMemoryError
    ModelRunError, ProviderError, WeightsError
        From matting only.
    """
    with enough_memory((image.shape[1], image.shape[0])):
        found = layer
        if refinement.post_process:
            smooth = mask.post_process(to_levels(layer.alpha))
            found = Layer(np.divide(smooth, 255, dtype=np.float32), warning=layer.warning)
        cleaning: dict[str, Any] = {
            "specks": refinement.remove_specks,
            "largest": refinement.keep_largest,
            "holes": refinement.fill_holes,
        }
        if refinement.matting is not None:
            found = _with_alpha(found, mask.refine(found.alpha, **cleaning))
            cleaning.clear()
            matte = find_matte(
                image, to_levels(found.alpha), options=refinement.matting, on_step=on_step
            )
            stays = check_method(refinement.matting.method).keeps_mask and not matte.method
            if matte.warning or not stays:  # else it is as exact as it was
                found = layer_of_matte(matte, found.warning)
        alpha = mask.refine(
            found.alpha,
            level=refinement.threshold,
            grow_pixels=refinement.grow,
            feather_radius=refinement.feather,
            **cleaning,
        )
        if refinement.invert:
            alpha = 1 - alpha
        return _with_alpha(found, alpha)


def _with_alpha(layer: Layer, alpha: NDArray[np.float32]) -> Layer:
    """Return a layer with another alpha, and those known colours of its edge that still hold."""
    if alpha is layer.alpha:
        return layer
    edge = layer.edge
    if edge is not None:
        is_same = alpha == layer.alpha
        known = is_same.reshape(-1)[edge.pixels]
        is_hard = (is_same | (alpha == 0) | (alpha == 1)).all()  # no new soft edge
        edge = EdgeColours(edge.pixels[known], edge.colours[known]) if is_hard else None
    return Layer(alpha, edge=edge, solved=layer.solved, warning=layer.warning)


def layer_of_matte(matte: Matte, warning: str = "") -> Layer:
    """Return what matting found, with the warnings so far."""
    return Layer(
        matte.alpha,
        solved=bool(matte.method),
        cutout=matte.cutout,
        warning=" ".join(filter(None, (warning, matte.warning))),
    )


def edge_colours_of(image: NDArray[np.uint8], layer: Layer) -> EdgeColours:
    """Return the foreground colours of a layer's soft edges, estimated where they are not known.

    ``image`` is uint8 (H, W, 3), sRGB.
    """
    if layer.edge is not None:
        return layer.edge
    return estimate_edge_colours(image, layer.alpha, solved=layer.solved)


def check_max_size(max_size: int | None) -> None:
    """Raise OptionError unless a limit of pixels makes sense; None is no limit."""
    if max_size is not None:
        whole("max_size", max_size, 1, LONGEST)


def shrink(
    picture: Image.Image, max_size: int | None, sam_prompt: object = None
) -> tuple[Image.Image, object]:
    """Return the picture with its longer side at most ``max_size`` pixels, and its prompt.

    Raises
    ------
    OptionError
        If ``max_size`` is below 1, or the prompt cannot be used.
    """
    check_max_size(max_size)
    longer = max(picture.size)
    if max_size is None or longer <= max_size:
        return picture, sam_prompt
    from_hw = (picture.height, picture.width)
    to_hw = (
        max(1, round(picture.height * max_size / longer)),
        max(1, round(picture.width * max_size / longer)),
    )
    if sam_prompt is not None:
        sam_prompt = scale_prompt(check_prompt(sam_prompt, from_hw), from_hw, to_hw)
    return resize(picture, to_hw), sam_prompt
