"""Handles of others: a root, its referrals, and all that roots and referrals may do wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from core import limits
from core.clock import Millis
from core.config import Config
from core.errors import NodeError, Outcome
from core.outcomes import HandleCode
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.store.memory_engine import MemoryEngine
from core.store.upstream_rows import Upstream, pack_upstream
from node.recursion.handles import HandleAsker
from node.recursion.places import Place, read_name_servers, read_roots, top_nodes
from resolver.recursion.found import Found, NoAnswerError
from sync.topnode.referral import Server, site_values
from tests.kit.elsewhere import HOST, LOOPBACK, PUBLIC, HandleServer, Told, handle_server, referral, url

HANDLE = "88.118.9/A"
NOBODY = Place(HOST, 1)


async def yes(_: HandleServer, __: str) -> Told:
    return url("https://there.example")


def asker(*roots: Place, policy: Any = LOOPBACK) -> HandleAsker:
    return HandleAsker(lambda: roots, policy)


def refused(asking: Any) -> str:
    with pytest.raises(NoAnswerError) as error:
        asyncio.run(asking)
    assert error.value.ended is Outcome.NO_ANSWER
    return error.value.message


def test_referrals_are_followed_to_who_answers() -> None:
    async def run() -> tuple[Found, list[Place]]:
        async with handle_server(yes) as there:

            async def refer(_: HandleServer, __: str) -> Told:
                return referral(there.place)

            async with handle_server(refer) as root:
                return await asker(root.place).ask(HANDLE), [root.place, there.place]

    found, places = asyncio.run(run())
    assert (found.outcome, found.ttl_s, found.asked) == (Outcome.OK, 300, tuple(map(str, places)))
    assert json.loads(found.values or b"")[0]["data"]["value"] == "https://there.example"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (HandleCode.HANDLE_NOT_FOUND, Outcome.HANDLE_NOT_FOUND),
        (HandleCode.SERVER_NOT_RESPONSIBLE, Outcome.HANDLE_NOT_FOUND),
        (HandleCode.VALUES_NOT_FOUND, Outcome.NO_VALUES),
        (HandleCode.INVALID_HANDLE, Outcome.INVALID_HANDLE),
    ],
)
def test_what_is_said_of_none_is_an_answer(code: HandleCode, outcome: Outcome) -> None:
    async def none(_: HandleServer, __: str) -> Told:
        return code, ()

    async def run() -> Found:
        async with handle_server(none) as root:
            return await asker(root.place).ask(HANDLE)

    found = asyncio.run(run())
    assert (found.outcome, found.ttl_s) == (outcome, limits.RECURSION_UNSAID_S)


def test_a_root_that_is_away_or_hangs_or_lies_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECURSION_S", 2.0)

    async def hang(_: HandleServer, __: str) -> Told:
        await asyncio.sleep(3_600)
        raise AssertionError

    async def lie(_: HandleServer, __: str) -> bytes:
        return b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9

    async def run() -> tuple[Found, Place]:
        async with handle_server(hang) as hanging, handle_server(lie) as lying, handle_server(yes) as good:
            return await asker(NOBODY, hanging.place, lying.place, good.place).ask(HANDLE), good.place

    found, good = asyncio.run(run())
    assert found.asked == (str(good),)


@pytest.mark.parametrize("octets", [b"", b"\x02", bytes(20), bytes(16) + b"\xff" * 4, b"\x02\x0b" * 40])
def test_octets_that_are_no_answer_are_none(octets: bytes) -> None:
    async def lie(_: HandleServer, __: str) -> bytes:
        return octets

    async def run() -> None:
        async with handle_server(lie) as root:
            await asker(root.place).ask(HANDLE)

    refused(run())


def test_a_loop_of_referrals_ends() -> None:
    async def run() -> None:
        servers: list[Place] = []

        async def refer(here: HandleServer, __: str) -> Told:
            return referral(servers[1 - servers.index(here.place)])

        async with handle_server(refer) as one, handle_server(refer) as two:
            servers.extend((one.place, two.place))
            try:
                await asker(one.place).ask(HANDLE)
            finally:
                assert (len(one.asked), len(two.asked)) == (1, 1)

    assert "lead back" in refused(run())


def test_a_chain_of_referrals_that_does_not_end_is_left() -> None:
    """Each server is another one: 127.0.0.1, 127.0.0.2 and so on, on one port."""

    async def run() -> None:
        async def refer(here: HandleServer, __: str) -> Told:
            return referral(Place(str(IPv4Address(HOST) + len(here.asked)), here.place.port))

        async with handle_server(refer, "0.0.0.0") as root:
            try:
                await asker(root.place).ask(HANDLE)
            finally:
                assert len(root.asked) == limits.RECURSION_DEPTH_MAX + 1

    assert "too many" in refused(run())


def test_a_referral_into_this_network_is_not_followed() -> None:
    """Where only public addresses are allowed; to what the operator named as a root it is."""
    names: Callable[[HandleServer], Place]

    async def refer(here: HandleServer, __: str) -> Told:
        return referral(names(here))

    async def run(*others: Place) -> Found:
        async with handle_server(refer) as root:
            return await asker(root.place, *others, policy=PUBLIC).ask(HANDLE)

    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"):
        names = lambda _: Place(address, 2641)  # noqa: B023, E731
        assert address in refused(run())

    async def to_a_root() -> Found:
        nonlocal names
        async with handle_server(yes) as there:
            names = lambda _: there.place  # noqa: E731
            return await run(there.place)

    assert asyncio.run(to_a_root()).outcome is Outcome.OK


def test_where_this_node_refers_itself_is_judged_like_a_referral() -> None:
    async def run(policy: Any) -> Found:
        async with handle_server(yes) as there:
            return await asker(policy=policy).ask(HANDLE, there.place)

    assert asyncio.run(run(LOOPBACK)).outcome is Outcome.OK
    assert "does not ask" in refused(run(PUBLIC))


@pytest.mark.parametrize(
    "values",
    [
        (),
        (HandleValue(1, "HS_SITE", b"no site"),),
        (HandleValue(1, "HS_SERV", b"0.SERV/1"),),
        site_values((Server(IPv4Address("0.0.0.0"), (1, 1, None)),)),
        site_values((Server(IPv4Address("224.0.0.1"), (1, 1, None)),)),
        site_values((Server(IPv4Address(HOST), (None, 2_641, None)),)),
    ],
)
def test_a_referral_that_leads_nowhere_is_told(values: Any) -> None:
    async def refer(_: HandleServer, __: str) -> Told:
        return HandleCode.SERVICE_REFERRAL, values

    async def run() -> None:
        async with handle_server(refer) as root:
            await asker(root.place).ask(HANDLE)

    assert "names no address" in refused(run())


@pytest.mark.parametrize(
    ("text", "place"),
    {
        "192.0.2.1": ("192.0.2.1", 2641), "192.0.2.1:3641": ("192.0.2.1", 3641), "::1": ("::1", 2641),
        "[::1]": ("::1", 2641), "[2001:db8::1]:99": ("2001:db8::1", 99),
    }.items(),
)  # fmt: skip
def test_roots_are_addresses(text: str, place: tuple[str, int], tmp_path: Path) -> None:
    config = Config(
        tmp_path / "node.toml", {"resolver.roots": (text,), "resolver.name_servers": ("::1@5", "192.0.2.1")}
    )
    assert read_roots(config) == (place,)
    assert [str(each) for each in read_name_servers(config)] == ["[::1]:5", "192.0.2.1:53"]


def test_a_top_node_that_is_connected_is_asked_at_the_registered_port() -> None:
    store, batch = MemoryEngine(), Batch()
    batch.put(
        Table.UPSTREAMS, b"0" * 32, pack_upstream(Upstream("https://top.example:8443/x", bytes(32), "", Millis(1)))
    )
    store.commit(batch)
    assert top_nodes(store) == (Place("top.example", 2641),)


def test_nobody_to_ask_is_told() -> None:
    assert "resolver.roots" in refused(asker().ask(HANDLE))


def test_an_absolute_ttl_and_a_long_one_are_bounded() -> None:
    async def long(_: HandleServer, __: str) -> Told:
        return url("x", 10_000_000)

    async def run() -> Found:
        async with handle_server(long) as root:
            return await asker(root.place).ask(HANDLE)

    assert asyncio.run(run()).ttl_s == limits.RECURSION_TTL_S_MAX


def test_an_error_of_the_other_side_is_no_answer() -> None:
    async def busy(_: HandleServer, __: str) -> Told:
        return HandleCode.SERVER_BUSY, ()

    async def run() -> None:
        async with handle_server(busy) as root:
            await asker(root.place).ask(HANDLE)

    assert "code 3" in refused(run())
    assert issubclass(NoAnswerError, NodeError)
