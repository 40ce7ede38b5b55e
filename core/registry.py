"""How a model is found by name."""

from __future__ import annotations

import difflib

from .errors import UnknownModelError
from .models import MODELS
from .spec import ModelSpec


def _key(name: str) -> str:
    return name.split(":", 1)[0].strip().lower().replace("_", "-")


def get_model(name: str) -> ModelSpec:
    """Return the row of a model.

    Parameters
    ----------
    name
        A name or alias, with hyphens or underscores in any case, or the
        ``"name: label"`` string that nodes list.

    Raises
    ------
    UnknownModelError
        If no row has that name; the message lists the closest ones.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnknownModelError(f"{name!r} is no model name; give a name such as u2net.")
    index = {_key(known): spec for spec in MODELS for known in (spec.name, *spec.aliases)}
    spec = index.get(_key(name))
    if spec is not None:
        return spec
    close = [known for known in index if known.startswith(_key(name))][:3]
    close = close or difflib.get_close_matches(_key(name), index, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    names = ", ".join(row.name for row in MODELS)
    raise UnknownModelError(f"Unknown model {name!r}. {hint}Known models: {names}.")
