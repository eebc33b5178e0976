"""A node that asks itself and watches itself: a real one once, and its parts in process."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from audit.places import LOCK
from core import limits, monitor
from core.changes import ChangeKind, Serial, unpack_change
from core.clock import DAY_MS, Millis
from core.config import load
from core.limits import DISK_BYTES_MAX
from core.monitor import Probed, Round, document, dump_round, load_round
from core.records import HandleValue, HashOption, Interface, ServerInfo, SiteInfo
from core.store.engine import Batch, Table
from core.store.fsck import check_store
from core.store.memory_engine import MemoryEngine
from core.store.monitor_rows import events, open_anomalies
from core.store.prefix_rows import DELEGATED, HOSTED, HomedPrefix, pack_prefix
from core.store.record_rows import pack_record, record_key
from core.wire.site import encode_site
from core.wire.sitefile import AddressPolicy
from node import wiring
from node.probe_metrics import ProbeMetrics
from node.probes import Found, Server, probe_tcp, probe_udp
from node.probing import SelfProbes, Site, SiteProbes, is_probed, list_sites, make_probing
from node.telemetry import render
from node.watching import AliveMark, Watching
from sync.monitor.happening import ANOMALY_ACT, RECOVERED_ACT, Happening, Status
from sync.monitor.observation import Observation, Way
from sync.monitor.storing import happening_from
from sync.monitor.watch import Facts, Watch
from sync.sources.events import EventSource
from tests.kit.logs import log_rows
from tests.kit.node import Node
from tests.node.test_serve import eventually

PREFIX = "88.118.7"
NOW = Millis(1_795_312_800_000)
OWN = (Way.UDP, Way.TCP, Way.HTTP, Way.REGISTRATION)
ALLOWED = AddressPolicy((ip_network("127.0.0.0/8"),), public=True)


# --- a real node -------------------------------------------------------------------
class Seen:
    """What is in the store of a node that runs."""

    def __init__(self, node: Node) -> None:
        self.config = load(node.config)
        self.store = wiring.open_store(self.config)

    def happened(self) -> list[Happening]:
        with self.store.snapshot() as snapshot:
            return [happening_from(*event) for event in events(snapshot)]

    def round(self) -> dict[Way, Observation]:
        """Have one round of self-probes made, here instead of in the process that waits an hour for it."""
        seen: list[Observation] = []
        asyncio.run(make_probing(self.config, self.store).own.round(Millis(NOW), seen.append))
        assert {each.subject for each in seen} == {"node"}
        return {each.way: each for each in seen}


def told(node: Node) -> tuple[Any, Any, Any]:
    answer = node.ask("GET", "/v1/monitor").json
    return answer["resolution"], answer["registration"], answer["stale"]


def stopped_worker_is_a_fault(node: Node) -> None:
    pid = node.children()["worker-0"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for probe in (probe_udp, probe_tcp):
            found = asyncio.run(probe(Server("127.0.0.1", node.ready["handle"]), PREFIX, 10))
            assert found.fault.endswith("No whole answer within 0.05 s")
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_full_disk_is_an_anomaly_until_there_is_room_again(tmp_path: Path) -> None:
    """Row, change, row of T13 and entry, and the pair of them after the next start; probes tell what they find."""
    node = Node(tmp_path / "node", PREFIX, log__disk_stop=DISK_BYTES_MAX)
    data = node.folder / "data"
    with (data / LOCK).open("w") as lock:  # what waits for the logs stays in its queue
        fcntl.flock(lock, fcntl.LOCK_EX)
        with node:
            assert told(node) == (False, False, True)
            seen = Seen(node)
            (anomaly,) = eventually(seen.happened)
            assert anomaly[:4] == ("E00000001", Status.ANOMALY, "node", "disk")
            found = seen.round()
            assert set(found) == set(OWN)
            assert [way for way in OWN if found[way].rtt_us is None] == [Way.REGISTRATION]
            assert "磁盘" in found[Way.REGISTRATION].fault
            (data / "run" / monitor.FILE).write_bytes(_as_of_now(data / "run" / monitor.FILE))
            assert told(node) == (True, False, False)
            stopped_worker_is_a_fault(node)
            seen.store.close()
        with Node(node.folder, PREFIX):
            seen = Seen(node)
            eventually(lambda: len(seen.happened()) == 2)
            assert all(each.rtt_us is not None and not each.fault for each in seen.round().values())
            recovered = seen.happened()[1]
            assert (recovered.status, recovered.ends, recovered.condition) == (Status.RECOVERED, "E00000001", "disk")
            with seen.store.snapshot() as snapshot:
                assert not open_anomalies(snapshot)
                entries = [each for row in log_rows(snapshot) for each in row.entries]
                changes = [unpack_change(row) for _, row in snapshot.feed(Serial(0), 1_000)]
                assert [key for key, _ in EventSource().rows(snapshot, b"", None)] == [b"E00000001", b"E00000002"]
                assert not list(check_store(snapshot))
            seen.store.close()
    acts = [(each.action, each.object) for each in entries if each.stream == "maintenance"]
    assert [each for each in acts if each[0] in (ANOMALY_ACT, RECOVERED_ACT)] == [
        (ANOMALY_ACT, "E00000001"), (RECOVERED_ACT, "E00000002"),
    ]  # fmt: skip
    assert not [each for each in acts if each[0] == "node.probe"]
    noted = [change.identifier for change in changes if change.kind is ChangeKind.MONITOR_EVENT]
    assert noted == ["E00000001", "E00000002"]


def _as_of_now(path: Path) -> bytes:
    found = load_round(path.read_bytes())
    assert found is not None
    return dump_round(found._replace(checked_ms=int(path.stat().st_mtime * 1_000)))


# --- what is told of a round -------------------------------------------------------
def test_a_round_is_told_as_long_as_it_is_young() -> None:
    """Three rounds; then nothing counts as available, as it is before the first one, and where the clock jumped."""
    found = Round(NOW, 15, True, False, (Probed("node", "udp", 900), Probed("node", "tcp", None)))
    assert load_round(dump_round(found)) == found
    right = {"resolution": True, "registration": False, "stale": False, "period_s": 15}
    for later_ms in (0, 45_000, -45_000):
        assert right.items() <= document(found, Millis(NOW + later_ms)).items()
    wrong = {"resolution": False, "registration": False, "stale": True}
    for later_ms in (45_001, -45_001):
        assert wrong.items() <= document(found, Millis(NOW + later_ms)).items()
    assert wrong.items() <= document(None, NOW).items()
    assert set(document(found, NOW)) == {"time", "checked", "period_s", "resolution", "registration", "stale"}
    for broken in (b"", b"{", b"[1]", b"\xff", dump_round(found)[:-1], b"[" * 100_000):
        assert load_round(broken) is None


def test_metrics_of_a_round(tmp_path: Path) -> None:
    """A series a way; of an old round but its age; without one nothing."""
    metrics = ProbeMetrics(tmp_path, lambda: NOW)
    assert render(metrics) == b""
    probes = (Probed("node", "udp", 900), Probed(PREFIX, "tcp", None))
    (tmp_path / monitor.FILE).write_bytes(dump_round(Round(NOW - 5_000, 15, True, True, probes)))
    shown = render(metrics).decode()
    assert 'saltern_probe_up{subject="node",way="udp"} 1.0' in shown
    assert f'saltern_probe_up{{subject="{PREFIX}",way="tcp"}} 0.0' in shown
    assert 'saltern_probe_seconds{subject="node",way="udp"} 0.0009' in shown
    assert "saltern_probe_age_seconds 5.0" in shown
    (tmp_path / monitor.FILE).write_bytes(dump_round(Round(NOW - 50_000, 15, True, True, probes)))
    assert "saltern_probe_up{" not in render(metrics).decode()


def test_a_round_with_no_door_and_a_registrar_that_fails(tmp_path: Path) -> None:
    """What is not asked is not said to fail."""

    async def failed() -> Found:
        return Found(None, "没有。None")

    seen: list[Observation] = []
    file = tmp_path / monitor.FILE
    probes = SelfProbes(PREFIX, lambda: (), failed, limit_ms=10, period_s=15, file=file)
    asyncio.run(probes.round(NOW, seen.append))
    assert seen == [Observation("node", Way.REGISTRATION, NOW, None, "没有。None")]
    found = load_round(file.read_bytes())
    assert found is not None
    assert (found.resolution, found.registration) == (True, False)


def test_a_round_that_takes_long_does_not_make_the_one_before_stale(tmp_path: Path) -> None:
    """One way that hangs takes five times the limit, and the next round begins behind it: the node is there still."""

    async def good() -> Found:
        return Found(1)

    file, limit_ms, period_s = tmp_path / monitor.FILE, 10_000, 5
    probes = SelfProbes(PREFIX, lambda: (), good, limit_ms=limit_ms, period_s=period_s, file=file)
    asyncio.run(probes.round(NOW, lambda _: None))
    late_ms = period_s * 1_000 + 2 * limit_ms * limits.PROBE_LATE
    told = document(load_round(file.read_bytes()), Millis(NOW + late_ms))
    assert (told["stale"], told["registration"]) == (False, True)


# --- enterprise nodes --------------------------------------------------------------
def site(*doors: tuple[int, int], address: str = "127.0.0.1", kind: int = 2) -> HandleValue:
    octets = ip_address(address).packed.rjust(16, b"\0")
    server = ServerInfo(1, octets, b"", tuple(Interface(kind, protocol, port) for protocol, port in doors))
    info = SiteInfo(1, 2, 11, 1, True, False, HashOption.BY_ALL, "", (), (server,))
    return HandleValue(1, "HS_SITE", encode_site(info))


def store_of(sites: dict[str, tuple[HandleValue, ...]], **states: HomedPrefix) -> MemoryEngine:
    store, batch = MemoryEngine(), Batch()
    for prefix, values in sites.items():
        homed = states.get(prefix.replace(".", "_"), HomedPrefix(DELEGATED, NOW))
        batch.put(Table.PREFIXES, prefix.encode(), pack_prefix(homed))
        handle = f"0.NA/{prefix}".encode()
        batch.put(Table.RECORDS, record_key(handle), pack_record(handle, values).record)
    store.commit(batch)
    return store


def test_sites_are_asked_where_they_may_be() -> None:
    """Delegated prefixes, none that is suspended; doors for queries that we speak, at addresses that are allowed."""
    store = store_of(
        {
            "A1": (site((0, 2641), (1, 2641), (2, 8000), (3, 8443), (9, 9)),),
            "A2": (site((1, 2641)),), "A3": (site((1, 2641)),),
            "A4": (site((1, 2641), address="10.0.0.1"),), "A5": (site((1, 2641), kind=1),),
            "A6": (HandleValue(1, "HS_SITE", b"broken"), site((1, 1), address="127.0.0.2"), site((2, 3))),
            "A7": (HandleValue(1, "URL", b"x"),), "A8": tuple(site((1, port)) for port in range(1, 9)),
        },
        A2=HomedPrefix(DELEGATED, NOW, suspended=True), A3=HomedPrefix(HOSTED, NOW),
    )  # fmt: skip
    sites, behind = list_sites(store, b"", ALLOWED)
    assert not behind
    found = {each.prefix: each.doors for each in sites}
    assert set(found) == {"A1", "A6", "A8"}
    with store.snapshot() as snapshot:  # an anomaly of one that is not asked any more would never end
        names = [f"A{number}" for number in range(9)]
        assert {name for name in names if is_probed(snapshot, name, ALLOWED)} == set(found)
    local = "127.0.0.1"
    assert found["A1"] == (
        (Way.UDP, Server(local, 2641)), (Way.TCP, Server(local, 2641)), (Way.HTTP, Server(local, 8000)),
    )  # fmt: skip
    assert found["A6"] == ((Way.TCP, Server("127.0.0.2", 1)), (Way.HTTP, Server(local, 3)))
    assert len(found["A8"]) == limits.PROBE_SERVERS_MAX


def test_many_sites_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many a round, the others in the next, and then from the begin."""
    monkeypatch.setattr(limits, "PROBE_SITES_PER_ROUND", 2)
    store = store_of({f"A{number}": (site((1, 1)),) for number in range(5)})
    probes = SiteProbes(lambda behind: list_sites(store, behind, ALLOWED), limit_ms=20)
    rounds = []
    for number in range(4):
        seen: list[Observation] = []
        asyncio.run(probes.round(Millis(NOW + number), seen.append))
        assert all(each.rtt_us is None and "refused" in each.fault for each in seen)
        rounds.append([each.subject for each in seen])
        assert [each.subject for each in probes.found] == rounds[-1]
    assert rounds == [["A0", "A1"], ["A2", "A3"], ["A4"], ["A0", "A1"]]


def test_one_site_that_answers_is_enough_for_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickest answer counts, and one that hangs holds up nobody: it ends with its time."""
    answers = {1: Found(None, "a"), 2: Found(700), 3: Found(500), 4: Found(None, "d")}
    asked = []

    async def probe(server: Server, prefix: str, limit_ms: int) -> Found:
        asked.append((server.port, prefix, limit_ms))
        return answers[server.port]

    monkeypatch.setattr("node.probing._PROBES", {Way.TCP: probe, Way.UDP: probe})
    doors = (*((Way.TCP, Server("127.0.0.1", port)) for port in (1, 2, 3, 4)), (Way.UDP, Server("::1", 4)))
    probes = SiteProbes(lambda _: ([Site(PREFIX, doors)], b""), limit_ms=7)
    seen: list[Observation] = []
    asyncio.run(probes.round(NOW, seen.append))
    assert seen == [Observation(PREFIX, Way.TCP, NOW, 500), Observation(PREFIX, Way.UDP, NOW, None, "d")]
    assert asked[0] == (1, PREFIX, 7)


# --- how long it did not run -------------------------------------------------------
class Life:
    """The folders of a node that starts and ends."""

    def __init__(self, folder: Path) -> None:
        self.data, self.run = folder, folder / "run"
        self.now = NOW
        self.facts = Facts(1)
        self.run.mkdir()

    def start(self, after_ms: int, *, anew: bool = True) -> tuple[Watching, list[tuple[str, int]]]:
        """Start the monitor; ``anew``: with the node. Return it and what it tells first."""
        self.now = Millis(self.now + after_ms)
        if anew:
            for path in self.run.iterdir():
                path.unlink()
        alive = AliveMark(self.data, self.run)
        watching = Watching(Watch(late_ms=1_000), lambda: self.facts, alive, lambda: self.now)
        first = [(each.condition, each.at_ms) for each in watching.tick(self.now)]
        watching.tick(self.now)
        return watching, first


def test_a_node_tells_how_long_it_did_not_run(tmp_path: Path) -> None:
    """From when it was seen last to its start; not of the first one, nor where the monitor alone began anew."""
    life = Life(tmp_path)
    assert life.start(0)[1] == []
    assert life.start(600_000, anew=False)[1] == []
    killed = life.now
    watching, first = life.start(600_000)
    assert first == [("away", killed), ("away", killed + 600_000)]
    watching.stopped()
    watching, first = life.start(3_600_000)
    assert len(first) == 2
    assert life.start(limits.WATCH_AWAY_MS - 1)[1] == []
    (tmp_path / "monitor.alive").write_bytes(b"broken")
    assert life.start(600_000)[1] == []


def test_an_absence_is_told_once_though_the_monitor_was_killed_behind_that() -> None:
    """The mark of the start comes with the look behind it; what was written by then stands."""
    told = Watch((), late_ms=1).was_away(NOW, Millis(NOW + DAY_MS), planned=False)
    assert [each.status for each in told] == [Status.ANOMALY, Status.RECOVERED]
    for written in (1, 2):
        assert Watch(told[:written], late_ms=1).was_away(NOW, Millis(NOW + DAY_MS + 9_000), planned=False) == []
    assert Watch(told, late_ms=1).was_away(NOW + DAY_MS, Millis(NOW + 2 * DAY_MS), planned=False)


def test_that_it_was_told_to_stop_is_said(tmp_path: Path) -> None:
    """In the cause."""
    life = Life(tmp_path)
    for planned, word in ((True, "was told to stop"), (False, "had not been told to stop")):
        watching, _ = life.start(0)
        if planned:
            watching.stopped()
        (life.run / "monitor.started").unlink()
        later = Millis(life.now + 600_000)
        alive = AliveMark(life.data, life.run)
        anomaly, _ = Watching(Watch(late_ms=1), lambda: life.facts, alive, lambda at=later: at).tick(later)
        assert word in anomaly.cause


def test_facts_that_cannot_be_read_end_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, and tried again."""

    def broken() -> Facts:
        raise OSError("no counters")

    watching = Watching(Watch(late_ms=1), broken, AliveMark(tmp_path, tmp_path), lambda: NOW)
    assert [watching.tick(NOW), watching.tick(NOW)] == [[], []]
    assert caplog.text.count("no counters") == 1
