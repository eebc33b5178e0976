"""``saltern report month`` and ``saltern report downtime`` as a person runs them, on a node that does not run."""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core import limits
from core.clock import DAY_MS, Millis, format_utc, month_start, now_ms, shanghai_date
from core.config import load
from core.downtime import Downtime, downtime_fault, format_downtime, parse_downtime
from core.errors import NodeError, WireError
from core.signature import verify_document
from core.store.engine import Table
from core.store.log_rows import LogEntry, unpack_log_row
from core.streams import Stream
from node import wiring
from node.cli.doctor_month import look_at_month
from node.cli.main import cli
from node.cli.new_file import write_new_files
from node.signing import signing_key_pem
from sync.monitor.figures import Hour, Latency, Probes, dump_hour
from sync.report.definitions import DEFINITIONS
from sync.report.due import due_day
from tests.kit.log_folders import NODE, SEED, LogFolder, document

MONTH = "2026-05"
BEGIN = month_start(MONTH)
REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference" / "monthly-report.md"
EARLIEST = Millis(0)
LATEST = Millis(4_000_000_000_000)


def saltern(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert saltern("init", tmp_path / "node", "--prefix", NODE).exit_code == 0
    return tmp_path / "node" / "node.toml"


def write_logs(config: Path) -> LogFolder:
    """Publish the logs of one month, in which two hours were measured, by the key of the node."""
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    (config.parent / "keys/node.pem").write_bytes(signing_key_pem(key))
    for stream in (Stream.REGISTRATION, Stream.CHANGE):
        LogFolder(config.parent / "data/log", stream, MONTH)
    folder = LogFolder(config.parent / "data/log", Stream.MAINTENANCE, MONTH)
    latency = Latency(4, 1_000, 400, BEGIN // 1_000, 100, BEGIN // 1_000, 2, BEGIN // 1_000)
    for hour in ("2026-05-31T22", "2026-05-31T23"):
        told = dump_hour(Hour("node", hour, latency, latency, Probes(15, 240, 240, 120, 120)))
        folder.entries(document(Stream.MAINTENANCE, BEGIN, "monitor.hour", f"node {hour}", reason=told))
    return folder


def noted(config: Path) -> list[LogEntry]:
    """Return what waits for the log and is of reports."""
    store = wiring.open_store(load(config), read_only=True)
    try:
        with store.snapshot() as snapshot:
            rows = [unpack_log_row(row) for _, row in snapshot.scan(Table.LOG_QUEUE, b"")]
    finally:
        store.close()
    return [each for row in rows for each in row.entries if each.action.startswith(("report.", "downtime."))]


def test_the_report_is_three_new_files(config: Path, tmp_path: Path) -> None:
    """Mode 0600, signed by the node, written down; a second time nothing is overwritten."""
    write_logs(config)
    out = tmp_path / "reports"
    made = saltern("report", "month", MONTH, "--config", config, "--out", out, "--actor", "张经办", "--json")
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert (told["month"], told["complete"]) == (MONTH, True)
    assert (told["figures"]["availability"], told["figures"]["running_hours"]) == ("50.0000", "2.00")
    assert told["figures"]["resolution_rtt_mean"] == "0.250"
    files = {path.name: path for path in out.iterdir()}
    assert sorted(files) == [f"report-{MONTH}.{kind}" for kind in ("csv", "html", "json")]
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    document = json.loads(files[f"report-{MONTH}.json"].read_text())
    signature = verify_document("monthly report", document)
    assert signature is not None
    assert signature.public_key == Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    assert [(each.action, each.object) for each in noted(config)] == [("report.month", MONTH)]
    before = {path: path.read_bytes() for path in files.values()}
    again = saltern("report", "month", MONTH, "--config", config, "--out", out)
    assert (again.exit_code, "已存在" in again.stderr) == (1, True)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(("month", "code", "told"), [
    ("2026-04", 1, "2026-05 … "), ("2105-12", 1, "has not begun"), ("2026-13", 2, "YYYY-MM"), ("2026-5", 2, "YYYY-MM"),
])  # fmt: skip
def test_what_is_no_month_is_refused_and_leaves_nothing(
    config: Path, tmp_path: Path, month: str, code: int, told: str
) -> None:
    write_logs(config)
    result = saltern("report", "month", month, "--config", config, "--out", tmp_path / "reports")
    assert (result.exit_code, told in result.output) == (code, True), result.output
    assert not (tmp_path / "reports").exists()
    assert not noted(config)


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    """One that cannot be written, or is there, takes the others along; nothing partial stays."""
    with pytest.raises(NodeError):
        write_new_files(tmp_path / "new", {"a": b"a", "missing/b": b"b"})
    (tmp_path / "new" / "b").write_bytes(b"mine")
    with pytest.raises(NodeError, match="已存在"):
        write_new_files(tmp_path / "new", {"a": b"a", "b": b"b"})
    assert [(each.name, each.read_bytes()) for each in (tmp_path / "new").iterdir()] == [("b", b"mine")]


def test_a_downtime_is_planned_and_taken_back(config: Path) -> None:
    """Days are those of Shanghai, the last one in it; what was not planned cannot be taken back."""
    day = shanghai_date(now_ms())
    behind = day + datetime.timedelta(days=1)
    span = ("--from", day, "--until", day, "--config", config)
    refused = saltern("report", "downtime", *span, "--cancel")
    assert (refused.exit_code, "There is no such planned downtime" in refused.output) == (1, True)
    planned = saltern("report", "downtime", *span, "--reason", "机房检修", "--json")
    assert planned.exit_code == 0, planned.output
    wanted = "/".join(format_utc(shanghai_start(each)) for each in (day, behind))
    assert json.loads(planned.stdout)["downtime"] == wanted
    (entry,) = noted(config)
    assert (entry.stream, entry.action, entry.object, entry.reason) == (
        "maintenance",
        "downtime.plan",
        wanted,
        "机房检修",
    )
    cancelled = saltern("report", "downtime", *span, "--cancel")
    assert cancelled.exit_code == 0, cancelled.output
    twice = saltern("report", "downtime", *span, "--cancel")
    assert twice.exit_code == 1, twice.output


def shanghai_start(day: datetime.date) -> int:
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()) - 8 * 3_600


@pytest.mark.parametrize("options", [
    ("--from", "2026-01-02T00:00", "--until", "2026-01-01T23:59", "--reason", "x"),
    ("--from", "2026-01-01", "--until", "2026-02-01", "--reason", "x"),
    ("--from", "2023-01-01", "--until", "2023-01-01", "--reason", "x"),
    ("--from", "2105-01-01", "--until", "2105-01-01"),
])  # fmt: skip
def test_a_downtime_that_is_none_is_refused(config: Path, options: tuple[str, ...]) -> None:
    """Backwards, too long, too long ago, without a reason: refused with the rule, and only that is written down."""
    result = saltern("report", "downtime", *options, "--config", config)
    assert result.exit_code == 1, result.output
    assert json.loads(result.stdout)["rule"] in ("downtime", "reason")
    assert all(each.outcome != "ok" for each in noted(config))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_downtime_is_read_as_it_was_written(since_s: int, until_s: int) -> None:
    downtime = Downtime(Millis(since_s * 1_000), Millis(until_s * 1_000))
    assert parse_downtime(format_downtime(downtime)) == downtime


@given(st.text(max_size=60))
def test_anything_else_is_no_downtime(text: str) -> None:
    with contextlib.suppress(WireError):
        assert format_downtime(parse_downtime(text)) == text


def test_the_bounds_of_a_downtime_are_in_it() -> None:
    now = Millis(limits.DOWNTIME_PAST_DAYS_MAX * DAY_MS)
    longest = limits.DOWNTIME_DAYS_MAX * DAY_MS
    assert downtime_fault(Downtime(EARLIEST, Millis(longest)), now) is None
    assert downtime_fault(Downtime(EARLIEST, Millis(longest + 1_000)), now)
    assert downtime_fault(Downtime(EARLIEST, Millis(1_000)), Millis(now + 1))
    assert downtime_fault(Downtime(LATEST, LATEST), now)


def test_the_report_is_due_ten_working_days_behind_the_month(config: Path) -> None:
    """Mondays to Fridays; ``saltern doctor`` warns from the day behind."""
    assert due_day("2026-10") == datetime.date(2026, 11, 13)
    assert due_day("2026-12") == datetime.date(2027, 1, 14)
    folder = write_logs(config)
    settings, june = load(config), month_start("2026-06")
    due = due_day(MONTH)
    last = Millis(june + (due.day - 1) * DAY_MS)
    assert [each[0] for each in look_at_month(settings, last)] == ["ok"]
    ((level, _, message),) = look_at_month(settings, Millis(last + DAY_MS))
    assert (level, str(due) in message) == ("warning", True)
    next_month = LogFolder(folder.folder.parent.parent, Stream.MAINTENANCE, "2026-06", before=folder.checkpoint)
    next_month.entries(document(Stream.MAINTENANCE, june, "report.month", MONTH))
    ((level, _, message),) = look_at_month(settings, Millis(last + DAY_MS))
    assert (level, "was made" in message) == ("ok", True)
    assert not list(look_at_month(settings, month_start("2027-06")))


def test_the_reference_defines_every_figure() -> None:
    text = REFERENCE.read_text("utf-8")
    for each in DEFINITIONS:
        assert f"| `{each.name}` | {each.zh} | {each.en} | {each.unit} |" in text, each.name
