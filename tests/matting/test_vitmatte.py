"""ViTMatte: its files, its windows and what it answers, with tiny graphs in its place."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from PIL import Image

from helpers import difference
from rembg_sessions.core import get_session, new_session, release_sessions, sessions_names
from rembg_sessions.core.errors import (
    ModelMemoryError,
    ModelRunError,
    OfflineError,
    OptionError,
    UnknownModelError,
)
from rembg_sessions.core.matting.tiles import cover, fade, grow
from rembg_sessions.core.matting.vitmatte import SIZE, estimate_alpha_vitmatte
from rembg_sessions.core.registry.lookup import get_model
from rembg_sessions.core.registry.models import MODELS, VITMATTE
from rembg_sessions.core.runtime.graph import Graph
from rembg_sessions.core.session.vitmatte import VARIANTS, get_vitmatte
from rembg_sessions.core.weights.store import find

LEVEL = 1  # of 255; rembg writes "unknown" as 128 / 255, the network was trained with 0.5
LOCAL = np.array([0.3, 0.2, 0.1, 0.3], np.float32)  # what graph "local" makes of R, G, B, trimap


@pytest.fixture(autouse=True)
def any_weights(monkeypatch):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    yield
    release_sessions()


@pytest.fixture
def graph(home):
    """Write a graph with ViTMatte's input and output where rembg keeps it.

    Parameters
    ----------
    kind
        ``local``: a mixture of the four channels, pixel by pixel; ``place``: the column, 0 at
        the left of the window and 1 at the right; ``sight``: the highest value of the trimap
        in sight minus the lowest; ``nan``; ``half``: an answer of half the size.
    """
    onnx = pytest.importorskip("onnx")
    helper, node = onnx.helper, onnx.helper.make_node

    def write(kind="local", variant=VARIANTS[0], channels=4, size=SIZE):
        nodes = {
            "local": [node("Conv", ["x", "mix"], ["alpha"])],
            "place": [
                node("Conv", ["x", "none"], ["zero"]),
                node("Add", ["zero", "ramp"], ["alpha"]),
            ],
            "sight": [
                node("Conv", ["x", "last"], ["trimap"]),
                node("ReduceMax", ["trimap"], ["high"], axes=[2, 3]),
                node("ReduceMin", ["trimap"], ["low"], axes=[2, 3]),
                node("Sub", ["high", "low"], ["range"]),
                node("Conv", ["x", "none"], ["zero"]),
                node("Add", ["zero", "range"], ["alpha"]),
            ],
            "nan": [
                node("Conv", ["x", "none"], ["zero"]),
                node("Div", ["zero", "zero"], ["alpha"]),
            ],
            "half": [node("Conv", ["x", "mix"], ["alpha"], strides=[2, 2])],
        }[kind]
        mix = np.resize(LOCAL, (1, channels, 1, 1))
        arrays = {
            "mix": mix,
            "none": np.zeros_like(mix),
            "last": np.zeros_like(mix),
            "ramp": np.linspace(0, 1, size, dtype=np.float32).reshape(1, 1, 1, size),
        }
        arrays["last"][0, -1] = 1
        info = helper.make_tensor_value_info
        answer = size // 2 if kind == "half" else size
        made = helper.make_graph(
            nodes,
            "tiny",
            [info("x", onnx.TensorProto.FLOAT, [1, channels, size, size])],
            [info("alpha", onnx.TensorProto.FLOAT, [1, 1, answer, answer])],
            [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path = home / "models" / "vitmatte" / f"vitmatte-{variant}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(path))
        return path

    return write


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ring(height, width, thickness=0.1):
    """A trimap: foreground in the middle, an unknown ring, background around."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)
    trimap = np.full((height, width), 0.5, np.float32)
    trimap[radius < 0.3 - thickness / 2] = 1
    trimap[radius > 0.3 + thickness / 2] = 0
    return trimap


def expected(image, trimap):
    """What graph "local" gives when it sees every pixel at its own scale."""
    alpha = image @ (LOCAL[:3] / 255) + LOCAL[3] * trimap
    return np.where(trimap == 0.5, alpha, trimap)


# -- files ------------------------------------------------------------------------------------


def test_the_rows_are_the_shared_facts(shared):
    facts = json.loads((shared / "models" / "registry.json").read_text("utf-8"))["vitmatte"]
    assert VARIANTS[0] == facts["default"]
    assert set(VARIANTS) == set(facts["variants"])
    for variant, fact in facts["variants"].items():
        (file,) = get_model(variant, VITMATTE).weights
        assert (file.file, file.url, file.sha256) == (fact["file"], fact["url"], fact["sha256"])
    for spec in VITMATTE:
        assert spec.size_hw == (SIZE, SIZE)
        assert (spec.mean, spec.std, spec.scale_by_max) == ((0, 0, 0), (1, 1, 1), False)


def test_the_graphs_are_no_sessions():
    names = {name for spec in MODELS for name in (spec.name, *spec.aliases)}
    for spec in VITMATTE:
        assert not {spec.name, *spec.aliases} & names
        assert spec.name not in sessions_names
        for function in (new_session, get_session):
            with pytest.raises(UnknownModelError):
                function(spec.name)


@pytest.mark.parametrize("name", [None, *VARIANTS, "vitmatte", "vitmatte_base_composition_1k"])
def test_names(name, graph):
    variant = {None: VARIANTS[0], "vitmatte": VARIANTS[0]}.get(name, name)
    variant = "base-composition-1k" if variant not in VARIANTS else variant
    path = graph(variant=variant)
    model = get_vitmatte(name)
    assert model.model_name == f"vitmatte-{variant}"
    assert model.paths == (path,)


@pytest.mark.parametrize("name", ["small", "u2net", "", "vitmatte-small"])
def test_unknown_names_are_answered_with_the_known_ones(name):
    with pytest.raises(UnknownModelError) as caught:
        get_vitmatte(name)
    assert all(variant in str(caught.value) for variant in VARIANTS)


def test_files_are_found_where_rembg_puts_them(graph, home, monkeypatch, tmp_path):
    spec = get_model("vitmatte", VITMATTE)
    with pytest.raises(OfflineError, match=r"(?s)vitmatte-small-distinctions-646\.onnx from https"):
        get_vitmatte()
    path = graph()
    assert find(spec) == (path,)
    for variable, folder in (
        ("REMBG_HOME", "models/vitmatte"),
        ("XDG_DATA_HOME", "rembg/models/vitmatte"),
    ):
        target = tmp_path / variable / folder / path.name
        target.parent.mkdir(parents=True)
        path = path.rename(target)
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert find(spec) == (path,)
    flat = path.rename(home / path.name)
    assert find(spec) == (flat,)
    mine = tmp_path / "mine"
    mine.mkdir()
    assert find(spec, [mine]) == (flat,)
    flat.rename(mine / path.name)
    assert find(spec) is None
    assert get_vitmatte(folders=[mine]).paths == (mine / path.name,)


def test_a_damaged_file_is_refused(graph, monkeypatch):
    graph()
    monkeypatch.delenv("MODEL_CHECKSUM_DISABLED")
    with pytest.raises(OSError, match=r"is damaged or not the registered file"):
        get_vitmatte()


# -- sharing ----------------------------------------------------------------------------------


def test_equal_arguments_share_one_model(graph):
    graph()
    graph(variant="base-composition-1k")
    model = get_vitmatte()
    assert get_vitmatte("small-distinctions-646", providers="Auto") is model
    assert get_vitmatte(threads=1) is not model
    assert get_vitmatte("base-composition-1k") is not model


def test_the_model_can_be_closed_and_opens_again(graph):
    graph()
    model = get_vitmatte(providers="CPU", cpu_fallback=False, runs_on="cpu", device_id=0, threads=1)
    assert not model.is_open and not model.uses_gpu
    assert (model.size, len(model.graphs), model.companion) == (
        model.paths[0].stat().st_size,
        1,
        None,
    )
    image, trimap = picture(40, 30), ring(40, 30)
    alpha = estimate_alpha_vitmatte(image, trimap, model=model)
    assert model.is_open and model.provider == "CPU"
    release_sessions()
    assert not model.is_open
    np.testing.assert_array_equal(estimate_alpha_vitmatte(image, trimap, model=model), alpha)


def test_options_are_checked(graph):
    graph()
    for options in ({"providers": "CUDDA"}, {"threads": -1}, {"model_path": "mine.onnx"}):
        with pytest.raises(OptionError):
            get_vitmatte(**options)


# -- answers ----------------------------------------------------------------------------------


def estimate(image, trimap, mask=None, **options):
    return estimate_alpha_vitmatte(image, trimap, mask, **{"model": get_vitmatte(), **options})


@pytest.mark.parametrize(
    "size_hw",
    [(1, 1), (1, 40), (3, 2), (300, 200), (1024, 1024), (1025, 1024), (700, 1500), (1300, 1150)],
    ids=str,
)
def test_every_size_is_read_at_its_own_scale(size_hw, graph):
    graph()
    image, trimap = picture(*size_hw), ring(*size_hw)
    trimap[0, 0] = 0.5
    before = image.copy(), trimap.copy()
    alpha = estimate(image, trimap)
    assert (alpha.dtype, alpha.shape) == (np.float32, size_hw)
    np.testing.assert_allclose(alpha, expected(image, trimap), atol=1e-6)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(trimap, before[1])


def test_certain_pixels_keep_their_value(graph):
    graph("place")
    trimap = ring(300, 1500)
    alpha = estimate(picture(300, 1500), trimap)
    for value in (0, 1):
        assert (alpha[trimap == value] == value).all()
    assert 0 < alpha[trimap == 0.5].min() < alpha[trimap == 0.5].max() < 1


@pytest.mark.parametrize("value", [0, 1])
def test_nothing_unknown_needs_no_network(value):
    trimap = np.full((30, 40), value, np.float32)
    alpha = estimate_alpha_vitmatte(picture(30, 40), trimap)
    np.testing.assert_array_equal(alpha, trimap)
    assert alpha is not trimap
    trimap[0, 0] = 0.5
    with pytest.raises(OptionError, match="pass what get_vitmatte returns"):
        estimate_alpha_vitmatte(picture(30, 40), trimap)


def test_everything_unknown_is_answered(graph):
    graph()
    image, trimap = picture(1100, 1100), np.full((1100, 1100), 0.5, np.float32)
    np.testing.assert_allclose(estimate(image, trimap), expected(image, trimap), atol=1e-6)


def test_the_mask_and_the_budget_change_nothing(graph):
    graph()
    image, trimap = picture(50, 60), ring(50, 60)
    alpha = estimate(image, trimap)
    other = estimate(image, trimap, np.zeros((50, 60), np.float32), memory=1)
    np.testing.assert_array_equal(alpha, other)


def test_windows_fade_into_each_other(graph):
    graph("place")  # neighbours disagree as much as they can
    height, width = 40, 3000
    trimap = np.full((height, width), 0.5, np.float32)
    trimap[:4], trimap[-4:] = 0, 1
    alpha = estimate(picture(height, width), trimap)[20]
    assert np.ptp(alpha) > 0.8
    slope = np.abs(np.diff(alpha)).max()
    assert slope < 2 / 128  # a hard seam would be about 0.9
    assert alpha[0] == 0 and alpha[-1] == 1  # one window each, no blending


def test_a_small_picture_is_continued_by_its_mirror_image(graph, monkeypatch):
    graph()
    model, fed = get_vitmatte(), []
    run = model.graphs[0].run

    def watch(feed):
        fed.append(feed["x"])
        return run(feed)

    monkeypatch.setattr(model.graphs[0], "run", watch)
    image, trimap = picture(600, 900), ring(600, 900)
    estimate(image, trimap, model=model)
    (array,) = fed
    assert (array.dtype, array.shape) == (np.float32, (1, 4, SIZE, SIZE))
    inside = np.dstack([image.astype(np.float32) / 255, trimap])
    np.testing.assert_array_equal(array[0, :, :600, :900].transpose(1, 2, 0), inside)
    np.testing.assert_array_equal(array[0, :, 600:], array[0, :, 599:175:-1])
    np.testing.assert_array_equal(array[0, :, :, 900:], array[0, :, :, 899:775:-1])


def test_a_window_that_sees_one_side_only_grows(graph):
    graph("sight")
    trimap = np.full((300, 3000), 0.5, np.float32)
    trimap[:, :8], trimap[:, -8:] = 1, 0
    alpha = estimate(picture(300, 3000), trimap)
    assert (alpha[trimap == 0.5] == 1).all()  # 0.5 where a window saw one side, 0 without any


def test_a_grown_window_keeps_its_place(graph):
    # linear in x, so that a window of another scale gives the same answer
    graph()
    height, width = 300, 3000
    x = np.linspace(0, 255, width)
    image = np.broadcast_to(x[:, None].round().astype(np.uint8), (height, width, 3))
    trimap = np.full((height, width), 0.5, np.float32)
    trimap[:, 0], trimap[:, -1] = 1, 0
    alpha = estimate(image, trimap)
    np.testing.assert_allclose(alpha[:, 8:-8], expected(image, trimap)[:, 8:-8], atol=2 / 255)


def test_cancelling_between_windows(graph, caplog):
    graph()
    image, trimap, calls = picture(1100, 2500), ring(1100, 2500), []
    with caplog.at_level(logging.INFO, "rembg_sessions"):
        estimate(image, trimap, on_step=lambda: calls.append(1))
    assert len(calls) == len(cover(trimap == 0.5, SIZE, 64)) > 1
    assert f"through {len(calls)} windows" in caplog.text

    class Cancelled(BaseException):
        pass

    def cancel():
        calls.append(1)
        raise Cancelled

    calls.clear()
    with pytest.raises(Cancelled):
        estimate(image, trimap, on_step=cancel)
    assert len(calls) == 1


# -- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"channels": 3}, {"size": 512}], ids=str)
def test_a_file_that_is_another_network(options, graph):
    path = graph(**options)
    with pytest.raises(ModelRunError, match=r"takes x of shape \[.*one input of shape \[1, 4, 10"):
        estimate(picture(30, 40), ring(30, 40))
    with pytest.raises(ModelRunError, match=path.name):
        estimate(picture(30, 40), ring(30, 40))


@pytest.mark.parametrize(
    ("kind", "message"), [("nan", "NaN, infinity"), ("half", r"\(512, 512\) instead of \(1024")]
)
def test_an_answer_that_is_no_alpha(kind, message, graph):
    graph(kind)
    with pytest.raises(ModelRunError, match=message):
        estimate(picture(30, 40), ring(30, 40))


def test_running_out_of_memory(graph, monkeypatch):
    def run(self, session, feed):
        raise ModelMemoryError("full")

    graph()
    monkeypatch.setattr(Graph, "_run", run)
    with pytest.raises(MemoryError, match="full"):
        estimate(picture(30, 40), ring(30, 40))


# -- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_every_unknown_pixel_is_inside_a_window(seed):
    rng = np.random.default_rng(seed)
    size, margin = 32, int(rng.integers(1, 15))
    height, width = rng.integers(1, 150, 2)
    is_unknown = rng.random((height, width)) < rng.choice([0.0005, 0.01, 0.9])
    best = np.zeros((height, width), np.float32)
    for top, left in cover(is_unknown, size, margin):
        assert 0 <= top <= max(height - size, 0) and 0 <= left <= max(width - size, 0)
        window = slice(top, top + size), slice(left, left + size)
        assert is_unknown[window].any()
        weight = np.outer(fade(top, size, height, margin), fade(left, size, width, margin))
        np.maximum(best[window], weight, out=best[window])
    assert (best[is_unknown] == 1).all()


@pytest.mark.parametrize(
    ("size_hw", "count"),
    [((32, 32), 1), ((5, 3), 1), ((33, 32), 2), ((33, 33), 4), ((80, 1), 3), ((81, 1), 4)],
)
def test_no_more_windows_than_needed(size_hw, count):
    assert len(cover(np.ones(size_hw, bool), 32, 4)) == count


def test_certain_regions_cost_nothing():
    is_unknown = np.zeros((1000, 1000), bool)
    assert cover(is_unknown, 32, 4) == []
    is_unknown[500:510, 300:310] = is_unknown[100, 900] = True
    assert cover(is_unknown, 32, 4) == [(84, 884), (489, 289)]


def test_a_window_grows_around_its_middle():
    trimap = np.full((400, 600), 0.5, np.float32)
    trimap[:, 0], trimap[0, 330] = 1, 0
    assert grow(trimap, 100, 300, 32, []) == (slice(100, 132), slice(300, 332))
    assert grow(trimap, 100, 300, 32, [0.5]) == (slice(100, 132), slice(300, 332))
    assert grow(trimap, 100, 300, 32, [0]) == (slice(0, 256), slice(188, 444))
    assert grow(trimap, 100, 300, 32, [0, 1]) == (slice(0, 600), slice(0, 600))


# -- rembg ------------------------------------------------------------------------------------


def test_what_rembg_gives_at_the_size_of_the_network(graph, monkeypatch):
    """It truncates alpha to 8 bit and lets the network change certain pixels."""
    matting = pytest.importorskip("rembg.matting", reason="rembg 2.0.86 needs Python 3.11")
    monkeypatch.setattr(matting, "_sessions", {})
    image, trimap = picture(SIZE, SIZE), ring(SIZE, SIZE)
    onnx = pytest.importorskip("onnx")
    path = graph()
    alpha = estimate(image, trimap)
    made = onnx.load(str(path))  # rembg asks for the input by name
    made.graph.input[0].name = made.graph.node[0].input[0] = "pixel_values"
    onnx.save(made, str(path))
    levels = Image.fromarray(np.select([trimap == 1, trimap == 0.5], [255, 128]).astype(np.uint8))
    monkeypatch.setattr(matting, "trimap_from_mask", lambda *args: levels)
    theirs = matting.vitmatte_alpha(Image.fromarray(image), levels)
    unknown = trimap == 0.5
    ours = (alpha * 255).astype(np.uint8)
    assert np.ptp(ours[unknown]) > 100
    assert difference(ours[unknown], np.asarray(theirs)[unknown]) <= LEVEL
