"""A real node for measurements: made by ``saltern init``, run by ``saltern serve``, on free ports.

One worker, no limit of requests a source, everything else as by default: fsync on, metrics
on. All its processes are bound to one core, given to the first before it forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.client import Connection, basic, resolution
from benchmarks.machine import children, on_core
from benchmarks.records import PREFIX, dump
from core.settings import BY_NAME

_SALTERN = (sys.executable, "-m", "node.cli.main")
_UNLOGGED = (sys.executable, "-m", "benchmarks.unlogged")
_PORTS = ("http.port", "https.port", "handle.port", "dns.port", "management.port")
_END_S = 30
UNLIMITED = {"http.rate_limit": "0", "handle.rate_limit": "0", "dns.rate_limit": "0"}


def has_settings(names: Iterable[str]) -> bool:
    """Whether this version of the node has all these settings."""
    return set(names) <= set(BY_NAME)


class Node:
    """A node in a folder. `with` runs it, and ends it by SIGTERM."""

    def __init__(self, folder: Path, core: int) -> None:
        self.logged = True
        """Whether it writes the resolution log; False is for the measure of what that costs."""
        self.config = folder / "node.toml"
        self.data_file = folder / "data" / "store" / "data.mdb"
        self._folder = folder
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        _run("init", str(folder), "--prefix", PREFIX)

    @property
    def port(self) -> int:
        """The port of plain HTTP."""
        return int(self.ready["http"])

    @property
    def handle_port(self) -> int:
        """The port of the Handle protocol, UDP and TCP."""
        return int(self.ready["handle"])

    @property
    def worker(self) -> int:
        """The process id of its worker."""
        return self.pids()["worker"]

    @property
    def keeper(self) -> int:
        """The process id of its keeper, which shares the core."""
        return self.pids()["keeper"]

    @property
    def store(self) -> Path:
        """The folder of the store."""
        return self.data_file.parent

    def start(self, limits: Mapping[str, str] = UNLIMITED) -> Self:
        """Start it and wait for its ready line. Errors: RuntimeError with its log.

        ``limits``: further settings; those that this version does not have are left out.
        """
        settings = dict.fromkeys(_PORTS, "0") | {"resolver.workers": "1"}
        settings |= {name: value for name, value in limits.items() if has_settings([name])}
        options = [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]
        with (self._folder / "node.log").open("ab") as log, on_core(self._core):
            self._process = subprocess.Popen(
                [*(_SALTERN if self.logged else _UNLOGGED), "serve", "--config", str(self.config), *options],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError((self._folder / "node.log").read_text())
        self.ready = json.loads(line)
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and all its processes with it."""
        if self._process is None:
            return
        pids = children(self._process.pid)
        self._process.send_signal(number)
        self._process.wait(_END_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        _await_end(pids)

    def pids(self) -> dict[str, int]:
        """Return the process ids, in the order in which the processes were started."""
        assert self._process is not None
        return dict(zip(("registrar", "keeper", "worker", "sync", "monitor"), children(self._process.pid), strict=True))

    def admin(self) -> dict[str, str]:
        """Return the header that proves the administrator."""
        secret = (self._folder / "keys" / "admin.secret").read_text().strip()
        return basic(f"301:0.NA/{PREFIX}", secret)

    def load(self, records: Iterable[dict[str, Any]]) -> None:
        """Import records by ``saltern record import``; the node is stopped."""
        path = self._folder / "records.jsonl"
        with path.open("wb") as file:
            file.writelines(dump(record) + b"\n" for record in records)
        _run("record", "import", "--config", str(self.config), str(path))
        path.unlink()

    def resolve(self, handle: str) -> bytes:
        """Return the body that answers a handle. Errors: RuntimeError if it is not found."""
        with Connection(self.port) as connection:
            answer = connection.ask(resolution(handle))
        if answer.status != 200:
            raise RuntimeError(f"{handle}: {answer.status} {answer.body!r}")
        return answer.body

    def metrics(self) -> dict[str, float]:
        """Return the counters without labels of the metrics page."""
        with Connection(self.ready["management"]) as connection:
            text = connection.ask(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").body.decode()
        found = (line.split() for line in text.splitlines() if line and line[0] != "#" and "{" not in line)
        return {name: float(value) for name, value in found}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _run(*arguments: str) -> None:
    done = subprocess.run([*_SALTERN, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"saltern {' '.join(arguments)}: {done.stderr}")


def _await_end(pids: list[int]) -> None:
    """Wait until processes are gone: they end a moment after the one that started them."""
    deadline = time.monotonic() + _END_S
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.005)
