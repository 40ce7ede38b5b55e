"""Options of a session, and what ONNX Runtime is given for them."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from rembg_sessions.core import new_session
from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.runtime import options as module
from rembg_sessions.core.runtime.library import warn_once
from rembg_sessions.core.runtime.options import RuntimeOptions, choose_providers, session_options

CPU = "CPUExecutionProvider"


def counts(options):
    return options.intra_op_num_threads, options.inter_op_num_threads


def test_threads_come_from_the_environment(monkeypatch):
    assert counts(session_options(RuntimeOptions())) == (0, 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert counts(session_options(RuntimeOptions())) == (3, 3)
    assert counts(session_options(RuntimeOptions(threads=2))) == (2, 2)
    assert counts(session_options(RuntimeOptions(threads=0))) == (0, 0)


def test_options_of_the_caller_are_passed_through_and_win(monkeypatch, network):
    import onnxruntime

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = new_session("u2net_custom", sess_opts=options, model_path=network("mine.onnx"))
    used = session.inner_session.get_session_options()
    assert counts(used) == (1, 3) and used.enable_mem_pattern


def test_memory_is_not_taken_twice(network):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    assert not session.inner_session.get_session_options().enable_mem_pattern


@pytest.mark.parametrize("text", ["four", "-1", "1.5", ",2", "²", "1025", "9" * 5000])
def test_a_thread_count_that_is_no_number(text, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(
        OptionError, match=r"OMP_NUM_THREADS is .*whole number up to 1024, or unset it"
    ):
        session_options(RuntimeOptions())


@pytest.mark.parametrize("model", ["u2net_custom", "backdrop"])
@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"threads": 99999999999}, "threads is 99999999999; use a whole number from 0 to 1024"),
        ({"threads": "x"}, "threads is 'x'; use a whole number"),
        ({"device_id": "x"}, "device_id is 'x'; use a whole number"),
        ({"device_id": -1}, "device_id is -1; use a whole number"),
        ({"runs_on": 5}, "runs_on is 5; use a name"),
        ({"optimization": 5}, "optimization is 5; use one of disable"),
        ({"cpu_fallback": "no"}, "cpu_fallback is 'no'; use True or False"),
    ],
    ids=str,
)
def test_options_are_checked_for_every_kind_of_session(model, option, said):
    with pytest.raises(OptionError, match=said):
        new_session(model, **option)


def test_a_negative_thread_count():
    with pytest.raises(OptionError, match="threads is -1; use a whole number from 0 to 1024"):
        session_options(RuntimeOptions(threads=-1))


def test_optimization_levels():
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    expected = {
        "disable": levels.ORT_DISABLE_ALL,
        "basic": levels.ORT_ENABLE_BASIC,
        "extended": levels.ORT_ENABLE_EXTENDED,
        "all": levels.ORT_ENABLE_ALL,
    }
    for name, level in expected.items():
        assert session_options(RuntimeOptions(optimization=name)).graph_optimization_level == level
    assert session_options(RuntimeOptions()).graph_optimization_level == levels.ORT_ENABLE_ALL
    with pytest.raises(OptionError, match="'fast'; use one of disable, basic, extended, all"):
        session_options(RuntimeOptions(optimization="fast"))


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_thread_count_is_none(text, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert counts(session_options(RuntimeOptions())) == (0, 0)


@pytest.mark.parametrize("model", ["u2net", "backdrop"])
def test_an_option_that_does_not_exist(model):
    with pytest.raises(OptionError, match=rf"{model} does not take colour or size\. .*threads"):
        new_session(model, colour="red", size=3)


@pytest.mark.parametrize(
    ("found", "runs_on", "level"),
    [
        ("cuda", None, logging.WARNING),
        ("mps", None, logging.WARNING),
        ("directml", None, logging.INFO),  # every machine with Windows, with a GPU or without
        ("directml", "directml", logging.WARNING),  # the host's models use it
        ("directml", "cpu", None),
        ("cpu", None, None),
    ],
)
def test_a_gpu_that_auto_leaves_idle(monkeypatch, caplog, found, runs_on, level):
    runtime = SimpleNamespace(get_available_providers=lambda: ["CUDAExecutionProvider", CPU])
    if found == "cuda":
        runtime.get_available_providers = lambda: [CPU]
    monkeypatch.setattr(module, "import_onnxruntime", lambda: runtime)
    monkeypatch.setattr(module, "host_accelerator", lambda: found)
    warn_once.cache_clear()
    with caplog.at_level(logging.INFO, "rembg_sessions"):
        choice = choose_providers(RuntimeOptions(runs_on=runs_on))
    assert choice.providers == (CPU,)
    assert [record.levelno for record in caplog.records] == ([] if level is None else [level])
    assert all("CPU" in text and " doctor" in text for text in caplog.messages)
