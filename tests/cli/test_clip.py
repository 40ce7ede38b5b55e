"""Videos and animations on the command line."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image

from helpers import Whole
from rembg_sessions.core import cli
from rembg_sessions.core.cli import clip, needed
from rembg_sessions.core.errors import ImageError


class Blinking:
    """A session that finds the left half, and nothing in every fifth frame."""

    provider = "CPU"

    def __init__(self):
        self.count = 0

    def open(self):
        pass

    def predict(self, image, **options):
        self.count += 1
        mask = np.zeros((image.height, image.width), np.uint8)
        mask[:, : image.width // 2] = 255 * (self.count % 5 > 0)
        return [Image.fromarray(mask)]


@pytest.fixture(autouse=True)
def session(monkeypatch):
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Blinking())


@pytest.fixture
def animation(tmp_path):
    rng = np.random.default_rng(0)
    frame = Image.fromarray(rng.integers(0, 256, (32, 48, 3), np.uint8))
    path = tmp_path / "clip.webp"
    frames = [Image.new("RGB", (48, 32), (each, 200, 0)) for each in range(11)]
    frames = [Image.blend(frame, each, 0.01) for each in frames]  # Pillow joins equal ones
    frame.save(path, save_all=True, append_images=frames, duration=40, lossless=True)
    assert Image.open(path).n_frames == 12
    return path


@pytest.fixture
def video(tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install av")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(12):
            frame = Image.new("RGB", (48, 32), (20 * number, 100, 50))
            file.mux(stream.encode(av.VideoFrame.from_image(frame)))
        file.mux(stream.encode())
    return path


def cut_out(*arguments):
    return cli.main(["cutout", *map(str, arguments)])


def test_an_animation_becomes_frames_without_pyav(animation, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert cut_out(animation, f"{tmp_path}/frames/") == 0
    names = sorted(each.name for each in (tmp_path / "frames").iterdir())
    assert names == [f"clip-{number:05d}.png" for number in range(1, 13)]
    assert "12 frames" in capsys.readouterr().err
    assert cut_out(animation, tmp_path / "out.gif") == 1
    assert "-m pip install av" in capsys.readouterr().err


def test_frames_are_numbered_in_their_order(video, tmp_path):
    assert cut_out(video, f"{tmp_path}/frames/", "--jobs", "3", "--putalpha") == 0
    reds = [
        np.asarray(Image.open(tmp_path / f"frames/clip-{number:05d}.png"))[10, 10, 0]
        for number in range(1, 13)
    ]
    assert np.allclose(reds, [20 * number for number in range(12)], atol=8)


@pytest.mark.parametrize("suffix", [".webm", ".mov", ".apng", ".gif", ".webp"])
@pytest.mark.parametrize("kind", ["video", "animation"])
def test_clips_become_clips(suffix, kind, tmp_path, request, capsys):
    pytest.importorskip("av")
    source, target = request.getfixturevalue(kind), tmp_path / f"out{suffix}"
    assert cut_out(source, target, "--json") == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["frames"], line["output"], line["error"]) == (12, str(target), None)
    assert target.stat().st_size > 0
    assert not list(tmp_path.glob(".rembg-*"))


def test_steady_frames_do_not_blink(animation, tmp_path):
    for name in ("plain", "steady"):
        arguments = ["--only-mask"] + ["--steady"] * (name == "steady")
        assert cut_out(animation, f"{tmp_path}/{name}/", *arguments) == 0
        found = [
            np.asarray(Image.open(each))[:, :24].mean()
            for each in sorted((tmp_path / name).iterdir())
        ]
        assert (min(found) < 10) == (name == "plain")


def test_steady_folders_of_frames(animation, tmp_path, capsys):
    assert cut_out(animation, f"{tmp_path}/in/", "--putalpha") == 0
    (tmp_path / "in/zz.png").write_bytes(b"broken")
    target = tmp_path / "out"
    assert cut_out(tmp_path / "in", target, "--steady", "--only-mask", "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [bool(line["error"]) for line in lines] == [False] * 12 + [True]
    masks = [np.asarray(Image.open(each)) for each in sorted(target.iterdir())]
    assert len(masks) == 12


def test_a_background_makes_an_mp4(video, tmp_path, capsys):
    behind = tmp_path / "behind.png"
    Image.new("RGB", (100, 100), "blue").save(behind)
    assert cut_out(video, tmp_path / "out.mp4") == 1
    assert "keeps no transparency. Write .webm or .mov" in capsys.readouterr().err
    assert cut_out(video, tmp_path / "out.mp4", "--background", behind) == 0
    assert cut_out(video, tmp_path / "out2.mp4", "-bgc", "red") == 0
    assert cut_out(video, tmp_path / "out3.mp4", "-om") == 0
    assert cut_out(video, tmp_path / "out4.mp4", "-bgc", "#ff000080") == 1


def test_a_picture_may_have_a_background(tmp_path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    Image.new("RGB", (100, 100), "blue").save(tmp_path / "b.png")
    assert cut_out(tmp_path / "a.png", tmp_path / "c.jpg", "--background", tmp_path / "b.png") == 0
    found = np.asarray(Image.open(tmp_path / "c.jpg")).astype(int)
    assert np.abs(found[10, 5] - (255, 0, 0)).max() < 12
    assert np.abs(found[10, 35] - (0, 0, 255)).max() < 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out.png"], "a folder of frames"),
        (["-"], "has many frames; name a file or a folder"),
        (["out.webm", "--crop"], "crop each frame of"),
        (["out.webm", "--trimap", "clip.webp"], "--trimap belongs to one picture"),
        (["out.webm", "--watch"], "--watch needs a folder"),
        (["out.gif", "--quality", "3"], ".gif takes no --quality"),
        (["out.webm", "--bgcolor", "red", "--background", "clip.webp"], "do not go together"),
        (["out.webm", "--background", "gone.png"], "There is no file 'gone.png'"),
    ],
)
def test_what_makes_no_sense_is_said_first(video, animation, arguments, said, monkeypatch, capsys):
    monkeypatch.chdir(video.parent)
    assert cut_out(video, *arguments) == 1
    assert said in capsys.readouterr().err
    assert not list(video.parent.glob("out*"))


def test_steady_is_for_frames(tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert cut_out(tmp_path / "a.png", tmp_path / "b.png", "--steady") == 1
    assert "--steady is for frames" in capsys.readouterr().err


def test_an_output_that_exists_is_kept(video, tmp_path, capsys):
    (tmp_path / "out.webm").write_bytes(b"mine")
    assert cut_out(video, tmp_path / "out.webm") == 1
    assert "exists; add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out.webm").read_bytes() == b"mine"
    assert cut_out(video, tmp_path / "out.webm", "--overwrite") == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, ImageError])
def test_what_is_cancelled_or_fails_leaves_no_file(video, tmp_path, monkeypatch, error):
    class Ends(Whole):
        provider = "CPU"
        seen = 0

        def open(self):
            pass

        def predict(self, image, **options):
            Ends.seen += 1
            if Ends.seen > 6:
                raise error("enough")
            return super().predict(image)

    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Ends())
    assert cut_out(video, tmp_path / "out.webm") == (130 if error is KeyboardInterrupt else 1)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clip.mp4"]


def test_the_default_output_of_a_video(video):
    assert cut_out(video) == 0
    assert video.with_suffix(".webm").stat().st_size > 0


def test_videos_among_pictures_are_left_out_aloud(video, tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert cut_out(tmp_path, tmp_path / "out") == 0
    assert "1 .mp4 left out: cut it out by itself" in capsys.readouterr().err


def test_an_animation_into_one_picture_says_so(animation, tmp_path, capsys):
    assert cut_out(animation, tmp_path / "out.png") == 0
    assert "has 12 frames; only the first is used" in capsys.readouterr().err


def test_what_frames_share_is_said_once(video, tmp_path, monkeypatch, capsys):
    class Warns(Whole):
        provider = "CPU"

        def open(self):
            pass

        def predict(self, image, **options):
            import logging

            logging.getLogger("rembg_sessions").warning("odd")
            return super().predict(image)

    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Warns())
    assert cut_out(video, tmp_path / "out.webm") == 0
    assert capsys.readouterr().err.count("odd") == 1


def test_few_frames_are_held(video, tmp_path, monkeypatch):
    taken, written, most = 0, 0, 0
    frames, add = clip.Clip.__iter__, clip.ClipWriter.add

    def counted(self):
        nonlocal taken
        for frame in frames(self):
            taken += 1
            yield frame

    def add_counted(self, *arguments):
        nonlocal written, most
        written += 1
        most = max(most, taken - written)
        return add(self, *arguments)

    monkeypatch.setattr(clip.Clip, "__iter__", counted)
    monkeypatch.setattr(clip.ClipWriter, "add", add_counted)
    assert cut_out(video, tmp_path / "out.webm", "--jobs", "1", "--steady") == 0
    assert taken == written == 12 and most <= 5
