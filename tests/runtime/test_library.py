"""onnxruntime where it is missing."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest

from rembg_sessions.core import new_session
from rembg_sessions.core.errors import RuntimeMissingError
from rembg_sessions.core.runtime.library import import_onnxruntime


def test_onnxruntime_missing(monkeypatch, network):
    path = network("mine.onnx")
    imported = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError("libfoo.so.1: cannot open shared object file")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(RuntimeMissingError) as caught:
        new_session("u2net_custom", model_path=path)
    assert isinstance(caught.value, ImportError)
    assert "pip install" in str(caught.value)
    assert "libfoo.so.1: cannot open shared object file" in str(caught.value)


def test_the_remains_of_an_uninstalled_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())
    with pytest.raises(RuntimeMissingError, match="no InferenceSession"):
        import_onnxruntime()
