"""Frames of videos and animations, one by one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import ImageError
from ..imaging.formats import VIDEOS, open_file
from ..imaging.parts import reading
from ..imaging.picture import read_file
from ..text import visible
from .library import load_av, telling

ANIMATIONS = frozenset((".gif", ".webp", ".png", ".apng", ".avif", ".tif", ".tiff"))
"""Suffixes of pictures that may have several frames."""

# Of ffmpeg's formats only files that hold everything themselves: a playlist may name an address.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv,ogg,yuv4mpegpipe,mxf,mpegvideo"
)
_UNSPECIFIED = 2  # by ITU-T H.273, as ffmpeg counts recipes of colour
_HD = 720  # rows
EXACT = 0x2 | 0x2000 | 0x40000
"""ffmpeg's bilinear, with chroma for each pixel and exact rounding: else colours are 1 too low."""

_DEFAULT_RATE = Fraction(25)
_DEFAULT_DELAY = Fraction(1, 10)  # as browsers show a GIF that says none


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame, and when it is shown, in seconds from the beginning."""

    picture: Image.Image = field(repr=False)
    time: Fraction
    duration: Fraction


@dataclass(frozen=True, slots=True)
class Clip:
    """A file of several frames; iterating reads it from the beginning.

    Attributes
    ----------
    path
        The file.
    count
        How many frames it has, as far as it says so; else 0.
    rate
        Frames a second, on average.
    has_sound
        Whether it has a stream of sound.
    start
        Seconds at which its first stream begins, which count as 0 here.
    """

    path: Path
    count: int
    rate: Fraction
    has_sound: bool = False
    start: Fraction = Fraction(0)
    is_video: bool = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, upright.

        Raises
        ------
        ImageError
            If the file is damaged, after the frames before that.
        """
        return _video_frames(self) if self.is_video else _animation_frames(self.path)


def is_video(name: str) -> bool:
    """Return whether a file is called like a video."""
    return Path(name).suffix.lower() in VIDEOS


def open_video(name: str) -> Clip:
    """Look into a video.

    Raises
    ------
    RuntimeMissingError
        If PyAV is not installed.
    ImageError
        If it is not there, or no video.
    """
    load_av()
    path = Path(name)
    with open_container(path) as container:
        if not container.streams.video:
            raise ImageError(f"'{visible(name)}' has no pictures.")
        stream = container.streams.video[0]
        rate = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)
        start = Fraction(container.start_time or 0, 1_000_000)
        seconds = Fraction(container.duration or 0, 1_000_000)
        found = stream.frames or round(seconds * rate)
        return Clip(path, found, rate, bool(container.streams.audio), start, is_video=True)


def open_animation(name: str) -> Clip | None:
    """Look into a picture file; None where it has one frame only, or cannot be read."""
    if Path(name).suffix.lower() not in ANIMATIONS:
        return None
    try:
        with Path(name).open("rb") as file:
            picture = open_file(file)
            frames: int = getattr(picture, "n_frames", 1)
    except Exception:  # whoever opens it as a picture says what is wrong
        return None
    return Clip(Path(name), frames, 1 / _DEFAULT_DELAY) if frames > 1 else None


def _animation_frames(path: Path) -> Iterator[Frame]:
    time = Fraction(0)
    with reading(f"'{visible(str(path))}'"):
        picture = open_file(io.BytesIO(read_file(path).data))
        for number in count():
            try:
                picture.seek(number)
            except EOFError:
                return
            picture.load()
            delay = picture.info.get("duration")
            duration = Fraction(round(delay), 1000) if delay else _DEFAULT_DELAY
            # the next frame is drawn over this one
            yield Frame(picture.copy(), time, duration)
            time += duration


def _video_frames(clip: Clip) -> Iterator[Frame]:
    shown = f"'{visible(str(clip.path))}'"
    time, usual = Fraction(0), 1 / clip.rate
    with open_container(clip.path) as container, telling(f"{shown} is damaged"):
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            if frame.pts is not None:
                time = frame.pts * Fraction(frame.time_base) - clip.start
            length = getattr(frame, "duration", None)
            duration = length * Fraction(frame.time_base) if length else usual
            yield Frame(_upright(frame), time, duration)
            time += duration  # of a frame that says no time


def _upright(frame: Any) -> Image.Image:
    # what says nothing is taken as players take it: standard definition by the older recipe
    is_hd = frame.colorspace == _UNSPECIFIED and frame.height >= _HD
    colours = {"src_colorspace": "ITU709"} if is_hd else {}
    picture: Image.Image = frame.reformat(format="rgb24", interpolation=EXACT, **colours).to_image()
    turned = getattr(frame, "rotation", 0)
    return picture.rotate(turned, expand=True) if turned else picture


def open_container(path: Path) -> Any:
    """Open a video with PyAV, by its content: a name could be an address to ffmpeg.

    Raises
    ------
    ImageError
        If it is not there, or no video.
    """
    shown = f"'{visible(str(path))}'"
    if not path.is_file():
        raise ImageError(f"There is no file {shown}.")
    with telling(f"{shown} is not a video that can be read"):
        return load_av().open(path.open("rb"), options={"format_whitelist": _CONTAINERS})
