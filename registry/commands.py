"""What the registrar can be asked to do, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from core.admission import Identity
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.records import Values
from core.store.prefix_rows import HOSTED


class Put(NamedTuple):
    """Create a record, or replace it (Handle operation 100). ``mint`` appends a random UUID."""

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
    """Answer for a prefix from now on, here (hosted) or by referring to another node (delegated).

    The operator and server administrators only. A prefix that is homed otherwise is changed.
    """

    prefix: str
    hosting: str = HOSTED


class Unhome(NamedTuple):
    """Answer for a prefix no longer. Its records stay in the store, unserved."""

    prefix: str


Command = Put | Add | Modify | Remove | Delete | PutBatch | Home | Unhome


class Actor(NamedTuple):
    """Who asks: an identity that was proven, the operator at this machine, or, said to be neither, anybody."""

    identity: Identity | None = None
    operator: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether it is anybody, who has no right at all."""
        return self.identity is None and not self.operator

    def name(self, rules: HandleRules) -> str:
        """Return the name under which tokens are kept: one identity has one, however it is spelt; anybody has none."""
        if self.operator:
            return "operator"
        if self.identity is None:
            return ""
        return f"{self.identity.value_index}:{rules.key(self.identity.handle).decode()}"


OPERATOR = Actor(operator=True)
ANONYMOUS = Actor()


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
    """How it ended. ``handle`` is as asked, or the minted one; ``body`` is JSON of a batch.

    ``replaced``: Put found a record, or Add one of its values, and put something in its
    place, be it the same.
    """

    outcome: Outcome
    handle: str = ""
    message: str = ""
    body: bytes = b""
    replaced: bool = False

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.outcome in (Outcome.OK, Outcome.CREATED)
