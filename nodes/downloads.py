"""Downloads beside the queue: one for each model, shared by everyone who asks for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ..core.errors import OptionError, RembgSessionsError
from ..core.registry.spec import ModelSpec
from ..core.weights.store import ensure

PAUSE = 0.25
"""Seconds between two reports on a download that goes on."""

State = Literal["running", "stopping", "done", "cancelled", "failed"]
Tell = Callable[[dict[str, Any], str | None], None]
"""Called from the download's thread with its state, see :func:`start`, and the page that is told
of it; None is every page."""

_log = logging.getLogger("rembg_sessions")
_running: dict[str, _Download] = {}
_lock = threading.Lock()


class _Cancelled(Exception):
    """The user does not want the file any more."""


class _Download:
    """One model on its way to disk, in a thread of its own."""

    def __init__(self, spec: ModelSpec, folders: Sequence[Path], tell: Tell) -> None:
        self.spec, self.folders, self.tell = spec, folders, tell
        self.askers: set[str] = set()
        self.unwanted = False
        self.done = self.total = 0
        self._told = 0.0

    def state(self, end: State | None = None, message: str = "") -> dict[str, Any]:
        return {
            "model": self.spec.name,
            "state": end or ("stopping" if self.unwanted else "running"),
            "done": self.done,
            "total": self.total,
            "message": message,
        }

    def run(self) -> None:
        while True:
            state, message = self._attempt()
            with _lock:
                if state == "cancelled" and not self.unwanted:
                    continue  # it was asked for again meanwhile
                del _running[self.spec.name]
                # told before a successor can start, so that the page hears it in order
                self.tell(self.state(state), None)
                if message:  # it may name folders of this machine
                    for asker in self.askers:
                        self.tell(self.state(state, message), asker)
            return

    def _attempt(self) -> tuple[State, str]:
        try:
            ensure(self.spec, folders=self.folders, on_progress=self._report)
        except _Cancelled:
            return "cancelled", ""
        except RembgSessionsError as error:
            return "failed", str(error)
        except Exception:  # a thread has no caller: whoever waits must hear of it
            _log.exception("The download of %s failed", self.spec.name)
            return "failed", "An unexpected error; ComfyUI's log has the details."
        return "done", ""

    def _report(self, done: int, total: int) -> None:
        if self.unwanted:
            raise _Cancelled
        self.done, self.total = done, total
        now = time.monotonic()
        if now - self._told >= PAUSE:
            self._told = now
            self.tell(self.state(), None)


def start(spec: ModelSpec, folders: Sequence[Path], tell: Tell, asker: str = "") -> dict[str, Any]:
    """Download a model in the background, or join the download that runs already.

    Parameters
    ----------
    folders
        See :func:`..core.weights.ensure`.
    tell
        Called with the state now and then, and at the end: ``model``, ``state`` (see
        ``State``), ``done`` and ``total`` bytes of the file under way (total 0 while unknown),
        ``message`` (why it failed, for those who asked). A download that is joined keeps its own.
    asker
        The page that asks; empty if it is none.

    Returns
    -------
    dict
        The state at the moment.

    Raises
    ------
    OptionError
        If the model's file is the user's own.
    """
    if spec.custom:
        raise OptionError(
            f"{spec.name} has no file to download: put your own .onnx file into ComfyUI's "
            "models/rembg folder."
        )
    with _lock:
        download = _running.get(spec.name)
        joined = download is not None
        if download is None:
            download = _running[spec.name] = _Download(spec, folders, tell)
        download.unwanted = False  # someone else wants it, or the same one again
        download.askers |= {asker} - {""}
        if joined:
            return download.state()
    threading.Thread(target=download.run, name=f"download {spec.name}", daemon=True).start()
    return download.state()


def cancel(spec: ModelSpec) -> bool:
    """Stop a model's download within about a second; False if there is none.

    What has arrived is kept, and continued by the next download.
    """
    with _lock:
        download = _running.get(spec.name)
        if download is None:
            return False
        download.unwanted = True
        download.tell(download.state(), None)
        return True


def running() -> list[dict[str, Any]]:
    """Return the states of the downloads that run."""
    with _lock:
        return [download.state() for download in _running.values()]
