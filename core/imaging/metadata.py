"""What a picture file says of its taking: EXIF, fit for a picture that was made of it."""

from __future__ import annotations

import io
import logging

from PIL import Image

from .formats import open_file

_log = logging.getLogger("rembg_sessions")

# Tags that describe: title, camera, software, time, author, copyright, rating, Windows' own. Not
# the orientation, which is applied, nor how the file's pixels are laid out.
_DESCRIBING = (
    *(0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298),
    *(0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
)
_EXIF, _GPS = 0x8769, 0x8825
# Of the tags on the taking: the size of the pixels, and what points to elsewhere in the file; the
# maker's note may hold a preview, which shows the background.
_LEFT_OUT = (0xA002, 0xA003, 0xA005, 0x927C)


def read_exif(data: bytes) -> Image.Exif:
    """Return the EXIF data of a picture file for a picture that was made of it, upright.

    Camera, time, place, author and copyright; without the orientation, and without previews,
    which show the background.

    Parameters
    ----------
    data
        An encoded file.

    Returns
    -------
    PIL.Image.Exif
        As Pillow saves it; empty where there is none, or it is damaged, with a warning.
    """
    try:
        theirs = open_file(io.BytesIO(data)).getexif()
        ours = Image.Exif()
        for group in (_EXIF, _GPS):
            tags = theirs.get_ifd(group)
            kept = {tag: value for tag, value in tags.items() if tag not in _LEFT_OUT}
            if kept:
                ours[group] = kept
        data, ours = ours.tobytes(), Image.Exif()
        ours.load(data)  # Pillow's TIFF takes groups only from what was read
        for tag in _DESCRIBING:
            if tag in theirs:
                value = theirs[tag]
                # of a text Pillow would write a ? for each letter that is not English
                ours[tag] = value.encode("latin-1") if isinstance(value, str) else value
        return ours
    except Exception as error:  # of damage Pillow raises nearly anything
        _log.warning("The picture's EXIF data is damaged and is not kept: %s.", error)
        return Image.Exif()
