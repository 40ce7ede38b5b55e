"""onnxruntime where it is missing."""

from __future__ import annotations

import builtins
import os
import subprocess
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


# -- what onnxruntime does by itself ---------------------------------------------------------


@pytest.mark.parametrize("asked", [None, "0"])
@pytest.mark.parametrize("how", ["library.import_onnxruntime", "installation.collect"])
def test_telemetry_is_off_before_the_import_unless_it_is_asked_for(how, asked, tmp_path):
    (tmp_path / "onnxruntime.py").write_text(
        "import os, sys; InferenceSession = 1\n"
        "sys.stdout.write(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    if asked:
        environment["ORT_DISABLE_TELEMETRY"] = asked
    module, function = how.split(".")
    code = f"from rembg_sessions.core.runtime.{module} import {function}; {function}()"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout == (asked or "1")


RESOLVER = """
import socket, subprocess, sys, threading
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
asked = []
def answer():
    while True:
        data, client = server.recvfrom(512)
        asked.append(data)
        server.sendto(data[:2] + b"\\x81\\x83" + data[4:], client)
threading.Thread(target=answer, daemon=True).start()
subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
print("asked", len(asked))
"""


@pytest.mark.slow
def test_not_one_name_is_looked_up(tmp_path, network):
    """In a network of its own, whose only name server counts."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "resolver.py").write_text(RESOLVER)
    code = (
        "import time; from rembg_sessions import new_session, diagnose;"
        f"new_session('u2net_custom', model_path={str(network('mine.onnx'))!r}); diagnose();"
        "time.sleep(14)"  # it begins after some seconds
    )
    script = (
        f"ip link set lo up && mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && "
        f'exec {sys.executable} {tmp_path}/resolver.py "$0"'
    )
    command = ["unshare", "--net", "--mount", "sh", "-c", script, code]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if "unshare" in run.stderr or "mount" in run.stderr or "ip:" in run.stderr:
        pytest.skip(f"a network of its own needs more rights: {run.stderr.strip()[-100:]}")
    assert run.stdout.strip() == "asked 0", run.stderr
