"""Removing the background: composes the other modules, no maths of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from . import composite, mask, preprocess
from .errors import ImageError, OptionError
from .foreground import Band, estimate_band
from .matting import DEFAULT_METHOD, Matte, check_method, find_matte
from .picture import Kind, Picture, give_back, open_picture, split_alpha
from .prompt import check_prompt, scale_prompt
from .trimap import read_trimap
from .vitmatte import VitMatte, get_vitmatte

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
    vitmatte_model: str | VitMatte | None = None,
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
    matting_method: str | None = None,
    alpha_matting_scale_erode: bool = False,
    trimap: Picture | None = None,
) -> Any:
    """Cut the foreground out of a picture; call-compatible with rembg 2.0.86.

    Parameters
    ----------
    data
        Bytes of an encoded file, a path, a Pillow picture, or an array; see
        :func:`.picture.open_picture`. EXIF orientation is applied.
    alpha_matting
        Refine the edge by alpha matting, and estimate foreground colours to go with it.
    alpha_matting_foreground_threshold, alpha_matting_background_threshold
        0..255: mask values above the first are certainly foreground, below the second
        certainly background.
    alpha_matting_erode_size
        Side in pixels of the square that erodes both certain regions: about the width of the
        band that is solved along a hard edge.
    session
        From ``new_session``, from rembg, or any object with ``predict`` or ``process``;
        None uses the shared session of the default model.
    only_mask
        Return the mask, mode L, instead of a cut-out: as the session found it, without
        matting; given a trimap, its alpha.
    post_process_mask
        Smooth the mask and make it binary.
    decontaminate
        Estimate the foreground colours of soft edges, as ``edge_colours="estimated"`` does.
    vitmatte
        The same as ``alpha_matting`` with the method ``vitmatte``.
    vitmatte_model
        For that method: a name in :data:`.vitmatte.VARIANTS`, or what
        :func:`.vitmatte.get_vitmatte` returned; None takes the first.
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
        ``decontaminate``; after matting it means ``estimated``, as in rembg, where only
        ``vitmatte`` respects ``putalpha``.
    max_size
        Process the picture with its longer side at most this many pixels and bring alpha
        back to full size; colours always come from the full-size picture.
    channel_order
        ``"BGR"`` for arrays from OpenCV, in and out.
    sam_prompt
        For SAM: a list of points and rectangles as in rembg.
    cloth_category, cc
        For clothes models: ``upper``, ``lower``, ``full`` or ``attire``.
    matting_method
        A name in :data:`.matting.METHODS`; switches ``alpha_matting`` on. None takes
        ``closed-form``. ``pymatting`` gives exactly what rembg gives, colours included.
    alpha_matting_scale_erode
        The erode size is meant for 1024 pixels, and grows and shrinks with the picture.
    trimap
        Black, grey and white for background, unknown and foreground, see
        :func:`.trimap.read_trimap`. It takes the place of the mask, so no session is needed
        or asked, and switches ``alpha_matting`` on.

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
    if edge_colours is not None and edge_colours not in EDGE_COLOURS:
        allowed = ", ".join(EDGE_COLOURS)
        raise OptionError(f"edge_colours is {edge_colours!r}; use one of {allowed}.")
    if max_size is not None and max_size < 1:
        raise OptionError(f"max_size is {max_size}; use a number of pixels, or None.")
    method = choose_method(alpha_matting, vitmatte, matting_method, trimap)
    colour = None if bgcolor is None else composite.parse_colour(bgcolor)
    picture, kind = open_picture(data, channel_order)
    if force_return_bytes:
        kind = Kind.BYTES
    rgb, own_alpha = split_alpha(picture)
    small, sam_prompt = shrink(rgb, max_size, sam_prompt)

    if edge_colours is None and putalpha and (vitmatte or not method):
        edge_colours = "original"
    model = None
    matted = bool(method) and (trimap is not None or not only_mask)
    if matted and check_method(method).takes_model:
        given = isinstance(vitmatte_model, VitMatte)
        model = vitmatte_model if given else get_vitmatte(vitmatte_model)

    def refine(found: Image.Image | None, drawn: NDArray[np.float32] | None = None) -> Matte:
        return find_matte(
            np.asarray(small),
            None if found is None else np.asarray(found),
            drawn,
            method=method,
            foreground_threshold=alpha_matting_foreground_threshold,
            background_threshold=alpha_matting_background_threshold,
            erode_size=alpha_matting_erode_size,
            scale_erode=alpha_matting_scale_erode,
            model=model,
        )

    results: list[Image.Image] = []
    if trimap is not None:
        matte = refine(None, read_trimap(trimap, (small.height, small.width)))
        cutout = _matte_cutout(rgb, matte, method, edge_colours, own_alpha)
        results.append(cutout.getchannel("A") if only_mask else cutout)
    else:
        if session is None:
            from .sessions import get_session

            session = get_session()
        options = {"sam_prompt": sam_prompt, "cloth_category": cloth_category or cc}
        bands: list[Band | None] = []
        if edge_colours == "estimated" and not method and hasattr(session, "predict_layers"):
            masks, bands = _predict_layers(session, small, options)
        else:
            masks = predict_masks(session, small, **options)
        if small is not rgb or post_process_mask:
            bands = []  # they belong to the mask as it was
        for found, band in zip_longest(masks, bands):
            if post_process_mask:
                found = Image.fromarray(mask.post_process(np.asarray(found)))
            if matted:
                matte = refine(found)
                results.append(_matte_cutout(rgb, matte, method, edge_colours, own_alpha))
                continue
            found = preprocess.resize(found, (rgb.height, rgb.width))
            if only_mask:
                results.append(_darker(found, own_alpha))
            else:
                colours = edge_colours or ("estimated" if decontaminate else "naive")
                results.append(_mask_cutout(rgb, found, band, colours, own_alpha))
    result = composite.stack(results)
    if colour is not None and not only_mask:
        result = composite.over_colour(result, colour)
    return give_back(result, kind, channel_order)


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
        raise OptionError(f"vitmatte and matting_method={name!r} were both given; choose one.")
    if vitmatte:
        return "vitmatte"
    if name is None and (alpha_matting or trimap is not None):
        return DEFAULT_METHOD
    return name or ""


def _matte_cutout(
    rgb: Image.Image,
    matte: Matte,
    method: str,
    edge_colours: EdgeColours | None,
    own_alpha: Image.Image | None,
) -> Image.Image:
    """Cut out with a matte of the picture's proportions; ``method`` is the one asked for."""
    size_hw, pixels = (rgb.height, rgb.width), np.asarray(rgb)
    alpha = preprocess.resize_alpha(matte.alpha, size_hw)
    colour = check_method(method).colour
    if edge_colours is None and colour is not None:
        levels = matte.cutout
        if levels is None or levels.shape[:2] != size_hw:
            levels = colour(pixels, alpha)
        return _limit(Image.fromarray(levels), own_alpha)
    if edge_colours in (None, "estimated"):
        band = estimate_band(pixels, alpha, solved=bool(matte.method))
        return _limit(composite.cut_out(pixels, alpha, band), own_alpha)
    found = preprocess.alpha_to_mask(alpha)
    return _mask_cutout(rgb, found, None, edge_colours, own_alpha)


def _mask_cutout(
    rgb: Image.Image,
    found: Image.Image,
    band: Band | None,
    edge_colours: EdgeColours,
    own_alpha: Image.Image | None,
) -> Image.Image:
    """Cut out with a mask of the picture's size."""
    if edge_colours == "estimated":
        return _limit(composite.estimated_cutout(rgb, found, band), own_alpha)
    straight = edge_colours == "original"
    cutout = composite.straight_cutout if straight else composite.naive_cutout
    return cutout(rgb, _darker(found, own_alpha))


def _darker(found: Image.Image, own_alpha: Image.Image | None) -> Image.Image:
    return found if own_alpha is None else ImageChops.darker(found, own_alpha)


def _limit(cutout: Image.Image, own_alpha: Image.Image | None) -> Image.Image:
    """Make a cut-out at most as opaque as the picture was, and clear what was invisible.

    The colours stay: they were straight before, and are now.
    """
    if own_alpha is not None:
        cutout.putalpha(_darker(cutout.getchannel("A"), own_alpha))
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
