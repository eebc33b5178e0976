"""What the registrar can be asked to do, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from core.admission import Identity
from core.errors import Outcome
from core.ident.handle import fold
from core.records import Values


class Put(NamedTuple):
    """Create a record, or replace it (Handle operation 100). ``mint`` appends a random suffix."""

    handle: str
    values: Values
    overwrite: bool = False
    mint: bool = False


class Add(NamedTuple):
    """Add values, or replace those of the same index (operation 102)."""

    handle: str
    values: Values
    overwrite: bool = False


class Modify(NamedTuple):
    """Replace values that exist (operation 104)."""

    handle: str
    values: Values


class Remove(NamedTuple):
    """Remove values (operation 103)."""

    handle: str
    indexes: tuple[int, ...]


class Delete(NamedTuple):
    """Delete a record (operation 101)."""

    handle: str


class PutBatch(NamedTuple):
    """Create or replace many records; the body is JSON, unread until the registrar has it.

    ``lines``: a record a line, else one array. ``keep_timestamps``: an import.
    """

    body: bytes
    lines: bool
    overwrite: bool = True
    keep_timestamps: bool = False


class Home(NamedTuple):
    """Serve a prefix from now on; the operator's own prefixes only (design §4)."""

    prefix: str


Command = Put | Add | Modify | Remove | Delete | PutBatch | Home


class Actor(NamedTuple):
    """Who asks: an authenticated identity, or the operator at this machine (None)."""

    identity: Identity | None = None

    @property
    def name(self) -> str:
        """The name under which tokens are kept: one identity has one, however it is spelt."""
        if self.identity is None:
            return "operator"
        return f"{self.identity.value_index}:{fold(self.identity.handle).decode()}"


OPERATOR = Actor()


class Token(NamedTuple):
    """An idempotency key, and the digest of the request that it stands for."""

    key: str
    digest: bytes


class Request(NamedTuple):
    """One command. ``dry_run`` decides everything and writes nothing."""

    command: Command
    actor: Actor
    token: Token | None = None
    dry_run: bool = False


class Result(NamedTuple):
    """How it ended. ``handle`` is as asked, or the minted one; ``body`` is JSON of a batch."""

    outcome: Outcome
    handle: str = ""
    message: str = ""
    body: bytes = b""

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.outcome in (Outcome.OK, Outcome.CREATED)
