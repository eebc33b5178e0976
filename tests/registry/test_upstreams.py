"""Upstreams, connected and disconnected by the registrar: one row a key."""

from __future__ import annotations

import pytest

from core import limits
from core.clock import format_utc
from core.errors import Outcome
from core.signature import key_id
from core.store.engine import Table
from core.store.upstream_rows import Upstream, upstreams
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream
from tests.kit.governance import ANNA, Office, person

KEY = bytes(range(32))
ID = key_id(KEY)
URL = "https://top.example.cn"


def connected(office: Office) -> dict[str, Upstream]:
    with office.store.snapshot() as snapshot:
        return dict(upstreams(snapshot))


def test_connecting_is_a_row_and_an_entry() -> None:
    """With its key, address and name; it is told back, and stands in the journal and the log of changes."""
    office = Office()
    result = office.ask(ConnectUpstream("HTTPS://Top.Example.CN/api/", KEY, " 国家顶级节点 "))
    assert (result.outcome, result.handle) == (Outcome.CREATED, ID)
    assert connected(office) == {ID: Upstream(f"{URL}/api", KEY, "国家顶级节点", office.now)}
    told = office.do(ConnectUpstream(f"{URL}/api", KEY, "国家顶级节点"))
    at = format_utc((office.now - 1_000) // 1_000)
    assert told == {"id": ID, "url": f"{URL}/api", "name": "国家顶级节点", "connected": at}
    entry = office.journal()[-2]
    assert (entry.action, entry.object, entry.reason) == ("upstream.connect", ID, "HTTPS://Top.Example.CN/api/")
    assert office.feed()[-1:] == Office().feed()[-1:]  # nothing that is owed has changed


def test_the_same_key_gets_another_address() -> None:
    """It is the same upstream, connected since then; an address may be that of two."""
    office = Office()
    office.do(ConnectUpstream(URL, KEY, "a"))
    since = office.now
    result = office.ask(ConnectUpstream("http://[::1]:9000", KEY))
    assert result.outcome is Outcome.OK
    assert connected(office) == {ID: Upstream("http://[::1]:9000", KEY, "", since)}
    office.do(ConnectUpstream("http://[::1]:9000", b"x" * 32))
    assert len(connected(office)) == 2


def test_disconnecting_takes_the_row_away() -> None:
    """Once; of another one nothing changes, and connecting it again is a new beginning."""
    office = Office()
    for key in (KEY, b"x" * 32):
        office.do(ConnectUpstream(URL, key))
    before = connected(office)
    told = office.do(DisconnectUpstream(ID))
    assert told["id"] == ID
    assert connected(office) == {other: row for other, row in before.items() if other != ID}
    entry = office.journal()[-1]
    assert (entry.action, entry.object) == ("upstream.disconnect", ID)
    again = office.ask(DisconnectUpstream(ID))
    assert (again.outcome, again.rule) == (Outcome.NOT_FOUND, "upstream-not-found")
    assert office.ask(ConnectUpstream(URL, KEY)).outcome is Outcome.CREATED
    assert connected(office)[ID].connected_ms == office.now


def test_one_group_sees_what_it_staged() -> None:
    """So many at most, whatever one group brings; one that is connected is changed when there is room for no other."""
    office = Office()
    keys = [bytes([number]) * 32 for number in range(limits.UPSTREAMS_MAX + 1)]
    results = office.run(*(ConnectUpstream(URL, key) for key in keys))
    assert [result.rule for result in results] == [""] * limits.UPSTREAMS_MAX + ["upstream-count"]
    assert office.ask(ConnectUpstream(f"{URL}/x", keys[0])).done
    results = office.run(DisconnectUpstream(key_id(keys[0])), ConnectUpstream(URL, keys[-1]))
    assert all(result.done for result in results)
    assert len(connected(office)) == limits.UPSTREAMS_MAX


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (ConnectUpstream("http://top.example.cn", KEY), "upstream-url"),
        (ConnectUpstream("https://u:secret@top.example.cn", KEY), "upstream-url"),
        (ConnectUpstream("", KEY), "upstream-url"),
        (ConnectUpstream(URL, b""), "upstream-key"),
        (ConnectUpstream(URL, KEY + b"x"), "upstream-key"),
        (ConnectUpstream(URL, KEY, "x" * (limits.UPSTREAM_NAME_CHARS_MAX + 1)), "upstream-name"),
        (ConnectUpstream(URL, KEY, "a\nb"), "upstream-name"),
    ],
    ids=str,
)
def test_what_is_wrong_is_a_wrong_value(command: ConnectUpstream, rule: str) -> None:
    office = Office()
    result = office.ask(command, ANNA)
    assert (result.outcome, result.rule) == (Outcome.INVALID_VALUE, rule)
    assert "secret" not in result.message
    assert connected(office) == {}


def test_a_dry_run_connects_nothing() -> None:
    office = Office()
    before = office.dump()
    assert office.run(ConnectUpstream(URL, KEY), dry_run=True)[0].done
    assert office.dump() == before


def test_keys_of_other_tables_are_not_looked_at() -> None:
    """An id is what was asked for, whatever it looks like."""
    office = Office()
    for wrong in ("", "x" * 10_000, "../", ID.upper()):
        result = office.ask(DisconnectUpstream(wrong), person("anna"))
        assert result.rule == "upstream-not-found"
    assert office.rows(Table.UPSTREAMS) == {}
