"""The table of models, against its copy: whoever changes a row changes both."""

from __future__ import annotations

from rows import FILE, rows_as_text


def test_no_row_has_changed_unnoticed():
    """If a row was meant to change: python tests/tools/rows.py, and look at the difference."""
    assert rows_as_text() == FILE.read_text("utf-8")
