"""Processors and memory: those of the machine, of a container, of a limited process."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from rembg_sessions.core import machine
from rembg_sessions.core.errors import OptionError

GIB = 1 << 30


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Pretend that a process is in control groups: files by path below /sys/fs/cgroup."""

    def pretend(membership, **files):
        (tmp_path / "membership").write_text(membership)
        for path, text in files.items():
            file = tmp_path / "groups" / path.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_name(file.name.replace("_DOT_", ".")).write_text(text)
        monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")

    (tmp_path / "groups").mkdir()
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    memory = SimpleNamespace(available=32 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    return pretend


# -- processors ----------------------------------------------------------------------------


def test_without_groups_the_processors_allowed_count(groups, monkeypatch):
    assert machine.cpu_count() == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert machine.cpu_count() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.cpu_count() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cpu_count() == 1


@pytest.mark.parametrize(
    ("there", "mask", "count"),
    [(8, [0, 2], 2), (8, range(8), 8), (8, [], 8), (64, [5], 1), (96, range(48), 96)],
)
def test_processors_allowed_on_windows(groups, monkeypatch, there, mask, count):
    """Of more than 64 processors a mask tells of one group only."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: there)
    monkeypatch.setattr(sys, "platform", "win32")
    process = SimpleNamespace(cpu_affinity=lambda: list(mask))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    assert machine.cpu_count() == count


@pytest.mark.parametrize(
    ("quota", "count"),
    [("max 100000", 16), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 16)],
)
def test_time_granted_to_a_group(groups, quota, count):
    groups("0::/\n", cpu_DOT_max=quota)
    assert machine.cpu_count() == count


def test_limits_of_outer_groups_hold(groups):
    groups(
        "0::/batch/job\n",
        batch__job__cpu_DOT_max="max 100000",
        batch__cpu_DOT_max="300000 100000",
        cpu_DOT_max="800000 100000",
    )
    assert machine.cpu_count() == 3


@pytest.mark.parametrize(("quota", "count"), [("-1", 16), ("400000", 4)])
def test_groups_of_the_first_generation(groups, quota, count):
    # in a container the path is the host's, and does not exist
    groups(
        "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
        **{
            "cpu,cpuacct__cpu_DOT_cfs_quota_us": quota,
            "cpu,cpuacct__cpu_DOT_cfs_period_us": "100000",
        },
    )
    assert machine.cpu_count() == count


@pytest.mark.parametrize(
    ("text", "count"), [("2", 2), ("3,2", 3), ("", 16), ("0", 16), ("1024", 16)]
)
def test_the_environment_asks_for_less(groups, text, count, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert machine.cpu_count() == count


def test_an_environment_that_makes_no_sense(groups, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    with pytest.raises(OptionError, match="OMP_NUM_THREADS is 'many'"):
        machine.cpu_count()


# -- memory --------------------------------------------------------------------------------

STAT = "anon 5\n{0}active_file {1}\n{0}inactive_file {2}\n"


def test_memory_of_the_machine(groups):
    assert machine.free_memory() == 32 * GIB


def test_memory_of_a_group(groups):
    groups(
        "0::/batch/job\n",
        batch__job__memory_DOT_max="max",
        batch__memory_DOT_max=f"{4 * GIB}",
        batch__memory_DOT_current=f"{3 * GIB}",
        batch__memory_DOT_stat=STAT.format("", GIB, 100),
    )
    assert machine.free_memory() == 2 * GIB + 100


def test_memory_of_a_group_of_the_first_generation(groups):
    groups(
        "4:memory:/job\n0::/\n",
        memory__job__memory_DOT_limit_in_bytes=f"{2 * GIB}",
        memory__job__memory_DOT_usage_in_bytes=f"{GIB}",
        memory__job__memory_DOT_stat=STAT.format("total_", 0, 7),
        memory__memory_DOT_limit_in_bytes=f"{1 << 62}",
        memory__memory_DOT_usage_in_bytes="1",
        memory__memory_DOT_stat=STAT.format("total_", 0, 0),
    )
    assert machine.free_memory() == GIB + 7


def test_a_group_that_is_full_has_nothing_left(groups):
    groups(
        "0::/\n",
        memory_DOT_max="100",
        memory_DOT_current="500",
        memory_DOT_stat=STAT.format("", 1, 2),
    )
    assert machine.free_memory() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps to it")
def test_a_limit_of_address_space():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30));"
        "from rembg_sessions.core.machine import free_memory; print(free_memory())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(run.stdout) < 3 << 30


def test_the_address_space_of_macos_says_nothing(groups, monkeypatch):
    """A process has hundreds of gigabytes of it there, and uses next to nothing of them."""
    resource = SimpleNamespace(RLIMIT_AS=5, RLIM_INFINITY=-1, getrlimit=lambda kind: (GIB, GIB))
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(vms=400 * GIB))
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert machine.free_memory() == 32 * GIB
    monkeypatch.setattr(sys, "platform", "linux")
    assert machine.free_memory() == 0
