"""Frames and sound into one file: video with and without transparency, and animations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..imaging.pyramid import fill
from ..text import install_line, visible
from .library import load_av, telling
from .read import EXACT, Clip
from .sound import Sound

_TOP = 80  # of 100: the quality where none is asked for; more cannot be told by eye
_SOLID = 128  # alpha from which a pixel of a GIF is there: it has no soft edges
_TRANSPARENT = 255  # the entry of a GIF's palette
_KBIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A kind of file that clips are written to.

    Attributes
    ----------
    format, codec
        ffmpeg's names.
    alpha, opaque
        Formats of its pixels, with and without transparency; empty where it has none.
    tick
        Seconds, of which the times of frames are multiples.
    sounds
        ffmpeg's names of the codecs of sound that it takes as they are.
    sound
        What other sound becomes; empty where it has none.
    options
        Of the codec.
    worst, best
        The codec's constant quality (CRF) for 1 and 100, where it has one.
    lossy
        Whether there is a quality to choose.
    """

    format: str
    codec: str
    alpha: str
    opaque: str
    tick: Fraction
    sounds: frozenset[str] = frozenset()
    sound: str = ""
    options: tuple[tuple[str, str], ...] = ()
    worst: int = 0
    best: int = 0
    lossy: bool = False


CONTAINERS: Mapping[str, Container] = MappingProxyType(
    {
        ".webm": Container(
            format="webm",
            codec="libvpx-vp9",
            alpha="yuva420p",
            opaque="yuv420p",
            tick=Fraction(1, 1000),
            sounds=frozenset(("opus", "vorbis")),
            sound="libopus",
            # frames that are never shown ("alt-ref") do not go with transparency
            options=(
                ("deadline", "good"),
                ("cpu-used", "4"),
                ("row-mt", "1"),
                ("auto-alt-ref", "0"),
            ),
            worst=62,
            best=3,
            lossy=True,
        ),
        ".mov": Container(
            format="mov",
            codec="prores_ks",
            alpha="yuva444p10le",
            opaque="yuv444p10le",
            tick=Fraction(1, 90_000),
            sounds=frozenset(("aac", "alac", "mp3", "ac3", "pcm_s16le", "pcm_s24le")),
            sound="aac",
            options=(("profile", "4444"),),
        ),
        ".mp4": Container(
            format="mp4",
            codec="libx264",
            alpha="",
            opaque="yuv420p",
            tick=Fraction(1, 90_000),
            sounds=frozenset(("aac", "alac", "mp3", "ac3", "eac3", "opus")),
            sound="aac",
            options=(("preset", "medium"),),
            worst=51,
            best=3,
            lossy=True,
        ),
        ".webp": Container(
            format="webp",
            codec="libwebp_anim",
            alpha="bgra",
            opaque="bgra",
            tick=Fraction(1, 1000),
            lossy=True,
        ),
        ".apng": Container(
            format="apng", codec="apng", alpha="rgba", opaque="rgb24", tick=Fraction(1, 1000)
        ),
        ".gif": Container(
            format="gif", codec="gif", alpha="pal8", opaque="pal8", tick=Fraction(1, 100)
        ),
    }
)
"""By suffix, in small letters."""


class ClipWriter:
    """Writes a file frame by frame, and its sound between them.

    As a context: the file is complete at the end of the block.

    Parameters
    ----------
    path
        The file, which is written over.
    suffix
        Of ``CONTAINERS``.
    source
        The clip whose rate and sound it gets.
    opaque
        Whether its frames have no transparency.
    quality
        1 to 100, of those that may lose something; None means 80, and nothing is lost in WebP.

    Raises
    ------
    ImageError
        If the installed ffmpeg lacks the codec, or the file cannot be written.
    """

    def __init__(self, path: Path, suffix: str, source: Clip, opaque: bool, quality: int | None):
        self._kind, self._source, self._opaque = CONTAINERS[suffix.lower()], source, opaque
        self._shown, self._quality = visible(str(path)), quality
        self._tick = -1
        self._stream: Any = None
        self._sound: Sound | None = None
        self._output: Any = None
        self._file = path.open("w+b")

    def __enter__(self) -> ClipWriter:
        """Return itself."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish the file, unless something went wrong."""
        try:
            if kind is None and self._output is not None:
                with telling(f"{self._shown} cannot be written"):
                    self._output.mux(self._stream.encode())
                    if self._sound is not None:
                        self._sound.write_until(None)
                    self._output.close()
        finally:
            self._file.close()

    def add(self, picture: Image.Image, time: Fraction, duration: Fraction) -> None:
        """Write the next frame.

        Parameters
        ----------
        picture
            RGBA, RGB or L; all of one size.
        time, duration
            In seconds; a frame that would have the same tick as the last one has the next.

        Raises
        ------
        ImageError
            If its size is not that of the first, or the file cannot be written.
        """
        with telling(f"{self._shown} cannot be written"):
            if self._tick < 0:
                self._begin(picture)
            size = (self._stream.codec_context.width, self._stream.codec_context.height)
            if self._is_even:
                picture = picture.crop((0, 0, *size))
            if picture.size != size:
                raise ImageError(
                    f"A frame of {picture.width}×{picture.height} pixels does not fit those of "
                    f"{size[0]}×{size[1]} before it. Write the frames to a folder."
                )
            frame = self._frame(picture)
            tick = self._kind.tick
            self._tick = max(self._tick + 1, round(time / tick))
            frame.pts, frame.time_base = self._tick, tick
            if hasattr(frame, "duration"):  # older PyAV gives the last one a length of its own
                frame.duration = max(1, round(duration / tick))
            self._output.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.write_until(time)

    @property
    def _is_even(self) -> bool:
        return self._kind.codec == "libx264"  # which takes no odd number of pixels

    def _begin(self, picture: Image.Image) -> None:
        av, kind = load_av(), self._kind
        loops = {"webp": {"loop": "0"}, "apng": {"plays": "0"}, "gif": {"loop": "0"}}
        self._output = av.open(
            self._file, "w", format=kind.format, options=loops.get(kind.format, {})
        )
        try:
            stream = self._output.add_stream(kind.codec, rate=self._source.rate)
        except (ValueError, av.error.FFmpegError) as error:
            raise ImageError(
                f"The installed package av has no {kind.codec}, which {kind.format} needs. Update "
                f"it, `{install_line('--upgrade', 'av')}`, or write another format."
            ) from error
        context = stream.codec_context
        context.width, context.height = (
            side // 2 * 2 if self._is_even else side for side in picture.size
        )
        if not context.width or not context.height:
            raise ImageError(f"A video of {picture.width}×{picture.height} pixels is too small.")
        context.pix_fmt = kind.opaque if self._opaque else kind.alpha
        context.time_base = stream.time_base = kind.tick
        context.options = {**dict(kind.options), **self._quality_options()}
        context.thread_type = "AUTO"
        if "yuv" in context.pix_fmt:
            context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
            context.color_range = 1  # 16 to 235
            if kind.format == "webm":
                context.bit_rate = 0  # constant quality
                if not self._opaque:
                    stream.metadata["alpha_mode"] = "1"
        self._stream = stream
        if self._source.has_sound and kind.sound:
            self._sound = Sound(self._source, self._output, kind.sounds, kind.sound)

    def _quality_options(self) -> dict[str, str]:
        kind, quality = self._kind, self._quality
        if kind.format == "webp":
            return {"lossless": "1"} if quality is None else {"quality": str(quality)}
        if not kind.lossy:
            return {}
        share = ((_TOP if quality is None else quality) - 1) / 99
        return {"crf": str(round(kind.worst + (kind.best - kind.worst) * share))}

    def _frame(self, picture: Image.Image) -> Any:
        """Return a picture as ffmpeg's frame."""
        av, wanted = load_av(), self._kind.opaque if self._opaque else self._kind.alpha
        if wanted == "pal8":
            return av.VideoFrame.from_ndarray(_palette(picture, self._opaque), format="pal8")
        if self._opaque:
            found = av.VideoFrame.from_image(picture.convert("RGB"))
        else:
            pixels = np.asarray(picture.convert("RGBA"))
            if "yuv" in wanted:
                pixels = _spread(pixels)
            found = av.VideoFrame.from_ndarray(pixels, format="rgba")
        if "yuv" not in wanted:
            return found if found.format.name == wanted else found.reformat(format=wanted)
        return found.reformat(
            format=wanted, dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=EXACT
        )


def _spread(pixels: Any) -> Any:
    """Carry colours (H, W, 4) a little way to where alpha is 0, uint8.

    Codecs share colours among neighbours, and would darken the edge of a cut-out by the black
    beside it. Pixels further out keep the mean, which costs nothing to store.
    """
    alpha = pixels[..., 3]
    if alpha.all() or not alpha.any():
        return pixels
    planes = np.moveaxis(pixels[..., :3], 2, 0).astype(np.float32)  # HWC -> CHW
    filled = fill(planes, (alpha > 0).astype(np.float32))
    result = pixels.copy()
    result[..., :3] = np.where(
        (alpha == 0)[..., None], np.moveaxis(filled, 0, 2) + 0.5, pixels[..., :3]
    )
    return result


def _palette(picture: Image.Image, opaque: bool) -> tuple[Any, Any]:
    """Return a picture's indices (H, W), and its palette (256, 4): alpha, red, green, blue."""
    colours = picture.convert("RGB").quantize(_TRANSPARENT)
    indices = np.array(colours)
    table = np.zeros((256, 4), np.uint8)
    flat = np.array(colours.getpalette() or [], np.uint8).reshape(-1, 3)[:_TRANSPARENT]
    table[: len(flat), 1:] = flat
    table[:_TRANSPARENT, 0] = 255
    if not opaque:
        indices[np.asarray(picture.convert("RGBA"))[..., 3] < _SOLID] = _TRANSPARENT
    return indices, table
