"""The sound of a clip, brought to another file beside its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

from .read import Clip, open_container


class Sound:
    """The first stream of sound of a clip: as it is where the file takes it, else coded anew.

    Parameters
    ----------
    source
        The clip.
    output
        PyAV's container, whose pictures have their stream already.
    kept
        ffmpeg's names of the codecs that it takes.
    codec
        What other sound is coded with.
    """

    def __init__(self, source: Clip, output: Any, kept: frozenset[str], codec: str):
        self._output = output
        self._input = open_container(source.path)
        stream = self._input.streams.audio[0]
        self._start = source.start
        if stream.codec_context.codec.canonical_name in kept:
            self._stream = output.add_stream_from_template(stream)
            self._packets = self._copied(stream)
        else:
            self._stream = output.add_stream(codec, rate=_rate(codec, stream))
            self._stream.codec_context.layout = "mono" if stream.channels == 1 else "stereo"
            self._packets = self._coded(stream)
        self._next: tuple[Fraction, Any] | None = next(self._packets, None)

    def write_until(self, time: Fraction | None) -> None:
        """Write what is heard before a time; all that is left, and no more after, for None."""
        while self._next is not None and (time is None or self._next[0] <= time):
            self._output.mux(self._next[1])
            self._next = next(self._packets, None)
        if time is None:
            self._input.close()

    def _copied(self, stream: Any) -> Iterator[tuple[Fraction, Any]]:
        for packet in self._input.demux(stream):
            if packet.dts is None:  # the empty one at the end
                continue
            packet.stream = self._stream
            yield self._shifted(packet)

    def _coded(self, stream: Any) -> Iterator[tuple[Fraction, Any]]:
        for frame in chain(self._input.decode(stream), (None,)):  # None ends the coder
            for packet in self._stream.encode(frame):
                yield self._shifted(packet)

    def _shifted(self, packet: Any) -> tuple[Fraction, Any]:
        """Return a packet's time and the packet, counted from the beginning of the clip."""
        unit = Fraction(packet.time_base)
        shift = round(self._start / unit)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return packet.dts * unit, packet


def _rate(codec: str, stream: Any) -> int:
    return 48_000 if codec == "libopus" else stream.rate  # Opus has no other of the usual ones
