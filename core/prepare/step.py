"""The step itself: a verified file, a provider and a wish in; what is to be opened out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import GraphError, OptionError
from ..runtime.library import import_onnxruntime
from ..runtime.providers import CPU, ENGINES, TENSORRT, provider_name, provider_options
from ..weights.filesystem import stamp
from ..weights.sources import file_digest
from ..weights.store import verified_sha256
from . import cache
from .deform import with_deform_conv
from .half import widen
from .model import Model
from .prove import has_deform_conv, prove
from .reading import read_model
from .size import MULTIPLE, native_side, with_side
from .writing import pieces, size

_log = logging.getLogger("rembg_sessions")

_KEEPS_ENGINES = "trt_engine_cache_enable"

# ONNX Runtime works out what follows from constants each time a network is opened. Doing it once
# takes two thirds off an opening of BiRefNet lite, with 18,000 nodes; IS-Net's 700 take no time.
_MANY_NODES = 3000
# What is worked out is stored: 0.1 GB for BiRefNet lite (0.2 GB), 1.3 GB for BiRefNet (0.9 GB),
# which is more than protobuf can write.
_MOST_BYTES = 400 << 20


def prepare(
    path: Path,
    provider: Any,
    *,
    faster: bool = True,
    float32: bool = False,
    input_size: int | None = None,
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
    float32
        Whether the CPU computes in float32 what the file keeps in float16: 5 % faster, twice as
        large, and masks of IS-Net differ by a level, rarely two, in up to 3 % of their pixels.
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
    wish = _Wish(provider, faster, float32, input_size)
    if wish.is_none:
        return path
    try:
        if cache.holds_some(path):  # else the hash of a large file need not be known
            found = cache.find(path, _file_name(path, wish))
            if found is not None:
                return found
        known = (stamp(path), provider_name(provider), faster, float32, input_size)
        if known in _plain:
            return path
        # read as a whole: a file that is written over while it is mapped ends the process
        model = read_model(memoryview(path.read_bytes()))
        changed, is_changed = _changed(model, wish)
        written = pieces(changed)
        fold = faster and wish.is_cpu and len(changed.nodes) > _MANY_NODES
        fold = fold and size(written) <= _MOST_BYTES
        if not is_changed and not fold:
            _say_once(f"{path.name} runs as it is: no part of it is known to run faster.")
            _plain.add(known)
            return path

        _log.info("Preparing %s for its first opening.", path.name)

        # TensorRT would build an engine for that, which takes minutes
        prover = CPU if provider_name(provider) == TENSORRT else provider

        def check(source: Path | bytes, folded: Path | None) -> None:
            run = changed.inputs != model.inputs
            try:
                prove(source, changed, prover, run=run, folded=folded if fold else None)
            except GraphError:
                if not fold or folded is None:
                    raise
                folded.unlink(missing_ok=True)  # the disk may have become full
                prove(source, changed, prover, run=run)

        return cache.keep(path, _file_name(path, wish), written, check)
    except (GraphError, OSError) as error:
        if input_size is not None:
            raise OptionError(
                f"{path.name} cannot run at input_size {input_size}: {error}.{_others(path, wish)} "
                "Leave input_size out to have the network's own."
            ) from error
        _say_once(f"{path.name} runs as it is: {error}.")
        return path


def with_kept_engines(
    path: Path,
    provider: Any,
    *,
    faster: bool = True,
    float32: bool = False,
    input_size: int | None = None,
) -> Any:
    """Return what a provider is opened with: TensorRT, with a place where its engines are kept.

    It builds an engine at the first opening, by timing what is possible: 384 s for a large network,
    which take 9 s with the engine, and 42 s with the times alone (ONNX Runtime's documentation).
    Arguments: see :func:`prepare`.
    """
    name, options = provider_name(provider), provider_options(provider)
    if name != TENSORRT or not options.keys().isdisjoint((ENGINES, _KEEPS_ENGINES)):
        return provider  # to a place of the user's own, if any
    wish = _Wish(provider, faster, float32, input_size)
    try:
        made = cache.engines(path, _file_name(path, wish, options))
    except OSError as error:
        _say_once(f"TensorRT's engine of {path.name} is not kept: {error}.")
        return provider
    if made is None:
        return provider
    folder, times = made
    if not any(folder.glob("*.engine")):
        _log.warning(
            "Where TensorRT can be loaded, it first builds an engine of %s. This takes minutes, "
            "once.",
            path.name,
        )
    kept = {
        _KEEPS_ENGINES: "1",
        ENGINES: str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(times),
    }
    return name, {**kept, **options}


def _others(path: Path, wish: _Wish) -> str:
    """Name the input sizes nearest to a wish that a network can run at; empty where none is."""
    wanted = wish.input_size or 0
    try:
        model = read_model(memoryview(path.read_bytes()))
        sides = range(MULTIPLE, (native_side(model) or 0) + 1, MULTIPLE)
    except (GraphError, OSError):
        return ""
    fit: list[int] = []
    for side in sorted(sides, key=lambda side: abs(side - wanted)):
        with suppress(GraphError):
            with_side(model, side)
            fit.append(side)
        if len(fit) == 2:
            break
    return f" Nearest that it can: {' and '.join(map(str, sorted(fit)))}." if fit else ""


@dataclass(frozen=True, slots=True)
class _Wish:
    """The arguments of :func:`prepare`, but for the file."""

    provider: Any
    faster: bool
    float32: bool
    input_size: int | None

    @property
    def is_none(self) -> bool:
        return not (self.faster or self.float32 or self.input_size)

    @property
    def is_cpu(self) -> bool:
        return provider_name(self.provider) == CPU

    def words(self) -> list[str]:
        """Return what the result depends on, beside the file: it follows from them alone."""
        found = [provider_name(self.provider).removesuffix("ExecutionProvider").lower()]
        if not self.faster:
            found.append("same")
        elif has_deform_conv(self.provider):
            found.append("deform")
        if self.float32 and self.is_cpu:
            found.append("float32")
        return [*found, *([] if self.input_size is None else [str(self.input_size)])]


def _file_name(path: Path, wish: _Wish, options: Mapping[str, Any] | None = None) -> str:
    library, words = str(import_onnxruntime().__version__), wish.words()
    if options:  # an engine depends on them, too
        words.append(hashlib.sha256(repr(sorted(options.items())).encode()).hexdigest()[:8])
    return cache.file_name(path, _sha256(path), library, words)


def _changed(model: Model, wish: _Wish) -> tuple[Model, bool]:
    """Return the network after all steps that match it, and whether any did."""
    result = model
    if wish.faster:
        deformable, count = with_deform_conv(result)
        if count and has_deform_conv(wish.provider):
            result = deformable
    if wish.float32 and wish.is_cpu:
        result = widen(result) or result
    if wish.input_size is not None:
        result = with_side(result, wish.input_size)
    return result, result is not model


def _sha256(path: Path) -> str:
    known = verified_sha256(path)
    if known is not None:
        return known
    now = stamp(path)
    if now not in _hashes:
        _hashes[now] = file_digest(path, "sha256")
    return _hashes[now]


_hashes: dict[tuple[object, ...], str] = {}
_plain: set[tuple[object, ...]] = set()
"""Files of which nothing is to be prepared, and for what: they are not read again."""


@lru_cache(maxsize=256)
def _say_once(message: str) -> None:
    _log.info("%s", message)
