"""Users' own files: of which kind one is, and what a network of that kind wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ..errors import ModelPathError, OptionError
from ..prepare.kind import kind_of, tell, told_family
from ..registry.lookup import get_model
from ..registry.spec import ModelSpec, Output
from ..text import quotable
from ..weights.own import custom_path

UNKNOWN = "unknown"
"""The kind of a file that does not say it, and of which nobody has."""

OWN_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "U-2-Net": "u2net_custom",
        "IS-Net": "dis_custom",
        "BEN": "ben_custom",
        "BiRefNet": "birefnet_custom",
    }
)
"""The row of a network by its kind."""

_RECIPE = ("size_hw", "short_side", "mean", "std", "scale_by_max", "min_max")


def own_kind(path: Path) -> str:
    """Return of which kind a user's file is: a key of the table above, or ``UNKNOWN``.

    Its weights are not read; what was read once is known until the file changes.
    """
    kind = kind_of(path)
    return (kind.is_named and kind.family) or told_family(path) or kind.family or UNKNOWN


def says_its_kind(path: Path) -> bool:
    """Return whether a user's file says its kind for certain, so that no other is to be offered."""
    return kind_of(path).is_named


def own_kinds(names: Iterable[str], folders: Sequence[Path] = ()) -> dict[str, str]:
    """Return the kind of each of the user's files, as :func:`own_kind` does.

    Parameters
    ----------
    names
        As ``model_path`` takes them. Those that are not there are ``UNKNOWN``.
    folders
        The caller's own folders of models.
    """
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = own_kind(custom_path(name, folders))
        except ModelPathError:
            found[name] = UNKNOWN
    return found


def own_recipe(spec: ModelSpec, path: Path) -> ModelSpec:
    """Return the row whose recipe fits a user's file.

    Parameters
    ----------
    spec
        The row it is opened as: one for a kind of network, which is then obeyed, or the one that
        has the kind found out.
    path
        The file.

    Raises
    ------
    OptionError
        If its kind is to be found out, and is not known.
    """
    kind = kind_of(path)
    if spec.output is Output.OWN:
        family = own_kind(path)
        if family == UNKNOWN:
            raise OptionError(
                f"{quotable(path.name)} does not say of which kind it is. Use it once as "
                f"{', '.join([*OWN_MODELS.values()][:-1])} or {[*OWN_MODELS.values()][-1]}, as its "
                f"author says or as the mask is right: that is remembered for {spec.name}."
            )
        spec = get_model(OWN_MODELS[family])
        if kind.last == "Conv":  # some leave the sigmoid to the program
            spec = replace(spec, output=Output.LOGITS)
    if spec.output is Output.LOGITS and kind.last == "Sigmoid":
        spec = replace(spec, output=Output.PROBABILITY)
    return spec


def own_row(recipe: ModelSpec) -> ModelSpec:
    """Return the row for users' files that reads a file as another row does.

    Raises
    ------
    OptionError
        If none does.
    """
    for name in OWN_MODELS.values():
        row = get_model(name)
        has_alpha = recipe.output in (Output.PROBABILITY, Output.LOGITS)
        if has_alpha and all(getattr(row, each) == getattr(recipe, each) for each in _RECIPE):
            return row
    raise OptionError(
        f"{recipe.name} has a recipe of its own, which no model for users' files has: a copy of it "
        "could not be used."
    )


def misfit(spec: ModelSpec, path: Path) -> str:
    """Return what to tell the user of a file that is opened as another kind than it is."""
    kind = kind_of(path)
    fitting = OWN_MODELS[kind.family] if kind.is_named else spec.name
    if spec.output is Output.OWN or fitting == spec.name:
        return ""
    return (
        f"{quotable(path.name)} looks like {kind.family}: choose {fitting} instead of {spec.name}"
    )


def remember(spec: ModelSpec, path: Path) -> None:
    """Remember what a file was used as that does not say its kind for certain."""
    families = {model: family for family, model in OWN_MODELS.items()}
    if spec.name in families and not kind_of(path).is_named:
        tell(path, families[spec.name])
