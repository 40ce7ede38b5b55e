"""One file of weights: where it comes from, what it must be, and what to tell about its disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Generator
from pathlib import Path

from .. import settings
from ..errors import WeightsError
from ..registry.spec import HubFile, WeightFile

_BLOCK = 1 << 20


def sources(file: WeightFile) -> list[tuple[str, HubFile | None]]:
    """Return (URL, its Hugging Face row) in order: Hugging Face first, then the release."""
    from huggingface_hub import hf_hub_url

    found: list[tuple[str, HubFile | None]] = [
        (hf_hub_url(hub.repo, hub.path, revision=hub.revision), hub) for hub in file.hub
    ]
    return [*found, (file.url, None)] if file.url else found


def urls(file: WeightFile) -> str:
    """Return the URLs of a file as text, separated by ``or``."""
    return " or ".join(url for url, _ in sources(file))


def by_hand(file: WeightFile, target: Path) -> str:
    """Return the sentence that says how to put a file in place without this program."""
    if file.parts:
        parts = ", ".join(urls(part) for part in file.parts)
        return f"By hand: download {parts} in a browser and put the files into {target.parent}."
    return f"By hand: download {urls(file)} in a browser and save it as {target}."


def expectation(file: WeightFile) -> tuple[int | None, str, str | None]:
    """Return the (size, hash algorithm, hex digest) a file must have; None: anything goes."""
    if settings.checksum_disabled():
        return None, "sha256", None
    if file.parts:  # A joined file is published in pieces only: their sum is what is known.
        sizes = [part.size for part in file.parts if part.size is not None]
        return sum(sizes) if len(sizes) == len(file.parts) else None, "sha256", None
    if file.sha256 or not file.md5:
        return file.size, "sha256", file.sha256
    return file.size, "md5", file.md5


def mismatch(path: Path, file: WeightFile) -> str | None:
    """Say how a file on disk differs from what its row promises.

    Returns
    -------
    str or None
        ``"has 3 bytes and sha256 …, instead of …"``, or None where all is well.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    size, algorithm, digest = expectation(file)
    is_size, is_digest = path.stat().st_size, None
    if digest:
        hasher = hashlib.new(algorithm, usedforsecurity=False)
        with path.open("rb") as stream:
            while data := stream.read(_BLOCK):
                hasher.update(data)
        is_digest = hasher.hexdigest()
    if size in (None, is_size) and (not digest or is_digest == digest.lower()):
        return None

    def name(size: int | None, digest: str | None) -> str:
        words = [f"{size} bytes"] if size is not None else []
        return " and ".join([*words, f"{algorithm} {digest}"] if digest else words)

    return f"has {name(is_size, is_digest)}, instead of {name(size, digest)}"


@contextlib.contextmanager
def on_disk(file: WeightFile, target: Path) -> Generator[None, None, None]:
    """Raise a WeightsError about the disk in place of any OSError of the block."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise _no_room(file, target, "does not fit") from exc
        raise WeightsError(
            f"{target} cannot be written ({exc.strerror or exc}). Make the folder {target.parent} "
            "writable, or choose another model folder ($U2NET_HOME for Python and the shell). "
            f"{by_hand(file, target)}"
        ) from exc


def check_room(file: WeightFile, target: Path, needed: int) -> None:
    """Raise a WeightsError if the target's disk has less than ``needed`` bytes free."""
    with on_disk(file, target):
        free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise _no_room(file, target, f"needs {needed} more bytes, {free} are free")


def _no_room(file: WeightFile, target: Path, wants: str) -> WeightsError:
    return WeightsError(
        f"The disk is full: {target} {wants}. Make room, or choose a model folder on another "
        "disk ($U2NET_HOME for Python and the shell), and try again: what was downloaded so far "
        f"is kept and continued. {by_hand(file, target)}"
    )
