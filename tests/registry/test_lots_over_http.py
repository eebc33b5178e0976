"""Lots over HTTP: whatever is wrong with what a line sends is told, and nothing of it is lost or doubled."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.clock import Millis, format_instant
from core.errors import Outcome
from core.ident.unitcode import ALPHABET, SERIAL_CHARS
from core.outcomes import STATUSES
from core.store.engine import Table
from registry.commands import CreateLot
from tests.kit.lot_desk import LOT, PRODUCT, codes, lot_form
from tests.kit.management import Answer, Desk

TIME = "2026-09-01T08:00:00.000Z"
LINES = {"content-type": "application/x-ndjson"}
ARRAY = {"content-type": "application/json"}
CODES = codes()
PATHS = (LOT, LOT.replace("/", "%2F"), LOT.lower(), LOT.replace("/", "%2f"))


def name(index: int) -> str:
    return LOT + CODES.serial(index).decode()


def event(index: int, kind: str = "commissioned", time: str = TIME, **more: object) -> dict[str, object]:
    return {"event": kind, "identifier": name(index), "time": time} | more


def digest_of(body: bytes) -> dict[str, str]:
    return {"content-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"}


def lines_of(*items: object) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


class Line:
    """An operator's token at a desk that has one lot of 100 units, 10 a case."""

    def __init__(self) -> None:
        self.desk = Desk()
        for each in (LOT, f"{LOT}2"):
            self.desk.done(CreateLot(lot_form(lot=each, count=100, units_per_case=10)))
        self.by = self.desk.token("operator", "生产线", days=90)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        sent = {"content-type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        return self.desk.ask(method, path, body, by=self.by, headers=sent)

    def post(self, body: bytes, headers: dict[str, str] = ARRAY, lot: str = LOT) -> Answer:
        return self.desk.ask("POST", f"/v1/lots/{lot}/events", body, by=self.by, headers=headers)

    def rules(self, *items: object) -> list[str]:
        answer = self.post(json.dumps(items).encode())
        assert answer.status == STATUSES[Outcome.OK].http
        return [each.get("rule", each["outcome"]) for each in answer.json["results"]]

    def rows(self) -> dict[str, dict[bytes, bytes]]:
        with self.desk.store.snapshot() as snapshot:
            own = [table for table in Table if table.name.startswith("LOT")]
            assert len(own) == 6
            return {table.value: dict(snapshot.scan(table, b"")) for table in own}

    def states(self) -> Any:
        return self.ask("GET", f"/v1/lots/{LOT}").json["states"]["unit"]


@pytest.fixture
def line() -> Line:
    return Line()


# --- paths ------------------------------------------------------------------


@pytest.mark.parametrize("lot", PATHS)
def test_a_lots_slash_stands_as_it_is_or_not(line: Line, lot: str) -> None:
    """In every call."""
    assert line.ask("GET", f"/v1/lots/{lot}").json["lot"] == LOT
    assert line.ask("HEAD", f"/v1/lots/{lot}").status == 200
    assert line.ask("POST", f"/v1/lots/{lot}/blocks", {"line": "L4", "count": 5}).json["from"] == 0
    assert line.ask("GET", f"/v1/lots/{lot}/blocks").json["blocks"][0]["count"] == 5
    assert line.ask("GET", f"/v1/lots/{lot}/codes?count=2").json["codes"][1]["identifier"] == name(1)
    assert line.ask("HEAD", f"/v1/lots/{lot}/codes").status == 200
    assert line.post(json.dumps([event(0)]).encode(), lot=lot).json["counts"] == {"ok": 1}
    unit = name(0).replace("/", "%2F" if "%" in lot else "/")
    assert line.ask("GET", f"/v1/units/{unit}").json["state"] == "commissioned"


@pytest.mark.parametrize(
    "path",
    ["/v1/lots/88.118", "/v1/lots/88.118/L_1", "/v1/lots/L1/blocks", "/v1/lots/88.118%2FL1%2F2/codes",
     "/v1/lots/88.118/ABCDEFGHIJK", "/v1/lots/88.118/L1%00"],
)  # fmt: skip
def test_what_is_no_lot_is_told(line: Line, path: str) -> None:
    answer = line.ask("GET", path)
    assert (answer.status, answer.rule) == (STATUSES[Outcome.INVALID_HANDLE].http, "lot-form")


def test_what_is_not_there(line: Line) -> None:
    for method, path in (("GET", "/v1/lots/88.118/L9"), ("GET", "/v1/lots/88.118/L9/codes")):
        assert line.ask(method, path).rule == "lot-not-found"
    assert line.post(b"[]", lot="88.118/L9").rule == "lot-not-found"
    for unit in (LOT, "88.118", "批次批次批次批次", "88.118/" + "批" * 6, LOT + "2" * 10, LOT + "2" * 11, name(110)):
        assert line.ask("GET", f"/v1/units/{unit}").rule == "unit-unknown", unit
    assert line.ask("GET", "/v1/units/88.118/L92222222222").rule == "lot-not-found"
    assert line.ask("DELETE", f"/v1/lots/{LOT}").headers["Allow"] == "GET, HEAD"
    assert line.ask("GET", f"/v1/lots/{LOT}/events").headers["Allow"] == "POST"


def test_codes_are_told_with_case_and_pallet_and_no_further_than_the_lot(line: Line) -> None:
    """Page by page; each reads back to its index."""
    found: list[Any] = []
    path = f"/v1/lots/{LOT}/codes?count=60"
    while True:
        page = line.ask("GET", path).json
        found += page["codes"]
        if page["next"] is None:
            break
        path = f"/v1/lots/{LOT}/codes?count=60&from={page['next']}"
    assert [code["index"] for code in found] == list(range(110))
    assert [code["identifier"] for code in found] == [name(index) for index in range(110)]
    assert {code["kind"] for code in found[100:]} == {"case"}
    assert found[25]["case"] == name(102)
    assert found[25]["pallet"] is None
    assert line.ask("GET", f"/v1/lots/{LOT}/codes?from=110").json == {"lot": LOT, "codes": [], "next": None}
    for query in ("count=0", "count=10001", "from=-1", "from=1048577", "count=７", "from=1e3", "x=1"):
        assert line.ask("GET", f"/v1/lots/{LOT}/codes?{query}").rule == "members", query


# --- codes ------------------------------------------------------------------


def spoiled(code: str) -> dict[str, str]:
    """Return what becomes of a code by hand, ink and camera."""
    serial = code[-SERIAL_CHARS:]
    swapped = next(at for at in range(SERIAL_CHARS - 1) if serial[at] != serial[at + 1])
    low = {"swapped": serial[:swapped] + serial[swapped + 1] + serial[swapped] + serial[swapped + 2 :]}
    low |= {"missing": serial[:-1], "missing first": serial[1:], "extra": serial + "2", "empty": ""}
    low |= {"wide": "".join(chr(ord(char) + 0xFEE0) for char in serial), "blank": serial[:5] + " " + serial[6:]}
    low |= {"zero": "0" + serial[1:], "one": serial[:-1] + "1", "O": "O" + serial[1:], "I": "I" + serial[1:]}
    low |= {
        "cyrillic": serial[:-1] + "А",
        "other": serial[:-1] + chr(ALPHABET[ALPHABET.index(serial[-1].encode()) - 1]),
    }
    found = {what: code[:-SERIAL_CHARS] + text for what, text in low.items()}
    found |= {"lot": f"{LOT}2{serial}", "prefix": code.replace("88.118", "88.119"), "no slash": code.replace("/", "")}
    found |= {
        "twice": code + code,
        "blank before": " " + code,
        "nul": code + "\0",
        "nothing": "",
        "url": f"https://{code}",
    }
    return found


@pytest.mark.parametrize("what", spoiled(name(7)))
def test_a_spoiled_code_is_no_unit(line: Line, what: str) -> None:
    """It is told so, and stops nothing else of its batch."""
    text = spoiled(name(7))[what]
    items = [event(6), event(7) | {"identifier": text}, event(8)]
    assert line.rules(*items) == ["ok", "event-unit", "ok"]
    assert line.states() == {"allocated": 98, "commissioned": 2}
    assert line.rules(event(9, parent=text)) == (["ok"] if what == "nothing" else ["event-unit"])


def test_a_code_is_folded(line: Line) -> None:
    assert line.rules(event(7) | {"identifier": name(7).lower()}, event(7)) == ["ok", "unchanged"]


# --- items ------------------------------------------------------------------

WRONG: dict[str, tuple[object, str]] = {
    "no object": (5, "event-form"),
    "nothing": (None, "event-form"),
    "empty": ({}, "event-form"),
    "a member too many": (event(0, x=1), "event-form"),
    "no event": ({"identifier": name(0), "time": TIME}, "event-form"),
    "an unknown event": (event(0, "sold"), "event-name"),
    "allocated": (event(0, "allocated"), "event-name"),
    "code and range": (event(0) | {"from": 0, "count": 1}, "event-which"),
    "neither": ({"event": "scrapped", "time": TIME}, "event-which"),
    "half a range": ({"event": "scrapped", "time": TIME, "from": 0}, "event-which"),
    "a range of text": ({"event": "scrapped", "time": TIME, "from": "0", "count": "５"}, "event-form"),
    "before all": ({"event": "scrapped", "time": TIME, "from": -1, "count": 5}, "event-range"),
    "nothing of it": ({"event": "scrapped", "time": TIME, "from": 0, "count": 0}, "event-range"),
    "beyond": ({"event": "scrapped", "time": TIME, "from": 100, "count": 11}, "event-range"),
    "far beyond": ({"event": "scrapped", "time": TIME, "from": 2**63 - 1, "count": 2**63 - 1}, "event-range"),
    "a long number": ({"event": "scrapped", "time": TIME, "from": 0, "count": 10**4_000}, "event-form"),
    "a grade": (event(0, grade="E"), "event-grade"),
    "a long place": (event(0, place="x" * 33), "event-place"),
    "a place unseen": (event(0, place="a\u202eb"), "event-place"),
    "over the last unit": ({"event": "scrapped", "time": TIME, "from": 95, "count": 6}, "event-levels"),
    "no zone": (event(0, time="2026-09-01T08:00:00"), "event-time"),
    "a date": (event(0, time="2026-09-01"), "event-time"),
    "wide digits": (event(0, time="２０２６-09-01T08:00:00Z"), "event-time"),
    "no day": (event(0, time="2026-02-30T08:00:00Z"), "event-time"),
    "a number": (event(0) | {"time": 1790000000}, "event-form"),
    "backwards": (event(0, until="2026-09-01T07:00:00Z"), "event-times"),
    "the future": (event(0, time="2026-10-01T00:00:00Z"), "event-future"),
    "until the future": (event(0, until="2026-10-01T00:00:00Z"), "event-future"),
    "packed nowhere": (event(0, "packed"), "event-packed"),
    "packed in a unit": (event(0, "packed", parent=name(1)), "event-parent"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_item_is_told_and_stops_no_other(line: Line, what: str) -> None:
    item, rule = WRONG[what]
    assert line.rules(event(5), item, event(6)) == ["ok", rule, "ok"]
    assert line.states() == {"allocated": 98, "commissioned": 2}
    answer = line.post(lines_of(event(7), item, event(8)), LINES).json
    assert [each.get("rule", each["outcome"]) for each in answer["results"]] == ["ok", rule, "ok"]
    told = answer["results"][1]["message"]
    assert any("\u4e00" <= char <= "\u9fff" for char in told)
    assert line.states() == {"allocated": 96, "commissioned": 4}


def test_times_out_of_order(line: Line) -> None:
    late = [event(0, time="2026-09-01T09:00:00Z"), event(0, "scrapped", "2026-09-01T08:00:00Z")]
    assert line.rules(*late) == ["ok", "event-order"]
    assert line.rules(event(0, "scrapped", "2026-09-01T10:00:00Z")) == ["ok"]
    other = event(1, time="2026-09-01T17:00:00+08:00"), event(1, time="2026-09-01T09:00:00Z")
    assert line.rules(*other) == ["ok", "unchanged"]


def test_the_clock_of_a_line_may_be_a_little_ahead(line: Line) -> None:
    ahead = line.desk.now + limits.LOT_EVENT_FUTURE_MS
    assert line.rules(event(0, time=format_instant(ahead)), event(1, time=format_instant(ahead + 1))) == [
        "ok", "event-future",
    ]  # fmt: skip


# --- bodies -----------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"5", b"null", b"[", b"\xff\xfe", b'"x"', b"[" * 100_000, b'[{"event":"scrapped"}'],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_what_is_no_array_is_refused_whole(line: Line, body: bytes) -> None:
    before = line.rows()
    answer = line.post(body)
    assert answer.status == STATUSES[Outcome.MALFORMED].http
    assert answer.json["detail"]
    assert line.rows() == before


ITEMS = [event(index) for index in range(8)]


@settings(max_examples=60)
@given(st.integers(0, len(json.dumps(ITEMS)) - 1))
def test_an_array_that_was_cut_is_refused_whole(cut: int) -> None:
    """Wherever that was."""
    line = Line()
    before = line.rows()
    assert line.post(json.dumps(ITEMS).encode()[:cut]).status == STATUSES[Outcome.MALFORMED].http
    assert line.rows() == before


@settings(max_examples=60)
@given(st.integers(0, len(lines_of(*ITEMS))))
def test_lines_that_were_cut_are_taken_as_far_as_they_go(cut: int) -> None:
    """The last one is told; all of it again adds the rest and doubles nothing. With a digest nothing of it is taken."""
    line = Line()
    body = lines_of(*ITEMS)
    before = line.rows()
    refused = line.post(body[:cut], LINES | digest_of(body))
    if cut < len(body):
        assert (refused.status, refused.rule) == (STATUSES[Outcome.MALFORMED].http, "event-digest")
        assert line.rows() == before
    else:
        assert refused.status == 200
    answer = line.post(body[:cut], LINES)
    whole = cut + 1 >= len(body) or body[cut - 1 : cut + 1].strip() in (b"}", b"{", b"")
    assert ("rule" in (answer.json["results"] or [{}])[-1]) is not whole or cut == 0
    again = line.post(body, LINES | digest_of(body)).json
    assert sum(again["counts"].values()) == len(ITEMS)
    assert set(again["counts"]) <= {"ok", "unchanged"}
    assert line.states() == {"allocated": 92, "commissioned": 8}
    history = line.ask("GET", f"/v1/units/{name(0)}").json["history"]
    assert len(history) == 1


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("sha-256=:AAAA:", False), ("sha-256=:!!!!:", False), ("sha-256=", False), ("sha-256=::", False), ("x", False),
        ("md5=:AAAA:", True), ("sha-256=:" + "A" * 43 + "=:", False), ("", True),
        ("md5=:AAAA:, SHA-256=:AAAA:", False),
    ],
)  # fmt: skip
def test_a_digest_is_read_or_refused(line: Line, text: str, taken: bool) -> None:
    """One of another algorithm is passed over (RFC 9530 §2), what looks like one of ours never."""
    body = json.dumps(ITEMS).encode()
    before = line.rows()
    answer = line.post(body, ARRAY | {"content-digest": text})
    assert (answer.status == 200) is taken
    assert taken or (answer.status == STATUSES[Outcome.MALFORMED].http and line.rows() == before)
    assert (
        line.post(body, ARRAY | {"content-digest": f"sha-512=:AAAA:, {digest_of(body)['content-digest']}"}).status
        == 200
    )


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "", "application/json5"])
def test_another_media_type_is_not_taken(line: Line, media: str) -> None:
    answer = line.post(json.dumps(ITEMS).encode(), {"content-type": media})
    assert answer.status == STATUSES[Outcome.MEDIA_TYPE].http
    assert line.states() == {"allocated": 100}


@pytest.mark.parametrize("headers", [LINES, ARRAY, {"content-type": "application/jsonl; charset=utf-8"}])
def test_ten_thousand_items_and_not_one_more(line: Line, headers: dict[str, str]) -> None:
    lines = "x-ndjson" in headers["content-type"] or "jsonl" in headers["content-type"]
    items = [event(0)] * limits.BATCH_ITEMS_MAX
    body = lines_of(*items) if lines else json.dumps(items).encode()
    assert line.post(body, headers).json["counts"] == {"ok": 1, "unchanged": limits.BATCH_ITEMS_MAX - 1}
    items += [event(1)]
    answer = line.post(lines_of(*items) if lines else json.dumps(items).encode(), headers)
    assert answer.status == STATUSES[Outcome.TOO_LARGE].http
    assert line.states() == {"allocated": 99, "commissioned": 1}


def test_an_empty_batch_is_one(line: Line) -> None:
    for body, headers in ((b"[]", ARRAY), (b"", LINES), (b"\n\r\n \n", LINES)):
        answer = line.post(body, headers)
        assert (answer.status, answer.json["results"], answer.json["counts"]) == (200, [], {})


# --- once -------------------------------------------------------------------


def test_a_batch_with_a_key_is_answered_as_before(line: Line) -> None:
    """Even where its items would end otherwise by now; another body with that key is a conflict."""
    body = json.dumps([event(0), event(0, "scrapped", "2026-09-01T09:00:00Z"), event(1) | {"event": "x"}]).encode()
    first = line.post(body, ARRAY | {"idempotency-key": "one"})
    rows = line.rows()
    again = line.post(body, ARRAY | {"idempotency-key": "one"})
    assert (again.json, line.rows()) == (first.json, rows)
    assert line.post(body, ARRAY).json != first.json
    other = line.post(b"[]", ARRAY | {"idempotency-key": "one"})
    assert other.status == STATUSES[Outcome.CONFLICT].http
    for key in ("", "x" * 65, "键", "a\tb"):
        assert line.post(body, ARRAY | {"idempotency-key": key}).status == STATUSES[Outcome.MALFORMED].http


def test_one_block_is_not_given_to_two_lines(line: Line) -> None:
    blocks = f"/v1/lots/{LOT}/blocks"
    first = line.ask("POST", blocks, {"line": "L4", "count": 50}, idempotency_key="a")
    assert (first.status, first.json["token"]) == (201, "a")
    assert line.ask("POST", blocks, {"line": "L4", "count": 50}, idempotency_key="a").json == first.json
    taken = line.ask("POST", blocks, {"line": "L5", "count": 50, "from": 0}, idempotency_key="b")
    assert (taken.status, taken.rule) == (409, "block-taken")
    assert "L4" in taken.json["detail"]
    same = line.ask("POST", blocks, {"line": "L4", "count": 50, "from": 0})
    assert (same.status, same.json) == (200, first.json)
    short = line.ask("POST", blocks, {"line": "L5", "count": 80}, idempotency_key="c").json
    assert (short["from"], short["count"]) == (50, 50)
    assert line.ask("POST", blocks, {"line": "L6", "count": 1}).rule == "block-none"
    assert line.ask("GET", f"/v1/lots/{LOT}").json["allocated"] == 100
    line.desk.now = Millis(line.desk.now + limits.IDEMPOTENCY_KEPT_MS + 1)
    later = line.ask("POST", blocks, {"line": "L4", "count": 50}, idempotency_key="a")
    assert (later.status, later.json) == (200, first.json)  # for ever, and not only as long as answers are kept


@pytest.mark.parametrize("body", [{"line": "L4"}, {"line": "L4", "count": 0}, {"line": "L4", "count": "５"},
                                  {"line": "L4", "count": 5, "from": -1}, {"count": 5}, {"line": "", "count": 5},
                                  {"line": "a\nb", "count": 5}, {"line": "L4", "count": 2**63}, [], 5])  # fmt: skip
def test_a_wrong_question_for_a_block(line: Line, body: object) -> None:
    before = line.rows()
    answer = line.ask("POST", f"/v1/lots/{LOT}/blocks", body)
    assert answer.status in (STATUSES[Outcome.INVALID_VALUE].http, STATUSES[Outcome.MALFORMED].http)
    assert answer.rule
    assert line.rows() == before


def test_a_lot_over_http(line: Line) -> None:
    form = {"lot": "88.118/L3", "product": PRODUCT, "count": 10}
    answer = line.ask("POST", "/v1/lots", form, idempotency_key="one")
    assert answer.status == 201
    assert line.ask("POST", "/v1/lots", form, idempotency_key="one").json == answer.json
    refused = line.ask("POST", "/v1/lots", form | {"lot": "x", "count": 0, "produced": 1})
    assert (refused.status, {each["path"] for each in refused.json["faults"]}) == (
        STATUSES[Outcome.INVALID_VALUE].http,
        {"count", "produced"},
    )


@pytest.mark.parametrize("item", [{}, {"x" * 300: 1}, 5, event(0, "x"), event(0, grade="x"), event(0, place="键" * 99)])
def test_ten_thousand_wrong_items_are_all_told(line: Line, item: object) -> None:
    """The answer goes through a frame, whatever is wrong."""
    body = json.dumps([item] * limits.BATCH_ITEMS_MAX, ensure_ascii=False).encode()
    answer = line.post(body, ARRAY | {"idempotency-key": "one"})
    assert answer.json["counts"] == {"invalid-value": limits.BATCH_ITEMS_MAX}
    assert len(json.dumps(answer.json, ensure_ascii=False).encode()) < limits.FRAME_BYTES_MAX / 2
    assert line.states() == {"allocated": 100}


def test_the_history_of_a_unit_is_its_newest_events(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all events of the lot are looked at, it is said."""
    line.rules(event(0), event(1), event(0, "scrapped", "2026-09-01T09:00:00Z"))
    told = line.ask("GET", f"/v1/units/{name(0)}").json
    assert ([each["event"] for each in told["history"]], told["history_complete"]) == (
        ["commissioned", "scrapped"],
        True,
    )
    monkeypatch.setattr(limits, "LOT_HISTORY_ROWS", 1)
    told = line.ask("GET", f"/v1/units/{name(0)}").json
    assert ([each["event"] for each in told["history"]], told["history_complete"]) == (["scrapped"], False)
