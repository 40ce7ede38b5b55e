"""The colour field of a plain backdrop: fitted from the border, refined inside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..imaging.components import Regions
from ..imaging.morphology import dilate
from ..imaging.pyramid import average, double, fill, product, strongest

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Brightness of a shadow as a share of the lit backdrop; brighter is subject, not shadow.
_SHADES = (0.3, 1.02)
# Spread of a shadow's darkness, as a share of its mean, below which it is none.
_EVEN = 0.25
# A deviation below this share of the strongest one nearby cannot be told from the ringing
# of JPEG beside a strong edge.
_RINGING = 0.05
# A region that holds this share of the border is the backdrop; others must prove it.
_MAIN = 0.3
_HYPOTHESES = 192
# Pixels of the border, and of the whole picture, that the first fits look at.
_BORDER, _FIRST_LOOK = 1000, 16000
# Longer side at which shadows are followed: there noise is averaged out and slopes show.
_SHADOW_SIDE = 160


@dataclass(frozen=True)
class Field:
    """A backdrop at working size.

    Attributes
    ----------
    colours
        float32 (3, H, W), 0..255: the backdrop as it is, shadows included.
    lit
        float32 (3, H, W): the same without shadows.
    is_background
        bool (H, W): certainly backdrop.
    deviation
        float32 (H, W): distance of the picture from ``colours``, in levels.
    limits
        float32 (H, W): deviation from which a pixel is not backdrop.
    noise
        Typical deviation of the backdrop itself, in levels.
    confidence
        0..1, see :func:`_confidence`.
    """

    colours: Floats
    lit: Floats
    is_background: Mask
    deviation: Floats
    limits: Floats
    noise: float
    confidence: float

    def crop(self, rows: slice, columns: slice) -> Field:
        """Return a part of the picture."""
        box = rows, columns
        return replace(
            self,
            colours=self.colours[:, rows, columns],
            lit=self.lit[:, rows, columns],
            is_background=self.is_background[box],
            deviation=self.deviation[box],
            limits=self.limits[box],
        )


def fit_field(small: Floats, tolerance: float | None = None, holes: bool = True) -> Field:
    """Fit the backdrop of a picture at working size.

    Parameters
    ----------
    small
        float32 (3, H, W), 0..255: planes, which numpy adds up several times faster.
    tolerance
        Deviation in levels up to which a pixel counts as backdrop; None measures the noise.
    holes
        Whether enclosed regions of backdrop colour are backdrop.
    """
    height, width = small.shape[1:]
    y, x = _coordinates((height, width))
    model, scale = _fit_border(small, y, x)
    # a first look at few pixels is enough to fit the rest of the backdrop as well
    step = max(1, round((height * width / _FIRST_LOOK) ** 0.5))
    ys, xs, few = y[::step], x[:, ::step], small[:, ::step, ::step]
    found = _Matcher(few - _evaluate(model, ys, xs, 2), scale)
    inside = found.matching(found.deviation < (tolerance or noise_limit(scale)), holes=False)
    order = 2
    if inside.sum() >= 64:
        order = 3
        ys, xs = np.broadcast_arrays(ys, xs)
        basis, values = _terms(ys[inside], xs[inside], order), few[:, inside].T
        model = _least_squares(basis, values, np.ones(len(values), np.float32))
        off = np.linalg.norm(values - basis @ model, axis=1)
        scale = float(np.clip(1.2 * np.median(off), 0.7, 8))
    limit = tolerance or noise_limit(scale)
    lit = _evaluate(model, y, x, order)
    found = _Matcher(small - lit, scale)
    background = found.matching(found.deviation < limit, holes=False)

    known = _shaded(small, lit, background, limit, scale)
    residual = found.residual
    for last in (False, True):
        found = _Matcher(residual - _spread(residual, known), scale)
        limits = np.maximum(limit, _RINGING * strongest(found.deviation))
        background = found.matching(found.deviation < limits, holes=holes and last)
        known = ~dilate(~background)
        if not known.any():
            known = background
    specks = Regions(~background)
    faint = specks.sums(found.deviation) < 2 * limit * specks.area
    background |= specks.paint((specks.area < 9) & faint)
    return Field(
        colours=small - found.residual,
        lit=lit,
        is_background=background,
        deviation=found.deviation,
        limits=limits,
        noise=scale,
        confidence=_confidence(background, found.deviation / limits),
    )


def noise_limit(noise: float) -> float:
    """Return the deviation in levels below which a pixel is not told from noise."""
    return max(1.8 * noise, 3.0)


def _confidence(background: Mask, deviation: Floats) -> float:
    """Measure how far a picture has a plain backdrop and a subject that differs, 0..1.

    Low where the backdrop holds little of the border, changes with something else many
    times along it, is ragged, or is only bars above and below or beside a picture; where
    nothing stands on it, or what does hardly deviates (``deviation``, as multiples of what
    is allowed) just inside its outline.
    """
    if background.all():
        return 0.0
    border = np.concatenate(
        [background[0], background[1:, -1], background[-1, -2::-1], background[-2:0:-1, 0]]
    )
    share = np.clip((border.mean() - 0.35) / 0.25, 0, 1)
    changes = (border != np.roll(border, 1)).sum() / 2
    steady = np.clip((14 - changes) / 9, 0, 1)
    length = (dilate(background) & ~background).sum() / (2 * sum(background.shape))
    smooth = np.clip((3.2 - length) / 1.2, 0, 1)
    rows, columns = (np.flatnonzero(~background.all(axis=axis)) for axis in (1, 0))
    spans = len(rows) == background.shape[0], len(columns) == background.shape[1]
    box = background[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    bars = any(spans) and box.mean() < 0.015
    outline = dilate(background)
    rim = dilate(dilate(outline)) & ~outline
    lost = (deviation[rim] < 2).mean() if rim.any() else 0
    distinct = np.clip(1 - 1.5 * lost, 0, 1)
    return 0.0 if bars else float(share * steady * smooth * distinct)


def _coordinates(size_hw: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return y (H, 1) and x (1, W), -1..1."""
    height, width = size_hw
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) * (2 / height) - 1
    x = (np.arange(width, dtype=np.float32)[None] + 0.5) * (2 / width) - 1
    return y.astype(np.float32), x.astype(np.float32)


def _powers(order: int) -> list[tuple[int, int]]:
    """Powers of (x, y), lowest first."""
    return [(total - j, j) for total in range(order + 1) for j in range(total + 1)]


def _terms(y: Floats, x: Floats, order: int) -> Floats:
    in_x, in_y = ([values**i for i in range(order + 1)] for values in (x, y))
    return np.stack([in_x[i] * in_y[j] for i, j in _powers(order)], axis=-1)


def _evaluate(model: Floats, y: Floats, x: Floats, order: int) -> Floats:
    """Evaluate a polynomial (terms, 3) on the grid of y (H, 1) and x (1, W)."""
    of_x = np.zeros((order + 1, 3, 1, x.shape[1]), np.float32)
    for row, (i, j) in zip(model, _powers(order), strict=True):
        of_x[j] += row[:, None, None] * x**i
    total = of_x[order]
    for j in reversed(range(order)):  # Horner's rule; small products of matrices wake threads
        total = total * y
        total += of_x[j]
    return total


def _least_squares(basis: Floats, values: Floats, weights: Floats) -> Floats:
    weighted = basis * weights[:, None]
    normal = (weighted.T @ basis).astype(np.float64)
    normal += np.eye(len(normal)) * (1e-4 * max(float(weights.sum()), 1.0))
    return np.linalg.solve(normal, weighted.T @ values).astype(np.float32)


def _fit_border(small: Floats, y: Floats, x: Floats) -> tuple[Floats, float]:
    """Fit a quadratic to the border: its model and the deviation of what it explains."""
    height, width = small.shape[1:]
    edge = max(1, round(0.015 * max(height, width)))
    ring = np.zeros((height, width), bool)
    ring[:edge] = ring[-edge:] = True
    ring[:, :edge] = ring[:, -edge:] = True
    at = np.flatnonzero(ring)
    rows, columns = np.divmod(at[:: max(1, len(at) // _BORDER)], width)
    samples, ys, xs = small[:, rows, columns].T, y[rows, 0], x[0, columns]
    weights = _first_guess(samples, _terms(ys, xs, 1))
    basis, scale = _terms(ys, xs, 2), 8.0
    for _ in range(6):
        model = _least_squares(basis, samples, weights)
        off = np.linalg.norm(samples - basis @ model, axis=1)
        inside = off < 2.5 * scale
        if inside.any():
            scale = float(np.clip(1.5 * np.median(off[inside]), 1, 8))
        weights = np.clip(1 - (off / (3 * scale)) ** 2, 0, 1) ** 2
    return model, scale


def _first_guess(samples: Floats, basis: Floats) -> Floats:
    """Weigh border samples by the flat or linear field through a few that most agree with."""
    picks = np.random.default_rng(0).integers(0, len(samples), (_HYPOTHESES, 3))
    flat = np.zeros((_HYPOTHESES, 3, 3), np.float32)
    flat[:, 0] = samples[picks[:, 0]]
    corners = basis[picks]
    apart = np.abs(np.linalg.det(corners)) > 0.05
    sloped = np.linalg.solve(corners[apart], samples[picks[apart]])
    models = np.concatenate([flat, sloped])
    few = np.s_[:: max(1, len(samples) // 120)]
    # hypotheses by samples, a plane for each colour; a product of matrices would wake threads
    constant, in_x, in_y = (models[:, term].T[..., None] for term in range(3))
    off = constant - samples[few].T[:, None]
    off += in_x * basis[few, 1]
    off += in_y * basis[few, 2]
    best = models[np.minimum(product(off, off), 12**2).sum(1).argmin()]
    off = np.linalg.norm(samples - basis @ best, axis=1)
    return np.clip(1 - (off / 24) ** 2, 0, 1) ** 2


class _Matcher:
    """Decides which regions of small deviation are backdrop."""

    def __init__(self, residual: Floats, scale: float):
        self.residual, self._scale = residual, scale
        self.deviation = np.sqrt(product(residual, residual))

    def matching(self, near: Mask, *, holes: bool) -> Mask:
        regions = Regions(near)
        if not regions.count:
            return near
        contact = regions.contact()
        main = contact >= _MAIN * 2 * sum(near.shape)
        others = (regions.area >= 12) & ~main & (holes | (contact > 0))
        if not others.any():
            return regions.paint(main)
        core = ~dilate(~near)
        thick = regions.sums(core)
        count = np.maximum(thick, 1)
        deviation = regions.sums(self.deviation * core) / count
        shift = [regions.sums(channel * core) / count for channel in self.residual]
        contrast = regions.sums(strongest(self.deviation) * core) / count
        same = (thick >= 0.3 * regions.area) & (
            deviation < 1.1 * self._scale + 1.5 + 0.01 * contrast
        )
        # a hole ends in an edge; white fur fades into what looks like white backdrop
        wide = Regions((self.deviation < max(6 * self._scale, 14)) & ~regions.paint(main))
        crisp = wide.paint(wide.sums(near) >= 0.6 * wide.area)
        same &= regions.sums(crisp) >= 0.9 * regions.area
        same &= np.linalg.norm(shift, axis=0) < 1 + 0.15 * self._scale + 0.01 * contrast
        return regions.paint(main | (others & same))


def _spread(residual: Floats, known: Mask) -> Floats:
    """Carry the residual of known backdrop to everywhere else, smoothly."""
    weight = known.astype(np.float32)
    share = average(weight, 2)
    mean = average(residual * weight, 2) / np.maximum(share, 1e-6)
    return double(fill(mean, share))[:, : known.shape[0], : known.shape[1]]


def _shaded(small: Floats, lit: Floats, background: Mask, limit: float, scale: float) -> Mask:
    """Add to the backdrop what darkens it slowly without changing its hue."""
    block = max(1, round(max(background.shape) / _SHADOW_SIDE))
    mean, bright = average(small, block), average(lit, block)
    known = average(background.astype(np.float32), block) > 0.9
    shade = product(mean, bright) / np.maximum(product(bright, bright), 1)
    off = mean - shade * bright
    off_hue = np.sqrt(product(off, off))
    slope = 1 + 1.5 * scale / block + 0.035 * float(bright.mean())
    slow = (shade > _SHADES[0]) & (shade < _SHADES[1]) & (off_hue < limit) & (_steep(mean) < slope)
    # what hangs together by a pixel or two only is not one shadow
    slow |= known
    slow &= dilate(~dilate(~slow))
    regions = Regions(slow | known)
    shaded = known | regions.paint(regions.sums(known) > 0)
    # a shadow fades out; what is evenly dark up to its outline is a subject of the same hue
    regions = Regions(shaded & ~known)
    area = np.maximum(regions.area, 1)
    dark = regions.sums(1 - shade) / area
    spread = regions.sums((1 - shade) ** 2) / area - dark**2
    shaded &= ~regions.paint((spread < (_EVEN * dark) ** 2) & (dark > 0))
    height, width = background.shape
    return shaded.repeat(block, 0).repeat(block, 1)[:height, :width]


def _steep(values: Floats) -> Floats:
    """Return the greatest step to a neighbour, over channels: (H, W)."""
    steps = np.zeros(values.shape[1:], np.float32)
    down = np.abs(values[:, 1:] - values[:, :-1]).max(0)
    right = np.abs(values[..., 1:] - values[..., :-1]).max(0)
    parts = (np.s_[1:], down), (np.s_[:-1], down), (np.s_[:, 1:], right), (np.s_[:, :-1], right)
    for part, step in parts:
        np.maximum(steps[part], step, out=steps[part])
    return steps
