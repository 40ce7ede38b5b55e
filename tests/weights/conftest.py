"""A home of its own for every test of weights, and the server that they come from."""

from __future__ import annotations

import os

import pytest
from huggingface_hub import constants
from weights_server import DATA, HUB, RELEASE, Server, use_hub

from rembg_sessions.core.weights import download, transfer


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A home of its own, no settings from outside, and no waiting."""
    for name in os.environ:
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME", "MODEL_CHECKSUM_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("REMBG_SESSIONS_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(download, "LOCK_WAIT", 0.05)


@pytest.fixture
def make_server():
    servers = []

    def make():
        servers.append(Server())
        return servers[-1]

    yield make
    for server in servers:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(make_server, monkeypatch):
    """One server that is both Hugging Face and the release page."""
    server = make_server()
    server.files = {HUB: DATA, RELEASE: DATA}
    use_hub(monkeypatch, server.url)
    return server
