"""What the benchmark ran on, and what processes cost: from /proc (Linux)."""

import os
import platform
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


def describe() -> dict[str, object]:
    """Processor, cores, memory, Python, kernel."""
    lines = (PROC / "cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count() or 0,
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * _PAGE // 2**20,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_1min_before": round(os.getloadavg()[0], 2),
    }


def fsync_ms(folder: Path, *, times: int = 50) -> float:
    """Mean milliseconds of one fsync after 4 KiB were appended to a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fsync.probe"
    block = bytes(4096)
    spent = 0.0
    try:
        with path.open("ab", buffering=0) as file:
            for _ in range(times):
                file.write(block)
                began = time.perf_counter()
                os.fsync(file.fileno())
                spent += time.perf_counter() - began
    finally:
        path.unlink(missing_ok=True)
    return spent / times * 1000


def cpu_seconds(pids: Collection[int]) -> float:
    """User and system time of these processes, their children that have ended, and their living descendants.

    In steps of a clock tick (10 ms). A process that has gone counts nothing: measure while it lives.
    """
    return sum(_cpu_of(pid) for pid in with_descendants(pids))


def rss_mb(pid: int) -> float:
    """Resident memory in MiB."""
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE / 2**20


def with_descendants(pids: Collection[int]) -> set[int]:
    """These processes and all that descend from them."""
    parents = {pid: fields[1] for pid, fields in _all_stats()}
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if int(parent) in found} - found:
        found |= more
    return found


def _cpu_of(pid: int) -> float:
    fields = _stat(pid)
    # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), the 12th after the command's name
    return sum(map(int, fields[11:15])) / _TICKS if fields else 0.0


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), fields


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may hold spaces and brackets; empty when it has gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def pin(pids: Collection[int], cores: Collection[int]) -> None:
    """Let these processes, with all threads they have or will have, run on these cores only."""
    for pid in with_descendants(pids):
        for thread in (PROC / str(pid) / "task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep to one core, for as long as it lasts."""
    before = os.sched_getaffinity(0)
    pin([os.getpid()], {max(before)})
    try:
        yield
    finally:
        pin([os.getpid()], before)
