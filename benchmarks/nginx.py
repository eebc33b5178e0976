"""The reference of resolution: nginx with one worker that answers a static body, or a redirect, from memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.client import Connection, request
from benchmarks.machine import children, free_port, on_core

_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 75;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type "application/json;charset=utf-8";
    server {{
        listen 127.0.0.1:{port};
        location / {{ return {answer}; }}
    }}
}}
"""
_READY_S = 10


def find() -> str | None:
    """Return the program, None where it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Nginx:
    """A server of its own, with nothing of the system's configuration; `with` ends it."""

    def __init__(self, program: str, folder: Path, body_bytes: int, core: int, *, redirect: str = "") -> None:
        self.port = free_port()
        folder.mkdir()
        path = folder / "nginx.conf"
        answer = f"307 {redirect}" if redirect else f'200 "{"x" * body_bytes}"'
        path.write_text(_CONFIGURATION.format(folder=folder, port=self.port, answer=answer))
        with on_core(core):
            self._process = subprocess.Popen(
                [program, "-p", str(folder), "-c", str(path), "-e", "stderr"], stdout=subprocess.DEVNULL
            )
        self._await_answer()

    def worker(self) -> int:
        """Return the process id of its worker."""
        return children(self._process.pid)[0]

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                with Connection(self.port) as connection:
                    connection.ask(request("GET", "/"))
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self._process.kill()
                    raise RuntimeError("nginx does not answer") from None
                time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_READY_S)
