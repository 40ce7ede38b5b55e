"""Formats of picture files: those that are read and written, and what to do about others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO"),
    *("MSP", "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM"),
)
"""Pillow's names of the formats that are read: pictures of pixels, decoded by Pillow itself.

PostScript and metafiles are none of them: to read those, Pillow starts other programs.
"""

VIDEOS = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts"),
        *(".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".y4m", ".mxf"),
    )
)
"""Suffixes of videos, which are no pictures."""

_RAW = "convert it to TIFF or JPEG with a raw converter"
_HEIF = "install pillow-heif (pip), or convert it to JPEG"
UNREADABLE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys((".heic", ".heif", ".hif"), _HEIF),
        ".jxl": "convert it to PNG",
        ".svg": "export it as PNG",
        **dict.fromkeys(
            sorted(VIDEOS), "cut it out by itself: `rembg-sessions cutout clip.mp4 out.webm`"
        ),
        **dict.fromkeys(
            (
                *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".nef", ".nrw", ".orf"),
                *(".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw", ".x3f"),
            ),
            _RAW,
        ),
    }
)
"""Suffixes of pictures that are not read, and what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A format that results are written in, and what it keeps of them.

    Attributes
    ----------
    format
        Pillow's name.
    alpha, profile, dpi, exif
        Whether transparency, the ICC profile, the resolution and EXIF data are kept.
    grey
        Whether it has pictures of mode L; the others are RGB.
    """

    format: str
    alpha: bool = False
    profile: bool = False
    dpi: bool = False
    exif: bool = False
    grey: bool = True


_JPEG = Written(format="JPEG", profile=True, dpi=True, exif=True)
_TIFF = Written(format="TIFF", alpha=True, profile=True, dpi=True, exif=True)
WRITTEN: Mapping[str, Written] = MappingProxyType(
    {
        ".png": Written(format="PNG", alpha=True, profile=True, dpi=True, exif=True),
        ".webp": Written(format="WEBP", alpha=True, profile=True, exif=True),
        ".tif": _TIFF,
        ".tiff": _TIFF,
        ".avif": Written(format="AVIF", alpha=True, profile=True, exif=True),
        ".jp2": Written(format="JPEG2000", alpha=True),
        ".tga": Written(format="TGA", alpha=True),
        ".jpg": _JPEG,
        ".jpeg": _JPEG,
        ".jpe": _JPEG,
        ".jfif": _JPEG,
        ".bmp": Written(format="BMP", dpi=True),
        ".gif": Written(format="GIF"),
        ".ppm": Written(format="PPM"),
        ".pnm": Written(format="PPM"),
        ".pcx": Written(format="PCX"),
        ".dds": Written(format="DDS"),
        ".qoi": Written(format="QOI", grey=False),
        ".sgi": Written(format="SGI"),
    }
)
"""By suffix: formats that hold a picture of any size and every colour, but for GIF's 256.

Icons have sizes of their own, and fax and palmtop formats few colours.
"""


def register_heif() -> bool:
    """Teach Pillow to read HEIC, where pillow-heif is installed; whether it is."""
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError:
        return False
    heif: Any = pillow_heif
    heif.register_heif_opener()
    return True


def open_file(file: BinaryIO) -> Image.Image:
    """Open a picture file of a readable format, which is decoded later.

    Raises
    ------
    PIL.UnidentifiedImageError
        If it is of no such format.
    """
    Image.preinit()  # the usual formats; loading all of them takes a tenth of a second
    try:
        return Image.open(file, formats=_known())
    except UnidentifiedImageError:
        Image.init()
        register_heif()
        file.seek(0)
        return Image.open(file, formats=_known())


def _known() -> list[str]:
    """Return the readable formats that this Pillow knows at the moment."""
    return [name for name in FORMATS if name in Image.OPEN]


def is_written(suffix: str) -> bool:
    """Return whether this Pillow writes the format of a suffix of ``WRITTEN``."""
    Image.init()
    return WRITTEN[suffix].format in Image.SAVE


def readable_suffixes() -> frozenset[str]:
    """Return the suffixes, in small letters, of the files that can be read."""
    register_heif()
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in FORMATS)
