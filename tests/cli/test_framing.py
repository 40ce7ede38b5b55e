"""The options that crop to the subject."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import cli, remove
from rembg_sessions.core.imaging.framing import Framing


@pytest.fixture
def cut(tmp_path):
    """Cuts a dark square of 30×20 out of a white picture; returns the result."""
    picture = Image.new("RGB", (90, 70), "white")
    picture.paste((40, 60, 90), (20, 25, 50, 45))
    picture.save(tmp_path / "a.png")

    def run(*arguments):
        command = ["cutout", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-m", "backdrop"]
        assert cli.main([*command, "--overwrite", *arguments]) == 0
        return Image.open(tmp_path / "b.png")

    return run


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        (["--crop"], (30, 20)),
        (["--margin", "10"], (50, 40)),
        (["--margin", "10px"], (50, 40)),
        (["--margin", "25%"], (60, 40)),
        (["--canvas", "200x100"], (200, 100)),
        (["--canvas", "200×100"], (200, 100)),
        (["--canvas", "15x"], (15, 10)),
        (["--canvas", "x40"], (30, 40)),
        (["--canvas", "x40", "--enlarge"], (60, 40)),
        (["--canvas", "1:1", "--margin", "5"], (40, 40)),
        (["--enlarge"], (30, 20)),
        ([], (90, 70)),
    ],
)
def test_sizes(cut, arguments, size):
    # the edge that the model finds may be a pixel farther out
    assert np.abs(np.subtract(cut(*arguments).size, size)).max() <= 2


def test_it_stands_on_the_lower_margin_of_a_white_canvas(cut):
    canvas = np.asarray(
        cut("--canvas", "100x100", "--margin", "10%", "--align", "bottom", "--bgcolor", "white")
    )
    assert canvas.shape == (100, 100, 4) and canvas[..., 3].min() == 255
    rows = np.flatnonzero((canvas[..., 0] < 128).any(axis=1))
    assert abs(rows[-1] - 89) <= 1 and (canvas[:60] == 255).all()


def test_the_shell_frames_as_python_does(cut, tmp_path):
    shell = cut("--canvas", "50x50", "--margin", "7.5%", "--align", "bottom", "--enlarge")
    framing = Framing(
        width=50, height=50, margin=7.5, margin_unit="%", align="bottom", enlarge=True
    )
    options = {"session": cli.needed.get_session("backdrop"), "edge_colours": "estimated"}
    python = remove(Image.open(tmp_path / "a.png"), crop=framing, **options)
    np.testing.assert_array_equal(np.asarray(shell), np.asarray(python))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--margin", "much"], "'much' is no margin: use pixels such as 10, up to 16384, or"),
        (["--margin", "-3"], "argument --margin"),
        (["--canvas", "big"], "'big' is no canvas: use 2000x2000, 2000x, x2000, or a ratio"),
        (["--canvas", "x"], "'x' is no canvas"),
        (["--canvas", "9" * 5000 + "x1"], "is no canvas"),
        (["--align", "top"], "argument --align: invalid choice"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["cutout", "a.png", "b.png", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--margin", "50%"], "margin is 50.0; use a number from 0 to 45"),
        (["--canvas", "99999x1"], "width is 99999; use a whole number from 0 to 16384"),
        (["--canvas", "0:1"], "aspect_ratio is '0:1'; use free, or width:height"),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_opened(arguments, message, capsys):
    assert cli.main(["cutout", "a.png", "b.png", *arguments]) == 1
    assert message in capsys.readouterr().err
