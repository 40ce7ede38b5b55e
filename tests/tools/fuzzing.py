"""What the fuzzes share: calls that are watched, and what they are fed with."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import psutil
import pytest

from rembg_sessions.core.errors import RembgSessionsError
from rembg_sessions.core.text import short

LONGEST_MESSAGE, MOST_LINES = 3000, 5
STARTS = [
    (subprocess, "Popen"),
    *((os, name) for name in dir(os) if name.startswith(("exec", "spawn", "posix_spawn", "fork"))),
    *((os, name) for name in ("system", "popen", "startfile") if hasattr(os, name)),
]
"""Functions that start a program."""


class Watch:
    """Calls functions and notes what is wrong with how they end.

    Right are a result, and an error of our own in a few lines; in time, and without gigabytes.

    Attributes
    ----------
    seconds, mebibytes
        What a call may take.
    calls, refused
        How many there were, and how many ended with an error of our own.
    slowest, largest
        Most seconds and most mebibytes that one took, and which it was.
    wrong
        What was wrong: its kind, and a line that tells more.
    """

    def __init__(self, seconds: float = 10, mebibytes: float = 1024):
        self.seconds, self.mebibytes = seconds, mebibytes
        self.calls, self.refused = 0, 0
        self.slowest, self.largest = (0.0, ""), (0.0, "")
        self.wrong: list[tuple[str, str]] = []
        self.reasons: Counter[str] = Counter()

    def call(self, label, function, *arguments, **options):
        """Call a function; returns its result, and None after an error."""
        self.calls += 1
        result, before, start = None, peak_memory(), time.perf_counter()
        try:
            result = function(*arguments, **options)
        except RembgSessionsError as error:
            self.refused += 1
            text = str(error)
            self.reasons[text[:60]] += 1
            if len(text) > LONGEST_MESSAGE or text.count("\n") > MOST_LINES or not text.strip():
                self.note(label, f"a message of {len(text)} characters: {text[:200]!r}")
        except Exception as error:
            self.note(label, f"{type(error).__name__}: {short(str(error))}{place(error)}")
        seconds, taken = time.perf_counter() - start, (peak_memory() - before) / 2**20
        self.slowest = max(self.slowest, (seconds, label))
        self.largest = max(self.largest, (taken, label))
        if seconds > self.seconds:
            self.note(label, f"took {seconds:.1f} s")
        if taken > self.mebibytes:
            self.note(label, f"took {taken:.0f} MiB")
        return result

    def note(self, label, text):
        """Note that something is wrong."""
        self.wrong.append((text[:40] + text[-60:], f"{label}: {text}"))

    def check(self, label, is_right, text):
        """Note a text unless something is right."""
        if not is_right:
            self.note(label, text)

    def verdict(self):
        """Fail where something was wrong; the first of each kind is shown."""
        sys.stdout.write(
            f"{self.calls} calls, {self.refused} refused, slowest {self.slowest[0]:.2f} s "
            f"({self.slowest[1]}), largest {self.largest[0]:.0f} MiB ({self.largest[1]})\n"
        )
        kinds: dict[str, list[str]] = {}
        for kind, line in self.wrong:
            kinds.setdefault(kind, []).append(line)
        shown = [f"{len(lines)}× {lines[0]}" for lines in list(kinds.values())[:40]]
        assert not shown, f"{len(self.wrong)} of {self.calls} calls\n" + "\n".join(shown)


def place(error):
    """Return where an error comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace else ""


def peak_memory():
    """Return the most bytes of memory that this process has had."""
    try:
        import resource
    except ImportError:  # Windows
        return psutil.Process().memory_info().peak_wset
    # KiB on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if psutil.LINUX else 1)


class _Listener(logging.Handler):
    """Notes log messages that are too long, or cannot be shown."""

    def __init__(self):
        super().__init__()
        self.odd: list[str] = []

    def emit(self, record):
        text = record.getMessage()
        if len(text) > LONGEST_MESSAGE or not text.isprintable():
            self.odd.append(text[:200])


@contextmanager
def listening(watch):
    """Check what is logged meanwhile; it goes nowhere else."""
    log, listener = logging.getLogger("rembg_sessions"), _Listener()
    spread, handlers = log.propagate, log.handlers
    log.propagate, log.handlers = False, [listener]
    try:
        yield
    finally:
        log.propagate, log.handlers = spread, handlers
        for text in listener.odd:
            watch.note("log", f"an odd message: {text!r}")


@contextmanager
def no_programs():
    """Make every way of starting a program fail."""

    def start(*arguments, **options):
        raise AssertionError("a program was started")

    with pytest.MonkeyPatch.context() as patch:
        for module, name in STARTS:
            patch.setattr(module, name, start)
        yield
