"""Deletes the files of a model from folders that are the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import WeightsError
from ..registry.spec import ModelSpec
from .filesystem import remove
from .store import find


def own_files(spec: ModelSpec, folders: Sequence[Path]) -> list[Path]:
    """Return those files of a model that lie in the given folders, not in folders below them."""
    paths = find(spec, folders) or ()
    return [path for path in paths if path.parent in map(Path, folders)]


def delete(spec: ModelSpec, folders: Sequence[Path]) -> list[Path]:
    """Delete a model's files from the given folders, and return them.

    Files elsewhere stay: other programs use them, too.

    Raises
    ------
    WeightsError
        If there are none, or one cannot be deleted.
    """
    paths = own_files(spec, folders)
    if not paths:
        raise WeightsError(f"{spec.name} has no file here that could be deleted.")
    for path in paths:
        try:
            remove(path, missing_ok=True)
        except OSError as error:
            raise WeightsError(
                f"{path.name} cannot be deleted: {error.strerror or error}. If a program uses "
                "it, close that one first."
            ) from error
    return paths
