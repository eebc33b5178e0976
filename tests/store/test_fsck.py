"""The check of a store: silent on a clean one, and it finds every kind of damage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.changes import Change, ChangeKind, pack_change
from core.clock import Millis
from core.incidents import PURPOSE
from core.records import HandleValue
from core.signature import Signer, key_id
from core.store.application_rows import Application, pack_application
from core.store.bearer_rows import Bearer, pack_bearer
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.hold_rows import (
    HOLDS_KEY,
    Hold,
    HoldCounts,
    HoldKind,
    Order,
    hold_key,
    pack_hold,
    pack_hold_counts,
)
from core.store.incident_rows import (
    LAST_INCIDENT_KEY,
    OPEN_INCIDENTS_KEY,
    Incident,
    Report,
    pack_incident,
    pack_last,
    pack_open,
    pack_report,
    report_key,
)
from core.store.journal_rows import LAST_ENTRY_KEY, Entry, entry_key, pack_entry
from core.store.lmdb_engine import LmdbEngine
from core.store.log_rows import LAST_LOG_KEY, LogEntry, LogRow, log_key, pack_log_row
from core.store.memory_engine import MemoryEngine
from core.store.monitor_rows import EventRow, HourRow, hour_key, pack_event, pack_hour
from core.store.party_rows import PartyRow, number_key, pack_number, pack_party
from core.store.prefix_rows import HomedPrefix, pack_count, pack_prefix
from core.store.record_rows import pack_record, record_key
from core.store.template_rows import TemplateRow, TemplateState, pack_template
from core.store.token_rows import TIME_ROW, TokenRow, pack_token, time_key, token_key
from core.store.transfer_rows import Past, Transfer, history_key, pack_past, pack_transfer
from core.store.upstream_rows import (
    DayMark,
    LinkState,
    LogSent,
    RefusedRow,
    TableState,
    Upstream,
    day_key,
    link_key,
    logs_key,
    pack_day,
    pack_link_state,
    pack_logs,
    pack_mark,
    pack_refused,
    pack_table_state,
    pack_upstream,
    refused_key,
    table_key,
)
from core.who import Role, Who
from core.wire.metadata import MetadataTemplate

AT = Millis(1_700_000_000_000)
PREFIX = b"88.118.7"
SHORT, PRIVATE, LONG = PREFIX + b"/A", PREFIX + b"/B", PREFIX + b"/" + b"X" * 1_000
HANDLES = {
    SHORT: (HandleValue(1, "URL", b"u"),),
    PRIVATE: (HandleValue(1, "URL", b"u"), HandleValue(2, "SECRET", b"s", permissions=0b1100)),
    LONG: (),
}
TOKENS = [token_key("300:0.NA/88.118.7", f"t{n}") for n in range(2)]
ANNA = Who("local", "anna", 1_000)
PARTY, OTHER, BEARER = b"P000001", b"88.118.8", b"0123456789ab"
ROW = PartyRow(AT, ANNA, False, {"cert_type": "other", "uscc": "X1"}, {}, prefixes=("88.118.7", "88.118.8", "88.118.9"))
HELD = Application("homed", PARTY.decode(), "hosted", b"", AT, ANNA)
TOKEN = Bearer(bytes(32), Role.ENTERPRISE, PARTY.decode(), "hans", AT, AT, Millis(0), ANNA)
ORDERS = (Order("1", "because", False, AT, ANNA),)
LOG = b"change/2026-03"
LONG_HELD = b"88.118.7/" + b"X" * 600
TEMPLATE = pack_template(
    TemplateRow(MetadataTemplate("A", "1", ("C", "", "", ""), False, ()), TemplateState.DRAFT, ANNA, AT)
)
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
INCIDENT = Incident(
    "t", "d", "system", "major", AT, AT, Millis(0), "", "", AT, ANNA, AT, "reported", Millis(0), (),
    (Report(AT, "to", ANNA, key_id(SIGNER.public_key)),),
)  # fmt: skip
COMING = b"88.118.6"
UNDER_WAY = Transfer("0" * 32, bytes(32), bytes(32), 2, 1, bytes(32), AT)
PAST = Past("0" * 16, 5, Change(ChangeKind.PREFIX_HOMED, "88.118.6", AT))
TOP = key_id(SIGNER.public_key)
UPSTREAM = pack_upstream(Upstream("http://127.0.0.1:8100", SIGNER.public_key, "top", AT))
REFUSED = pack_refused(RefusedRow(1, "rule", "zh", "en", AT))
COUNTED = pack_day(msgpack.packb(["88.118.7", "2026-11-22", 1, 2, 3, 2, [["192.0.2.7", 2]], 1]))
HOUR = HourRow(True, 9, (2, 30, 20, 5, 10, 4, 1, 4), (0,) * 8, (15, 240, 240, 240, 240))
OPEN_HOUR = pack_hour(HOUR._replace(closed=False))
DISK = EventRow(1, "node", "disk", 2, AT, "", "full")
ANOMALY, RECOVERED = pack_event(DISK), pack_event(DISK._replace(status=2, ends="E00000001"))
LOGGED = pack_log_row(LogRow(AT, ANNA, "local", b"", (LogEntry("registration", "party.add", PARTY.decode()),)))
ENTRY = pack_entry(Entry(AT, ANNA, "party.add", PARTY.decode(), "created"))


def clean() -> Batch:
    """Return what a node writes for a party, its two prefixes, three records, the journal and tokens."""
    batch = Batch()
    batch.put(Table.PREFIXES, PREFIX, pack_prefix(HomedPrefix("hosted", AT)))
    batch.changes.append(pack_change(ChangeKind.PREFIX_HOMED, PREFIX, AT))
    for handle, values in HANDLES.items():
        rows = pack_record(handle, values)
        batch.put(Table.RECORDS, record_key(handle), rows.record)
        batch.put(Table.ANSWERS, record_key(handle), rows.answer)
        batch.changes.append(pack_change(ChangeKind.RECORD_CREATED, handle, AT))
    batch.put(Table.COUNTERS, PREFIX, pack_count(len(HANDLES)))
    batch.put(Table.PARTIES, PARTY, pack_party(ROW))
    batch.put(Table.PARTY_NUMBERS, number_key("other", "X1"), pack_number(PARTY.decode()))
    batch.put(Table.APPLICATIONS, PREFIX, pack_application(HELD))
    batch.put(Table.APPLICATIONS, OTHER, pack_application(HELD._replace(state="submitted")))
    batch.put(Table.APPLICATIONS, b"88.118.9", pack_application(HELD._replace(state="suspended", hosting="delegated")))
    batch.put(Table.PREFIXES, b"88.118.9", pack_prefix(HomedPrefix("delegated", AT, suspended=True)))
    batch.put(Table.PREFIXES, b"88.118", pack_prefix(HomedPrefix("hosted", AT)))  # of before there were applications
    batch.put(Table.BEARERS, BEARER, pack_bearer(TOKEN))
    for kind, target in ((HoldKind.IDENTIFIER, LONG_HELD), (HoldKind.PREFIX, PREFIX), (HoldKind.PARTY, PARTY)):
        batch.put(Table.HOLDS, hold_key(kind, target), pack_hold(Hold(target, ORDERS)))
    batch.put(Table.META, HOLDS_KEY, pack_hold_counts(HoldCounts(1, 1, 1)))
    batch.put(Table.LOG_HOLDS, LOG, pack_hold(Hold(LOG, ORDERS)))
    signed = SIGNER.sign_document(PURPOSE, {"incident": "I000001", "revision": 1})
    batch.put(Table.INCIDENTS, b"I000001", pack_incident(INCIDENT))
    batch.put(Table.INCIDENTS, b"I000002", pack_incident(INCIDENT._replace(state="open", reports=())))
    batch.put(Table.INCIDENT_REPORTS, report_key("I000001", 1), pack_report(signed))
    batch.put(Table.META, LAST_INCIDENT_KEY, pack_last(2))
    batch.put(Table.META, OPEN_INCIDENTS_KEY, pack_open(["I000001", "I000002"]))
    batch.put(Table.APPLICATIONS, COMING, pack_application(HELD._replace(state="importing", party="")))
    batch.put(Table.PREFIXES, COMING, pack_prefix(HomedPrefix("hosted", AT, suspended=True)))
    batch.put(Table.TRANSFERS, COMING, pack_transfer(UNDER_WAY))
    batch.put(Table.HISTORY, history_key(COMING, 1), pack_past(PAST))
    batch.put(Table.UPSTREAMS, TOP.encode(), UPSTREAM)
    batch.put(Table.SYNC_TABLES, table_key(TOP, "T9"), pack_table_state(TableState(serial=3)))
    batch.put(Table.SYNC_TABLES, link_key(TOP), pack_link_state(LinkState("enrolled", AT)))
    batch.put(Table.SYNC_TABLES, logs_key(TOP), pack_logs({LOG.decode(): LogSent(7, AT)}))
    batch.put(Table.SYNC_REFUSED, refused_key(TOP, "T9", 3, SHORT), REFUSED)
    batch.put(Table.SYNC_DAYS, day_key("T8", "2026-11-22"), pack_mark(DayMark("2026-11", 9)))
    batch.put(Table.SYNC_DAYS, day_key("T8", "2026-11-22", PREFIX), COUNTED)
    for hour, closed in (("2026-11-22T07", True), ("2026-11-22T08", False), ("2026-11-22T09", False)):
        batch.put(Table.MONITOR_HOURS, hour_key("node", hour), pack_hour(HOUR._replace(closed=closed)))
    batch.put(Table.MONITOR_EVENTS, b"E00000001", ANOMALY)
    batch.put(Table.MONITOR_EVENTS, b"E00000002", RECOVERED)
    for number in (1, 2, 3):
        batch.put(Table.JOURNAL, entry_key(number), ENTRY)
    batch.put(Table.META, LAST_ENTRY_KEY, entry_key(3))
    for number in (3, 4, 5):  # the log has the first two already
        batch.put(Table.LOG_QUEUE, log_key(number), LOGGED)
    batch.put(Table.META, LAST_LOG_KEY, log_key(5))
    for key in TOKENS:
        batch.put(Table.TOKENS, key, pack_token(TokenRow(b"digest", AT, b"answer")))
        batch.put(Table.TOKEN_TIMES, time_key(AT, key), TIME_ROW)
    return batch


@pytest.fixture
def store() -> MemoryEngine:
    """A store without a fault."""
    made = MemoryEngine()
    made.commit(clean())
    return made


def faults(store: MemoryEngine | LmdbEngine) -> list[str]:
    with store.snapshot() as snapshot:
        return list(check_store(snapshot))


def test_a_clean_store_has_no_faults(store: MemoryEngine) -> None:
    """Nor has an empty one."""
    assert faults(store) == []
    assert faults(MemoryEngine()) == []


WRONG_ANSWER = pack_record(SHORT, (HandleValue(1, "URL", b"other"),)).answer
DAMAGE: dict[str, tuple[Table, bytes, bytes | None, str]] = {
    "missing answer": (Table.ANSWERS, SHORT, None, f"answers {SHORT!r}: not what the record says"),
    "missing answer of a long handle": (Table.ANSWERS, record_key(LONG), None, "not what the record says"),
    "answer of another record": (Table.ANSWERS, SHORT, WRONG_ANSWER, f"answers {SHORT!r}: not what the record says"),
    "answer that shows what is private": (
        Table.ANSWERS,
        PRIVATE,
        pack_record(PRIVATE, (HandleValue(2, "SECRET", b"s"),)).answer,
        "not what the record says",
    ),
    "garbage answer": (Table.ANSWERS, SHORT, b"\xff", f"answers {SHORT!r}: not what the record says"),
    "orphan answer": (
        Table.ANSWERS,
        PREFIX + b"/Z",
        WRONG_ANSWER,
        f"answers {PREFIX + b'/Z'!r}: no record belongs to it",
    ),
    "missing record": (Table.RECORDS, SHORT, None, f"answers {SHORT!r}: no record belongs to it"),
    "garbage record": (Table.RECORDS, SHORT, b"\x01\x00garbage", f"records {SHORT!r}: a row of records cannot be read"),
    "empty record": (Table.RECORDS, SHORT, b"", f"records {SHORT!r}: a row of records cannot be read"),
    "record of another handle": (
        Table.RECORDS,
        record_key(LONG),
        pack_record(LONG + b"Y", ()).record,
        f"holds the record of {LONG + b'Y'!r}",
    ),
    "long record without its handle": (
        Table.RECORDS,
        record_key(LONG),
        pack_record(SHORT, ()).record,
        f"records {record_key(LONG)!r}: ",
    ),
    "record with a wrong flag": (
        Table.RECORDS,
        SHORT,
        b"\x01\x01" + pack_record(SHORT, HANDLES[SHORT]).record[2:],
        "not what the record says",
    ),
    "record without a slash": (Table.RECORDS, b"NOHANDLE", pack_record(b"A/B", ()).record, "records b'NOHANDLE': "),
    "wrong counter": (Table.COUNTERS, PREFIX, pack_count(4), f"counters {PREFIX!r}: says 4"),
    "missing counter": (Table.COUNTERS, PREFIX, None, f"counters {PREFIX!r}: missing, there are 3 records"),
    "counter of a prefix without records": (Table.COUNTERS, b"88.1", pack_count(1), "counters b'88.1': says 1"),
    "garbage counter": (Table.COUNTERS, PREFIX, b"\x01\xff", f"counters {PREFIX!r}: a row of counters cannot be read"),
    "garbage prefix": (Table.PREFIXES, PREFIX, b"\x01\xc1", f"prefixes {PREFIX!r}: a row of prefixes cannot be read"),
    "prefix of another version": (
        Table.PREFIXES,
        b"88.1",
        b"\x02\x80",
        "prefixes b'88.1': a row of prefixes cannot be read",
    ),
    "garbage token": (
        Table.TOKENS,
        TOKENS[0],
        b"\x01\xc1",
        f"tokens {TOKENS[0].hex()}: a row of tokens cannot be read",
    ),
    "token without time": (
        Table.TOKEN_TIMES,
        time_key(AT, TOKENS[1]),
        None,
        f"tokens {TOKENS[1].hex()}: its time is missing",
    ),
    "token of another time": (
        Table.TOKENS,
        TOKENS[0],
        pack_token(TokenRow(b"", Millis(AT + 1), b"")),
        f"tokens {TOKENS[0].hex()}: its time is missing",
    ),
    "time without token": (Table.TOKENS, TOKENS[0], None, "token_times: 2 rows for 1 tokens"),
    "time that is no number": (
        Table.TOKENS,
        TOKENS[0],
        b"\x01" + msgpack.packb((b"digest", "noon", b"answer")),
        f"tokens {TOKENS[0].hex()}: ",
    ),
    "time before all time": (
        Table.TOKENS,
        TOKENS[0],
        b"\x01" + msgpack.packb((b"digest", -1, b"answer")),
        f"tokens {TOKENS[0].hex()}: ",
    ),
    "garbage transfer": (
        Table.TRANSFERS,
        COMING,
        b"\x01\xc1",
        f"transfers {COMING!r}: a row of transfers cannot be read",
    ),
    "missing transfer": (Table.TRANSFERS, COMING, None, f"transfers {COMING!r}: missing, it is being imported"),
    "transfer that ended and did not": (
        Table.TRANSFERS,
        COMING,
        pack_transfer(UNDER_WAY._replace(ended_ms=AT)),
        f"transfers {COMING!r}: under way or not, which its application does not say",
    ),
    "transfer of what is homed": (
        Table.TRANSFERS,
        PREFIX,
        pack_transfer(UNDER_WAY),
        f"transfers {PREFIX!r}: under way or not, which its application does not say",
    ),
    "importing and answered": (
        Table.PREFIXES,
        COMING,
        pack_prefix(HomedPrefix("hosted", AT)),
        f"applications {COMING!r}: importing, which the row of the prefix does not say",
    ),
    "garbage history": (
        Table.HISTORY,
        history_key(COMING, 1),
        b"\x01\xc1",
        f"history {history_key(COMING, 1)!r}: a row of history cannot be read",
    ),
    "history of a prefix that did not come": (
        Table.HISTORY,
        history_key(PREFIX, 1),
        pack_past(PAST),
        f"history {history_key(PREFIX, 1)!r}: its prefix did not come by a transfer",
    ),
    "history of no prefix": (
        Table.HISTORY,
        b"88.118.6",
        pack_past(PAST),
        "history b'88.118.6': a key of history cannot be read",
    ),
    "garbage application": (
        Table.APPLICATIONS,
        PREFIX,
        b"\x01\xc1",
        f"applications {PREFIX!r}: a row of applications cannot be read",
    ),
    "application in no state": (
        Table.APPLICATIONS,
        PREFIX,
        pack_application(HELD._replace(state="lost")),
        f"applications {PREFIX!r}: a row of applications cannot be read",
    ),
    "application of nobody": (
        Table.APPLICATIONS,
        OTHER,
        pack_application(HELD._replace(state="draft", party="P000009")),
        f"applications {OTHER!r}: its party is not there",
    ),
    "party that does not name its prefix": (
        Table.PARTIES,
        PARTY,
        pack_party(ROW._replace(prefixes=())),
        f"applications {PREFIX!r}: its party is not there, or does not name it",
    ),
    "missing party": (Table.PARTIES, PARTY, None, f"applications {PREFIX!r}: its party is not there"),
    "homed and not in its row": (Table.PREFIXES, PREFIX, None, f"applications {PREFIX!r}: homed, which"),
    "hosted, and delegated in its row": (
        Table.PREFIXES,
        PREFIX,
        pack_prefix(HomedPrefix("delegated", AT)),
        f"applications {PREFIX!r}: homed, which",
    ),
    "suspended in its row alone": (
        Table.PREFIXES,
        PREFIX,
        pack_prefix(HomedPrefix("hosted", AT, suspended=True)),
        f"applications {PREFIX!r}: homed, which",
    ),
    "suspended and not in its row": (
        Table.PREFIXES,
        b"88.118.9",
        pack_prefix(HomedPrefix("delegated", AT)),
        "applications b'88.118.9': suspended, which",
    ),
    "homed before it was allocated": (
        Table.PREFIXES,
        OTHER,
        pack_prefix(HomedPrefix("hosted", AT)),
        f"applications {OTHER!r}: submitted, and yet homed",
    ),
    "garbage incident": (Table.INCIDENTS, b"I000001", b"\x01\xc1", "incidents b'I000001': a row of incidents cannot"),
    "incident that is not counted": (
        Table.INCIDENTS,
        b"I000003",
        pack_incident(INCIDENT._replace(reports=())),
        "incidents: there are 3, which",
    ),
    "missing incident": (Table.INCIDENTS, b"I000002", None, "incidents: there are 1, which"),
    "missing number of incidents": (Table.META, LAST_INCIDENT_KEY, None, "incidents: there are 2, which"),
    "missing list of open incidents": (Table.META, OPEN_INCIDENTS_KEY, None, "incidents: the list of open ones"),
    "open incident that is not listed": (Table.META, OPEN_INCIDENTS_KEY, pack_open(["I000001"]), "the list of open"),
    "closed incident that is listed": (
        Table.INCIDENTS,
        b"I000001",
        pack_incident(INCIDENT._replace(state="closed")),
        "incidents: the list of open ones",
    ),
    "garbage list of open incidents": (Table.META, OPEN_INCIDENTS_KEY, b"\x01\x05", "open incidents cannot be read"),
    "missing report": (Table.INCIDENT_REPORTS, b"I000001/001", None, "report 1 is not there as it was signed"),
    "garbage report": (Table.INCIDENT_REPORTS, b"I000001/001", b"\x01[", "report 1 is not there as it was signed"),
    "altered report": (
        Table.INCIDENT_REPORTS,
        b"I000001/001",
        pack_report(SIGNER.sign_document(PURPOSE, {"incident": "I000001", "revision": 1}) | {"to": "x"}),
        "report 1 is not there as it was signed",
    ),
    "report of another incident": (
        Table.INCIDENT_REPORTS,
        b"I000001/001",
        pack_report(SIGNER.sign_document(PURPOSE, {"incident": "I000002", "revision": 1})),
        "report 1 is not there as it was signed",
    ),
    "report by another key": (
        Table.INCIDENTS,
        b"I000001",
        pack_incident(INCIDENT._replace(reports=(INCIDENT.reports[0]._replace(key_id="0" * 32),))),
        "report 1 is not there as it was signed",
    ),
    "report that nobody made": (
        Table.INCIDENT_REPORTS,
        b"I000002/001",
        pack_report({}),
        "incident_reports: 2 rows for 1 reports",
    ),
    "report that the state denies": (
        Table.INCIDENTS,
        b"I000001",
        pack_incident(INCIDENT._replace(state="open")),
        "and yet waits for a report",
    ),
    "garbage bearer": (Table.BEARERS, BEARER, b"\x01\xc1", f"bearers {BEARER!r}: a row of bearers cannot be read"),
    "bearer without a party": (
        Table.BEARERS,
        BEARER,
        pack_bearer(TOKEN._replace(party="")),
        f"bearers {BEARER!r}: an enterprise has a party",
    ),
    "operator with a party": (
        Table.BEARERS,
        BEARER,
        pack_bearer(TOKEN._replace(role=Role.OPERATOR)),
        f"bearers {BEARER!r}: an enterprise has a party",
    ),
    "bearer of a party that is not there": (
        Table.BEARERS,
        BEARER,
        pack_bearer(TOKEN._replace(party="P000009")),
        f"bearers {BEARER!r}: its party is not there",
    ),
    "garbage hold": (Table.HOLDS, b"p" + PREFIX, b"\x01\x92\xc4\x00\x90", "a row of holds cannot be read: no target"),
    "hold of no kind": (Table.HOLDS, b"x", pack_hold(Hold(b"", ORDERS)), "a key of holds cannot be read"),
    "hold that is not counted": (
        Table.HOLDS,
        b"p88",
        pack_hold(Hold(b"88", ORDERS)),
        "holds: HoldCounts(identifiers=1, prefixes=1, parties=1)",
    ),
    "hold under the key of another one": (
        Table.HOLDS,
        b"p" + PREFIX,
        pack_hold(Hold(OTHER, ORDERS)),
        f"holds {b'p' + PREFIX!r}: holds {OTHER!r}",
    ),
    "garbage hold of a log": (Table.LOG_HOLDS, LOG, b"\x01", f"log_holds {LOG!r}: a row of holds cannot be read"),
    "hold of a log under another name": (
        Table.LOG_HOLDS,
        b"change/2026-04",
        pack_hold(Hold(LOG, ORDERS)),
        f"holds {LOG!r}",
    ),
    "hold of what is no log": (
        Table.LOG_HOLDS,
        b"change/2026-13",
        pack_hold(Hold(b"change/2026-13", ORDERS)),
        "log_holds b'change/2026-13': a row of log_holds cannot be read",
    ),
    "hold that is missing": (Table.HOLDS, b"p" + PREFIX, None, "holds: HoldCounts"),
    "counts of holds that are missing": (Table.META, HOLDS_KEY, None, "holds: HoldCounts"),
    "garbage counts of holds": (Table.META, HOLDS_KEY, b"x", "the counts of holds cannot be read"),
    "garbage entry": (Table.JOURNAL, entry_key(2), b"\x01\xc1", "a row of the journal cannot be read"),
    "missing entry": (Table.JOURNAL, entry_key(2), None, f"journal {entry_key(3)!r}: does not follow"),
    "missing last entry": (Table.JOURNAL, entry_key(3), None, "journal: the last is"),
    "entry too many": (Table.JOURNAL, entry_key(4), ENTRY, "journal: the last is"),
    "entry under no number": (Table.JOURNAL, b"\xff", ENTRY, "does not follow"),
    "number that was set back": (Table.META, LAST_ENTRY_KEY, entry_key(2), "journal: the last is"),
    "missing number": (Table.META, LAST_ENTRY_KEY, None, "journal: the last is"),
    "garbage row of the log": (Table.LOG_QUEUE, log_key(4), b"\x01\xc1", f"log_queue {log_key(4)!r}: a row of the log"),
    "missing row of the log": (Table.LOG_QUEUE, log_key(4), None, f"log_queue {log_key(5)!r}: does not follow"),
    "missing last row of the log": (Table.LOG_QUEUE, log_key(5), None, "log_queue: the last is 4, the number is 5"),
    "row of the log too many": (Table.LOG_QUEUE, log_key(6), LOGGED, f"log_queue {log_key(6)!r}: does not follow"),
    "row of the log before the first": (Table.LOG_QUEUE, log_key(1), LOGGED, f"log_queue {log_key(3)!r}: does not"),
    "row of the log under no number": (Table.LOG_QUEUE, b"\xff", LOGGED, "does not follow"),
    "row of the log with number 0": (Table.LOG_QUEUE, log_key(0), LOGGED, f"log_queue {log_key(0)!r}: does not follow"),
    "number of the log that was set back": (Table.META, LAST_LOG_KEY, log_key(4), "log_queue"),
    "number of the log that is ahead": (Table.META, LAST_LOG_KEY, log_key(6), "the last is 5, the number is 6"),
    "missing number of the log": (Table.META, LAST_LOG_KEY, None, "log_queue: the last is 5, the number is 0"),
    "garbage upstream": (Table.UPSTREAMS, TOP.encode(), b"\x01\xc1", "upstreams"),
    "upstream under another id": (Table.UPSTREAMS, b"0" * 32, UPSTREAM, "its key has another id"),
    "garbage state of a table": (Table.SYNC_TABLES, table_key(TOP, "T9"), b"\x02", "sync_tables"),
    "garbage state of a top node": (Table.SYNC_TABLES, link_key(TOP), b"\x01\x90", "sync_tables"),
    "garbage state of logs": (Table.SYNC_TABLES, logs_key(TOP), b"\x01\x90", "sync_tables"),
    "refused row of a link": (Table.SYNC_REFUSED, refused_key(TOP, "link", 1, b""), REFUSED, "there is no such table"),
    "state of no table": (Table.SYNC_TABLES, table_key(TOP, "T14"), pack_table_state(TableState()), "no such table"),
    "state under no key": (Table.SYNC_TABLES, b"\xff", pack_table_state(TableState()), "under no id of a key"),
    "garbage refused row": (Table.SYNC_REFUSED, refused_key(TOP, "T9", 3, SHORT), b"", "sync_refused"),
    "refused row under no key": (Table.SYNC_REFUSED, table_key(TOP, "T9"), REFUSED, "a key of sync_refused cannot be"),
    "refused row of no table": (Table.SYNC_REFUSED, refused_key(TOP, "T0", 1, b""), REFUSED, "there is no such table"),
    "refused row of nobody": (Table.SYNC_REFUSED, refused_key("nobody", "T9", 1, b""), REFUSED, "under no id of a key"),
    "garbage row of a day": (Table.SYNC_DAYS, day_key("T8", "2026-11-22", PREFIX), b"\x01\xc1", "sync_days"),
    "row of another day": (Table.SYNC_DAYS, day_key("T8", "2026-11-23", PREFIX), COUNTED, "another prefix or day"),
    "row of another prefix": (Table.SYNC_DAYS, day_key("T8", "2026-11-22", b"88.1"), COUNTED, "another prefix or day"),
    "row of no day": (Table.SYNC_DAYS, day_key("T8", "2026-11-31", PREFIX), COUNTED, "a key of sync_days cannot be"),
    "day of another table": (Table.SYNC_DAYS, day_key("T9", "2026-11-22", PREFIX), COUNTED, "a key of sync_days"),
    "garbage mark of a day": (Table.SYNC_DAYS, day_key("T8", "2026-11-22"), COUNTED, "sync_days"),
    "garbage hour": (Table.MONITOR_HOURS, hour_key("node", "2026-11-22T08"), b"\x01\x90", "monitor_hours"),
    "hour of no day": (Table.MONITOR_HOURS, hour_key("node", "2026-11-31T08"), OPEN_HOUR, "a key of monitor_hours"),
    "hour that was left open": (Table.MONITOR_HOURS, hour_key("node", "2026-11-22T07"), OPEN_HOUR, "it is open, and"),
    "latencies that contradict": (
        Table.MONITOR_HOURS,
        hour_key("node", "2026-11-22T07"),
        pack_hour(HOUR._replace(resolution=(2, 30, 9, 5, 10, 4, 1, 4))),
        "contradict one another",
    ),
    "garbage event": (Table.MONITOR_EVENTS, b"E00000001", b"\x01\xc1", "monitor_events"),
    "event under no number": (Table.MONITOR_EVENTS, b"E1", ANOMALY, "it is under no number"),
    "anomaly that is ended twice": (Table.MONITOR_EVENTS, b"E00000003", RECOVERED, "E00000001 was ended before"),
    "recovery of something else": (
        Table.MONITOR_EVENTS,
        b"E00000001",
        pack_event(DISK._replace(condition="x")),
        "E00000001 is not what it ends",
    ),
    "record under a key that is not folded": (
        Table.RECORDS,
        PREFIX + b"/lower",
        pack_record(PREFIX + b"/lower", ()).record,
        f"records {PREFIX + b'/lower'!r}: ",
    ),
}


@pytest.mark.parametrize(("table", "key", "row", "fault"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(
    store: MemoryEngine, table: Table, key: bytes, row: bytes | None, fault: str
) -> None:
    """One row wrong: at least one sentence, and it names the table and the key."""
    batch = Batch()
    batch.put(table, key, row)
    store.commit(batch)
    found = faults(store)
    assert any(fault in sentence for sentence in found), found


def test_a_queue_that_is_in_the_log_is_whole(store: MemoryEngine) -> None:
    """The keeper takes the lowest rows away, and may have taken all; the number stays."""
    for numbers in ((3,), (4, 5)):
        batch = Batch()
        for number in numbers:
            batch.put(Table.LOG_QUEUE, log_key(number), None)
        store.commit(batch)
        assert not faults(store)


def test_garbage_in_the_feed_is_found(store: MemoryEngine) -> None:
    """With its serial."""
    batch = Batch()
    batch.changes = [b"\x01\xc1", pack_change(99, b"88.118.7/A", AT)]
    store.commit(batch)
    found = faults(store)
    assert len(found) == 2
    assert found[0].startswith("changes 5: a row of the change feed cannot be read")
    assert found[1].startswith("changes 6: a row of the change feed cannot be read")


def test_every_fault_is_named_up_to_a_bound(store: MemoryEngine) -> None:
    """Two faults are two sentences; a store full of faults does not fill the screen."""
    batch = Batch()
    batch.put(Table.ANSWERS, SHORT, None)
    batch.put(Table.COUNTERS, PREFIX, pack_count(9))
    store.commit(batch)
    assert len(faults(store)) == 2
    batch.put(Table.ANSWERS, SHORT, pack_record(SHORT, HANDLES[SHORT]).answer)
    for number in range(500):
        batch.put(Table.PREFIXES, b"%d" % number, b"garbage")
    store.commit(batch)
    found = faults(store)
    assert len(found) == 101
    assert found[-1] == "more faults follow"


# --- the feed of a real store -----------------------------------------------


@contextlib.contextmanager
def damaged_feed(folder: Path, damage: Callable[[lmdb.Transaction, object, object], object]) -> Iterator[LmdbEngine]:
    """Open a store after its feed was damaged behind the engine's back."""
    store = LmdbEngine(folder / "store", create=True)
    store.commit(clean())
    assert faults(store) == []
    store.close()
    raw = lmdb.open(str(folder / "store"), max_dbs=len(Table) + 1)
    feed, meta = (raw.open_db(name, create=False) for name in (b"changes", b"meta"))
    with raw.begin(write=True) as transaction:
        damage(transaction, feed, meta)
    raw.close()
    store = LmdbEngine(folder / "store")
    yield store
    store.close()


def serial(number: int) -> bytes:
    return number.to_bytes(8, "big")


def test_a_gap_in_the_feed_is_found(tmp_path: Path) -> None:
    """A change was taken out of the middle."""
    with damaged_feed(tmp_path, lambda t, feed, _: t.delete(serial(2), db=feed)) as store:
        assert faults(store) == ["changes: 3 follows 1"]


def test_a_missing_last_change_is_found(tmp_path: Path) -> None:
    """The feed must end at the serial."""
    with damaged_feed(tmp_path, lambda t, feed, _: t.delete(serial(4), db=feed)) as store:
        assert faults(store) == ["changes: the last is 3, the serial is 4"]


def test_a_serial_that_was_set_back_is_found(tmp_path: Path) -> None:
    """The next commit would write over a change, or fail."""
    with damaged_feed(tmp_path, lambda t, _, meta: t.put(b"serial", serial(3), db=meta)) as store:
        assert faults(store) == ["changes: the last is 4, the serial is 3"]


def test_old_changes_may_be_gone(tmp_path: Path) -> None:
    """The feed is kept for a time: it may begin anywhere, and is then without a gap."""
    with damaged_feed(tmp_path, lambda t, feed, _: [t.delete(serial(n), db=feed) for n in (1, 2)]) as store:
        assert faults(store) == []


# --- totality ---------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.sampled_from([table for table in Table if table is not Table.META]),
    key=st.one_of(
        st.sampled_from([SHORT, PREFIX, TOKENS[0], PARTY, OTHER, BEARER, entry_key(2), b"I000001", b"I000001/001"]),
        st.binary(min_size=1, max_size=40),
    ),
    row=st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [pack_party(ROW), pack_application(HELD), pack_bearer(TOKEN), ENTRY, TEMPLATE, pack_incident(INCIDENT)]
        ),
        st.recursive(
            st.one_of(st.none(), st.integers(-(2**63), 2**64 - 1), st.binary(max_size=5), st.text(max_size=5)),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
        ).map(lambda value: b"\x01" + msgpack.packb(value)),
    ),
)
def test_fsck_total_on_any_bytes_in_any_row(table: Table, key: bytes, row: bytes) -> None:
    """Whatever one row holds, the check ends with sentences and not with an error of its own."""
    store = MemoryEngine()
    batch = clean()
    batch.put(table, key, row)
    store.commit(batch)
    assert all(isinstance(sentence, str) for sentence in faults(store))
