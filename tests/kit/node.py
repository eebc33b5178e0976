"""A real node for tests: made by `saltern init`, run by `saltern serve`, asked over sockets."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import resource
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from click.testing import CliRunner

from node.cli.main import cli

_LONG = {("serve",), ("demo",), ("topnode",), ("line",)}
SALTERN = (sys.executable, "-m", "node.cli.main")
ANY_PORT = {
    "http.port": 0, "https.port": 0, "management.port": 0, "handle.port": 0, "dns.port": 0,
    "monitor.probe_interval": 0,
}  # fmt: skip


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def saltern(
    *arguments: str, check: bool = True, stdin: bytes = b"", apart: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Run one command of ours to its end: in this process, which saves a start of 0.3 s; ``apart``: in one of its own.

    What a command does not expect is an error of the test here, and would be a traceback there.
    """
    if apart or arguments[:1] in _LONG:
        done = subprocess.run([*SALTERN, *arguments], capture_output=True, input=stdin, timeout=120)
    else:
        ran = CliRunner(catch_exceptions=False).invoke(cli, arguments, input=stdin, prog_name="saltern")
        done = subprocess.CompletedProcess(arguments, ran.exit_code, ran.stdout_bytes, ran.stderr_bytes)
    if check and done.returncode:
        raise AssertionError(f"saltern {arguments} ended with {done.returncode}: {done.stderr.decode()}")
    return done


def basic(identity: str, secret: str) -> dict[str, str]:
    """Return the header of HTTP Basic for INDEX:HANDLE."""
    user = f"{quote(identity, safe='')}:{secret}".encode()
    return {"Authorization": "Basic " + base64.b64encode(user).decode()}


class Node:
    """A node in a folder; `with` runs it and ends it by SIGTERM."""

    def __init__(self, folder: Path, *prefixes: str, **settings: object) -> None:
        self.folder = folder
        self.config = folder / "node.toml"
        self.prefixes = prefixes
        self.settings = ANY_PORT | {"resolver.workers": 1} | {k.replace("__", "."): v for k, v in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        if not self.config.exists():
            options = [option for prefix in prefixes for option in ("--prefix", prefix)]
            saltern("init", str(folder), *options)

    # --- running ---
    def start(self, file_bytes_max: int | None = None) -> Self:
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))  # type: ignore[arg-type]

        options = [option for key, value in self.settings.items() for option in ("--set", f"{key}={_toml(value)}")]
        with (self.folder / "node.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*SALTERN, "serve", "--config", str(self.config), *options],
                stdout=subprocess.PIPE, stderr=log, preexec_fn=None if file_bytes_max is None else limit,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the node did not start:\n{self.log()}")
        self.ready = json.loads(line)
        self._known: dict[int, str] = {}
        self._workers = int(str(self.settings["resolver.workers"])) or len(os.sched_getaffinity(0))
        self.children()
        return self

    @contextlib.contextmanager
    def limited(self, file_bytes_max: int) -> Iterator[None]:
        """Run it under a limit of the system on the size of every file."""
        self.start(file_bytes_max)
        try:
            yield
        finally:
            self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the node and every process of it; return the exit code."""
        if self.process is None:
            return 0
        assert self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.process = None
        return code

    def children(self) -> dict[str, int]:
        """Return pid by name of the node's processes, as its kernel knows them; one started again keeps its name."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = sorted(int(pid) for pid in path.read_text().split())
        names = [
            "registrar",
            "keeper",
            *[f"worker-{n}" for n in range(self._workers)],
            "sync",
            "monitor",
        ]  # as they are started
        self._known = {pid: name for pid, name in self._known.items() if pid in pids}
        free = (name for name in names if name not in self._known.values())
        self._known |= dict(zip((pid for pid in pids if pid not in self._known), list(free), strict=False))
        return {name: pid for name in names for pid, known in self._known.items() if known == name}

    def log(self) -> str:
        return (self.folder / "node.log").read_text()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.stop()

    # --- asking ---
    @property
    def secret(self) -> str:
        return (self.folder / "keys" / "admin.secret").read_text().strip()

    def admin(self, index: int = 301) -> dict[str, str]:
        return basic(f"{index}:0.NA/{self.prefixes[0]}", self.secret)

    def connection(self, *, tls: bool = False) -> http.client.HTTPConnection:
        if not tls:
            return http.client.HTTPConnection("127.0.0.1", self.ready["http"], timeout=30)
        context = ssl.create_default_context(cafile=str(self.folder / "keys" / "tls.crt"))
        return http.client.HTTPSConnection("127.0.0.1", self.ready["https"], timeout=30, context=context)

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, *, tls: bool = False
    ) -> Reply:
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self.connection(tls=tls)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, handle: str, query: str = "") -> Reply:
        return self.ask("GET", f"/api/handles/{quote(handle, safe='/')}{query}")

    def put(self, handle: str, values: object, query: str = "", headers: dict[str, str] | None = None) -> Reply:
        return self.ask("PUT", f"/api/handles/{quote(handle, safe='/')}{query}", values, self.admin() | (headers or {}))

    def delete(self, handle: str, query: str = "") -> Reply:
        return self.ask("DELETE", f"/api/handles/{quote(handle, safe='/')}{query}", headers=self.admin())

    def fsck(self, *, apart: bool = False) -> str:
        """Run `saltern doctor --deep`; return what it says. Errors: AssertionError for a fault."""
        return saltern("doctor", "--deep", "--config", str(self.config), apart=apart).stdout.decode()


def admin_value(handle: str, index: int = 200, permissions: str = "1" * 12, at: int = 100) -> dict[str, Any]:
    """Return the JSON form of an HS_ADMIN value."""
    value = {"handle": handle, "index": index, "permissions": permissions}
    return {"index": at, "type": "HS_ADMIN", "data": {"format": "admin", "value": value}}


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def kill_all(pids: list[int]) -> None:
    """Kill processes that a test started."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
