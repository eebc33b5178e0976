"""Names of others, looked up over DNS by dnspython: without a thread, and left when nobody waits any more.

The look-up of the system takes one of two threads of the event loop, whoever waits; names that are never answered would
hold them, and the end of the process. It is for names of the operator alone.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address

import aiohttp
import dns.asyncresolver
import dns.exception
import dns.nameserver
from aiohttp.abc import AbstractResolver, ResolveResult

from core import limits
from core.wire.sitefile import AddressPolicy
from node.recursion.places import Place


class ElsewhereError(OSError):
    """A name stands for addresses that this node does not ask."""


def make_resolver(name_servers: tuple[Place, ...]) -> dns.asyncresolver.Resolver:
    """Return what asks these, those of this machine where there are none. Errors: DNSException."""
    resolver = dns.asyncresolver.Resolver(configure=not name_servers)
    if name_servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(each.host, each.port) for each in name_servers]
    return resolver


class Addresses(AbstractResolver):
    """Looks names up, and gives only addresses that may be asked. ``own``: host and port that may have any.

    ``name_servers``: that are asked for all but ``own``; none for those of this machine.
    """

    def __init__(self, own: tuple[str, int], policy: AddressPolicy, name_servers: tuple[Place, ...]) -> None:
        self._own = own
        self._policy = policy
        self._name_servers = name_servers
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Errors: OSError where there are none."""
        if (host, port) == self._own:
            return await self._system.resolve(host, port, family)
        found = [ip_address(each) for each in await self._look_up(host)]
        allowed = [each for each in found if self._policy.allows(each)]
        if not allowed:
            raise ElsewhereError(host)
        return [
            ResolveResult(
                hostname=host, host=str(each), port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET if each.version == 4 else socket.AF_INET6,
            )
            for each in allowed
        ]  # fmt: skip

    async def close(self) -> None:
        """Close what looks up."""
        await self._system.close()

    async def _look_up(self, host: str) -> list[str]:
        try:
            found = await make_resolver(self._name_servers).resolve_name(
                host, search=False, lifetime=limits.RECURSION_S
            )
        except dns.exception.DNSException as error:
            raise OSError(type(error).__name__) from None
        return list(found.addresses())
