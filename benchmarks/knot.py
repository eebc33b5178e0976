"""The reference of resolution over UDP and TCP: Knot DNS, one worker each, answering TXT from a zone.

A process of its own in a folder of its own: nothing of the system's configuration, no
log but errors on standard error, the control socket in its folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.machine import free_port, on_core
from benchmarks.questions import ZONE, ask_datagram, dns_name, dns_question

_CONFIGURATION = """\
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: "{folder}/control"
log:
  - target: stderr
    any: error
database:
    storage: "{folder}"
zone:
  - domain: {zone}
    storage: "{folder}"
    file: "zone"
    journal-content: none
"""
_APEX = "@ 3600 SOA ns admin 1 3600 900 604800 3600\n@ 3600 NS ns\nns 3600 A 127.0.0.1\n"
_ANSWER_HEAD_BYTES = 12 + 4 + 12  # header, the question's type and class, a record with its name compressed
_TEXT_BYTES_MAX = 255  # of one string
_READY_S = 120
_END_S = 10
_RCODE = 0x0F


def find() -> str | None:
    """Return the program, None where it is not installed."""
    return shutil.which("knotd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Knot:
    """A server of a zone with a name for each handle, its answers so many octets long; `with` ends it."""

    def __init__(self, program: str, folder: Path, handles: Sequence[str], answer_bytes: int, core: int) -> None:
        self.port = free_port()
        folder.mkdir()
        _write_zone(folder / "zone", handles, answer_bytes)
        path = folder / "knot.conf"
        path.write_text(_CONFIGURATION.format(folder=folder, port=self.port, zone=ZONE))
        with on_core(core):
            self._process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.DEVNULL)
        self.answer_bytes = self._await_answer(dns_question(dns_name(handles[0]), over_tcp=False))

    @property
    def pid(self) -> int:
        """Its process id; all workers are its threads."""
        return self._process.pid

    def _await_answer(self, question: bytes) -> int:
        """Ask until the zone is loaded; return how long the answer is. Errors: RuntimeError."""
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                answer = ask_datagram(self.port, question)
            except OSError:
                answer = b""
            if answer[3:4] and not answer[3] & _RCODE:
                return len(answer)
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._process.kill()
                raise RuntimeError("Knot does not answer")
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)


def _write_zone(path: Path, handles: Sequence[str], answer_bytes: int) -> None:
    """Write one TXT record a handle, its answers as long as wanted."""
    name_bytes = len(dns_name(handles[0])) + 1
    text = _text(answer_bytes - _ANSWER_HEAD_BYTES - name_bytes)
    with path.open("w") as file:
        file.write(f"$ORIGIN {ZONE}.\n{_APEX}")
        file.writelines(f"{dns_name(handle)} 3600 TXT {text}\n" for handle in handles)


def _text(size: int) -> str:
    """Return the strings of a TXT record that take so many octets with their lengths."""
    strings = []
    while size > 0:
        part = min(size, _TEXT_BYTES_MAX + 1)
        strings.append(f'"{"x" * (part - 1)}"')
        size -= part
    return " ".join(strings)
