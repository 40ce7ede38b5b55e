"""Clips: frames, times and sound of what is written are those of what was read."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core.clips.read import Clip, open_animation, open_video
from rembg_sessions.core.clips.write import CONTAINERS, ClipWriter
from rembg_sessions.core.errors import ImageError, RuntimeMissingError

av = pytest.importorskip("av", reason="PyAV is not installed: pip install av")

SIZE = (96, 64)
TIMES = [Fraction(each, 1000) for each in (0, 40, 120, 160, 200, 320, 360, 400)]


def picture(number, size=SIZE):
    """A square that moves over a sky; half of it is soft."""
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    pixels[..., 3] = 0
    left = 4 * number
    pixels[16:48, left : left + 32] = (200, 120, 40, 255)
    pixels[16:48, left + 24 : left + 32, 3] = 128
    return Image.fromarray(pixels)


def write_video(path, *, sound=True, count=8, size=SIZE):
    """Write a video with frames of uneven length and a tone, and return its path."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = file.add_stream("aac", rate=44_100) if sound else None
        for number in range(count):
            behind = Image.new("RGBA", size, (90, 140, 220))
            behind.alpha_composite(picture(number, size))
            frame = av.VideoFrame.from_image(behind.convert("RGB"))
            frame.pts = int(TIMES[number % 8] * 1000) + number // 8 * 440
            frame.time_base = Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if tone is not None:
            wave = np.sin(np.arange(44_100 * 11 // 25) / 16).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.rate, frame.pts = 44_100, 0
            file.mux(tone.encode(frame))
            file.mux(tone.encode())
    return path


def read(path):
    """Return times and frames (H, W, 4) of what was written."""
    if path.suffix in (".webp", ".apng", ".gif"):
        found = Image.open(path)
        time, frames = Fraction(0), []
        for number in range(found.n_frames):
            found.seek(number)
            frames.append((time, np.asarray(found.convert("RGBA"))))
            time += Fraction(round(found.info["duration"]), 1000)
        return frames
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        if path.suffix != ".webm":
            decoded = list(file.decode(stream))
        else:  # ffmpeg's own decoder of VP9 knows no transparency
            decoder = av.codec.CodecContext.create("libvpx-vp9", "r")
            packets = [each for each in file.demux(stream) if each.size]
            decoded = [frame for each in packets for frame in decoder.decode(each)]
            decoded += decoder.decode(None)
        unit = stream.time_base
        return [(each.pts * unit, each.reformat(format="rgba").to_ndarray()) for each in decoded]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_frames_times_and_sound_are_kept(tmp_path, suffix):
    source = open_video(str(write_video(tmp_path / "clip.mp4")))
    opaque = not CONTAINERS[suffix].alpha
    path = tmp_path / f"out{suffix}"
    with ClipWriter(path, suffix, source, opaque, None) as writer:
        for number, frame in enumerate(source):
            shown = frame.picture if opaque else picture(number)
            writer.add(shown, frame.time, frame.duration)
    found = read(path)
    tick = CONTAINERS[suffix].tick
    off = [abs(time - wanted) for (time, _), wanted in zip(found, TIMES, strict=True)]
    assert max(off) <= tick / 2
    for number, (_, pixels) in enumerate(found):
        expected = np.asarray(picture(number)).astype(int)
        inside = expected[..., 3] > 200
        assert np.abs(pixels[inside] - expected[inside]).mean() < 6
        if not opaque:
            soft = 200 if suffix == ".gif" else 6
            assert np.abs(pixels[..., 3].astype(int) - expected[..., 3]).max() <= soft
            assert pixels[0, 0, 3] == 0
    if CONTAINERS[suffix].sound:
        with av.open(str(path)) as file:
            assert file.streams.audio[0].codec_context.codec.canonical_name in (
                "opus" if suffix == ".webm" else "aac"
            )
            heard = np.concatenate([each.to_ndarray()[0] for each in file.decode(audio=0)])
            assert len(heard) > 0.4 * 44_100 and np.abs(heard[4000:12_000]).mean() > 0.3


def test_a_clip_says_what_it_is(tmp_path):
    clip = open_video(str(write_video(tmp_path / "clip.mp4")))
    assert clip.count == 8 and clip.has_sound and clip.is_video
    assert [frame.time for frame in clip] == TIMES
    assert len(list(clip)) == 8, "it can be read again"
    assert not open_video(str(write_video(tmp_path / "b.mp4", sound=False))).has_sound


def test_a_video_held_upright(tmp_path):
    path = write_video(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    # the matrix of the first track's header: a quarter turn, as phones write it
    at = data.index(b"tkhd") + 4 + 40
    turn = (0, 1 << 16, 0, -(1 << 16), 0, 0, SIZE[1] << 16, 0, 1 << 30)
    data[at : at + 36] = b"".join(each.to_bytes(4, "big", signed=True) for each in turn)
    path.write_bytes(data)
    frame = next(iter(open_video(str(path))))
    assert frame.picture.size == SIZE[::-1]
    # turned clockwise: what was left is up
    pixels = np.asarray(frame.picture).astype(int)
    assert pixels[10, 32, 0] > 150 and pixels[80, 32, 0] < 130


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_all_frames(tmp_path, form):
    colours = ["red", "lime", "blue"]
    frames = [Image.new("RGB", (8, 8), colour) for colour in colours]
    path = tmp_path / f"a.{form.lower()}"
    options = {} if form == "TIFF" else {"duration": [50, 200, 100]}
    lossless = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(path, form, save_all=True, append_images=frames[1:], **options, **lossless)
    clip = open_animation(str(path))
    assert clip.count == 3
    found = list(clip)
    assert [each.picture.convert("RGB").getpixel((4, 4)) for each in found] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    ]
    if options:
        assert [each.time for each in found] == [0, Fraction(1, 20), Fraction(1, 4)]


def test_one_picture_is_no_animation(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.gif").write_bytes(b"no picture")
    assert open_animation(str(tmp_path / "a.png")) is None
    assert open_animation(str(tmp_path / "b.gif")) is None
    assert open_animation(str(tmp_path / "gone.gif")) is None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text.mp4", b"no video"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("list.ts", b"ffconcat version 1.0\nfile '/etc/hostname'\n"),
        ("empty.webm", b""),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=f"{name}' is not a video that can be read"):
        open_video(str(tmp_path / name))


@pytest.mark.parametrize("name", ["gone.mp4", "http://127.0.0.1:9/a.mp4", "pipe:0"])
def test_names_are_files_and_nothing_else(tmp_path, name):
    with pytest.raises(ImageError, match="There is no file"):
        open_video(name)


def test_a_damaged_video_says_so(tmp_path):
    path = write_video(tmp_path / "clip.mp4", count=64)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 200
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    try:
        assert len(list(open_video(str(path)))) <= 64
    except ImageError as error:
        assert "is damaged" in str(error)


def test_without_pyav_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(RuntimeMissingError, match="-m pip install av"):
        open_video(str(tmp_path / "clip.mp4"))


def test_frames_of_other_sizes_are_refused(tmp_path):
    source = Clip(tmp_path / "none", 2, Fraction(25))
    with (
        pytest.raises(ImageError, match="does not fit those of 96×64"),
        ClipWriter(tmp_path / "a.webm", ".webm", source, False, None) as writer,
    ):
        writer.add(picture(0), Fraction(0), Fraction(1, 25))
        writer.add(picture(0, (80, 64)), Fraction(1, 25), Fraction(1, 25))


def test_odd_sizes(tmp_path):
    source = Clip(tmp_path / "none", 2, Fraction(25))
    for suffix, kind in CONTAINERS.items():
        path = tmp_path / f"a{suffix}"
        with ClipWriter(path, suffix, source, not kind.alpha, None) as writer:
            for number in range(2):
                writer.add(picture(number, (61, 49)), Fraction(number, 25), Fraction(1, 25))
        size = read(path)[0][1].shape[:2]
        assert size == ((48, 60) if suffix == ".mp4" else (49, 61))


@pytest.mark.parametrize("suffix", [".webm", ".mp4", ".webp"])
def test_quality(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    sizes = []
    for quality in (10, 50, 95, None):
        path = tmp_path / f"{quality}{suffix}"
        source = Clip(path, 2, Fraction(25))
        with ClipWriter(path, suffix, source, True, quality) as writer:
            for number in range(4):
                shown = Image.fromarray(np.roll(noise, number * 7, 1))
                writer.add(shown, Fraction(number, 25), Fraction(1, 25))
        sizes.append(path.stat().st_size)
    assert all(less < more for less, more in pairwise(sizes[:3])) and sizes[3] > sizes[1]


def test_times_that_meet_are_kept_apart(tmp_path):
    source = Clip(tmp_path / "none", 3, Fraction(1000))
    path = tmp_path / "a.gif"
    with ClipWriter(path, ".gif", source, False, None) as writer:
        for number in range(3):
            writer.add(picture(number), Fraction(number, 1000), Fraction(1, 1000))
    assert Image.open(io.BytesIO(path.read_bytes())).n_frames == 3
