"""What a machine could run: the traces of drivers, and the libraries of CUDA."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace

import pytest

from rembg_sessions.core.runtime import accelerator
from rembg_sessions.core.runtime.accelerator import (
    host_accelerator,
    missing_cuda_libraries,
    nvidia_driver,
    windows_driver,
)

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sat Aug 19 01:15:15 UTC 2023\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build\nGCC version:\n"


class Registry:
    """A stand-in for winreg: the display adapters of a machine."""

    HKEY_LOCAL_MACHINE = "local machine"

    def __init__(self, *adapters):
        self.adapters = adapters

    def OpenKey(self, parent, name):
        if parent == self.HKEY_LOCAL_MACHINE:
            assert name.startswith("SYSTEM\\CurrentControlSet")
            return contextlib.nullcontext(self)
        if self.adapters[int(name)] is None:
            raise PermissionError(name)
        return contextlib.nullcontext(self.adapters[int(name)])

    def QueryInfoKey(self, key):
        return (len(self.adapters), 0, 0)

    def EnumKey(self, key, number):
        return f"{number:04}"

    def QueryValueEx(self, key, name):
        if name not in key:
            raise FileNotFoundError(name)
        return (key[name], 1)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Pretend to be another machine; the files named are there."""

    def pretend(system, *files, processor="x86_64", driver="", adapters=()):
        dev, proc = tmp_path / "dev", tmp_path / "version"
        dev.mkdir(exist_ok=True)
        for file in (*files, "nvidiactl", "nvidia-uvm"):
            (dev / file).touch()
        if driver:
            proc.write_text(driver)
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(accelerator.platform, "machine", lambda: processor)
        monkeypatch.setattr(accelerator, "_DEVICES", dev)
        monkeypatch.setattr(accelerator, "_DRIVER", proc)
        monkeypatch.setattr(accelerator, "_WSL_DEVICE", dev / "dxg")
        monkeypatch.setattr(accelerator, "_WSL_DRIVER", dev / "wsl-driver")
        monkeypatch.setitem(sys.modules, "winreg", Registry(*adapters))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return pretend


NVIDIA = {"ProviderName": "NVIDIA", "DriverVersion": "32.0.15.6094"}
INTEL = {"ProviderName": "Intel Corporation", "DriverVersion": "31.0.101.2111"}


@pytest.mark.parametrize(
    ("expected", "files", "options"),
    [
        ("cpu", [], {}),
        ("cuda", ["nvidia0"], {}),
        ("cuda", ["nvidia0", "kfd"], {}),
        ("cuda", ["nvhost-gpu"], {"processor": "aarch64"}),
        ("cuda", ["dxg", "wsl-driver"], {}),
        ("cpu", ["dxg"], {}),
        ("rocm", ["kfd"], {}),
    ],
)
def test_linux(machine, expected, files, options):
    machine("linux", *files, **options)
    assert host_accelerator() == expected


def test_windows_and_macos(machine):
    machine("win32", adapters=[INTEL, NVIDIA])
    assert host_accelerator() == "cuda"
    machine("win32", adapters=[INTEL])
    assert host_accelerator() == "directml"
    machine("darwin", processor="arm64")
    assert host_accelerator() == "mps"
    machine("darwin")
    assert host_accelerator() == "cpu"


@pytest.mark.parametrize("visible", ["", " ", "-1"])
def test_hidden_devices_are_none(machine, visible, monkeypatch):
    machine("linux", "nvidia0", driver=CLOSED.format("550.54.14"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert nvidia_driver() == (0, "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert nvidia_driver() == (1, "12")


@pytest.mark.parametrize("words", [CLOSED, OPEN])
@pytest.mark.parametrize(
    ("version", "cuda"),
    [("470.82.01", "11"), ("525.60.13", "12"), ("575.64.03", "12"), ("580.65.06", "13")],
)
def test_the_driver_says_which_cuda_it_runs(machine, words, version, cuda):
    machine("linux", "nvidia0", "nvidia1", "nvidia12", driver=words.format(version))
    assert nvidia_driver() == (3, cuda)


@pytest.mark.parametrize("text", ["", "nothing known", CLOSED.format("390.157")])
def test_a_driver_of_unknown_version(machine, text):
    machine("linux", "nvidia0", driver=text)
    assert nvidia_driver() == (1, "")


def test_adapters_of_windows(machine):
    old = NVIDIA | {"DriverVersion": "31.0.15.1659"}
    machine("win32", adapters=[INTEL, None, old, {"ProviderName": "NVIDIA"}, NVIDIA, {}])
    assert nvidia_driver() == (2, "12")


@pytest.mark.parametrize(
    ("version", "driver"),
    [("32.0.15.6094", 560), ("27.21.14.5671", 456), ("32.0.15.8129", 581), ("", 0), ("x.y", 0)],
)
def test_numbers_of_windows_drivers(version, driver):
    assert windows_driver(version) == driver


# -- libraries ----------------------------------------------------------------------------


class Runtime:
    def preload_dlls(self):
        sys.stdout.write("Failed to load libcublas.so.13\n")


@pytest.mark.parametrize(
    ("system", "cuda", "loaded", "missing"),
    [
        (
            "linux",
            "13",
            ["cublasLt.so.13.1.0", "cudart.so.13", "curand.so.10.4", "cufft.so.12", "cudnn.so.9.8"],
            ("libcublas.so.13",),
        ),
        (
            "linux",
            "12",
            ["cublasLt.so.12", "cublas.so.12", "cudart.so.12", "curand.so.10"],
            ("libcufft.so.11", "libcudnn.so.9"),
        ),
        ("win32", "13", [], None),
        ("linux", "11", [], ()),
    ],
)
def test_libraries_that_are_not_loaded_are_missing(
    monkeypatch, capsys, system, cuda, loaded, missing
):
    import psutil

    maps = [SimpleNamespace(path=f"/usr/lib/lib{name}") for name in loaded]
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_maps=lambda: maps))
    found = missing_cuda_libraries(Runtime(), cuda)
    if missing is None:
        assert "cublas64_13.dll" in found and "cudnn64_9.dll" in found
    else:
        assert found == missing
    assert capsys.readouterr().out == ""
    assert missing_cuda_libraries(object(), cuda) == ()
