"""The facts about this installation: packages, versions, GPU, libraries, switches."""

from __future__ import annotations

import contextlib
import csv
import os
import platform
import re
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from .. import settings
from ..text import visible, without_login, without_passwords
from .accelerator import Accelerator, host_accelerator, missing_cuda_libraries, nvidia_driver


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the diagnosis needs to know about an installation.

    Attributes
    ----------
    pack, python, executable, system
        Versions, the running interpreter and the operating system.
    has_pip
        False for environments made by uv, whose commands differ.
    distributions
        Installed packages whose name starts with "onnxruntime", and their versions.
    owners
        Those among them that hold the import package ``onnxruntime``.
    missing_files
        How many files of an owner are gone from the disk, where any are.
    overwritten_files
        Of several owners, how many files of each have another size than it says.
    ort_version, ort_package, ort_cuda, ort_providers, ort_error
        What the import package says of itself, or why it does not import. ``ort_package``
        is the distribution that wrote its files last.
    torch, torch_cuda
        Versions of torch and of the CUDA it is built for; None where there is none.
    accelerator, driver_cuda
        What the machine could run, and the newest CUDA the NVIDIA driver runs.
    missing_libraries
        CUDA libraries that do not load; empty unless a GPU and the CUDA provider are there.
    model_folder, model_folder_exists
        Where downloads go.
    model_folder_fault, model_folder_is_writable
        Why no model is found in that folder, nor could be stored; empty if that can be. And
        whether models can be stored.
    environment
        The variables of :mod:`core.settings` that are set.
    """

    pack: str = "unknown"
    python: str = ""
    executable: str = "python"
    system: str = ""
    has_pip: bool = True
    distributions: Mapping[str, str] = field(default_factory=dict[str, str])
    owners: tuple[str, ...] = ()
    missing_files: Mapping[str, int] = field(default_factory=dict[str, int])
    overwritten_files: Mapping[str, int] = field(default_factory=dict[str, int])
    ort_version: str | None = None
    ort_package: str | None = None
    ort_cuda: str | None = None
    ort_providers: tuple[str, ...] = ()
    ort_error: str | None = None
    torch: str | None = None
    torch_cuda: str | None = None
    accelerator: Accelerator = "cpu"
    driver_cuda: str | None = None
    missing_libraries: tuple[str, ...] = ()
    model_folder: str = ""
    model_folder_exists: bool = False
    model_folder_fault: str = ""
    model_folder_is_writable: bool = True
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def major(version: str | None) -> str:
    """Return the first part of a version, ``"13"`` for ``"13.0"``; empty without one."""
    return (version or "").split(".", maxsplit=1)[0]


def collect(model_folder: Path | None = None) -> Facts:
    """Gather the facts about this installation; imports onnxruntime, but never torch.

    Parameters
    ----------
    model_folder
        Where downloads go; None for where Python and the shell store models.
    """
    devices, driver_cuda = nvidia_driver()
    distributions, owners, missing_files, overwritten_files = _distributions()
    torch, torch_cuda = _torch()
    folder = model_folder or settings.home()
    fault, is_writable = ("this user has no home folder", False)
    if folder is not None:
        fault, is_writable = _examine_folder(folder)
    facts = Facts(
        pack=pack_version(),
        python=platform.python_version(),
        executable=sys.executable or "python",
        system=_system(),
        has_pip=_version_of("pip") is not None,
        distributions=distributions,
        owners=owners,
        missing_files=missing_files,
        overwritten_files=overwritten_files if len(owners) > 1 else {},
        torch=torch,
        torch_cuda=torch_cuda,
        accelerator=host_accelerator(),
        driver_cuda=driver_cuda or None,
        model_folder="nowhere" if folder is None else visible(str(folder)),
        model_folder_exists=folder is not None and os.path.isdir(folder),  # noqa: PTH112 it raises
        model_folder_fault=fault,
        model_folder_is_writable=is_writable,
        environment={name: _shown(name, value) for name, value in settings.all_set().items()},
    )
    settings.silence_onnxruntime()
    try:
        import onnxruntime

        runtime: Any = onnxruntime
        providers = tuple(runtime.get_available_providers())
    except Exception as error:  # a broken build fails in many ways; each is worth reporting
        return replace(facts, ort_error=str(error) or type(error).__name__)
    cuda = getattr(runtime, "cuda_version", "") or None
    missing_libraries: tuple[str, ...] = ()
    if devices and cuda and "CUDAExecutionProvider" in providers:
        missing_libraries = missing_cuda_libraries(runtime, major(cuda))
    return replace(
        facts,
        ort_version=runtime.__version__,
        ort_package=getattr(onnxruntime, "package_name", None),
        ort_cuda=cuda,
        ort_providers=providers,
        missing_libraries=missing_libraries,
    )


def _examine_folder(folder: Path) -> tuple[str, bool]:
    """Return why a folder is of no use for models, empty if it is, and whether it takes new ones.

    One that is not there yet is judged by the folder that it would be made in.
    """
    there, mode = folder, 0
    try:
        for there in (folder, *folder.parents):
            # below a file there is nothing; a link that leads nowhere is in the way
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                mode = (there.stat() if there.exists() else there.lstat()).st_mode
                break
    except OSError as error:
        return f"it cannot be looked into ({error.strerror or error})", False
    shown = visible(str(there))
    if not stat.S_ISDIR(mode):
        return f"{shown} is no folder", False
    if not os.access(there, os.R_OK | os.X_OK):
        return f"{shown} may not be read by this user", False
    is_writable = os.access(there, os.W_OK)
    if there != folder and not is_writable:
        return f"it is not there, and {shown} may not be written to by this user", False
    return "", is_writable


def _shown(name: str, value: str) -> str:
    """Return what a variable is set to, without the password of a mirror or a proxy."""
    hide = without_login if name in settings.ADDRESSES else without_passwords
    return visible(hide(value))


def _system() -> str:
    """Return the operating system and the processor's kind, as far as Python itself knows them.

    ``platform.platform()`` starts programs: ``uname``, or on Windows ``ver``, or a query that
    may take seconds.
    """
    if sys.platform == "win32":
        version = sys.getwindowsversion()
        name = f"Windows {version.major}.{version.minor}.{version.build}"
        return f"{name}, {sysconfig.get_platform().removeprefix('win-')}"
    kernel = os.uname()
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}, {kernel.machine}"
    library = " ".join(filter(None, platform.libc_ver()))  # decides which wheels are taken
    return ", ".join(filter(None, [f"{kernel.sysname} {kernel.release}", library, kernel.machine]))


def pack_version() -> str:
    """Return this pack's own version."""
    # in ComfyUI the pack is a folder that pip knows nothing of
    project = Path(__file__).parents[2] / "pyproject.toml"
    with contextlib.suppress(OSError):
        match = re.search(r'^version = "(.+)"', project.read_text("utf-8"), re.MULTILINE)
        if match:
            return match[1]
    return _version_of("rembg-sessions") or "unknown"


def _version_of(distribution: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _distributions() -> tuple[dict[str, str], tuple[str, ...], dict[str, int], dict[str, int]]:
    from importlib import metadata

    versions: dict[str, str] = {}
    owners: list[str] = []
    missing: dict[str, int] = {}
    overwritten: dict[str, int] = {}
    for distribution in metadata.distributions():
        # a package whose removal was interrupted has no name
        name: Any = distribution.metadata["Name"]
        name = str(name or "").lower().replace("_", "-")
        if not name.startswith("onnxruntime") or name in versions:
            continue
        versions[name] = distribution.version
        # distribution.files is of no use: since Python 3.12 it leaves out what is gone
        record = distribution.read_text("RECORD")
        rows = [row for row in csv.reader((record or "").splitlines()) if row]
        files = {
            path: "".join(rest[1:])  # after the hash; "" where it is not known
            for path, *rest in rows
            if path.startswith("onnxruntime/") and PurePosixPath(path).suffix != ".pyc"
        }
        # a package without a list of files (from conda, say) is judged by its name
        if files or (record is None and name in ("onnxruntime", "onnxruntime-gpu")):
            owners.append(name)
        for file, size in files.items():
            try:
                real = Path(str(distribution.locate_file(file))).stat().st_size
            except OSError:
                missing[name] = missing.get(name, 0) + 1
                continue
            if size not in ("", str(real)):
                overwritten[name] = overwritten.get(name, 0) + 1
    return versions, tuple(sorted(owners)), missing, overwritten


def _torch() -> tuple[str | None, str | None]:
    module: Any = sys.modules.get("torch")
    if module is not None and hasattr(module, "version"):
        return str(module.__version__), module.version.cuda
    from importlib import metadata

    try:
        distribution = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return None, None
    # importing torch takes seconds; PyPI's version number does not name the CUDA version
    path = Path(str(distribution.locate_file("torch/version.py")))
    with contextlib.suppress(OSError):
        match = re.search(r"^cuda\b.*= '([\d.]+)'", path.read_text("utf-8"), re.MULTILINE)
        return distribution.version, match[1] if match else None
    return distribution.version, None
