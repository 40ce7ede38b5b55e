"""Explains the installation: what is there, what is wrong with it, and how to repair it.

Functions of the facts that ``installation`` collects, and of the shell they are printed for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .doctor import doctor_command, shell_line, shell_remark
from .installation import Facts, collect, major
from .providers import choose, display_name, provider_name

# The onnxruntime-gpu releases on PyPI that are built for each CUDA major version.
_RELEASES = {"11": "<1.19", "12": ">=1.19,<1.27", "13": ">=1.27"}
_NEWEST = "13"

_SPECIAL = ("onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-migraphx")


def diagnose() -> str:
    """Return a readable report on this installation, with repair commands if it needs any."""
    return report(collect())


def missing_runtime_message(error: ImportError) -> str:
    """Say why onnxruntime cannot be used, with the real reason and the pip lines."""
    facts = replace(collect(), ort_version=None, ort_providers=(), ort_error=str(error))
    commands = repair_commands(facts)
    lines = "\n".join(f"  {line}" for line in commands)
    if not facts.owners:
        return (
            "onnxruntime, which runs the models, is not installed. Run this "
            f"once{shell_remark(commands[0])}, and start again:\n{lines}"
        )
    return (
        f"{problems(facts)[0]}\nClose the programs that use it, "
        f"run{shell_remark(commands[0])}\n{lines}\n"
        f"and start again. {doctor_command()} tells more."
    )


def problems(facts: Facts) -> list[str]:
    """Return what is wrong with the packages, one explanation each; empty if nothing is."""
    found: list[str] = []
    if facts.ort_error is not None:
        found.append(_import_problem(facts))
    whole = [name for name in facts.owners if _is_whole(name, facts)]
    if len(facts.owners) > 1 and facts.ort_package not in whole:
        last = f" {facts.ort_package} came last." if facts.ort_package else ""
        counts = [
            f"{facts.overwritten_files.get(name, 0) + facts.missing_files.get(name, 0)} of {name}"
            for name in facts.owners
            if name not in whole
        ]
        found.append(
            f"{_together(facts)} They share one folder and overwrite each other's files:{last} "
            f"Files are gone, or another package's: {_and(counts)}."
        )
    elif facts.ort_error is None:
        for name, count in facts.missing_files.items():
            if name == facts.ort_package or len(facts.owners) == 1:
                found.append(f"{name} is incomplete: {count} of its files are gone.")
    if facts.ort_error is None and facts.accelerator == "cuda":
        found += _cuda_problems(facts)
    return found


def _is_whole(package: str, facts: Facts) -> bool:
    return package not in facts.missing_files and package not in facts.overwritten_files


def _together(facts: Facts) -> str:
    names = _and([f"{name} {facts.distributions[name]}" for name in facts.owners])
    return f"{names} are installed together."


def has_problems(facts: Facts) -> bool:
    """Return whether :func:`report` lists something to repair."""
    return bool(problems(facts) or _folder_problems(facts))


def _import_problem(facts: Facts) -> str:
    reason = (facts.ort_error or "").strip().rstrip(".")
    if not facts.owners:
        return f"onnxruntime is not installed: {reason}."
    text = f"{_and(facts.owners)} cannot be imported: {reason}."
    for name, count in facts.missing_files.items():
        text += f" {count} files of {name} are gone, as happens when a package that shared "
        text += "its folder is uninstalled."
    if "DLL load failed" in reason:
        text += " If reinstalling does not help, install the Microsoft Visual C++ runtime: "
        text += "https://aka.ms/vs/17/release/vc_redist.x64.exe"
    return text


def _cuda_problems(facts: Facts) -> list[str]:
    if "CUDAExecutionProvider" not in facts.ort_providers:
        if {"DmlExecutionProvider", "OpenVINOExecutionProvider"} & set(facts.ort_providers):
            return []  # a package that was chosen on purpose
        return [
            "This machine has an NVIDIA GPU, but the onnxruntime in use is a build without CUDA: "
            "models run on the CPU."
        ]
    built, torch = major(facts.ort_cuda), major(facts.torch_cuda)
    found: list[str] = []
    if built and facts.driver_cuda and int(major(facts.driver_cuda)) < int(built):
        found.append(
            f"The NVIDIA driver runs CUDA up to {facts.driver_cuda}, but onnxruntime-gpu "
            f"{facts.ort_version} is built for CUDA {built}: update the driver, or install an "
            "onnxruntime-gpu for the older CUDA."
        )
    if facts.missing_libraries:
        text = f"CUDA cannot start: {_and(facts.missing_libraries)} cannot be loaded."
        if torch and built and torch != built:
            text += (
                f" onnxruntime-gpu {facts.ort_version} is built for CUDA {built} and torch "
                f"{facts.torch} for CUDA {torch}, so it cannot borrow torch's libraries."
            )
            if torch == "13":
                text += " onnxruntime-gpu for CUDA 13 needs Python 3.11 or newer."
        found.append(text)
    return found


def _folder_problems(facts: Facts) -> list[str]:
    if not facts.model_folder_fault:
        return []
    return [
        f"Models cannot be kept in {facts.model_folder}: {facts.model_folder_fault}. Make it a "
        "folder that this user may read and write, or choose another ($U2NET_HOME for Python and "
        "the shell)."
    ]


def notes(facts: Facts) -> list[str]:
    """Return what is worth knowing about an installation that works."""
    found: list[str] = []
    if not (facts.model_folder_is_writable or facts.model_folder_fault):
        found.append(
            "The model folder may not be written to by this user: models that are there are used, "
            "and none can be downloaded."
        )
    if len(facts.owners) > 1:
        found.append(
            f"{_together(facts)} {facts.ort_package} came last and is complete, which is what "
            "counts; uninstalling another one would take files from it."
        )
    built, torch = major(facts.ort_cuda), major(facts.torch_cuda)
    has_cuda = "CUDAExecutionProvider" in facts.ort_providers
    if has_cuda and facts.accelerator != "cuda":
        found.append("CUDA is listed, but no NVIDIA GPU with a working driver was found.")
    if has_cuda and built and torch and built != torch and not facts.missing_libraries:
        found.append(
            f"onnxruntime is built for CUDA {built} and torch for CUDA {torch}; onnxruntime "
            "cannot borrow torch's libraries and relies on others on this machine."
        )
    if facts.ort_error is None:
        offers = {
            "directml": ("DmlExecutionProvider", "onnxruntime-directml", "DirectX 12"),
            "rocm": ("MIGraphXExecutionProvider", "onnxruntime-migraphx", "AMD"),
        }
        if facts.accelerator in offers:
            provider, package, brand = offers[facts.accelerator]
            if provider not in facts.ort_providers:
                found.append(
                    f"To use a {brand} GPU, install {package} in place of "
                    f"{_and(facts.owners) or 'this onnxruntime'}."
                )
    return found


def repair_commands(facts: Facts) -> list[str]:
    """Return the shell lines that repair an installation; empty if pip cannot help."""
    if not problems(facts):
        return []
    wanted = _requirement(facts)
    base = re.split(r"[\[<>=]", wanted, maxsplit=1)[0]
    works = facts.ort_error is None and _is_whole(base, facts)
    works = works and (facts.owners == (base,) or facts.ort_package == base)
    fits = not facts.missing_libraries and _cuda_target(facts) == major(facts.ort_cuda)
    if works and fits:
        return []  # the driver is too old for torch, too
    install = [facts.executable, "-m", "pip", "install"]
    again = [*install, "--force-reinstall", "--no-deps"]
    if not facts.has_pip:
        install = ["uv", "pip", "install", "--python", facts.executable]
        again = [*install, "--reinstall-package", base, "--no-deps"]
    # Nothing is uninstalled: the next pack that asks for it would bring it back, over this one.
    lines = [[*again, re.sub(r"\[.*\]", "", wanted)]] if base in facts.owners and not works else []
    if not lines or "[" in wanted:
        lines.insert(0, [*install, wanted])
    return [shell_line(line) for line in lines]


def _requirement(facts: Facts) -> str:
    """Return the one onnxruntime package that suits the machine, as pip writes it."""
    if facts.accelerator != "cuda":
        on_purpose = [name for name in facts.owners if name in _SPECIAL]
        if on_purpose or len(facts.owners) == 1:
            return [*on_purpose, *facts.owners][0]
        return "onnxruntime"
    built, torch = major(facts.ort_cuda), major(facts.torch_cuda)
    target = _cuda_target(facts)
    # torch lends its libraries; without it, or where its own are gone, pip must bring them
    lacks = bool(facts.missing_libraries) or (not torch and target != built)
    extras = "[cuda,cudnn]" if lacks and torch in ("", built) else ""
    release = "" if target == _NEWEST and built in ("", _NEWEST) else _RELEASES.get(target, "")
    return f"onnxruntime-gpu{extras}{release}"


def _cuda_target(facts: Facts) -> str:
    """Return the CUDA major version to be on: torch's, else what the driver runs."""
    current = major(facts.ort_cuda) or _NEWEST
    runs = major(facts.driver_cuda) or current
    return major(facts.torch_cuda) or min(current, runs, key=int)


def report(facts: Facts) -> str:
    """Return the facts, the problems and their repair as text of several lines."""
    packages = [f"{name} {version}" for name, version in facts.distributions.items()]
    runtime = f"does not import: {facts.ort_error}"
    if facts.ort_error is None:
        runtime = facts.ort_version or "of unknown version"
        runtime += f", built for CUDA {facts.ort_cuda}" if facts.ort_cuda else ""
    driver = f", driver for CUDA up to {facts.driver_cuda}" if facts.driver_cuda else ""
    torch_cuda = f", built for CUDA {facts.torch_cuda}" if facts.torch_cuda else ""
    exists = "" if facts.model_folder_exists else " (made by the first download)"
    if facts.model_folder_fault:
        exists = " (of no use, see below)"
    lines = [
        f"rembg-sessions {facts.pack}",
        f"Python:        {facts.python}, {facts.executable}",
        f"System:        {facts.system}",
        f"Accelerator:   {facts.accelerator}{driver}",
        f"onnxruntime:   {runtime}",
        f"  packages:    {', '.join(packages) or 'none'}",
        f"  providers:   {', '.join(map(display_name, facts.ort_providers)) or 'none'}",
        f"torch:         {facts.torch + torch_cuda if facts.torch else 'not installed'}",
        f"Model folder:  {facts.model_folder}{exists}",
        f"Environment:   {', '.join(f'{k}={v}' for k, v in facts.environment.items()) or '-'}",
    ]
    lines += [f"Note: {note}" for note in notes(facts)]
    lines.append("")
    found = [*problems(facts), *_folder_problems(facts)]
    if not found:
        used = choose(None, facts.ort_providers, facts.accelerator).providers[0]
        name = display_name(provider_name(used))
        lines.append(f"Everything is in order: Auto uses {name}.")
        return "\n".join(lines)
    lines.append("1 problem found:" if len(found) == 1 else f"{len(found)} problems found:")
    lines += [f"{number}. {text}" for number, text in enumerate(found, start=1)]
    commands = repair_commands(facts)
    if commands:
        lines.append(
            "To repair it, close the programs that use onnxruntime (ComfyUI), then run"
            f"{shell_remark(commands[0])}:"
        )
        lines += [f"  {line}" for line in commands]
    return "\n".join(lines)


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
