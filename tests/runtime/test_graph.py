"""Opening and running networks: options, closing, and what happens when a provider fails."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rembg_sessions.core import new_session, threads
from rembg_sessions.core.errors import (
    ModelMemoryError,
    ModelRunError,
    ProviderError,
)
from rembg_sessions.core.runtime import graph, runs
from rembg_sessions.core.runtime.graph import Graph
from rembg_sessions.core.runtime.providers import ENGINES, choose

CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
FEED = {"picture": np.zeros((1, 3, 2, 2), np.float32)}
OUT_OF_MEMORY = RuntimeError("Failed to allocate memory for requested buffer of size 16777216")
TENSORRT = "TensorrtExecutionProvider"
NO_KERNEL = RuntimeError("Could not find an implementation for Foo(13)")


class RunOptions(SimpleNamespace):
    def add_run_config_entry(self, key, value):
        setattr(self, key, value)


class Runtime:
    """A stand-in for onnxruntime.

    ``loads`` are the providers whose libraries load, ``opens`` those that open the file,
    and ``failures`` what successive runs on the first provider raise; None succeeds.
    """

    def __init__(self, available=(CUDA, CPU), loads=None, opens=None, failures=()):
        self.available = list(available)
        self.loads = set(loads or available)
        self.opens = set(opens or available)
        self.failures = list(failures)
        self.opened, self.ran = [], []
        self.SessionOptions, self.RunOptions = SimpleNamespace, RunOptions

    def get_available_providers(self):
        return self.available

    def InferenceSession(self, path, sess_options, providers, enable_fallback):
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        self.opened.append(names)
        if names[0] not in self.opens:
            raise RuntimeError(f"{names[0]} cannot open this")
        return FakeSession(self, [name for name in names if name in self.loads])


class FakeSession:
    def __init__(self, runtime, providers):
        self.runtime, self.providers = runtime, providers

    def get_providers(self):
        return self.providers

    def get_inputs(self):
        return [SimpleNamespace(name="picture", shape=[1, 3, 2, 2], type="tensor(float)")]

    def get_provider_options(self):
        return {name: {"device_id": "1"} for name in self.providers}

    def get_outputs(self):
        return [SimpleNamespace(name="alpha"), SimpleNamespace(name="another")]

    def run(self, outputs, feed, options):
        assert outputs == ["alpha"]
        self.runtime.ran.append(self.providers[0])
        if self.providers[0] != CPU and self.runtime.failures:
            failure = self.runtime.failures.pop(0)
            if failure is not None:
                raise failure
        return [feed["picture"] + 1]


@pytest.fixture
def make(monkeypatch):
    """Make a graph on a stand-in for onnxruntime."""
    # graphs of earlier tests would run the stand-in of a later one
    monkeypatch.setattr(threads, "_SECONDS_IDLE", 60)

    def make(request="CUDA", cpu_fallback=True, runs_on="cuda", **runtime):
        fake = Runtime(**runtime)
        for module in (graph, runs):
            monkeypatch.setattr(module, "import_onnxruntime", lambda: fake)
        choice = choose(request, fake.available, runs_on)
        return Graph(Path("net.onnx"), choice, None, cpu_fallback=cpu_fallback), fake

    return make


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- opening ------------------------------------------------------------------------------


def test_a_graph_opens_on_first_use_and_again_after_closing(make):
    net, runtime = make()
    assert not net.is_open and runtime.opened == []
    net.run(FEED)
    net.run(FEED)
    assert net.is_open and len(runtime.opened) == 1
    net.close()
    net.close()
    assert not net.is_open
    assert net.provider == "CUDA"
    assert net.is_open and len(runtime.opened) == 2


def test_many_threads_open_a_graph_once(make):
    net, runtime = make()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: net.run(FEED), range(50)))
    assert len(runtime.opened) == 1


@pytest.mark.parametrize("request_", ["CUDA", "Auto"])
def test_nothing_is_said_when_all_is_well(make, request_, caplog):
    net, _ = make(request_)
    net.run(FEED)
    assert net.provider == "CUDA"
    assert warnings(caplog) == []


def test_a_provider_that_is_not_installed(make, caplog):
    net, _ = make("CUDA", available=[CPU])
    net.run(FEED)
    assert net.provider == "CPU"
    (message,) = warnings(caplog)
    assert "CUDA was requested" in message and "Running on CPU" in message


def test_a_provider_that_is_not_installed_and_must_be(make):
    net, runtime = make("CUDA", cpu_fallback=False, available=[CPU])
    with pytest.raises(ProviderError, match=r"CUDA was requested, but .* has only CPU"):
        net.run(FEED)
    assert runtime.opened == []


@pytest.mark.parametrize("request_", ["CUDA", "Auto"])
def test_a_provider_whose_libraries_do_not_load(make, request_, caplog):
    """ONNX Runtime opens the file on the CPU and says so only in its own log."""
    net, _ = make(request_, loads=[CPU])
    net.run(FEED)
    assert net.provider == "CPU"
    (message,) = warnings(caplog)
    assert "CUDA was requested for net.onnx, but could not be loaded" in message
    assert message.endswith("Running on CPU.")


@pytest.mark.parametrize(
    ("devices", "said"), [(0, "no NVIDIA GPU was found"), (1, "its libraries are missing")]
)
def test_libraries_that_must_load(make, monkeypatch, devices, said):
    monkeypatch.setattr(graph, "nvidia_driver", lambda: (devices, ""))
    net, _ = make("CUDA", cpu_fallback=False, loads=[CPU])
    with pytest.raises(ProviderError, match=f"could not be loaded: {said}") as error:
        net.run(FEED)
    assert "Running" not in str(error.value)


@pytest.mark.parametrize("request_", ["CUDA", "Auto"])
def test_a_provider_that_cannot_open_the_file(make, request_, caplog):
    net, runtime = make(request_, opens=[CPU])
    net.run(FEED)
    assert runtime.opened == [[CUDA, CPU], [CPU]]
    (message,) = warnings(caplog)
    assert "could not be opened on CUDA" in message and "Running on the CPU" in message


def test_a_provider_that_must_open_the_file(make):
    net, _ = make("CUDA", cpu_fallback=False, opens=[CPU])
    with pytest.raises(ProviderError, match="The CPU was not allowed to take over"):
        net.run(FEED)


def test_auto_falls_back_even_where_named_providers_must_not(make, caplog):
    net, _ = make("Auto", cpu_fallback=False, opens=[CPU])
    net.run(FEED)
    assert net.provider == "CPU"
    assert len(warnings(caplog)) == 1


def test_what_cuda_says_is_found_behind_the_signatures(make, monkeypatch):
    said = (
        "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 "
        + "std::conditional_t<THRW, void, onnxruntime::common::Status> " * 20
        + "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=mine ; file="
    )

    def refuse(self, path, sess_options, providers, enable_fallback):
        raise RuntimeError(said)

    net, _ = make("CUDA", cpu_fallback=False)
    monkeypatch.setattr(Runtime, "InferenceSession", refuse)
    with pytest.raises(ProviderError) as caught:
        net.run(FEED)
    message = str(caught.value)
    assert "on CUDA: CUDA failure 100: no CUDA-capable device is detected. " in message
    assert "doctor" in message and "mine" not in message and "damaged" not in message


@pytest.mark.parametrize("given", [False, True])
def test_an_engine_that_tensorrt_cannot_open_is_built_again(make, monkeypatch, tmp_path, given):
    broken = tmp_path / "a.engine"
    broken.write_text("a part")
    options = {ENGINES: str(tmp_path)}
    asked = (TENSORRT, options) if given else TENSORRT
    net, runtime = make([asked], available=(TENSORRT, CPU))
    kept = (TENSORRT, options)
    monkeypatch.setattr(net, "_prepare", lambda path, first: (path, CPU if first == CPU else kept))
    real = runtime.InferenceSession

    def open_(path, sess_options, providers, enable_fallback):
        if providers[0] == kept and broken.exists():
            raise RuntimeError("could not deserialize engine from cache")
        return real(path, sess_options, providers, enable_fallback)

    runtime.InferenceSession = open_
    net.run(FEED)
    # a folder that the user has named is the user's
    assert (net.provider, broken.exists()) == (("CPU", True) if given else ("Tensorrt", False))


@pytest.mark.parametrize("said", ["CUDA failure 2: out of memory ; GPU=0", "bad allocation"])
def test_an_engine_stays_where_memory_was_missing(make, monkeypatch, tmp_path, said):
    engine = tmp_path / "a.engine"
    engine.write_text("whole")
    net, runtime = make([TENSORRT], available=(TENSORRT, CPU))
    kept, tried = (TENSORRT, {ENGINES: str(tmp_path)}), []
    monkeypatch.setattr(net, "_prepare", lambda path, first: (path, CPU if first == CPU else kept))
    real = runtime.InferenceSession

    def open_(path, sess_options, providers, enable_fallback):
        tried.append(providers[0])
        if providers[0] == kept:
            raise RuntimeError(said)
        return real(path, sess_options, providers, enable_fallback)

    runtime.InferenceSession = open_
    net.run(FEED)
    assert net.provider == "CPU" and engine.exists()
    assert tried == [kept, CPU]


def test_a_file_that_nobody_can_open(make):
    net, _ = make("CPU", opens=["none"])
    with pytest.raises(ModelRunError, match=r"net\.onnx could not be opened on CPU: .*damaged"):
        net.run(FEED)


def test_a_file_that_is_no_network(home):
    home.mkdir(parents=True)
    path = home / "mine.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ModelRunError, match=r"mine\.onnx could not be opened on CPU"):
        new_session("u2net_custom", model_path=path, providers="CPU")


# -- running ------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", ["CUDA", "Auto"])
def test_a_provider_that_fails_while_running(make, request_, caplog):
    net, runtime = make(request_, failures=[NO_KERNEL])
    np.testing.assert_array_equal(net.run(FEED), FEED["picture"] + 1)
    net.run(FEED)
    assert runtime.ran == [CUDA, CPU, CPU]
    assert net.provider == "CPU"
    (message,) = warnings(caplog)
    assert "net.onnx failed on CUDA: Could not find" in message
    assert "Running on the CPU from now on" in message
    net.close()
    net.run(FEED)
    assert runtime.opened[-1] == [CPU]


def test_a_provider_that_must_not_fail_while_running(make):
    net, runtime = make("CUDA", cpu_fallback=False, failures=[NO_KERNEL])
    with pytest.raises(ProviderError, match=r"failed on CUDA: .*choose another provider") as caught:
        net.run(FEED)
    assert isinstance(caught.value.__cause__, ModelRunError)
    assert runtime.ran == [CUDA]


def test_many_threads_fall_back_once(make, caplog):
    net, runtime = make(failures=[NO_KERNEL] * 8)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: net.run(FEED).sum(), range(20)))
    assert results == [12.0] * 20
    assert runtime.opened == [[CUDA, CPU], [CPU]]
    assert len(warnings(caplog)) == 1


def test_a_failure_on_the_cpu_is_reported(make, monkeypatch):
    net, _ = make("CPU")
    monkeypatch.setattr(FakeSession, "run", lambda *args: 1 / 0)
    with pytest.raises(ModelRunError, match=r"net\.onnx failed on CPU: division by zero"):
        net.run(FEED)


@pytest.mark.parametrize(
    "failure",
    [
        OUT_OF_MEMORY,
        MemoryError(),
        RuntimeError("CUDA out of memory"),
        RuntimeError("RUNTIME_EXCEPTION : Encountered unknown exception in Run()"),
    ],
)
def test_out_of_memory_frees_once_and_tries_again(make, failure, caplog):
    net, runtime = make(failures=[failure])
    freed = []
    net.on_out_of_memory = lambda: freed.append(True)
    net.run(FEED)
    assert (freed, runtime.ran, net.provider) == ([True], [CUDA, CUDA], "CUDA")
    assert warnings(caplog) == []


@pytest.mark.parametrize("closes", [False, True])
def test_out_of_memory_twice_goes_to_the_cpu(make, closes, caplog):
    """What frees the memory may close the graph itself."""
    net, runtime = make(failures=[OUT_OF_MEMORY, OUT_OF_MEMORY, OUT_OF_MEMORY])
    freed = []
    net.on_out_of_memory = lambda: freed.append(net.close() if closes else None)
    np.testing.assert_array_equal(net.run(FEED), FEED["picture"] + 1)
    assert (len(freed), runtime.ran) == (1, [CUDA, CUDA, CPU])
    assert len(warnings(caplog)) == 1


def test_out_of_memory_twice_where_the_cpu_must_not_take_over(make):
    net, runtime = make("CUDA", cpu_fallback=False, failures=[OUT_OF_MEMORY] * 2)
    net.on_out_of_memory = lambda: None
    with pytest.raises(ProviderError, match="allocate memory") as caught:
        net.run(FEED)
    assert isinstance(caught.value.__cause__, ModelMemoryError)
    assert runtime.ran == [CUDA, CUDA]


def test_out_of_memory_without_a_helper_goes_to_the_cpu(make):
    net, runtime = make(failures=[OUT_OF_MEMORY])
    net.run(FEED)
    assert runtime.ran == [CUDA, CPU]


def test_arrays_are_cast_to_what_the_network_declares(make, monkeypatch):
    net, _ = make("CPU")
    for declared, dtype in (("float16", np.float16), ("float", np.float32), ("double", np.float64)):
        node = SimpleNamespace(name="picture", shape=[], type=f"tensor({declared})")
        monkeypatch.setattr(FakeSession, "get_inputs", lambda self, node=node: [node])
        assert net.run(FEED).dtype == dtype


@pytest.mark.parametrize(("request_", "most"), [("CUDA", 1), ("CPU", 4)])
def test_runs_at_once(make, monkeypatch, request_, most):
    """CUDA gains nothing from several, and takes video memory for each."""
    net, _ = make(request_)
    threads, running, peak = set(), [], []

    def run(self, outputs, feed, options):
        threads.add(threading.get_ident())
        running.append(True)
        peak.append(len(running))
        time.sleep(0.05)
        running.pop()
        return [feed["picture"]]

    monkeypatch.setattr(FakeSession, "run", run)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: net.run(FEED), range(8)))
    assert max(peak) == most
    assert len(threads) == most


@pytest.mark.parametrize(("request_", "arena"), [("CUDA", "gpu:1"), ("CPU", "cpu:0")])
@pytest.mark.parametrize("by_itself", [True, False])
def test_memory_is_given_back_once_after_runs(make, monkeypatch, request_, arena, by_itself):
    net, _ = make(request_)
    seen = []

    def run(self, outputs, feed, options):
        back = getattr(options, "memory.enable_memory_arena_shrinkage", None)
        seen.append((back, getattr(options, "terminate", False), feed["picture"].shape))
        if back:
            raise RuntimeError("Exiting due to terminate flag")
        return [feed["picture"]]

    monkeypatch.setattr(FakeSession, "run", run)
    monkeypatch.setattr(threads, "_SECONDS_IDLE", 0.02 if by_itself else 60)
    net.give_back()
    assert seen == []  # nothing has run
    net.run(FEED)
    if by_itself:
        deadline = time.monotonic() + 10
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.1)
    else:
        net.give_back()
    net.give_back()
    shape = FEED["picture"].shape
    assert seen == [(None, False, shape), (arena, True, shape)]
    net.run(FEED)
    assert len(seen) == 3


def test_onnxruntime_gives_memory_back_and_runs_again(tmp_path):
    psutil, onnx = pytest.importorskip("psutil"), pytest.importorskip("onnx")
    helper, kinds, value = onnx.helper, onnx.TensorProto, onnx.helper.make_tensor_value_info
    nodes = [
        helper.make_node("Tile", ["picture", "times"], ["large"]),  # 192 MB
        helper.make_node("Exp", ["large"], ["larger"]),
        helper.make_node("GlobalMaxPool", ["larger"], ["alpha"]),
    ]
    times = onnx.numpy_helper.from_array(np.array([1, 1, 2048, 2048]), "times")
    picture = value("picture", kinds.FLOAT, [1, 3, 2, 2])
    made = helper.make_graph(
        nodes, "large", [picture], [value("alpha", kinds.FLOAT, None)], [times]
    )
    opset = [helper.make_opsetid("", 17)]
    path = tmp_path / "large.onnx"
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=8), str(path))
    net = Graph(path, choose("CPU", [CPU], None), None)
    expected = net.run(FEED)
    held = psutil.Process().memory_info().rss
    net.give_back()
    assert held - psutil.Process().memory_info().rss > 100 << 20
    assert np.array_equal(net.run(FEED), expected)


def test_without_advice_cudnn_tries_its_algorithms_before_the_cpu_takes_over(make, caplog):
    failure = RuntimeError("CUDNN_FE failure 8: HEURISTIC_QUERY_FAILED ; GPU=0")
    net, runtime = make(cpu_fallback=False, failures=[failure])
    seen = []
    real = runtime.InferenceSession
    runtime.InferenceSession = lambda path, sess_options, providers, enable_fallback: (
        seen.append(providers[0]) or real(path, sess_options, providers, enable_fallback)
    )
    net.run(FEED)
    assert seen == [(CUDA, {"cudnn_conv_algo_search": "HEURISTIC"}), CUDA]
    assert runtime.ran == [CUDA, CUDA] and not net.fallback and warnings(caplog) == []
    net.close()
    net.run(FEED)
    assert seen[2:] == [CUDA]  # and so it does after the next opening
    runtime.failures = [failure]
    with pytest.raises(ProviderError, match="HEURISTIC_QUERY_FAILED"):
        net.run(FEED)


def test_a_run_that_waits_for_its_turn_may_be_cancelled(make, monkeypatch):
    net, _ = make("CUDA")
    first, done = threading.Event(), threading.Event()

    def run(self, outputs, feed, options):
        first.set()
        assert done.wait(10)
        return [feed["picture"]]

    def cancel():
        raise LookupError

    monkeypatch.setattr(FakeSession, "run", run)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(net.run, FEED)
        assert first.wait(10)
        net.on_wait = cancel
        with pytest.raises(LookupError):
            net.run(FEED)
        net.on_wait = None
        done.set()
        np.testing.assert_array_equal(running.result(10), FEED["picture"])


# -- a run that is stopped ----------------------------------------------------------------


@pytest.fixture
def endless(tmp_path):
    """A network that never ends, on the real ONNX Runtime."""
    onnx = pytest.importorskip("onnx")
    helper, kinds, value = onnx.helper, onnx.TensorProto, onnx.helper.make_tensor_value_info
    shape = [1, 3, 2, 2]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["again"], ["once more"]),
            helper.make_node("Softmax", ["before"], ["after"]),
        ],
        "body",
        [
            value("turn", kinds.INT64, []),
            value("again", kinds.BOOL, []),
            value("before", kinds.FLOAT, shape),
        ],
        [value("once more", kinds.BOOL, []), value("after", kinds.FLOAT, shape)],
    )
    loop = helper.make_node("Loop", ["", "yes", "picture"], ["alpha"], body=body)
    yes = onnx.numpy_helper.from_array(np.array(True), "yes")
    picture, alpha = (value(name, kinds.FLOAT, shape) for name in ("picture", "alpha"))
    made = helper.make_graph([loop], "endless", [picture], [alpha], [yes])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(
        helper.make_model(made, opset_imports=opset, ir_version=8), str(tmp_path / "endless.onnx")
    )
    return Graph(tmp_path / "endless.onnx", choose("CPU", [CPU], None), None)


def test_what_looks_in_during_a_run_may_end_it(endless, capfd):
    looks, before = [], set(threading.enumerate())

    def cancel():
        looks.append(True)
        if len(looks) == 3:
            raise LookupError("cancelled")

    endless.on_wait = cancel
    with pytest.raises(LookupError, match="cancelled"):
        endless.run(FEED)
    assert len(looks) == 3
    endless.close()
    deadline = time.monotonic() + 10
    while not set(threading.enumerate()) <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before
    assert capfd.readouterr().err == ""


def test_no_wait_is_without_end(endless, monkeypatch):
    """Windows answers Ctrl-C between two waits only."""
    wait, times = threads.wait, []

    def waiting(futures, timeout=None):
        times.append(timeout)
        return wait(futures, timeout)

    def cancel():
        raise LookupError

    monkeypatch.setattr(threads, "wait", waiting)
    endless.on_wait = cancel
    with pytest.raises(LookupError):
        endless.run(FEED)
    assert len(times) > 1 and None not in times and max(times) <= 0.5


def test_ctrl_c_ends_a_run(endless):
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        endless.run(FEED)


def test_the_end_of_the_program_ends_a_run_of_a_daemon_thread(endless):
    """As that of ComfyUI's prompts is one."""
    program = """
import sys, threading, time
from pathlib import Path
import numpy as np
from rembg_sessions.core.runtime.graph import Graph
from rembg_sessions.core.runtime.providers import choose

net = Graph(Path(sys.argv[1]), choose("CPU", ["CPUExecutionProvider"], None), None)
feed = {"picture": np.zeros((1, 3, 2, 2), np.float32)}
threading.Thread(target=net.run, args=(feed,), daemon=True).start()
time.sleep(1)
"""
    command = [sys.executable, "-c", program, str(endless.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
