"""The user's own model files: by path or by name, and which there are."""

from __future__ import annotations

import os

import pytest
from weights_server import put

from rembg_sessions.core import settings
from rembg_sessions.core.errors import ModelPathError
from rembg_sessions.core.weights.own import custom_path, own_files

posix = pytest.mark.skipif(os.name != "posix", reason="a backslash parts names on Windows")


def test_custom_path_in_every_model_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "u2"))
    monkeypatch.setenv("REMBG_HOME", str(tmp_path / "rembg"))
    user = tmp_path / "home"
    for folder in (tmp_path / "comfy", tmp_path / "u2", tmp_path / "rembg", user / ".u2net"):
        path = put(folder / "sub/own.onnx")
        assert custom_path(path, [tmp_path / "comfy"]) == path
    assert custom_path("~/.u2net/sub/own.onnx") == user / ".u2net/sub/own.onnx"
    # A bare name is looked up in the caller's folders first.
    found = custom_path("sub/own.onnx", [tmp_path / "comfy"])
    assert found == tmp_path / "comfy/sub/own.onnx"
    assert custom_path("sub/own.onnx") == tmp_path / "u2/sub/own.onnx"


def test_custom_path_as_windows_writes_it(tmp_path):
    comfy = tmp_path / "comfy"
    path = put(comfy / "sub/deep/own.onnx")
    assert custom_path(r"sub\deep\own.onnx", [comfy]) == path
    put(tmp_path / "secret.onnx")
    for asked in (r"..\secret.onnx", r"sub\..\..\secret.onnx"):
        with pytest.raises(ModelPathError, match="outside the model folders"):
            custom_path(asked, [comfy])


@posix
def test_custom_path_with_a_backslash_in_a_name(tmp_path):
    path = put(tmp_path / r"sub\own.onnx")
    put(tmp_path / "sub/own.onnx")
    assert custom_path(r"sub\own.onnx", [tmp_path]) == path


def test_custom_path_relative_to_the_working_folder(tmp_path, monkeypatch):
    path = put(tmp_path / "comfy/own.onnx")
    monkeypatch.chdir(tmp_path)
    assert custom_path("comfy/own.onnx", [tmp_path / "comfy"]) == path


@pytest.mark.parametrize("anywhere", [False, True])
def test_custom_path_of_the_same_name(tmp_path, monkeypatch, anywhere):
    """For who names a path, that of the working folder comes first."""
    known, here = put(tmp_path / "comfy/own.onnx"), put(tmp_path / "here/own.onnx")
    monkeypatch.chdir(here.parent)
    found = custom_path("own.onnx", [known.parent], anywhere=anywhere)
    assert found == (here if anywhere else known)


def test_custom_path_anywhere(tmp_path, monkeypatch):
    path = put(tmp_path / "elsewhere/own.onnx")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for asked in (path, str(path), "../elsewhere/own.onnx"):
        assert custom_path(asked, anywhere=True).samefile(path)
        with pytest.raises(ModelPathError, match="outside the model folders"):
            custom_path(asked)
    assert custom_path("own.onnx", [path.parent], anywhere=True) == path
    with pytest.raises(ModelPathError, match=r"'gone\.onnx' is not a file\. Give the path of"):
        custom_path("gone.onnx", anywhere=True)


def test_custom_path_outside_is_refused(tmp_path, monkeypatch):
    comfy = tmp_path / "comfy"
    put(comfy / "own.onnx")
    secret = put(tmp_path / "secret.onnx")
    put(tmp_path / "comfy-2/own.onnx")
    monkeypatch.chdir(tmp_path)
    for asked in (
        secret,
        "secret.onnx",
        "../secret.onnx",
        comfy / ".." / "secret.onnx",
        tmp_path / "comfy-2/own.onnx",
        "/etc/passwd",
        "../../../../../../../../../../../no/such/file",
    ):
        with pytest.raises(ModelPathError, match="outside the model folders") as error:
            custom_path(asked, [comfy])
        assert isinstance(error.value, ValueError)
        assert str(asked) in str(error.value)
        assert str(comfy) in str(error.value) and str(settings.home()) in str(error.value)


def test_custom_path_follows_links(tmp_path):
    comfy, real = tmp_path / "comfy", put(tmp_path / "disk/own.onnx")
    comfy.symlink_to(tmp_path / "disk")
    (tmp_path / "disk/again.onnx").symlink_to(real)
    (tmp_path / "disk/elsewhere.onnx").symlink_to(put(tmp_path / "blobs/0a1b2c"))
    for name in ("own.onnx", "again.onnx", "elsewhere.onnx"):
        assert custom_path(name, [comfy]) == comfy / name
    assert custom_path(real, [comfy]) == real


@pytest.mark.parametrize("asked", [None, ""])
def test_custom_path_is_required(asked):
    with pytest.raises(ModelPathError, match="model_path is required"):
        custom_path(asked)


def test_custom_path_of_another_type():
    with pytest.raises(ModelPathError, match="model_path is 5; use the path"):
        custom_path(5)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("missing.onnx", "is not a file"),
        ("folder", "is not a file"),
        ("a\0b.onnx", "is not a file|not usable"),
        ("loop.onnx", "is not a file|not usable"),
    ],
)
def test_custom_path_that_is_no_file(tmp_path, asked, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.onnx").symlink_to(tmp_path / "loop.onnx")
    with pytest.raises(ModelPathError, match=said):
        custom_path(asked, [tmp_path])


def test_own_files_are_those_of_no_model(tmp_path, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "u2"))
    own = put(tmp_path / "comfy/mine.onnx")
    for name in ("comfy/u2net.onnx", "comfy/notes.txt", "u2/mine.onnx", "u2/sub/deep.onnx"):
        put(tmp_path / name)
    other = put(tmp_path / "u2/OTHER.ONNX")
    assert own_files([own.parent, tmp_path / "gone"]) == [own, other]
