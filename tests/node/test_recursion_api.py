"""``GET /v1/resolve``: this node first, others behind it; each answer logged; nothing here ever waits for others."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from core import limits
from core.clock import Millis
from core.errors import Outcome
from core.ident.alias import parse_alias
from core.ident.handle import HandleKey, HandleRules
from core.outcomes import HandleCode
from core.records import HandleValue
from core.source_limit import NO_LIMIT, SourceLimit
from core.store.alias_rows import AliasRow, alias_key, pack_alias
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.upstream_url import read_upstream_url
from core.who import Who
from core.wire.http import Request, Response
from node.recursion.api import ResolveApi
from node.recursion.handles import HandleAsker
from node.recursion.keys import KeyAsker
from node.recursion.oids import OidAsker
from node.recursion.places import Place
from node.recursion.service import Askers, Recursion
from registry.alias_commands import AddAlias
from registry.commands import OPERATOR, Command, Home, Put
from registry.commands import Request as Change
from registry.service import Registry
from resolver.names import Names
from resolver.recursion.identifiers import read_identifier
from resolver.service import Resolver
from sync.topnode.referral import Server, site_values
from tests.kit.elsewhere import (
    HOST,
    LOOPBACK,
    HandleServer,
    NameServer,
    Told,
    handle_server,
    name_server,
    url,
    web_server,
)
from tests.kit.logs import MemorySpool, at_once
from tests.node.test_recursion_oids import OID, SERVICES, SUFFIX, ZONE

NOW = Millis(1_700_000_000_000)
HERE, FOREIGN = "88.1/A", "99.1/A"
FOREIGN_GTIN = "gtin:12345670"
OWN_OID, OWN_GTIN = "1.2.156.1.1", "06901234567892"


class Node:
    """The API on a store with a record, and what it logs."""

    def __init__(self, recursion: Recursion | None = None, limit: SourceLimit = NO_LIMIT) -> None:
        self.store = MemoryEngine()
        self.run(Home("88.1"), Put(HERE, (HandleValue(1, "URL", b"https://here.example", ttl=70),)))
        self.run(AddAlias(HERE, f"oid:{OWN_OID}"), AddAlias(HERE, f"gtin:{OWN_GTIN}"))
        self.resolver = Resolver(HandleRules())
        self.spool = MemorySpool()
        self.api = ResolveApi(
            self.resolver, Names(self.resolver), self.store, at_once(self.spool), lookups=limit, recursion=recursion
        )  # fmt: skip

    def run(self, *commands: Command) -> None:
        registry = Registry(self.store, HandleRules(), founding=True)
        assert all(each.done for each in registry.run([Change(command, OPERATOR) for command in commands], NOW))

    async def ask(self, identifier: str, method: str = "GET") -> Response:
        query = f"identifier={quote(identifier, safe='')}"
        return await self.api.answer(Request(method, "/v1/resolve", query, {}, b"", False, peer=b"\0\1\x7f\0\0\1"))

    def logged(self) -> list[tuple[int, str, str]]:
        return [(via, outcome, identifier.decode()) for via, outcome, _, identifier, _ in self.spool.rows]


def recursion(*roots: Place, dns: NameServer | None = None, gs1: str = "http://127.0.0.1:1",
              now_s: Callable[[], float] = lambda: 0.0) -> Recursion:  # fmt: skip
    servers = () if dns is None else (dns.place,)
    keys = KeyAsker(read_upstream_url(gs1), LOOPBACK)
    return Recursion(Askers(HandleAsker(lambda: roots, LOOPBACK), OidAsker(servers, SUFFIX), keys), now_s)


def told(response: Response) -> Any:
    return json.loads(response.body)


# --- this node -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        (HERE, "handle"),
        (f"oid:{OWN_OID}", "oid"),
        (OWN_OID, "oid"),
        (f"gtin:{OWN_GTIN}", "gs1"),
        (f"01/{OWN_GTIN}", "gs1"),
        (f"https://x.example/01/{OWN_GTIN}/10/L1?linkType=all", "gs1"),
    ],
)
def test_what_is_registered_here_is_answered_without_others(identifier: str, kind: str) -> None:
    """By each of its names: the same handle and values, authoritative; recursion is off."""
    node = Node()
    response = asyncio.run(node.ask(identifier))
    answer = told(response)
    assert response.status == 200
    assert {name: answer[name] for name in ("identifier", "kind", "authoritative", "handle", "ttl", "secure")} == {
        "identifier": identifier, "kind": kind, "authoritative": True, "handle": HERE, "ttl": 70, "secure": None,
    }  # fmt: skip
    assert answer["values"][0]["data"]["value"] == "https://here.example"
    assert (answer.get("level"), answer["asked"]) == (f"/01/{OWN_GTIN}" if kind == "gs1" else None, [])
    assert node.logged() == [(9, "ok", identifier)]


@pytest.mark.parametrize(
    ("identifier", "status", "outcome"),
    [
        (FOREIGN, 421, "not-responsible"),
        (OID, 421, "not-responsible"),
        ("gln:6901234567892", 421, "not-responsible"),
        ("88.1/B", 404, "handle-not-found"),
        ("88.1/a\x00b", 400, "invalid-handle"),
    ],
)
def test_without_recursion_what_is_not_here_is_told_and_logged(identifier: str, status: int, outcome: str) -> None:
    node = Node()
    response = asyncio.run(node.ask(identifier))
    assert (response.status, told(response)["outcome"]) == (status, outcome)
    assert ("resolver.recursive" in told(response)["detail"]) is (status == 421)
    assert node.logged() == [(9, outcome, identifier)]


@pytest.mark.parametrize("query", ["", "identifier=", "identifier=a&identifier=b", "identifier=gtn:1", "x=1"])
def test_what_cannot_be_read_is_no_resolution(query: str) -> None:
    """400, no entry, and nothing of what the source may ask is used up."""
    counted: list[bytes] = []
    node = Node(limit=SourceLimit(lambda source: not counted.append(source), 1))  # type: ignore[func-returns-value]
    response = asyncio.run(node.api.answer(Request("GET", "/v1/resolve", query, {}, b"", False)))
    assert (response.status, node.logged(), counted) == (400, [], [])
    assert asyncio.run(node.ask(HERE, "POST")).status == 405


def test_a_source_that_asks_too_much_is_refused() -> None:
    node = Node(limit=SourceLimit(lambda _: False, 7))
    response = asyncio.run(node.ask(HERE))
    assert (response.status, dict(response.headers)["Retry-After"], node.logged()) == (429, "7", [])


# --- others ----------------------------------------------------------------------
def test_what_is_remembered_has_room_for_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long identifiers that nobody has are long keys: they count."""
    monkeypatch.setattr(limits, "RECURSION_KEPT_BYTES_MAX", 4 * limits.DIGITAL_LINK_CHARS_MAX)

    async def none(_: HandleServer, __: str) -> Told:
        return HandleCode.HANDLE_NOT_FOUND, ()

    async def run() -> None:
        async with handle_server(none) as root:
            others = recursion(root.place)
            for at in range(8):
                handle = f"99.1/{at}" + "x" * 1_000
                assert (await others.resolve(read_identifier(handle))).outcome is Outcome.HANDLE_NOT_FOUND
            assert 0 < len(others._cache._held) < 8

    asyncio.run(run())


async def yes(_: HandleServer, __: str) -> Told:
    return url("https://there.example")


def test_others_are_asked_for_what_is_not_here_once_for_as_long_as_it_holds() -> None:
    """Handle, OID and GS1 key; each is logged each time; time is told."""
    clock = [1_000.0]
    asked: list[str] = []

    async def links(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response(
            {"linkset": [{"anchor": "x", "r": [{"href": "https://l.example/"}]}]},
            content_type="application/linkset+json", headers={"Cache-Control": "max-age=600"},
        )  # fmt: skip

    async def run() -> None:
        async with handle_server(yes) as root, name_server(ZONE, SUFFIX) as names, web_server(links) as web_url:
            others = recursion(root.place, dns=names, gs1=web_url, now_s=lambda: clock[0])
            node = Node(others)
            for identifier in (FOREIGN, OID, FOREIGN_GTIN):
                first = told(await node.ask(identifier))
                assert not first["authoritative"], first
                clock[0] += 100
                again = told(await node.ask(identifier))
                assert again == {**first, "ttl": first["ttl"] - 100}
            assert (len(root.asked), len(names.asked), len(asked)) == (1, 1, 1)
            clock[0] += 600
            for identifier in (FOREIGN, OID):
                await node.ask(identifier)
            assert (len(root.asked), len(names.asked)) == (2, 2)
            handle, oid = told(await node.ask(FOREIGN)), told(await node.ask(OID))
            assert handle["values"][0]["data"]["value"] == "https://there.example"
            assert oid["services"] == [each._asdict() for each in SERVICES]
            assert (handle["secure"], oid["secure"]) == (None, False)
            assert len(node.logged()) == 10
            assert {outcome for _, outcome, _ in node.logged()} == {"ok"}
            await others.close()

    asyncio.run(run())


def test_that_there_is_none_is_remembered_too_and_a_failure_is_not() -> None:
    clock = [0.0]
    code = [HandleCode.HANDLE_NOT_FOUND]

    async def say(_: HandleServer, __: str) -> Told:
        return code[0], ()

    async def run() -> None:
        async with handle_server(say) as root:
            node = Node(recursion(root.place, now_s=lambda: clock[0]))
            for _ in range(3):
                assert (await node.ask(FOREIGN)).status == 404
            assert len(root.asked) == 1
            clock[0] += limits.RECURSION_UNSAID_S
            code[0] = HandleCode.ERROR
            for _ in range(3):
                assert (await node.ask(FOREIGN)).status == 502
            assert len(root.asked) == 4
            assert [outcome for _, outcome, _ in node.logged()] == ["handle-not-found"] * 3 + ["no-answer"] * 3

    asyncio.run(run())


def test_handles_that_differ_in_case_are_not_taken_for_the_same() -> None:
    """Whether they are, their own node knows."""

    async def run() -> None:
        async with handle_server(yes) as root:
            node = Node(recursion(root.place))
            for handle in ("99.1/A", "99.1/a"):
                assert told(await node.ask(handle))["handle"] == handle
            assert root.asked == ["99.1/A", "99.1/a"]

    asyncio.run(run())


def test_a_delegated_prefix_is_asked_at_its_own_site() -> None:
    """No root is needed; without recursion it is not answered here."""

    async def run() -> None:
        async with handle_server(yes) as there:
            site = site_values((Server(IPv4Address(HOST), (there.place.port, None, None)),))
            for recursive, status in ((recursion(), 200), (None, 421)):
                node = Node(recursive)
                node.run(Home("88.2", "delegated"), Put("0.NA/88.2", site))
                response = await node.ask("88.2/X")
                assert response.status == status
            assert there.asked == ["88.2/X"]

    asyncio.run(run())


def test_a_name_of_what_lies_below_a_delegated_prefix_leads_there() -> None:
    """By its OID: the handle is asked for, at the site of the prefix; DNS is not."""

    async def run() -> None:
        async with handle_server(yes) as there:
            node = Node(recursion())
            site = site_values((Server(IPv4Address(HOST), (there.place.port, None, None)),))
            node.run(Home("88.2", "delegated"), Put("0.NA/88.2", site))
            batch = Batch()
            named = AliasRow(HandleKey(b"88.2/X"), NOW, Who())
            batch.put(Table.ALIASES, alias_key(parse_alias(f"oid:{OID}")), pack_alias(named))
            node.store.commit(batch)
            answer = told(await node.ask(OID))
            assert (answer["kind"], answer["handle"], answer["authoritative"]) == ("oid", "88.2/X", False)
            assert answer["values"][0]["data"]["value"] == "https://there.example"
            assert there.asked == ["88.2/X"]

    asyncio.run(run())


def test_a_kind_that_nobody_can_be_asked_for_is_told() -> None:
    response = asyncio.run(Node(recursion()).ask("ecode:123456"))
    assert (response.status, "only where they are registered" in told(response)["detail"]) == (421, True)


# --- nobody waits ----------------------------------------------------------------
def test_while_others_hang_this_node_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred wait for one question; what is here is answered; beyond the bound 503; then all end in time."""
    monkeypatch.setattr(limits, "RECURSIONS_MAX", 2)
    monkeypatch.setattr(limits, "RECURSION_S", 1.0)

    async def hang(_: HandleServer, __: str) -> Told:
        await asyncio.sleep(3_600)
        raise AssertionError

    async def run() -> None:
        async with handle_server(hang) as root:
            node = Node(recursion(root.place))
            waiting = [asyncio.create_task(node.ask(FOREIGN)) for _ in range(100)]
            other = asyncio.create_task(node.ask("99.2/B"))
            await root.arrived.get()
            await root.arrived.get()
            refused = await node.ask("99.3/C")
            assert (refused.status, told(refused)["outcome"]) == (503, "overloaded")
            for identifier in (HERE, OWN_OID, f"gtin:{OWN_GTIN}"):
                assert (await node.ask(identifier)).status == 200
            assert not any(task.done() for task in (*waiting, other))
            waiting[0].cancel()
            ended = await asyncio.gather(*waiting[1:], other)
            assert {each.status for each in ended} == {502}
            assert root.asked == [FOREIGN, "99.2/B"]

    asyncio.run(run())


def test_the_end_of_the_node_ends_what_is_under_way() -> None:
    """503, so that the client comes again to a node that runs; nothing is left open."""

    async def hang(_: HandleServer, __: str) -> Told:
        await asyncio.sleep(3_600)
        raise AssertionError

    async def run() -> None:
        async with handle_server(hang) as root:
            others = recursion(root.place)
            node = Node(others)
            waiting = [asyncio.create_task(node.ask(FOREIGN)) for _ in range(3)]
            await root.arrived.get()
            await others.close()
            assert [(await each).status for each in waiting] == [503] * 3
            assert (await node.ask("99.2/B")).status == 503

    asyncio.run(run())


def test_nothing_that_answers_for_this_node_knows_of_recursion() -> None:
    """By its imports: the API, the command line, the wiring, and who checks settings alone."""
    root = Path(__file__).parent.parent.parent
    found = set()
    for path in (
        each for package in ("core", "registry", "resolver", "node") for each in (root / package).rglob("*.py")
    ):
        for each in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [each.module or ""] if isinstance(each, ast.ImportFrom) else []
            names += [alias.name for alias in each.names] if isinstance(each, ast.Import) else []
            if any(".recursion" in name for name in names):
                found.add(str(path.relative_to(root)))
    others = {name for name in found if "/recursion/" not in name}
    assert others == {
        "node/routes.py", "node/serving.py", "node/cli/resolve.py", "node/serve.py", "node/cli/main.py",
    }  # fmt: skip
