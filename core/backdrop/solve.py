"""The model without weights: solves alpha where the backdrop is one smooth field of colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageError, OptionError
from ..imaging.foreground import EdgeColours
from ..imaging.levels import OPAQUE, VISIBLE
from ..imaging.pyramid import double, product
from ..imaging.rows import map_rows
from ..matting.local_linear import carry_alpha
from .edge import Edge, alpha_from_colours, least_alpha, solve_edge
from .field import Field, fit_field, noise_limit

Floats = NDArray[np.float32]

# Below this confidence a picture has no plain backdrop.
CONFIDENT = 0.5
# Longer side of the working size; large pictures keep more detail.
_WORKING, _WORKING_LARGE, _LARGE = 384, 640, 2048
# Rows solved at a time, and how much more work a pixel is than to resize it.
_ROWS, _WORK = 256, 4
# The narrowest soft edge, in working pixels.
_NARROWEST = 0.1
# Working pixels around the subject that its soft edge may reach.
_MARGIN = 8
# A subject up to this share of the longer side is solved again from close by, with so much
# around it, as a share of its own.
_SMALL_SHARE, _AROUND = 0.5, 0.25
# Spread of the subject's colour around its smooth estimate, in levels.
_SPREAD = 25.0
# How far sharpening and JPEG overshoot beside an edge, as a share of its contrast.
_OVERSHOOT = 0.08
# Pixels along the longer side that are looked at for what is finer than a working pixel.
_LOOKS = 200
# Shadows fainter than this are not seen.
_FAINT = 0.03


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
        0..1: how far the picture has a plain backdrop; trust it from ``CONFIDENT`` on.
    """

    alpha: Floats
    edge: EdgeColours
    confidence: float


def low_confidence_message(confidence: float) -> str:
    """Say that a picture has no plain backdrop, and what to use instead."""
    return (
        "This picture does not seem to have a plain backdrop that differs from its subject "
        f"(confidence {confidence:.2f}, {CONFIDENT:.2f} is needed), so the cut-out is probably "
        "wrong. Use a model that recognises subjects, such as isnet-general-use or "
        "birefnet-general-lite."
    )


def check_options(tolerance: float | None, soft_edge: float | None) -> None:
    """Raise OptionError where an option of :func:`solve` is out of range."""
    if tolerance is not None and not 0 < tolerance <= 255:
        raise OptionError(
            f"tolerance is {tolerance}; use levels from above 0 to 255, or None to measure it."
        )
    if soft_edge is not None and not 0 < soft_edge <= 1000:
        raise OptionError(
            f"soft_edge is {soft_edge}; use pixels from above 0 to 1000, or None to measure it."
        )


def solve(
    image: NDArray[np.uint8],
    *,
    tolerance: float | None = None,
    soft_edge: float | None = None,
    keep_shadow: bool = False,
    holes: bool = True,
) -> Backdrop:
    """Solve alpha and foreground colours of a subject before a plain backdrop.

    The backdrop's colours B are fitted to the border and refined inside; foreground colours
    F are carried outwards from the subject; then α follows from I = αF + (1−α)B, helped by
    the shape of the edge where F and B are alike, and F is unmixed with the α found. A small
    subject is solved again from close by, except with ``keep_shadow``; then the lower of the
    two confidences counts.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    tolerance
        Distance from the backdrop's colour, in levels 0..255, up to which a pixel counts as
        backdrop. None: from the measured noise.
    soft_edge
        Width of soft edges in pixels. None: measured.
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
    check_options(tolerance, soft_edge)
    longer = max(image.shape[:2])
    factor = math.ceil(longer / (_WORKING if longer <= _LARGE else _WORKING_LARGE))
    picture = Image.fromarray(image)
    small = np.asarray(picture.reduce(factor) if factor > 1 else picture, np.float32)
    small = np.ascontiguousarray(small.transpose(2, 0, 1))
    del picture  # a copy of the whole
    field = fit_field(small, tolerance, holes)
    rows, columns = (np.s_[:], np.s_[:]) if keep_shadow else _extent(field.is_background)
    confidence, near = field.confidence, None
    box = _closer(rows, columns, small.shape[1:])
    if factor > 1 and box and confidence >= CONFIDENT:
        box = _enlarged(box[0], factor), _enlarged(box[1], factor)
        near = solve(image[box], tolerance=tolerance, soft_edge=soft_edge, holes=holes)
    # from close by, noise may hide what is plain from far
    if box and near and near.confidence >= CONFIDENT:
        confidence = min(confidence, near.confidence)
        inside, (pixels, colours) = near.alpha, near.edge
    else:
        part = field.crop(rows, columns)
        width = max(soft_edge / factor, _NARROWEST) if soft_edge else None
        edge = solve_edge(
            small[:, rows, columns], part, max(small.shape), finer=factor > 1, width=width
        )
        shadow = _shadow(part) if keep_shadow else None
        box = _enlarged(rows, factor), _enlarged(columns, factor)
        near_image = np.ascontiguousarray(image[box])
        inside, (pixels, colours) = _enlarge(near_image, part, edge, factor, shadow)
        confidence *= 1 - min(2 * _share_seen_through(near_image, part, edge, factor), 1)
    alpha = np.zeros(image.shape[:2], np.float32)
    alpha[box] = inside
    y, x = np.divmod(pixels, inside.shape[1])
    pixels = (y + (box[0].start or 0)) * image.shape[1] + x + (box[1].start or 0)
    return Backdrop(alpha, EdgeColours(pixels, colours), confidence)


def _closer(rows: slice, columns: slice, size_hw: tuple[int, ...]) -> tuple[slice, slice] | None:
    """Return a small subject's part of the picture with enough backdrop to fit it there."""
    if rows.stop is None:
        return None
    longer = max(rows.stop - rows.start, columns.stop - columns.start)
    if longer > _SMALL_SHARE * max(size_hw):
        return None
    margin = int(_AROUND * longer)
    return tuple(
        np.s_[max(0, part.start - margin) : min(side, part.stop + margin)]
        for part, side in zip((rows, columns), size_hw, strict=True)
    )


def _extent(background: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of the subject, with a margin for its soft edge."""
    found: list[slice] = []
    for axis in (1, 0):
        used = np.flatnonzero(~background.all(axis=axis))
        first, last = (used[0], used[-1]) if len(used) else (0, 0)
        found.append(np.s_[max(0, int(first) - _MARGIN) : int(last) + 1 + _MARGIN])
    return found[0], found[1]


def _enlarged(part: slice, factor: int) -> slice:
    return part if part.stop is None else np.s_[part.start * factor : part.stop * factor]


def _shadow(field: Field) -> Floats:
    """Return the opacity (h, w) of black that turns the lit backdrop into the real one."""
    shade = field.colours.sum(0) / np.maximum(field.lit.sum(0), 1)
    opacity = np.clip(1 - shade, 0, 1)
    # shadows fade in where they start to be seen
    return opacity * np.clip(opacity / _FAINT - 1, 0, 1)


def _enlarge(
    image: NDArray[np.uint8], field: Field, edge: Edge, factor: int, shadow: Floats | None
) -> tuple[Floats, EdgeColours]:
    """Solve alpha at full size, and F where it is not the picture's own colour.

    A shadow is put under the subject.
    """
    height, width = image.shape[:2]
    layers = np.concatenate([field.colours, edge.trust[None]])
    columns = np.arange(width)
    dark = None if shadow is None else Image.fromarray(shadow)
    alpha = np.empty((height, width), np.float32)

    def rows(top: int, bottom: int) -> EdgeColours:
        lines = np.arange(top, bottom)
        result = alpha[top:bottom]
        result[...] = edge.trimap[lines // factor][:, columns // factor]
        result = result.reshape(-1)
        at = np.flatnonzero(result == 0.5)
        y, x = np.divmod(at, width)
        expected = carry_alpha(edge.coefficients, image, at + top * width, factor)
        nearest = np.take(lines // factor * layers.shape[2], y) + np.take(columns // factor, x)
        b, (trust,) = np.split(np.take(layers.reshape(4, -1), nearest, axis=1), [3])
        if factor > 1:
            # F changes fast enough to show steps; one interpolated doubling hides them
            first = max(0, top // factor - 1)
            finer = double(edge.foreground[:, first : bottom // factor + 2])
            lines = lines * 2 // factor - 2 * first
            nearest = np.take(lines * finer.shape[2], y) + np.take(columns * 2 // factor, x)
        else:
            finer = edge.foreground
        f = np.take(finer.reshape(3, -1), nearest, axis=1)
        difference = np.take(image[top:bottom].reshape(-1, 3), at, axis=0).T - b
        contrast = f - b
        limit = noise_limit(field.noise)
        a = alpha_from_colours(difference, contrast, expected, trust, limit)[0]
        overshoot = _OVERSHOOT * np.sqrt(product(contrast, contrast))
        np.maximum(a, least_alpha(difference, b, field.noise, overshoot), out=a)
        _snap(a)
        result[at] = a
        soft = np.flatnonzero((a > 0) & (a < 1))
        # F̂ + gain (I − αF̂ − (1−α)B): exact without noise, quiet with it
        gain = a / (a * a + ((0.3 + field.noise / 2) / _SPREAD) ** 2)
        contrast *= -a
        contrast += difference
        contrast *= gain
        contrast += f
        colours = np.clip(np.take(contrast, soft, axis=1).T, 0, 255)
        if dark is not None:
            under = _rows_of(dark, top, bottom, width, factor)
            return _over_shadow(alpha[top:bottom], under, at[soft], colours, top * width)
        return EdgeColours(at[soft] + top * width, colours)

    parts = map_rows(rows, height, _WORK * height * width, _ROWS)
    return alpha, EdgeColours(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _share_seen_through(image: NDArray[np.uint8], field: Field, edge: Edge, factor: int) -> float:
    """Return how much of the subject, where it is sure, is backdrop between finer strands.

    There the mean of a working pixel differs from the backdrop, but pixels of the full size,
    of which some are looked at, do not.
    """
    step = max(1, max(image.shape) // _LOOKS)
    few = image[::step, ::step].transpose(2, 0, 1)
    y, x = (np.arange(size)[::step] // factor for size in image.shape[:2])
    near = y[:, None], x
    off = few - field.colours[:, near[0], near[1]]
    limit = noise_limit(field.noise)
    sure = edge.trimap[near] == 1
    through = (product(off, off) < limit**2) & (field.deviation[near] > 3 * limit)
    return float((through & sure).sum() / max(int(sure.sum()), 1))


def _rows_of(values: Image.Image, top: int, bottom: int, width: int, factor: int) -> Floats:
    """Return rows of a picture of working size, enlarged to full size."""
    if factor == 1:
        return np.asarray(values.crop((0, top, width, bottom)))
    box = (0, top / factor, width / factor, bottom / factor)
    return np.asarray(values.resize((width, bottom - top), Image.Resampling.BILINEAR, box=box))


def _snap(alpha: Floats) -> None:
    """Make invisible alpha 0, and what is as good as 1 really 1, in place."""
    alpha[alpha < VISIBLE] = 0
    alpha[alpha >= OPAQUE] = 1


def _over_shadow(
    alpha: Floats, shadow: Floats, at: NDArray[np.intp], colours: Floats, offset: int
) -> EdgeColours:
    """Compose the subject over black of the shadow's opacity, in place."""
    straight = np.zeros((alpha.size, 3), np.float32)
    subject = alpha.copy()
    alpha += (1 - alpha) * shadow
    _snap(alpha)
    soft = np.flatnonzero((alpha > 0) & (alpha < 1))
    straight[at] = colours
    share = subject.ravel()[soft] / alpha.ravel()[soft]
    return EdgeColours(soft + offset, straight[soft] * share[:, None])
