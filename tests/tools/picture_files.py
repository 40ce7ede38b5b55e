"""Small picture files of every readable format and mode, and ways to damage them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from rembg_sessions.core.imaging.formats import FORMATS

MODES = [
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB"),
    *("HSV", "I;16", "I;16B", "I", "F"),
]
NUMBERS = [
    *(0, 1, 2, 3, 4, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000),
    *(0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF),
]
PNG = b"\x89PNG\r\n\x1a\n"


def picture(mode, seed=0, size=(23, 17)):
    """Make a picture of a mode."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 4), np.uint8))
    rgba = small.resize(size, Image.Resampling.BILINEAR)
    if mode in ("I;16", "I;16B"):
        values = np.asarray(rgba.convert("L")).astype("<u2") * 257
        values = values.astype(">u2") if mode == "I;16B" else values
        return Image.frombytes(mode, size, values.tobytes())
    if mode in ("I", "F"):
        return rgba.convert("L").convert(mode)
    if mode == "La":
        return rgba.convert("LA").convert("La")
    if mode == "PA":
        palette = rgba.convert("RGB").convert("P")
        palette.putalpha(rgba.getchannel("A"))
        return palette
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(rgba.convert("RGB"), srgb, lab, outputMode="LAB")
    if mode in ("RGBA", "RGBa", "LA"):
        return rgba.convert(mode)
    return rgba.convert("RGB").convert(mode)


def _options():
    """Yield formats and how they are saved."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010E] = 6, 72.0, "a thistle"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    said = {"icc_profile": profile, "exif": exif.tobytes(), "dpi": (300, 72)}
    yield "PNG", {}
    yield "PNG", {"transparency": 3, **said}
    yield "PNG", {"transparency": (1, 2, 3)}
    yield "PNG", {"transparency": bytes(range(64)), "bits": 4}
    yield "PNG", {"save_all": True, "append_images": [picture("RGB", 1)]}
    yield "JPEG", {}
    yield "JPEG", {"progressive": True, **said}
    yield "JPEG", {"subsampling": "4:2:0", "restart_marker_blocks": 1}
    yield "MPO", {"save_all": True, "append_images": [picture("RGB", 1)]}
    yield "WEBP", {}
    yield "WEBP", {"lossless": True, **said}
    yield "WEBP", {"save_all": True, "append_images": [picture("RGB", 1)]}
    yield "GIF", {"transparency": 2}
    yield "GIF", {"save_all": True, "append_images": [picture("RGB", 1), picture("RGB", 2)]}
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"):
        yield "TIFF", {"compression": compression, **said}
    yield "TIFF", {"compression": "zstd", "tiffinfo": {277: 3, 339: 3}}
    yield "TIFF", {"save_all": True, "append_images": [picture("RGB", 1)]}
    yield "TIFF", {"big_tiff": True}
    yield "JPEG2000", {}
    yield "JPEG2000", {"no_jp2": True, "irreversible": True, "tile_size": (16, 16)}
    yield "AVIF", {"speed": 10}
    yield "AVIF", {"speed": 10, **said}
    yield "TGA", {}
    yield "TGA", {"compression": "tga_rle", "orientation": 1}
    yield "SGI", {}
    yield "SGI", {"bpc": 2}
    yield "DDS", {}
    yield "DDS", {"pixel_format": "DXT1"}
    yield "DDS", {"pixel_format": "DXT5"}
    for name in ("BMP", "DIB", "ICO", "MSP", "PCX", "PPM", "QOI", "XBM"):
        yield name, {}
    yield "ICO", {"bitmap_format": "bmp", "sizes": [(16, 16), (8, 8)]}


def files():
    """Return valid files as {(format, mode, number): bytes}, what Pillow can write of all."""
    Image.init()
    made = {}
    for number, (name, options) in enumerate(_options()):
        if name not in Image.SAVE:
            continue
        for mode in MODES:
            buffer = io.BytesIO()
            try:
                picture(mode).save(buffer, name, **options)
            except Exception:  # not every format holds every mode
                continue
            made[name, mode, number] = buffer.getvalue()
    made["PSD", "RGB", 0] = _psd(False)
    made["PSD", "RGB", 1] = _psd(True)
    made["ICNS", "RGBA", 0] = _icns(b"icp4", saved("RGBA", "PNG"))
    made["ICNS", "RGB", 1] = _icns(b"is32", 3 * (b"\xff\x07" + b"\x7d" + bytes(126)))
    made["ICNS", "RGB", 2] = _icns(b"icp4", saved("RGB", "JPEG2000"))
    made["PPM", "RGB", -1] = b"P3\n2 2\n255\n1 2 3 4 5 6 7 8 9 10 11 12\n"
    made["PPM", "1", -1] = b"P1\n# a comment\n3 2\n1 0 1 0 1 0\n"
    made["BMP", "P", -1] = _rle_bmp()
    for colours, mode in ((2, "RGB"), (3, "P"), (6, "RGBA")):
        made["PNG", mode, -1] = _interlaced(colours)
    assert {name for name, *_ in made} >= set(FORMATS) - {"HEIF"} - (set(FORMATS) - {*Image.OPEN})
    return made


def saved(mode, name):
    """Return the bytes of a file of 16×16 pixels."""
    buffer = io.BytesIO()
    picture(mode, size=(16, 16)).save(buffer, name)
    return buffer.getvalue()


def _icns(kind, body):
    """An icon of macOS; Pillow writes those of a megabyte only."""
    mask = b"s8mk" + struct.pack(">I", 264) + bytes(range(256)) if kind == b"is32" else b""
    block = kind + struct.pack(">I", len(body) + 8) + body + mask
    return b"icns" + struct.pack(">I", len(block) + 8) + block


def _psd(packed):
    """A Photoshop file, which Pillow cannot write."""
    height, width = 5, 6
    head = struct.pack(">4sH6sHIIHH", b"8BPS", 1, bytes(6), 3, height, width, 8, 3)
    data = head + struct.pack(">III", 0, 0, 0)
    rows = [bytes([7 * y + x for x in range(width)]) for y in range(3 * height)]
    if not packed:
        return data + struct.pack(">H", 0) + b"".join(rows)
    packets = [bytes([width - 1]) + row for row in rows]
    lengths = b"".join(struct.pack(">H", len(packet)) for packet in packets)
    return data + struct.pack(">H", 1) + lengths + b"".join(packets)


def _rle_bmp():
    """A bitmap of 4×2 pixels, run-length encoded, which Pillow cannot write."""
    pixels = b"\x04\x01\x00\x00\x00\x04\x01\x02\x03\x04\x00\x01"
    palette = b"".join(bytes([i, 2 * i, 3 * i, 0]) for i in range(8))
    head = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, len(pixels), 0, 0, 8, 8)
    offset = 14 + len(head) + len(palette)
    return (
        struct.pack("<2sIHHI", b"BM", offset + len(pixels), 0, 0, offset) + head + palette + pixels
    )


def chunk(name, body):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _interlaced(colours):
    """A PNG of 3×3 pixels in seven passes, which Pillow cannot write."""
    channels = {2: 3, 3: 1, 6: 4}[colours]
    sizes = [(1, 1), (0, 1), (1, 0), (1, 1), (2, 1), (1, 2), (3, 1)]
    rows = b"".join(
        b"\0" + bytes(range(width * channels)) for width, height in sizes if width
        for _ in range(height)
    )  # fmt: skip
    head = struct.pack(">IIBBBBB", 3, 3, 8, colours, 0, 0, 1)
    palette = chunk(b"PLTE", bytes(range(48))) if colours == 3 else b""
    return (
        PNG
        + chunk(b"IHDR", head)
        + palette
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


# -- damage -----------------------------------------------------------------------------------


def damaged(data, rng, others):
    """Return a file with one to three damages; ``others`` are files to borrow parts from."""
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        ways = [
            *WAYS,
            *(way for test, more in BY_KIND if data.startswith(test) for way in 9 * more),
        ]
        data = rng.choice(ways)(data, rng, others)
    return data


def _flip(data, rng, others):
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if found:
            found[_at(found, rng)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _at(data, rng):
    """A place in a file; mostly near the start, where what matters stands."""
    return rng.randrange(min(len(data), rng.choice((16, 64, 256, len(data)))) or 1)


def _write(data, rng, others):
    """Write an odd number of one to eight bytes."""
    size, order = rng.choice((1, 2, 2, 4, 4, 4, 8)), rng.choice(("little", "big"))
    number = rng.choice(NUMBERS) % 2 ** (8 * size)
    at = _at(data, rng)
    return data[:at] + number.to_bytes(size, order) + data[at + size :]


def _cut(data, rng, others):
    return data[: rng.randrange(len(data) + 1)]


def _extend(data, rng, others):
    return data + rng.randbytes(rng.choice((1, 10, 1000)))


def _splice(data, rng, others):
    other = rng.choice(others)
    return data[: _at(data, rng)] + other[_at(other, rng) :]


def _move(data, rng, others):
    """Remove, repeat or move a block."""
    at, length, to = _at(data, rng), rng.choice((1, 2, 4, 16, 100)), _at(data, rng)
    block = data[at : at + length]
    rest = rng.choice((data, data[:at] + data[at + length :]))
    return rng.choice((rest, rest[:to] + block + rest[to:]))


def _noise(data, rng, others):
    at, length = _at(data, rng), rng.choice((1, 4, 32))
    return data[:at] + rng.randbytes(length) + data[at + length :]


WAYS = [_flip, _write, _cut, _extend, _splice, _move, _noise]


def _shuffle(parts, rng):
    """Drop, repeat or exchange parts of a file."""
    parts = list(parts)
    if not parts:
        return parts
    at, to = rng.randrange(len(parts)), rng.randrange(len(parts))
    way = rng.randrange(4)
    if way == 0:
        del parts[at]
    elif way == 1:
        parts.insert(to, parts[at])
    elif way == 2:
        parts[at], parts[to] = parts[to], parts[at]
    else:
        parts[at : at + 1] = [parts[at]] * 50
    return parts


def _png_parts(data):
    parts, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return parts


# Chunks that Pillow reads, which the files above may not have.
CHUNKS = [
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"pHYs"),
    *(b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"caBX", b"sBIT", b"bKGD"),
]


def _png_chunks(data, rng, others):
    """Change a chunk; the checksums are right."""
    parts = _png_parts(data)
    way = rng.randrange(4)
    if way == 0 or not parts:
        parts = _shuffle(parts, rng)
    elif way == 1:
        parts.insert(rng.randrange(len(parts)), (rng.choice(CHUNKS), _body(rng)))
    else:
        at = rng.randrange(len(parts))
        name, body = parts[at]
        parts[at] = name, rng.choice((_flip, _write, _cut, _extend, _move))(body, rng, others)
    return PNG + b"".join(chunk(name, body) for name, body in parts)


def _body(rng):
    """The body of a chunk that somebody may have written."""
    return rng.choice(
        (
            b"",
            b"\0",
            rng.randbytes(rng.choice((1, 4, 8, 9, 13, 26, 32, 256))),
            struct.pack(">II", rng.choice(NUMBERS), rng.choice(NUMBERS)) + b"\1",
            b"icc\0\0" + zlib.compress(rng.randbytes(200)),
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  10\n4d4d002a00000008000x"),
            b"XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation='9'/>",
            b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0",
            b"II*\0" + rng.randbytes(30),
        )
    )


def _segments(data, rng, others):
    """Change the segments of a JPEG."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        parts.append(data[at : at + 2 + length])
        at += 2 + length
    rest = data[at:]
    way = rng.randrange(4)
    if way == 0 or not parts:
        parts = _shuffle(parts, rng)
    elif way == 1:
        body = rng.choice(
            (
                b"Exif\0\0" + _body(rng),
                b"ICC_PROFILE\0\1\2" + rng.randbytes(20),
                b"Adobe\0\x64\0\0\0\0" + bytes([rng.randrange(4)]),
                b"MPF\0" + _body(rng),
                b"Photoshop 3.0\0" + b"8BIM\x03\xed" + rng.randbytes(20),
                b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='6'/>",
                rng.randbytes(20),
            )
        )
        marker = rng.choice((0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xDB, 0xC4, 0xC0, 0xDD))
        made = bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        parts.insert(rng.randrange(len(parts) + 1), made)
    else:
        at = rng.randrange(len(parts))
        parts[at] = rng.choice((_flip, _write, _noise, _cut))(parts[at], rng, others)
    return data[:2] + b"".join(parts) + rest


def _tags(data, rng, others):
    """Change tags of a TIFF: their number, kind, count or value."""
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 10:
        return data
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return data
    (count,) = struct.unpack_from(f"{order}H", data, start)
    count = min(count, (len(data) - start - 2) // 12)
    if not count:
        return data
    found = bytearray(data)
    at = start + 2 + 12 * rng.randrange(count)
    way = rng.randrange(5)
    if way == 0:
        tags = (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 284, 296, 305)
        more = (317, 320, 322, 323, 324, 325, 330, 338, 339, 347, 530, 532, 700, 34665, 34675)
        struct.pack_into(f"{order}H", found, at, rng.choice(tags + more))
    elif way == 1:
        struct.pack_into(f"{order}H", found, at + 2, rng.randrange(20))
    elif way == 2:
        struct.pack_into(f"{order}I", found, at + 4, rng.choice(NUMBERS))
    elif way == 3:
        struct.pack_into(f"{order}I", found, at + 8, rng.choice(NUMBERS))
    else:
        to = start + 2 + 12 * rng.randrange(count)
        found[to : to + 12] = found[at : at + 12]
    return bytes(found)


def _riff(data, rng, others):
    """Change the chunks of a WebP file; their lengths are right."""
    parts, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        parts.append(data[at : at + 8 + length + length % 2])
        at += 8 + length + length % 2
    parts = _shuffle(parts, rng)
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _boxes(data, rng, others):
    """Change the boxes of an AVIF or JPEG 2000 file, at any depth."""
    found, todo = [], [(0, len(data))]
    inner = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"jp2h": 8, b"moov": 8, b"iinf": 14}
    while todo:
        at, end = todo.pop()
        while at + 8 <= end:
            length, name = struct.unpack_from(">I4s", data, at)
            if length < 8 or at + length > end:
                break
            found.append((at, length))
            if name in inner:
                todo.append((at + inner[name], at + length))
            at += length
    if not found:
        return data
    at, length = rng.choice(found)
    box, to = data[at : at + length], rng.choice(found)[0]
    way = rng.randrange(4)
    if way == 0:
        return data[:at] + data[at + length :]
    if way == 1:
        return data[:to] + box + data[to:]
    if way == 2:
        return data[:at] + struct.pack(">I", rng.choice(NUMBERS)) + data[at + 4 :]
    changed = box[:8] + rng.choice((_flip, _write, _noise))(box[8:], rng, others)
    return data[:at] + changed + data[at + length :]


BY_KIND = [
    (PNG, [_png_chunks]),
    (b"\xff\xd8", [_segments]),
    (b"II", [_tags]),
    (b"MM", [_tags]),
    (b"RIFF", [_riff]),
    (b"\0\0\0", [_boxes]),
]
