"""The names that settings give: apexes, name servers, names of arcs. All of them are faults of the settings or right.

A name may be written in any script; in DNS it stands as IDNA A-labels, in lower case (RFC 5890 §2.3.2.1).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from core import limits
from core.errors import ConfigError, IdentifierError, WireError
from core.ident.oid import check_oid
from core.ident.ors import DUMMY, labels_of_node
from core.wire.dns import Labels
from core.wire.dns_text import labels_of, text_of

ORS_SUFFIX: Final = "dns.ors_suffix"
ONS_SUFFIX: Final = "dns.ons_suffix"
NAME_SERVER: Final = b"ns"
"""The label of the name server that a zone has where none is configured."""

_ORS_BELOW: Final = 1 + len(DUMMY) + 1 + limits.OID_CHARS_MAX
_ONS_BELOW: Final = 13 * 2 + 5  # 13 digits, and gtin
_ROOTS: Final = ("0", "1", "2")
_LABEL: Final = re.compile(rb"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")


class ServedBy(NamedTuple):
    """The name servers of a zone, and the addresses of the one that lies in it; none where none does."""

    names: tuple[Labels, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]


def name_bytes(labels: Labels) -> int:
    """Return how many octets a name has, uncompressed, with the root."""
    return sum(map(len, labels)) + len(labels) + 1


def lowered(labels: Labels) -> Labels:
    """Return a name as it is compared: A-Z are a-z, and no other octet changes (RFC 4343)."""
    return tuple([label.lower() for label in labels])


def is_within(name: Labels, apex: Labels) -> bool:
    """Whether a name is an apex or lies below it; both in lower case."""
    return name[-len(apex) :] == apex


def parse_name(setting: str, text: str) -> Labels:
    """Return the labels of a name that a setting gives; a dot at the end is left out. Errors: ConfigError."""
    try:
        labels = lowered(labels_of(text))
    except WireError as error:
        raise ConfigError(f"{setting}: {error.message}", setting=setting) from None
    if not labels or not all(map(_LABEL.fullmatch, labels)):
        raise ConfigError(
            f"{setting}: {text!r} 不是域名，只能用字母、数字和连字符。That is no domain name: letters, digits, hyphens",
            setting=setting,
        )
    return labels


def parse_apexes(ors_suffix: str, ons_suffix: str) -> tuple[Labels | None, Labels | None]:
    """Return the apex of either zone, None where the setting is empty.

    Errors: ConfigError for one that is too long for the names below it, or two that are the same or nested.
    """
    ors, ons = (
        _parse_apex(setting, text, below)
        for setting, text, below in ((ORS_SUFFIX, ors_suffix, _ORS_BELOW), (ONS_SUFFIX, ons_suffix, _ONS_BELOW))
    )
    if ors is not None and ons is not None and (is_within(ors, ons) or is_within(ons, ors)):
        raise ConfigError(
            f"{ORS_SUFFIX} 与 {ONS_SUFFIX} 不能相同，也不能一个在另一个之下。The two zones must not be the same, "
            "nor one below the other",
            setting=ONS_SUFFIX,
        )
    return ors, ons


def _parse_apex(setting: str, text: str, below: int) -> Labels | None:
    if not text:
        return None
    apex = parse_name(setting, text)
    if name_bytes(apex) + below > limits.DNS_NAME_BYTES_MAX:
        most = limits.DNS_NAME_BYTES_MAX - below
        raise ConfigError(
            f"{setting}: 域名过长，至多 {most} 字节。The name takes {most} octets at most, so that those below it fit",
            setting=setting,
        )
    return apex


def parse_servers(apex: Labels, nameservers: tuple[str, ...], addresses: tuple[str, ...]) -> ServedBy:
    """Return the name servers of a zone: the configured ones, else ``ns.<apex>``.

    Errors: ConfigError for one in the zone whose addresses nobody gives: any but ``ns.<apex>``.
    """
    own = (NAME_SERVER, *apex)
    names = tuple(dict.fromkeys(map(_parse_server, nameservers))) or (own,)
    for each in names:
        if each != own and is_within(each, apex):
            raise ConfigError(
                f"dns.nameservers: {text_of(each)} 在区内而没有地址，区内只能用 {text_of(own)}。"
                f"That lies in the zone and has no address; in the zone, {text_of(own)} alone has",
                setting="dns.nameservers",
            )
    return ServedBy(names, tuple(map(ip_address, addresses)) if own in names else ())


def _parse_server(text: str) -> Labels:
    """Return the name of a name server. Errors: ConfigError, also for an address, which NS records do not take."""
    try:
        ip_address(text)
    except ValueError:
        return parse_name("dns.nameservers", text)
    raise ConfigError(
        f"dns.nameservers: {text!r} 是地址，应为域名，如 ns1.example.cn。That is an address: give the name, such as "
        "ns1.example.cn",
        setting="dns.nameservers",
    )


def parse_arc_names(entries: tuple[str, ...], apex: Labels) -> dict[Labels, Labels]:
    """Return the names of arcs: labels below the apex, and those of the number that each leads to.

    Shape: an entry is ``OID=LABEL``; the label stands beside the number.
    Bounds: DNS_LABELS_MAX, DNS_NAME_BYTES_MAX. Errors: ConfigError that names the entry.
    """
    if len(entries) > limits.DNS_LABELS_MAX:
        raise _wrong(f"至多 {limits.DNS_LABELS_MAX} 项。It takes {limits.DNS_LABELS_MAX} entries at most")
    found: dict[Labels, Labels] = {}
    for entry in entries:
        oid, equals, text = (part.strip() for part in entry.partition("="))
        try:
            target = labels_of_node(oid if oid in _ROOTS else check_oid(oid))
        except IdentifierError as error:
            raise _wrong(f"{entry!r}: {error.message}") from None
        label = parse_name("dns.oid_labels", text) if equals else ()
        if len(label) != 1 or label[0].isdigit() or label[0] in (DUMMY, NAME_SERVER):
            raise _wrong(
                f"{entry!r} 应写作 OID=名称，名称为一个标签，不能只含数字，也不能是 ors-dummy 或 ns。An entry is "
                "OID=LABEL; the label is a single one, not of digits alone, and neither ors-dummy nor ns"
            )
        owner = (*label, *target[1:])
        if name_bytes(owner + apex) > limits.DNS_NAME_BYTES_MAX:
            raise _wrong(f"{entry!r}: 域名过长。The name is too long")
        if owner in found:
            raise _wrong(f"{entry!r}: 该名称已用。That name leads elsewhere already, or is given twice")
        found[owner] = target
    return found


def _wrong(words: str) -> ConfigError:
    return ConfigError(f"dns.oid_labels: {words}", setting="dns.oid_labels")
