"""The registration service: operations, groups, idempotency, batches, dry runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from core import limits
from core.admission import Identity
from core.changes import ChangeKind, Serial, unpack_change
from core.clock import Millis
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.records import HandleValue, ValueReference, Values
from core.store.engine import Batch, Engine, ExpectationError, Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from core.store.prefix_rows import unpack_count
from core.store.record_rows import unpack_answer, unpack_values
from core.store.token_rows import TIME_ROW, TokenRow, pack_token, time_key, token_key
from registry.commands import (
    OPERATOR,
    Actor,
    Add,
    Delete,
    Home,
    Modify,
    Put,
    PutBatch,
    Remove,
    Request,
    Result,
    Token,
    Unhome,
)
from registry.service import Registry

NOW = Millis(1_700_000_000_000)
LATER = Millis(NOW + 5_000)
DAY_MS = 86_400_000


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The service runs the same on every engine; whatever a test did, the store is right after it."""
    engine: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(tmp_path / "store", create=True)
    yield engine
    with engine.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
    engine.close()


@pytest.fixture
def registry(store: Engine) -> Registry:
    made = Registry(store, HandleRules(), founding=True)
    assert made.run([Request(Home("88.118.7"), OPERATOR)], NOW)[0].outcome is Outcome.CREATED
    return made


def value(index: int, text: str, kind: str = "URL", at: int = NOW // 1_000) -> HandleValue:
    return HandleValue(index, kind, text.encode(), timestamp=at)


def reference_of(size: int) -> HandleValue:
    return value(1, "a")._replace(references=(ValueReference("x" * size, 1),))


def run(registry: Registry, *commands: Any, now: Millis = NOW) -> list[Result]:
    return registry.run([Request(command, OPERATOR) for command in commands], now)


def stored(store: Engine, handle: str) -> Values | None:
    with store.snapshot() as snapshot:
        row = snapshot.get(Table.RECORDS, handle.upper().encode())
    return None if row is None else unpack_values(row)


def changes(store: Engine) -> list[tuple[int, ChangeKind, str]]:
    with store.snapshot() as snapshot:
        rows = snapshot.feed(Serial(0), 100)
    return [(serial, change.kind, change.identifier) for serial, row in rows for change in [unpack_change(row)]]


def test_one_group_sees_its_own_writes_and_is_one_run_of_serials(store: Engine, registry: Registry) -> None:
    """Create, add, modify, remove, delete, create again: in one transaction, each one change."""
    handle = "88.118.7/SKU01"
    results = run(
        registry,
        Put(handle, (value(1, "a"),)),
        Put(handle, (value(1, "b"),)),
        Add(handle, (value(2, "x", "DESC"),)),
        Modify(handle, (value(1, "c"),)),
        Remove(handle, (2,)),
        Delete(handle),
        Delete(handle),
        Put(handle, (value(1, "d"),)),
    )
    assert [result.outcome for result in results] == [
        Outcome.CREATED,
        Outcome.HANDLE_EXISTS,
        Outcome.CREATED,
        Outcome.OK,
        Outcome.OK,
        Outcome.OK,
        Outcome.HANDLE_NOT_FOUND,
        Outcome.CREATED,
    ]
    key = "88.118.7/SKU01"
    assert changes(store) == [
        (1, ChangeKind.PREFIX_HOMED, "88.118.7"),
        (2, ChangeKind.RECORD_CREATED, key),
        (3, ChangeKind.RECORD_CHANGED, key),
        (4, ChangeKind.RECORD_CHANGED, key),
        (5, ChangeKind.RECORD_CHANGED, key),
        (6, ChangeKind.RECORD_DELETED, key),
        (7, ChangeKind.RECORD_CREATED, key),
    ]
    assert stored(store, handle) == (value(1, "d"),)


def test_what_changes_nothing_is_no_change(store: Engine, registry: Registry) -> None:
    """An equal record leaves timestamp, serial and feed alone."""
    run(registry, Put("88.118.7/A", (value(1, "a"),)))
    before = changes(store)
    again = (value(1, "a", at=LATER // 1_000),)
    assert run(registry, Put("88.118.7/a", again, overwrite=True), now=LATER)[0].outcome is Outcome.OK
    assert changes(store) == before
    assert stored(store, "88.118.7/A") == (value(1, "a"),)


def test_values_keep_the_order_that_the_operation_defines(store: Engine, registry: Registry) -> None:
    """Creation and replacement keep the order as sent, adding leaves it by index."""
    run(registry, Put("88.118.7/O", tuple(value(n, "v") for n in (9, 2, 5, 100))))
    assert [each.value_index for each in stored(store, "88.118.7/O") or ()] == [9, 2, 5, 100]
    run(registry, Add("88.118.7/O", (value(3, "v"),)))
    assert [each.value_index for each in stored(store, "88.118.7/O") or ()] == [2, 3, 5, 9, 100]
    run(registry, Put("88.118.7/O", tuple(value(n, "v") for n in (9, 2, 100, 7)), overwrite=True))
    assert [each.value_index for each in stored(store, "88.118.7/O") or ()] == [9, 2, 100, 7]


def test_minting_appends_a_random_suffix(store: Engine, registry: Registry) -> None:
    """Two requests for the same stem make two handles."""
    first, second = run(
        registry, Put("88.118.7/M-", (value(1, "a"),), mint=True), Put("88.118.7/M-", (value(1, "a"),), mint=True)
    )
    assert first.handle != second.handle
    assert first.handle.startswith("88.118.7/M-")
    assert stored(store, first.handle) is not None


def test_a_result_says_whether_something_was_replaced(registry: Registry) -> None:
    """By Put a record, by Add at least one value; be it by the same again."""
    handle, one, two = "88.118.7/R", value(1, "a"), value(2, "b")
    commands = [
        (Put(handle, (one,)), False),
        (Put(handle, (one,), overwrite=True), True),
        (Put(handle, (two,), overwrite=True), True),
        (Put(handle, (two,)), False),
        (Add(handle, (one,), overwrite=True), False),
        (Add(handle, (one,), overwrite=True), True),
        (Add(handle, (one, value(3, "c")), overwrite=True), True),
        (Modify(handle, (one,)), False),
        (Put("88.118.7/M-", (one,), overwrite=True, mint=True), False),
    ]
    assert [result.replaced for result in run(registry, *(each for each, _ in commands))] == [r for _, r in commands]


def test_a_token_remembers_what_was_replaced(store: Engine, registry: Registry) -> None:
    """Also a row of before a result said it is read."""
    run(registry, Put("88.118.7/T", (value(1, "a"),)))
    request = Request(Put("88.118.7/T", (value(1, "b"),), overwrite=True), OPERATOR, Token("t", b"d"))
    first = registry.run([request], NOW)[0]
    assert first.replaced
    assert registry.run([request], LATER) == [first]
    old = TokenRow(b"d", NOW, msgpack.packb(("created", "88.118.7/OLD", "", b"")))
    batch = Batch()
    key = token_key("operator", "old")
    batch.put(Table.TOKENS, key, pack_token(old))
    batch.put(Table.TOKEN_TIMES, time_key(NOW, key), TIME_ROW)
    store.commit(batch)
    request = request._replace(token=Token("old", b"d"))
    assert registry.run([request], LATER) == [Result(Outcome.CREATED, "88.118.7/OLD")]


@pytest.mark.parametrize(
    ("command", "outcome", "message"),
    [
        (Put("88.118.8/X", (value(1, "a"),)), Outcome.NOT_RESPONSIBLE, "That prefix doesn't live here"),
        (Put("88.118.7.1/X", (value(1, "a"),)), Outcome.NOT_RESPONSIBLE, "That prefix doesn't live here"),
        (Put("88.118.8/X", (value(0, "a"),)), Outcome.NOT_RESPONSIBLE, "That prefix doesn't live here"),
        (Put("88.118.7/X", (value(0, "a"),)), Outcome.INVALID_VALUE, "Value indexes must be positive"),
        (Put("88.118.7/X", (value(1, "a"), value(1, "b"))), Outcome.VALUE_EXISTS, "Index conflict for 1"),
        (Put("", ()), Outcome.INVALID_HANDLE, "Empty handle invalid"),
        (Put("88..7/X", ()), Outcome.INVALID_HANDLE, "empty segment"),
        (Put("88.118.7/\x00", ()), Outcome.INVALID_HANDLE, "control character"),
        (Put("88.118.7/" + "x" * 300, ()), Outcome.INVALID_HANDLE, "at most 255"),
        (Put("88.118.7/X", (value(1, "a", ""),)), Outcome.INVALID_VALUE, "no type"),
        (Put("88.118.7/X", (value(1, "a" * 300_000),)), Outcome.TOO_LARGE, "octets"),
        (Put("88.118.7/X", (value(1, "a")._replace(permissions=16),)), Outcome.INVALID_VALUE, "nobody knows"),
        (Put("88.118.7/X", (reference_of(900_000),)), Outcome.TOO_LARGE, "octets"),
        (Put("88.118.7/X", (value(1, "s", "HS_SECKEY"),)), Outcome.INVALID_VALUE, "1100"),
        (Put("88.118.7/X", tuple(value(n, "") for n in range(1, 2_050))), Outcome.TOO_LARGE, "2048 values"),
        (Add("88.118.7/NONE", (value(1, "a"),)), Outcome.HANDLE_NOT_FOUND, ""),
        (Add("88.118.7/NONE", ()), Outcome.INVALID_VALUE, "Value list was empty"),
        (Modify("88.118.7/NONE", ()), Outcome.HANDLE_NOT_FOUND, ""),
        (Remove("88.118.7/HERE", (7,)), Outcome.VALUE_NOT_FOUND, ""),
        (Modify("88.118.7/HERE", (value(7, "a"),)), Outcome.VALUE_NOT_FOUND, ""),
        (Add("88.118.7/HERE", (value(1, "b"),)), Outcome.VALUE_EXISTS, "Index conflict for 1"),
        (Home("88 1"), Outcome.INVALID_HANDLE, "blank"),
        (Home("88.1", "lent"), Outcome.INVALID_VALUE, "hosting 'lent' is none of hosted, delegated"),
        (Unhome("88 1"), Outcome.INVALID_HANDLE, "blank"),
        (Unhome("88.1"), Outcome.NOT_RESPONSIBLE, "That prefix doesn't live here"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    store: Engine, registry: Registry, command: Any, outcome: Outcome, message: str
) -> None:
    """Whatever is wrong."""
    run(registry, Put("88.118.7/HERE", (value(1, "a"),)))
    before = changes(store)
    result = run(registry, command)[0]
    assert result.outcome is outcome
    assert message in result.message
    assert changes(store) == before


def test_a_dry_run_decides_and_writes_nothing(store: Engine, registry: Registry) -> None:
    """The same answer, no change, no token."""
    before = changes(store)
    request = Request(Put("88.118.7/D", (value(1, "a"),)), OPERATOR, Token("t", b"d"), dry_run=True)
    assert registry.run([request], NOW)[0].outcome is Outcome.CREATED
    assert changes(store) == before
    assert stored(store, "88.118.7/D") is None
    with store.snapshot() as snapshot:
        assert list(snapshot.scan(Table.TOKENS, b"")) == []


# --- idempotency ---


def put_with(token: str, digest: bytes, handle: str = "88.118.7/T", actor: Actor = OPERATOR) -> Request:
    return Request(Put(handle, (value(1, "a"),)), actor, Token(token, digest))


def test_a_known_token_gets_the_first_answer_again(store: Engine, registry: Registry) -> None:
    """In the same group, and later; nothing is done twice."""
    first, second = registry.run([put_with("t", b"d"), put_with("t", b"d")], NOW)
    assert (first.outcome, second) == (Outcome.CREATED, first)
    assert registry.run([put_with("t", b"d")], LATER) == [first]
    assert len(changes(store)) == 2


def test_a_token_for_another_request_is_a_conflict(registry: Registry) -> None:
    """The same key with another body."""
    registry.run([put_with("t", b"d")], NOW)
    assert registry.run([put_with("t", b"other")], NOW)[0].outcome is Outcome.CONFLICT


def test_two_who_ask_share_no_token(registry: Registry) -> None:
    """The token belongs to who sent it."""
    stranger = Actor(Identity("88.118.7/ADM", 1))
    registry.run([put_with("t", b"d")], NOW)
    assert registry.run([put_with("t", b"d", "88.118.7/U", stranger)], NOW)[0].outcome is Outcome.FORBIDDEN


def test_tokens_end_after_thirty_days_and_are_removed(store: Engine, registry: Registry) -> None:
    """An old token is taken as new, and old rows go as new ones come."""
    for number in range(20):
        registry.run([put_with(f"t{number}", b"d", f"88.118.7/T{number}")], NOW)
    later = Millis(NOW + limits.IDEMPOTENCY_KEPT_MS + 1)
    assert registry.run([put_with("t0", b"other", "88.118.7/T0")], later)[0].outcome is Outcome.HANDLE_EXISTS
    for number in range(3):
        registry.run([put_with(f"new{number}", b"d", "88.118.7/N")], Millis(later + DAY_MS))
    with store.snapshot() as snapshot:
        assert len(list(snapshot.scan(Table.TOKENS, b""))) == 4
        assert len(list(snapshot.scan(Table.TOKEN_TIMES, b""))) == 4


def test_an_expired_token_that_comes_again_is_not_swept(store: Engine, registry: Registry) -> None:
    """In one group with others; the fixture's fsck finds a token without its time."""
    registry.run([put_with("old", b"d", "88.118.7/OLD")], NOW)
    later = Millis(NOW + limits.IDEMPOTENCY_KEPT_MS + 1)
    again = put_with("old", b"new", "88.118.7/OLD2")
    first, _ = registry.run([again, put_with("other", b"d", "88.118.7/OTHER")], later)
    assert registry.run([again], later) == [first]


def test_more_tokens_go_than_come(store: Engine, registry: Registry) -> None:
    """Also in one group of many."""
    registry.run([put_with(f"t{number}", b"d", f"88.118.7/T{number}") for number in range(100)], NOW)
    later = Millis(NOW + limits.IDEMPOTENCY_KEPT_MS + 1)
    registry.run([put_with(f"n{number}", b"d", f"88.118.7/N{number}") for number in range(10)], later)
    with store.snapshot() as snapshot:
        assert len(list(snapshot.scan(Table.TOKENS, b""))) == 100 + 10 - 10 * limits.IDEMPOTENCY_SWEEP


def test_one_identity_has_one_name(registry: Registry) -> None:
    """A token is found however its owner is spelt."""
    registry.run([put_with("t", b"d", actor=Actor(Identity("0.na/x", 1)))], NOW)
    again = registry.run([put_with("t", b"other", actor=Actor(Identity("0.NA/X", 1)))], NOW)
    assert again[0].outcome is Outcome.CONFLICT


def test_the_registrar_stamps_values(store: Engine, registry: Registry) -> None:
    """Whatever time a request gives; an unchanged value keeps its own, at whatever second it comes."""
    run(registry, Put("88.118.7/S", (value(1, "a", at=5),)))
    assert stored(store, "88.118.7/S") == (value(1, "a"),)
    before = changes(store)
    for at in (0, 5, NOW // 1_000 + 4):
        run(registry, Put("88.118.7/S", (value(1, "a", at=at),), overwrite=True), now=LATER)
    assert changes(store) == before


def test_an_answer_that_may_change_by_itself_is_not_kept(store: Engine) -> None:
    """A store that cannot write leaves no token: the request may be repeated."""
    failing = _Failing(store)
    registry = Registry(failing, HandleRules(), founding=True)
    registry.run([Request(Home("88.118.7"), OPERATOR)], NOW)
    failing.fails = limits.COMMIT_TRIES_MAX
    assert registry.run([put_with("t", b"d")], NOW)[0].outcome is Outcome.OVERLOADED
    assert registry.run([put_with("t", b"d")], NOW)[0].outcome is Outcome.CREATED


class _Failing:
    """A store in which another process is faster, a few times."""

    def __init__(self, store: Engine) -> None:
        self._store = store
        self.fails = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, batch: Batch) -> Serial:
        if self.fails:
            self.fails -= 1
            raise ExpectationError("faster")
        return self._store.commit(batch)


def test_a_group_that_lost_a_race_is_decided_again(store: Engine) -> None:
    """Another process wrote between snapshot and commit: the second try succeeds."""
    failing = _Failing(store)
    registry = Registry(failing, HandleRules(), founding=True)
    registry.run([Request(Home("88.118.7"), OPERATOR)], NOW)
    failing.fails = limits.COMMIT_TRIES_MAX - 1
    assert run(registry, Put("88.118.7/R", (value(1, "a"),)))[0].outcome is Outcome.CREATED


# --- batches ---


def record(handle: str, url: str = "https://a.example") -> dict[str, Any]:
    return {"handle": handle, "values": [{"index": 1, "type": "URL", "data": url}]}


def batch_of(items: list[Any], **options: Any) -> PutBatch:
    return PutBatch(json.dumps(items).encode(), lines=False, **options)


def test_each_item_of_a_batch_ends_on_its_own(store: Engine, registry: Registry) -> None:
    """Right and wrong ones side by side, in order, with counts."""
    items = [
        record("88.118.7/A"),
        record("99.1/X"),
        {"handle": "88.118.7/B"},
        record("88.118.7/A", "https://b.example"),
        {"handle": "88.118.7/C", "values": [{"index": 2**40, "type": "X", "data": ""}]},
        17,
        record("88.118.7/D"),
    ]
    answer = json.loads(run(registry, batch_of(items))[0].body)
    assert [item["outcome"] for item in answer["results"]] == [
        "created",
        "not-responsible",
        "malformed",
        "ok",
        "malformed",
        "malformed",
        "created",
    ]
    assert [item["identifier"] for item in answer["results"]] == [
        "88.118.7/A", "99.1/X", None, "88.118.7/A", "88.118.7/C", None, "88.118.7/D",
    ]  # fmt: skip
    assert "values" in answer["results"][2]["message"]
    assert answer["counts"] == {"created": 2, "not-responsible": 1, "malformed": 3, "ok": 1}
    with store.snapshot() as snapshot:
        assert unpack_count(snapshot.get(Table.COUNTERS, b"88.118.7")) == 2
        row = snapshot.get(Table.ANSWERS, b"88.118.7/A")
    assert row is not None
    assert b"https://b.example" in unpack_answer(row).values_json


def test_a_bad_line_is_one_refusal_a_bad_array_is_all(registry: Registry) -> None:
    """Of JSON lines each ends on its own; of an array nobody knows where the items end."""
    lines = b"\n".join([json.dumps(record("88.118.7/L1")).encode(), b"{broken", b"", b"\xff", b"[" * 5_000])
    answer = json.loads(run(registry, PutBatch(lines, lines=True))[0].body)
    assert [item["outcome"] for item in answer["results"]] == ["created", "malformed", "malformed", "malformed"]
    result = run(registry, PutBatch(b'[{"handle":"88.118.7/L2","values":[]},', lines=False))[0]
    assert result.outcome is Outcome.MALFORMED


def test_items_of_json_lines_are_lines(registry: Registry) -> None:
    """Two documents on one line, or one over two, are wrong lines; they move no other item."""
    one = json.dumps(record("88.118.7/P1"))
    lines = f"{one}{one}\n{json.dumps(record('88.118.7/P2'))}\n{one[:10]}\n{one[10:]}\n".encode()
    answer = json.loads(run(registry, PutBatch(lines, lines=True))[0].body)
    assert [item["outcome"] for item in answer["results"]] == ["malformed", "created", "malformed", "malformed"]


def test_a_batch_of_too_many_is_refused_whole(store: Engine, registry: Registry) -> None:
    """Before anything is done."""
    before = changes(store)
    result = run(registry, batch_of([record("88.118.7/X")] * (limits.BATCH_ITEMS_MAX + 1)))[0]
    assert result.outcome is Outcome.TOO_LARGE
    assert changes(store) == before


def test_a_batch_may_refuse_what_exists(registry: Registry) -> None:
    """overwrite=false."""
    run(registry, batch_of([record("88.118.7/A")]))
    answer = json.loads(run(registry, batch_of([record("88.118.7/A"), record("88.118.7/B")], overwrite=False))[0].body)
    assert answer["counts"] == {"handle-exists": 1, "created": 1}


def test_rights_follow_the_records_within_one_batch(registry: Registry) -> None:
    """An item that takes the sender's own right away ends it for the items behind it."""
    group = {"handle": "0.NA/88.118.7", "index": 200, "permissions": "1" * 12}
    admin = {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value": group}}
    members = [{"handle": "0.NA/88.118.7", "index": 301}]
    vlist = {"index": 200, "type": "HS_VLIST", "data": {"format": "vlist", "value": members}}
    empty = {"index": 200, "type": "HS_VLIST", "data": {"format": "vlist", "value": []}}
    run(registry, batch_of([{"handle": "0.NA/88.118.7", "values": [admin, vlist]}]))
    items = [
        record("88.118.7/BEFORE"),
        {"handle": "0.NA/88.118.7", "values": [admin, empty]},
        record("88.118.7/AFTER"),
    ]
    sender = Actor(Identity("0.NA/88.118.7", 301))
    answer = json.loads(registry.run([Request(batch_of(items), sender)], NOW)[0].body)
    assert [item["outcome"] for item in answer["results"]] == ["created", "ok", "forbidden"]
