"""The dialogues under way: challenges and sessions in the run store, under ids of their own.

A session id is a positive int32, drawn at random; no challenge outside a session has the
id of a session. A challenge inside a session has the session's id, and there is one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from core import limits
from core.admission import Identity
from core.clock import Millis
from core.errors import StoreError
from core.hdl.challenge import Challenge, pack_challenge, unpack_challenge
from core.hdl.session import Session, pack_session, take_counter, unpack_session
from core.store.run_store import CHALLENGE, SESSION, Kind, Row, RunStore

_ID_TRIES: Final = 8
_ID_MAX: Final = 2**31 - 1

Change = Callable[[Session], Session | None]


class Dialogues:
    """Challenges and sessions. Errors: every method raises StoreError where the run store cannot be used."""

    def __init__(self, run: RunStore, now_ms: Callable[[], Millis]) -> None:
        self._run = run
        self._now_ms = now_ms

    # --- challenges ---
    def challenge(self, challenge: Challenge) -> int | None:
        """Keep a request until its sender is proven; return the id to answer under.

        None for one without the MAC of its session where one with it waits.
        """
        now = self._now_ms()
        row = Row(pack_challenge(challenge), now + limits.CHALLENGE_S * 1_000)
        if not challenge.session_id:
            return self._add(CHALLENGE, row, now)

        def replaced(known: Row | None) -> tuple[Row | None, bool]:
            kept = known is not None and not challenge.mac_right and unpack_challenge(known.payload).mac_right
            return (known, False) if kept else (row, True)

        if not self._run.update(CHALLENGE, _key(challenge.session_id), now, replaced):
            return None
        return challenge.session_id

    def challenged(self, session_id: int) -> bool:
        """Whether a challenge of this id waits."""
        return self._run.get(CHALLENGE, _key(session_id), self._now_ms()) is not None

    def take_challenge(self, session_id: int) -> Challenge | None:
        """Return a challenge that waits; it is gone then."""
        row = self._run.take(CHALLENGE, _key(session_id), self._now_ms())
        return None if row is None else unpack_challenge(row.payload)

    # --- sessions ---
    def session(self, session_id: int) -> Session | None:
        """Return a session."""
        row = self._run.get(SESSION, _key(session_id), self._now_ms())
        return None if row is None else unpack_session(row.payload)

    def open(self, session: Session) -> int:
        """Begin a session that is not proven yet; return its id. Bounds: SESSION_NEW_S."""
        now = self._now_ms()
        life_s = min(session.life_s, limits.SESSION_NEW_S)
        return self._add(SESSION, Row(pack_session(session), now + life_s * 1_000), now)

    def take_counter(self, session_id: int, counter: int) -> Session | None:
        """Take a counter of a session, once; None if it must be refused or the session is gone."""
        return self._change(session_id, lambda session: take_counter(session, counter))

    def next_answer(self, session_id: int) -> int:
        """Return the counter of the next answer in a session, 0 if it is gone."""
        changed = self._change(session_id, lambda session: session._replace(sent=session.sent + 1))
        return 0 if changed is None else changed.sent

    def authenticate(self, session_id: int, identity: Identity, mark: bytes) -> Session | None:
        """Let a session stand for the identity that it was set up for, now proven by the key of that mark.

        None if it is gone or was set up for another. Bounds: SESSION_S_MAX.
        """
        now = self._now_ms()

        def changed(row: Row | None) -> tuple[Row | None, Session | None]:
            session = None if row is None else unpack_session(row.payload)
            if row is None or session is None or session.identity != identity:
                return row, None
            proven = session._replace(mark=mark)
            if session.authenticated:  # by a new key; it ends when it was said to end
                return row._replace(payload=pack_session(proven)), proven
            life_s = min(session.life_s, limits.SESSION_S_MAX)
            return Row(pack_session(proven), now + life_s * 1_000), proven

        return self._run.update(SESSION, _key(session_id), now, changed)

    def end(self, session_id: int) -> None:
        """End a session, and the challenge that waits in it."""
        now = self._now_ms()
        self._run.take(SESSION, _key(session_id), now)
        self._run.take(CHALLENGE, _key(session_id), now)

    # --- pieces ---
    def _change(self, session_id: int, change: Change) -> Session | None:
        def changed(row: Row | None) -> tuple[Row | None, Session | None]:
            new = None if row is None else change(unpack_session(row.payload))
            if row is None or new is None:
                return row, None
            return row._replace(payload=pack_session(new)), new

        return self._run.update(SESSION, _key(session_id), self._now_ms(), changed)

    def _add(self, kind: Kind, row: Row, now: Millis) -> int:
        other = SESSION if kind is CHALLENGE else CHALLENGE
        for _ in range(_ID_TRIES):
            session_id = secrets.randbelow(_ID_MAX) + 1
            key = _key(session_id)
            if self._run.get(other, key, now) is None and self._run.add(kind, key, row, now):
                return session_id
        raise StoreError("No session id is free; try again")


def _key(session_id: int) -> bytes:
    return session_id.to_bytes(4, "big")
