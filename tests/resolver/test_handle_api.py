"""The reading operations of the Handle protocol: lists that change while they are read."""

from __future__ import annotations

import asyncio

import pytest

from core.admission import Identity
from core.errors import Outcome, StoreError
from core.hdl.exchange import Asked, Reply
from core.ident.handle import HandleRules
from core.records import HandleValue, SiteInfo
from core.store.memory_engine import MemoryEngine
from core.wire.body import decode_texts, encode_handle
from core.wire.codepoints import VERSION, OpCode
from core.wire.cursor import Cursor
from registry.commands import OPERATOR, Delete, Home, Put, Request
from registry.service import Registry
from resolver.handle_api import HandleApi
from resolver.service import Resolver
from tests.kit.logs import NoLog

SITE = SiteInfo(1, 2, 11, 1, True, False, 2, "", (), ())
ADMIN = Identity("0.NA/88.1", 300)
NOW = 1_700_000_000_000


class Store(MemoryEngine):
    """A store that can be told to fail."""

    fails = False

    def snapshot(self):  # type: ignore[no-untyped-def]
        if self.fails:
            raise StoreError("The store cannot be read just now; try again")
        return super().snapshot()


def listed(store: Store, count: int) -> Reply:
    """Register handles and begin to list them."""
    rules, admins = HandleRules(), frozenset({(b"0.NA/88.1", 300)})
    registry = Registry(store, rules, server_admins=admins, founding=True)
    value = (HandleValue(1, "URL", b"x"),)
    requests = [Request(Home("88.1"), OPERATOR)]
    requests += [Request(Put(f"88.1/{number:03}", value), OPERATOR) for number in range(count)]
    assert all(result.done for result in registry.run(requests, NOW))  # type: ignore[arg-type]
    api = HandleApi(Resolver(rules, server_admins=admins), store, SITE, NoLog(), dict)
    asked = Asked(OpCode.LIST_HANDLES, 0, encode_handle("0.NA/88.1"), VERSION, ADMIN)
    return asyncio.run(api.answer(asked))


def names(body: bytes) -> list[str]:
    return list(decode_texts(Cursor(body)))


async def rest(reply: Reply) -> list[list[str]]:
    assert reply.more is not None
    return [names(body) async for body in reply.more]


@pytest.mark.parametrize(("count", "pages"), [(0, []), (49, []), (50, []), (51, [1]), (100, [50]), (101, [50, 1])])
def test_a_list_has_fifty_handles_a_message(count: int, pages: list[int]) -> None:
    """In their order; one message for none."""
    reply = listed(Store(), count)
    assert reply.outcome is Outcome.OK
    assert len(names(reply.body)) == min(count, 50)
    assert (reply.more is None) == (not pages)
    if pages:
        further = asyncio.run(rest(reply))
        assert [len(each) for each in further] == pages
        whole = [*names(reply.body), *(name for page in further for name in page)]
        assert whole == [f"88.1/{number:03}" for number in range(count)]


def test_a_list_whose_rest_is_deleted_still_has_its_last_message() -> None:
    """The message before announced one more."""
    store = Store()
    reply = listed(store, 60)
    registry = Registry(store, HandleRules(), founding=True)
    gone = [Request(Delete(f"88.1/{number:03}"), OPERATOR) for number in range(60)]
    assert all(result.done for result in registry.run(gone, NOW))  # type: ignore[arg-type]
    assert asyncio.run(rest(reply)) == [[]]


def test_a_list_that_cannot_be_read_on_is_an_error() -> None:
    """Never a list that looks whole."""
    store = Store()
    reply = listed(store, 120)
    store.fails = True
    with pytest.raises(StoreError):
        asyncio.run(rest(reply))
