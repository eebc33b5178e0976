"""OIDs of others, over DNS (ITU-T X.672): NAPTR records at ``ors-dummy.<arcs>.<suffix>``, by a resolver of DNS.

``secure`` of an answer is the AD flag of that resolver (RFC 4035 §3.2.3): it is worth as much as the way to it.
Names, aliases and negative answers are read by dnspython.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
import dns.resolver

from core import limits
from core.errors import Outcome
from node.recursion.lookups import make_resolver
from node.recursion.places import Place
from resolver.recursion.found import Found, NoAnswerError
from resolver.recursion.naptr import Naptr, ors_name, services_of

_FLAGS: Final = dns.flags.RD | dns.flags.AD
_TYPE: Final = "NAPTR"


class OidAsker:
    """Asks for OIDs below a suffix. ``name_servers``: none for those of this machine."""

    def __init__(self, name_servers: tuple[Place, ...], suffix: str) -> None:
        self._name_servers = name_servers
        self._suffix = suffix

    async def ask(self, oid: str) -> Found:
        """Ask for an OID. Errors: NoAnswerError. Bounds: RECURSION_S."""
        if not self._suffix.strip("."):
            raise NoAnswerError("dns.ors_suffix 为空，不经 DNS 解析 OID。dns.ors_suffix is empty: no OID is asked")
        name = ors_name(oid, self._suffix)
        try:
            response, outcome = await self._resolve(name)
            chain = response.resolve_chaining()
        except dns.exception.Timeout:
            raise NoAnswerError(f"{name}：DNS 未按时应答。DNS did not answer in time") from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise NoAnswerError(f"{name}：DNS 没有可用的应答。DNS has no answer of use: {_name(error)}") from None
        services = services_of(_records(chain.answer), oid)
        ttl_s = chain.minimum_ttl if chain.minimum_ttl <= _TTL_SAID_MAX else limits.RECURSION_UNSAID_S
        secure = bool(response.flags & dns.flags.AD)
        found = Found(
            outcome, min(ttl_s, limits.RECURSION_TTL_S_MAX), (f"{name} {_TYPE}",), services=services, secure=secure
        )
        return found if services else found._replace(outcome=Outcome.HANDLE_NOT_FOUND, services=None)

    async def _resolve(self, name: str) -> tuple[dns.message.QueryMessage, Outcome]:
        """Return the response, and whether there is something. Errors: DNSException, OSError."""
        resolver = make_resolver(self._name_servers)
        resolver.flags = _FLAGS
        resolver.use_edns(0, 0, limits.DNS_UDP_BYTES)
        try:
            answer = await resolver.resolve(
                name, _TYPE, raise_on_no_answer=False, search=False, lifetime=limits.RECURSION_S
            )
        except dns.resolver.NXDOMAIN as error:
            response: dns.message.QueryMessage = next(iter(error.kwargs["responses"].values()))
            return response, Outcome.HANDLE_NOT_FOUND
        return answer.response, Outcome.OK


_TTL_SAID_MAX: Final = 2**31 - 1  # RFC 2181 §8; the library tells of more where there is no TTL at all


def _records(found: Any) -> Iterator[Naptr]:
    """Yield the NAPTR records of a set; what is no text is left out."""
    for each in found or ():
        if each.rdtype == dns.rdatatype.NAPTR:
            texts = [bytes(octets).decode("utf-8", "replace") for octets in (each.flags, each.service, each.regexp)]
            yield Naptr(each.order, each.preference, *texts)


def _name(error: Exception) -> str:
    return type(error).__name__
