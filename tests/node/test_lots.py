"""Lots on a real node: long and broken uploads, codes that pass for ours, and SIGKILL while lines report."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import limits
from tests.kit.node import Node, Reply, saltern

PREFIX = "88.118.7"
LOT = f"{PREFIX}/L1"
EVENTS = f"/v1/lots/{LOT}/events"
TIME = "2026-01-01T08:00:00Z"
JSON = {"Content-Type": "application/json"}
UNITS = 3_000


class Lot:
    """A lot at a running node, and an operator's token."""

    def __init__(self, node: Node, units: int) -> None:
        self.node = node
        arguments = ("token", "issue", "--role", "operator", "--holder", "生产线", "--actor", "经办人")
        told = json.loads(saltern(*arguments, "--config", str(node.config), "--json").stdout)
        self.bearer = {"Authorization": f"Bearer {told['secret']}"}
        form = {"lot": LOT, "product": f"{PREFIX}/SKU", "count": units, "units_per_case": 10}
        assert self.ask("POST", "/v1/lots", form).status == 201
        codes = self.ask("GET", f"/v1/lots/{LOT}/codes?count={units}").json["codes"]
        self.codes = [code["identifier"] for code in codes]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Make a call; a body of octets is JSON unless it is said to be another thing."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.node.ask(method, path, body, self.bearer | JSON | sent)

    def states(self) -> Any:
        """Return how many units are in each state."""
        return self.ask("GET", f"/v1/lots/{LOT}").json["states"]["unit"]


@pytest.fixture(scope="module")
def lot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lot]:
    with Node(tmp_path_factory.mktemp("lots") / "node", PREFIX) as running:
        yield Lot(running, 100)
        assert "Traceback" not in running.log()


def events_of(codes: list[str], event: str = "commissioned", time: str = TIME) -> list[dict[str, str]]:
    return [{"event": event, "identifier": code, "time": time} for code in codes]


def begun(node: Node, head: dict[str, object], body: bytes, path: str = EVENTS) -> bytes:
    """Send a head and some octets of its body; return what is answered to that, the sender being done."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", *(f"{name}: {text}" for name, text in head.items()), "", ""]
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", node.ready["http"]), 10) as peer:
        peer.sendall("\r\n".join(lines).encode() + body)
        if body:
            peer.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := peer.recv(65_536):
            answer += piece
            if not body and b"\r\n\r\n" in answer:
                break
        return answer
    return b""


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_a_stranger_is_refused_by_the_head_of_a_long_body(lot: Lot) -> None:
    """No octet of it is waited for; nor of one who may but sends too much."""
    length = {"Content-Length": limits.LOT_EVENTS_BODY_BYTES_MAX, **JSON}
    assert status_of(begun(lot.node, length, b"")) == 401
    wrong = {"Authorization": "Bearer 0123456789ab.x"}
    assert status_of(begun(lot.node, length | wrong, b"")) == 401
    assert status_of(begun(lot.node, length | {"Content-Length": limits.LOT_EVENTS_BODY_BYTES_MAX + 1}, b"")) == 413
    slash = EVENTS.replace(LOT, LOT.replace("/", "%2F"))
    assert status_of(begun(lot.node, length, b"", slash)) == 401


def test_eight_mebibytes_and_not_one_octet_more(lot: Lot) -> None:
    """By the announced length, and by the real one where none is announced."""
    item = json.dumps(events_of(lot.codes[:1])[0]).encode()
    body = item + b" " * (limits.LOT_EVENTS_BODY_BYTES_MAX - len(item))
    lines = "application/x-ndjson"
    assert lot.ask("POST", EVENTS, body, Content_Type=lines).json["counts"] == {"ok": 1}
    before = lot.states()
    with contextlib.suppress(ConnectionError):  # it may be refused while it is sent
        assert lot.ask("POST", EVENTS, body + b" ", Content_Type=lines).status == 413
    chunked = {**lot.bearer, "Content-Type": lines, "Transfer-Encoding": "chunked"}
    framed = b"%x\r\n" % (len(body) + 1) + body + b" \r\n0\r\n\r\n"
    assert status_of(begun(lot.node, chunked, framed)) in (413, 0)
    assert lot.states() == before


def test_an_upload_that_breaks_off_leaves_nothing(lot: Lot) -> None:
    """By its length, and in the middle of a chunk; whole, it is taken once, and again changes nothing."""
    body = json.dumps(events_of(lot.codes[10:20])).encode()
    before = lot.states()
    head: dict[str, object] = {**lot.bearer, **JSON}
    for cut in (1, len(body) // 2, len(body) - 1):
        begun(lot.node, head | {"Content-Length": len(body)}, body[:cut])
        begun(lot.node, head | {"Transfer-Encoding": "chunked"}, b"%x\r\n" % len(body) + body[:cut])
        begun(lot.node, head | {"Transfer-Encoding": "chunked"}, b"%x\r\n" % cut + body[:cut] + b"\r\n")
        assert lot.states() == before
        digest = {"Content_Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"}
        refused = lot.ask("POST", EVENTS, body[:cut], **digest)
        assert (refused.status, refused.json["rule"]) == (400, "event-digest")
        assert lot.states() == before
    assert lot.ask("POST", EVENTS, body, **digest).json["counts"] == {"ok": 10}
    assert lot.ask("POST", EVENTS, body).json["counts"] == {"unchanged": 10}


def test_both_forms_of_the_slash_and_head(lot: Lot) -> None:
    for name in (LOT, LOT.replace("/", "%2F")):
        for path in (f"/v1/lots/{name}", f"/v1/lots/{name}/blocks", f"/v1/lots/{name}/codes?count=1"):
            assert lot.ask("GET", path).status == 200
            head = lot.ask("HEAD", path)
            assert (head.status, head.body) == (200, b"")
        taken = lot.ask("POST", f"/v1/lots/{name}/blocks", {"line": "L4", "count": 5, "from": 0})
        assert (taken.status in (200, 201), taken.json["from"]) == (True, 0)
        assert lot.node.ask("GET", f"/v1/lots/{name}").status == 401


def test_the_command_line_says_the_same(lot: Lot, tmp_path: Path) -> None:
    """A wrong code, a cut file and a file that is no text end with 1 and a reason, and no traceback."""
    config = ("--config", str(lot.node.config))
    file = tmp_path / "shift.jsonl"
    good, bad = events_of([lot.codes[30], lot.codes[31][:-1]])
    file.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n" + json.dumps(good)[:-9])
    done = saltern("lot", "events", LOT, str(file), *config, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert lot.states()["commissioned"] >= 1
    again = saltern("lot", "events", LOT, str(file), "--json", *config, check=False)
    assert again.returncode == 1
    assert b"event-unit" in again.stdout + again.stderr
    for octets in (b"[", b"\xff\xfe"):
        file = tmp_path / "shift.json"
        file.write_bytes(octets)
        done = saltern("lot", "events", LOT, str(file), *config, check=False)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False), (octets, done)
    for arguments in (
        ("take", LOT, "--line", "\udcff", "--count", "5"), ("show", "\udcff/L1"), ("check", "\udcff"),
        ("take", LOT, "--line", "L9", "--count", "5", "--token", "\udcff"), ("codes", LOT, "--from", "-1"),
        ("create", f"{PREFIX}/L2", "--product", "\udcff/x", "--count", "5"),
    ):  # fmt: skip
        done = saltern("lot", *arguments, *config, check=False)
        assert b"Traceback" not in done.stderr, (arguments, done.stderr)
        assert done.returncode in (1, 2) or arguments[0] == "check", (arguments, done)


# --- kill -------------------------------------------------------------------


class Reporter(threading.Thread):
    """One line: sends batches about its own units, each with a key of its own, until it is told to end."""

    def __init__(self, lot: Lot, number: int, codes: list[str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.sent: list[tuple[str, bytes, Reply | None]] = []
        self._lot = lot
        self._number = number
        self._codes = codes
        self._stop_event = stop

    def run(self) -> None:
        at = 0
        while not self._stop_event.is_set() and at < len(self._codes):
            codes = self._codes[at : at + 25]
            items = events_of(codes) + events_of(codes[::5], "scrapped", "2026-01-01T09:00:00Z")
            items += [{"event": "packed", "identifier": codes[1], "time": TIME, "parent": ""}]
            at += 25
            key, body = f"line-{self._number}-{at}-{len(self.sent)}", json.dumps(items).encode()
            reply = None
            with contextlib.suppress(OSError, http.client.HTTPException):
                reply = self._lot.ask("POST", EVENTS, body, Idempotency_Key=key)
            self.sent.append((key, body, reply))


@pytest.mark.parametrize("target", ["node", "registrar", "node"])
def test_what_a_line_sends_again_after_a_crash_is_as_if_sent_once(tmp_path: Path, seed: int, target: str) -> None:
    """SIGKILL amid batches; an answer that had come comes again, and every unit has its events once."""
    rounds = random.Random(f"{seed}-{target}")
    node = Node(tmp_path / "node", PREFIX)
    with node:
        lot = Lot(node, UNITS)
        stop = threading.Event()
        share = UNITS // 3
        reporters = [Reporter(lot, n, lot.codes[n * share : (n + 1) * share], stop) for n in range(3)]
        for reporter in reporters:
            reporter.start()
        stop.wait(rounds.uniform(0.02, 0.25))
        if target == "node":
            node.stop(signal.SIGKILL)
        else:
            os.kill(node.children()[target], signal.SIGKILL)
            stop.wait(rounds.uniform(0.05, 0.2))
        stop.set()
        for reporter in reporters:
            reporter.join(60)
            assert not reporter.is_alive(), "a line waits for ever"
    with node:
        batches = [batch for reporter in reporters for batch in reporter.sent]
        for key, body, reply in batches:
            again = lot.ask("POST", EVENTS, body, Idempotency_Key=key)
            assert again.status == 200
            assert again.json["counts"] == {"ok": 31}, again.json
            if reply is not None and reply.status == 200:
                assert again.body == reply.body
        assert lot.states() == {
            "allocated": UNITS - 25 * len(batches), "commissioned": 20 * len(batches), "scrapped": 5 * len(batches),
        }  # fmt: skip
        for _, body, _ in rounds.sample(batches, min(5, len(batches))):
            for item in json.loads(body)[:7]:
                unit = lot.ask("GET", f"/v1/units/{item['identifier']}").json
                told = [event["event"] for event in unit["history"]]
                mine = [each["event"] for each in json.loads(body) if each["identifier"] == item["identifier"]]
                assert told == mine
    node.fsck()
