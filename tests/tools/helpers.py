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


def number(value):
    return round(value * 65536).to_bytes(4, "big", signed=True)


def profile(space="RGB "):
    """A small ICC profile, version 2: wide-gamut RGB (D65 P3, gamma 2.2), or grey of gamma 1.8."""

    def xyz(*values):
        return b"XYZ " + bytes(4) + b"".join(map(number, values))

    def curve(gamma):
        entry = round(gamma * 256).to_bytes(2, "big")
        return b"curv" + bytes(4) + (1).to_bytes(4, "big") + entry + bytes(2)

    text = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"wide" + bytes(79)
    tags = [(b"desc", text), (b"cprt", b"text" + bytes(4) + b"none" + bytes(4))]
    tags.append((b"wtpt", xyz(0.9642, 1, 0.8249)))
    if space == "RGB ":
        tags.append((b"rXYZ", xyz(0.5151, 0.2412, -0.0011)))
        tags.append((b"gXYZ", xyz(0.2919, 0.6922, 0.0419)))
        tags.append((b"bXYZ", xyz(0.1572, 0.0666, 0.7841)))
        tags += [(name, curve(2.2)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    else:
        tags.append((b"kTRC", curve(1.8)))
    start, table, body = 132 + 12 * len(tags), len(tags).to_bytes(4, "big"), b""
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + (start + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    head = (start + len(body)).to_bytes(4, "big") + b"none" + b"\x02\x40\0\0" + b"mntr"
    head += space.encode() + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += number(0.9642) + number(1) + number(0.8249)
    return head.ljust(128, b"\0") + table + body
