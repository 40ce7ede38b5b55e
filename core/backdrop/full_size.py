"""Carries what was found at working size up to the pixels of the full image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.foreground import EdgeColours
from ..imaging.levels import OPAQUE, VISIBLE
from ..imaging.pyramid import Floats, double, product
from ..imaging.rows import map_rows
from ..matting.local_linear import carry_alpha
from .edge import Edge
from .field import Field, noise_limit
from .unmixing import alpha_from_colours, least_alpha, unmix

# How far sharpening and JPEG overshoot beside an edge, as a share of its contrast.
_OVERSHOOT = 0.08
# Pixels along the longer side that are looked at for what is finer than a working pixel.
_LOOKS = 200
# Mean deviation of a working pixel, as a multiple of the limit, from which it surely is not
# backdrop alone.
_SURE_LIMITS = 3
# Rows solved at a time, and how much more work a pixel is than to resize it; both by timing.
_ROWS, _WORK = 256, 4


class _Unknown(NamedTuple):
    """What is known of N unknown pixels of the full image."""

    difference: Floats  # (3, N): I − B
    background: Floats  # (3, N)
    foreground: Floats  # (3, N): F̂
    expected: Floats  # (N,): alpha
    trust: Floats  # (N,)


def solve_full_size(
    image: NDArray[np.uint8], field: Field, edge: Edge, factor: int, shadow: Floats | None
) -> tuple[Floats, EdgeColours]:
    """Solve alpha at full size, and F where it is not the image's own colour.

    Parameters
    ----------
    image
        uint8 (H, W, 3), C-contiguous.
    field, edge
        Of its averages over ``factor``² pixels.
    shadow
        float32 (h, w), 0..1: opacity of a shadow to put under the subject, at working size;
        None puts none.

    Returns
    -------
    alpha
        float32 (H, W), 0..1.
    colours
        Of the pixels whose alpha is neither 0 nor 1.
    """
    height, width = int(image.shape[0]), int(image.shape[1])
    layers = np.concatenate([field.colours, edge.trust[None]])
    shadow_picture = None if shadow is None else Image.fromarray(shadow)
    trimap_columns = np.arange(width) // factor
    alpha = np.empty((height, width), np.float32)

    def solve_rows(top: int, bottom: int) -> EdgeColours:
        strip = alpha[top:bottom]
        strip[...] = edge.trimap[np.arange(top, bottom) // factor][:, trimap_columns]
        at = np.flatnonzero(strip == 0.5)
        unknown = _look_up(image, layers, edge, factor, (top, bottom), at)
        contrast = unknown.foreground - unknown.background
        found = _alpha_of(unknown, contrast, field.noise)
        strip.reshape(-1)[at] = found
        soft = np.flatnonzero((found > 0) & (found < 1))
        unmixed = unmix(unknown.difference, contrast, unknown.foreground, found, field.noise)
        colours = np.clip(np.take(unmixed, soft, axis=1).T, 0, 255)
        if shadow_picture is None:
            return EdgeColours(at[soft] + top * width, colours)
        opacity = _enlarged_rows(shadow_picture, top, bottom, width, factor)
        return _over_shadow(strip, opacity, at[soft], colours, top * width)

    parts = map_rows(solve_rows, height, _WORK * height * width, _ROWS)
    return alpha, EdgeColours(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _look_up(
    image: NDArray[np.uint8],
    layers: Floats,
    edge: Edge,
    factor: int,
    rows: tuple[int, int],
    at: NDArray[np.intp],
) -> _Unknown:
    """Collect what is known of the pixels ``at`` in a range of rows.

    ``layers`` is (4, h, w), B and trust at working size, of which the nearest pixel will do.
    """
    top, bottom = rows
    lines = np.arange(top, bottom)
    columns = np.arange(int(image.shape[1]))
    y, x = np.divmod(at, len(columns))
    expected = carry_alpha(edge.coefficients, image, at + top * len(columns), factor)
    nearest = np.take(lines // factor * layers.shape[2], y) + np.take(columns // factor, x)
    background, (trust,) = np.split(np.take(layers.reshape(4, -1), nearest, axis=1), [3])
    foreground = edge.foreground
    if factor > 1:
        # F changes so fast that steps would show; one interpolated doubling hides them
        first = max(0, top // factor - 1)
        foreground = double(foreground[:, first : bottom // factor + 2])
        lines = lines * 2 // factor - 2 * first
        nearest = np.take(lines * foreground.shape[2], y) + np.take(columns * 2 // factor, x)
    return _Unknown(
        difference=np.take(image[top:bottom].reshape(-1, 3), at, axis=0).T - background,
        background=background,
        foreground=np.take(foreground.reshape(3, -1), nearest, axis=1),
        expected=expected,
        trust=trust,
    )


def _alpha_of(unknown: _Unknown, contrast: Floats, noise: float) -> Floats:
    alpha, _, _ = alpha_from_colours(
        unknown.difference, contrast, unknown.expected, unknown.trust, noise_limit(noise)
    )
    overshoot = np.float32(_OVERSHOOT) * np.sqrt(product(contrast, contrast))
    least = least_alpha(unknown.difference, unknown.background, noise, overshoot)
    np.maximum(alpha, least, out=alpha)
    _snap(alpha)
    return alpha


def _snap(alpha: Floats) -> None:
    """Make invisible alpha 0, and what is as good as opaque 1, in place."""
    alpha[alpha < VISIBLE] = 0
    alpha[alpha >= OPAQUE] = 1


def _enlarged_rows(
    picture: Image.Image, top: int, bottom: int, width: int, factor: int
) -> NDArray[np.float32]:
    """Return rows of an image of working size, enlarged to full size."""
    if factor == 1:
        return np.asarray(picture.crop((0, top, width, bottom)))
    box = (0, top / factor, width / factor, bottom / factor)
    return np.asarray(picture.resize((width, bottom - top), Image.Resampling.BILINEAR, box=box))


def _over_shadow(
    alpha: Floats, shadow: Floats, at: NDArray[np.intp], colours: Floats, offset: int
) -> EdgeColours:
    """Compose the subject over black of the shadow's opacity; changes ``alpha`` (H, W).

    ``colours`` (N, 3) are those of the pixels ``at``; ``offset`` is added to the indices that
    are returned.
    """
    straight = np.zeros((alpha.size, 3), np.float32)
    subject = alpha.copy()
    alpha += (1 - alpha) * shadow
    _snap(alpha)
    soft = np.flatnonzero((alpha > 0) & (alpha < 1))
    straight[at] = colours
    share = subject.ravel()[soft]
    share /= alpha.ravel()[soft]
    return EdgeColours(soft + offset, straight[soft] * share[:, None])


def share_seen_through(image: NDArray[np.uint8], field: Field, edge: Edge, factor: int) -> float:
    """Return how much of the certain foreground is backdrop that shows between finer strands.

    There the mean of a working pixel differs from the backdrop, but pixels of the full size, of
    which some are looked at, do not. Arguments as in :func:`solve_full_size`.
    """
    step = max(1, max(image.shape) // _LOOKS)
    few = image[::step, ::step].transpose(2, 0, 1)
    rows, columns = (np.arange(0, int(side), step) // factor for side in image.shape[:2])
    near = rows[:, None], columns
    off = few - field.colours[:, near[0], near[1]]
    limit = noise_limit(field.noise)
    certain = edge.trimap[near] == 1
    through = (product(off, off) < limit**2) & (field.deviation[near] > _SURE_LIMITS * limit)
    return float((through & certain).sum() / max(int(certain.sum()), 1))
