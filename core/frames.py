"""Frames of a clip: their alpha does not flicker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .imaging.steady import steady
from .session.protocol import Layer

# A network's answer to an empty picture is noise, which is not to become a foreground.
_LEAST_HIGHEST = 0.5


def steady_layers(
    frames: Iterable[tuple[NDArray[np.uint8], list[Layer]]],
) -> Iterator[list[Layer]]:
    """Steady the layers of a clip's frames, see :func:`.imaging.steady.steady`.

    What a network answered is stretched to the full range of 0..1 by one scale for the clip, where
    each frame by itself would have another one, and flicker: from the lowest to the highest value
    so far.

    Parameters
    ----------
    frames
        In order, each a picture, uint8 (H, W, 3), and its layers: from
        :func:`.layers.find_layers` with ``stretch=False``. Three are held at a time.

    Yields
    ------
    list of Layer
        Of each frame, once the next one was taken.
    """
    waiting: deque[list[Layer]] = deque()
    low, high = np.inf, _LEAST_HIGHEST

    def alphas() -> Iterator[tuple[NDArray[np.uint8], list[NDArray[np.float32]]]]:
        nonlocal low, high
        for picture, layers in frames:
            for layer in layers:
                if not layer.stretched:
                    low = min(low, float(layer.alpha.min()))
                    high = max(high, float(layer.alpha.max()))
            waiting.append(layers)
            yield picture, [_stretched(layer, low, high) for layer in layers]

    for found in steady(alphas()):
        layers = waiting.popleft()
        yield [
            layer if alpha is layer.alpha else _with_alpha(layer, alpha)
            for layer, alpha in zip(layers, found, strict=True)
        ]


def _stretched(layer: Layer, low: float, high: float) -> NDArray[np.float32]:
    if layer.stretched:
        return layer.alpha
    # beyond it is what a smaller frame's resize let through
    return np.clip((layer.alpha - low) * np.float32(1 / (high - low)), 0, 1, dtype=np.float32)


def _with_alpha(layer: Layer, alpha: NDArray[np.float32]) -> Layer:
    """Return a layer with other alpha, to which colours that it brings do not belong."""
    return replace(layer, alpha=alpha, edge=None, cutout=None, stretched=True)
