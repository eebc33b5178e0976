"""What the chapters of ``saltern demo`` are told with: commands, processes and calls of ours, all of them real."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from core import clock

_WAIT_S: Final = 30.0
_SALTERN: Final = (sys.executable, "-m", "node.cli.main")


class Api(NamedTuple):
    """Our own API of a running node, with an operator's token."""

    ready: dict[str, Any]
    token: str

    def call(self, method: str, path: str, document: object = None) -> Any:
        """Make one call; return the JSON of its answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = b"" if document is None else json.dumps(document).encode()
        return json.loads(http_call(self.ready, method, path, headers, body)[2])


def http_call(
    ready: dict[str, Any], method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Ask a server of ours; return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", ready["http"], timeout=10)
    try:
        connection.request(method, path, body or None, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@contextmanager
def running(*arguments: str, log_file: Path, kill: bool) -> Iterator[dict[str, Any]]:
    """Run a server of ours; give its ready line; end it by SIGKILL, or by SIGTERM."""
    with log_file.open("ab") as log:
        process = subprocess.Popen([*_SALTERN, *arguments], stdout=subprocess.PIPE, stderr=log, env=_environment())
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            process.wait(timeout=30)
            process.stdout.close()


def command(*arguments: str, show: str = "") -> None:
    """Run one command of ours and show what it prints. ``show``: only the lines in which this is found."""
    done = _run(*arguments, check=True)
    for line in (done.stderr + done.stdout).splitlines():
        if re.search(show, line):
            say(f"   {line}")


def output(*arguments: str) -> str:
    """Run one command of ours; return what it prints."""
    return _run(*arguments, check=True).stdout


def refused(*arguments: str) -> str:
    """Run one command of ours that does not succeed; return what it says of it."""
    return _run(*arguments, check=False).stderr.strip()


def wait_for(is_so: Callable[[], bool], otherwise: str) -> None:
    """Wait until something is so. Errors: TimeoutError, which says what is not."""
    until_s = clock.monotonic_s() + _WAIT_S
    while not is_so():
        if clock.monotonic_s() > until_s:
            raise TimeoutError(otherwise)
        clock.pause(0.05)


def _run(*arguments: str, check: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_SALTERN, *arguments], check=check, capture_output=True, text=True, env=_environment())


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


def chapter(title: str, line: str) -> None:
    """Begin a chapter. ``line``: what is done in it, as it would be typed."""
    say(f"\n{title}\n   $ {line}")


def say(text: str) -> None:
    """Tell a line."""
    print(text, flush=True)
