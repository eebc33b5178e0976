"""The grammar of handles: ``prefix "/" suffix``.

Source: RFC 3651 §3, RFC 3650 §2.1; the national tree's lengths (docking
agreement §6). Two forms of a handle exist in the node and are never mixed up:
the *text* as somebody wrote it, which answers echo, and the *key*, its folded
UTF-8 bytes, which decides whether two handles are the same.

Folding turns ASCII a-z into A-Z and nothing else, bytewise on UTF-8. A handle
without "/" is the prefix handle ``0.NA/<text>``, as the reference server reads it.
Where case matters (``handle.case_sensitive``) only the prefix folds, and the whole of a
handle whose prefix begins with "0.": keys are made by ``HandleRules.key`` and by
nothing else, so that a node has one comparison.

DIVERGES: docs/standards/divergences.md#prefixes-fold-also-where-case-matters
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NewType

from core import limits
from core.errors import IdentifierError, ResponsibilityError
from core.ident.sitehash import ServerChoice

HandleKey = NewType("HandleKey", bytes)
PrefixKey = NewType("PrefixKey", bytes)

PREFIX_HANDLES: Final = PrefixKey(b"0.NA")
"""The prefix under which prefix handles live."""

_COMMON: Final = re.compile(r"([0-9A-Za-z]+(?:\.[0-9A-Za-z]+){0,7})/[!-~]*")
"""Handles that need no second look: ASCII without blanks, an ordinary prefix."""

_NOT_IN_PREFIX: Final = frozenset(" \t")


class HandleRules(NamedTuple):
    """Bounds of a handle, in characters (Unicode code points), and how handles are compared.

    ``server``: which server of a site of several this is; None where there is one.
    """

    prefix_length_max: int = limits.PREFIX_CHARS
    length_max: int = limits.HANDLE_CHARS
    case_sensitive: bool = False
    server: ServerChoice | None = None

    def key(self, handle: str) -> HandleKey:
        """Return the key of a handle: of a valid one, or of any text that a record names as one.

        Shape: UTF-8 with a-z folded to A-Z, ``0.NA/`` in front where there is no "/".
        Errors: UnicodeEncodeError for half of a surrogate pair.
        Source: RFC 3651 §3.
        """
        octets = handle.encode()
        if b"/" not in octets:
            return HandleKey(b"0.NA/" + octets.upper())  # bytes.upper() folds ASCII letters only
        return self.fold(octets)

    def fold(self, handle: bytes) -> HandleKey:
        """Return the key of a handle with "/"."""
        if self.case_sensitive and not handle.startswith(b"0."):
            prefix, slash, suffix = handle.partition(b"/")
            return HandleKey(prefix.upper() + slash + suffix)
        return HandleKey(handle.upper())


def prefix_of(key: bytes) -> PrefixKey:
    """Return the prefix of a handle's key: what stands before the first "/"."""
    return PrefixKey(key[: key.index(b"/")])


def prefix_handle_of(prefix: bytes) -> HandleKey:
    """Return the key of the prefix handle ``0.NA/P`` of prefix P."""
    return HandleKey(b"0.NA/" + prefix)


def named_by(handle: bytes) -> PrefixKey:
    """Return the prefix that the key of a prefix handle ``0.NA/P`` names."""
    return PrefixKey(handle[len(PREFIX_HANDLES) + 1 :])


def ancestors(prefix: bytes) -> list[PrefixKey]:
    """Return the prefix itself and every prefix above it, nearest first.

    Bounds: at most PREFIX_SEGMENTS_MAX of them.
    """
    found = [PrefixKey(prefix)]
    while b"." in prefix and len(found) < limits.PREFIX_SEGMENTS_MAX:
        prefix = prefix[: prefix.rindex(b".")]
        found.append(PrefixKey(prefix))
    return found


def check_handle(text: str, rules: HandleRules) -> HandleKey:
    """Return the key of a handle that follows the grammar and the bounds.

    Bounds: ``rules`` in characters, HANDLE_BYTES_MAX in octets.
    Errors: IdentifierError that says what is wrong.
    Source: RFC 3651 §3; control characters are refused, see docs/standards/choices.md.
    """
    common = _COMMON.fullmatch(text)
    if common is not None and len(text) <= rules.length_max and common.end(1) <= rules.prefix_length_max:
        return rules.key(text) if rules.case_sensitive else HandleKey(text.encode().upper())
    if not text:
        raise IdentifierError("Empty handle invalid")
    if len(text) > rules.length_max:
        raise IdentifierError(f"The handle has {len(text)} characters; at most {rules.length_max} are allowed")
    if not text.isprintable():
        _refuse_controls(text)
    prefix, slash, _ = text.partition("/")
    if slash:
        check_prefix(prefix, rules)
    try:
        key = rules.key(text)
    except UnicodeEncodeError:
        raise IdentifierError("The handle holds half of a surrogate pair, which is no character") from None
    if len(key) > limits.HANDLE_BYTES_MAX:
        raise IdentifierError(f"The handle has more than {limits.HANDLE_BYTES_MAX} octets of UTF-8")
    return key


def check_requested(text: str, rules: HandleRules) -> HandleKey:
    """Return the key of a handle that somebody asks this node for: to be read, or changed.

    Errors: IdentifierError; ResponsibilityError, in the reference server's words, if the
    handle belongs to another server of this node's site.
    """
    key = check_handle(text, rules)
    if rules.server is not None and not rules.server.takes(text):
        raise ResponsibilityError("Request was hashed incorrectly")
    return key


def check_prefix(text: str, rules: HandleRules) -> PrefixKey:
    """Return the key of a prefix: segments divided by ".", none of them empty.

    Errors: IdentifierError that says what is wrong.
    Source: RFC 3651 §3 (naming authority).
    """
    if not text:
        raise IdentifierError("The prefix before the first '/' is empty")
    if len(text) > rules.prefix_length_max:
        raise IdentifierError(f"The prefix has {len(text)} characters; at most {rules.prefix_length_max} are allowed")
    if "/" in text:
        raise IdentifierError(f"The prefix {text!r} holds a '/'")
    if text[0] == "." or text[-1] == "." or ".." in text:
        raise IdentifierError(f"The prefix {text!r} has an empty segment")
    if text.count(".") >= limits.PREFIX_SEGMENTS_MAX:
        raise IdentifierError(f"The prefix has more than {limits.PREFIX_SEGMENTS_MAX} segments")
    if not text.isalnum():
        _refuse_controls(text)
        if not _NOT_IN_PREFIX.isdisjoint(text):
            raise IdentifierError(f"The prefix {text!r} holds a blank")
    try:
        return PrefixKey(text.encode().upper())
    except UnicodeEncodeError:
        raise IdentifierError("The prefix holds half of a surrogate pair, which is no character") from None


def _refuse_controls(text: str) -> None:
    for position, char in enumerate(text):
        if char < " " or char == "\x7f":
            raise IdentifierError(
                f"Character {position + 1} is a control character (U+{ord(char):04X}), which no handle may hold"
            )
