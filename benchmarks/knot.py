"""The reference of resolution over UDP, TCP and DNS: Knot DNS, one worker each, answering from a zone file.

A process of its own in a folder of its own: nothing of the system's configuration, no
log but errors on standard error, the control socket in its folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

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


class ZoneFile(NamedTuple):
    """A zone: its name, the lines of its file, and a question that it answers."""

    name: str
    lines: Iterable[str]
    question: bytes


def handles_zone(handles: Sequence[str], answer_bytes: int) -> ZoneFile:
    """Return a zone with a name for each handle, of one TXT record, its answers so many octets long."""
    name_bytes = len(dns_name(handles[0])) + 1
    text = _text(answer_bytes - _ANSWER_HEAD_BYTES - name_bytes)
    records = (f"{dns_name(handle)} 3600 TXT {text}\n" for handle in handles)
    lines = chain([f"$ORIGIN {ZONE}.\n{_APEX}"], records)
    return ZoneFile(ZONE, lines, dns_question(dns_name(handles[0]), over_tcp=False))


class Knot:
    """A server of a zone; `with` ends it. ``answer``: to the question of the zone."""

    def __init__(self, program: str, folder: Path, zone: ZoneFile, core: int) -> None:
        self.port = free_port()
        folder.mkdir()
        with (folder / "zone").open("w") as file:
            file.writelines(zone.lines)
        path = folder / "knot.conf"
        path.write_text(_CONFIGURATION.format(folder=folder, port=self.port, zone=zone.name))
        with on_core(core):
            self._process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.DEVNULL)
        self.answer = self._await_answer(zone.question)

    @property
    def pid(self) -> int:
        """Its process id; all workers are its threads."""
        return self._process.pid

    @property
    def answer_bytes(self) -> int:
        """How long it is."""
        return len(self.answer)

    def _await_answer(self, question: bytes) -> bytes:
        """Ask until the zone is loaded; return the answer. Errors: RuntimeError."""
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                answer = ask_datagram(self.port, question)
            except OSError:
                answer = b""
            if answer[3:4] and not answer[3] & _RCODE:
                return answer
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


def _text(size: int) -> str:
    """Return the strings of a TXT record that take so many octets with their lengths."""
    strings = []
    while size > 0:
        part = min(size, _TEXT_BYTES_MAX + 1)
        strings.append(f'"{"x" * (part - 1)}"')
        size -= part
    return " ".join(strings)
