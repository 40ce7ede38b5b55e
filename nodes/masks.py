"""What sessions found already, so that another colour or edge does not run the network again."""

from __future__ import annotations

import hashlib
import itertools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..core.imaging.rows import map_rows
from ..core.session.protocol import Layer
from ..core.session.rembg_api import BaseSession

# 64 masks of 1024², 5 of 4000×3000.
_MOST_BYTES = 256 << 20
# A picture's rows that are hashed together.
_ROWS = 256


@dataclass(frozen=True, slots=True)
class _Found:
    layers: list[Layer]
    size: int
    used: int
    batch: object


_Known = dict[tuple[bytes, str], _Found]
"""Of one session, by picture and options."""

# Weak, so that what was found goes when its session goes.
_found: weakref.WeakKeyDictionary[BaseSession, _Known] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_turn = itertools.count()


def remembered(
    session: BaseSession,
    image: Image.Image,
    options: dict[str, Any],
    find: Callable[[], list[Layer]],
    batch: object = None,
) -> list[Layer]:
    """Return the layers of a picture: those found before, or what ``find`` returns.

    They are found again after the model's file was replaced. Their alpha is read-only.

    Parameters
    ----------
    options
        What else the session is asked, by name.
    batch
        What is done now, such as a workflow's run: what it found or used stays until another
        one needs the room. So a long video keeps as many masks as there is room for, where the
        newest would push out the first, which are wanted first in the next run.
    """
    key = (_digest(image), repr(sorted(options.items())))
    current = session.is_current()
    with _lock:
        known = _found.setdefault(session, {})
        if not current:
            known.clear()
        if (hit := known.get(key)) is not None:
            known[key] = _Found(hit.layers, hit.size, next(_turn), batch)
            return list(hit.layers)
    layers = find()
    size = sum(map(_bytes, layers))
    if current and size <= _MOST_BYTES:
        for layer in layers:
            layer.alpha.flags.writeable = False
        with _lock:
            if _make_room(size, batch):
                known = _found.setdefault(session, {})
                known[key] = _Found(list(layers), size, next(_turn), batch)
    return layers


def forget(session: BaseSession) -> None:
    """Let go of what a session found."""
    with _lock:
        _found.pop(session, None)


def _make_room(size: int, batch: object) -> bool:
    """Drop what was not used for longest, and not by this batch; return whether that sufficed."""
    entries = [(each.used, known, key) for known in _found.values() for key, each in known.items()]
    total = sum(known[key].size for _, known, key in entries) + size
    for _, known, key in sorted(entries, key=lambda entry: entry[0]):
        if total <= _MOST_BYTES:
            break
        if batch is None or known[key].batch != batch:
            total -= known.pop(key).size
    return total <= _MOST_BYTES


def _digest(image: Image.Image) -> bytes:
    """Hash a picture, rows by rows: on several threads where it is large."""
    width, height = image.size

    def of_rows(first: int, last: int) -> bytes:
        tops = [_ROWS * i for i in range(first, last)]
        parts = [image.crop((0, top, width, min(top + _ROWS, height))) for top in tops]
        return b"".join(hashlib.blake2b(part.tobytes()).digest() for part in parts)

    digests = b"".join(map_rows(of_rows, -(-height // _ROWS), width * height))
    return hashlib.blake2b(f"{image.mode} {image.size}".encode() + digests).digest()


def _bytes(layer: Layer) -> int:
    edge = 0 if layer.edge is None else layer.edge.pixels.nbytes + layer.edge.colours.nbytes
    cutout = 0 if layer.cutout is None else layer.cutout.nbytes
    return layer.alpha.nbytes + edge + cutout
