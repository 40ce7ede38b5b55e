"""What this machine can spare."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Return the bytes of memory that can be used without swapping, None where nobody tells."""
    if sys.platform == "win32":
        return _free_on_windows()
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        try:  # macOS says how much there is, and uses what is free for files
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        except (OSError, ValueError):
            return None
    try:  # a container's own limit
        limit = int((_GROUP / "memory.max").read_text("ascii"))
        used = int((_GROUP / "memory.current").read_text("ascii"))
        lines = (_GROUP / "memory.stat").read_text("ascii").splitlines()
        count = {name: int(number) for name, number in map(str.split, lines)}
        # copies of files count as used, and give way where memory is needed
        used -= count["active_file"] + count["inactive_file"]
        return max(0, min(free, limit - used))
    except (OSError, KeyError, ValueError):
        return free


def _free_on_windows() -> int | None:
    if sys.platform != "win32":
        return None

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API; ``free`` is what is not in use."""

        _fields_ = [
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("free", ctypes.c_uint64),
            ("others", ctypes.c_uint64 * 5),
        ]

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.free)
