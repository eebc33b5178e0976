"""Homing and unhoming prefixes: who may, what is served then, and what a delegated prefix is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.admission import Identity
from core.authentication import Credentials, proves
from core.changes import ChangeKind, Serial, unpack_change
from core.clock import Millis
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.records import AdminRecord, HandleValue, HashOption, Interface, ServerInfo, SiteInfo
from core.store.engine import Engine, Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from core.store.prefix_rows import unpack_count, unpack_prefix
from core.wire.admin import encode_admin, encode_group
from core.wire.site import encode_site
from registry.commands import OPERATOR, Actor, Add, Command, Delete, Home, Modify, Put, Remove, Request, Result, Unhome
from registry.service import Registry
from resolver.service import Answer, Question, Resolver

NOW = Millis(1_700_000_000_000)
LATER = Millis(NOW + 5_000)
RULES = HandleRules()
ADMIN = Identity("0.NA/88.1", 300)
ADMINS = frozenset({(RULES.key(ADMIN.handle), 300)})
STRANGER = Identity("88.1/BOB", 300)
_SERVER = ServerInfo(1, bytes(12) + b"\x0a\0\0\1", b"", (Interface(3, 1, 2641),))
SITE = encode_site(SiteInfo(1, 2, 11, 1, True, False, HashOption.BY_ALL, "", (), (_SERVER,)))


def value(index: int, kind: str, data: bytes, permissions: int = 0b1110) -> HandleValue:
    return HandleValue(index, kind, data, permissions=permissions, timestamp=NOW // 1_000)


URL = (value(1, "URL", b"https://a.example"),)


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Whatever a test did, the store is right after it."""
    engine: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(tmp_path / "store", create=True)
    yield engine
    with engine.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
    engine.close()


def run(store: Engine, *commands: Command, actor: Actor = OPERATOR, now: Millis = NOW) -> list[Result]:
    registry = Registry(store, RULES, server_admins=ADMINS, founding=True)
    return registry.run([Request(command, actor) for command in commands], now)


def ended(store: Engine, *commands: Command, actor: Actor = OPERATOR, now: Millis = NOW) -> list[Outcome]:
    return [result.outcome for result in run(store, *commands, actor=actor, now=now)]


def ask(store: Engine, handle: str, **question: bool) -> Answer:
    with store.snapshot() as snapshot:
        return Resolver(RULES).resolve(snapshot, Question(handle, **question))  # type: ignore[arg-type] # flags alone


def feed(store: Engine) -> list[tuple[ChangeKind, str]]:
    with store.snapshot() as snapshot:
        rows = [unpack_change(row) for _, row in snapshot.feed(Serial(0), 100)]
    return [(change.kind, change.identifier) for change in rows]


def homed(store: Engine) -> dict[str, tuple[str, int]]:
    with store.snapshot() as snapshot:
        rows = {key.decode(): unpack_prefix(row) for key, row in snapshot.scan(Table.PREFIXES, b"")}
    return {key: (row.hosting, row.homed_ms) for key, row in rows.items()}


# --- who may ----------------------------------------------------------------


@pytest.mark.parametrize("actor", [OPERATOR, Actor(ADMIN), Actor(Identity("88.1", 300))])
def test_the_operator_and_server_administrators_home_and_unhome(store: Engine, actor: Actor) -> None:
    """CREATED the first time, OK when nothing is to be done; each change stands in the feed once."""
    commands = (Home("88.a"), Home("88.A"), Unhome("88.a"), Unhome("88.a"), Home("88.a"))
    assert ended(store, *commands, actor=actor) == [
        Outcome.CREATED,
        Outcome.OK,
        Outcome.OK,
        Outcome.NOT_RESPONSIBLE,
        Outcome.CREATED,
    ]
    kinds = [ChangeKind.PREFIX_HOMED, ChangeKind.PREFIX_UNHOMED, ChangeKind.PREFIX_HOMED]
    assert feed(store) == [(kind, "88.A") for kind in kinds]


@pytest.mark.parametrize("command", [Home("88.1"), Home("88.2"), Home("88.1", "delegated"), Unhome("88.1")])
def test_nobody_else_does(store: Engine, command: Command) -> None:
    """Whatever right an HS_ADMIN value gives, and whether or not it would change something."""
    everything = AdminRecord(0xFFF, STRANGER.handle, 300)
    run(store, Home("88.1"), Put("0.NA/88.1", (value(100, "HS_ADMIN", encode_admin(everything)),)))
    before = feed(store)
    for actor in (Actor(STRANGER), Actor(ADMIN._replace(value_index=301))):
        result = run(store, command, actor=actor)[0]
        assert (result.outcome, result.message) == (Outcome.FORBIDDEN, "")  # the reference server says no more
    assert feed(store) == before


# --- what an unhomed prefix leaves -------------------------------------------


def test_the_records_of_an_unhomed_prefix_stay_unserved(store: Engine) -> None:
    """They are neither answered nor changed nor counted anew, and are back when the prefix is."""
    run(store, Home("88.2"), Put("88.2/A", URL), Put("0.NA/88.2", URL))
    assert ended(store, Unhome("88.2")) == [Outcome.OK]
    for handle in ("88.2/A", "0.NA/88.2", "88.2/NONE"):
        assert ask(store, handle).outcome is Outcome.NOT_RESPONSIBLE
        changes = (Put(handle, URL), Add(handle, URL), Modify(handle, URL), Remove(handle, (1,)), Delete(handle))
        assert set(ended(store, *changes)) == {Outcome.NOT_RESPONSIBLE}
    with store.snapshot() as snapshot:
        assert unpack_count(snapshot.get(Table.COUNTERS, b"88.2")) == 1
    run(store, Home("88.2"))
    assert ask(store, "88.2/A").values_json() is not None


def test_rights_that_rest_on_an_unhomed_prefix_end_with_it(store: Engine) -> None:
    """A group and a secret key in a record that is not served admit nobody, within one group of requests too."""
    alice = Identity("88.2/ALICE", 300)
    group = (value(200, "HS_VLIST", encode_group((alice,))),)
    admins = (value(100, "HS_ADMIN", encode_admin(AdminRecord(0xFFF, "88.2/TEAM", 200))),)
    key = (value(300, "HS_SECKEY", b"secret", 0b1100),)
    run(store, Home("88.1"), Home("88.2"), Put("0.NA/88.1", admins), Put("88.2/TEAM", group), Put(alice.handle, key))
    registry = Registry(store, RULES, server_admins=ADMINS, founding=True)
    requests = [
        Request(Put("88.1/A", URL), Actor(alice)),
        Request(Unhome("88.2"), OPERATOR),
        Request(Put("88.1/B", URL), Actor(alice)),
    ]
    outcomes = [result.outcome for result in registry.run(requests, NOW)]
    assert outcomes == [Outcome.CREATED, Outcome.OK, Outcome.FORBIDDEN]
    credentials = Credentials(alice, b"secret")
    for proven in (False, True):
        with store.snapshot() as snapshot:
            assert proves(credentials, Resolver(RULES).records(snapshot)) is proven
        run(store, Home("88.2"))


# --- nobody is locked out -----------------------------------------------------


def test_the_prefix_of_a_server_administrator_stays(store: Engine) -> None:
    """Its prefix handle is named: whoever asks is refused, with the name, and nothing is changed."""
    run(store, Home("88.1"), Home("88"), Home("88.2"))
    before = feed(store)
    for actor in (OPERATOR, Actor(ADMIN)):
        result = run(store, Unhome("88.1"), actor=actor)[0]
        assert result.outcome is Outcome.FORBIDDEN
        assert "handle.server_admins names 300:0.NA/88.1" in result.message
    assert feed(store) == before
    assert ended(store, Unhome("88"), Unhome("88.2")) == [Outcome.OK, Outcome.OK]


def test_so_does_the_one_prefix_that_serves_an_administrator(store: Engine) -> None:
    """A prefix above, or the prefix of a handle that is no prefix handle; a foreign administrator holds nothing."""
    own = frozenset({(RULES.key("88.5/ADM"), 1), (RULES.key("0.NA/88.6.7"), 1), (RULES.key("99/X"), 1)})
    registry = Registry(store, RULES, server_admins=own, founding=True)

    def outcomes(*commands: Command) -> list[Outcome]:
        return [result.outcome for result in registry.run([Request(each, OPERATOR) for each in commands], NOW)]

    run(store, Home("88.5"), Home("88.6"), Home("88.7"))
    assert outcomes(Unhome("88.5"), Home("88.5", "delegated"), Unhome("88.6")) == [Outcome.FORBIDDEN] * 3
    assert outcomes(Home("88.6", "delegated"), Unhome("88.7")) == [Outcome.OK, Outcome.OK]


# --- delegated prefixes -------------------------------------------------------


@pytest.fixture
def delegated(store: Engine) -> Engine:
    """88.2 is served elsewhere; its site stands in its prefix handle."""
    values = (
        value(1, "HS_SITE", SITE),
        value(2, "HS_SITE.6", SITE),
        value(3, "HS_SERV", b"0.SERV/x"),
        value(4, "HS_SITE", SITE, 0b1100),
        value(5, "HS_SITE.PREFIX", SITE),
        value(6, "URL", b"https://a.example"),
        value(7, "HS_NAMESPACE", b'<template delimiter="@"><value data="x" type="y"/></template>'),
    )
    run(store, Home("88.1"), Home("88.2"), Put("88.2/OLD", URL), Put("0.NA/88.2", values))
    assert ended(store, Home("88.2", "delegated"), Home("88.2", "delegated"), now=LATER) == [Outcome.OK, Outcome.OK]
    assert homed(store)["88.2"] == ("delegated", LATER)
    return store


@pytest.mark.parametrize("handle", ["88.2/old", "88.2/NEW", "88.2/", "88.2/a@b"])
def test_a_handle_below_a_delegated_prefix_is_referred(delegated: Engine, handle: str) -> None:
    """To the public sites of the prefix handle, whatever is here; the handle is as asked."""
    answer = ask(delegated, handle)
    assert (answer.outcome, answer.handle, answer.message) == (Outcome.SERVICE_REFERRAL, handle, "")
    assert [each.value_index for each in answer.values or ()] == [1, 2, 3]
    assert ask(delegated, handle, public_only=False) == answer
    assert ask(delegated, handle, refer=False) == Answer(Outcome.HANDLE_NOT_FOUND, handle)


def test_the_prefix_handle_itself_is_answered_and_changed_here(delegated: Engine) -> None:
    """It is what others are referred by; a prefix below a delegated one is not delegated."""
    assert ask(delegated, "0.NA/88.2").outcome is Outcome.OK
    assert ended(delegated, Add("0.NA/88.2", (value(9, "DESC", b"x"),))) == [Outcome.CREATED]
    assert ask(delegated, "88.2.1/X").outcome is Outcome.NOT_RESPONSIBLE
    above = ask(delegated, "0.NA/88.2.1")
    assert (above.outcome, [each.value_index for each in above.values or ()]) == (Outcome.PREFIX_REFERRAL, [5])


def test_a_referral_without_a_site_is_one_without_values(store: Engine) -> None:
    """The client may know the site by itself."""
    assert ended(store, Home("88.3", "delegated")) == [Outcome.CREATED]
    assert ask(store, "88.3/X") == Answer(Outcome.SERVICE_REFERRAL, "88.3/X", values=())


def test_nothing_is_written_below_a_delegated_prefix(delegated: Engine) -> None:
    """The message says where; in a batch too."""
    for command in (
        Put("88.2/OLD", URL),
        Put("88.2/N", URL),
        Add("88.2/OLD", URL),
        Modify("88.2/OLD", URL),
        Remove("88.2/OLD", (1,)),
        Delete("88.2/OLD"),
    ):
        result = run(delegated, command)[0]
        assert result.outcome is Outcome.NOT_RESPONSIBLE
        assert result.message == "That prefix is served elsewhere; ask the site in 0.NA/88.2"


def test_nobody_is_admitted_by_a_record_below_a_delegated_prefix(store: Engine) -> None:
    """Its records count no more, though they are in the store, until it is hosted again."""
    alice = Identity("88.2/ALICE", 300)
    key = (value(300, "HS_SECKEY", b"secret", 0b1100),)
    run(store, Home("88.2"), Put(alice.handle, key))
    for hosting, proven in (("hosted", True), ("delegated", False), ("hosted", True)):
        run(store, Home("88.2", hosting))
        with store.snapshot() as snapshot:
            assert proves(Credentials(alice, b"secret"), Resolver(RULES).records(snapshot)) is proven
    assert [kind for kind, _ in feed(store)].count(ChangeKind.PREFIX_HOMED) == 3
