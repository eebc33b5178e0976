"""Resolution for others: what is remembered first, then whoever is asked the same already, then the way of the kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple

from core import clock, limits
from core.config import Config
from core.errors import NodeError, Outcome
from core.store.engine import Engine
from core.wire.sitefile import AddressPolicy
from node.recursion.places import Place, read_gs1, read_name_servers, read_roots, top_nodes
from resolver.recursion.cache import Cache, Held
from resolver.recursion.coalescing import Coalescing
from resolver.recursion.found import Found, NoAnswerError
from resolver.recursion.identifiers import Asked, Kind

if TYPE_CHECKING:
    from node.recursion.handles import HandleAsker
    from node.recursion.keys import KeyAsker
    from node.recursion.oids import OidAsker


class Askers(NamedTuple):
    """The ways to ask."""

    handles: HandleAsker
    oids: OidAsker
    keys: KeyAsker


class Recursion:
    """One worker's questions to others. ``now_s``: a clock that never jumps."""

    def __init__(self, askers: Askers, now_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._askers = askers
        self._now_s = now_s
        self._cache = Cache[Found](limits.RECURSION_KEPT_MAX, limits.RECURSION_KEPT_BYTES_MAX)
        self._questions = Coalescing[Found](limits.RECURSIONS_MAX)

    async def resolve(self, asked: Asked, first: Place | None = None) -> Found:
        """Return what others say of an identifier; its ``ttl_s`` is what is left. ``first``: who serves the handle.

        Errors: NodeError: NO_ANSWER, OVERLOADED, and NOT_RESPONSIBLE for a kind that nobody can be asked for.
        Bounds: RECURSION_S, RECURSIONS_MAX.
        """
        key = (asked.kind, _name(asked), first)
        held = self._cache.get(key, now_s := self._now_s())
        if held is not None:
            return held.answer._replace(ttl_s=int(held.until_s - now_s))
        return await self._questions.ask(key, lambda: self._ask(key, asked, first))

    async def close(self) -> None:
        """End what is under way; whoever waits for it is told so."""
        await self._questions.close()
        await self._askers.keys.close()

    async def _ask(self, key: Hashable, asked: Asked, first: Place | None) -> Found:
        try:
            async with asyncio.timeout(limits.RECURSION_S):
                found = await self._way(asked, first)
        except TimeoutError:
            raise NoAnswerError("未按时应答。There was no answer in time") from None
        except NodeError as error:
            raise NoAnswerError(error.message, outcome=_ended(error)) from None
        if found.ttl_s > 0:
            size = found.size_bytes + getsizeof(_name(asked))  # a key is as long as whoever asks likes
            self._cache.put(key, Held(found, size, self._now_s() + found.ttl_s))
        return found

    async def _way(self, asked: Asked, first: Place | None) -> Found:
        match asked.kind:
            case Kind.HANDLE:
                return await self._askers.handles.ask(asked.text, first)
            case Kind.OID:
                return await self._askers.oids.ask(_name(asked))
            case Kind.GS1:
                return await self._askers.keys.ask(_name(asked))
        raise NodeError(
            f"{asked.kind.value} 标识只解析本节点登记的。Identifiers of the kind {asked.kind.value} are resolved "
            "only where they are registered here",
            outcome=Outcome.NOT_RESPONSIBLE,
        )


def _name(asked: Asked) -> str:
    """Return an identifier as it is compared with others of its kind; of a handle only its own node knows that."""
    if asked.link is not None:
        return asked.link.path
    return asked.text if asked.alias is None else asked.alias.value


def _ended(error: NodeError) -> Outcome:
    """What is malformed here was said by those who were asked."""
    return error.ended if error.ended is Outcome.NOT_RESPONSIBLE else Outcome.NO_ANSWER


def make_recursion(config: Config, store: Engine, policy: AddressPolicy) -> Recursion | None:
    """Return what resolves for others, None where ``resolver.recursive`` is off.

    ``policy``: addresses that others may send this node to. Errors: ConfigError.
    """
    if not config.flag("resolver.recursive"):
        return None
    # Neither dnspython nor a client of HTTP is loaded where nobody resolves for others.
    from node.recursion.handles import HandleAsker
    from node.recursion.keys import KeyAsker
    from node.recursion.oids import OidAsker

    roots, name_servers, base = read_roots(config), read_name_servers(config), read_gs1(config)
    return Recursion(
        Askers(
            HandleAsker(lambda: roots or top_nodes(store), policy),
            OidAsker(name_servers, config.text("dns.ors_suffix")),
            KeyAsker(base, policy, name_servers),
        )
    )
