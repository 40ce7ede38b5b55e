"""The public door: what Python finds in the package, and rembg's own examples."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rembg_sessions
import rembg_sessions as rembg
from rembg_sessions import core
from rembg_sessions.core.errors import ImageError, OptionError
from rembg_sessions.core.options import RemoveOptions
from rembg_sessions.core.registry.models import MODELS
from rembg_sessions.core.registry.names import ModelName, VitMatteName
from rembg_sessions.core.runtime.providers import CHOICES, ProviderName
from rembg_sessions.core.session.vitmatte import VARIANTS

NODES = {"NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"}


def test_the_package_offers_what_the_core_offers():
    assert set(rembg_sessions.__all__) - NODES == set(core.__all__)
    for name in core.__all__:
        assert getattr(rembg_sessions, name) is getattr(core, name)
    assert set(rembg_sessions.__all__) <= set(dir(rembg_sessions))


def test_what_it_does_not_offer():
    with pytest.raises(AttributeError, match="has no attribute 'NODE_THING'"):
        _ = rembg_sessions.NODE_THING
    with pytest.raises(ImportError):
        from rembg_sessions import erase  # noqa: F401


def test_names_are_types_for_completion():
    assert typing.get_args(ModelName) == tuple(spec.name for spec in MODELS)
    assert typing.get_args(VitMatteName) == VARIANTS
    assert typing.get_args(ProviderName) == CHOICES


# -- at hand -------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["pipeline", "session.factory", "matting.methods"])
def test_examples(module):
    found = doctest.testmod(importlib.import_module(f"rembg_sessions.core.{module}"))
    assert found.attempted and not found.failed


def test_a_session_that_is_closed_by_itself(network, photo):
    with rembg.new_session("u2net_custom", model_path=network("mine.onnx")) as session:
        assert repr(session) == "<U2netCustomSession u2net_custom on CPU, open>"
        assert is_cutout(rembg.remove(photo(), session=session))
    assert not session.is_open
    assert repr(session) == "<U2netCustomSession u2net_custom for CPU, closed>"
    assert is_cutout(rembg.remove(photo(), session=session))  # it opens again


def test_the_type_of_options_is_that_of_the_arguments():
    arguments = {*inspect.signature(rembg.remove).parameters}
    assert arguments - {"data", "unknown", "force_return_bytes"} == {*RemoveOptions.__annotations__}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (io.BytesIO(b""), r"BytesIO is not an image. Pass what is in the file: remove\(file.read"),
        (Path(__file__).open("rb"), r"Pass what is in the file"),  # noqa: SIM115
        ([b"", b""], "list is not an image. Call remove_batch for several"),
        ("https://host/a.png?x=1", "is an address, and pictures are not fetched"),
        ("http://host/" + "x" * 5000, "is an address"),
        (7, "int is not an image. Pass bytes, a path"),
    ],
    ids=["BytesIO", "file", "list", "address", "long", "number"],
)
def test_what_is_no_picture_gets_the_right_call(data, said):
    with pytest.raises(ImageError, match=said):
        rembg.remove(data)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("input_points", r"Point with sam_prompt=\[\{"),
        ("input_labels", r"Point with sam_prompt=\[\{"),
        ("alphamatting", r"'alphamatting'. Did you mean alpha_matting"),
        ("zzz", "It takes alpha_matting, "),
    ],
)
def test_an_argument_that_there_is_not(argument, said, photo):
    with pytest.raises(OptionError, match=said):
        rembg.remove(photo(), **{argument: [[1, 2]]})


def test_modules_of_rembg():
    assert rembg.bg.remove is rembg.remove
    assert rembg.session_factory.new_session is rembg.new_session


def test_providers_may_come_second(network):
    path = network("mine.onnx")
    session = rembg.new_session("u2net_custom", ["CPUExecutionProvider"], model_path=path)
    assert session.options["providers"] == ["CPUExecutionProvider"]
    with pytest.raises(OptionError, match="nonsense"):
        rembg.new_session("u2net_custom", ["nonsense"], model_path=path)


# -- rembg's README, "rembg as a library" ---------------------------------------------------


@pytest.fixture
def files(network, photo, tmp_path, monkeypatch):
    """A folder with a picture, and a network under the name of the default model."""
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    network("u2net.onnx")
    photo().save(tmp_path / "input.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_cutout(picture):
    return picture.mode == "RGBA" and np.ptp(np.asarray(picture.getchannel("A"))) > 100


def test_bytes_in_and_out(files):
    with open("input.png", "rb") as i, open("output.png", "wb") as o:  # noqa: PTH123
        o.write(rembg.remove(i.read()))
    assert is_cutout(Image.open("output.png"))


def test_pillow_pictures_in_and_out(files):
    output = rembg.remove(Image.open("input.png"))
    output.save("output.png")
    assert is_cutout(Image.open("output.png"))


def test_arrays_in_and_out(files):
    array = np.asarray(Image.open("input.png"))
    assert is_cutout(Image.fromarray(rembg.remove(array)))


def test_one_session_for_many_pictures(files):
    from rembg_sessions import new_session, remove

    session = new_session()
    for file in Path().glob("input.png"):
        output = remove(file.read_bytes(), session=session, force_return_bytes=True)
        Path(file.stem + ".out.png").write_bytes(output)
    assert is_cutout(Image.open("input.out.png"))


def test_a_model_by_name_and_options(files):
    session = rembg.new_session("u2net", providers=["CPUExecutionProvider"])
    picture = Image.open("input.png")
    mask = rembg.remove(picture, session=session, only_mask=True, post_process_mask=True)
    assert set(np.unique(np.asarray(mask))) == {0, 255}
    refined = rembg.remove(
        picture,
        session=session,
        alpha_matting=True,
        alpha_matting_foreground_threshold=270 - 30,
        alpha_matting_background_threshold=20,
        alpha_matting_erode_size=11,
    )
    assert is_cutout(refined)
    assert rembg.remove(picture, session=session, bgcolor=(255, 255, 255, 255)).getextrema()[3] == (
        255,
        255,
    )
    assert "u2net" in rembg.sessions_names
    assert all(issubclass(kind, rembg.BaseSession) for kind in rembg.sessions_class)


def test_a_star_brings_no_torch():
    program = "from rembg_sessions import *; import sys; assert 'torch' not in sys.modules; remove"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
