"""Is every row what the others say it is? Reads only through a Snapshot.

Checked: every row of every table can be read; each record has its ready answer and
no answer stands alone; counters count; the feed has no gap and ends at the serial;
tokens and their times belong together; no key is in a table that it does not fit, and
none was made in another mode of case than the store's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from core.changes import Serial, unpack_change
from core.errors import StoreError
from core.ident.handle import HandleRules, prefix_of
from core.store.case_row import stored_case
from core.store.engine import Snapshot, Table
from core.store.prefix_rows import unpack_count, unpack_prefix
from core.store.record_rows import pack_record, record_key, unpack_handle, unpack_values
from core.store.token_rows import time_key, unpack_token

_FAULTS_MAX: Final = 100
_FEED_CHUNK: Final = 10_000


def check_store(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each fault, at most _FAULTS_MAX. Cost: reads the whole store."""
    for count, fault in enumerate(_faults(snapshot)):
        if count == _FAULTS_MAX:
            yield "more faults follow"
            return
        yield fault


def _faults(snapshot: Snapshot) -> Iterator[str]:
    for check in (_records, _prefixes, _feed, _tokens):
        yield from check(snapshot)


def _records(snapshot: Snapshot) -> Iterator[str]:
    counted: Counter[bytes] = Counter()
    try:
        rules = HandleRules(case_sensitive=stored_case(snapshot))
    except StoreError as error:
        yield error.message
        return
    for key, row in snapshot.scan(Table.RECORDS, b""):
        try:
            handle, values = unpack_handle(key, row), unpack_values(row)
            if rules.key(handle.decode()) != handle:
                raise ValueError(f"{handle!r} is no key of a handle")
            counted[prefix_of(handle)] += 1
            expected = pack_record(handle, values)
        except (StoreError, ValueError) as error:
            yield f"records {key!r}: {error}"
            continue
        if record_key(handle) != key:
            yield f"records {key!r}: holds the record of {handle!r}"
        if expected.record != row or snapshot.get(Table.ANSWERS, key) != expected.answer:
            yield f"answers {key!r}: not what the record says"
    for key, _ in snapshot.scan(Table.ANSWERS, b""):
        if snapshot.get(Table.RECORDS, key) is None:
            yield f"answers {key!r}: no record belongs to it"
    yield from _counters(snapshot, counted)


def _counters(snapshot: Snapshot, counted: Counter[bytes]) -> Iterator[str]:
    for prefix, row in snapshot.scan(Table.COUNTERS, b""):
        try:
            count = unpack_count(row)
        except StoreError as error:
            yield f"counters {prefix!r}: {error.message}"
            continue
        if count != counted.pop(prefix, 0):
            yield f"counters {prefix!r}: says {count}, which is not the number of records"
    for prefix, count in counted.items():
        yield f"counters {prefix!r}: missing, there are {count} records"


def _prefixes(snapshot: Snapshot) -> Iterator[str]:
    for prefix, row in snapshot.scan(Table.PREFIXES, b""):
        try:
            unpack_prefix(row)
        except StoreError as error:
            yield f"prefixes {prefix!r}: {error.message}"


def _feed(snapshot: Snapshot) -> Iterator[str]:
    expected: int | None = None
    after = Serial(0)
    while rows := snapshot.feed(after, _FEED_CHUNK):
        for serial, row in rows:
            if expected is not None and serial != expected:
                yield f"changes: {serial} follows {expected - 1}"
            expected = serial + 1
            try:
                unpack_change(row)
            except StoreError as error:
                yield f"changes {serial}: {error.message}"
        after = rows[-1][0]
    if after != snapshot.serial():
        yield f"changes: the last is {after}, the serial is {snapshot.serial()}"


def _tokens(snapshot: Snapshot) -> Iterator[str]:
    tokens = 0
    for key, row in snapshot.scan(Table.TOKENS, b""):
        tokens += 1
        try:
            at_ms = unpack_token(row).at_ms
        except StoreError as error:
            yield f"tokens {key.hex()}: {error.message}"
            continue
        if snapshot.get(Table.TOKEN_TIMES, time_key(at_ms, key)) is None:
            yield f"tokens {key.hex()}: its time is missing"
    times = sum(1 for _ in snapshot.scan(Table.TOKEN_TIMES, b""))
    if times != tokens:
        yield f"token_times: {times} rows for {tokens} tokens"
