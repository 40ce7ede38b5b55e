"""The model without weights: solves alpha where the backdrop is one smooth field of colour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import flag, number
from ..errors import ImageError
from ..imaging.foreground import EdgeColours
from ..imaging.morphology import Mask
from ..imaging.pyramid import Floats
from .edge import solve_edge
from .field import fit_field
from .full_size import share_seen_through, solve_full_size
from .shadow import shadow_opacity

CONFIDENT = 0.5
"""Below this confidence an image has no plain backdrop."""
# Longer side of the working size, in pixels, at most; images whose longer side is above the
# last number keep more detail.
_WORKING, _WORKING_LARGE, _LARGE = 384, 640, 2048
# Narrowest soft edge that can be asked for, in working pixels.
_NARROWEST = 0.1
# How far around the subject its soft edge may reach, in working pixels.
_MARGIN = 8
# A subject whose longer side is up to this share of the image's is solved again from close by,
# with so much around it, as a share of its own longer side.
_SMALL_SHARE, _AROUND = 0.5, 0.25
# Loss of confidence for each share of the subject that is seen through, see
# :func:`.full_size.share_seen_through`.
_SEEN_THROUGH_COST = 2

Box: TypeAlias = tuple[slice, slice]
"""Rows and columns of a part of an image."""


@dataclass(frozen=True)
class Backdrop:
    """What :func:`solve` found.

    Attributes
    ----------
    alpha
        float32 (H, W), 0 backdrop .. 1 subject.
    edge
        The unmixed foreground colours of its soft edges.
    confidence
        0..1: how far the image has a plain backdrop; trust it from ``CONFIDENT`` on.
    """

    alpha: Floats
    edge: EdgeColours
    confidence: float


def low_confidence_message(confidence: float) -> str:
    """Say that an image has no plain backdrop, and what to use instead."""
    return (
        "This picture does not seem to have a plain backdrop that differs from its subject "
        f"(confidence {confidence:.2f}, {CONFIDENT:.2f} is needed), so the cut-out is probably "
        "wrong. Use a model that recognises subjects, such as isnet-general-use or "
        "birefnet-general-lite."
    )


def check_options(
    tolerance: float | None, soft_edge: float | None, keep_shadow: bool, holes: bool
) -> None:
    """Raise OptionError where an option of :func:`solve` makes no sense."""
    if tolerance is not None:
        number("tolerance", tolerance, 0.01, 255)
    if soft_edge is not None:
        number("soft_edge", soft_edge, 0.01, 1000)
    flag("keep_shadow", keep_shadow)
    flag("holes", holes)


def solve(
    image: NDArray[np.uint8],
    *,
    tolerance: float | None = None,
    soft_edge: float | None = None,
    keep_shadow: bool = False,
    holes: bool = True,
) -> Backdrop:
    """Solve alpha and foreground colours of a subject before a plain backdrop.

    The backdrop's colours B are fitted to the border and refined inside; foreground colours F
    are estimated from the subject nearby; α follows from I = αF + (1−α)B, helped by the shape
    of the edge where F and B are alike; and F is unmixed with that α. A small subject is solved
    again from close by, except with ``keep_shadow``; its confidence is the lower of the two.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    tolerance
        Distance from the backdrop's colour, in levels 0..255, up to which a pixel counts as
        backdrop; 0.01 to 255. None: from the measured noise.
    soft_edge
        Width of soft edges in pixels, 0.01 to 1000. None: measured.
    keep_shadow
        Return the darkening of the backdrop as black of its own alpha instead of cutting it.
    holes
        Whether enclosed regions that match the backdrop closely are holes.

    Raises
    ------
    ImageError
        If ``image`` is not uint8 (H, W, 3).
    OptionError
        If an option is out of range.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(f"The picture is {image.dtype} {image.shape}; expected uint8 (H, W, 3).")
    check_options(tolerance, soft_edge, keep_shadow, holes)
    small, factor = _working_size(image)
    field = fit_field(small, tolerance, bool(holes))
    height, width = field.is_background.shape
    extent = np.s_[0:height], np.s_[0:width]
    if not keep_shadow:
        extent = _extent(field.is_background)
        box = _surroundings(extent, (height, width))
        if factor > 1 and box and field.confidence >= CONFIDENT:
            box = _scaled(box, factor)
            near = solve(image[box], tolerance=tolerance, soft_edge=soft_edge, holes=holes)
            # from close by, noise may hide what is plain from afar
            if near.confidence >= CONFIDENT:
                confidence = min(field.confidence, near.confidence)
                return _placed(near.alpha, near.edge, box, image.shape, confidence)
    part = field.crop(*extent)
    edge = solve_edge(
        small[:, extent[0], extent[1]],
        part,
        max(height, width),
        finer=factor > 1,
        width=max(soft_edge / factor, _NARROWEST) if soft_edge else None,
    )
    box = _scaled(extent, factor)
    inside = np.ascontiguousarray(image[box])
    shadow = shadow_opacity(part.colours, part.shadow_free) if keep_shadow else None
    alpha, colours = solve_full_size(inside, part, edge, factor, shadow)
    lost = _SEEN_THROUGH_COST * share_seen_through(inside, part, edge, factor)
    return _placed(alpha, colours, box, image.shape, field.confidence * (1 - min(lost, 1)))


def _working_size(image: NDArray[np.uint8]) -> tuple[Floats, int]:
    """Return planes (3, h, w) of the image's averages, and how many times smaller they are."""
    longer = max(image.shape[:2])
    factor = math.ceil(longer / (_WORKING if longer <= _LARGE else _WORKING_LARGE))
    picture = Image.fromarray(image)
    small = np.asarray(picture.reduce(factor) if factor > 1 else picture, np.float32)
    return np.ascontiguousarray(small.transpose(2, 0, 1)), factor


def _extent(background: Mask) -> Box:
    """Return the subject's part of the image, with a margin for its soft edge."""
    found: list[slice] = []
    for axis in (1, 0):
        used = np.flatnonzero(~background.all(axis=axis))
        first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
        found.append(np.s_[max(0, first - _MARGIN) : last + 1 + _MARGIN])
    return found[0], found[1]


def _surroundings(extent: Box, size_hw: tuple[int, int]) -> Box | None:
    """Return the part of the image that a small subject is solved in again, else None.

    It holds enough backdrop for the field to be fitted there.
    """
    longer = max(part.stop - part.start for part in extent)
    if longer > _SMALL_SHARE * max(size_hw):
        return None
    margin = int(_AROUND * longer)
    rows, columns = (
        np.s_[max(0, part.start - margin) : min(side, part.stop + margin)]
        for part, side in zip(extent, size_hw, strict=True)
    )
    return rows, columns


def _scaled(box: Box, factor: int) -> Box:
    rows, columns = (np.s_[part.start * factor : part.stop * factor] for part in box)
    return rows, columns


def _placed(
    alpha: Floats, edge: EdgeColours, box: Box, shape: tuple[int, ...], confidence: float
) -> Backdrop:
    """Put what was found in a part of an image of ``shape`` into its place."""
    whole = np.zeros(shape[:2], np.float32)
    whole[box] = alpha
    y, x = np.divmod(edge.pixels, alpha.shape[1])
    pixels = (y + box[0].start) * shape[1] + x + box[1].start
    return Backdrop(whole, EdgeColours(pixels, edge.colours), confidence)
