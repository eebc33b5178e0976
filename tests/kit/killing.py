"""Kill rounds: writers over HTTP, SIGKILL at a random moment, start again, compare.

Each round kills the supervisor (and with it the whole node) or one process of it.
An outcome is: acknowledged (2xx), refused (4xx: never there), or unknown (no answer,
5xx: may be there or not, but whole).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.kit.node import Node

PREFIX = "88.118.7"
WRITERS = 3
_SAMPLE = 500  # identifiers of earlier rounds that each round looks at again
TARGETS = ("node", "registrar", "worker-0", "keeper")


class KillRounds:
    """Runs rounds on one node; counts what it saw. ``run`` raises AssertionError for a broken promise."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.node = Node(folder, PREFIX)
        self.acknowledged = 0
        self.refused = 0
        self.unknown = 0
        self.killed: dict[str, int] = {}
        self.restart_s_max = 0.0
        self._state: dict[str, str | None] = {}
        self._maybe: dict[str, set[str | None]] = {}
        self._touched: set[str] = set()
        self._number = 0
        self._next: list[str] = []  # each is killed as often as the others, in no order

    def run(self) -> None:
        """One round."""
        if not self._next:
            self._next = self.random.sample(TARGETS, len(TARGETS))
        target = self._next.pop()
        self.killed[target] = self.killed.get(target, 0) + 1
        self.node.start()
        stop = threading.Event()
        writers = [_Writer(self, stop, self.random.randrange(2**32)) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        stop.wait(self.random.uniform(0.02, 0.4))  # the random moment: writes go on in the threads
        if target == "node":
            self.node.stop(signal.SIGKILL)
        else:
            os.kill(self.node.children()[target], signal.SIGKILL)
            stop.wait(self.random.uniform(0.05, 0.2))
        stop.set()
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive(), "a client waits for ever"
            assert writer.failure is None, writer.failure
        if target != "node":
            assert self.node.stop() == 0
        self._check(self._touched | set(self.random.sample(sorted(self._state), min(_SAMPLE, len(self._state)))))
        self._touched.clear()

    def check_all(self) -> None:
        """Compare every identifier of all rounds."""
        self._check(set(self._state))

    def new_number(self) -> int:
        self._number += 1
        return self._number

    def note(self, handle: str, wanted: str | None, status: int | None) -> None:
        """Remember how a write ended. ``wanted``: the URL, or None for a deletion."""
        self._touched.add(handle)
        if status is None or status >= 500:
            self.unknown += 1
            self._maybe.setdefault(handle, {self._state.get(handle)}).add(wanted)
        elif status < 300:
            self.acknowledged += 1
            self._state[handle] = wanted
            self._maybe.pop(handle, None)
        else:
            self.refused += 1
            self._state.setdefault(handle, None)  # a refused record must not be there

    def _check(self, handles: set[str]) -> None:
        began = time.monotonic()
        self.node.start()
        with contextlib.closing(self.node.connection()) as connection:
            for position, handle in enumerate(sorted(handles)):
                found = _read(connection, handle)
                if position == 0:
                    self.restart_s_max = max(self.restart_s_max, time.monotonic() - began)
                if handle in self._maybe:
                    assert found in self._maybe[handle], f"{handle}: {found} is none of {self._maybe[handle]}"
                    self._state[handle] = found
                else:
                    assert found == self._state[handle], f"{handle}: {found}, acknowledged {self._state[handle]}"
        self._maybe.clear()
        assert self.node.stop() == 0
        assert "every row is right" in self.node.fsck()


class _Writer(threading.Thread):
    """One client; every write has a handle of its own writer, so that the order is known."""

    def __init__(self, rounds: KillRounds, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._rounds = rounds
        self._stop_event = stop
        self._random = random.Random(seed)
        self._mine: list[str] = []
        self.failure: str | None = None

    def run(self) -> None:
        try:
            while not self._stop_event.is_set():
                self._write()
        except Exception as error:
            self.failure = repr(error)

    def _write(self) -> None:
        kind = self._random.choice(("create", "create", "replace", "delete", "refused", "batch"))
        number = self._rounds.new_number()
        if kind in ("replace", "delete") and self._mine:
            handle = self._random.choice(self._mine)
        elif kind == "refused":
            # Refused for its index: nothing of it may ever be there.
            self._send(f"{PREFIX}/REFUSED-{number}", [{"index": 0, "type": "URL", "data": "x"}], None, "PUT")
            return
        else:
            kind = "batch" if kind == "batch" else "create"
            handle = f"{PREFIX}/K{threading.get_ident()}-{number}"
        if kind == "batch":
            self._batch(handle, number)
        elif kind == "delete":
            self._mine.remove(handle)
            self._send(handle, None, None, "DELETE")
        else:
            url = f"https://example.cn/{number}"
            self._send(handle, _values(url), url, "PUT")
            if handle not in self._mine:
                self._mine.append(handle)

    def _send(self, handle: str, body: Any, wanted: str | None, method: str) -> None:
        try:
            headers = self._rounds.node.admin()
            status: int | None = self._rounds.node.ask(method, f"/api/handles/{handle}", body, headers).status
        except (OSError, http.client.HTTPException):
            status = None
        self._rounds.note(handle, wanted, status)

    def _batch(self, stem: str, number: int) -> None:
        urls = {f"{stem}-{item}": f"https://example.cn/{number}/{item}" for item in range(20)}
        items = [{"handle": handle, "values": _values(url)} for handle, url in urls.items()]
        try:
            reply = self._rounds.node.ask("POST", "/v1/records:batch", items, self._rounds.node.admin())
            status: int | None = reply.status
        except (OSError, http.client.HTTPException):
            status = None
        for handle, url in urls.items():
            self._rounds.note(handle, url, 201 if status == 200 else status)


def _values(url: str) -> list[dict[str, Any]]:
    admin = {"handle": f"0.NA/{PREFIX}", "index": 200, "permissions": "1" * 12}
    return [
        {"index": 1, "type": "URL", "data": url},
        {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": admin}},
    ]


def _read(connection: http.client.HTTPConnection, handle: str) -> str | None:
    connection.request("GET", f"/api/handles/{handle}?type=URL")
    answer = json.loads(connection.getresponse().read())
    if answer["responseCode"] == 100:
        return None
    url: str = answer["values"][0]["data"]["value"]
    return url
