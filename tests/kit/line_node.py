"""A node of one lot in memory, over real HTTP: the calls that a packing line makes, and nothing else.

It can be told to cut a connection before or after it did what was asked, or to say that it is busy.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
TOKEN = "saltern_of_the_test"
STATES = ("allocated", "encoded", "commissioned", "scrapped", "sampled", "returned", "inactive", "destroyed")
AFTER = {
    "allocated": ("encoded", "commissioned", "scrapped", "sampled", "returned"),
    "encoded": ("commissioned", "scrapped", "sampled", "returned"),
    "commissioned": ("scrapped", "sampled", "inactive", "destroyed"),
    "sampled": ("inactive", "destroyed"),
    "inactive": ("commissioned", "destroyed"),
}
FUTURE_MS = 300_000


def moment(text: str) -> int:
    """Return Unix milliseconds of ``…T…Z``."""
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1_000)


class Problem(Exception):  # noqa: N818
    def __init__(self, status: int, outcome: str, rule: str, detail: str = "") -> None:
        super().__init__(rule)
        self.status = status
        self.document = {"title": rule, "detail": detail or rule, "status": status, "outcome": outcome, "rule": rule}


class Lot:
    """What the node knows of a lot."""

    def __init__(self, handle: str, units: int, units_per_case: int = 0, cases_per_pallet: int = 0) -> None:
        self.handle = handle
        self.units, self.upc, self.cpp = units, units_per_case, cases_per_pallet
        self.cases = -(-units // units_per_case) if units_per_case else 0
        self.pallets = -(-self.cases // cases_per_pallet) if cases_per_pallet else 0
        self.size = units + self.cases + self.pallets
        self.codes = [self._code(index) for index in range(self.size)]
        self.numbers = {code: index for index, code in enumerate(self.codes)}
        self.states = ["allocated"] * self.size
        self.times = [0] * self.size
        self.parents: dict[int, str] = {}
        self.blocks: list[tuple[str, int, int]] = []
        self.next = 0

    def _code(self, index: int) -> str:
        drawn = int.from_bytes(hashlib.sha256(f"{self.units} {index}".encode()).digest()[:8], "big")
        return self.handle + "".join(ALPHABET[drawn >> 5 * place & 31] for place in range(10))

    def kind(self, index: int) -> str:
        return "unit" if index < self.units else "case" if index < self.units + self.cases else "pallet"

    def parent(self, index: int) -> str | None:
        """Return the code that it is in: where it was put, else by rule."""
        if index in self.parents:
            return self.parents[index] or None
        if self.kind(index) == "unit" and self.upc:
            return self.codes[self.units + index // self.upc]
        if self.kind(index) == "case" and self.cpp:
            return self.codes[self.units + self.cases + (index - self.units) // self.cpp]
        return None

    def counts(self) -> dict[str, dict[str, int]]:
        told = {kind: dict.fromkeys(STATES, 0) for kind in ("unit", "case", "pallet")}
        for index, state in enumerate(self.states):
            told[self.kind(index)][state] += 1
        return told

    def state(self) -> list[tuple[str, str | None]]:
        """Return state and parent of every code: what two ways of the same shift must agree about."""
        return [(self.states[index], self.parent(index)) for index in range(self.size)]

    # --- calls ---
    def show(self) -> dict[str, Any]:
        return {
            "lot": self.handle, "product": "88.118.7/SKU01", "count": self.units, "units_per_case": self.upc or None,
            "cases_per_pallet": self.cpp or None, "cases": self.cases, "pallets": self.pallets, "line": None,
            "produced": None, "valid_until": None, "scheme": 1, "key_id": 1, "created": "2026-11-20T00:00:00Z",
            "allocated": self.next, "states": self.counts(),
        }  # fmt: skip

    def take_block(self, line: str, count: int, token: str) -> dict[str, Any]:
        first = self.next
        given = min(count, self.units - first)
        if given < 1:
            raise Problem(409, "conflict", "block-none")
        self.next += given
        self.blocks.append((line, first, given))
        return {"lot": self.handle, "line": line, "from": first, "count": given, "token": token}

    def tell_codes(self, first: int, count: int) -> dict[str, Any]:
        if not (0 < count <= 10_000 and first >= 0 and first + count <= self.size):
            raise Problem(400, "invalid-value", "form")
        codes = []
        for index in range(first, first + count):
            unit = self.kind(index) == "unit"
            case = (
                index // self.upc if unit and self.upc else index - self.units if self.kind(index) == "case" else None
            )
            pallet = None if case is None or not self.cpp else self.codes[self.units + self.cases + case // self.cpp]
            codes.append(
                {"index": index, "identifier": self.codes[index], "kind": self.kind(index),
                 "case": self.codes[self.units + case] if unit and case is not None else None, "pallet": pallet}
            )  # fmt: skip
        return {"lot": self.handle, "codes": codes}

    def take_events(self, items: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
        if len(items) > 10_000:
            raise Problem(413, "too-large", "batch")
        results = [self._item(item, now_ms) for item in items]
        return {"results": results, "counts": self.counts()}

    def _item(self, item: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """Take one item as a whole, or not at all."""
        try:
            indexes = self._indexes(item)
            at, until = moment(item["time"]), moment(item.get("until", item["time"]))
            parent = item.get("parent")
            if until > now_ms + FUTURE_MS or until < at:
                raise _No("event-future")
            if parent and (parent not in self.numbers or self.kind(self.numbers[parent]) == "unit"):
                raise _No("event-unit")
            if item["event"] == "packed":
                return self._packed(indexes, at, parent)
            return self._moved(indexes, item["event"], at, until, parent)
        except _No as no:
            outcome = "conflict" if no.rule == "event-duplicate" else "invalid-value"
            return {"outcome": outcome, "rule": no.rule, "message": f"{no.rule}: {item}"}

    def _indexes(self, item: dict[str, Any]) -> range:
        if set(item) - {"event", "identifier", "from", "count", "time", "until", "place", "grade", "parent"}:
            raise _No("form")
        if item["event"] not in (*STATES, "packed") or item.get("grade", "A") not in "ABCDEF":
            raise _No("form")
        first, count = (
            (self.numbers.get(item["identifier"], -1), 1) if "identifier" in item else (item["from"], item["count"])
        )
        if first < 0 or count < 1 or first + count > self.size or self.kind(first) != self.kind(first + count - 1):
            raise _No("event-unit")
        return range(first, first + count)

    def _moved(self, indexes: range, event: str, at: int, until: int, parent: str | None) -> dict[str, Any]:
        """A range's last time counts for each of its codes: the strictest reading."""
        same = [self.states[index] == event and self.times[index] == until for index in indexes]
        for index, known in zip(indexes, same, strict=True):
            if known:
                continue
            if event == "commissioned" == self.states[index]:
                raise _No("event-duplicate")
            if event not in AFTER.get(self.states[index], ()):
                raise _No("event-state")
            if at < self.times[index]:
                raise _No("event-order")
        if all(same):
            return {"outcome": "unchanged"}
        for index in indexes:
            self.states[index], self.times[index] = event, until
            if parent is not None:
                self.parents[index] = parent
        return {"outcome": "ok"}

    def _packed(self, indexes: range, at: int, parent: str | None) -> dict[str, Any]:
        if parent is None:
            raise _No("form")
        for index in indexes:
            if self.states[index] != "commissioned":
                raise _No("event-state")
            if at < self.times[index]:
                raise _No("event-order")
        if all(self.parents.get(index) == parent for index in indexes):
            return {"outcome": "unchanged"}
        self.parents.update(dict.fromkeys(indexes, parent))
        return {"outcome": "ok"}


class _No(Exception):  # noqa: N818
    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


Fault = Callable[[int, str, str], str]
"""Given the number of a request, its method and path: what goes wrong: "", "before", "after", "busy", "broken"."""


class LineNode:
    """`with` serves it on a free port. ``asked``: method, path and Idempotency-Key of each request."""

    def __init__(self, folder: Path, lot: Lot, now_ms: Callable[[], int] | None = None) -> None:
        self.lot = lot
        self.handle = lot.handle
        self.fault: Fault = lambda number, method, path: ""
        self.asked: list[tuple[str, str, str]] = []
        self.now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        folder.mkdir(parents=True, exist_ok=True)
        self.token_file = folder / "token"
        self.token_file.write_text(TOKEN + "\n")
        self.token_file.chmod(0o600)
        self._kept: dict[str, tuple[bytes, int, bytes]] = {}
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _asked_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of a command that asks this node."""
        return "--node", self.url, "--token-file", str(self.token_file)

    def state(self) -> list[tuple[str, str | None]]:
        return self.lot.state()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, bytes, str]:
        """Return status, body and fault of a request; one at a time."""
        with self._lock:
            key = headers.get("Idempotency-Key", "")
            self.asked.append((method, target, key))
            fault = self.fault(len(self.asked), method, target)
            if fault in ("before", "busy", "broken"):
                return 503, b'{"title": "busy", "outcome": "overloaded"}', fault
            try:
                status, octets = self._answer(method, target, headers, body, key)
            except Problem as problem:
                status, octets = problem.status, json.dumps(problem.document).encode()
            return status, octets, fault

    def _answer(self, method: str, target: str, headers: Any, body: bytes, key: str) -> tuple[int, bytes]:
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Problem(401, "authentication-failed", "bearer")
        parts = urlsplit(target)
        match = re.fullmatch(r"/v1/lots/([^/]+/[^/]+?)(/blocks|/codes|/events)?", unquote(parts.path))
        if match is None or match[1] != self.handle:
            raise Problem(404, "not-found", "lot-not-found")
        if method == "GET":
            query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
            told = self.lot.show() if match[2] is None else self.lot.tell_codes(query["from"], query["count"])
            return 200, json.dumps(told).encode()
        if key in self._kept:
            before, status, octets = self._kept[key]
            if before != body:
                raise Problem(409, "conflict", "idempotency")
            return status, octets
        status, told = self._change(match[2], headers, body, key)
        self._kept[key] = (body, status, json.dumps(told).encode())
        return status, self._kept[key][2]

    def _change(self, call: str, headers: Any, body: bytes, key: str) -> tuple[int, dict[str, Any]]:
        if call == "/blocks":
            form = json.loads(body)
            return 201, self.lot.take_block(form["line"], form["count"], key)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if headers.get("Content-Digest") != f"sha-256=:{digest}:":
            raise Problem(400, "malformed", "digest")
        items = [json.loads(line) for line in body.splitlines()]
        return 200, self.lot.take_events(items, self.now_ms())


def _asked_of(node: LineNode) -> type[http.server.BaseHTTPRequestHandler]:
    class Asked(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, octets, fault = node.answer(self.command, self.path, self.headers, body)
            if fault in ("before", "after"):
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            if fault == "broken":
                octets = octets[: len(octets) // 2]
                self.close_connection = True
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(octets)
                self.wfile.flush()

        do_GET = do_POST = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Asked
