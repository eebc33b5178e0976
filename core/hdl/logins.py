"""Sessions of the JSON interface: a nonce, and the identity that was proven with it.

Row of the run store: key the session id's ASCII; octet 1, then msgpack [nonce, handle,
index], both nil while nobody is proven. A session ends LOGIN_S after it was used last,
LOGIN_NEW_S after it was made if nobody is proven. Source: the reference server's JSON
interface.
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


class Login(NamedTuple):
    """One session."""

    session_id: str
    nonce: bytes
    identity: Identity | None = None


class Logins:
    """The sessions of this node. Errors: every method raises StoreError where they cannot be kept."""

    def __init__(self, run: RunStore, now_ms: Callable[[], Millis]) -> None:
        self._run = run
        self._now_ms = now_ms

    def make(self, identity: Identity | None = None) -> Login:
        """Begin a session."""
        now = self._now_ms()
        login = Login(secrets.token_urlsafe(_ID_OCTETS), secrets.token_bytes(limits.NONCE_BYTES), identity)
        self._run.add(LOGIN, login.session_id.encode(), Row(_pack(login), now + _life_ms(login)), now)
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
        ends_ms = now + _life_ms(login)
        if login.identity is not None and ends_ms - row.ends_ms > _TOUCH_MS:
            self._run.update(LOGIN, key, now, lambda known: (known and known._replace(ends_ms=ends_ms), None))
        return login

    def prove(self, login: Login, identity: Identity) -> Login:
        """Let a session stand for an identity."""
        now, proven = self._now_ms(), login._replace(identity=identity)
        row = Row(_pack(proven), now + _life_ms(proven))
        self._run.update(LOGIN, login.session_id.encode(), now, lambda _: (row, None))
        return proven

    def end(self, session_id: str) -> bool:
        """End a session; False if there was none."""
        if not session_id.isascii() or not 0 < len(session_id) <= _ID_CHARS_MAX:
            return False
        return self._run.take(LOGIN, session_id.encode(), self._now_ms()) is not None


def _life_ms(login: Login) -> int:
    return (limits.LOGIN_NEW_S if login.identity is None else limits.LOGIN_S) * 1_000


def _pack(login: Login) -> bytes:
    handle, index = (None, None) if login.identity is None else login.identity
    row: bytes = msgpack.packb((login.nonce, handle, index))
    return _VERSION + row


def _unpack(session_id: str, row: bytes) -> Login:
    try:
        if row[:1] != _VERSION:
            raise ValueError(f"version {row[:1]!r}")
        nonce, handle, index = msgpack.unpackb(row[1:])
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise StoreError(f"a log-in cannot be read: {error}") from None
    return Login(session_id, nonce, None if handle is None else Identity(handle, index))
