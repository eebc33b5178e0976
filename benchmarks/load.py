"""The load generator ``load.c``: compiled on the spot, started, its answer read."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import on_core

_SOURCE = Path(__file__).with_name("load.c")
_COMPILERS = ("cc", "gcc", "clang")


class Load(NamedTuple):
    """What one run of the generator saw. ``server_cpu``, ``own_cpu``: shares of one core."""

    responses: int
    refused: int
    seconds: float
    per_s: float
    p50_us: float
    p99_us: float
    server_cpu: float
    own_cpu: float


class Generator:
    """The compiled generator, bound to one core."""

    def __init__(self, program: Path, core: int) -> None:
        self._program = program
        self._core = core

    def run(
        self,
        port: int,
        requests: Path,
        *,
        connections: int,
        pid: int = 0,
        warm_s: float = 0.0,
        measure_s: float,
        count: int = 0,
    ) -> Load:
        """Run it once. Errors: RuntimeError with its word."""
        numbers = [port, connections, int(warm_s * 1_000), int(measure_s * 1_000), count]
        arguments = [str(self._program), *map(str, numbers), str(requests), str(pid)]
        with on_core(self._core):
            done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=measure_s + 60)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return Load(**json.loads(done.stdout))


def compile_generator(folder: Path, core: int) -> Generator | None:
    """Compile the generator into a folder; None where there is no C compiler."""
    compiler = next((found for name in _COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    program = folder / "load"
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(_SOURCE)], check=True)
    return Generator(program, core)


def write_requests(path: Path, requests: Iterable[bytes]) -> int:
    """Write prepared requests, each behind its length; return how many."""
    count = 0
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)
            count += 1
    return count
