"""What the registrar can be asked to do, and what it answers."""

from __future__ import annotations

from typing import Final, NamedTuple

from core import limits
from core.admission import Identity
from core.errors import Outcome
from core.events import PROTOCOL_LOCAL, PROTOCOL_NONE
from core.ident.handle import HandleRules
from core.peer import UNKNOWN
from core.records import Values
from core.store.prefix_rows import HOSTED
from registry.alias_commands import AddAlias, RemoveAlias
from registry.probe import Probe
from registry.upstream_commands import ConnectUpstream, DisconnectUpstream, TakeChange


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
    """Answer for a prefix of the operator's own from now on, here (hosted) or by a referral (delegated).

    The operator and server administrators only. A prefix that is homed otherwise is changed. Which
    prefixes are the operator's own is decided when the node is made (Measures art. 10).
    """

    prefix: str
    hosting: str = HOSTED


class Unhome(NamedTuple):
    """Answer for a prefix of the operator's own no longer. Its records stay in the store, unserved."""

    prefix: str


class AddParty(NamedTuple):
    """File a party. ``form``: JSON of the subject data, unread until the registrar has it."""

    form: bytes


class AmendParty(NamedTuple):
    """Put other subject data in the place of a party's. ``form``: the fields that change, as JSON."""

    party: str
    form: bytes


class VerifyParty(NamedTuple):
    """Verify the identity of a party by one of the methods, or say that it failed.

    ``evidence``: SHA-256 of the file that was looked at, empty without. ``document``: its content
    where a method reads it, else empty. ``failed``: why, where a reviewer finds it wrong.
    """

    party: str
    method: str
    evidence: bytes = b""
    document: bytes = b""
    failed: str = ""


class ConfirmParty(NamedTuple):
    """Say that the contact of a party was asked and is still right."""

    party: str


class ReadIdentity(NamedTuple):
    """Show the identity fields of a party. Local only; the body of the result holds them, and nothing else does."""

    party: str


class RekeyParties(NamedTuple):
    """Seal the identity fields of all parties under the current key. Local only."""


class ApplyPrefix(NamedTuple):
    """Apply for a prefix, or again after a correction. ``site``: JSON of the sites of a delegated one.

    ``draft``: keep it, and send it to nobody yet.
    """

    prefix: str
    party: str
    hosting: str = HOSTED
    site: bytes = b""
    draft: bool = False


class ReviewPrefix(NamedTuple):
    """Review an application: exactly one of approve, reject (the reason), correct (fields and reasons)."""

    prefix: str
    approve: bool = False
    reject: str = ""
    correct: tuple[tuple[str, str], ...] = ()


class NationalVerdict(NamedTuple):
    """What an upstream says of a prefix in the national review. Local only, by ``upstream:`` and its id.

    ``verdict``: approved, rejected or asked; ``fields``: to be corrected, and why. ``filed_ms``: of the application.
    """

    prefix: str
    upstream: str
    verdict: str
    reason: str
    fields: tuple[tuple[str, str], ...]
    filed_ms: int


class SitePrefix(NamedTuple):
    """Give other service sites of a delegated prefix, or its first. ``site``: JSON."""

    prefix: str
    site: bytes


class MovePrefix(NamedTuple):
    """Suspend, resume or delete a prefix that is allocated. ``evidence``: SHA-256 of a file, empty without."""

    prefix: str
    event: str
    reason: str = ""
    evidence: bytes = b""


class IssueBearer(NamedTuple):
    """Make a bearer token. ``party``: of an enterprise's. The body of the result alone holds the token."""

    role: str
    holder: str
    party: str = ""
    days: int = limits.BEARER_DAYS


class RevokeBearer(NamedTuple):
    """End a bearer token at once. ``bearer``: its id."""

    bearer: str


class PlaceHold(NamedTuple):
    """Stop the answers for a target by order of the regulator.

    ``target``: with "/" an identifier, with "." and no "/" a prefix and all below it, else the id of a party.
    ``order``: its number. ``public``: whether it says that its reason may be told to everybody.
    """

    target: str
    order: str
    reason: str
    public: bool = False


class LiftHold(NamedTuple):
    """Let a target be answered again. ``order``: the number of the one that stopped it, or of one that lifts it."""

    target: str
    order: str


class HoldLog(NamedTuple):
    """Keep the log of a month beyond its time, by order. ``log``: ``registration/2026-03``. ``order``: its number."""

    log: str
    order: str
    reason: str


class ReleaseLog(NamedTuple):
    """Let the log of a month go in its time. ``order``: as of LiftHold."""

    log: str
    order: str


class AddTemplate(NamedTuple):
    """File a version of a metadata template as a draft, or another draft in its place. ``form``: JSON."""

    form: bytes


class PublishTemplate(NamedTuple):
    """Publish a draft. ``version``: empty for the newest."""

    code: str
    version: str = ""


class WithdrawTemplate(NamedTuple):
    """Take no new registrations by a published version. ``version``: empty for all of the code."""

    code: str
    version: str = ""


class OpenIncident(NamedTuple):
    """Open an incident. ``form``: JSON of its members, unread until the registrar has it."""

    form: bytes


class UpdateIncident(NamedTuple):
    """Change members of an incident, and add measures. ``form``: JSON of those that change."""

    incident: str
    form: bytes


class ReportIncident(NamedTuple):
    """Make and sign the next revision of an incident's report. ``to``: whom it is for."""

    incident: str
    to: str


class CloseIncident(NamedTuple):
    """End an incident."""

    incident: str


class FileComplaint(NamedTuple):
    """Complain of something. Anybody may; ``name``, ``phone`` and ``email`` are sealed, and may be empty."""

    kind: str
    text: str
    subject: str = ""
    name: str = ""
    phone: str = ""
    email: str = ""


class MoveComplaint(NamedTuple):
    """Accept, answer, reject or close a complaint. ``text``: the reply or why it is rejected; it is public."""

    ticket: str
    event: str
    text: str = ""


class ReadContact(NamedTuple):
    """Show who filed a complaint. Local only; the body of the result holds it, and nothing else does."""

    ticket: str


class ExportPrefix(NamedTuple):
    """Note that a prefix is exported with all of its values, secret ones too. Local only; the file is written later."""

    prefix: str


class ImportPrefix(NamedTuple):
    """Begin to take over a prefix, or end it once all lines are there. Local only.

    ``head``, ``trailer``: these lines of the file. ``evidence``: SHA-256 of the file before its last line.
    """

    prefix: str
    head: bytes
    trailer: bytes
    evidence: bytes


class ImportLines(NamedTuple):
    """Write lines of the body of an import. ``after``: how many are there already. Local only."""

    prefix: str
    after: int
    lines: bytes


class AbandonImport(NamedTuple):
    """Take away what an import has written, so many rows at once; the body of the result says how many are left."""

    prefix: str


class CreateLot(NamedTuple):
    """Register a lot: one row, however many units it has. ``form``: JSON of ``registry/lot_forms.py``."""

    form: bytes


class TakeBlock(NamedTuple):
    """Give units of a lot to a line, or give the same again. ``start``: the first one, -1 for the next that are free.

    ``token``: whoever asks again with it gets the same block, for ever; empty without.
    """

    lot: str
    line: str
    size: int
    start: int = -1
    token: str = ""


class RecordEvents(NamedTuple):
    """Record what happened to units of a lot; the body is JSON, unread until the registrar has it.

    ``lines``: an event a line, else one array. ``digest``: SHA-256 of the body as its sender has it, empty without.
    """

    lot: str
    body: bytes
    lines: bool
    digest: bytes = b""


LOG_IN: Final = "log-in"
"""What a NoteRefusal calls a failure to prove who somebody is."""


class NoteRefusal(NamedTuple):
    """Write down what a worker refused. ``action``: a call of ``registry/roles.py``, or LOG_IN."""

    action: str
    object: str
    outcome: str
    rule: str
    reason: str


class NoteAct(NamedTuple):
    """Write down what was done elsewhere. ``action``: of ``registry/notes.py``; ``object``: what it is about."""

    action: str
    object: str
    reason: str = ""


Governance = (
    AddParty | AmendParty | VerifyParty | ConfirmParty | ReadIdentity | RekeyParties
    | ApplyPrefix | ReviewPrefix | NationalVerdict | SitePrefix | MovePrefix
    | ConnectUpstream | DisconnectUpstream | TakeChange
    | IssueBearer | RevokeBearer
    | PlaceHold | LiftHold | HoldLog | ReleaseLog
    | AddTemplate | PublishTemplate | WithdrawTemplate
    | OpenIncident | UpdateIncident | ReportIncident | CloseIncident
    | CreateLot | TakeBlock | RecordEvents
    | AddAlias | RemoveAlias
    | FileComplaint | MoveComplaint | ReadContact
    | NoteRefusal | NoteAct | Probe | ExportPrefix | ImportPrefix | ImportLines | AbandonImport
)  # fmt: skip
"""What ``registry/governance.py`` decides: who may hold a prefix, and how that is proven."""

FOR_ANYBODY: Final = (NoteRefusal, FileComplaint)
"""Acts that need no proof of who asks."""

Command = Put | Add | Modify | Remove | Delete | PutBatch | Home | Unhome | Governance


class Actor(NamedTuple):
    """Who asks, as far as it is proven: a Handle identity, a bearer token, a person at this machine; or anybody.

    ``local``: by the registrar's own socket, whose file permissions are the credential; ``name``
    is then on whose behalf, ``uid`` the user id of the process at its other end. ``bearer``: id of
    the token, which the registrar looks up again.
    """

    identity: Identity | None = None
    local: bool = False
    name: str = ""
    uid: int = -1
    bearer: str = ""

    @property
    def anonymous(self) -> bool:
        """Whether it is anybody, who has no right at all."""
        return self.identity is None and not self.local and not self.bearer

    def owner(self, rules: HandleRules) -> str:
        """Return the name under which tokens are kept: one identity has one, however it is spelt; anybody has none."""
        if self.local:
            return "operator"
        if self.bearer:
            return f"bearer {self.bearer}"
        if self.identity is None:
            return ""
        return f"{self.identity.value_index}:{rules.key(self.identity.handle).decode()}"


OPERATOR = Actor(local=True)
ANONYMOUS = Actor()


class Token(NamedTuple):
    """An idempotency key, and the digest of the request that it stands for."""

    key: str
    digest: bytes


class Origin(NamedTuple):
    """Where a request came from. ``protocol``: as ``core/events.py`` names it; ``peer``: as ``core/peer.py`` has it."""

    protocol: str = PROTOCOL_NONE
    peer: bytes = UNKNOWN


class Request(NamedTuple):
    """One command. ``dry_run`` decides everything and writes nothing. ``sent``: where the front took it."""

    command: Command
    actor: Actor
    token: Token | None = None
    dry_run: bool = False
    sent: Origin = Origin()

    @property
    def origin(self) -> Origin:
        """Where it came from: of a person at this machine always the registrar's socket, whatever is said."""
        return Origin(PROTOCOL_LOCAL) if self.actor.local else self.sent


class Result(NamedTuple):
    """How it ended. ``handle`` is as asked, or the minted one; ``body`` is JSON of a batch.

    ``replaced``: Put found a record, or Add one of its values, and put something in its
    place, be it the same. ``rule``: what refused it, a name of ``registry/refusals.py``.
    ``message``: why; of an incident that was updated what was changed.
    """

    outcome: Outcome
    handle: str = ""
    message: str = ""
    body: bytes = b""
    replaced: bool = False
    rule: str = ""

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.outcome in (Outcome.OK, Outcome.CREATED)
