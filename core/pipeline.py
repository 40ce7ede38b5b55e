"""Removing the background as rembg is called: composes the other rooms, no maths of its own."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from .checks import flag, one_of
from .errors import OptionError
from .imaging import composite
from .imaging.frame import frame_picture
from .imaging.framing import Framing
from .imaging.levels import alpha_to_mask, mask_to_alpha
from .imaging.mask import check_cleaning, post_process
from .imaging.parts import take_apart
from .imaging.picture import FileContent, Kind, Picture, give_back, open_picture
from .imaging.profile import from_srgb
from .imaging.resample import resize
from .layers import (
    Refinement,
    check_max_size,
    edge_colours_of,
    enough_memory,
    find_layers,
    layer_of_matte,
    refine_layer,
    shrink,
)
from .matting.methods import DEFAULT_METHOD, MattingOptions, check_method, find_matte
from .matting.trimap import read_trimap
from .options import EdgeColouring, RemoveOptions, check_known
from .session.ask import ask_masks
from .session.factory import get_session
from .session.protocol import AnySession, Layer
from .session.vitmatte import VitMatte, get_vitmatte
from .text import short

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger("rembg_sessions")

# How masks become cut-outs; "straight" is what putalpha asks for.
_CUTOUTS = {
    "straight": composite.straight_cutout,
    "original": composite.original_cutout,
    "naive": composite.naive_cutout,
}
EDGE_COLOURS: tuple[EdgeColouring, ...] = ("estimated", "original", "naive")


@overload
def remove(
    data: Picture, *, force_return_bytes: Literal[True], **options: Unpack[RemoveOptions]
) -> bytes: ...
@overload
def remove(data: bytes | bytearray | memoryview, **options: Unpack[RemoveOptions]) -> bytes: ...
@overload
def remove(data: NDArray[Any], **options: Unpack[RemoveOptions]) -> NDArray[np.uint8]: ...
@overload
def remove(
    data: str | os.PathLike[str] | Image.Image | FileContent, **options: Unpack[RemoveOptions]
) -> Image.Image: ...
@overload
def remove(
    data: Picture,
    *arguments: Any,
    force_return_bytes: bool = False,
    **options: Unpack[RemoveOptions],
) -> Any: ...
def remove(  # pyright: ignore[reportInconsistentOverload] of how many are given by position
    data: Picture,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: AnySession | None = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    vitmatte: bool = False,
    vitmatte_model: str | VitMatte | None = None,
    bgcolor: str | tuple[int, ...] | None = None,
    force_return_bytes: bool = False,
    *,
    putalpha: bool = False,
    edge_colours: EdgeColouring | None = None,
    max_size: int | None = None,
    channel_order: str = "RGB",
    sam_prompt: object = None,
    cloth_category: str | None = None,
    cc: str | None = None,
    matting_method: str | None = None,
    alpha_matting_scale_erode: bool = False,
    trimap: Picture | None = None,
    crop: bool | Framing = False,
    remove_specks: float = 0.0,
    fill_holes: bool | float = False,
    **unknown: Any,
) -> Any:
    """Cut the foreground out of a picture; call-compatible with rembg 2.0.86.

    Called with rembg's arguments alone, masks are rembg's own, of 8 bit; with ``edge_colours`` or
    a ``matting_method`` other than ``pymatting`` they are as exact as the session can.

    Parameters
    ----------
    data
        Bytes of an encoded file, a path, a Pillow picture, or an array; see
        :func:`.imaging.picture.open_picture`. EXIF orientation is applied.
    alpha_matting
        Refine the edge by alpha matting, and estimate foreground colours to go with it.
    alpha_matting_foreground_threshold, alpha_matting_background_threshold
        Mask values (0..255) above the first are certainly foreground, below the second certainly
        background.
    alpha_matting_erode_size
        Side in pixels of the square that erodes both certain regions: about the width of the
        unknown band along a hard edge.
    session
        From ``new_session``, from rembg, or any object with ``predict`` or ``process``;
        None uses the shared session of the default model.
    only_mask
        Return the mask, mode L, instead of a cut-out. With ``alpha_matting`` or ``vitmatte``
        alone it is the mask as the session found it, as in rembg; name a ``matting_method``, or
        give a trimap, to have it refined.
    post_process_mask
        Smooth the mask and make it binary.
    decontaminate
        Estimate the foreground colours of soft edges, as ``edge_colours="estimated"`` does.
    vitmatte
        The same as ``alpha_matting`` with the method ``vitmatte``.
    vitmatte_model
        For that method: a name in :data:`.session.vitmatte.VARIANTS`, or what
        :func:`.session.vitmatte.get_vitmatte` returned; None takes the first.
    bgcolor
        sRGB colour to put behind the cut-out: (r, g, b), (r, g, b, a), or a string, see
        :func:`.imaging.composite.parse_colour`.
    force_return_bytes
        Return PNG bytes whatever the input was.
    putalpha
        Set only alpha, as rembg does: the whole background stays in the file, under alpha 0.
    edge_colours
        What soft edges are coloured with: ``naive`` (rembg's default: colour times alpha),
        ``original`` (the picture's own colours; nothing is kept where alpha is 0) or
        ``estimated`` (foreground colours, estimated in milliseconds and without a compiler).
        None follows ``putalpha`` and ``decontaminate``; after matting it means ``estimated``,
        as in rembg, where only ``vitmatte`` respects ``putalpha``.
    max_size
        Show the session the picture with its longer side at most this many pixels, and bring
        alpha back to full size; matting and colours always work on the full-size picture.
    channel_order
        ``"BGR"`` for arrays from OpenCV, in and out.
    sam_prompt
        For SAM: a list of points and rectangles as in rembg.
    cloth_category, cc
        For clothes models: ``upper``, ``lower``, ``full`` or ``attire``.
    matting_method
        A name in :data:`.matting.methods.METHODS`; switches ``alpha_matting`` on. None takes
        ``closed-form``. ``pymatting`` gives exactly what rembg gives, colours included.
    alpha_matting_scale_erode
        The erode size is meant for 1024 pixels, and grows and shrinks with the picture.
    trimap
        Black, grey and white for background, unknown and foreground, see
        :func:`.matting.trimap.read_trimap`. It takes the place of the mask, so no session is needed
        or asked, and switches ``alpha_matting`` on.
    crop
        Crop the result to the subject; a :class:`.imaging.framing.Framing` says with which margin,
        and on a canvas of which size. ``bgcolor`` colours the whole canvas. Without a subject the
        result is not cropped, with a warning in the log.
    remove_specks
        Remove regions of the mask that are smaller than this share of the largest, with their
        soft edges, see :func:`.imaging.mask.remove_specks`. 0.01 takes away the clutter that
        networks find beside a subject; 0 removes none.
    fill_holes
        True, or 1, fills all holes of the mask; a number below those smaller than this share of
        the largest region.

    Returns
    -------
    bytes, PIL.Image.Image or ndarray
        The kind that came in (a Pillow picture for a path): RGBA, or L for masks. Several
        masks, or their cut-outs, stand below each other. A picture that was transparent
        already stays at least as transparent. The colour profile and the resolution are kept
        (in ``info`` of a Pillow picture: pass them on when you save it).

    Raises
    ------
    ImageError, OptionError
        If the input or an argument cannot be used.
    ModelRunError, ProviderError
        If the model failed.
    NotEnoughMemoryError

    Examples
    --------
    >>> from rembg_sessions import new_session
    >>> picture = Image.new("RGB", (60, 40), "white")
    >>> picture.paste("red", (20, 10, 40, 30))
    >>> cutout = remove(picture, session=new_session("backdrop"))
    >>> cutout.mode, cutout.getpixel((30, 20)), cutout.getpixel((5, 5))
    ('RGBA', (255, 0, 0, 255), (0, 0, 0, 0))
    """
    check_known(unknown)
    switches = {
        "alpha_matting": alpha_matting,
        "only_mask": only_mask,
        "post_process_mask": post_process_mask,
        "decontaminate": decontaminate,
        "vitmatte": vitmatte,
        "force_return_bytes": force_return_bytes,
        "putalpha": putalpha,
    }
    for name, value in switches.items():
        flag(name, value)
    category = cc if cloth_category is None else cloth_category
    if not isinstance(category, (str, NoneType)):
        raise OptionError(f"cloth_category is {short(category)}; use a category's name.")
    if edge_colours is not None:
        one_of("edge_colours", edge_colours, EDGE_COLOURS)
    check_max_size(max_size)
    check_cleaning(remove_specks, fill_holes)
    cleaning: dict[str, Any] = {"remove_specks": remove_specks, "fill_holes": fill_holes}
    framing = crop if isinstance(crop, Framing) else Framing() if flag("crop", crop) else None
    method = choose_method(alpha_matting, vitmatte, matting_method, trimap)
    colour = None if bgcolor is None else composite.parse_colour(bgcolor)
    picture, kind = open_picture(data, channel_order)
    with enough_memory(picture.size):
        parts = take_apart(picture)
        rgb, own_alpha = parts.rgb, parts.alpha

        as_rembg = edge_colours is None and matting_method in (None, "pymatting")
        colouring: str
        if edge_colours is not None:
            colouring = edge_colours
        elif putalpha and (vitmatte or not method):
            colouring = "straight"
        else:
            colouring = "estimated" if decontaminate or method else "naive"
        matting = None
        if method and (not only_mask or matting_method is not None or trimap is not None):
            matting = MattingOptions(
                method=method,
                foreground_threshold=alpha_matting_foreground_threshold,
                background_threshold=alpha_matting_background_threshold,
                erode_size=alpha_matting_erode_size,
                scale_erode=alpha_matting_scale_erode,
                model=_open_vitmatte(method, vitmatte_model),
            )
        question: dict[str, Any] = {
            "max_size": max_size,
            "sam_prompt": sam_prompt,
            "cloth_category": category,
        }

        is_as_found = matting is None and not (remove_specks or fill_holes)
        if as_rembg and is_as_found and (only_mask or colouring != "estimated"):
            masks = _find_masks(session, rgb, post_process_mask, **question)
            results = _draw_8_bit(rgb, masks, colouring, only_mask, own_alpha)
        else:
            pixels = np.asarray(rgb)
            if trimap is not None and matting is not None:
                drawn = read_trimap(trimap, (rgb.height, rgb.width))
                layers = [layer_of_matte(find_matte(pixels, None, drawn, options=matting))]
            elif as_rembg:
                masks = _find_masks(session, rgb, post_process_mask, **question)
                refinement = Refinement(matting=matting, **cleaning)
                layers = [
                    refine_layer(pixels, Layer(mask_to_alpha(found)), refinement) for found in masks
                ]
            else:
                session = get_session() if session is None else session
                refinement = Refinement(post_process=post_process_mask, matting=matting, **cleaning)
                layers = find_layers(session, rgb, **question)
                layers = [refine_layer(pixels, layer, refinement) for layer in layers]
            if not as_rembg:  # the method's own colours are not what was asked for
                layers = [replace(layer, cutout=None) for layer in layers]
            results = _draw(rgb, pixels, layers, colouring, only_mask, own_alpha)
        if framing is not None:
            results = [_framed(each, framing) for each in results]
        result = composite.stack(results)
        if colour is not None and not only_mask:
            if parts.profile:
                colour = (*from_srgb(colour[:3], parts.profile), colour[3])
            result = composite.over_colour(result, colour)
        return give_back(result, parts, Kind.BYTES if force_return_bytes else kind, channel_order)


def choose_method(
    alpha_matting: bool, vitmatte: bool, name: str | None, trimap: Picture | None
) -> str:
    """Return the matting method that arguments of :func:`remove` ask for; empty for none.

    Raises
    ------
    OptionError
        If they contradict each other, or there is no such method.
    """
    if name is not None:
        check_method(name)
    if vitmatte and name not in (None, "vitmatte"):
        raise OptionError(f"vitmatte and matting_method={short(name)} were both given; choose one.")
    if vitmatte:
        return "vitmatte"
    if name is None and (alpha_matting or trimap is not None):
        return DEFAULT_METHOD
    return name or ""


def _open_vitmatte(method: str, model: str | VitMatte | None) -> VitMatte | None:
    if not check_method(method).takes_model:
        return None
    return model if isinstance(model, VitMatte) else get_vitmatte(model)


def _find_masks(
    session: AnySession | None,
    rgb: Image.Image,
    smooth: bool,
    *,
    max_size: int | None,
    sam_prompt: object,
    cloth_category: str | None,
) -> list[Image.Image]:
    """Ask for masks of 8 bit, which this pack's sessions give as rembg's do."""
    small, sam_prompt = shrink(rgb, max_size, sam_prompt)
    session = get_session() if session is None else session
    masks = ask_masks(session, small, sam_prompt=sam_prompt, cloth_category=cloth_category)
    masks = [resize(found, (rgb.height, rgb.width)) for found in masks]
    if smooth:
        masks = [Image.fromarray(post_process(np.asarray(found))) for found in masks]
    return masks


def _draw_8_bit(
    rgb: Image.Image,
    masks: list[Image.Image],
    colouring: str,
    only_mask: bool,
    own_alpha: Image.Image | None,
) -> list[Image.Image]:
    """Return masks or cut-outs, rembg's pixels: 8 bit from end to end."""
    if own_alpha is not None:
        masks = [ImageChops.darker(found, own_alpha) for found in masks]
    if only_mask:
        return masks
    return [_CUTOUTS[colouring](rgb, found) for found in masks]


def _draw(
    rgb: Image.Image,
    pixels: NDArray[np.uint8],
    layers: list[Layer],
    colouring: str,
    only_mask: bool,
    own_alpha: Image.Image | None,
) -> list[Image.Image]:
    """Return masks or cut-outs of layers."""
    if only_mask or colouring != "estimated":
        masks = [alpha_to_mask(layer.alpha) for layer in layers]
        return _draw_8_bit(rgb, masks, colouring, only_mask, own_alpha)
    limit = None if own_alpha is None else np.asarray(own_alpha)
    return [_estimated(pixels, layer, limit) for layer in layers]


def _estimated(
    pixels: NDArray[np.uint8], layer: Layer, limit: NDArray[np.uint8] | None
) -> Image.Image:
    """Return a cut-out, at most as opaque as the picture was; its colours were straight before."""
    if layer.cutout is None:
        return composite.cut_out(pixels, layer.alpha, edge_colours_of(pixels, layer), limit)
    cutout = layer.cutout.copy()
    if limit is not None:
        np.minimum(cutout[..., 3], limit, out=cutout[..., 3])
    cutout *= cutout[..., 3:] > 0
    return Image.fromarray(cutout)


def _framed(result: Image.Image, framing: Framing) -> Image.Image:
    framed, is_found = frame_picture(result, framing)
    if not is_found:
        _log.warning(
            "No subject was found (alpha is nowhere above %g): the result is not cropped.",
            framing.threshold,
        )
    return framed
