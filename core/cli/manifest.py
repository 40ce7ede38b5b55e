"""The record of a batch, in JSON Lines: which picture goes where, and how that ended.

A line is written before a picture is begun (``planned``) and one when it is done; the last line of
a picture holds. So whatever ends a run, the next one knows whose an output is, and where to go on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, TextIO, cast

from ..errors import OptionError
from ..text import visible
from .output_names import SHORT, key, output_of

PLANNED, DONE, KEPT, FAILED = "planned", "done", "kept", "failed"
_MOST_TRIES = 100  # of names for one output


class Manifest:
    """The lines of a file, and what is added to it; as a context it closes the file.

    Parameters
    ----------
    path
        Made where it is not there.
    anew
        Whether to forget what it says.

    Raises
    ------
    OptionError
        If it is something else than a manifest, or cannot be written.
    """

    def __init__(self, path: Path, anew: bool):
        self.path, self._rows = path, dict[str, tuple[str, str]]()
        self._outputs, self._folders = set[str](), Counter[str]()
        try:
            if not anew and path.exists():
                self._read()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open("w" if anew else "a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise OptionError(
                f"The manifest {visible(str(path))} cannot be written "
                f"({error.strerror or error}); name another place with --manifest."
            ) from error

    def __enter__(self) -> Manifest:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row: object = json.loads(line)
                named = cast("dict[str, Any]", row)
                source, state, output = (named[name] for name in ("source", "state", "output"))
                if not all(isinstance(each, str) for each in (source, state, output)):
                    raise TypeError
            except (ValueError, TypeError, KeyError) as error:
                raise OptionError(
                    f"Line {number} of {visible(str(self.path))} is none of a manifest; name "
                    "another place with --manifest."
                ) from error
            self._rows[source] = state, output
            self._take(output)
        if len(whole) < len(data):  # what a killed run did not finish
            with self.path.open("r+b") as file:
                file.truncate(len(whole))

    def _take(self, output: str) -> None:
        self._outputs.add(key(Path(output)))
        self._folders.update(key(Path(each)) for each in PurePosixPath(output).parents)

    def state(self, source: str) -> str:
        """Return how a picture stands; empty if it is not known."""
        return self._rows[source][0] if source in self._rows else ""

    def output(self, source: str) -> str:
        """Return the output of a picture that is known, relative to the target."""
        return self._rows[source][1]

    def plan(self, sources: Mapping[str, str], ending: str) -> None:
        """Give each new picture an output that belongs to no other, for good.

        Parameters
        ----------
        sources
            By source: the name below the target that its output follows.
        ending
            What the names of the outputs end with.
        """
        for source, name in sources.items():
            if source in self._rows:
                continue
            output = Path()
            for length in range(SHORT, _MOST_TRIES):
                output = output_of(Path(name), length, ending)
                if not (key(output) in self._outputs or key(output) in self._folders):
                    break
            self._take(output.as_posix())
            self._write({"source": source, "output": output.as_posix(), "state": PLANNED})
        self._file.flush()

    def note(self, source: str, state: str, **facts: Any) -> None:
        """Write how a picture ended."""
        self._write({"source": source, "output": self.output(source), "state": state, **facts})
        self._file.flush()

    def _write(self, row: dict[str, Any]) -> None:
        self._rows[row["source"]] = row["state"], row["output"]
        self._file.write(json.dumps(row) + "\n")
