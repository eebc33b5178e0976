"""Sockets that a server listens on: bound, not blocking, each one shared by SO_REUSEPORT with those beside it."""

from __future__ import annotations

import socket
from typing import Final

from core import limits
from core.errors import ConfigError

_PORT_TRIES: Final = 16


def paired_listeners(
    address: str, port: int, count: int, setting: str
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Open ``count`` sockets of TCP and of UDP: one number for both. Errors: ConfigError that names the setting."""
    for left in reversed(range(_PORT_TRIES)):
        tcp = listeners(address, port, count, setting)
        try:
            return tcp, listeners(address, port_of(tcp[0]), count, setting, socket.SOCK_DGRAM)
        except ConfigError:
            for listener in tcp:
                listener.close()
            if port or not left:  # any free number of TCP may be taken for UDP: try another
                raise
    raise AssertionError("the last try returns or raises")


def listeners(
    address: str, port: int, count: int, setting: str, kind: socket.SocketKind = socket.SOCK_STREAM
) -> list[socket.socket]:
    """Open ``count`` sockets on one port. Errors: ConfigError that names the setting."""
    sockets: list[socket.socket] = []
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address, port, type=kind, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
        )[0]
        for _ in range(count):
            listener = socket.socket(family, kind)
            sockets.append(listener)
            if kind is socket.SOCK_STREAM:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if len(sockets) == 1:
                _require_free(family, kind, place)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(place)
            place = listener.getsockname()
            if kind is socket.SOCK_STREAM:
                listener.listen(limits.LISTEN_BACKLOG)
            else:
                _widen(listener)
            listener.setblocking(False)
    except socket.gaierror as error:
        named = "http.address" if setting == "https.port" else setting.replace(".port", ".address")
        raise ConfigError(f"{named}: {address!r} 不是 IP 地址 is no IP address: {error.strerror}") from None
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ConfigError(
            f"{setting}: 无法监听。Cannot listen on {address} port {port}: {error.strerror or error}"
        ) from None
    return sockets


def _widen(channel: socket.socket) -> None:
    """Let more datagrams wait than by default, where the system allows that. Linux tells twice what was asked for."""
    if channel.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 2 * limits.UDP_QUEUE_BYTES:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.UDP_QUEUE_BYTES)


def _require_free(family: int, kind: socket.SocketKind, place: object) -> None:
    """Refuse a port that another program shares out by SO_REUSEPORT: it would take half the requests."""
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)  # type: ignore[arg-type] # an address as getaddrinfo() gives it


def port_of(listener: socket.socket) -> int:
    """Return the port of a socket that is bound."""
    port: int = listener.getsockname()[1]
    return port
