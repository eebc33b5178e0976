"""A suspended prefix: nothing below it is answered, changed or believed, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.admission import Identity
from core.authentication import Credentials, proves
from core.clock import Millis
from core.errors import Outcome, ResponsibilityError
from core.events import Via
from core.ident.handle import HandleRules
from core.records import HandleValue, SiteInfo
from core.store.engine import Engine, Table
from core.store.fsck import check_store
from core.store.homing import STOPPED, hosting_of, require_served, serves
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from core.store.prefix_rows import HOSTINGS
from core.wire.http import Request as HttpRequest
from core.wire.http import Response
from registry.commands import OPERATOR, Add, Command, Delete, Home, Modify, Put, Remove, Request, Result
from registry.service import Registry
from resolver.browser import Browser
from resolver.json_api import JsonApi
from resolver.plain import PlainReads
from resolver.quick import QuickResolver
from resolver.service import Answer, Question, Resolver
from tests.kit.logs import MemorySpool, NoLog, at_once
from tests.kit.prefixes import suspend

NOW = Millis(1_700_000_000_000)
RULES = HandleRules()
URL = (HandleValue(1, "URL", b"https://a.example"),)
HELD = ("88.2/A", "88.2/a", "88.2/NONE", "88.2/", "88.3/A")
SITE = SiteInfo(1, 2, 11, 7, True, False, 2, "", (), ())
PEER = bytes.fromhex("0fa0c0000201")


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """88.2 hosts a record, 88.3 is delegated, 88.2.1 is below; the first two are suspended in the tests."""
    engine: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(tmp_path / "store", create=True)
    made = run(
        engine, Home("88.1"), Home("88.2"), Home("88.2.1"), Home("88.3", "delegated"),
        *(Put(handle, URL) for handle in ("88.1/A", "88.2/A", "88.2.1/A", "0.NA/88.2", "0.NA/88.3")),
    )  # fmt: skip
    assert all(result.done for result in made)
    yield engine
    with engine.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
    engine.close()


def run(store: Engine, *commands: Command) -> list[Result]:
    return Registry(store, RULES, founding=True).run([Request(command, OPERATOR) for command in commands], NOW)


def ask(store: Engine, handle: str, **question: object) -> Answer:
    with store.snapshot() as snapshot:
        return Resolver(RULES).resolve(snapshot, Question(handle, **question))  # type: ignore[arg-type] # as the test says


def rows(store: Engine) -> dict[Table, list[tuple[bytes, bytes]]]:
    with store.snapshot() as snapshot:
        tables = [table for table in Table if table not in (Table.JOURNAL, Table.LOG_QUEUE, Table.META)]
        return {table: list(snapshot.scan(table, b"")) for table in tables}


def hold(store: Engine, *, suspended: bool = True) -> None:
    suspend(store, "88.2", suspended=suspended)
    suspend(store, "88.3", suspended=suspended)


@pytest.mark.parametrize("handle", HELD)
def test_what_is_below_it_is_held(store: Engine, handle: str) -> None:
    """Whether or not there is such a record, hosted or delegated, however it is asked; without a word of values."""
    before = ask(store, handle)
    hold(store)
    for want, public, refer in itertools.product(("json", "wire", "values"), (True, False), (True, False)):
        answer = ask(store, handle, want=want, public_only=public, refer=refer)
        assert answer == Answer(Outcome.HELD, handle)
        assert answer.values_json() is None
    hold(store, suspended=False)
    assert ask(store, handle) == before


@pytest.mark.parametrize("handle", ["0.NA/88.2", "0.NA/88.3", "0.na/88.2", "0.NA/88.2.9"])
def test_its_prefix_handle_is_not_told(store: Engine, handle: str) -> None:
    """It may name a node that answers on. What proves somebody by it still does, and it can be changed."""
    before = ask(store, handle)
    hold(store)
    assert ask(store, handle) == Answer(Outcome.HELD, handle)
    assert run(store, Put(handle, URL, overwrite=True))[0].done
    hold(store, suspended=False)
    assert before.outcome in (Outcome.OK, Outcome.HANDLE_NOT_FOUND)
    assert ask(store, handle).outcome is Outcome.OK


@pytest.mark.parametrize("handle", ["88.1/A", "88.2.1/A", "0.NA/88.2.1"])
def test_all_else_is_answered(store: Engine, handle: str) -> None:
    """Prefixes below it that are homed by themselves."""
    if handle.startswith("0.NA"):
        run(store, Put(handle, URL))
    before = ask(store, handle)
    hold(store)
    assert before.outcome is Outcome.OK
    assert ask(store, handle) == before
    assert run(store, Put(handle, URL, overwrite=True))[0].done


def test_suspended_is_no_way_to_host() -> None:
    """No row and no command may say it in the place of hosted or delegated."""
    assert STOPPED not in HOSTINGS
    assert run(MemoryEngine(), Home("88.1", STOPPED))[0].outcome is Outcome.INVALID_VALUE


def test_it_serves_nothing(store: Engine) -> None:
    """The one answer that all who ask for a record go by."""
    hold(store)
    with store.snapshot() as snapshot:
        for key in (b"88.2/A", b"88.3/A"):
            assert hosting_of(snapshot, key, root=False) == STOPPED
            assert not serves(snapshot, key, root=False)
            with pytest.raises(ResponsibilityError, match="suspended") as caught:
                require_served(snapshot, key, root=False)
            assert caught.value.ended is Outcome.HELD
        assert serves(snapshot, b"0.NA/88.2", root=False)


def test_nothing_below_it_is_changed(store: Engine) -> None:
    """Every write ends as held, and says why; the rows are what they were."""
    hold(store)
    before = rows(store)
    for command in (
        Put("88.2/A", URL), Put("88.2/NEW", URL), Add("88.2/A", (HandleValue(2, "DESC", b"x"),)),
        Modify("88.2/A", URL), Remove("88.2/A", (1,)), Delete("88.2/A"), Put("88.3/A", URL),
    ):  # fmt: skip
        result = run(store, command)[0]
        assert (result.outcome, result.message) == (Outcome.HELD, "该前缀已暂停。That prefix is suspended")
    assert rows(store) == before


def test_nobody_is_admitted_by_a_record_below_it(store: Engine) -> None:
    """A key there proves nothing until the prefix is resumed."""
    alice = Identity("88.2/ALICE", 300)
    run(store, Put(alice.handle, (HandleValue(300, "HS_SECKEY", b"secret", permissions=0b1100),)))
    for suspended, proven in ((False, True), (True, False), (False, True)):
        hold(store, suspended=suspended)
        with store.snapshot() as snapshot:
            assert proves(Credentials(alice, b"secret"), Resolver(RULES).records(snapshot)) is proven


def test_the_quick_ways_see_it_with_the_next_state(store: Engine) -> None:
    """What they remember of a prefix is of one state of the store alone; the rows are untouched."""
    reads = PlainReads(store, RULES)
    before = rows(store)

    def found() -> bool:
        assert reads.begin()
        try:
            return reads.row(Table.RECORDS, b"88.2/a") is not None
        finally:
            reads.end()

    for suspended in (False, True, False, True):
        hold(store, suspended=suspended)
        assert [found(), found()] == [not suspended] * 2
    hold(store, suspended=False)
    assert rows(store) == before


# --- over HTTP ---------------------------------------------------------------


def request(path: str, query: str = "", method: str = "GET") -> HttpRequest:
    return HttpRequest(method, path, query, {}, b"", credentials_safe=True, peer=PEER)


def by_json(store: Engine, handle: str, query: str = "") -> Response:
    api = JsonApi(Resolver(RULES), store, SITE, NoLog())
    return asyncio.run(api.handles(request(f"/api/handles/{handle}", query), handle))


@pytest.mark.parametrize("handle", HELD)
def test_the_handle_interface_says_not_found(store: Engine, handle: str) -> None:
    """In the very octets of a handle that is not there, but for its name."""
    hold(store)
    body = f'{{"responseCode":100,"handle":"{handle}"}}'
    for query in ("", "index=1", "doNotRefer", "publicOnly=false"):
        reply = by_json(store, handle, query)
        assert (reply.status, reply.body.decode()) == (404, body)
    missing = by_json(store, "88.1/NONE")
    assert (reply.status, reply.headers) == (missing.status, missing.headers)


def test_the_quick_way_of_http_answers_and_logs_it(store: Engine) -> None:
    """The octets of a record that is not there; the log knows better."""
    hold(store)
    spool = MemorySpool()
    turn = at_once(spool)
    counted: list[str] = []
    reads = PlainReads(store, RULES)
    quick = QuickResolver(
        reads, Resolver(RULES), turn, lambda: counted.append("found"), lambda: counted.append("missing")
    )
    assert quick.begin()
    pieces = quick.plain(b"88.2/A", False, PEER)
    quick.end()
    turn.end()
    assert pieces is not None
    head, _, body = pieces
    reply = by_json(store, "88.2/A")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert body == reply.body
    assert spool.rows == [(Via.JSON, "held", PEER, b"88.2/A", "")]
    assert counted == ["missing"]


@pytest.mark.parametrize("query", ["", "noredirect"])
def test_a_browser_is_told_in_both_languages(store: Engine, query: str) -> None:
    """451 (RFC 7725), with a page that says why and shows nothing of the record; an alias that leads there too."""
    hold(store)
    run(store, Put("88.1/ALIAS", (HandleValue(1, "HS_ALIAS", b"88.2/A"),)))
    spool = MemorySpool()
    turn = at_once(spool)
    browser = Browser(Resolver(RULES), store, turn)
    for handle in ("88.2/A", "88.2/NONE", "88.3/A", "88.1/ALIAS"):
        reply = asyncio.run(browser.identifier(request(f"/{handle}", query)))
        page = reply.body.decode()
        assert reply.status == 451
        assert "已停止解析" in page
        assert "is stopped" in page
        assert "a.example" not in page
        assert not [name for name, _ in reply.headers if name == "Location"]
    turn.end()
    assert [row[:2] for row in spool.rows] == [(Via.PAGE, "held")] * 4
