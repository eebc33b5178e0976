"""Where a top node is reached: ``https://HOST[:PORT][/PATH]``; plain ``http://`` to this machine alone.

What travels is signed, not secret in all of it: T6 holds identity data, which leaves no machine in the clear.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

from core import limits
from core.errors import WireError

_URL: Final = re.compile(r"([A-Za-z]+)://([^/?#]*)([^?#]*)([?#].*)?")
_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?")
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_HOST_CHARS_MAX: Final = 253  # RFC 1035 §2.3.4
_PORTS: Final = {"http": 80, "https": 443}
_PORT_MAX: Final = 65_535
_HERE: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class UpstreamUrl(NamedTuple):
    """An address, taken apart. ``host``: in lower case, an IPv6 address without brackets. ``path``: ends in no "/"."""

    secure: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """Return it in its one form."""
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[scheme] else f":{self.port}"
        return f"{scheme}://{host}{port}{self.path}"


def read_upstream_url(text: str) -> UpstreamUrl:
    """Take an address apart. Bounds: UPSTREAM_URL_CHARS_MAX.

    Errors: WireError, its fields ``zh`` and ``en`` say what is wrong.
    """
    if not 0 < len(text) <= limits.UPSTREAM_URL_CHARS_MAX:
        chars = limits.UPSTREAM_URL_CHARS_MAX
        raise _wrong(f"应为1至{chars}个字符", f"it takes 1 to {chars} characters")
    found = _URL.fullmatch(text) if text.isascii() and text.isprintable() else None
    if found is None or found[1].lower() not in _PORTS:
        raise _wrong("应如 https://top.example.cn", "it must be as https://top.example.cn")
    scheme, place, path, more = found[1].lower(), found[2], found[3].rstrip("/"), found[4]
    if "@" in place:
        raise _wrong("不得含用户名或口令", "no user name or password belongs in it")
    if more:
        raise _wrong("不得含查询串或片段（? #）", "no query or fragment (? #) belongs in it")
    host, port = _read_place(place, scheme)
    if not _PATH.fullmatch(path) or any(segment in (".", "..") for segment in path.split("/")):
        raise _wrong("路径中有不允许的字符", "its path has characters or segments that are not allowed")
    if scheme == "http" and not is_loopback(host):
        raise _wrong("明文 http:// 只用于本机，请用 https://", "plain http:// is for this machine alone, use https://")
    return UpstreamUrl(scheme == "https", host, port, path)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: an address of 127.0.0.0/8, ``::1``, or the name ``localhost``."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _HERE)


def _read_place(place: str, scheme: str) -> tuple[str, int]:
    """Return host and port. Errors: WireError."""
    found = _PLACE.fullmatch(place)
    host = found[1].lower() if found else ""
    if host.startswith("["):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            host = ""
    if found is None or not host or ".." in host or len(host) > _HOST_CHARS_MAX:
        raise _wrong("主机名或端口有误", "its host or port is none")
    port = int(found[3]) if found[3] else _PORTS[scheme]
    if not 0 < port <= _PORT_MAX:
        raise _wrong(f"端口应为1至{_PORT_MAX}", f"a port is 1 to {_PORT_MAX}")
    return host, port


def _wrong(zh: str, en: str) -> WireError:
    return WireError(f"{zh}。{en}", zh=zh, en=en)
