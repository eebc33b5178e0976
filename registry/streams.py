"""Which statutory log an act belongs to, and with it the refusal of one: the only table of it (design §6).

Every call of ``registry/roles.py`` is in it, reading ones too: that one was refused is written down. Beside
them stand what is no call: the writes of records one by one, the homing of the operator's own prefixes, log-ins.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.streams import Stream

RECORD_CREATE: Final = "record.create"
RECORD_CHANGE: Final = "record.change"
RECORD_DELETE: Final = "record.delete"
RECORD_WRITE: Final = "record.write"
LOT_CREATE: Final = "lot.create"
ALIAS_REMOVE: Final = "alias.remove"
LOGIN: Final = "login"
COUNTED: Final = "refusals.counted"


class _Group(NamedTuple):
    """``why`` these acts are of that stream."""

    stream: Stream
    why: str
    acts: tuple[str, ...]


_GROUPS: Final = (
    _Group(
        Stream.REGISTRATION, "a party is new here",
        ("party.add",),
    ),
    _Group(
        Stream.REGISTRATION, "a prefix comes to its holder: asked for, reviewed and so allocated, taken over, founded",
        ("prefix.apply", "prefix.review", "prefix.verdict", "prefix.import", "prefix.home"),
    ),
    _Group(
        Stream.REGISTRATION, "an identifier, a lot or a template is new; of a batch of records the refusal",
        (RECORD_CREATE, RECORD_WRITE, LOT_CREATE, "template.add"),
    ),
    _Group(
        Stream.REGISTRATION, "something registered is known by one more identifier",
        ("alias.add",),
    ),
    _Group(
        Stream.CHANGE, "what is known of a party, and how surely, is another",
        ("party.amend", "party.verify", "party.confirm"),
    ),
    _Group(
        Stream.CHANGE, "a prefix has another state or route, or is no longer here",
        ("prefix.site", "prefix.suspend", "prefix.resume", "prefix.delete", "prefix.abandon", "prefix.unhome"),
    ),
    _Group(
        Stream.CHANGE, "what is registered goes to another top node, or to one less",
        ("upstream.connect", "upstream.disconnect"),
    ),
    _Group(
        Stream.CHANGE, "what a top node registered while it answered for this node comes home",
        ("takeover.change",),
    ),
    _Group(
        Stream.CHANGE, "what was registered says something else, or is gone",
        (RECORD_CHANGE, RECORD_DELETE, ALIAS_REMOVE, "lot.take", "lot.events", "template.publish", "template.withdraw"),
    ),
    _Group(
        Stream.MAINTENANCE, "keys, and who may come in",
        (LOGIN, "token.issue", "token.revoke", "party.rekey", "lot.rekey"),
    ),
    _Group(
        Stream.MAINTENANCE, "personal data or secrets leave the store",
        ("party.identity", "complaint.contact", "prefix.export"),
    ),
    _Group(
        Stream.MAINTENANCE, "an inspection was served, or a monthly report was made",
        ("report.inspection", "report.month"),
    ),
    _Group(
        Stream.MAINTENANCE, "when the node will be away, and no longer",
        ("downtime.plan", "downtime.cancel"),
    ),
    _Group(
        Stream.MAINTENANCE, "the node was copied, for itself or for an escrow agent",
        ("backup", "escrow.deposit"),
    ),
    _Group(
        Stream.MAINTENANCE, "orders of the regulator",
        ("hold.place", "hold.lift", "log.hold", "log.release"),
    ),
    _Group(
        Stream.MAINTENANCE, "how the node runs, and what is said of it",
        (
            "incident.open", "incident.update", "incident.report", "incident.close",
            "complaint.file", "complaint.accept", "complaint.answer", "complaint.reject", "complaint.close",
            "node.probe",
        ),
    ),
    _Group(
        Stream.MAINTENANCE, "reading changes nothing: only that somebody was refused it is an entry",
        (
            "party.show", "party.list", "prefix.show", "prefix.list", "lot.codes", "lot.show", "lot.list", "lot.blocks",
            "lot.unit", "hold.list", "token.list", "template.show", "template.list", "incident.show", "incident.list",
            "incident.form", "complaint.status", "complaint.list", "complaint.show", "change.list", "journal.list",
            "monitor.show", "alias.list",
            "log.holds", "log.read",
        ),
    ),
    _Group(
        Stream.MAINTENANCE, "refusals of every stream, counted for one source",
        (COUNTED,),
    ),
)  # fmt: skip

STREAMS: Final = {act: group.stream for group in _GROUPS for act in group.acts}


def stream_of(act: str) -> Stream:
    """Return the stream of an act; of one that there is not, which can only be refused, maintenance."""
    return STREAMS.get(act, Stream.MAINTENANCE)
