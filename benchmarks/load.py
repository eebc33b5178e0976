"""The programs in C (``native/``): compiled on the spot, started on a core, their answer read."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from benchmarks.machine import on_core

NATIVE = Path(__file__).with_name("native")
PROGRAMS = ("load_stream", "load_udp", "echo")
NO_COMPILER = "no C compiler, so no load generator"
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
_GENERATORS = {"tcp": "load_stream", "udp": "load_udp"}
_END_S = 60
_NICE = 19


class Traffic(NamedTuple):
    """Who asks what: a file of prepared requests, sent over so many connections to a port of 127.0.0.1.

    ``depth``: requests in flight on each connection, or over UDP in all.
    """

    over: Literal["tcp", "udp"]
    protocol: Literal["http", "handle", "dns-tcp", "dns-udp"]
    port: int
    path: Path
    connections: int = 1
    depth: int = 1
    source: str = "127.0.0.1"


class Load(NamedTuple):
    """What one run of a generator saw. ``server_cpu``, ``own_cpu``: shares of one core.

    ``lost``: requests that had no answer; ``closed``: connections that the server ended.
    ``late_p99_us``: how much later than intended the generator itself sent.
    """

    responses: int
    refused: int
    lost: int
    closed: int
    seconds: float
    per_s: float
    p50_us: float
    p95_us: float
    p99_us: float
    late_p99_us: float
    server_cpu: float
    own_cpu: float

    def checked(self) -> Load:
        """Return it. Errors: RuntimeError if anything was refused."""
        if self.refused:
            raise RuntimeError(f"{self.refused} of {self.responses} answers were no success")
        return self


class Running:
    """A generator under way; `with` ends it if it has not ended by itself."""

    def __init__(self, arguments: list[str], core: int, measure_s: float, *, yielding: bool) -> None:
        self._measure_s = measure_s
        with on_core(core):
            self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if yielding:
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def result(self) -> Load:
        """Wait for its end. Errors: RuntimeError with its word."""
        output, word = self._process.communicate(timeout=self._measure_s + _END_S)
        if self._process.returncode:
            raise RuntimeError(word.strip())
        return Load(**json.loads(output))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended:
            self._process.kill()
        self._process.communicate()


class Generators:
    """The compiled programs, and the core of the generators."""

    def __init__(self, folder: Path, core: int) -> None:
        self._folder = folder
        self._core = core

    def program(self, name: str) -> Path:
        """Return the path of a program."""
        return self._folder / name

    def start(
        self,
        traffic: Traffic,
        *,
        pid: int = 0,
        also: int = 0,
        rate: float = 0.0,
        warm_s: float = 0.0,
        measure_s: float,
        count: int = 0,
        flood: bool = False,
    ) -> Running:
        """Start a generator.

        ``pid``, ``also``: processes whose time is read. ``rate``: requests a second, 0 for a closed loop;
        ``count``: ends after so many answers; ``flood``: takes refusals and closed connections, and leaves its
        core to other generators.
        """
        options = traffic._asdict() | {
            "file": traffic.path,
            "pid": pid,
            "also": also,
            "rate": rate,
            "warm_ms": int(warm_s * 1_000),
            "measure_ms": int(measure_s * 1_000),
            "count": count,
            "tolerant": int(flood),
        }
        program = self.program(_GENERATORS[options.pop("over")])
        del options["path"]
        arguments = [str(program), *(f"{name}={value}" for name, value in options.items())]
        return Running(arguments, self._core, warm_s + measure_s, yielding=flood)

    def run(
        self,
        traffic: Traffic,
        *,
        pid: int = 0,
        also: int = 0,
        rate: float = 0.0,
        warm_s: float = 0.0,
        measure_s: float,
        count: int = 0,
    ) -> Load:
        """Run a generator to its end. Errors: RuntimeError with its word, or if anything was refused."""
        with self.start(
            traffic, pid=pid, also=also, rate=rate, warm_s=warm_s, measure_s=measure_s, count=count
        ) as running:
            return running.result().checked()


def find_compiler() -> str | None:
    """Return a C compiler, None where there is none."""
    return next((found for name in _COMPILERS if (found := shutil.which(name))), None)


def compile_programs(folder: Path, core: int) -> Generators | None:
    """Compile the programs into a folder; None where there is no C compiler."""
    compiler = find_compiler()
    if compiler is None:
        return None
    for name in PROGRAMS:
        subprocess.run([compiler, *_FLAGS, "-o", str(folder / name), str(NATIVE / f"{name}.c")], check=True)
    return Generators(folder, core)


def write_requests(path: Path, requests: Iterable[bytes]) -> int:
    """Write prepared requests, each behind its length; return how many."""
    count = 0
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)
            count += 1
    return count
