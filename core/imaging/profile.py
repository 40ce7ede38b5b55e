"""Colour profiles: what the numbers of a picture mean, kept or converted to sRGB."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from PIL import Image

_log = logging.getLogger("rembg_sessions")

# Of the profile's header (ICC.1:2022, 7.2): where the colour space and the signature stand.
_SPACE, _SIGNATURE, _HEADER = slice(16, 20), slice(36, 40), 128


def space_of(profile: object) -> str:
    """Return the colour space that a profile describes, ``"RGB"`` for example; empty if none.

    Parameters
    ----------
    profile
        What Pillow keeps as ``icc_profile``: bytes, or anything else that is not a profile.
    """
    if not isinstance(profile, bytes) or len(profile) < _HEADER:
        return ""
    if profile[_SIGNATURE] != b"acsp":
        return ""
    return profile[_SPACE].decode("ascii", "replace").strip()


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert a picture to RGB in sRGB; None where the profile cannot be used.

    Parameters
    ----------
    picture
        Of a mode that fits the profile: L for grey, CMYK, LAB, RGB.
    """
    try:
        from PIL import ImageCms

        cms: Any = ImageCms  # what it says about its own types is incomplete
        source = cms.ImageCmsProfile(io.BytesIO(profile))
        return cms.profileToProfile(picture, source, cms.createProfile("sRGB"), outputMode="RGB")
    except Exception as error:  # a Pillow without LittleCMS, a damaged profile
        _log.warning("The picture's colour profile could not be used: %s.", error)
        return None


def without_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return a result whose numbers mean sRGB, for files that keep no profile.

    As it is, with a warning in the log, where the profile cannot be used.

    Parameters
    ----------
    picture
        Mode RGB or RGBA; where it is black and invisible, it stays so.
    """
    converted = to_srgb(picture.convert("RGB"), profile)
    if converted is None:
        return picture
    if picture.mode == "RGBA":
        converted.putalpha(picture.getchannel("A"))
        values = np.array(converted)
        values[(np.asarray(picture) == 0).all(axis=2)] = 0
        converted = Image.fromarray(values)
    return converted


def from_srgb(colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
    """Return the numbers that an sRGB colour has in an RGB profile; its own if it fails."""
    try:
        from PIL import ImageCms

        cms: Any = ImageCms
        target = cms.ImageCmsProfile(io.BytesIO(profile))
        pixel = Image.new("RGB", (1, 1), colour)
        found = cms.profileToProfile(pixel, cms.createProfile("sRGB"), target, outputMode="RGB")
        return found.getpixel((0, 0))
    except Exception as error:
        _log.warning("The picture's colour profile could not be used: %s.", error)
        return colour
