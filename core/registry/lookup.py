"""How a model is found by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ..errors import UnknownModelError
from ..text import short
from .models import MODELS
from .names import ModelName
from .spec import ModelSpec

# Characters; no known name comes near to it.
_LONGEST = 200
# That many are all named to whoever mistyped one.
_FEW = 6


def _key(name: str) -> str:
    # cut: comparing takes time that grows with the square of the length
    name = name[:_LONGEST].split(":", 1)[0].strip().lower().replace("_", "-")
    # some packs list their models by file
    return name.removesuffix(".safetensors").removesuffix(".onnx")


def get_model(name: ModelName | str, models: Sequence[ModelSpec] = MODELS) -> ModelSpec:
    """Return the row of a model.

    Parameters
    ----------
    name
        A name or alias, with hyphens or underscores in any case, with or without
        ``.onnx`` or ``.safetensors``; or the ``"name: label"`` string that nodes list.
    models
        The rows to choose from: those that sessions open, unless others are given.

    Raises
    ------
    UnknownModelError
        If no row has that name; the message names the closest ones.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UnknownModelError(f"{short(name)} is not a model name; give a name such as u2net.")
    index = {_key(known): spec for spec in models for known in (spec.name, *spec.aliases)}
    spec = index.get(_key(name))
    if spec is not None:
        return spec
    close = [known for known in index if known.startswith(_key(name))][:3]
    close = close or difflib.get_close_matches(_key(name), index, n=3, cutoff=0.5)
    close = dict.fromkeys(index[known].name for known in close)
    if len(models) <= _FEW:
        hint = f"Known models: {', '.join(row.name for row in models)}."
    elif close:
        hint = f"Did you mean {' or '.join(close)}?"
    else:
        hint = f"There are {len(models)}; {models[0].name} is one for all purposes."
    raise UnknownModelError(f"Unknown model {short(name)}. {hint}")
