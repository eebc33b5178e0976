"""Handles of others, over the Handle protocol: a root is asked, and its referrals are followed.

By TCP alone: an answer comes whole, and nobody who does not see the question can forge it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from core import clock, limits
from core.errors import NodeError, Outcome, WireError
from core.outcomes import HandleCode
from core.records import InterfaceProtocol
from core.wire.envelope import ENVELOPE_BYTES, decode_envelope, encode_envelope
from core.wire.jsonform import dump_values
from core.wire.sitefile import AddressPolicy
from node.asking import REFERRALS, Reply, question, read_reply
from node.recursion.places import Place, allows
from resolver.recursion.found import Found, NoAnswerError, ttl_of
from resolver.referral import door_of

_NONE: Final = (HandleCode.HANDLE_NOT_FOUND, HandleCode.SERVER_NOT_RESPONSIBLE)
_ENDS: Final = {
    HandleCode.SUCCESS: Outcome.OK,
    HandleCode.VALUES_NOT_FOUND: Outcome.NO_VALUES,
    HandleCode.INVALID_HANDLE: Outcome.INVALID_HANDLE,
    **dict.fromkeys(_NONE, Outcome.HANDLE_NOT_FOUND),
}

Roots = Callable[[], tuple[Place, ...]]
"""Returns whom to begin with, the first one first."""


class HandleAsker:
    """Asks for handles. ``policy``: where referrals may lead, beside the roots."""

    def __init__(self, roots: Roots, policy: AddressPolicy) -> None:
        self._roots = roots
        self._policy = policy

    async def ask(self, handle: str, first: Place | None = None) -> Found:
        """Ask for a handle; the next root where one gives no answer. ``first``: where this node refers itself.

        Errors: NoAnswerError. Bounds: RECURSION_S, RECURSION_DEPTH_MAX.
        """
        roots = self._roots() if first is None else (first,)
        if not roots:
            raise NoAnswerError(
                "没有可问的上级节点：未连接，resolver.roots 也为空。There is nobody to ask: no top node is connected, "
                "and resolver.roots is empty"
            )
        fault = ""
        for root in roots[: limits.RECURSION_DEPTH_MAX]:
            try:
                async with asyncio.timeout(limits.RECURSION_S / len(roots)):
                    return await self._follow(handle, root, own=first is None)
            except TimeoutError:
                fault = f"{root} 未按时应答。{root} did not answer in time"
            except (OSError, EOFError):
                fault = f"无法到达 {root}。{root} cannot be reached"
            except NodeError as error:
                fault = error.message
        raise NoAnswerError(fault)

    async def _follow(self, handle: str, root: Place, *, own: bool) -> Found:
        """Errors: OSError, EOFError, NodeError."""
        asked: tuple[Place, ...] = ()
        onward = root
        while True:
            self._admit(onward, asked, own=own)
            asked = (*asked, onward)
            reply = await _ask(onward, handle)
            if reply.code not in REFERRALS:
                return _told(reply, asked)
            door = door_of(handle, reply.values or (), InterfaceProtocol.TCP)
            if door is None:
                raise NoAnswerError(
                    f"{onward} 的转介没有可用的 TCP 地址。The referral of {onward} names no address for TCP"
                )
            onward = Place(str(door[0]), door[1])

    def _admit(self, onward: Place, asked: tuple[Place, ...], *, own: bool) -> None:
        """Errors: NoAnswerError for a place that is not asked."""
        if onward in asked:
            raise NoAnswerError(f"转介循环，回到 {onward}。The referrals lead back to {onward}")
        if len(asked) > limits.RECURSION_DEPTH_MAX:
            raise NoAnswerError("转介过多。There are too many referrals")
        if (asked or not own) and onward not in self._roots() and not allows(self._policy, onward.host):
            raise NoAnswerError(
                f"转介指向不允许的地址 {onward}。A referral leads to {onward}, an address that this node does not ask"
            )


async def _ask(place: Place, handle: str) -> Reply:
    """Errors: OSError, EOFError; NoAnswerError for what is no answer to this question."""
    envelope, payload = question(handle)
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.write(encode_envelope(envelope) + payload)
        head = decode_envelope(await reader.readexactly(ENVELOPE_BYTES))
        if head.length > limits.RECURSION_ANSWER_BYTES_MAX:
            raise NoAnswerError(f"{place} 的应答过长。The answer of {place} is too long")
        if head.request_id != envelope.request_id:
            raise NoAnswerError(f"{place} 的应答与所问不符。The answer of {place} is to another request")
        return read_reply(handle, await reader.readexactly(head.length))
    except WireError:
        raise NoAnswerError(f"{place} 的应答有误。The answer of {place} cannot be read") from None
    finally:
        writer.transport.abort()


def _told(reply: Reply, asked: tuple[Place, ...]) -> Found:
    """Errors: NoAnswerError, WireError."""
    outcome = _ENDS.get(HandleCode(reply.code)) if reply.code in set(HandleCode) else None
    if outcome is None:
        raise NoAnswerError(f"{asked[-1]} 应答码为 {reply.code}。{asked[-1]} answers with code {reply.code}")
    values = dump_values(reply.values or ()) if outcome in (Outcome.OK, Outcome.NO_VALUES) else None
    ttl_s = limits.RECURSION_UNSAID_S if values is None else ttl_of(values, clock.now_s())
    return Found(outcome, min(ttl_s, limits.RECURSION_TTL_S_MAX), tuple(map(str, asked)), values)
