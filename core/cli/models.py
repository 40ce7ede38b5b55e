"""The commands models, download, prepared and doctor."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from ..errors import OptionError, RembgSessionsError
from ..prepare.cache import kept, remove_kept
from ..registry.lookup import get_model
from ..registry.models import MODELS
from ..registry.spec import ModelSpec
from ..runtime.doctor import own_command
from ..session.own import UNKNOWN, own_kind
from ..text import visible
from ..weights.own import own_files
from ..weights.store import ensure, find
from .folders import comfy_folders
from .terminal import downloads, say, show


def list_models(options: argparse.Namespace) -> int:
    """List the models, those that are on this machine first, or alone; for 80 columns."""
    is_here = {
        spec.name: not spec.custom and find(spec, comfy_folders()) is not None for spec in MODELS
    }
    rows = [(("NAME", "SIZE", "LICENCE", "INSTALLED"), ("", ""))]
    for spec in sorted(MODELS, key=lambda spec: not is_here[spec.name]):
        if is_here[spec.name] or not options.installed:
            installed = "yes" if is_here[spec.name] else "your file" if spec.custom else "no"
            licence, _, more = spec.licence.split(" (")[0].partition(", ")
            rows.append(((spec.name, _size(spec), licence, installed), (spec.good_for, more)))
    widths = [max(len(cells[i]) for cells, _ in rows) for i in range(4)]
    for cells, notes in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        show("  ".join(padded).rstrip())
        for note in filter(None, notes):
            show(f"  {note}")
    _show_own_files()
    if not options.installed:
        show("Your own file, wherever it lies: cutout photo.jpg --model-path ./my.onnx")
    return 0


def _show_own_files() -> None:
    """Tell which files of the user's lie in the model folders, and how they are called up."""
    for path in own_files(comfy_folders()):
        name, kind = visible(path.name), own_kind(path)
        more = ""
        if kind == UNKNOWN:
            kind, more = "of a kind it does not tell", ", with -m and one of *_custom"
        show(f"{name}  {_megabytes(path)}  yours, {kind}")
        show(f"  --model-path {name}{more}")


def _megabytes(path: Path) -> str:
    try:
        return f"{path.stat().st_size / 1e6:.1f} MB"
    except OSError:
        return "unreadable"


def _size(spec: ModelSpec) -> str:
    sizes = [file.size or 0 for file in spec.weights]
    return f"{sum(sizes) / 1e6:.0f} MB" if sizes and all(sizes) else ""


def download(options: argparse.Namespace) -> int:
    """Download the models that are named, or all."""
    if not options.names:
        sizes = [file.size or 0 for spec in MODELS for file in spec.weights]
        raise OptionError(
            "Name the models to download, as in `rembg-sessions download isnet-general-use`; "
            f"`rembg-sessions models` lists them. `all` is {sum(sizes) / 1e9:.0f} GB or more."
        )
    if options.names == ["all"]:
        specs = [spec for spec in MODELS if spec.weights]
    else:
        specs = [get_model(name) for name in options.names]  # a wrong name, before the first
    failed = 0
    for spec in specs:
        try:
            if spec.custom:
                raise OptionError(f"{spec.name} has no file to download: you supply it.")
            with downloads(spec.name) as on_progress:
                paths = ensure(spec, folders=comfy_folders(), on_progress=on_progress)
            for path in paths:
                show(str(path))
        except RembgSessionsError as error:
            failed += 1
            say(f"error: {error}")
    return 1 if failed else 0


def doctor(_: argparse.Namespace) -> int:
    """Examine the installation; 1 where there is something to repair."""
    from ..runtime.diagnosis import has_problems, report
    from ..runtime.installation import collect

    facts = collect(next(iter(comfy_folders()), None))
    show(report(facts))
    show(_summary(kept(comfy_folders())))
    return 1 if has_problems(facts) else 0


def prepared(options: argparse.Namespace) -> int:
    """List the prepared networks, or remove them."""
    found = (remove_kept if options.remove else kept)(comfy_folders())
    for path, size in found.items():
        show(f"{size / 1e6:9.1f} MB  {path}")
    total = sum(found.values()) / 1e6
    show(f"{total:.1f} MB removed." if options.remove else _summary(found))
    return 0


def _summary(found: Mapping[Path, int]) -> str:
    if not found:
        return "There are no prepared networks."
    count = "1 prepared network" if len(found) == 1 else f"{len(found)} prepared networks"
    takes = "takes" if len(found) == 1 else "take"
    return (
        f"{count} {takes} {sum(found.values()) / 1e6:.1f} MB; {own_command('prepared')} lists "
        "them, and with --remove makes room: what is used is prepared again."
    )
