"""Alpha matting: from an image and a mask, or a trimap, to alpha.

A trimap marks what is certain; a method solves the rest. Each has a module of its own:

- :mod:`.closed_form`: the exact solution of closed-form matting (Levin 2008).
- :mod:`.fast`: the same on a smaller image, carried up along the colours.
- :mod:`.guided`: a guided filter of the mask (He 2013); no solver.
- :mod:`.vitmatte`: a network (Yao 2023).
- :mod:`.reference`: pymatting, as rembg calls it.
- ``auto``: closed-form, where it explains the image better than the mask does, see :mod:`.fit`.

The foreground colours that belong to alpha come from :mod:`.imaging.foreground`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..checks import flag, one_of
from ..errors import ImageError
from .closed_form.estimate import estimate_alpha_closed_form
from .closed_form.memory import BudgetError
from .fast import estimate_alpha_fast
from .fit import likelier_by
from .guided import estimate_alpha_guided
from .reference import colour_by_pymatting, estimate_alpha_pymatting
from .trimap import check_thresholds, paint, scale_erode_size, trimap_from_mask
from .vitmatte import Answers, estimate_alpha_vitmatte

_log = logging.getLogger("rembg_sessions")

# A matte takes a mask's place from here on, see :func:`.fit.likelier_by`: what is solved always
# explains an image somewhat better, and its noise as well: by 0.5 where that deviates by 6 levels.
# Between 0.1 and 0.6 the mean error on the 472 masks of ``tests/bench/which_edge.py`` changes by
# 1 %; with 1, it is 3 % greater.
_MUCH_LIKELIER = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to estimate alpha.

    Attributes
    ----------
    estimate
        ``estimate(image, trimap, mask=None, *, on_step=None, memory=None) -> alpha``.
    good_for
        A few words for help texts.
    reads_mask
        Whether it uses the mask itself, not only the trimap.
    keeps_mask
        Whether the mask stays as it is, where what was solved explains the image no better.
    takes_model
        Whether ``estimate`` also takes ``model``, a network, see :class:`.vitmatte.Answers`.
    colour
        For a method with its own foreground colours: ``colour(image, alpha) -> RGBA``, uint8;
        None uses :mod:`.imaging.foreground`.
    """

    estimate: Callable[..., NDArray[np.floating]]
    good_for: str
    reads_mask: bool = False
    keeps_mask: bool = False
    takes_model: bool = False
    colour: Callable[..., NDArray[np.uint8]] | None = None


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "closed-form": Method(
            estimate=estimate_alpha_closed_form, good_for="exact, at full resolution"
        ),
        "fast": Method(
            estimate=estimate_alpha_fast,
            good_for="large pictures, solved small and carried up; close to exact",
        ),
        "guided": Method(
            estimate=estimate_alpha_guided,
            good_for="previews and video, follows the mask, in milliseconds",
            reads_mask=True,
        ),
        "vitmatte": Method(
            estimate=estimate_alpha_vitmatte,
            good_for="the finest hair, by a network of 100 MB and more; wants a GPU",
            takes_model=True,
        ),
        "pymatting": Method(
            estimate=estimate_alpha_pymatting,
            good_for="comparison, exactly what rembg does, slow",
            colour=colour_by_pymatting,
        ),
        "auto": Method(
            estimate=estimate_alpha_closed_form,
            good_for="masks of every kind: those that fit stay, others are solved",
            keeps_mask=True,
        ),
    }
)
"""Every method by name; the first is the default."""
DEFAULT_METHOD = next(iter(METHODS))


@dataclass(frozen=True, slots=True, kw_only=True)
class MattingOptions:
    """How a mask is refined into an alpha matte; the defaults are rembg's.

    Attributes
    ----------
    method
        A name in :data:`METHODS`.
    foreground_threshold, background_threshold, erode_size
        See :func:`.trimap.trimap_from_mask`; not used with a given trimap.
    scale_erode
        Whether ``erode_size`` is meant for 1024 pixels and scales with the image.
    model
        For ``vitmatte``: its network, from :func:`core.session.vitmatte.get_vitmatte`.
    """

    method: str = DEFAULT_METHOD
    foreground_threshold: int = 240
    background_threshold: int = 10
    erode_size: int = 10
    scale_erode: bool = False
    model: Answers | None = None

    def __post_init__(self) -> None:
        """Raise OptionError where an option makes no sense."""
        check_method(self.method)
        check_thresholds(self.foreground_threshold, self.background_threshold, self.erode_size)
        flag("scale_erode", self.scale_erode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matte:
    """What matting found for one image.

    Attributes
    ----------
    alpha
        float32 (H, W), 0..1.
    trimap
        float32 (H, W): 0, 0.5 or 1.
    method
        Name of the method that ran; empty where there was nothing to solve, or the mask stays.
    warning
        A sentence for the user if that is not the method asked for; else empty.
    cutout
        uint8 (H, W, 4), where the method brings its own colours; else None.
    """

    alpha: NDArray[np.float32] = field(repr=False)
    trimap: NDArray[np.float32] = field(repr=False)
    method: str
    warning: str = ""
    cutout: NDArray[np.uint8] | None = field(default=None, repr=False)


def check_method(name: str) -> Method:
    """Return a method by name.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    return METHODS[one_of("The matting method", name, METHODS)]


def find_matte(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None = None,
    trimap: NDArray[np.float32] | None = None,
    *,
    hints: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
    options: MattingOptions = MattingOptions(),
    on_step: Callable[[], None] | None = None,
    memory: int | None = None,
) -> Matte:
    """Refine a mask, or a trimap, into an alpha matte.

    It is not an error if there is nothing to solve: the mask is returned as it is, with a
    warning. If the method needs more memory than it may use, the fast method runs instead, also
    with a warning.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    mask
        uint8 (H, W), 0..255; may be None if there is a trimap.
    trimap
        float32 (H, W): exactly 0, 0.5 or 1, see :func:`.trimap.read_trimap`; None makes it
        from the mask.
    hints
        What the user painted to correct the trimap: ``keep``, ``remove``, ``unknown``, each of
        the picture's size, see :func:`.trimap.paint`.
    options
        The method and its settings.
    on_step
        Called many times a second; may raise to cancel.
    memory
        Bytes that the method may take; None for a share of what is free.

    Raises
    ------
    OptionError
        If an argument is out of range.
    ImageError
        If sizes differ, or there is neither mask nor trimap.
    BudgetError
        If even the fast method needs more memory than it may use.
    ModelRunError, ModelMemoryError, ProviderError, WeightsError
        From ``vitmatte`` only.

    Examples
    --------
    A picture that falls from white to black, of which the ends are known:

    >>> ramp = np.linspace(1, 0, 9, dtype=np.float32)
    >>> image = np.round(255 * ramp).astype(np.uint8)[None, :, None].repeat(5, 0).repeat(3, 2)
    >>> trimap = np.select([ramp > 0.9, ramp < 0.1], [1, 0], 0.5).astype(np.float32)
    >>> matte = find_matte(image, trimap=trimap[None].repeat(5, 0))
    >>> np.allclose(matte.alpha, ramp, atol=0.01)
    True
    """
    row = check_method(options.method)
    for name, other in (("mask", mask), ("trimap", trimap), *hints.items()):
        if other is not None and other.shape != image.shape[:2]:
            raise ImageError(
                f"The {name} is {other.shape[1]}×{other.shape[0]} pixels and the picture "
                f"{image.shape[1]}×{image.shape[0]}; they must have the same size."
            )
    given = trimap is not None
    if trimap is None:
        if mask is None:
            raise ImageError("Alpha matting needs a mask or a trimap; pass one of them.")
        erode_size = options.erode_size
        if options.scale_erode:
            erode_size = scale_erode_size(erode_size, mask.shape)
        trimap = trimap_from_mask(
            mask, options.foreground_threshold, options.background_threshold, erode_size
        )

    if hints:
        trimap, mask = _painted(trimap, mask, hints)
    obstacle = _obstacle(trimap, None if given else mask)
    if obstacle and hints:
        obstacle = f"with what was painted, {obstacle}"
    if obstacle:
        return _unsolved(image, mask, trimap, row, obstacle)
    if not _has(trimap, 0.5):  # a hard mask without erosion is certain everywhere
        return Matte(alpha=trimap, trimap=trimap, method="")

    target = None
    if mask is not None and (row.reads_mask or row.keeps_mask):
        target = np.divide(mask, 255, dtype=np.float32)
    try:
        alpha, method, warning = _solve(image, trimap, target, options, on_step, memory)
    except ValueError as error:
        if row.colour is None:
            raise
        # from pymatting, whose iteration did not converge
        return _unsolved(image, mask, trimap, row, f"pymatting gave up ({error}).")
    is_asked = row.keeps_mask and not (given or hints)
    if is_asked and target is not None and _fits(image, trimap, alpha, target):
        alpha, method, warning = target, "", ""
    cutout = row.colour(image, alpha) if row.colour and method == options.method else None
    alpha = alpha.astype(np.float32, copy=False)
    return Matte(alpha=alpha, trimap=trimap, method=method, warning=warning, cutout=cutout)


def _solve(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    mask: NDArray[np.float32] | None,
    options: MattingOptions,
    on_step: Callable[[], None] | None,
    memory: int | None,
) -> tuple[NDArray[np.floating], str, str]:
    """Return alpha, the name of the method that found it, and a warning if that is another."""
    row = METHODS[options.method]
    given = {"on_step": on_step, "memory": memory}
    more = {"model": options.model} if row.takes_model else {}
    try:
        alpha = row.estimate(image, trimap, mask, **given, **more)
        return alpha, options.method, ""
    except BudgetError as error:
        if row is METHODS["fast"]:
            raise
        alpha = METHODS["fast"].estimate(image, trimap, **given)
        warning = (
            f"fast matting instead of {options.method}, which would take "
            f"{error.need / 2**20:.0f} MB of memory and may take {error.budget / 2**20:.0f} MB."
        )
        _log.warning("Alpha matting: %s", warning)
        return alpha, "fast", warning


def _fits(
    image: NDArray[np.uint8],
    trimap: NDArray[np.float32],
    alpha: NDArray[np.floating],
    mask: NDArray[np.float32],
) -> bool:
    """Return whether a mask explains the image about as well as alpha that was solved."""
    return likelier_by(image, trimap, alpha.astype(np.float32), mask) < _MUCH_LIKELIER


def _painted(
    trimap: NDArray[np.float32],
    mask: NDArray[np.uint8] | None,
    hints: Mapping[str, NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
    """Return trimap and mask as the user painted them."""
    painted = paint(trimap, **hints)
    if mask is not None:
        decided = (painted != trimap) & (painted != 0.5)
        mask = np.where(decided, painted * 255, mask).astype(np.uint8)
    return painted, mask


def _obstacle(trimap: NDArray[np.float32], mask: NDArray[np.uint8] | None) -> str:
    """Say why there is nothing to solve; empty where there is.

    ``mask`` is what the trimap was made of; None for one that was given.
    """
    if min(trimap.shape) < 3:
        return "the picture is less than 3 pixels high or wide."
    has_foreground, has_background = _has(trimap, 1), _has(trimap, 0)
    if mask is None:
        if not (has_foreground and has_background):
            colour = "white" if has_background else "black"
            return f"the trimap has no {colour} pixels. Paint what is certain."
        if not _has(trimap, 0.5):
            return "the trimap has no grey pixels. Paint what is unknown grey (128)."
    elif not has_foreground:
        if not mask.any():
            return "the mask is empty: nothing in it is foreground."
        return (
            "the mask leaves no certain foreground. Lower the foreground threshold or the "
            "erode size."
        )
    elif not has_background:
        if mask.min() == 255:
            return "the mask is full: nothing in it is background."
        return (
            "the mask leaves no certain background. Raise the background threshold or lower "
            "the erode size."
        )
    return ""


def _has(trimap: NDArray[np.float32], value: float) -> bool:
    # a few pixels mostly suffice
    return bool((trimap[::16, ::16] == value).any() or (trimap == value).any())


def _unsolved(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    trimap: NDArray[np.float32],
    row: Method,
    obstacle: str,
) -> Matte:
    """Return the mask itself, and a warning that says why."""
    warning = f"Alpha matting was skipped: {obstacle}"
    _log.warning(warning)
    if mask is not None:
        alpha = mask / 255.0
    else:
        alpha = trimap
        certain = trimap[trimap != 0.5]
        if certain.size and certain.min() == certain.max():
            # as closed-form matting does where one side is missing
            alpha = np.full_like(trimap, certain[0])
    cutout = row.colour(image, alpha) if row.colour else None
    alpha = alpha.astype(np.float32)
    return Matte(alpha=alpha, trimap=trimap, method="", warning=warning, cutout=cutout)
