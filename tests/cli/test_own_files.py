"""The user's own model files, named as the shell names files."""

import pytest
from graphs import isnet, save
from PIL import Image

from rembg_sessions.core import cli, get_session


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder outside the model folders, with a picture and an IS-Net."""
    folder = tmp_path / "work"
    folder.mkdir()
    Image.new("RGB", (40, 20), "red").save(folder / "a.png")
    save(isnet(), folder / "my.onnx")
    monkeypatch.chdir(folder)
    return folder


def test_a_file_anywhere_whose_kind_the_file_tells(folder, capsys):
    assert cli.main(["cutout", "a.png", "b.png", "--model-path", "./my.onnx"]) == 0
    assert "b.png: custom on CPU" in capsys.readouterr().err
    (folder / "sub").mkdir()
    line = ["cutout", "a.png", "c.png", "-m", "u2net_custom", "--model-path", "sub/../my.onnx"]
    assert cli.main(line) == 0
    said = capsys.readouterr().err
    assert "c.png: u2net_custom on CPU" in said
    assert "my.onnx looks like IS-Net: choose dis_custom" in said


def test_a_file_that_does_not_tell_its_kind(folder, capsys):
    (folder / "odd.onnx").write_bytes(b"no network")
    assert cli.main(["cutout", "a.png", "b.png", "--model-path", "odd.onnx"]) == 1
    said = capsys.readouterr().err
    assert (
        "odd.onnx does not say of which kind it is. Use it once as u2net_custom, dis_custom" in said
    )


@pytest.mark.parametrize("more", ["", "-m dis_custom"])
def test_a_file_that_is_not_there(folder, capsys, more):
    assert cli.main(f"cutout a.png b.png --model-path gone.onnx {more}".split()) == 1
    assert "'gone.onnx' is not a file. Give the path of a model" in capsys.readouterr().err


def test_a_model_with_a_file_of_its_own_takes_none(folder, capsys):
    assert cli.main(["cutout", "a.png", "b.png", "-m", "u2netp", "--model-path", "my.onnx"]) == 1
    assert "u2netp has its own file and does not take a model_path" in capsys.readouterr().err


def test_the_same_name_in_another_folder_is_another_file(folder, tmp_path, monkeypatch):
    session = get_session("dis_custom", model_path="my.onnx")
    assert get_session("dis_custom", model_path=folder / "my.onnx") is session
    other = tmp_path / "other"
    other.mkdir()
    save(isnet(), other / "my.onnx")
    monkeypatch.chdir(other)
    assert get_session("dis_custom", model_path="my.onnx").paths == (other / "my.onnx",)
    session.close()
    assert session.paths == (folder / "my.onnx",) and session.options["model_path"].is_absolute()
