"""Sessions of the JSON interface: a nonce, and the identity that was proven with it.

Row of the run store: key the session id's ASCII; octet 1, then msgpack [nonce, [handle,
index, mark, proven at ms]], nil while nobody is proven. A session ends LOGIN_S after it was
used last and LOGIN_S_MAX after it was proven; LOGIN_NEW_S after it was made if nobody is.
Source: the reference server's JSON interface.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

import msgpack

from core import limits
from core.admission import Identity
from core.clock import Millis
from core.errors import StoreError
from core.store.run_store import LOGIN, Row, RunStore

_VERSION: Final = b"\x01"
_ID_OCTETS: Final = 24
_ID_CHARS_MAX: Final = 64
_TOUCH_MS: Final = 60_000


class Proven(NamedTuple):
    """Who was proven, by the key of which mark, and when."""

    identity: Identity
    mark: bytes
    at_ms: int

    def __repr__(self) -> str:
        return f"Proven({self.identity!r})"


class Login(NamedTuple):
    """One session."""

    session_id: str
    nonce: bytes
    proven: Proven | None = None

    @property
    def identity(self) -> Identity | None:
        """Who was proven."""
        return None if self.proven is None else self.proven.identity

    def __repr__(self) -> str:
        return f"Login({self.proven!r}, session_id=…)"


class Logins:
    """The sessions of this node. Errors: every method raises StoreError where they cannot be kept."""

    def __init__(self, run: RunStore, now_ms: Callable[[], Millis]) -> None:
        self._run = run
        self._now_ms = now_ms

    def make(self, identity: Identity | None = None, mark: bytes = b"") -> Login:
        """Begin a session; with an identity, one that is proven already by the key of that mark."""
        now = self._now_ms()
        proven = None if identity is None else Proven(identity, mark, now)
        login = Login(secrets.token_urlsafe(_ID_OCTETS), secrets.token_bytes(limits.NONCE_BYTES), proven)
        self._run.add(LOGIN, login.session_id.encode(), Row(_pack(login), _ends_ms(login, now)), now)
        return login

    def find(self, session_id: str) -> Login | None:
        """Return a session, which is used by that; None if there is none."""
        if not session_id.isascii() or not 0 < len(session_id) <= _ID_CHARS_MAX:
            return None
        now, key = self._now_ms(), session_id.encode()
        row = self._run.get(LOGIN, key, now)
        if row is None:
            return None
        login = _unpack(session_id, row.payload)
        ends_ms = _ends_ms(login, now)
        if login.proven is not None and ends_ms - row.ends_ms > _TOUCH_MS:
            self._run.update(LOGIN, key, now, lambda known: (known and known._replace(ends_ms=ends_ms), None))
        return login

    def prove(self, login: Login, identity: Identity, mark: bytes) -> Login | None:
        """Let a session stand for an identity; None if it ended meanwhile."""
        now = self._now_ms()
        proven = login._replace(proven=Proven(identity, mark, now))
        row = Row(_pack(proven), _ends_ms(proven, now))

        def changed(known: Row | None) -> tuple[Row | None, bool]:
            return (None, False) if known is None else (row, True)

        return proven if self._run.update(LOGIN, login.session_id.encode(), now, changed) else None

    def end(self, session_id: str) -> bool:
        """End a session; False if there was none."""
        if not session_id.isascii() or not 0 < len(session_id) <= _ID_CHARS_MAX:
            return False
        return self._run.take(LOGIN, session_id.encode(), self._now_ms()) is not None


def _ends_ms(login: Login, now_ms: int) -> int:
    if login.proven is None:
        return now_ms + limits.LOGIN_NEW_S * 1_000
    return min(now_ms + limits.LOGIN_S * 1_000, login.proven.at_ms + limits.LOGIN_S_MAX * 1_000)


def _pack(login: Login) -> bytes:
    proven = login.proven
    who = None if proven is None else (*proven.identity, proven.mark, proven.at_ms)
    row: bytes = msgpack.packb((login.nonce, who))
    return _VERSION + row


def _unpack(session_id: str, row: bytes) -> Login:
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        nonce, who = msgpack.unpackb(row[1:])
        if not isinstance(nonce, bytes):
            raise TypeError("no nonce")
        proven = None if who is None else Proven(Identity(who[0], who[1]), who[2], who[3])
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a log-in cannot be read: {error}") from None
    return Login(session_id, nonce, proven)
