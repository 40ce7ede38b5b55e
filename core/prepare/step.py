"""The step itself: a verified file, a provider and a wish in; what is to be opened out."""

from __future__ import annotations

import hashlib
import logging
import mmap
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import GraphError, OptionError
from ..weights.store import verified_sha256
from . import cache
from .deform import with_deform_conv
from .half import widen
from .model import Model
from .prove import has_deform_conv, prove, provider_name
from .reading import read_model
from .size import with_side
from .writing import pieces

_log = logging.getLogger("rembg_sessions")

_CPU = "CPUExecutionProvider"


def prepare(
    path: Path, provider: Any, *, faster: bool = True, input_size: int | None = None
) -> Path | bytes:
    """Return what ONNX Runtime opens in place of a file: a prepared one, or the file itself.

    The file is never changed. What is prepared is kept, see :mod:`.cache`, and found again.

    Parameters
    ----------
    path
        The .onnx file, verified.
    provider
        ONNX Runtime's name of the provider it will run on, or (name, options).
    faster
        Whether to change what makes the same network run faster on this provider.
    input_size
        Height and width of its input, in pixels; None keeps the network's own.

    Returns
    -------
    Path or bytes
        Bytes where no folder can be written to.

    Raises
    ------
    OptionError
        If the network cannot run at ``input_size``; the text says why.
    """
    try:
        with mapped(path) as data:
            model = read_model(data)
            changed, steps = _changed(model, provider, faster, input_size)
            if not steps:
                _say_once(f"{path.name} runs as it is: no part of it is known to run faster.")
                return path
            name = cache.file_name(path, _sha256(path, data), steps)
            found = cache.find(path, name)
            if found is not None:
                return found

            def check(source: Path | bytes) -> None:
                prove(source, changed, provider, run=changed.inputs != model.inputs)

            return cache.keep(path, name, pieces(changed), check)
    except (GraphError, OSError) as error:
        if input_size is not None:
            raise OptionError(
                f"{path.name} cannot run at input_size {input_size}: {error}. Leave input_size out "
                "to have the network's own."
            ) from error
        _say_once(f"{path.name} runs as it is: {error}.")
        return path


def _changed(
    model: Model, provider: Any, faster: bool, input_size: int | None
) -> tuple[Model, list[str]]:
    """Return the network after all steps that match it, and their names."""
    steps: list[str] = []
    if faster and provider_name(provider) == _CPU:
        wide = widen(model)
        if wide is not None:
            model = wide
            steps.append("fp32")
    if faster:
        deformable, count = with_deform_conv(model)
        if count and has_deform_conv(provider):
            model = deformable
            steps.append("deform")
    if input_size is not None:
        smaller = with_side(model, input_size)
        if smaller is not model:
            model = smaller
            steps.append(str(input_size))
    return model, steps


@contextmanager
def mapped(path: Path) -> Generator[memoryview]:
    """Lend the bytes of a file without reading them.

    Raises
    ------
    GraphError
        If it is empty.
    """
    with path.open("rb") as stream:
        if not path.stat().st_size:
            raise GraphError("it is empty")
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield memoryview(mapped)
    finally:
        with suppress(BufferError):  # what was read still looks into it, and closes it when it goes
            mapped.close()


def _sha256(path: Path, data: memoryview) -> str:
    known = verified_sha256(path)
    if known is not None:
        return known
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _hashes:
        _hashes[key] = hashlib.sha256(data).hexdigest()
    return _hashes[key]


_hashes: dict[tuple[str, int, int], str] = {}


@lru_cache(maxsize=256)
def _say_once(message: str) -> None:
    _log.info("%s", message)
