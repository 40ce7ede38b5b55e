"""Work on rows: every row once, in order, however it is divided."""

from __future__ import annotations

import threading

import pytest

from rembg_sessions.core.imaging import rows


@pytest.mark.parametrize("processors", [1, 3, 64])
@pytest.mark.parametrize("strip", [None, 1, 7, 1000])
@pytest.mark.parametrize("height", [0, 1, 2, 100])
def test_every_row_is_worked_on_once_and_in_order(height, strip, processors, monkeypatch):
    monkeypatch.setattr(rows, "cpu_count", lambda: processors)
    answers = rows.map_rows(lambda top, bottom: (top, bottom), height, 1 << 30, strip)
    assert [row for top, bottom in answers for row in range(top, bottom)] == [*range(height)]
    assert all(0 < bottom - top <= (strip or height) for top, bottom in answers)


def test_little_work_and_one_processor_start_no_thread(monkeypatch):
    def where(top, bottom):
        return threading.current_thread()

    monkeypatch.setattr(rows, "cpu_count", lambda: 8)
    assert rows.map_rows(where, 100, 10) == [threading.main_thread()]
    monkeypatch.setattr(rows, "cpu_count", lambda: 1)
    assert rows.map_rows(where, 100, 1 << 30) == [threading.main_thread()]


def test_what_a_thread_raises_is_passed_on(monkeypatch):
    monkeypatch.setattr(rows, "cpu_count", lambda: 4)
    with pytest.raises(ZeroDivisionError):
        rows.map_rows(lambda top, bottom: 1 // top, 100, 1 << 30)
