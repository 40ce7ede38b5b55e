"""What several test files need beside the fixtures of conftest.py."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


class Whole:
    """A session that finds everything."""

    def predict(self, image, **options):
        assert image.mode == "RGB"
        return [Image.new("L", image.size, 255)]


class Gradient:
    """A session that finds more the further right it looks, and notes what it was shown."""

    def __init__(self):
        self.seen = []

    def predict(self, image, **options):
        self.seen.append((image.size, options))
        row = np.linspace(0, 255, image.width).astype(np.uint8)
        return [Image.fromarray(np.broadcast_to(row, (image.height, image.width)).copy())]


def encode(picture, form="PNG", **options):
    """Return the bytes of a picture file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def decode(data):
    """Open the bytes of a picture file."""
    return Image.open(io.BytesIO(data))


def difference(ours, theirs):
    """Largest difference in levels; the shapes must agree."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())
