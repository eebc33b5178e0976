"""What the measurements run on: cores, processor, disk; binding to a core; reading /proc."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

_CHUNK = 1 << 20
_PORT_TRIES = 20


class Cores(NamedTuple):
    """The core of what is measured, and the core of what asks it; the same where there is one only."""

    server: int
    client: int

    @property
    def apart(self) -> bool:
        """Whether the two are different cores."""
        return self.server != self.client


def cores() -> Cores:
    """Choose two cores of those that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Bind this process, and what it starts meanwhile, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def describe(folder: Path) -> dict[str, object]:
    """Describe the machine and the file system that the stores lie on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "file_system": _file_system(folder),
        "fsync_ms": round(_fsync_s(folder) * 1_000, 2),
        "load_average": round(os.getloadavg()[0], 2),
        "commit": _commit(),
    }


def _commit() -> str:
    """Return the commit that is measured, with a mark if files differ from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """Return the kind of the file system: the longest mount point above the folder."""
    place, found, kind = f"{folder.resolve()}/", "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, name, *_ = line.split()
        if place.startswith(mount.rstrip("/") + "/") and len(mount) >= len(found):
            found, kind = mount, name
    return kind


def _fsync_s(folder: Path) -> float:
    """Return the median time of an append of 4 KiB with fsync."""
    times = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(31):
            began = time.perf_counter()
            file.write(bytes(4_096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return median(times)


def read_once(path: Path) -> None:
    """Read a file from end to end, so that it lies in the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(_CHUNK):
            pass


def memory_bytes(pid: int, field: Literal["RssAnon", "VmRSS", "VmHWM"]) -> int:
    """Return private memory (RssAnon of /proc/PID/status), what is resident (VmRSS), or ever was (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1_024
    raise RuntimeError(f"no {field} in /proc/PID/status")


def processor_s(pid: int) -> float:
    """Return the processor time of a process: utime and stime of /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, the oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def file_bytes(path: Path) -> int:
    """Return what a file takes on the disk: the blocks, not the length."""
    return path.stat().st_blocks * 512


def free_port() -> int:
    """Return a number that is free for both TCP and UDP just now. Errors: OSError."""
    for left in reversed(range(_PORT_TRIES)):
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                if not left:
                    raise
            else:
                return port
    raise AssertionError("unreachable")
