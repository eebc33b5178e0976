"""Addresses with a port, as settings name them: ADDRESS, ADDRESS:PORT, or ADDRESS@PORT as name servers have it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from core.errors import ConfigError
from core.wire.site import PORTS

DNS_PORT: Final = 53


def read_address(setting: str, text: str, mark: str, port: int) -> tuple[str, int]:
    """Return an address in its one form, and its port. ``mark``: what stands before a port; ``port``: where none does.

    An IPv6 address may be in brackets; with a port behind a colon it is. Errors: ConfigError that names the setting.
    """
    host, given = text, str(port)
    if mark in text and (mark == "@" or text.count(":") == 1 or "]:" in text):
        host, _, given = text.rpartition(mark)
    try:
        address = ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
        if not (given.isascii() and given.isdecimal() and int(given) in PORTS):
            raise ValueError(f"{given!r} is no port")
    except ValueError as error:
        raise ConfigError(
            f"{setting}: {text!r} 应为 地址 或 地址{mark}端口。It should be ADDRESS or ADDRESS{mark}PORT: {error}",
            setting=setting,
        ) from None
    return str(address), int(given)
