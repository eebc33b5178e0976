"""The monthly report equals the simulation's own bookkeeping, and what a second reader computes from the log alone."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from audit.reading import LogReadError
from audit.verify import verify
from core.config import Config
from core.errors import NodeError
from core.signature import verify_document
from core.store.log_rows import LogEntry
from core.streams import Stream
from node.monthly import Made, make_report, require_month
from registry.commands import (
    ApplyPrefix,
    CloseIncident,
    NationalVerdict,
    OpenIncident,
    ReviewPrefix,
    SitePrefix,
    UpdateIncident,
)
from registry.upstream_commands import ConnectUpstream
from sync.monitor.observation import Way
from tests.kit.chromium import Chromium, needs_chromium
from tests.kit.days import shanghai
from tests.kit.governance import BEN, SIGNER, SITE, person, plain_sites
from tests.kit.month import PERIOD_S, MonthNode
from tests.kit.sequencing import months_of

MONTH = "2026-11"
NOW = "2026-12-04T10:00:00"
HOUR = 3_600
A4 = (794, 1_123)  # CSS pixels
SHOTS = os.environ.get("SALTERN_SHOTS")


def seconds(since: str, until: str) -> int:
    return (shanghai(until) - shanghai(since)) // 1_000


def utc(text: str) -> str:
    return datetime.fromtimestamp(shanghai(text) / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> MonthNode:
    """November from the 3rd on: resolution fails for an hour and more, a planned downtime, the node away at the end."""
    node = MonthNode(tmp_path_factory.mktemp("month"), "2026-11-03T08:00:00")
    with plain_sites():
        live(node)
    return node


def live(node: MonthNode) -> None:
    node.run("2026-11-05T00:00:00")
    approvals(node)
    node.publish()
    node.fails("2026-11-09T10:20:00", "2026-11-09T11:35:15", Way.UDP, Way.HTTP)
    node.fails("2026-11-10T08:00:00", "2026-11-10T09:30:00", Way.TCP)  # one way of three: it resolves
    node.fails("2026-11-22T03:58:00", "2026-11-22T04:01:00", Way.REGISTRATION)
    node.run("2026-11-09T10:20:00")
    node.happens("E00000001", "2026-11-09T10:20:15", "resolution", cause="进程无响应")
    node.run("2026-11-09T11:35:15")
    node.happens("E00000002", "2026-11-09T11:35:30", "resolution", ends="E00000001")
    form = {"title": "解析中断", "description": "三种协议均无应答", "kind": "system", "severity": "considerable",
            "occurred": "2026-11-09T10:20", "discovered": "2026-11-09T10:21"}  # fmt: skip
    node.do("2026-11-09T12:00:00", OpenIncident(json.dumps(form).encode()))
    done = {"cause": "内存耗尽", "recovered": "2026-11-09T11:35", "measures": ["=重启并扩容"]}
    node.do("2026-11-09T12:10:00", UpdateIncident("I000001", json.dumps(done).encode()), CloseIncident("I000001"))
    node.run("2026-11-14T09:00:00")
    node.plan("2026-11-14T09:00:00", "2026-11-15T02:00:00", "2026-11-15T04:10:00", "机房供电检修")
    node.plan("2026-11-14T09:00:01", "2026-11-15T03:30:00", "2026-11-15T04:30:00", "升级")
    node.plan("2026-11-14T09:00:02", "2026-11-20T01:00:00", "2026-11-20T05:00:00", "不做了")
    node.plan("2026-11-14T09:00:03", "2026-11-20T01:00:00", "2026-11-20T05:00:00", "", act="downtime.cancel")
    node.run("2026-11-15T02:00:00")
    node.publish()
    node.away("2026-11-15T04:30:00")
    node.run("2026-11-30T21:40:00")
    node.publish()
    node.away("2026-12-01T02:10:00")  # the hour 21 is entered in December's log
    node.enter(LogEntry("maintenance", "monitor.hour", "node 2026-11-30T23", outcome="forbidden", reason="{}"))
    node.enter(LogEntry("maintenance", "monitor.hour", "node 2026-11-30T22", reason="{}"))
    node.publish()


def approvals(node: MonthNode) -> None:
    """One prefix resolves at once, one 36 h after its approval, one with the national verdict, 90 min after ours."""
    office = node.office
    office.now = shanghai("2026-11-04T08:00:00")
    party = office.allocated("88.118.7", 0)
    office.do(ApplyPrefix("88.118.8", party, "delegated"))
    node.do("2026-11-04T09:00:00", ReviewPrefix("88.118.8", approve=True), actor=BEN)
    node.do("2026-11-05T21:00:00", SitePrefix("88.118.8", SITE))
    node.do("2026-11-05T21:30:00", SitePrefix("88.118.8", SITE + b" "))  # a new route is no new prefix
    top = office.do(ConnectUpstream("https://top.example.cn", bytes(32)))["id"]
    office.do(ApplyPrefix("88.118.9", party))
    node.do("2026-11-06T08:00:00", ReviewPrefix("88.118.9", approve=True), actor=BEN)
    verdict = NationalVerdict("88.118.9", top, "approved", "", (), office.application("88.118.9").filed_ms)
    node.do("2026-11-06T09:30:00", verdict, actor=person(f"upstream:{top}"))


@pytest.fixture(scope="module")
def made(node: MonthNode) -> Made:
    return make_report(node.config, node.reading, MONTH, signer=SIGNER, actor="张经办", now_ms=shanghai(NOW))


def figures_of(made: Made) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in made.document["figures"]}


def test_the_report_equals_what_was_simulated(node: MonthNode, made: Made) -> None:
    """Availability, means, extremes and events, each to its last digit."""
    kept, sums, figures = node.kept, made.document["sums"], figures_of(made)
    planned = seconds("2026-11-15T02:00:00", "2026-11-15T04:30:00")
    assert sums["owed_s"] == seconds("2026-11-03T08:00:00", "2026-12-01T00:00:00") - planned
    lost = {"resolution": seconds("2026-11-09T10:20:00", "2026-11-09T11:35:15"), "registration": 180}
    away = seconds("2026-11-30T21:40:00", "2026-12-01T00:00:00") + 2 * PERIOD_S  # of two rounds that were cut
    assert sums["available_s"] == kept.available_s["both"] == sums["owed_s"] - away - sum(lost.values())
    for kind, seconds_lost in lost.items():
        available = sums[f"{kind}_available_s"]
        assert available == kept.available_s[kind] == sums["owed_s"] - away - seconds_lost
    assert sums["running_s"] == kept.running_s
    assert figures["availability"] == f"{100 * sums['available_s'] * 10_000 // sums['owed_s'] / 10_000:.4f}"
    assert (figures["running_hours"], figures["planned_hours"]) == (f"{kept.running_s / HOUR:.2f}", "2.50")
    for kind in ("resolution", "registration"):
        latency = sums[kind]
        assert (latency["answers"], latency["sum_us"]) == (kept.answers[kind], kept.sum_us[kind])
        assert (latency["max_us"], latency["max_s"]) == kept.most[kind]
        assert (latency["min_us"], latency["min_s"]) == kept.least[kind]
        assert (latency["peak"], latency["peak_s"]) == kept.peak[kind]
        mean = Fraction(kept.sum_us[kind], kept.answers[kind] * 1_000)
        assert abs(Fraction(figures[f"{kind}_rtt_mean"]) - mean) <= Fraction(1, 2_000)
        at = datetime.fromtimestamp(kept.most[kind][1], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert figures[f"{kind}_rtt_max_at"] == at
    assert (figures["effective_mean"], figures["effective_median"], figures["effective_prefixes"]) == (
        "12.00",
        "0.00",
        3,
    )


def test_events_are_those_of_the_month(made: Made) -> None:
    """A pair with its length, the incident with cause and remedy, downtimes that overlap as one, none taken back."""
    document = made.document
    (pair,) = document["anomalies"]
    assert (pair["number"], pair["recovery"], pair["seconds"], pair["cause"]) == (
        "E00000001", "E00000002", 75 * 60 + 15, "进程无响应"
    )  # fmt: skip
    (downtime,) = document["downtimes"]
    assert (downtime["from"], downtime["until"]) == (utc("2026-11-15T02:00:00"), utc("2026-11-15T04:30:00"))
    assert (downtime["reasons"], downtime["ahead"]) == (["机房供电检修", "升级"], True)
    (incident,) = document["emergencies"]
    assert (incident["incident"], incident["cause"]) == ("I000001", "内存耗尽")
    assert [each["text"] for each in incident["measures"]] == ["=重启并扩容"]
    assert [(each["prefix"], each["milliseconds"]) for each in document["effective"]] == [
        ("88.118.7", 0), ("88.118.8", 36 * HOUR * 1_000), ("88.118.9", 0)
    ]  # fmt: skip
    assert [each["en"] for each in document["notes"]] == [
        "an entry that cannot be read: monitor.hour node 2026-11-30T22"
    ]
    assert [(each["month"], each["logged"]) for each in document["months"]] == [
        *((f"2026-{month:02}", False) for month in range(6, 11)), (MONTH, True)
    ]  # fmt: skip


# --- a second reader ---------------------------------------------------------
def entries(data: Path, stream: Stream) -> Iterator[dict[str, Any]]:
    """Yield the entries of a stream that are acts, from logs that are verified."""
    for month in months_of(data, stream):
        for leaf in month.leaves[1:]:
            entry = json.loads(leaf)
            if entry["res"]["code"] in ("ok", "created"):
                yield entry


def test_everything_can_be_computed_again_from_the_entries(node: MonthNode, made: Made) -> None:
    """By another way: day by day, with fractions, nothing of the report's own code."""
    hours: dict[str, Any] = {}
    plans: dict[str, bool] = {}
    acts = list(entries(node.data, Stream.MAINTENANCE))
    for entry in acts:
        if entry["act"] == "monitor.hour" and "probes" in entry["res"]["reason"]:
            hours[entry["obj"].removeprefix("node ")] = json.loads(entry["res"]["reason"])
        if entry["act"].startswith("downtime."):
            plans[entry["obj"]] = entry["act"] == "downtime.plan"
    away: set[int] = set()
    for name, stands in plans.items():
        if stands:
            since, until = (int(datetime.fromisoformat(each).timestamp()) for each in name.split("/"))
            away |= set(range(since, until))
    begun = datetime.fromisoformat(f"{min(hours)}:00:00+08:00")
    end = datetime.fromisoformat("2026-12-01T00:00:00+08:00")
    owed = int((end - begun).total_seconds()) - len(away)
    mine = {
        name: hours[name]
        for name in ((begun + timedelta(hours=each)).strftime("%Y-%m-%dT%H") for each in range(24 * 28))
        if name in hours and name < "2026-12"
    }
    figures = figures_of(made)
    for figure, member in (("availability", "both"), ("availability_resolution", "resolution"),
                           ("availability_registration", "registration")):  # fmt: skip
        good = sum(15 * each["probes"][member] for each in mine.values())
        share = Fraction(100 * good, owed)
        assert Fraction(figures[figure]) <= share < Fraction(figures[figure]) + Fraction(1, 10_000)
    assert figures["running_hours"] == f"{sum(15 * each['probes']['periods'] for each in mine.values()) / HOUR:.2f}"
    for kind in ("resolution", "registration"):
        told = [each[kind] for each in mine.values() if each[kind]["answers"]]
        answers, total = sum(each["answers"] for each in told), sum(each["sum_us"] for each in told)
        assert figures[f"{kind}_answers"] == answers
        assert figures[f"{kind}_rtt_mean"] == f"{round(total / answers) / 1_000:.3f}"
        for figure, value, at, best in (
            ("rtt_max", "max_us", "max_s", max), ("rtt_min", "min_us", "min_s", min), ("peak", "peak", "peak_s", max)
        ):  # fmt: skip
            extreme = best(each[value] for each in told)
            first = min(each[at] for each in told if each[value] == extreme)
            shown = extreme if figure == "peak" else f"{extreme / 1_000:.3f}"
            assert figures[f"{kind}_{figure}"] == shown
            assert int(datetime.fromisoformat(figures[f"{kind}_{figure}_at"]).timestamp()) == first
    waited = waits(node.data)
    assert figures["effective_mean"] == f"{statistics.mean(waited) / HOUR:.2f}"
    assert figures["effective_median"] == f"{statistics.median(waited) / HOUR:.2f}"
    assert figures["anomalies"] == len([each for each in acts if each["act"] == "monitor.anomaly"])


def waits(data: Path) -> list[float]:
    """Return from approval to the prefix handle, of each prefix that was approved."""
    approved: dict[str, datetime] = {}
    made: dict[str, datetime] = {}
    for entry in entries(data, Stream.REGISTRATION):
        at, name = datetime.fromisoformat(entry["t"]), entry["obj"].removeprefix("0.NA/")
        if (entry["act"], entry["res"]["reason"]) in (("prefix.review", "approve"), ("prefix.verdict", "approved")):
            approved[name] = at
        elif entry["act"] == "record.create" and entry["obj"].startswith("0.NA/"):
            made.setdefault(name, at)
    return [(made[name] - at).total_seconds() for name, at in approved.items()]


# --- forms -------------------------------------------------------------------
def test_json_is_signed_and_names_the_logs(node: MonthNode, made: Made) -> None:
    """Whoever has the logs finds the checkpoints that the figures were computed from."""
    document = json.loads(made.files[f"report-{MONTH}.json"])
    assert document == made.document
    assert verify_document("monthly report", document) is not None
    told = {(each["stream"], each["month"]): each["checkpoint"] for each in document["logs"]}
    for stream in (Stream.MAINTENANCE, Stream.REGISTRATION, Stream.CHANGE):
        for month in months_of(node.data, stream):
            assert told[stream.value, month.month] == month.note.decode()


def test_csv_has_a_row_a_figure_and_runs_nothing(made: Made) -> None:
    octets = made.files[f"report-{MONTH}.csv"]
    assert octets.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(octets.decode("utf-8-sig"), newline="")))
    by_name = {row[0]: row[3] for row in rows if len(row) == 4}
    for name, value in figures_of(made).items():
        if not name.endswith("_at"):
            assert by_name[name] == ("" if value is None else str(value))
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


def test_a_running_month_is_told_so_far(node: MonthNode) -> None:
    """The hours that are over count, and no other one."""
    now = shanghai("2026-11-21T10:04:59")  # the hour 09 is not surely in the log
    made = make_report(node.config, node.reading, MONTH, signer=SIGNER, actor="张", now_ms=now)
    document = made.document
    assert (document["complete"], document["until"]) == (False, utc("2026-11-21T09:00:00"))
    planned = seconds("2026-11-15T02:00:00", "2026-11-15T04:30:00")
    assert document["sums"]["owed_s"] == seconds("2026-11-03T08:00:00", "2026-11-21T09:00:00") - planned
    assert b"So far" in made.files[f"report-{MONTH}.html"]
    assert b"So far" not in make_report(
        node.config, node.reading, MONTH, signer=SIGNER, actor="张", now_ms=shanghai(NOW)
    ).files[f"report-{MONTH}.html"]  # fmt: skip


@pytest.mark.parametrize(("month", "told"), [("2026-10", "2026-11 … 2026-12"), ("2027-01", "has not begun")])
def test_a_month_without_a_log_is_refused(node: MonthNode, month: str, told: str) -> None:
    with pytest.raises(NodeError, match=told):
        require_month(node.config, month, shanghai(NOW))


def test_no_report_is_made_of_a_log_that_was_altered(node: MonthNode) -> None:
    """One octet of one figure; ``saltern log verify`` sees it, too."""
    folder = node.data / "log" / "maintenance" / MONTH
    before, after = b'\\"periods\\":240', b'\\"periods\\":241'
    bundle = next(path for path in sorted(folder.glob("tile/entries/**/*")) if path.is_file())
    octets = bundle.read_bytes()
    assert before in octets
    assert verify(folder).ok
    try:
        bundle.write_bytes(octets.replace(before, after, 1))
        assert not verify(folder).ok
        with pytest.raises(LogReadError, match="saltern log verify"):
            make_report(node.config, node.reading, MONTH, signer=SIGNER, actor="张", now_ms=shanghai(NOW))
    finally:
        bundle.write_bytes(octets)


@needs_chromium
def test_the_page_is_a_form_that_asks_for_nothing(made: Made, tmp_path: Path) -> None:
    """A browser shows it whole at the width of A4, finds no fault with its policy, and loads nothing."""
    page = tmp_path / "report.html"
    page.write_bytes(made.files[f"report-{MONTH}.html"])
    with Chromium(tmp_path / "profile") as browser:
        tab = browser.tab(A4)
        tab.open(page.as_uri())
        assert (tab.problems, tab.overflow, tab.requests) == ([], 0, [page.as_uri()])
        text = tab.text
        if SHOTS:
            tab.screenshot(Path(SHOTS) / "month.png")
            (Path(SHOTS) / page.name).write_bytes(page.read_bytes())
    for each in made.document["figures"]:
        assert each["zh"] in text
    assert "浙江某盐业集团有限公司" in text


def test_a_node_that_was_put_back_reports_of_the_node_before(node: MonthNode, made: Made, tmp_path: Path) -> None:
    """The logs of before lie beside: figures and lists are the same, and outages before the restore are not gone."""
    shutil.copytree(node.data / "log", tmp_path / "data/log-before/88.118/log")
    (tmp_path / "data/log").mkdir()
    config = Config(node.config.path, node.config.values | {"node.data": str(tmp_path / "data")})
    require_month(config, MONTH, shanghai(NOW))
    again = make_report(config, node.reading, MONTH, signer=SIGNER, actor="张经办", now_ms=shanghai(NOW))
    for name in made.document.keys() - {"signature"}:
        assert again.document[name] == made.document[name], name
