"""The reference of resolution over UDP: ``native/echo.c``, which answers whatever comes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.machine import on_core

_END_S = 10


class Echo:
    """A server that answers every datagram with the same octets; `with` ends it."""

    def __init__(self, program: Path, folder: Path, answer: bytes, core: int) -> None:
        path = folder / "echo-answer"
        path.write_bytes(answer)
        with on_core(core):
            self._process = subprocess.Popen([str(program), str(path)], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate(timeout=_END_S)
