"""Options of a session, and what ONNX Runtime is given for them."""

from __future__ import annotations

import pytest

from rembg_sessions.core import new_session
from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.runtime.options import RuntimeOptions, session_options


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
    assert counts(used) == (1, 3)


@pytest.mark.parametrize("text", ["four", "-1", "1.5", ",2", "²", "1025", "9" * 5000])
def test_a_thread_count_that_is_no_number(text, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(
        OptionError, match=r"OMP_NUM_THREADS is .*whole number up to 1024, or unset it"
    ):
        session_options(RuntimeOptions())


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
