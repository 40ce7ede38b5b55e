"""Removing the background: composes the other modules, no maths of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageChops

from . import composite, mask, matting, preprocess
from .errors import ImageError, OptionError
from .foreground import Band
from .picture import Kind, Picture, give_back, open_picture, split_alpha
from .sam import check_prompt, scale_prompt

EdgeColours = Literal["naive", "original", "estimated"]
EDGE_COLOURS: tuple[EdgeColours, ...] = ("estimated", "original", "naive")


def remove(
    data: Picture,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: Any = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    vitmatte: bool = False,
    vitmatte_model: str | None = None,
    bgcolor: str | tuple[int, ...] | None = None,
    force_return_bytes: bool = False,
    *,
    putalpha: bool = False,
    edge_colours: EdgeColours | None = None,
    max_size: int | None = None,
    channel_order: str = "RGB",
    sam_prompt: Any = None,
    cloth_category: str | None = None,
    cc: str | None = None,
) -> Any:
    """Cut the foreground out of a picture; call-compatible with rembg 2.0.86.

    Parameters
    ----------
    data
        Bytes of an encoded file, a path, a Pillow picture, or an array; see
        :func:`.picture.open_picture`. EXIF orientation is applied.
    alpha_matting
        Refine the edge with closed-form matting; the three arguments that follow are those
        of :func:`.matting.trimap_from_mask`. Takes precedence over the edge colours.
    session
        From ``new_session``, from rembg, or any object with ``predict`` or ``process``;
        None uses the shared session of the default model.
    only_mask
        Return the mask, mode L, instead of a cut-out.
    post_process_mask
        Smooth the mask and make it binary.
    decontaminate
        Estimate the foreground colours of soft edges with pymatting's multi-level method.
    vitmatte, vitmatte_model
        Not available yet.
    bgcolor
        Colour to put behind the cut-out: (r, g, b), (r, g, b, a), or a string, see
        :func:`.composite.parse_colour`.
    force_return_bytes
        Return PNG bytes whatever the input was.
    putalpha
        Keep the picture's own colours and set only alpha.
    edge_colours
        What soft edges are coloured with: ``naive`` (rembg's default: colour times alpha),
        ``original`` (like ``putalpha``) or ``estimated`` (foreground colours, estimated in
        milliseconds and without a compiler). None follows ``putalpha`` and
        ``decontaminate``.
    max_size
        Process the picture with its longer side at most this many pixels and bring alpha
        back to full size; colours always come from the full-size picture.
    channel_order
        ``"BGR"`` for arrays from OpenCV, in and out.
    sam_prompt
        For SAM: a list of points and rectangles as in rembg.
    cloth_category, cc
        For clothes models: ``upper``, ``lower``, ``full`` or ``attire``.

    Returns
    -------
    bytes, PIL.Image.Image or ndarray
        The kind that came in (a Pillow picture for a path): RGBA, or L for masks. Several
        masks, or their cut-outs, stand below each other. A picture that was transparent
        already stays at least as transparent.

    Raises
    ------
    ImageError, OptionError
        If the input or an argument cannot be used.
    ModelRunError, ProviderError
        If the model failed.
    """
    if vitmatte or vitmatte_model is not None:
        raise OptionError("vitmatte is not available yet; use alpha_matting=True instead.")
    if edge_colours is not None and edge_colours not in EDGE_COLOURS:
        allowed = ", ".join(EDGE_COLOURS)
        raise OptionError(f"edge_colours is {edge_colours!r}; use one of {allowed}.")
    if max_size is not None and max_size < 1:
        raise OptionError(f"max_size is {max_size}; use a number of pixels, or None.")
    colour = None if bgcolor is None else composite.parse_colour(bgcolor)
    picture, kind = open_picture(data, channel_order)
    if force_return_bytes:
        kind = Kind.BYTES
    rgb, own_alpha = split_alpha(picture)
    small, sam_prompt = shrink(rgb, max_size, sam_prompt)

    if session is None:
        from .sessions import get_session

        session = get_session()
    options: dict[str, Any] = {"sam_prompt": sam_prompt, "cloth_category": cloth_category or cc}
    bands: list[Band | None] = []
    if edge_colours == "estimated" and hasattr(session, "predict_layers"):
        masks, bands = _predict_layers(session, small, options)
    else:
        masks = predict_masks(session, small, **options)
    if small is not rgb or post_process_mask:
        bands = []  # they belong to the mask as it was

    results: list[Image.Image] = []
    for found, band in zip_longest(masks, bands):
        if post_process_mask:
            found = Image.fromarray(mask.post_process(np.asarray(found)))
        alpha = None
        if alpha_matting and not only_mask:
            alpha = matting.matte(
                small,
                np.asarray(found),
                alpha_matting_foreground_threshold,
                alpha_matting_background_threshold,
                alpha_matting_erode_size,
            )
            alpha = preprocess.resize_alpha(alpha, (rgb.height, rgb.width))
            found = preprocess.alpha_to_mask(alpha)
        found = preprocess.resize(found, (rgb.height, rgb.width))
        if only_mask:
            results.append(found if own_alpha is None else ImageChops.darker(found, own_alpha))
        elif alpha is not None:
            colours = matting.estimate_foreground_ml(np.asarray(rgb), alpha)
            results.append(_limit(composite.coloured_cutout(colours, found), own_alpha))
        elif edge_colours == "estimated":
            results.append(_limit(composite.estimated_cutout(rgb, found, band), own_alpha))
        elif edge_colours is None and decontaminate and not putalpha:
            colours = matting.estimate_foreground_ml(
                np.asarray(rgb), preprocess.mask_to_alpha(found)
            )
            results.append(_limit(composite.coloured_cutout(colours, found), own_alpha))
        else:
            straight = edge_colours == "original" or (edge_colours is None and putalpha)
            cutout = composite.straight_cutout if straight else composite.naive_cutout
            if own_alpha is not None:
                found = ImageChops.darker(found, own_alpha)
            results.append(cutout(rgb, found))
    result = composite.stack(results)
    if colour is not None and not only_mask:
        result = composite.over_colour(result, colour)
    return give_back(result, kind, channel_order)


def _limit(cutout: Image.Image, own_alpha: Image.Image | None) -> Image.Image:
    """Make a cut-out at most as opaque as the picture was, and clear what was invisible.

    The colours stay: they were straight before, and are now.
    """
    if own_alpha is not None:
        cutout.putalpha(ImageChops.darker(cutout.getchannel("A"), own_alpha))
        cutout.paste((0, 0, 0, 0), mask=own_alpha.point([255] + 255 * [0]))
    return cutout


def shrink(
    picture: Image.Image, max_size: int | None, sam_prompt: Any = None
) -> tuple[Image.Image, Any]:
    """Return the picture with its longer side at most ``max_size`` pixels, and its prompt."""
    longer = max(picture.size)
    if not max_size or longer <= max_size:
        return picture, sam_prompt
    from_hw = (picture.height, picture.width)
    to_hw = (
        max(1, round(picture.height * max_size / longer)),
        max(1, round(picture.width * max_size / longer)),
    )
    if sam_prompt is not None:
        sam_prompt = scale_prompt(check_prompt(sam_prompt, from_hw), from_hw, to_hw)
    return preprocess.resize(picture, to_hw), sam_prompt


def predict_masks(session: Any, rgb: Image.Image, **options: Any) -> list[Image.Image]:
    """Ask any session for masks of a picture's size.

    Parameters
    ----------
    session
        An object with ``predict`` (ours, rembg's) or ``process`` (RGB in, RGBA out).
    rgb
        Mode RGB.
    **options
        Passed on to ``predict`` where they are not None.

    Returns
    -------
    list of PIL.Image.Image
        At least one; mode L.

    Raises
    ------
    OptionError
        If the object is no session, or takes no options.
    ImageError
        If it answers with no mask or one of another size.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if hasattr(session, "predict"):
        masks = session.predict(rgb, **given)
    elif hasattr(session, "process"):
        if given:
            raise OptionError(f"This session takes no {' or '.join(given)}.")
        cutout = session.process(rgb)
        if cutout.mode not in ("RGBA", "LA"):
            raise ImageError(f"The session answered with mode {cutout.mode}; expected RGBA.")
        masks = [cutout.getchannel("A")]
    else:
        raise OptionError(
            f"{type(session).__name__} is no session: it has neither predict nor process. "
            "Pass what new_session returned."
        )
    if not masks:
        raise ImageError("The session answered with no mask.")
    for found in masks:
        if found.size != rgb.size:
            raise ImageError(f"The session answered with a mask of {found.size} for {rgb.size}.")
    return [found if found.mode == "L" else found.convert("L") for found in masks]


def _predict_layers(
    session: Any, rgb: Image.Image, options: dict[str, Any]
) -> tuple[list[Image.Image], list[Band | None]]:
    given = {name: value for name, value in options.items() if value is not None}
    layers = session.predict_layers(rgb, **given)
    return [preprocess.alpha_to_mask(alpha) for alpha, _ in layers], [band for _, band in layers]


def remove_batch(
    images: Iterable[Picture], session: Any = None, *, workers: int = 2, **options: Any
) -> Iterator[Any]:
    """Cut out many pictures, yielding results in order.

    While one picture is in the model, another is being prepared or finished. At most
    ``2 * workers`` pictures are held at a time, so the input may be endless.

    Parameters
    ----------
    images
        Anything :func:`remove` takes.
    session
        One session for all; None uses the shared default.
    workers
        Threads, ≥ 1.
    **options
        Keyword arguments of :func:`remove`.

    Raises
    ------
    OptionError
        If ``workers`` is below 1. Errors of a picture, or of the input, are raised in their turn.
    """
    if workers < 1:
        raise OptionError(f"workers is {workers}; use 1 or more.")
    return _remove_batch(iter(images), session, workers, options)


def _remove_batch(
    images: Iterator[Picture], session: Any, workers: int, options: dict[str, Any]
) -> Iterator[Any]:
    pending: deque[Future[Any]] = deque()

    def submit() -> Iterator[Future[Any]]:
        try:
            for image in images:
                yield pool.submit(remove, image, session=session, **options)
        except Exception as error:  # the source's own: raised after the pictures before it
            failed: Future[Any] = Future()
            failed.set_exception(error)
            yield failed

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in submit():
                pending.append(future)
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:  # the caller stopped early
                future.cancel()
