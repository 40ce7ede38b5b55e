"""One file of weights: where it comes from, and what it must be."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from .. import settings
from ..registry.spec import HubFile, WeightFile
from ..text import without_passwords
from .network import hub_url

_BLOCK = 1 << 20


def sources(file: WeightFile) -> list[tuple[str, HubFile | None]]:
    """Return (URL, its Hugging Face row) in order: Hugging Face first, then the release."""
    found: list[tuple[str, HubFile | None]] = [(hub_url(hub), hub) for hub in file.hub]
    return [*found, (file.url, None)] if file.url else found


def urls(file: WeightFile) -> str:
    """Return the URLs of a file as text, separated by ``or``."""
    return " or ".join(without_passwords(url) for url, _ in sources(file))


def usual_names(file: WeightFile) -> list[str]:
    """Return the names a file may have: its own, and the one its URL ends with.

    The latter is what a browser calls it.
    """
    theirs = unquote(PurePosixPath(urlsplit(file.url or "").path).name)
    return list(dict.fromkeys([file.file, theirs or file.file]))


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


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hash of a file, in hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while data := stream.read(_BLOCK):
            hasher.update(data)
    return hasher.hexdigest()


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
        is_digest = file_digest(path, algorithm)
    if size in (None, is_size) and (not digest or is_digest == digest.lower()):
        return None

    def name(size: int | None, digest: str | None) -> str:
        words = [f"{size} bytes"] if size is not None else []
        return " and ".join([*words, f"{algorithm} {digest}"] if digest else words)

    return f"has {name(is_size, is_digest)}, instead of {name(size, digest)}"
