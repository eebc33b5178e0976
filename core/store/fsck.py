"""Is every row what the others say it is? Reads only through a Snapshot.

Checked: every row of every table can be read; each record has its ready answer and
no answer stands alone; counters count; the feed has no gap and ends at the serial
(one that was begun anew may be empty); tokens and their times belong together; a prefix that is homed or suspended by
its application is so in its row, and no other is; parties that are named are there; the
journal has no gap and ends at its number; so does the queue of the log, of which the lowest may be
gone; the counts of holds count; a hold of a log is under its name; complaints that wait are listed
with their deadlines, and complaints counted by their states; a version of a metadata template that
a record is bound to is there and was published, and versions are counted by their
parties; incidents are as many as were numbered, those that are open are listed, and each of their
reports is there as it was signed; a prefix is being imported where a transfer is under way, and
history came with one; no key is in a table that it does not fit, and none was made in another mode
of case than the store's own; of lots what ``fsck_lots.py`` says, of aliases ``fsck_aliases.py``, of what is owed
upstream ``fsck_upstream.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from core.changes import unpack_change
from core.complaints import WAITING, parse_ticket
from core.complaints import State as ComplaintState
from core.errors import StoreError
from core.ident.handle import prefix_of
from core.incidents import PURPOSE
from core.lifecycle import State
from core.signature import verify_document
from core.store.application_rows import unpack_application
from core.store.bearer_rows import unpack_bearer
from core.store.bounds_row import stored_rules
from core.store.complaint_rows import COUNTS_KEY, read_waiting, unpack_complaint, unpack_counts, waiting_key
from core.store.engine import Snapshot, Table
from core.store.fsck_aliases import check_aliases
from core.store.fsck_lots import check_lots
from core.store.fsck_monitor import check_monitor
from core.store.fsck_upstream import check_upstream
from core.store.hold_rows import HoldCounts, HoldKind, hold_key, hold_kind, unpack_hold
from core.store.holding import hold_counts
from core.store.incident_rows import (
    LAST_INCIDENT_KEY,
    OPEN_INCIDENTS_KEY,
    incident_number,
    report_key,
    unpack_incident,
    unpack_open,
    unpack_report,
)
from core.store.journal_rows import LAST_ENTRY_KEY, NUMBER_BYTES, entry_key, unpack_entry
from core.store.log_hold_rows import unpack_log_hold
from core.store.log_rows import LAST_LOG_KEY, unpack_log_row
from core.store.log_rows import NUMBER_BYTES as LOG_NUMBER_BYTES
from core.store.party_rows import PartyRow, number_key, pack_number, unpack_party
from core.store.prefix_rows import unpack_count, unpack_prefix
from core.store.record_rows import pack_record, record_key, unpack_handle, unpack_values
from core.store.restart import restarted_at
from core.store.template_rows import (
    TEMPLATES_KEY,
    TemplateRow,
    TemplateState,
    unpack_template,
    unpack_template_counts,
)
from core.store.token_rows import time_key, unpack_token
from core.store.transfer_rows import prefix_of_history, unpack_past, unpack_transfer
from core.who import Role
from core.wire.metadata import is_binding, parse_binding, template_key

_FAULTS_MAX: Final = 100
_FEED_CHUNK: Final = 10_000
_ANSWERED: Final = (State.HOMED, State.SUSPENDED, State.IMPORTING)
_HELD: Final = (State.SUSPENDED, State.IMPORTING)


def check_store(snapshot: Snapshot) -> Iterator[str]:
    """Yield a sentence for each fault, at most _FAULTS_MAX. Cost: reads the whole store."""
    for count, fault in enumerate(_faults(snapshot)):
        if count == _FAULTS_MAX:
            yield "more faults follow"
            return
        yield fault


def _faults(snapshot: Snapshot) -> Iterator[str]:
    for check in _CHECKS:
        yield from check(snapshot)


def _records(snapshot: Snapshot) -> Iterator[str]:
    counted: Counter[bytes] = Counter()
    try:
        rules = stored_rules(snapshot)
    except StoreError as error:
        yield error.message
        return
    for key, row in snapshot.scan(Table.RECORDS, b""):
        try:
            handle, values = unpack_handle(key, row), unpack_values(row)
            if rules.key(handle.decode()) != handle:
                raise ValueError(f"{handle!r} is no key of a handle")
            counted[prefix_of(handle)] += 1
            expected = pack_record(handle, values)
        except (StoreError, ValueError) as error:
            yield f"records {key!r}: {error}"
            continue
        if record_key(handle) != key:
            yield f"records {key!r}: holds the record of {handle!r}"
        if expected.record != row or snapshot.get(Table.ANSWERS, key) != expected.answer:
            yield f"answers {key!r}: not what the record says"
        if any(is_binding(value.type) and not _is_bound(snapshot, value.data) for value in values):
            yield f"records {key!r}: bound to no template that was published"
    for key, _ in snapshot.scan(Table.ANSWERS, b""):
        if snapshot.get(Table.RECORDS, key) is None:
            yield f"answers {key!r}: no record belongs to it"
    yield from _counters(snapshot, counted)


def _counters(snapshot: Snapshot, counted: Counter[bytes]) -> Iterator[str]:
    for prefix, row in snapshot.scan(Table.COUNTERS, b""):
        try:
            count = unpack_count(row)
        except StoreError as error:
            yield f"counters {prefix!r}: {error.message}"
            continue
        if count != counted.pop(prefix, 0):
            yield f"counters {prefix!r}: says {count}, which is not the number of records"
    for prefix, count in counted.items():
        yield f"counters {prefix!r}: missing, there are {count} records"


def _prefixes(snapshot: Snapshot) -> Iterator[str]:
    for prefix, row in snapshot.scan(Table.PREFIXES, b""):
        try:
            unpack_prefix(row)
        except StoreError as error:
            yield f"prefixes {prefix!r}: {error.message}"


def _parties(snapshot: Snapshot) -> Iterator[str]:
    known: set[str] = set()
    for key, row in snapshot.scan(Table.PARTIES, b""):
        try:
            party = unpack_party(row)
        except StoreError as error:
            yield f"parties {key!r}: {error.message}"
            continue
        known.add(key.decode(errors="replace"))
        if not party.person and not _is_numbered(snapshot, key, party):
            yield f"parties {key!r}: the number of its certificate is not that of it"
    for key, row in snapshot.scan(Table.PARTY_NUMBERS, b""):
        if row[1:].decode(errors="replace") not in known:
            yield f"party_numbers {key!r}: no party belongs to it"


def _is_numbered(snapshot: Snapshot, key: bytes, party: PartyRow) -> bool:
    number = number_key(str(party.plain.get("cert_type")), str(party.plain.get("uscc")))
    return snapshot.get(Table.PARTY_NUMBERS, number) == pack_number(key.decode(errors="replace"))


def _applications(snapshot: Snapshot) -> Iterator[str]:
    for key, row in snapshot.scan(Table.APPLICATIONS, b""):
        try:
            application = unpack_application(row)
        except StoreError as error:
            yield f"applications {key!r}: {error.message}"
            continue
        if application.party and not _is_noted(snapshot, key, application.party):
            yield f"applications {key!r}: its party is not there, or does not name it"
        state = State(application.state)
        try:
            homed = snapshot.get(Table.PREFIXES, key)
            found = None if homed is None else unpack_prefix(homed)
        except StoreError:
            continue  # which is said of the row itself
        if state not in _ANSWERED:
            if found is not None:
                yield f"applications {key!r}: {state.value}, and yet homed"
        elif found is None or (found.hosting, found.suspended) != (application.hosting, state in _HELD):
            yield f"applications {key!r}: {state.value}, which the row of the prefix does not say"


def _is_noted(snapshot: Snapshot, prefix: bytes, party: str) -> bool:
    row = snapshot.get(Table.PARTIES, party.encode())
    try:
        return row is not None and prefix.decode(errors="replace") in unpack_party(row).prefixes
    except StoreError:
        return True  # which is said of the row itself


def _bearers(snapshot: Snapshot) -> Iterator[str]:
    for key, row in snapshot.scan(Table.BEARERS, b""):
        try:
            bearer = unpack_bearer(row)
        except StoreError as error:
            yield f"bearers {key!r}: {error.message}"
            continue
        if bool(bearer.party) is not (bearer.role is Role.ENTERPRISE):
            yield f"bearers {key!r}: an enterprise has a party, and nobody else"
        elif bearer.party and snapshot.get(Table.PARTIES, bearer.party.encode()) is None:
            yield f"bearers {key!r}: its party is not there"


def _holds(snapshot: Snapshot) -> Iterator[str]:
    counted: Counter[HoldKind] = Counter()
    for key, row in snapshot.scan(Table.HOLDS, b""):
        try:
            hold, kind = unpack_hold(row), hold_kind(key)
            counted[kind] += 1
            if hold_key(kind, hold.target) != key:
                yield f"holds {key!r}: holds {hold.target!r}"
        except StoreError as error:
            yield f"holds {key!r}: {error.message}"
    try:
        counts = hold_counts(snapshot)
    except StoreError as error:
        yield error.message
        return
    if counts != HoldCounts(*(counted[kind] for kind in HoldKind)):
        yield f"holds: {counts} is not how many there are"


def _log_holds(snapshot: Snapshot) -> Iterator[str]:
    for key, row in snapshot.scan(Table.LOG_HOLDS, b""):
        try:
            unpack_log_hold(key, row)
        except StoreError as error:
            yield f"log_holds {key!r}: {error.message}"


def _templates(snapshot: Snapshot) -> Iterator[str]:
    counted: Counter[str] = Counter()
    for key, packed in snapshot.scan(Table.TEMPLATES, b""):
        try:
            row = unpack_template(packed)
        except StoreError as error:
            yield f"templates {key!r}: {error.message}"
            continue
        template = row.template
        counted[template.party] += 1
        if template_key(template.code, template.version) != key:
            yield f"templates {key!r}: holds {template.code}@{template.version}"
        if template.party and snapshot.get(Table.PARTIES, template.party.encode()) is None:
            yield f"templates {key!r}: its party is not there"
        if not _is_timed(row):
            yield f"templates {key!r}: {row.state.value}, which its times do not say"
    try:
        if unpack_template_counts(snapshot.get(Table.META, TEMPLATES_KEY)) != counted:
            yield "templates: their numbers are not how many there are of each party"
    except StoreError as error:
        yield f"templates: {error.message}"


def _is_timed(row: TemplateRow) -> bool:
    published, withdrawn = row.state is not TemplateState.DRAFT, row.state is TemplateState.WITHDRAWN
    return (bool(row.published_ms), bool(row.withdrawn_ms)) == (published, withdrawn)


def _is_bound(snapshot: Snapshot, data: bytes) -> bool:
    """Whether the version that a record names was published."""
    binding = parse_binding(data)
    if binding is None or not binding.version:
        return False
    row = snapshot.get(Table.TEMPLATES, template_key(*binding))
    try:
        return row is not None and unpack_template(row).state is not TemplateState.DRAFT
    except StoreError:
        return True  # which is said of the row itself


def _incidents(snapshot: Snapshot) -> Iterator[str]:
    count = reports = newest = 0
    opened: list[str] = []
    for key, row in snapshot.scan(Table.INCIDENTS, b""):
        count += 1
        newest = max(newest, incident_number(key))
        try:
            incident = unpack_incident(row)
        except StoreError as error:
            yield f"incidents {key!r}: {error.message}"
            continue
        if not incident.is_closed:
            opened.append(key.decode(errors="replace"))
        reports += len(incident.reports)
        for revision, report in enumerate(incident.reports, 1):
            if not _is_signed(snapshot, key.decode(errors="replace"), revision, report.key_id):
                yield f"incidents {key!r}: report {revision} is not there as it was signed"
        if incident.awaits_report and incident.reports:
            yield f"incidents {key!r}: it is reported, and yet waits for a report"
    last = int.from_bytes(snapshot.get(Table.META, LAST_INCIDENT_KEY) or b"", "big")
    skips = restarted_at(snapshot) > 0  # a node that was put back leaves some numbers out
    if last < max(count, newest) or (last > count and not skips):
        yield f"incidents: there are {count}, which is not their last number"
    try:
        if sorted(unpack_open(snapshot.get(Table.META, OPEN_INCIDENTS_KEY))) != sorted(opened):
            yield "incidents: the list of open ones is not that of those that are open"
    except StoreError as error:
        yield f"incidents: {error.message}"
    kept = sum(1 for _ in snapshot.scan(Table.INCIDENT_REPORTS, b""))
    if kept != reports:
        yield f"incident_reports: {kept} rows for {reports} reports"


def _is_signed(snapshot: Snapshot, incident: str, revision: int, key_id: str) -> bool:
    row = snapshot.get(Table.INCIDENT_REPORTS, report_key(incident, revision))
    try:
        document = {} if row is None else unpack_report(row)
    except StoreError:
        return False
    signature = verify_document(PURPOSE, document)
    told = (document.get("incident"), document.get("revision"))
    return signature is not None and signature.key_id == key_id and told == (incident, revision)


def _complaints(snapshot: Snapshot) -> Iterator[str]:
    counted: Counter[ComplaintState] = Counter()
    waiting: set[bytes] = set()
    for key, row in snapshot.scan(Table.COMPLAINTS, b""):
        ticket = key.decode(errors="replace")
        try:
            complaint = unpack_complaint(row)
        except StoreError as error:
            yield f"complaints {key!r}: {error.message}"
            continue
        counted[complaint.state] += 1
        if parse_ticket(ticket) != ticket:
            yield f"complaints {key!r}: is no ticket"
        if complaint.state in WAITING:
            waiting.add(waiting_key(complaint.deadline, ticket))
    for key, row in snapshot.scan(Table.WAITING_COMPLAINTS, b""):
        try:
            read_waiting(key, row)
        except StoreError as error:
            yield f"waiting_complaints {key!r}: {error.message}"
        if key not in waiting:
            yield f"waiting_complaints {key!r}: no complaint waits until then"
        waiting.discard(key)
    for key in sorted(waiting):
        yield f"waiting_complaints {key!r}: missing"
    try:
        told = unpack_counts(snapshot.get(Table.META, COUNTS_KEY))
    except StoreError as error:
        yield f"complaints: {error.message}"
        return
    if told != {state: counted[state] for state in ComplaintState}:
        yield "complaints: their numbers are not how many there are"


def _transfers(snapshot: Snapshot) -> Iterator[str]:
    importing = {key for key, row in snapshot.scan(Table.APPLICATIONS, b"") if _is_importing(row)}
    for key, row in snapshot.scan(Table.TRANSFERS, b""):
        try:
            under_way = not unpack_transfer(row).ended_ms
        except StoreError as error:
            yield f"transfers {key!r}: {error.message}"
            continue
        if under_way is not (key in importing):
            yield f"transfers {key!r}: under way or not, which its application does not say"
    for key in importing:
        if snapshot.get(Table.TRANSFERS, key) is None:
            yield f"transfers {key!r}: missing, it is being imported"
    for key, row in snapshot.scan(Table.HISTORY, b""):
        try:
            unpack_past(row)
            known = snapshot.get(Table.TRANSFERS, prefix_of_history(key)) is not None
        except StoreError as error:
            yield f"history {key!r}: {error.message}"
            continue
        if not known:
            yield f"history {key!r}: its prefix did not come by a transfer"


def _is_importing(row: bytes) -> bool:
    try:
        return unpack_application(row).state == State.IMPORTING.value
    except StoreError:
        return False  # which is said of the row itself


def _journal(snapshot: Snapshot) -> Iterator[str]:
    before: bytes | None = None
    for key, row in snapshot.scan(Table.JOURNAL, b""):
        if before is not None and key != entry_key(int.from_bytes(before, "big") + 1):
            yield f"journal {key!r}: does not follow {before!r}"
        before = key if len(key) == NUMBER_BYTES else None
        try:
            unpack_entry(row)
        except StoreError as error:
            yield f"journal {key!r}: {error.message}"
    last = snapshot.get(Table.META, LAST_ENTRY_KEY)
    if last != before:
        yield f"journal: the last is {before!r}, the number is {last!r}"


def _log_queue(snapshot: Snapshot) -> Iterator[str]:
    last = int.from_bytes(snapshot.get(Table.META, LAST_LOG_KEY) or b"", "big")
    expected: int | None = None
    for key, row in snapshot.scan(Table.LOG_QUEUE, b""):
        number = int.from_bytes(key, "big")
        if len(key) != LOG_NUMBER_BYTES or number != (expected or number) or not 0 < number <= last:
            yield f"log_queue {key!r}: does not follow the one before, or is beyond the last number, {last}"
        expected = number + 1
        try:
            unpack_log_row(row)
        except StoreError as error:
            yield f"log_queue {key!r}: {error.message}"
    if expected is not None and expected != last + 1:
        yield f"log_queue: the last is {expected - 1}, the number is {last}"


def _feed(snapshot: Snapshot) -> Iterator[str]:
    expected: int | None = None
    after = restarted_at(snapshot)
    while rows := snapshot.feed(after, _FEED_CHUNK):
        for serial, row in rows:
            if expected is not None and serial != expected:
                yield f"changes: {serial} follows {expected - 1}"
            expected = serial + 1
            try:
                unpack_change(row)
            except StoreError as error:
                yield f"changes {serial}: {error.message}"
        after = rows[-1][0]
    if after != snapshot.serial():
        yield f"changes: the last is {after}, the serial is {snapshot.serial()}"


def _tokens(snapshot: Snapshot) -> Iterator[str]:
    tokens = 0
    for key, row in snapshot.scan(Table.TOKENS, b""):
        tokens += 1
        try:
            at_ms = unpack_token(row).at_ms
        except StoreError as error:
            yield f"tokens {key.hex()}: {error.message}"
            continue
        if snapshot.get(Table.TOKEN_TIMES, time_key(at_ms, key)) is None:
            yield f"tokens {key.hex()}: its time is missing"
    times = sum(1 for _ in snapshot.scan(Table.TOKEN_TIMES, b""))
    if times != tokens:
        yield f"token_times: {times} rows for {tokens} tokens"


_CHECKS: Final = (
    _records,
    _prefixes,
    _parties,
    _applications,
    _bearers,
    _holds,
    _log_holds,
    _templates,
    _incidents,
    _complaints,
    _transfers,
    check_lots,
    check_aliases,
    check_upstream,
    check_monitor,
    _journal,
    _log_queue,
    _feed,
    _tokens,
)
