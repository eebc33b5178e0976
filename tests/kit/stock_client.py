"""A client that knows one top node alone and goes on from there, as stock clients do; it keeps nothing."""

from __future__ import annotations

import socket
from typing import Final, NamedTuple

from tests.kit.handle_client import Client, Tcp, Transport, Udp
from tests.kit.handle_messages import BadMessage, Reply, Site, Value

_PROTOCOLS: Final = {"udp": 0, "tcp": 1}
_QUERY: Final = 2
_REFERRAL: Final = 302

Door = tuple[str, int]


class Resolved(NamedTuple):
    """An answer, and who gave it."""

    code: int
    values: tuple[Value, ...]
    door: Door


class StockClient:
    """Asks by UDP, or by TCP where that gets no answer. ``timeout_s``: of one answer."""

    def __init__(self, top: Door, timeout_s: float) -> None:
        self._top = top
        self._timeout_s = timeout_s

    def resolve(self, handle: str) -> Resolved:
        """Ask the top for the site of the prefix, and that for the handle. Errors: OSError where nobody answers."""
        prefix = handle.partition("/")[0]
        sites = self._ask(dict.fromkeys(_PROTOCOLS, self._top), f"0.NA/{prefix}", types=("HS_SITE", "HS_SERV"))[0]
        return self._at(sites, handle)

    def follow(self, handle: str) -> Resolved:
        """Ask the top for the handle, and go where it refers to. Errors: as ``resolve``."""
        reply, door = self._ask(dict.fromkeys(_PROTOCOLS, self._top), handle)
        return self._at(reply, handle) if reply.code == _REFERRAL else Resolved(reply.code, reply.values, door)

    def _at(self, sites: Reply, handle: str) -> Resolved:
        found = [value for value in sites.values if value.type in ("HS_SITE", b"HS_SITE")]
        if not found:
            raise ConnectionError(f"no site for {handle}: {sites.code}")
        reply, door = self._ask(_doors(found[0].data), handle)
        return Resolved(reply.code, reply.values, door)

    def _ask(self, doors: dict[str, Door], handle: str, types: tuple[str, ...] = ()) -> tuple[Reply, Door]:
        fault: Exception = ConnectionError("no door")
        for way, door in doors.items():
            line: Transport = (
                Udp(*door, timeout_s=self._timeout_s) if way == "udp" else Tcp(*door, timeout_s=self._timeout_s)
            )
            try:
                return Client(line).resolve(handle, types=types), door
            except (OSError, BadMessage) as error:
                fault = error
        raise ConnectionError(f"{handle}: {fault!r}")


def _doors(site: bytes) -> dict[str, Door]:
    (server,) = Site.decode(site).servers
    host = socket.inet_ntoa(bytes(server.address)[-4:])
    return {
        way: (host, door.port)
        for way, protocol in _PROTOCOLS.items() for door in server.interfaces
        if door.protocol == protocol and door.kind & _QUERY
    }  # fmt: skip
