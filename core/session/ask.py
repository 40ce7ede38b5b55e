"""Asks any session: this pack's, rembg's, and those that only cut out."""

from __future__ import annotations

from typing import Any

from PIL import Image

from ..errors import ImageError, OptionError
from ..imaging.levels import mask_to_alpha
from .protocol import AnySession, FindsLayers, Layer, Predicts, Processes


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
        layers = session.predict_layers(rgb, **given)
        _check([layer.alpha.shape[::-1] for layer in layers], rgb)
        return layers
    return [Layer(mask_to_alpha(mask)) for mask in ask_masks(session, rgb, **options)]


def ask_masks(session: AnySession, rgb: Image.Image, **options: object) -> list[Image.Image]:
    """Ask any session for masks of 8 bit; this pack's give rembg's very pixels.

    Parameters
    ----------
    session
        An object with ``predict`` (ours, rembg's) or ``process`` (RGB in, RGBA out).
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
        If it answers with no mask or one of another size.
    """
    given = _given(options)
    if isinstance(session, type):
        raise OptionError(
            f"{session.__name__} is a class, not a session; pass what new_session returned."
        )
    if isinstance(session, Predicts):
        masks = session.predict(rgb, **given)
    elif isinstance(session, Processes):
        if given:
            raise OptionError(f"This session does not take {' or '.join(given)}.")
        cutout = session.process(rgb)
        if cutout.mode not in ("RGBA", "LA"):
            raise ImageError(f"The session answered with mode {cutout.mode}; expected RGBA.")
        masks = [cutout.getchannel("A")]
    else:
        raise OptionError(
            f"{type(session).__name__} is not a session: it has neither predict nor process. "
            "Pass what new_session returned."
        )
    _check([mask.size for mask in masks], rgb)
    return [mask if mask.mode == "L" else mask.convert("L") for mask in masks]


def _given(options: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _check(sizes: list[tuple[int, ...]], rgb: Image.Image) -> None:
    if not sizes:
        raise ImageError("The session answered with no mask.")
    for size in sizes:
        if size != rgb.size:
            raise ImageError(f"The session answered with a mask of {size} for {rgb.size}.")
