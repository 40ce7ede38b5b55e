"""How far an image has a plain backdrop and a subject that differs from it."""

from __future__ import annotations

import numpy as np

from ..imaging.morphology import Mask, dilate
from ..imaging.pyramid import Floats

# Confidence is a product of factors of 0..1. These were set so that the composites of
# tests/bench/backdrop.py pass and its photos without a plain backdrop do not.

# A ramp: the measurement at which the factor is 0, and how far from there it is 1.
# Share of the border that is backdrop.
_BORDER_SHARE = 0.35, 0.25
# How many stretches of something else interrupt the backdrop along the border.
_INTERRUPTIONS = 14, -9
# Length of the backdrop's outline, as a share of the image's perimeter.
_OUTLINE_LENGTH = 3.2, -1.2
# Loss of the factor for each share of the rim that is lost, and how many times the limit a pixel
# of the rim must deviate not to be lost.
_LOSS_COST, _LOST_BELOW = 1.5, 2
# Share of what is not plain backdrop that may be shadow or subject.
_DOUBT = 0.25, -0.15
# A row or column belongs to a bar if so much of it is backdrop; below the second share within the
# others, the backdrop is only bars around an image.
_BAR, _BARS = 0.9, 0.015


def measure_confidence(background: Mask, deviation: Floats, doubt: float = 0.0) -> float:
    """Measure how far an image has a plain backdrop and a subject that differs, 0..1.

    Low where the backdrop holds little of the border, alternates with something else many times
    along it, is ragged, or is only bars above and below or beside an image; where there is no
    subject, or where the subject hardly differs from the backdrop just inside its outline.

    Parameters
    ----------
    background
        bool (H, W).
    deviation
        float32 (H, W): distance from the backdrop's colour, as a multiple of the limit.
    doubt
        0..1: share of what is not plain backdrop that may be shadow or subject.
    """
    if background.all() or _is_between_bars(background):
        return 0.0
    border = np.concatenate(
        [background[0], background[1:, -1], background[-1, -2::-1], background[-2:0:-1, 0]]
    )
    interruptions = (border != np.roll(border, 1)).sum() / 2
    outline = dilate(background)
    length = (outline & ~background).sum() / (2 * sum(background.shape))
    rim = dilate(dilate(outline)) & ~outline
    lost = float((deviation[rim] < _LOST_BELOW).mean()) if rim.any() else 0.0
    return (
        _ramp(float(border.mean()), *_BORDER_SHARE)
        * _ramp(float(interruptions), *_INTERRUPTIONS)
        * _ramp(float(length), *_OUTLINE_LENGTH)
        * max(1 - _LOSS_COST * lost, 0.0)
        * _ramp(doubt, *_DOUBT)
    )


def _ramp(value: float, zero: float, span: float) -> float:
    """Return 0 at ``zero`` and 1 from ``zero + span`` on, which may lie on either side."""
    return min(max((value - zero) / span, 0.0), 1.0)


def _is_between_bars(background: Mask) -> bool:
    rows, columns = (np.flatnonzero(background.mean(axis=axis) < _BAR) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return False
    spans = len(rows) == background.shape[0], len(columns) == background.shape[1]
    box = background[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return any(spans) and float(box.mean()) < _BARS
