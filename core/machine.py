"""What this machine lends to this process: processors and memory.

A container, or a group of processes, may get less than there is: Linux says so in files of its
control groups, of which there are two generations. Limits of outer groups hold for inner ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from . import settings

_MEMBERSHIP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
# Windows' mask of processors has as many bits. Where there are more processors, it is the mask of
# one group of them, and does not tell which others a process may use.
_MASK = 64


def cpu_count() -> int:
    """Return how many processors this process may use, at least 1.

    Those it is allowed on (``taskset``, a batch system), not more than the time that its control
    groups grant, nor than ``OMP_NUM_THREADS`` asks for.

    Raises
    ------
    OptionError
        If ``OMP_NUM_THREADS`` is not a whole number.
    """
    count: float = _allowed()
    for folder in _group_folders("cpu"):
        count = min(count, _processors(folder))
    asked = settings.threads()
    if asked:
        count = min(count, asked)
    return max(1, int(count))


def free_memory() -> int:
    """Return the bytes of memory that this process can use without swapping.

    What the machine has left, less where control groups or a limit of address space
    (``ulimit -v``, on Linux) grant less.
    """
    import psutil

    free = psutil.virtual_memory().available
    for folder in _group_folders("memory"):
        free = min(free, _memory_left(folder))
    return max(0, min(free, _address_space_left()))


def _allowed() -> int:
    """Return on how many processors this process may run."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on Windows and macOS
    if allowed:
        return len(allowed(0))
    count = os.cpu_count() or 1
    if sys.platform != "win32" or count > _MASK:
        return count  # macOS binds no process to a processor
    import psutil

    return len(psutil.Process().cpu_affinity() or ()) or count


def _group_folders(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups for a controller, and of outer ones."""
    try:
        lines = _MEMBERSHIP.read_text("utf-8").splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # second generation; the first has a folder for each set of controllers
        roots = (_GROUPS / controllers, _GROUPS / controller) if controllers else (_GROUPS,)
        root = next((root for root in roots if root.is_dir()), None)
        if root is None:
            continue
        # in a container the path may be the host's, and does not exist here
        folder = root / group.lstrip("/")
        while folder != root:
            if folder.is_dir():
                yield folder
            folder = folder.parent
        yield root


def _processors(folder: Path) -> float:
    """Return how many processors' time a group may use; infinity for no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text("ascii")
            period = (folder / "cpu.cfs_period_us").read_text("ascii")
        return int(quota) / int(period) if int(quota) > 0 else float("inf")
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no such file
        return float("inf")


def _memory_left(folder: Path) -> float:
    """Return the bytes that a group may still use; infinity for no limit."""
    second = (folder / "memory.max").exists()
    names = (
        ("memory.max", "memory.current")
        if second
        else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    )
    prefix = "" if second else "total_"
    try:
        limit, used = (int((folder / name).read_text("ascii")) for name in names)
        lines = (folder / "memory.stat").read_text("ascii").splitlines()
        count = {name: int(number) for name, number in map(str.split, lines)}
        # copies of files count as used, and give way where memory is needed
        files = count[f"{prefix}active_file"] + count[f"{prefix}inactive_file"]
        return max(0, limit - used + files)
    except (OSError, ValueError, KeyError):  # "max", or no such file
        return float("inf")


def _address_space_left() -> float:
    """Return the bytes by which this process may still grow; infinity for no limit."""
    if not sys.platform.startswith("linux"):
        # macOS counts hundreds of gigabytes that were never asked for; Windows has no such limit
        return float("inf")
    import resource

    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    return max(0, limit - psutil.Process().memory_info().vms)
