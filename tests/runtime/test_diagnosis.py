import builtins
import errno
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from types import ModuleType, SimpleNamespace

import pytest

from rembg_sessions.core.runtime import diagnosis, installation
from rembg_sessions.core.runtime.diagnosis import (
    diagnose,
    missing_runtime_message,
    problems,
    repair_commands,
    report,
)
from rembg_sessions.core.runtime.installation import Facts, collect

CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
AZURE, DML, COREML = "AzureExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider"
PIP = "/opt/py/bin/python -m pip"


def facts(**changed):
    """A healthy machine without a GPU, changed."""
    base = {
        "pack": "0.1.0",
        "python": "3.12.3",
        "executable": "/opt/py/bin/python",
        "system": "Linux, x86_64",
        "distributions": {"onnxruntime": "1.31.1"},
        "owners": ("onnxruntime",),
        "ort_version": "1.31.1",
        "ort_package": "onnxruntime",
        "ort_providers": (AZURE, CPU),
        "model_folder": "/home/u/.u2net",
        "model_folder_exists": True,
    }
    return Facts(**(base | changed))


def gpu(**changed):
    """A healthy machine with an NVIDIA GPU and torch for CUDA 13, changed."""
    base = {
        "distributions": {"onnxruntime-gpu": "1.31.1"},
        "owners": ("onnxruntime-gpu",),
        "ort_package": "onnxruntime-gpu",
        "ort_cuda": "13.0",
        "ort_providers": (TRT, CUDA, CPU),
        "accelerator": "cuda",
        "driver_cuda": "13.1",
        "torch": "2.14.0",
        "torch_cuda": "13.0",
    }
    return facts(**(base | changed))


BOTH = {
    "distributions": {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"},
    "owners": ("onnxruntime", "onnxruntime-gpu"),
}
CPU_LAST = {
    "ort_package": "onnxruntime",
    "ort_cuda": None,
    "ort_providers": (AZURE, CPU),
    "overwritten_files": {"onnxruntime-gpu": 16},
}
MIXED = {"overwritten_files": {"onnxruntime": 3, "onnxruntime-gpu": 13}}
AGAIN = f"{PIP} install --force-reinstall --no-deps"
NOT_INSTALLED = {
    "distributions": {},
    "owners": (),
    "ort_version": None,
    "ort_package": None,
    "ort_providers": (),
    "ort_error": "No module named 'onnxruntime'",
}


def test_healthy_cpu():
    text = report(facts())
    assert text.endswith("Everything is in order: Auto uses CPU.")
    assert "rembg-sessions 0.1.0" in text
    assert "onnxruntime 1.31.1" in text
    assert "Azure, CPU" in text
    assert "/home/u/.u2net" in text and "first download" not in text
    assert repair_commands(facts()) == []


def test_healthy_cuda():
    text = report(gpu())
    assert text.endswith("Everything is in order: Auto uses CUDA.")
    assert "1.31.1, built for CUDA 13.0" in text
    assert "2.14.0, built for CUDA 13.0" in text
    assert "driver for CUDA up to 13.1" in text
    assert "Note:" not in text
    assert repair_commands(gpu()) == []


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (facts(accelerator="mps", ort_providers=(COREML, CPU)), "CoreML"),
        (
            facts(
                accelerator="cuda",
                owners=("onnxruntime-directml",),
                distributions={"onnxruntime-directml": "1.24.4"},
                ort_providers=(DML, CPU),
            ),
            "DirectML",
        ),
        (gpu(accelerator="cpu", driver_cuda=None), "CPU"),
    ],
)
def test_other_healthy_machines(given, used):
    assert report(given).endswith(f"Everything is in order: Auto uses {used}.")


def test_notes_say_what_a_working_machine_leaves_unused():
    assert "no NVIDIA GPU" in report(gpu(accelerator="cpu"))
    assert "onnxruntime-directml in place of onnxruntime" in report(facts(accelerator="directml"))
    assert "onnxruntime-migraphx" in report(facts(accelerator="rocm"))
    text = report(gpu(torch_cuda="12.8"))
    assert "built for CUDA 13 and torch for CUDA 12" in text
    assert "Everything is in order" in text


def test_both_packages_installed_and_one_of_them_is_complete():
    """What other packs require stays satisfied, so that their next installation changes nothing."""
    given = facts(**BOTH, ort_package="onnxruntime-gpu", overwritten_files={"onnxruntime": 16})
    text = report(given)
    assert "Note: onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1 are installed together." in text
    assert "onnxruntime-gpu came last and is complete" in text
    assert "Everything is in order" in text
    assert repair_commands(given) == []


def test_both_packages_installed_and_neither_is_complete():
    given = facts(**BOTH, **MIXED, ort_package="onnxruntime-gpu")
    text = report(given)
    assert "1 problem found:" in text
    assert "onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1 are installed together" in text
    assert "overwrite each other's files: onnxruntime-gpu came last." in text
    assert (
        "Files are gone, or another package's: 3 of onnxruntime and 13 of onnxruntime-gpu." in text
    )
    assert text.splitlines()[-1] == f"  {AGAIN} onnxruntime"


def test_cpu_package_over_the_gpu_package():
    given = gpu(**BOTH, **CPU_LAST)
    (problem,) = problems(given)
    assert "build without CUDA" in problem
    assert "onnxruntime came last" in report(given)
    assert repair_commands(given) == [f"{AGAIN} onnxruntime-gpu"]
    # without torch, nobody lends the libraries
    given = gpu(**BOTH, **CPU_LAST, torch=None, torch_cuda=None)
    assert repair_commands(given) == [
        f'{PIP} install "onnxruntime-gpu[cuda,cudnn]"',
        f"{AGAIN} onnxruntime-gpu",
    ]


def test_cpu_package_on_a_gpu_machine():
    given = facts(accelerator="cuda", driver_cuda="13.1", torch="2.14.0", torch_cuda="13.0")
    assert ["NVIDIA GPU" in text for text in problems(given)] == [True]
    # the other one stays, or the next pack that requires it would bring it back, over this one
    assert repair_commands(given) == [f"{PIP} install onnxruntime-gpu"]


@pytest.mark.parametrize(
    ("changed", "requirement"),
    [
        ({"torch": "2.14.0", "torch_cuda": "13.0"}, "onnxruntime-gpu"),
        ({"torch": "2.10.0", "torch_cuda": "12.8"}, '"onnxruntime-gpu>=1.19,<1.27"'),
        ({"torch": "2.6.0", "torch_cuda": "11.8"}, '"onnxruntime-gpu<1.19"'),
        # nobody lends the libraries: pip brings them
        ({}, '"onnxruntime-gpu[cuda,cudnn]"'),
        ({"torch": "2.14.0+cpu"}, '"onnxruntime-gpu[cuda,cudnn]"'),
        ({"driver_cuda": "12.4"}, '"onnxruntime-gpu[cuda,cudnn]>=1.19,<1.27"'),
        ({"driver_cuda": "14.0"}, '"onnxruntime-gpu[cuda,cudnn]"'),
        ({"driver_cuda": None}, '"onnxruntime-gpu[cuda,cudnn]"'),
    ],
)
def test_the_gpu_package_fits_torch_or_the_driver(changed, requirement):
    given = facts(**({"accelerator": "cuda", "driver_cuda": "13.1"} | changed))
    assert repair_commands(given)[-1] == f"{PIP} install {requirement}"


def test_cuda_major_mismatch():
    given = gpu(
        torch="2.10.0",
        torch_cuda="12.8",
        missing_libraries=("libcublasLt.so.13", "libcublas.so.13", "libcudart.so.13"),
    )
    text = report(given)
    assert "1 problem found:" in text
    assert "libcublasLt.so.13, libcublas.so.13 and libcudart.so.13 cannot be loaded" in text
    assert "built for CUDA 13 and torch 2.10.0 for CUDA 12" in text
    assert repair_commands(given) == [f'{PIP} install "onnxruntime-gpu>=1.19,<1.27"']


def test_cuda_major_mismatch_the_other_way():
    old = {"ort_version": "1.23.2", "ort_cuda": "12.8", "distributions": {"onnxruntime-gpu": "1"}}
    given = gpu(**old, missing_libraries=("libcublas.so.12",))
    assert "Python 3.11 or newer" in report(given)
    assert repair_commands(given) == [f'{PIP} install "onnxruntime-gpu>=1.27"']


def test_missing_libraries():
    given = gpu(missing_libraries=("libcurand.so.10",))
    assert "CUDA cannot start: libcurand.so.10 cannot be loaded." in report(given)
    assert repair_commands(given) == [f'{PIP} install "onnxruntime-gpu[cuda,cudnn]"']


def test_old_driver():
    given = gpu(driver_cuda="12.4", torch="2.10.0", torch_cuda="12.8")
    text = report(given)
    assert "driver runs CUDA up to 12.4" in text and "update the driver" in text
    assert repair_commands(given) == [f'{PIP} install "onnxruntime-gpu>=1.19,<1.27"']
    # too old for torch as well: only a new driver helps
    assert "1 problem found" in report(gpu(driver_cuda="12.4"))
    assert repair_commands(gpu(driver_cuda="12.4")) == []


def test_the_cuda_of_a_working_older_package_is_kept():
    given = gpu(**BOTH, **MIXED, ort_cuda="12.8", torch_cuda="12.8")
    assert repair_commands(given)[-1] == f'{AGAIN} "onnxruntime-gpu>=1.19,<1.27"'


def test_onnxruntime_missing():
    given = facts(**NOT_INSTALLED)
    text = report(given)
    assert "onnxruntime is not installed: No module named 'onnxruntime'." in text
    assert repair_commands(given) == [f"{PIP} install onnxruntime"]


def test_onnxruntime_broken_by_an_uninstall():
    given = gpu(
        ort_error="module 'onnxruntime' has no attribute 'get_available_providers'",
        missing_files={"onnxruntime-gpu": 317},
        ort_providers=(),
        ort_cuda=None,
    )
    text = report(given)
    assert "onnxruntime-gpu cannot be imported: module 'onnxruntime' has no attribute" in text
    assert "317 files of onnxruntime-gpu are gone" in text
    assert repair_commands(given) == [f"{AGAIN} onnxruntime-gpu"]


def test_a_damaged_package_is_reinstalled_as_it_was():
    given = facts(
        distributions={"onnxruntime-openvino": "1.24.1"},
        owners=("onnxruntime-openvino",),
        missing_files={"onnxruntime-openvino": 2},
    )
    assert "2 of its files are gone" in report(given)
    assert repair_commands(given) == [f"{AGAIN} onnxruntime-openvino"]


def test_windows_dll_error_names_the_runtime():
    given = facts(ort_error="DLL load failed while importing onnxruntime_pybind11_state.")
    assert "Visual C++" in report(given)


def test_environments_of_uv_have_no_pip():
    assert repair_commands(facts(**BOTH, **MIXED, has_pip=False)) == [
        "uv pip install --python /opt/py/bin/python --reinstall-package onnxruntime --no-deps "
        "onnxruntime",
    ]


def test_lines_are_for_the_shells_of_windows(monkeypatch):
    """One line for cmd and PowerShell, which wants an & before a quoted program."""
    monkeypatch.setattr(shutil, "which", lambda name: None)  # it would look for DLLs
    monkeypatch.setattr(sys, "platform", "win32")
    executable = r"C:\py\python.exe"
    given = facts(**NOT_INSTALLED, executable=executable)
    assert repair_commands(given) == [rf"{executable} -m pip install onnxruntime"]
    assert "(ComfyUI), then run:\n" in report(given)
    executable = r"C:\Program Files\py\python.exe"
    given = facts(**NOT_INSTALLED, executable=executable)
    assert repair_commands(given) == [rf'"{executable}" -m pip install onnxruntime']
    assert "then run (in cmd; in PowerShell with & before it):\n" in report(given)
    monkeypatch.setattr(diagnosis, "collect", lambda: given)
    text = missing_runtime_message(ImportError("gone"))
    assert "Run this once (in cmd; in PowerShell with & before it), and start again:\n" in text


def test_this_machine(monkeypatch, tmp_path):
    import onnxruntime

    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "models"))
    monkeypatch.setenv("HF_ENDPOINT", "https://user:secret@mirror.example/hf")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    text = diagnose()
    assert onnxruntime.__version__ in text
    assert sys.executable in text
    assert f"{tmp_path / 'models'} (made by the first download)" in text
    assert "HF_ENDPOINT=https://***@mirror.example/hf" in text
    assert "secret" not in text
    assert "OMP_NUM_THREADS" not in text
    assert "in order" in text or "found:" in text


def test_collected_facts_agree_with_pip():
    import onnxruntime

    found = collect()
    assert found.ort_error is None
    assert set(found.ort_providers) == set(onnxruntime.get_available_providers())
    assert found.owners
    for name, version in found.distributions.items():
        assert metadata.version(name) == version
    assert found.pack != "unknown"
    assert found.torch is None or found.torch.startswith(metadata.version("torch").split("+")[0])


def test_collect_does_not_import_torch():
    code = (
        "import sys; from rembg_sessions.core.runtime.installation import collect;"
        "facts = collect(); assert 'torch' not in sys.modules; assert facts.ort_error is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("__version__ = '2.14.0+cu130'\ncuda: Optional[str] = '13.0'\nhip = None\n", "13.0"),
        ("__version__ = '2.14.0+cpu'\ncuda: Optional[str] = None\nhip: str = '6.4'\n", None),
        ("cuda = '12.8'\n", "12.8"),
    ],
)
def test_the_cuda_of_torch_is_read_without_importing_it(monkeypatch, tmp_path, text, cuda):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/version.py").write_text(text)
    info = tmp_path / "torch-2.14.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.14.0\n")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installation._torch() == ("2.14.0", cuda)


def test_packages_that_share_the_folder_are_told_from_the_others(monkeypatch, tmp_path):
    def install(name, version, files):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        metadata_text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata_text)
        (info / "RECORD").write_text("".join(f"{file}\n" for file in files))

    (tmp_path / "onnxruntime").mkdir()
    for name in ("__init__.py", "a,b.py"):
        (tmp_path / "onnxruntime" / name).touch()
    files = ["onnxruntime/__init__.py,,", '"onnxruntime/a,b.py",,', "onnxruntime/capi/gone.so,,"]
    install("onnxruntime_gpu", "1.31.1", [*files, "onnxruntime/__pycache__/gone.pyc,,"])
    sizes = ["onnxruntime/__init__.py,sha256=x,7", '"onnxruntime/a,b.py",sha256=x,0']
    install("onnxruntime", "1.32.0", sizes)
    install("onnxruntime_extensions", "0.14", ["onnxruntime_extensions/__init__.py,,"])
    install("numpy", "2.0", ["numpy/__init__.py,,"])
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    # since Python 3.12 these are the files that are still there
    there = property(lambda self: [metadata.PackagePath("onnxruntime/__init__.py")])
    monkeypatch.setattr(metadata.Distribution, "files", there)
    versions, owners, missing, overwritten = installation._distributions()
    assert versions == {
        "onnxruntime": "1.32.0",
        "onnxruntime-gpu": "1.31.1",
        "onnxruntime-extensions": "0.14",
    }
    assert owners == ("onnxruntime", "onnxruntime-gpu")
    assert missing == {"onnxruntime-gpu": 1}
    assert overwritten == {"onnxruntime": 1}


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("win32", "Windows 10.0.22631, amd64"),
        ("darwin", "macOS 15.1, arm64"),
        ("linux", "Linux 6.8.0, glibc 2.39, aarch64"),
    ],
)
def test_the_system_is_told_without_starting_a_program(monkeypatch, system, said):
    """As platform.platform() and platform.machine() do on one system or the other."""
    kernel = {"linux": ("Linux", "6.8.0", "aarch64"), "darwin": ("Darwin", "24.1.0", "arm64")}
    names = dict(zip(("sysname", "release", "machine"), kernel.get(system, ()), strict=False))
    windows = SimpleNamespace(major=10, minor=0, build=22631)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sys, "getwindowsversion", lambda: windows, raising=False)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(**names), raising=False)
    monkeypatch.setattr(platform, "uname", lambda: pytest.fail("asks other programs"))
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.39"))
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "win-amd64")
    assert installation._system() == said


class FakeRuntime(ModuleType):
    __version__ = "1.31.1"
    package_name = "onnxruntime-gpu"
    cuda_version = "13.0"

    def get_available_providers(self):
        return [TRT, CUDA, CPU]


@pytest.mark.parametrize("devices", [0, 1])
def test_libraries_are_looked_for_where_there_is_a_gpu(monkeypatch, devices):
    monkeypatch.setitem(sys.modules, "onnxruntime", FakeRuntime("onnxruntime"))
    monkeypatch.setattr(installation, "nvidia_driver", lambda: (devices, "13"))
    monkeypatch.setattr(installation, "host_accelerator", lambda: "cuda")
    asked = []

    def look(runtime, cuda):
        asked.append(cuda)
        return ("libcublas.so.13",)

    monkeypatch.setattr(installation, "missing_cuda_libraries", look)
    found = collect()
    assert found.ort_cuda == "13.0"
    assert found.missing_libraries == (("libcublas.so.13",) if devices else ())
    assert asked == ["13"] * devices


@pytest.mark.parametrize("error", [ImportError("no such module"), OSError("wrong ELF class")])
def test_collect_survives_a_runtime_that_does_not_import(monkeypatch, error):
    imported = builtins.__import__

    def fail(name, *args, **kwargs):
        if name == "onnxruntime":
            raise error
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    assert collect().ort_error == str(error)
    assert "does not import" in diagnose()


def test_the_model_folder_may_be_the_host_programs(tmp_path):
    found = collect(tmp_path)
    assert (found.model_folder, found.model_folder_exists) == (str(tmp_path), True)


def make_file(path):
    path.write_bytes(b"")
    return path


def make_loose_link(path):
    try:
        path.symlink_to("gone")
    except OSError:
        pytest.skip("links need a permission here")
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_file, "home is no folder"),
        (lambda path: make_file(path) / "below" / "it", "home is no folder"),
        (make_loose_link, "home is no folder"),
        (lambda path: path / ("x" * 5000), "it cannot be looked into"),
    ],
)
def test_a_model_folder_that_cannot_be_one(make, said, tmp_path):
    given = collect(make(tmp_path / "home"))
    assert said in given.model_folder_fault and not given.model_folder_exists
    text = report(given)
    assert "Models cannot be kept in" in text and "1 problem found:" in text
    assert "Everything is in order" not in text and "made by the first download" not in text


@pytest.mark.parametrize(
    ("refused", "there", "said"),
    [
        (os.R_OK, True, "may not be read by this user"),
        (os.W_OK, False, "it is not there, and .* may not be written to by this user"),
        (os.W_OK, True, ""),
    ],
)
def test_a_model_folder_that_the_user_may_not_use(refused, there, said, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & refused)
    given = collect(tmp_path if there else tmp_path / "new")
    assert re.fullmatch(f".*{said}", given.model_folder_fault)
    text = report(given)
    assert ("Everything is in order" in text) == (not said)
    note = "Note: The model folder may not be written to by this user"
    assert (note in text) == (not said)


def test_a_home_that_may_not_be_looked_into(tmp_path, monkeypatch):
    real = os.stat

    def refuse(path, *args, **kwargs):
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", refuse)
    found = installation._examine_folder(tmp_path / ".u2net")
    assert found == ("it cannot be looked into (Permission denied)", False)


def test_a_user_without_a_home(monkeypatch):
    monkeypatch.setattr(installation.settings, "home", lambda: None)
    text = report(collect())
    assert "Models cannot be kept in nowhere: this user has no home folder" in text


def test_a_password_with_a_slash_is_hidden(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:12/pa/ss@127.0.0.1:1")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:pa@ss/x@mirror")
    text = report(collect())
    assert "HTTPS_PROXY=http://***@127.0.0.1:1" in text and "HF_ENDPOINT=https://***@mirror" in text


def test_missing_runtime_message(monkeypatch):
    monkeypatch.setattr(diagnosis, "collect", lambda: facts(distributions={}, owners=()))
    text = missing_runtime_message(ImportError("No module named 'onnxruntime'"))
    assert text.splitlines() == [
        "onnxruntime, which runs the models, is not installed. Run this once, and start again:",
        f"  {PIP} install onnxruntime",
    ]
    monkeypatch.setattr(diagnosis, "collect", lambda: facts())
    text = missing_runtime_message(ImportError("no DLL"))
    assert text.startswith(
        "onnxruntime cannot be imported: no DLL.\nClose the programs that use it"
    )
    assert " doctor" in text and f"{AGAIN} onnxruntime\n" in text


def test_places_that_could_steer_a_terminal_or_are_too_long(monkeypatch):
    monkeypatch.setenv("REMBG_HOME", "\x1b[2Jhome")
    monkeypatch.setenv("U2NET_HOME", f"/\x1b[2J{'x' * 5000}")
    found = collect()
    assert found.environment["REMBG_HOME"] == r"\x1b[2Jhome"
    assert found.model_folder.startswith(r"/\x1b[2Jxxx") and len(found.model_folder) == 1000
    assert not found.model_folder_exists
