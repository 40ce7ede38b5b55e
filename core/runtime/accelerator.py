"""What this machine could run, for callers that have no torch to ask; and its CUDA libraries.

Drivers are found by the traces they leave in the system: asking them means loading foreign
libraries into the process, which is left to ONNX Runtime.
"""

from __future__ import annotations

import contextlib
import io
import logging
import platform
import re
import sys
import threading
from pathlib import Path
from typing import Any, Literal

from .. import settings

Accelerator = Literal["cuda", "rocm", "mps", "directml", "xpu", "cpu"]
"""What the machine, or torch, runs on."""

_log = logging.getLogger("rembg_sessions")
_preloading = threading.Lock()

# The first NVIDIA driver for each major version of CUDA, newest first; a driver runs older ones,
# too. NVIDIA, CUDA Toolkit Release Notes, "CUDA Toolkit and Corresponding Driver Versions".
_CUDA_OF_DRIVER = ((580, "13"), (525, "12"), (450, "11"))

_DEVICES = Path("/dev")
_DRIVER = Path("/proc/driver/nvidia/version")
# Linux inside Windows shows no NVIDIA devices, only the graphics of its host and its library.
_WSL_DEVICE, _WSL_DRIVER = Path("/dev/dxg"), Path("/usr/lib/wsl/lib/libcuda.so.1")
# Where Windows lists display adapters; the class has had this number since Windows 95.
_ADAPTERS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"


def host_accelerator() -> Accelerator:
    """Return what this machine could run.

    Windows without an NVIDIA GPU is ``"directml"``, also where there is no other GPU.
    ``CUDA_VISIBLE_DEVICES`` is honoured: an empty value or ``-1`` means that there is no NVIDIA
    GPU.
    """
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    if nvidia_driver()[0]:
        return "cuda"
    if sys.platform == "win32":
        return "directml"
    return "rocm" if (_DEVICES / "kfd").exists() else "cpu"


def nvidia_driver() -> tuple[int, str]:
    """Return the number of NVIDIA devices and the newest major version of CUDA for the driver.

    ``(0, "")`` where there is none; the version is empty where nothing tells it.
    """
    visible = settings.value("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip()[:1] in ("", "-"):
        return 0, ""
    versions = _on_windows() if sys.platform == "win32" else _on_linux()
    newest = max(versions, default=0)
    return len(versions), next((cuda for first, cuda in _CUDA_OF_DRIVER if newest >= first), "")


def _on_linux() -> list[int]:
    """Return the driver's major version for each device, 0 where it is unknown."""
    devices = [path for path in _DEVICES.glob("nvidia*") if path.name[6:].isdecimal()]
    count = len(devices) or (_DEVICES / "nvhost-gpu").exists()  # a Jetson has the latter
    if not count and _WSL_DEVICE.exists() and _WSL_DRIVER.exists():
        count = 1
    version = 0
    with contextlib.suppress(OSError):
        match = re.search(r"Kernel Module.*?\s(\d+)\.\d", _DRIVER.read_text("ascii", "replace"))
        version = int(match[1]) if match else 0
    return [version] * count


def _on_windows() -> list[int]:
    """Return the driver's major version for each NVIDIA adapter that is set up."""
    if sys.platform != "win32":
        return []
    import winreg

    versions: list[int] = []
    with (
        contextlib.suppress(OSError),
        winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _ADAPTERS) as adapters,
    ):
        for number in range(winreg.QueryInfoKey(adapters)[0]):
            name = winreg.EnumKey(adapters, number)
            # one of them, "Properties", may not be read
            with contextlib.suppress(OSError), winreg.OpenKey(adapters, name) as adapter:
                if "nvidia" in str(winreg.QueryValueEx(adapter, "ProviderName")[0]).lower():
                    version = str(winreg.QueryValueEx(adapter, "DriverVersion")[0])
                    versions.append(windows_driver(version))
    return versions


def windows_driver(version: str) -> int:
    """Return an NVIDIA driver's major version from Windows' number for it.

    Windows writes 560.94 as ``32.0.15.6094``: the last five digits count.
    """
    digits = "".join(version.split(".")[-2:])[-5:]
    return int(digits[:-2]) if digits.isdecimal() else 0


def preload_cuda(ort: Any) -> None:
    """Lend ONNX Runtime the CUDA libraries that torch or the nvidia packages brought."""
    if not hasattr(ort, "preload_dlls"):
        return
    printed = io.StringIO()
    # it prints what is missing; two threads that redirect at once would lose the real output
    with _preloading, contextlib.redirect_stdout(printed):
        ort.preload_dlls()
    if printed.getvalue():
        _log.debug("onnxruntime.preload_dlls: %s", printed.getvalue().strip())


def missing_cuda_libraries(ort: Any, cuda: str) -> tuple[str, ...]:
    """Return the libraries of a major version of CUDA that ONNX Runtime could not load.

    Empty where it cannot be told: for versions whose names are not known here, and for releases
    of ONNX Runtime that load them only with a model.
    """
    import psutil

    fft = {"12": "11", "13": "12"}.get(cuda)
    if fft is None or not hasattr(ort, "preload_dlls"):
        return ()
    if sys.platform == "win32":
        stems = (f"cublasLt64_{cuda}", f"cublas64_{cuda}", f"cudart64_{cuda}", f"cufft64_{fft}")
        names = [f"{stem}.dll" for stem in (*stems, "cudnn64_9")]
    else:
        names = [f"lib{stem}.so.{cuda}" for stem in ("cublasLt", "cublas", "cudart")]
        names += ["libcurand.so.10", f"libcufft.so.{fft}", "libcudnn.so.9"]
    preload_cuda(ort)
    loaded = [Path(part.path).name.lower() for part in psutil.Process().memory_maps()]
    return tuple(n for n in names if not any(name.startswith(n.lower()) for name in loaded))
