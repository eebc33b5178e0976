"""The row of how far the logs are with a top node: round trip, total on any octets."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import StoreError
from core.store.upstream_rows import LogSent, logs_key, pack_logs, table_key, unpack_logs
from core.streams import Stream, format_log

TIME = st.integers(0, 2**32 * 1_000 - 1).map(Millis)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = st.builds(format_log, st.sampled_from(Stream), st.sampled_from(["2026-09", "2026-12", "1999-01"]))
SENT = st.builds(LogSent, st.integers(0, 2**63 - 1), TIME, st.booleans(), TEXT, TIME)
GOOD = [1, 2, True, "", 3]


@given(st.dictionaries(NAME, SENT, max_size=6))
def test_round_trip(logs: dict[str, LogSent]) -> None:
    assert unpack_logs(pack_logs(logs)) == logs
    assert pack_logs(logs) == pack_logs(dict(reversed(logs.items())))


def test_no_row_is_nothing_sent() -> None:
    """Its key is beside those of the tables, and none of them."""
    assert unpack_logs(None) == {}
    assert logs_key("ab") == b"ab/logs"
    assert logs_key("ab") not in {table_key("ab", f"T{number}") for number in range(12)}


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(b"\x01".__add__)))
def test_any_octets(octets: bytes) -> None:
    with contextlib.suppress(StoreError):
        unpack_logs(octets)


@pytest.mark.parametrize(
    "packed",
    [
        [], 1, {"change": GOOD}, {"change/2026-13": GOOD}, {"other/2026-09": GOOD}, {b"change/2026-09": GOOD},
        {"change/2026-09": GOOD[:4]}, {"change/2026-09": [*GOOD, 0]}, {"change/2026-09": 1},
        *({"change/2026-09": [*GOOD[:at], bad, *GOOD[at + 1 :]]} for at in range(5) for bad in (-1, None, b"", 2**63)),
    ],
)  # fmt: skip
def test_what_is_no_row(packed: object) -> None:
    assert unpack_logs(b"\x01" + msgpack.packb({"change/2026-09": GOOD}))
    with pytest.raises(StoreError):
        unpack_logs(b"\x01" + msgpack.packb(packed))


def test_another_version_is_none() -> None:
    with pytest.raises(StoreError):
        unpack_logs(b"\x02" + pack_logs({})[1:])
