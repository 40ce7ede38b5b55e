"""Asks any session: this pack's, rembg's, and those that only cut out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError, OptionError
from ..imaging.levels import alpha_to_mask, mask_to_alpha
from ..imaging.parts import reading, to_grey
from ..text import short
from .protocol import AnySession, FindsLayers, Layer, Predicts, Processes

MOST_MASKS = 1000
"""Masks of one answer at most: a session that gives them one by one may never end."""


def ask_layers(session: AnySession, rgb: Image.Image, **options: object) -> list[Layer]:
    """Ask any session for the foregrounds of a picture.

    Parameters
    ----------
    session, rgb, **options
        As :func:`ask_masks` takes them.

    Returns
    -------
    list of Layer
        At least one, of the picture's size; as exact as the session can.

    Raises
    ------
    OptionError, ImageError
        As :func:`ask_masks` does.
    """
    if isinstance(session, FindsLayers) and not isinstance(session, type):
        given: dict[str, Any] = _given(options)
        layers = _listed(session.predict_layers(rgb, **given), "layers")
        return [_checked_layer(layer, rgb) for layer in layers]
    return [Layer(mask_to_alpha(mask)) for mask in ask_masks(session, rgb, **options)]


def ask_masks(session: AnySession, rgb: Image.Image, **options: object) -> list[Image.Image]:
    """Ask any session for masks of 8 bit; this pack's give rembg's very pixels.

    Parameters
    ----------
    session
        An object with ``predict`` (ours, rembg's), ``process`` (RGB in, RGBA out) or
        ``predict_layers``. What it raises is not caught: it may be how its owner cancels.
    rgb
        Mode RGB.
    **options
        Passed on where they are not None.

    Returns
    -------
    list of PIL.Image.Image
        At least one; mode L.

    Raises
    ------
    OptionError
        If the object is not a session, or does not take an option.
    ImageError
        If it answers with no mask, with more than ``MOST_MASKS``, with one of another size, or
        with something else.
    """
    given = _given(options)
    if isinstance(session, type):
        raise OptionError(
            f"{session.__name__} is a class, not a session; pass what new_session returned."
        )
    # a session of others may draw on what it is shown
    shown = rgb if isinstance(session, FindsLayers) else rgb.copy()
    if isinstance(session, Predicts):
        masks = _listed(session.predict(shown, **given), "masks")
    elif isinstance(session, Processes):
        if given:
            raise OptionError(f"This session does not take {' or '.join(given)}.")
        masks = [_alpha_of(session.process(shown))]
    elif isinstance(session, FindsLayers):
        return [alpha_to_mask(layer.alpha) for layer in ask_layers(session, rgb, **options)]
    else:
        raise OptionError(
            f"{type(session).__name__} is not a session: it has neither predict nor process. "
            "Pass what new_session returned."
        )
    return [_checked_mask(mask, rgb) for mask in masks]


def _given(options: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _listed(answer: object, what: str) -> list[object]:
    """Return an answer as a list of at least one."""
    if isinstance(answer, (str, bytes, dict, np.ndarray)) or not isinstance(answer, Iterable):
        given = cast(object, answer)
        raise ImageError(f"The session answered with {short(given)}; expected a list of {what}.")
    listed = list(islice(cast(Iterable[object], answer), MOST_MASKS + 1))
    if not listed:
        raise ImageError("The session answered with no mask.")
    if len(listed) > MOST_MASKS:
        raise ImageError(f"The session answered with more than {MOST_MASKS} {what}.")
    return listed


def _alpha_of(cutout: object) -> Image.Image:
    if not isinstance(cutout, Image.Image):
        raise ImageError(f"The session answered with {short(cutout)}; expected a Pillow picture.")
    if cutout.mode not in ("RGBA", "LA"):
        raise ImageError(f"The session answered with mode {cutout.mode}; expected RGBA.")
    with reading("The session's cut-out"):
        return cutout.getchannel("A")


def _checked_mask(mask: object, rgb: Image.Image) -> Image.Image:
    if not isinstance(mask, Image.Image):
        raise ImageError(
            f"The session answered with {short(mask)} for a mask; expected a Pillow picture of "
            "mode L."
        )
    _check_size(mask.size, rgb)
    try:
        with reading("It"):
            # a copy, which is ours to change
            return mask.copy() if mask.mode == "L" else to_grey(mask)
    except ImageError as error:
        raise ImageError(f"The session answered with a mask that is of no use: {error}") from error


def _checked_layer(layer: Any, rgb: Image.Image) -> Layer:
    """Return a layer that is sound; it may come from another copy of this package."""
    alpha = _array(getattr(layer, "alpha", None), "f")
    if alpha is None or alpha.ndim != 2:
        raise ImageError(f"The session answered with {short(layer)}; expected a Layer of floats.")
    _check_size(alpha.shape[::-1], rgb)
    if not (alpha.min() >= 0 and alpha.max() <= 1):  # neither holds of NaN
        raise ImageError("The session answered with alpha outside 0 to 1, or NaN.")
    edge, cutout = getattr(layer, "edge", None), getattr(layer, "cutout", None)
    if edge is not None and not _are_colours(edge, alpha.size):
        raise ImageError("The session answered with colours of edges that do not fit its alpha.")
    cut = _array(cutout, "u")
    if cutout is not None and (cut is None or (cut.shape, cut.itemsize) != ((*alpha.shape, 4), 1)):
        raise ImageError("The session answered with a cut-out that does not fit its alpha.")
    warning = getattr(layer, "warning", "")
    return Layer(
        np.asarray(alpha, np.float32),
        edge=edge,
        solved=bool(getattr(layer, "solved", False)),
        cutout=cut,
        warning=warning if isinstance(warning, str) else "",
        stretched=bool(getattr(layer, "stretched", True)),
    )


def _are_colours(edge: Any, size: int) -> bool:
    """Return whether something is colours of edges, in a picture of ``size`` pixels."""
    pixels = _array(getattr(edge, "pixels", None), "iu")
    colours = _array(getattr(edge, "colours", None), "f")
    if pixels is None or colours is None or pixels.ndim != 1 or colours.shape != (len(pixels), 3):
        return False
    if not len(pixels):
        return True
    within = pixels.min() >= 0 and pixels.max() < size
    return bool(within and colours.min() >= 0 and colours.max() <= 255)


def _array(value: Any, kinds: str) -> NDArray[Any] | None:
    """Return an array of some kinds of numbers; None if it is none."""
    array = cast(NDArray[Any], value)
    return array if isinstance(value, np.ndarray) and array.dtype.kind in kinds else None


def _check_size(size: tuple[int, ...], rgb: Image.Image) -> None:
    if size != rgb.size:
        raise ImageError(f"The session answered with a mask of {size} for {rgb.size}.")
