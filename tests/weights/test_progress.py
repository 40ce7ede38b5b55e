"""Downloads told in lines."""

from __future__ import annotations

import pytest
from weights_server import RELEASE, model, row, status

from rembg_sessions.core.weights import progress
from rembg_sessions.core.weights import store as weights
from rembg_sessions.core.weights.progress import Lines


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are told to."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_at_the_beginning_after_ten_seconds_and_each_minute(clock):
    said = []
    lines = Lines("u2net", said.append)
    for second in range(140):
        lines(1_000_000 * second, 176_000_000)
        clock.now += 1
    assert said == [
        "Downloading u2net, 176 MB.",
        "Downloading u2net: 10 MB of 176 MB.",
        "Downloading u2net: 70 MB of 176 MB.",
        "Downloading u2net: 130 MB of 176 MB.",
    ]


def test_lines_of_several_files_and_of_unknown_size(clock):
    said = []
    lines = Lines("sam", said.append)
    for done, total in ((0, 0), (0, 0), (0, 5_250_000), (1, 5_250_000), (0, 0), (9, 0)):
        lines(done, total)
    assert said == ["Downloading sam, 5.2 MB.", "Downloading sam."]
    clock.now += 10
    lines(2_000_000, 0)
    assert said[2:] == ["Downloading sam: 2.0 MB."]


def test_a_download_that_nobody_watches_is_logged(server, tmp_path, caplog):
    """As warnings, which Python shows where nobody has set up logging."""
    weights.ensure(model(row(server)), folders=[tmp_path])
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Downloading tiny, 3.1 MB.")
    ]
    caplog.clear()
    weights.ensure(model(row(server)), folders=[tmp_path])  # it is there
    assert not caplog.records


def test_a_download_that_somebody_watches_is_not(server, tmp_path, caplog):
    server.behaviours[RELEASE] = [status(404)]
    weights.ensure(model(row(server)), folders=[tmp_path], on_progress=lambda *_: None)
    assert not caplog.records
