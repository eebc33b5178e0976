"""What NAPTR records of an OID say (ITU-T X.672 §7.4; RFC 3403, RFC 3402).

Terminal ones count: flags ``u``, services ``ORS+TYPE`` in any case, a regexp that fits. UINF stands before the other
types; else the lowest order comes first, and of these the lowest preference.

See docs/standards/choices.md#resolution-for-others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import re2

from core import limits
from core.ident.ors import DUMMY, labels_of_node
from resolver.recursion.found import Service

_FIRST: Final = "ORS+UINF"
_PROTOCOL: Final = "ORS+"
_DIGITS: Final = "0123456789"
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


class Naptr(NamedTuple):
    """One record; the texts decoded as UTF-8."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str


def ors_name(oid: str, suffix: str) -> str:
    """Return the name in DNS that is asked for an OID.

    Shape: ``ors-dummy.7.99999.156.2.1.<suffix>.``, absolute. Source: ITU-T X.672 §7.3.
    """
    return f"{b'.'.join((DUMMY, *labels_of_node(oid))).decode()}.{suffix.strip('.')}."


def services_of(records: Iterable[Naptr], oid: str) -> tuple[Service, ...]:
    """Return the services of an OID, in the order in which a client takes them. Total."""
    terminal = [each for each in records if each.flags.lower() == "u" and each.service.upper().startswith(_PROTOCOL)]
    terminal.sort(key=lambda each: (each.service.upper() != _FIRST, each.order, each.preference))
    made = ((each.service.upper(), substitute(each.regexp, oid)) for each in terminal)
    return tuple(Service(service, value) for service, value in made if value is not None)


def substitute(expression: str, text: str) -> str | None:
    """Apply a substitution expression ``!ERE!replacement!flags``; None where it is none, or does not fit.

    Bounds: linear in the text, for whatever expression; DIGITAL_LINK_CHARS_MAX of the result.
    Source: RFC 3402 §3.2.
    """
    parts = _cut(expression)
    if parts is None:
        return None
    pattern, replacement, flags = parts
    if flags not in ("", "i"):
        return None
    try:
        match = re2.compile(("(?i)" if flags else "") + pattern, _OPTIONS).search(text)
    except re2.error:
        return None
    made = None if match is None else _fill(replacement, [match.group(at) or "" for at in range(match.re.groups + 1)])
    return made if made and made.isprintable() and len(made) <= limits.DIGITAL_LINK_CHARS_MAX else None


def _cut(expression: str) -> tuple[str, str, str] | None:
    """Return expression, replacement and flags; the delimiter may stand in them behind a backslash."""
    delimiter = expression[:1]
    if not delimiter or delimiter in f"\\i{_DIGITS}":
        return None
    parts, at = [""], 1
    while at < len(expression):
        char = expression[at]
        if char == "\\" and at + 1 < len(expression):
            following = expression[at + 1]
            parts[-1] += following if following == delimiter else char + following
            at += 2
            continue
        if char == delimiter:
            parts.append("")
        else:
            parts[-1] += char
        at += 1
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None


def _fill(replacement: str, groups: list[str]) -> str | None:
    """Put groups in the place of ``\\1`` to ``\\9``, a backslash in that of two; None for a group that is not there."""
    made, at = "", 0
    while at < len(replacement):
        char = replacement[at]
        if char == "\\":
            at += 1
            char = replacement[at : at + 1]
            if char and char in _DIGITS:
                group = int(char)
                if not 0 < group < len(groups):
                    return None
                char = groups[group]
        made += char
        at += 1
    return made
