"""The step between file and ONNX Runtime: what it keeps, and that sessions answer the same."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import pathlib
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from graphs import birefnet, isnet, save

from rembg_sessions.core import get_session, new_session, release_sessions
from rembg_sessions.core.cli import folders as shell_folders
from rembg_sessions.core.cli import main
from rembg_sessions.core.errors import ModelRunError, OptionError
from rembg_sessions.core.prepare import cache, prove, step
from rembg_sessions.core.prepare.step import prepare, with_kept_engines
from rembg_sessions.core.runtime.graph import Graph
from rembg_sessions.core.runtime.providers import ENGINES

CPU = "CPUExecutionProvider"


@pytest.fixture(autouse=True)
def own_cache(home, monkeypatch):
    """Keep the user's cache inside the test's folder."""
    folder = home.parent / "cache"
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    step._say_once.cache_clear()
    return folder


@pytest.fixture
def half(home):
    return save(isnet(half=True), home / "mine.onnx")


def kept(folder):
    return sorted(path.name for path in (folder / "prepared").glob("*"))


def bytes_of(source):
    return source if isinstance(source, bytes) else source.read_bytes()


# -- masks -------------------------------------------------------------------------------------


def masks(name, photo, **options):
    session = new_session("dis_custom", model_path=name, **options)
    return np.asarray(session.predict(photo(200, 150))[0]).astype(int)


def close(ours, theirs):
    """At most a level of difference, in one of a thousand pixels."""
    difference = np.abs(ours - theirs)
    return difference.max() <= 1 and (difference > 0).mean() <= 0.001


@pytest.mark.skipif(not prove.has_deform_conv(CPU), reason="this onnxruntime has no DeformConv")
def test_deformable_convolutions_answer_the_same(home, photo):
    save(birefnet(64), home / "mine.onnx")
    before = masks("mine.onnx", photo, prepare=False)
    assert not (home / "prepared").exists()
    after = masks("mine.onnx", photo)
    assert len(kept(home)) == 1
    assert np.ptp(before) > 200
    assert close(after, before)


def test_half_weights_answer_as_in_float(home, photo):
    """ONNX Runtime rounds some of what flows through a float16 network, and some not."""
    model = isnet(half=True)
    save(model, home / "mine.onnx")
    full = isnet()
    for own, half in zip(full.graph.initializer, model.graph.initializer, strict=True):
        values = onnx.numpy_helper.to_array(half).astype(np.float32)
        own.CopyFrom(onnx.numpy_helper.from_array(values, own.name))
    save(full, home / "full.onnx")
    after = masks("mine.onnx", photo, prepare="float32")
    assert len(kept(home)) == 1
    assert np.ptp(after) > 200
    assert close(after, masks("full.onnx", photo))
    assert np.abs(after - masks("mine.onnx", photo, prepare=False)).max() <= 2


def test_what_is_not_prepared_is_opened_as_it_is(home, photo, caplog):
    caplog.set_level(logging.INFO)
    path = save(isnet(), home / "mine.onnx")
    assert prepare(path, CPU) == path
    assert np.array_equal(masks("mine.onnx", photo), masks("mine.onnx", photo, prepare=False))
    assert not (home / "prepared").exists()
    said = [each.getMessage() for each in caplog.records if "as it is" in each.getMessage()]
    assert said == ["mine.onnx runs as it is: no part of it is known to run faster."]


def test_a_gpu_keeps_its_half_weights(half):
    assert prepare(half, ("CUDAExecutionProvider", {"device_id": 0})) == half


def test_a_session_at_another_size(home, half, photo):
    fed = []
    session = new_session("dis_custom", model_path="mine.onnx", input_size=32)
    graph = session.graphs[0]
    run, graph.run = graph.run, lambda feed: fed.append(feed["input"].shape) or run(feed)
    assert session.predict(photo(200, 150))[0].size == (200, 150)
    assert fed == [(1, 3, 32, 32)]
    assert kept(home)[0].endswith("+32.prepared")
    save(isnet(32, half=True), home / "small.onnx")
    assert np.array_equal(masks("small.onnx", photo), masks("mine.onnx", photo, input_size=32))


def test_a_model_of_the_list_at_another_size(network, home, photo, monkeypatch):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    save(isnet(1024), home / "isnet-general-use.onnx")
    session = new_session("isnet-general-use", input_size=512)
    assert session.graphs[0].inputs()[0][1] == [1, 3, 512, 512]
    assert np.ptp(session.predict(photo())[0]) > 50


def test_a_network_of_free_size_is_fed_at_the_wish(network, photo):
    network("free.onnx", size_hw=None)
    fixed = new_session("u2net_custom", model_path=network("fixed.onnx", size_hw=(96, 96)))
    free = new_session("u2net_custom", model_path="free.onnx", input_size=96)
    assert free.predict(photo())[0] == fixed.predict(photo())[0]


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("dis_custom", 50, "multiple of 32"),
        ("dis_custom", 0, "whole number from 32 to 4096"),
        ("dis_custom", "512", "input_size is '512'"),
        ("dis_custom", 128, "mine.onnx cannot run at input_size 128: it is larger than .* own, 64"),
        ("sam", 512, "sam does not take an input_size"),
    ],
)
def test_sizes_that_are_refused(half, name, size, said):
    path = {"model_path": "mine.onnx"} if name == "dis_custom" else {}
    with pytest.raises(OptionError, match=said):
        new_session(name, input_size=size, **path)


def test_a_network_that_cannot_be_resized_says_why(home):
    save(birefnet(64), home / "mine.onnx")
    with pytest.raises(OptionError, match="may depend on the size"):
        new_session("dis_custom", model_path="mine.onnx", input_size=32, prepare=False)


def test_sizes_are_told_apart_when_sessions_are_shared(half):
    sessions = [
        get_session("dis_custom", model_path="mine.onnx", **options)
        for options in ({}, {"input_size": 32}, {"prepare": False}, {"input_size": 32})
    ]
    assert len({id(session) for session in sessions}) == 3
    release_sessions()


# -- what is kept --------------------------------------------------------------------------------


def test_the_second_opening_takes_what_is_there(half, home, monkeypatch):
    first = prepare(half, CPU, float32=True)
    assert first.parent == home / "prepared"
    before = first.stat().st_mtime_ns
    for name in ("prove", "read_model"):  # it is not even read
        monkeypatch.setattr(step, name, None)
    assert prepare(half, CPU, float32=True) == first
    assert first.stat().st_mtime_ns == before
    onnx.checker.check_model(str(first))


def test_the_original_is_not_touched(half):
    before = half.read_bytes(), half.stat().st_mtime_ns
    prepare(half, CPU, float32=True, input_size=32)
    assert (half.read_bytes(), half.stat().st_mtime_ns) == before


def test_stale_files_of_the_same_source_go(half, home, monkeypatch):
    old = prepare(half, CPU, float32=True)
    other = prepare(save(isnet(half=True), home / "mine.v2.onnx"), CPU, float32=True)
    small = prepare(half, CPU, float32=True, input_size=32)
    assert old.exists()
    model = isnet(half=True)
    model.doc_string = "another file under the same name"
    save(model, half)
    new = prepare(half, CPU, float32=True)
    assert set(kept(home)) == {new.name, other.name}
    assert not small.exists()
    monkeypatch.setattr(cache, "VERSION", 2)
    newest = prepare(half, CPU, float32=True)
    assert set(kept(home)) == {newest.name, other.name}


def test_two_releases_of_onnxruntime_share_a_folder(half, home, monkeypatch):
    here = prepare(half, CPU, float32=True)
    monkeypatch.setattr(step.import_onnxruntime(), "__version__", "9.9.9+cu13")
    other = prepare(half, CPU, float32=True)
    assert set(kept(home)) == {here.name, other.name}
    os.utime(here, (time.time() - 31 * 24 * 3600,) * 2)
    prepare(half, CPU, float32=True, input_size=32)
    assert here.name not in kept(home)
    assert other.exists()


def test_what_follows_from_constants_is_worked_out_once(home, photo, monkeypatch):
    monkeypatch.setattr(step, "_MANY_NODES", 10)
    path = save(birefnet(64), home / "mine.onnx")
    before = masks("mine.onnx", photo, prepare=False)
    prepared = prepare(path, CPU)
    nodes = onnx.load(str(prepared)).graph.node
    assert {node.domain for node in nodes} == {""}
    assert "Constant" not in {node.op_type for node in nodes}
    assert close(masks("mine.onnx", photo), before)
    # one that is large, or has no room for it, is kept as it was written
    shutil.rmtree(home / "prepared")
    monkeypatch.setattr(step, "_MOST_BYTES", 1000)
    nodes = onnx.load(str(prepare(path, CPU))).graph.node
    assert "Constant" in {node.op_type for node in nodes}
    shutil.rmtree(home / "prepared")
    monkeypatch.setattr(step, "_MOST_BYTES", 400 << 20)
    prove_as_it_is = step.prove

    def fail(source, model, provider, *, run, folded=None):
        if folded is not None:
            folded.write_bytes(b"half of")
            raise step.GraphError("no room")
        prove_as_it_is(source, model, provider, run=run)

    monkeypatch.setattr(step, "prove", fail)
    nodes = onnx.load(str(prepare(path, CPU))).graph.node
    assert "Constant" in {node.op_type for node in nodes}
    assert len(kept(home)) == 1


def test_left_over_parts_go_when_they_are_old(half, home):
    folder = home / "prepared"
    folder.mkdir()
    for name, age in (("a.prepared.1.part", 2 * 3600), ("b.prepared.2.part", 60)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    prepare(half, CPU, float32=True)
    assert not (folder / "a.prepared.1.part").exists()
    assert (folder / "b.prepared.2.part").exists()


def _refuse(monkeypatch, folder, number):
    mkdir = pathlib.Path.mkdir

    def refuse(path, *args, **options):
        if path.is_relative_to(folder):
            raise OSError(number, os.strerror(number), str(path))
        return mkdir(path, *args, **options)

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)


def test_a_folder_that_is_read_only(half, home, own_cache, monkeypatch):
    _refuse(monkeypatch, home / "prepared", errno.EROFS)
    first = prepare(half, CPU, float32=True)
    assert first.is_relative_to(own_cache / "rembg-sessions" / "prepared")
    assert prepare(half, CPU, float32=True) == first
    # a file of the same name elsewhere is another network
    elsewhere = save(isnet(32, half=True), home.parent / "elsewhere" / "mine.onnx")
    _refuse(monkeypatch, elsewhere.parent / "prepared", errno.EACCES)
    assert prepare(elsewhere, CPU).parent != first.parent
    assert first.exists()


def test_what_is_prepared_in_memory_is_let_go_of_once_it_is_open(half, monkeypatch, photo):
    _refuse(monkeypatch, half.parents[1], errno.EACCES)
    data = prepare(half, CPU, float32=True)
    monkeypatch.setattr(step, "prepare", lambda *_, **__: data)
    before = sys.getrefcount(data)
    session = new_session("dis_custom", model_path=half)
    assert session.predict(photo())
    assert sys.getrefcount(data) == before


def test_no_folder_at_all(half, home, photo, monkeypatch, caplog):
    before = masks("mine.onnx", photo, prepare="float32")
    shutil.rmtree(home / "prepared")
    _refuse(monkeypatch, home.parent, errno.EACCES)
    assert isinstance(prepare(half, CPU, float32=True), bytes)
    assert "in memory" in caplog.text
    assert np.array_equal(before, masks("mine.onnx", photo, prepare="float32"))


def test_a_disk_that_is_full(half, home, own_cache, monkeypatch):
    usage = shutil.disk_usage

    def full(path):
        return usage(path)._replace(free=1000)

    monkeypatch.setattr(shutil, "disk_usage", full)
    assert isinstance(prepare(half, CPU, float32=True), bytes)
    assert kept(home) == []


def test_a_disk_that_becomes_full(half, home, own_cache, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert isinstance(prepare(half, CPU, float32=True), bytes)
    assert kept(home) == []
    assert not list(own_cache.rglob("*.p*"))


def test_what_onnxruntime_refuses_is_not_kept(half, home, monkeypatch, caplog):
    caplog.set_level(logging.INFO)

    def refuse(*args, **options):
        raise step.GraphError("ONNX Runtime says: no")

    monkeypatch.setattr(step, "prove", refuse)
    assert prepare(half, CPU, float32=True) == half
    assert kept(home) == []
    assert "mine.onnx runs as it is: ONNX Runtime says: no." in caplog.text
    with pytest.raises(OptionError, match="ONNX Runtime says: no"):
        prepare(half, CPU, float32=True, input_size=32)


def test_proof_compares_shapes(half):
    model = step.read_model(memoryview(half.read_bytes()))
    prove.prove(half, model, CPU, run=True)
    small = step.with_side(model, 32)
    with pytest.raises(step.GraphError, match="has shape"):
        prove.prove(half, small, CPU, run=True)
    with pytest.raises(step.GraphError, match="ONNX Runtime says"):
        prove.prove(b"nonsense", model, CPU, run=False)


@pytest.mark.parametrize("damage", ["cut", "flipped", "swapped", "gone"])
def test_a_kept_file_that_is_damaged_is_made_again(half, home, photo, damage, monkeypatch):
    before = masks("mine.onnx", photo, prepare="float32")
    path = home / "prepared" / kept(home)[0]
    whole = path.read_bytes()
    other = bytearray(whole)
    other[len(whole) // 2] ^= 0x40
    contents = {
        "cut": whole[: len(whole) // 2],
        "flipped": bytes(other),
        "swapped": isnet().SerializeToString(),
        "gone": whole,
    }
    path.write_bytes(contents[damage])
    if damage == "gone":  # between being found and being opened
        found = cache.find

        def find(*args):
            monkeypatch.setattr(cache, "find", found)
            path.unlink()
            return path

        monkeypatch.setattr(cache, "find", find)
    assert np.array_equal(before, masks("mine.onnx", photo, prepare="float32"))
    assert path.read_bytes() == whole


def test_a_file_that_onnxruntime_does_not_open_gives_way_to_its_source(
    half, home, photo, monkeypatch, caplog
):
    """It was proved when it was written, by another release, or with other options."""
    before = masks("mine.onnx", photo, prepare=False)
    prepare(half, CPU, float32=True)
    opened = Graph._session

    def refuse(self, ort, source, providers):
        if source != half:
            raise RuntimeError("not this one")
        return opened(self, ort, source, providers)

    monkeypatch.setattr(Graph, "_session", refuse)
    assert np.array_equal(before, masks("mine.onnx", photo, prepare="float32"))
    assert "could not be opened, and is removed: not this one" in caplog.text
    with pytest.raises(ModelRunError, match="not this one"):
        masks("mine.onnx", photo, input_size=32)


def test_few_sizes_of_a_network_are_kept(home):
    path = save(isnet(128, half=True), home / "mine.onnx")
    for size in (32, 64, 96):
        prepare(path, CPU, input_size=size)
    prepare(path, CPU, input_size=64, faster=False)
    assert len(kept(home)) == 3
    assert not [name for name in kept(home) if name.endswith("+32.prepared")]


def test_a_user_file_that_is_no_network_is_left_to_onnxruntime(home):
    (home / "mine.onnx").parent.mkdir(parents=True, exist_ok=True)
    for data in (b"", b"hello", os.urandom(2000)):
        (home / "mine.onnx").write_bytes(data)
        assert prepare(home / "mine.onnx", CPU) == home / "mine.onnx"
    assert prepare(home / "none.onnx", CPU) == home / "none.onnx"


def test_a_file_that_runs_as_it_is_is_read_once(home, monkeypatch):
    """Hosts close networks and open them again."""
    path, read, reads = save(isnet(), home / "mine.onnx"), step.read_model, []
    monkeypatch.setattr(step, "read_model", lambda data: reads.append(len(data)) or read(data))
    assert [prepare(path, CPU) for _ in range(3)] == [path] * 3
    assert len(reads) == 1
    save(isnet(32), path)
    assert prepare(path, CPU) == path
    assert len(reads) == 2


def test_threads_at_once(half, home):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: prepare(half, CPU, float32=True), range(8)))
    assert len(set(paths)) == 1
    assert kept(home) == [paths[0].name]


def _prepare_in_another_process(path, barrier, results):
    barrier.wait()
    results.put(str(prepare(path, CPU, float32=True)))


def test_two_processes_at_once(half, home):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_prepare_in_another_process, args=(half, barrier, results))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    paths = {results.get(timeout=120) for _ in processes}
    for process in processes:
        process.join()
    assert paths == {str(home / "prepared" / kept(home)[0])}
    assert len(kept(home)) == 1


def _hang_while_writing(path):
    os.fsync = lambda number: time.sleep(600)
    prepare(path, CPU, float32=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals of Unix")
def test_a_process_that_is_killed_leaves_nothing_that_is_opened(half, home):
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_hang_while_writing, args=(half,))
    process.start()
    end = time.monotonic() + 120
    while not list((home / "prepared").glob("*.part")) and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.join()
    assert [name.endswith(".part") for name in kept(home)] == [True]
    assert prepare(half, CPU, float32=True).suffix == ".prepared"


def test_cancelling_leaves_nothing(half, home, monkeypatch):
    def cancel(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", cancel)
    with pytest.raises(KeyboardInterrupt):
        prepare(half, CPU, float32=True)
    assert kept(home) == []


# -- listed and removed ----------------------------------------------------------------------------


def test_the_shell_lists_and_removes_what_is_kept(half, home, capsys):
    assert main(["prepared"]) == 0
    assert "no prepared networks" in capsys.readouterr().out
    path = prepare(half, CPU, float32=True)
    (home / "prepared" / "mine.txt").write_text("the user's own")
    assert main(["prepared"]) == 0
    out = capsys.readouterr().out
    assert str(path) in out and f"{path.stat().st_size / 1e6:.1f} MB" in out
    assert main(["doctor"]) == 0
    assert "1 prepared network" in capsys.readouterr().out
    assert main(["prepared", "--remove"]) == 0
    assert kept(home) == ["mine.txt"]
    assert half.exists()


def test_the_shell_of_comfyui_finds_what_its_nodes_prepared(tmp_path, capsys, monkeypatch):
    package = tmp_path / "custom_nodes" / "rembg-sessions"
    models = tmp_path / "models" / "rembg"
    path = prepare(save(isnet(half=True), models / "mine.onnx"), CPU, float32=True)
    monkeypatch.setattr(shell_folders, "__file__", str(package / "core" / "cli" / "folders.py"))
    assert main(["prepared"]) == 0
    assert str(path) in capsys.readouterr().out
    assert main(["prepared", "--remove"]) == 0
    assert not path.exists()


def test_the_shell_takes_a_size(half, home, photo, tmp_path):
    photo().save(tmp_path / "in.png")
    arguments = ["cutout", str(tmp_path / "in.png"), str(tmp_path / "out.png")]
    model = ["-m", "dis_custom", "--model-path", "mine.onnx"]
    assert main([*arguments, *model, "--input-size", "32", "--no-prepare"]) == 0
    assert kept(home)[0].endswith(".cpu+same+32.prepared")
    assert main([*arguments, *model, "--input-size", "48", "--overwrite"]) == 1


def test_removing_while_a_session_is_open(half, home, photo):
    session = new_session("dis_custom", model_path="mine.onnx", prepare="float32")
    before = session.predict(photo())[0]
    assert sum(cache.remove_kept().values()) > 0
    assert session.predict(photo())[0] == before
    session.close()
    assert session.predict(photo())[0] == before
    assert len(kept(home)) == 1
    assert threading.active_count() < 100


# -- TensorRT, which no machine of these tests has ----------------------------------------------

TENSORRT = "TensorrtExecutionProvider"


def test_engines_of_tensorrt_are_kept_for_the_user(half, own_cache, caplog):
    name, options = with_kept_engines(half, TENSORRT)
    folder = pathlib.Path(options["trt_engine_cache_path"])
    assert (name, options["trt_engine_cache_enable"]) == (TENSORRT, "1")
    assert folder.is_dir() and folder.is_relative_to(own_cache)
    assert folder.is_relative_to(options["trt_timing_cache_path"])
    assert "builds an engine of mine.onnx. This takes minutes, once." in caplog.text
    (folder / "net_sm90.engine").write_bytes(bytes(100))
    (folder / "net_sm90.profile").write_bytes(bytes(10))
    times = pathlib.Path(options["trt_timing_cache_path"]) / "sm90.timing"
    times.write_bytes(bytes(10))
    caplog.clear()
    assert with_kept_engines(half, TENSORRT) == (TENSORRT, options) and not caplog.messages
    _, smaller = with_kept_engines(half, TENSORRT, input_size=32)
    given = {"device_id": 1, "trt_timing_cache_enable": "0"}
    _, other = with_kept_engines(half, (TENSORRT, given))
    assert other == {**options, **given, ENGINES: other[ENGINES]}
    assert len({each[ENGINES] for each in (options, smaller, other)}) == 3
    assert cache.kept() == {folder: 110}
    cache.remove_kept()
    assert not folder.exists() and not times.exists()


def test_engines_of_what_a_file_was_before_go(half, own_cache, tmp_path):
    def folder_of(path):
        folder = pathlib.Path(with_kept_engines(path, TENSORRT)[1][ENGINES])
        (folder / "net_sm90.engine").write_bytes(b"engine")
        return folder

    first = folder_of(half)
    elsewhere = folder_of(save(isnet(), tmp_path / "mine.onnx"))
    save(isnet(96, half=True), half)
    second = folder_of(half)
    assert not first.exists() and second.exists() and elsewhere.exists()
    for _ in range(2):
        assert folder_of(half) == second


def test_a_size_is_proved_without_tensorrt(half, monkeypatch):
    asked = []
    monkeypatch.setattr(step, "prove", lambda *arguments, **_: asked.append(arguments[2]))
    prepare(half, TENSORRT, input_size=32)
    assert asked == [CPU]


@pytest.mark.parametrize(
    "given",
    [
        CPU,
        "CUDAExecutionProvider",
        (TENSORRT, {ENGINES: "mine"}),
        (TENSORRT, {"trt_engine_cache_enable": False}),
    ],
)
def test_other_providers_and_own_places_stay(half, given):
    assert with_kept_engines(half, given) == given


def test_engines_without_a_place(half, own_cache, caplog):
    own_cache.parent.mkdir(parents=True, exist_ok=True)
    own_cache.write_text("a file")
    assert with_kept_engines(half, TENSORRT) == TENSORRT
    assert not caplog.messages
    caplog.set_level(logging.INFO)
    step._say_once.cache_clear()
    with_kept_engines(half, TENSORRT)
    assert "TensorRT's engine of mine.onnx is not kept: " in caplog.text
