"""Sessions: what a network is fed with, what it may answer, and who shares it."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import get_session, new_session, release_sessions, remove
from rembg_sessions.core.errors import ImageError, ModelMemoryError, ModelRunError, OptionError

# -- what goes in ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (20000, 10), (10, 20000)], ids=str)
def test_a_network_takes_every_size(size, network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    assert remove(photo(*size), session=session).size == size


def test_a_network_of_free_size(network, photo):
    session = new_session("u2net_custom", model_path=network("free.onnx", size_hw=None))
    fixed = new_session("u2net_custom", model_path=network("fixed.onnx"))
    assert session.predict(photo())[0] == fixed.predict(photo())[0]


def test_a_custom_network_is_fed_at_the_size_it_declares(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", size_hw=(64, 96)))
    mask = session.predict(photo(192, 128))[0]
    assert mask.size == (192, 128)
    assert np.ptp(np.asarray(mask)) > 100


@pytest.fixture
def odd(home):
    """Save a network of one node: its arrays by name, its inputs as (name, type, shape)."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper

    def save(op, takes, answers, arrays=(), **attributes):
        arrays = dict(arrays)
        names = [name for name, *_ in takes] + list(arrays)
        node = helper.make_node(op, names, [answers[0]], **attributes)

        def declared(name, kind, shape):
            return helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)

        graph = helper.make_graph(
            [node],
            "odd",
            [declared(*each) for each in takes],
            [declared(*answers)],
            [onnx.numpy_helper.from_array(np.array(array), name) for name, array in arrays.items()],
        )
        opset = [helper.make_opsetid("", 13)]
        home.mkdir(parents=True, exist_ok=True)
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.save(model, str(home / "odd.onnx"))
        return new_session("u2net_custom", model_path="odd.onnx")

    return save


def a_picture(*shape, kind="FLOAT", name="x"):
    return name, kind, list(shape or (1, 3, 32, 32))


SLICE = {"from": [0], "to": [0]}


@pytest.mark.parametrize(
    ("op", "takes", "answers", "more", "said"),
    [
        ("Identity", [("words", "INT64", [1, 77])], ("y", "INT64", [1, 77]), {}, r"\[1, 77\]"),
        ("Identity", [a_picture(kind="STRING")], a_picture(kind="STRING", name="y"), {}, "string"),
        ("Cast", [a_picture()], ("y", "STRING", None), {"to": 8}, "answers with y: tensor.string"),
        ("Cast", [a_picture()], ("y", "INT64", None), {"to": 7}, "answers with y: tensor.int64"),
        ("Neg", [a_picture(1, 3, 0, 32)], ("y", "FLOAT", None), {}, r"\[1, 3, 0, 32\]"),
        ("Neg", [a_picture(1, 3, 200_000, 200_000)], ("y", "FLOAT", None), {}, "at most 4096"),
        ("Neg", [a_picture(1, 4, 32, 32)], ("y", "FLOAT", None), {}, r"\[1, 4, 32, 32\]"),
        ("Neg", [a_picture(4, 3, 32, 32)], ("y", "FLOAT", None), {}, r"\[4, 3, 32, 32\]"),
        ("Add", [a_picture(), a_picture(name="w")], ("y", "FLOAT", None), {}, "w: tensor.float"),
        ("RandomNormal", [], ("y", "FLOAT", None), {"shape": [1, 1, 8, 8]}, "it takes nothing"),
    ],
)
def test_a_file_that_is_no_such_network(odd, photo, op, takes, answers, more, said):
    session = odd(op, takes, answers, **more)
    with pytest.raises(ModelRunError, match=rf"odd\.onnx is not a background removal.*{said}"):
        session.predict(photo())


@pytest.mark.parametrize(
    ("op", "arrays", "said"),
    [
        ("Slice", {**SLICE, "axis": [1]}, r"answered with shape \(1, 0, 32, 32\)"),
        ("Slice", {**SLICE, "axis": [2]}, r"answered with shape \(1, 3, 0, 32\)"),
        ("Reshape", {"to": [3, 32, 32]}, r"answered with shape \(3, 32, 32\)"),
        ("Tile", {"times": [1, 1, 1, 200]}, r"answered with shape \(1, 3, 32, 6400\)"),
        ("Mul", {"by": np.float32(1e38)}, "NaN, infinity or numbers close to it"),
    ],
)
def test_an_answer_that_is_no_mask(odd, photo, op, arrays, said):
    session = odd(op, [a_picture()], ("y", "FLOAT", None), arrays)
    with pytest.raises(ModelRunError, match=said):
        session.predict(photo())


LARGE = {"to": [1_000_000_000, 1, 320, 320]}  # a petabyte: more than any machine can promise


def test_an_answer_too_large_for_the_memory(odd, photo):
    session = odd("Expand", [a_picture(1, "c", "h", "w")], ("y", "FLOAT", None), LARGE)
    with pytest.raises(ModelMemoryError, match="Choose a smaller model, or free memory"):
        session.predict(photo())


@pytest.mark.parametrize("shape", [(1, 3, 32, "width"), (None, None, None, None)])
def test_a_network_that_leaves_sizes_free(odd, photo, shape):
    session = odd("Neg", [a_picture(*shape)], ("y", "FLOAT", None))
    assert np.ptp(session.predict(photo())[0]) > 200


def test_a_network_in_half_precision(network, photo):
    half = new_session("u2net_custom", model_path=network("half.onnx", half=True))
    full = new_session("u2net_custom", model_path=network("full.onnx"))
    masks = [np.asarray(session.predict(photo())[0], int) for session in (half, full)]
    assert np.abs(masks[0] - masks[1]).max() <= 2


def test_a_category_that_does_not_exist(network, monkeypatch, photo):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    network("u2net_cloth_seg.onnx", "labels", (768, 768))
    with pytest.raises(OptionError, match="'hat' is not a cloth category; use one of upper, lower"):
        remove(photo(), session=new_session("u2net-cloth-seg"), cc="hat")


def test_custom_files_are_for_custom_models(network):
    with pytest.raises(OptionError, match="u2netp has its own file and does not take a model_path"):
        new_session("u2netp", model_path=network("mine.onnx"))


# -- what comes out --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["constant"])
def test_a_constant_answer_is_an_empty_mask(kind, network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", kind))
    assert session.predict(photo())[0].getextrema() == (0, 0)
    assert remove(photo(), session=session).getchannel("A").getextrema() == (0, 0)
    assert session.predict_alpha(photo())[0].max() == 0


def test_nan_from_a_network(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", "nan"))
    with pytest.raises(ModelRunError, match="answered with NaN, infinity"):
        remove(photo(), session=session)


def test_predict_alpha_is_finer_than_8_bit(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    alpha = session.predict_alpha(photo())[0]
    assert (alpha.dtype, alpha.shape) == (np.float32, (72, 96))
    assert alpha.min() >= 0 and alpha.max() <= 1
    mask = np.asarray(session.predict(photo())[0], float)
    assert np.abs(alpha * 255 - mask).max() <= 2
    assert len(np.unique(alpha)) > 256


def test_process_gives_a_cutout(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    cutout = session.process(photo())
    assert cutout.mode == "RGBA"
    alpha = session.predict_alpha(photo())[0]
    alpha[alpha < 1 / 255] = 0  # what is not seen hides nothing
    assert np.abs(np.asarray(cutout.getchannel("A")) - 255 * alpha).max() <= 0.5


# -- who shares it ---------------------------------------------------------------------


def test_many_threads_share_a_session(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx", size_hw=(64, 64)))
    pictures = [photo(50 + i, 40, seed=i) for i in range(12)]
    expected = [remove(picture, session=session) for picture in pictures]
    session.close()  # they race to open it again
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda picture: remove(picture, session=session), pictures * 4))
    assert results == expected * 4


def test_the_same_arguments_give_the_same_session(network):
    path = network("mine.onnx")
    session = get_session("u2net_custom", model_path=path)
    assert get_session("U2net-custom: your own", model_path=path) is session
    assert get_session("u2net_custom", model_path=path, threads=1) is not session
    assert get_session("dis_custom", model_path=path) is not session


def test_a_changed_file_gives_another_session(network):
    session = get_session("u2net_custom", model_path=network("mine.onnx"))
    path = network("mine.onnx", "logits", (64, 64))
    assert get_session("u2net_custom", model_path=path) is not session


def test_released_sessions_are_closed_and_open_again(network, photo):
    session = get_session("u2net_custom", model_path=network("mine.onnx"))
    mask = session.predict(photo())[0]
    assert session.is_open
    release_sessions()
    assert not session.is_open
    assert session.predict(photo())[0] == mask
    assert session.is_open


def test_threads_that_ask_at_once_get_one_session(network):
    path = network("mine.onnx")
    with ThreadPoolExecutor(8) as pool:
        asked = pool.map(lambda _: get_session("u2net_custom", model_path=path), range(32))
        assert len(set(asked)) == 1


# -- what it is shown ---------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_not_loaded_yet(network, tmp_path, form):
    """As Image.open gives it: Pillow reads it when the first thread asks for pixels."""
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    y, x = np.mgrid[:1500, :1800]
    picture = Image.fromarray(np.stack([x % 256, y % 256, (x + y) % 256], -1).astype(np.uint8))
    path = tmp_path / "picture"
    picture.save(path, form)
    expected = session.predict(Image.open(path).convert("RGB"))[0]
    for _ in range(5):
        assert session.predict(Image.open(path))[0] == expected
    closed = Image.open(path)
    closed.close()
    with pytest.raises(ImageError):
        session.predict(closed)


# -- in other places ----------------------------------------------------------------------


def test_a_copy_is_a_session_of_the_same_options(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"), threads=1)
    for copied in (pickle.loads(pickle.dumps(session)), copy.deepcopy(session)):
        assert copied is not session and not copied.is_open
        assert (copied.model_name, copied.paths) == (session.model_name, session.paths)
        assert copied.predict(photo())[0] == session.predict(photo())[0]
        assert copied.inner_session.get_session_options().intra_op_num_threads == 1


def test_a_copy_of_the_model_without_a_file():
    session = new_session("backdrop", keep_shadow=True, strict=True)
    copied = pickle.loads(pickle.dumps(session))
    assert (copied.solving, copied.strict) == (session.solving, True)


def test_options_that_cannot_be_sent_are_named(network):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    session = new_session("u2net_custom", model_path=network("mine.onnx"), sess_opts=options)
    with pytest.raises(TypeError, match="SessionOptions cannot be copied"):
        pickle.dumps(session)


def test_a_session_works_in_another_process(network, photo):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        result = pool.submit(remove, photo(), session=session).result(120)
    assert result == remove(photo(), session=session)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_session_that_ran_works_in_a_forked_process(network):
    """The threads that ran it stay behind in the parent."""
    program = """
import multiprocessing, sys
from PIL import Image
from rembg_sessions.core import new_session, remove

session = new_session("u2net_custom", model_path=sys.argv[1])
picture = Image.new("RGB", (30, 20), (200, 90, 30))
before = remove(picture, session=session)

def cut(_):
    return remove(picture, session=session)

with multiprocessing.get_context("fork").Pool(1) as pool:
    (result,) = pool.map_async(cut, [0]).get(60)
assert result == before
"""
    command = [sys.executable, "-c", program, str(network("mine.onnx"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
