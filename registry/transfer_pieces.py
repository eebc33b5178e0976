"""Pieces that head and body of a transfer share: people, times and texts, as a file may tell them.

1. A text that is kept or shown here has its bound, and no character that cannot be shown. An export replaces
   such characters by U+FFFD and cuts: what somebody else once typed stops no transfer.
2. Somebody of another node has no role here: what he was there is kept behind ELSEWHERE, and shown so.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from core import limits
from core.clock import read_millis
from core.errors import WireError
from core.who import Who
from core.wire.transferfile import Person

ELSEWHERE: Final = "elsewhere"
"""What stands before the role of somebody of another node."""

_MARK: Final = f"{ELSEWHERE}:"
_REPLACEMENT: Final = "\ufffd"
_DIGEST_BYTES: Final = 32


class Text(NamedTuple):
    """A kind of text. ``plain``: without a line feed, too. ``identifier``: of any character but controls."""

    chars: int
    plain: bool = True
    identifier: bool = False

    def admits(self, char: str) -> bool:
        """Whether a text may hold a character."""
        if self.identifier:
            return char >= " " and char != "\x7f"
        return char.isprintable() or (char == "\n" and not self.plain)


WORD: Final = Text(limits.TRANSFER_WORD_CHARS_MAX)
NAME: Final = Text(limits.HANDLE_CHARS_MAX)  # a Handle identity is one, too
REASON: Final = Text(limits.REASON_CHARS_MAX, plain=False)
SOURCE: Final = Text(limits.TRANSFER_SOURCE_CHARS_MAX, plain=False)
OBJECT: Final = Text(limits.HANDLE_CHARS_MAX, identifier=True)


def shown(text: str, kind: Text) -> str:
    """Return a text as a file may hold it."""
    cut = text[: kind.chars]
    return cut if all(map(kind.admits, cut)) else "".join(c if kind.admits(c) else _REPLACEMENT for c in cut)


def checked(name: str, text: str, kind: Text) -> str:
    """Return a text of a file. ``name``: of its member. Errors: WireError."""
    if len(text) > kind.chars or not all(map(kind.admits, text)):
        raise WireError(
            f"{name} 应为至多 {kind.chars} 个可见字符。{name} takes at most {kind.chars} characters, all visible"
        )
    return text


def checked_digest(name: str, digest: bytes) -> bytes:
    """Return a SHA-256, or nothing. Errors: WireError."""
    if len(digest) not in (0, _DIGEST_BYTES):
        raise WireError(f"{name} 不是 SHA-256 摘要。{name} is no SHA-256 digest")
    return digest


def checked_count(name: str, things: list[Any], most: int) -> list[Any]:
    """Return a list of a file. Errors: WireError."""
    if len(things) > most:
        raise WireError(f"{name} 至多 {most} 项。{name} takes at most {most} items")
    return things


def checked_time(at_ms: int) -> Any:
    """Return a time of a file. Errors: WireError."""
    try:
        return read_millis(at_ms)
    except ValueError:
        raise WireError(f"{at_ms} 不是时间。{at_ms} is no time") from None


def person_of(who: Who) -> Person:
    """Return somebody as a file names him: no user id and no token, which mean nothing elsewhere."""
    return Person(shown(who.role, WORD), shown(who.name, NAME))


def who_of(person: Person) -> Who:
    """Return somebody whom a file names, as somebody of another node. Errors: WireError."""
    role, name = checked("role", person.role, WORD), checked("name", person.name, NAME)
    if role != ELSEWHERE and not role.startswith(_MARK):
        role = f"{_MARK}{role}" if role else ELSEWHERE
    return Who(role, name)
