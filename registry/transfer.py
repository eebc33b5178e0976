"""Transfer of a prefix to another node: who may, and what an import decides (Measures art. 10, 18).

Rules:

1. A file is taken over only if a key that is trusted signed it: in production one of ``prefix.import_keys``.
2. A prefix of a party comes with the statement that its party is verified, or not at all. The party is
   filed here without its identity data, and gets no other prefix before it is completed and verified.
3. Nothing of the prefix is answered until all of it is here: it is held while its lines come, and is
   switched on in one transaction with its application, its party and its own record.
4. A cut import goes on where it was cut: what is written is counted, and chained to what was signed.
5. Where the operator holds the prefix already, as its own and empty, the values of 0.NA/P by which
   somebody gets a right stay those of this node: its administrators are not locked out.
"""

from __future__ import annotations

from itertools import chain, count, islice
from typing import Any, Final, NamedTuple

from core import limits
from core.changes import ChangeKind
from core.clock import shanghai_date
from core.errors import Outcome
from core.ident.handle import HandleKey, PrefixKey, check_prefix, named_by, prefix_handle_of
from core.lifecycle import Event, State
from core.party.check import check_subject
from core.party.fields import BY_NAME, HINTS, identity_names
from core.party.rules import Fault
from core.records import Values
from core.store.alias_rows import aliases_below
from core.store.application_rows import Application, unpack_application
from core.store.engine import Table
from core.store.party_rows import (
    LAST_KEY,
    Check,
    PartyRow,
    Verified,
    number_key,
    pack_number,
    pack_party,
    party_id,
    unpack_number,
)
from core.store.prefix_rows import HomedPrefix, nearest_homed, pack_prefix, unpack_prefix
from core.store.record_rows import prefix_handles_below, prefix_range, record_key, unpack_handle
from core.store.transfer_rows import Transfer, history_range, pack_transfer, unpack_transfer
from core.wire.transferfile import Trailer, decode_line, decode_trailer, first_link, next_link
from registry.codes import codes_of
from registry.commands import AbandonImport, ExportPrefix, ImportLines, ImportPrefix, Result
from registry.desk import Desk, refused_form, told
from registry.holds import require_no_hold
from registry.parties import texts_of
from registry.policy import pattern_of
from registry.prefixes import (
    application_of,
    count_faults,
    dump_application,
    faults_of_site,
    is_free,
    is_reserved,
    move,
    note_prefix,
    place_faults,
)
from registry.refusals import fault, refusal
from registry.staging import is_used
from registry.transfer_file import body_lines
from registry.transfer_head import Head, decode_head, exported
from registry.transfer_kinds import BODY, RANK
from registry.transfer_lots import LOT_TABLES, LotsSoFar, key_faults, take_away
from registry.values import RIGHTS

METHOD: Final = "transfer"
"""The method of the step by which a party is verified that came with its prefix."""

_SUSPENDED: Final = "导出时已暂停。It was suspended where it came from"
_NUMBER: Final = 8
_RESERVED: Final = b"0"
"""The first segment of prefixes of the protocol: 0.NA, 0.TYPE and the like."""


class _File(NamedTuple):
    """What the registrar is shown of a file: its head and its last line, which belong together."""

    head: Head
    trailer: Trailer
    total: int
    trusted: bool

    @property
    def key_id(self) -> str:
        return self.trailer.signature.key_id

    @property
    def digest(self) -> bytes:
        return self.trailer.digests.whole


def export_prefix(desk: Desk, command: ExportPrefix) -> Result:
    """Note that somebody reads all values of a prefix, secret ones too (Measures art. 11); what is on hold stays."""
    prefix = check_prefix(command.prefix, desk.rules)
    application = exported(desk.staging, prefix)
    require_no_hold(desk.staging, prefix)
    return told(command.prefix, Outcome.OK, dump_application(prefix, application))


def import_prefix(desk: Desk, command: ImportPrefix) -> Result:
    """Begin an import, or end it: the body of the result says how many lines of how many are here."""
    prefix = check_prefix(command.prefix, desk.rules)
    file = _opened(desk, prefix, command)
    row = desk.staging.get(Table.TRANSFERS, prefix)
    known = None if row is None else unpack_transfer(row)
    application = application_of(desk, prefix)
    if known is not None and known.ended_ms and known.digest == file.digest and _is_here(application):
        return _told(prefix, application, file, known)
    outcome = Outcome.OK
    if known is None or known.ended_ms:
        faults = _faults(desk, prefix, file.head) + key_faults(desk, file.trailer)
        if faults:
            return refused_form(command.prefix, faults)
        known, application = _begin(desk, prefix, file, application)
        outcome = Outcome.CREATED
    elif known.digest != file.digest:
        raise refusal("import-other", Outcome.CONFLICT, prefix=prefix.decode())
    if known.done == known.total:
        if known.link != file.trailer.digests.chain:
            raise refusal("import-altered", Outcome.CONFLICT, prefix=prefix.decode())
        known, application = _end(desk, prefix, file, known, application)
        outcome = Outcome.OK
    return _told(prefix, application, file, known, outcome)


def import_lines(desk: Desk, command: ImportLines) -> Result:
    """Write the next lines of an import, all of them or none."""
    prefix = check_prefix(command.prefix, desk.rules)
    known = _under_way(desk, prefix)
    lines = [line + b"\n" for line in command.lines.removesuffix(b"\n").split(b"\n")]
    if command.after != known.done or len(lines) > min(known.total - known.done, limits.IMPORT_CHUNK_ITEMS):
        raise refusal("import-order", Outcome.CONFLICT, done=known.done)
    link, lots = known.link, LotsSoFar(desk.staging)
    for number, octets in enumerate(lines, known.done + 1):
        line = decode_line(octets)
        rank = RANK.get(type(line))
        if rank is None:
            raise refusal("import-order", Outcome.CONFLICT, done=known.done)
        kind = BODY[rank]
        what = kind.check(prefix, desk.rules, line)
        if kind.fit:
            kind.fit(lots, what)
        kind.write(desk, prefix, number, what, known.key_id)
        link = next_link(link, octets)
    known = known._replace(done=known.done + len(lines), link=link)
    desk.staging.put(Table.TRANSFERS, prefix, pack_transfer(known))
    return told(command.prefix, Outcome.OK, {"prefix": prefix.decode(), "done": known.done, "total": known.total})


def abandon_import(desk: Desk, command: AbandonImport) -> Result:
    """Take away rows of an import; with the last of them the prefix is as it was. Templates that came stay.

    Errors: NodeError(CONFLICT) while an order stops anything of it.
    """
    prefix = check_prefix(command.prefix, desk.rules)
    known = _under_way(desk, prefix)
    require_no_hold(desk.staging, prefix)
    gone = 0
    for table, key, row in _written(desk, prefix):
        if table is Table.HISTORY:
            desk.staging.put(table, key, None)
        elif table is Table.ALIASES_OF:
            if not desk.staging.names(HandleKey(row)):  # taken away by this group already
                continue
            desk.staging.remove_aliases(HandleKey(row), desk.now_ms)
        elif table is not Table.RECORDS:
            take_away(desk, table, key)
        else:
            handle: Any = unpack_handle(key, row)
            values = desk.staging.record(handle)
            if values is None:  # taken away by this group already
                continue
            desk.staging.delete_record(handle, values, desk.now_ms)
        gone += 1
        if gone == limits.IMPORT_CHUNK_ITEMS:
            return told(command.prefix, Outcome.OK, {"prefix": prefix.decode(), "gone": gone, "more": True})
    _forget(desk, prefix, known)
    return told(command.prefix, Outcome.OK, {"prefix": prefix.decode(), "gone": gone, "more": False})


# --- what is looked at first ---
def _opened(desk: Desk, prefix: PrefixKey, command: ImportPrefix) -> _File:
    """Return what a command shows of a file. Errors: NodeError where it is not signed so by a key that is trusted."""
    trailer = decode_trailer(command.trailer)
    if first_link(command.head) != trailer.digests.head or command.evidence != trailer.digests.whole:
        raise refusal("transfer-file", Outcome.INVALID_VALUE)
    trusted = trailer.signature.key_id in desk.policy.import_keys
    if not trusted and desk.policy.production:
        raise refusal("transfer-key", key=trailer.signature.key_id)
    head = decode_head(command.head)
    if head.header.prefix != prefix.decode():
        raise refusal("transfer-prefix", Outcome.INVALID_VALUE, prefix=head.header.prefix[: limits.PREFIX_CHARS_MAX])
    if head.party is not None and head.party.state is not Verified.VERIFIED:
        raise refusal("transfer-unverified", state=head.party.state.value)
    return _File(head, trailer, body_lines(trailer.counts), trusted)


def _faults(desk: Desk, prefix: PrefixKey, head: Head) -> list[Fault]:
    """Return all for which this prefix cannot be taken over here now."""
    faults = []
    if head.header.case_sensitive is not desk.rules.case_sensitive:
        faults.append(fault("handle.case_sensitive", "transfer-case"))
    if _is_taken(desk, prefix):
        faults.append(fault("prefix", "prefix-taken"))
    name, known = "", None
    party = head.party
    if party is not None:
        faults += _party_faults(desk, party)
        name, known = _known_party(desk, party)
        if known is not None and known.state is not Verified.VERIFIED:
            faults.append(fault("party", "verified", party=name, state=known.state.value))
        if known is not None:
            faults += count_faults(known, prefix)
    faults += place_faults(desk, prefix, name)
    if prefix == _RESERVED or prefix.startswith(_RESERVED + b"."):
        faults.append(fault("prefix", "prefix-reserved"))
    below = _below(desk, prefix)
    if below is not None:
        faults.append(fault("prefix", "prefix-below", below=below.decode()))
    shown = str(party.plain.get("name", "")) if party is not None else ""
    denied = pattern_of(desk.policy.deny, prefix.decode(), shown)
    if denied is not None:
        faults.append(fault("prefix", "name-denied", pattern=denied))
    return faults + (faults_of_site(desk, head.application.site) if head.application.site else [])


def _party_faults(desk: Desk, party: PartyRow) -> list[Fault]:
    """Return what is wrong with the public data of a party; what is of identity is not there.

    What a form would keep in another way is wrong, too: one certificate is known by one spelling.
    """
    hidden = identity_names(person=party.person)
    if hidden & party.plain.keys():
        return [fault("party", "transfer-identity")]
    checked = check_subject(dict(party.plain), shanghai_date(desk.now_ms))
    faults = [each for each in checked.faults if each.path not in hidden]
    wrong, kept = {each.path for each in faults}, texts_of(checked)
    for name, value in party.plain.items():
        if name in (*BY_NAME, *HINTS) and name not in wrong and kept.get(name) != value:
            faults.append(fault(name, "transfer-normal"))
    return faults


def _known_party(desk: Desk, party: PartyRow) -> tuple[str, PartyRow | None]:
    """Return the party of this node that has the same certificate; a person's is not told."""
    if party.person:
        return "", None
    number = number_key(str(party.plain.get("cert_type")), str(party.plain.get("uscc")))
    row = desk.staging.get(Table.PARTY_NUMBERS, number)
    if row is None:
        return "", None
    name = unpack_number(row)
    return name, desk.party(name)


def _is_taken(desk: Desk, prefix: PrefixKey) -> bool:
    """Whether the prefix is somebody's here, or what lies below it would be answered with what comes."""
    application, row = application_of(desk, prefix), desk.staging.get(Table.PREFIXES, prefix)
    if row is not None:
        own = (application is None or application.own) and not unpack_prefix(row).suspended
    else:
        own = application is None or is_free(application)
    return not own or is_used(desk.staging, prefix) or any(True for _ in _loose(desk, prefix))


def _below(desk: Desk, prefix: PrefixKey) -> bytes | None:
    """Return a prefix below one that is homed here or waited for, None if there is none."""
    start, stop = prefix + b".", prefix + b"/"
    homed = (key for key, _ in desk.staging.scan(Table.PREFIXES, start, stop))
    rows = desk.staging.scan(Table.APPLICATIONS, start, stop)
    return next(chain(homed, (key for key, row in rows if is_reserved(unpack_application(row)))), None)


def _loose(desk: Desk, prefix: PrefixKey) -> Any:
    """Yield keys and rows of prefix handles below the prefix that are answered for no prefix below it."""
    for key, row in desk.staging.snapshot.scan(Table.RECORDS, *prefix_handles_below(prefix)):
        nearest = nearest_homed(desk.staging, named_by(unpack_handle(key, row)))
        if nearest is None or not nearest.startswith(prefix + b"."):
            yield key, row


def _under_way(desk: Desk, prefix: PrefixKey) -> Transfer:
    row = desk.staging.get(Table.TRANSFERS, prefix)
    known = None if row is None else unpack_transfer(row)
    if known is None or known.ended_ms:
        raise refusal("import-none", Outcome.NOT_FOUND, prefix=prefix.decode())
    return known


def _is_here(application: Application | None) -> bool:
    return application is not None and application.state in (State.HOMED.value, State.SUSPENDED.value)


# --- begin and end ---
def _begin(desk: Desk, prefix: PrefixKey, file: _File, old: Application | None) -> tuple[Transfer, Application]:
    """Stage that a prefix is homed and held while its lines come."""
    codes_of(desk.staging)  # as they were: what comes by a transfer gives this node no code
    row = desk.staging.get(Table.PREFIXES, prefix)
    hosting, before = file.head.application.hosting, ""
    new, homed_ms = Application("", "", hosting, b"", desk.now_ms, desk.who), desk.now_ms
    state = State(old.state) if old is not None else None
    replaced = desk.staging.get(Table.APPLICATIONS, prefix) or b""
    if row is not None:
        homed, replaced = unpack_prefix(row), b""
        before, state, homed_ms = homed.hosting, State.HOMED, homed.homed_ms
        new = (old or new)._replace(state="", hosting=hosting)
    desk.home(prefix, pack_prefix(HomedPrefix(hosting, homed_ms, suspended=True)))
    reason = f"key {file.key_id}"
    application = move(desk, prefix, new, Event.IMPORT, before=state, reason=reason, evidence=file.digest)
    digests = file.trailer.digests
    known = Transfer(
        file.key_id, file.digest, digests.chain, file.total, 0, digests.head, desk.now_ms, before=before,
        replaced=replaced,
    )  # fmt: skip
    desk.staging.put(Table.TRANSFERS, prefix, pack_transfer(known))
    return known, application


def _end(
    desk: Desk, prefix: PrefixKey, file: _File, known: Transfer, begun: Application | None
) -> tuple[Transfer, Application]:
    """Stage that all of a prefix is here: what is answered now is what was answered there."""
    came, suspended = file.head.application, file.head.application.state == State.SUSPENDED.value
    party = _file_party(desk, prefix, file) if file.head.party is not None else ""
    steps = (*came.steps, *(begun.steps if begun else ()))
    application = came._replace(state=State.IMPORTING.value, party=party, steps=steps)
    application = move(
        desk, prefix, application, Event.IMPORTED, reason=f"key {file.key_id}", evidence=file.digest
    )  # fmt: skip
    if suspended:
        application = move(desk, prefix, application, Event.SUSPEND, reason=_SUSPENDED)
    desk.home(prefix, pack_prefix(HomedPrefix(came.hosting, desk.now_ms, suspended)))
    _put_prefix_handle(desk, prefix, file.head.values, keep=bool(known.before))
    known = known._replace(ended_ms=desk.now_ms, replaced=b"")
    desk.staging.put(Table.TRANSFERS, prefix, pack_transfer(known))
    return known, application


def _file_party(desk: Desk, prefix: PrefixKey, file: _File) -> str:
    """Stage the party of a prefix: the one with this certificate here, or a new one; return its id."""
    came = file.head.party
    assert came is not None
    name, known = _known_party(desk, came)
    if known is not None:
        if known.state is not Verified.VERIFIED:  # it was when the import began
            raise refusal("verified", party=name, state=known.state.value)
        note_prefix(desk, name, known, prefix)
        return name
    last = int.from_bytes(desk.staging.get(Table.META, LAST_KEY) or b"", "big") + 1
    name = party_id(last)
    step = Check(desk.now_ms, METHOD, f"key {file.key_id}", file.digest, desk.who, Verified.VERIFIED.value)
    row = came._replace(
        added_ms=desk.now_ms, filer=desk.who, filers=(desk.who,), steps=(*came.steps, step), prefixes=(prefix.decode(),)
    )
    desk.staging.put(Table.META, LAST_KEY, last.to_bytes(_NUMBER, "big"))
    if not row.person:
        number = number_key(str(row.plain.get("cert_type")), str(row.plain.get("uscc")))
        desk.staging.put(Table.PARTY_NUMBERS, number, pack_number(name))
    desk.staging.put(Table.PARTIES, name.encode(), pack_party(row))
    for kind in (ChangeKind.PARTY_ADDED, ChangeKind.PARTY_VERIFIED):
        desk.staging.change(kind, name.encode(), desk.now_ms)
    return name


def _put_prefix_handle(desk: Desk, prefix: PrefixKey, came: Values | None, *, keep: bool) -> None:
    """Stage the record of the prefix itself. ``keep``: values that give rights stay those of this node."""
    key = prefix_handle_of(prefix)
    old = desk.staging.record(key)
    values = merged(old or (), came or ()) if keep else came or ()
    if values and values != old:
        desk.staging.put_record(key, old, values, desk.now_ms)
    elif not values and old is not None:
        desk.staging.delete_record(key, old, desk.now_ms)


def merged(own: Values, came: Values) -> Values:
    """Return the values that give rights of one record, and all others of the other; those at a taken index move up."""
    kept = [value for value in own if value.type in RIGHTS]
    taken = {value.value_index for value in (*kept, *came)}
    blocked = {value.value_index for value in kept}
    for value in came:
        if value.type in RIGHTS:
            continue
        at = value.value_index
        if at in blocked:
            at = next(index for index in count(at + 1) if index not in taken)
            taken.add(at)
        kept.append(value._replace(value_index=at))
    return tuple(sorted(kept))


def _written(desk: Desk, prefix: PrefixKey) -> Any:
    """Yield table, key and row of what an import has written: history, aliases, lots, records; of aliases the row is
    the key of what they name.
    """
    snapshot = desk.staging.snapshot
    history = snapshot.scan(Table.HISTORY, *history_range(prefix))
    for key, row in islice(history, limits.IMPORT_CHUNK_ITEMS):
        yield Table.HISTORY, key, row
    for target, _ in aliases_below(snapshot, prefix):
        yield Table.ALIASES_OF, record_key(target), target
    for table in LOT_TABLES:
        for key, row in snapshot.scan(table, *prefix_range(prefix)):
            yield table, key, row
    for key, row in chain(_loose(desk, prefix), snapshot.scan(Table.RECORDS, *prefix_range(prefix))):
        yield Table.RECORDS, key, row


def _forget(desk: Desk, prefix: PrefixKey, known: Transfer) -> None:
    """Stage that a prefix of the operator's own is homed as it was; of any other the earlier application is back."""
    application, row = application_of(desk, prefix), desk.staging.get(Table.PREFIXES, prefix)
    desk.staging.put(Table.TRANSFERS, prefix, None)
    if known.before and application is not None and row is not None:
        restored = application._replace(hosting=known.before)
        move(desk, prefix, restored, Event.ABANDON)
        desk.home(prefix, pack_prefix(HomedPrefix(known.before, unpack_prefix(row).homed_ms)))
        return
    desk.staging.put(Table.APPLICATIONS, prefix, known.replaced or None)
    desk.staging.home(prefix, None, desk.now_ms)
    desk.staging.change(ChangeKind.PREFIX_ABANDONED, prefix, desk.now_ms)


def _told(
    prefix: bytes, application: Application | None, file: _File, known: Transfer, outcome: Outcome | None = None
) -> Result:
    """Return how far an import is; without an outcome, that the prefix was here already."""
    already = outcome is None
    document = dump_application(prefix, application) if application is not None else {}
    document |= {
        "done": known.done,
        "total": known.total,
        "ended": bool(known.ended_ms),
        "already": already,
        "key_id": file.key_id,
        "trusted": file.trusted,
        "keeps_administrators": bool(known.before),
        "sha256": file.digest.hex(),
    }
    return told(prefix.decode(), outcome or Outcome.OK, document)
