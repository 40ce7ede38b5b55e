"""Copies in int8: what they lose is measured on other pictures, and kept within a bound."""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import pytest
from PIL import Image

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the tests write networks")
from graphs import chain, isnet, save  # noqa: E402

from rembg_sessions.core import get_model, new_session  # noqa: E402
from rembg_sessions.core.cli import main  # noqa: E402
from rembg_sessions.core.errors import OptionError  # noqa: E402
from rembg_sessions.core.session.optimize import Loss, make_int8  # noqa: E402
from rembg_sessions.core.session.own import own_row  # noqa: E402


@pytest.fixture
def folder(tmp_path, photo):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(6):
        photo(120, 90, seed).save(folder / f"{seed}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.mark.parametrize("half", [False, True])
def test_a_copy_computes_in_int8_and_nearly_the_same(home, tmp_path, photo, half):
    path = save(isnet(64, half=half), home / "mine.onnx")
    session = new_session("dis_custom", "CPU", model_path=path)
    target = tmp_path / "copy.onnx"
    loss = make_int8(session, [photo(seed=seed) for seed in range(6)], target)
    assert len(loss.ious) == 2
    copy = onnx.load(str(target)).graph
    int8 = [each for each in copy.initializer if each.data_type == onnx.TensorProto.INT8]
    weights = [each for each in int8 if len(each.dims) == 4]
    convolutions = [node for node in copy.node if node.op_type == "Conv"]
    assert len(weights) == len(convolutions) > 4
    scales = [each for each in copy.initializer if each.name.endswith("_scale")]
    assert max(len(each.dims) and each.dims[0] for each in scales) > 1  # one for each channel
    # by hand, on a picture of those that were held out
    save(onnx.load(str(target)), home / "copy.onnx")
    alphas = [
        new_session("dis_custom", model_path=name).predict_alpha(photo(seed=3))[0]
        for name in ("mine.onnx", "copy.onnx")
    ]
    assert 0 < np.abs(alphas[0] - alphas[1]).mean() < 0.05
    assert 0 < loss.levels < 13
    assert min(loss.ious) > 0.8


def test_the_bound():
    known = {"seconds": 1, "copy_seconds": 0.5}
    assert Loss(ious=(0.99, 0.98), levels=2, **known).is_small
    assert not Loss(ious=(1, 0.97), levels=0, **known).is_small
    assert not Loss(ious=(1, 1), levels=2.1, **known).is_small


def test_the_shell_keeps_a_good_copy(home, folder, capsys):
    save(chain("IS-Net", "Sigmoid", side=64), home / "mine.onnx")
    command = ["optimize", "custom", "--int8", "--model-path", "mine.onnx", "--pictures"]
    assert main([*command, str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "On 2 pictures that it was not made with:" in shown
    assert "-m dis_custom --model-path mine-int8.onnx" in shown
    assert sorted(path.name for path in home.glob("*.onnx")) == ["mine-int8.onnx", "mine.onnx"]
    assert not list(home.glob(".int8-*"))
    assert new_session("custom", model_path="mine-int8.onnx").recipe.name == "dis_custom"
    assert main([*command, str(folder)]) == 1
    assert "exists. Remove it" in capsys.readouterr().err


def test_the_shell_refuses_a_bad_copy_unless_told_to(home, folder, capsys, monkeypatch):
    save(chain("IS-Net", "Sigmoid", side=64), home / "mine.onnx")
    monkeypatch.setattr("rembg_sessions.core.session.optimize.LEAST_IOU", 1.1)
    command = ["optimize", "dis_custom", "--int8", "--model-path", "mine.onnx", "--pictures"]
    assert main([*command, str(folder)]) == 1
    assert "loses too much and is not kept" in capsys.readouterr().err
    assert [path.name for path in home.glob("*.onnx")] == ["mine.onnx"]
    assert main([*command, str(folder), "--anyway"]) == 0
    assert (home / "mine-int8.onnx").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backdrop", "--int8"], "not one network"),
        (["dis_custom"], "add --int8"),
        (["dis_custom", "--int8", "--model-path", "gone.onnx"], "is not a file"),
    ],
)
def test_what_cannot_be_done_is_said(folder, capsys, arguments, message):
    assert main(["optimize", *arguments, "--pictures", str(folder)]) == 1
    assert message in capsys.readouterr().err


def test_pictures_are_needed(home, folder, tmp_path, capsys):
    save(chain("IS-Net"), home / "mine.onnx")
    command = ["optimize", "custom", "--int8", "--model-path", "mine.onnx", "--pictures"]
    assert main([*command, str(tmp_path / "gone")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    for seed in range(4):
        (folder / f"{seed}.png").unlink()
    assert main([*command, str(folder)]) == 1
    assert "2 pictures are too few; use 3 or more" in capsys.readouterr().err


def test_without_onnx_the_extra_is_named(home, folder, capsys, monkeypatch):
    save(chain("IS-Net"), home / "mine.onnx")
    for name in [name for name in sys.modules if name.startswith("onnxruntime.quantization")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delattr(onnxruntime, "quantization", raising=False)
    command = ["optimize", "custom", "--int8", "--model-path", "mine.onnx", "--pictures"]
    assert main([*command, str(folder)]) == 1
    assert "rembg-sessions[optimize]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("u2net", "u2net_custom"),
        ("silueta", "u2net_custom"),
        ("isnet-general-use", "dis_custom"),
        ("birefnet-general", "birefnet_custom"),
    ],
)
def test_rows_that_read_a_copy(name, row):
    assert own_row(get_model(name)).name == row


@pytest.mark.parametrize("name", ["isnet-anime", "ormbg", "modnet", "u2net_cloth_seg"])
def test_recipes_that_no_copy_can_say(name):
    with pytest.raises(OptionError, match="recipe of its own"):
        own_row(get_model(name))


def test_pictures_of_every_kind_are_read(home, tmp_path):
    images = [Image.new(mode, (40, 30)) for mode in ("L", "RGBA", "RGB")]
    session = new_session("dis_custom", "CPU", model_path=save(isnet(64), home / "mine.onnx"))
    assert make_int8(session, images, tmp_path / "copy.onnx").ious
