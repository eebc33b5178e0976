"""Reports of probes elsewhere: what is true is counted as one probe, every lie is refused and named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import Millis
from core.errors import Outcome, WireError
from core.signature import key_id
from sync.messages import Item
from sync.monitor.observation import Observation, Way
from sync.tables import TABLES
from sync.topnode.probe_desk import ProbeDesk, Terms
from sync.topnode.probe_plan import read_plan
from sync.topnode.probing import State
from sync.topnode.reports import RULES, ReportError, sign_report
from sync.topnode.takeover import Takeovers
from tests.kit.topnode import Peer, Top, signer
from tests.kit.topnodes import at, route

PERIOD_MS = 10_000
NOW = Millis(1_795_000_000_000)  # a period begins
FAR = signer("far")
RESOLUTION = (Way.UDP, Way.TCP, Way.HTTP)


class Probed:
    """A top node with a node below, probed by hand."""

    def __init__(self, folder: Path) -> None:
        self.top = Top(folder / "store")
        self.peer = Peer(self.top)
        self.peer.connect()
        self.tell("88.118", at(2641, 8000))
        self.folder = folder
        self.to = key_id(self.top.signer.public_key)
        self.copies: set[str] = set()
        self.serial = 1
        self._open()

    def _open(self) -> None:
        self.takeovers = Takeovers(self.folder / "takeover")
        terms = Terms(PERIOD_MS, 200, {"far": FAR.public_key, "near": signer("near").public_key}, self.to)
        self.desk = ProbeDesk(self.top.store, self.takeovers, terms, self.copies.__contains__)

    def restart(self) -> None:
        self.takeovers.close()
        self._open()

    def tell(self, prefix: str, *addresses: Any, state: int = 1) -> None:
        key, row = route(prefix, *addresses, state=state)
        held = self.top.store.holdings(self.peer.node_id, [TABLES["T2"]])["T2"].serial
        self.peer.delta("T2", held, held + 1, Item(held + 1, 0, key.encode(), row))

    def found(self, at_ms: int, rtt_us: int | None, ways: Any = tuple(Way), node: str = "") -> list[Observation]:
        return [Observation(node or self.peer.node_id, way, Millis(at_ms), rtt_us) for way in ways]

    def round(self, number: int, is_there: bool, own: int = 3) -> State:
        """A round of the top node's own probes; return the state of the node behind it."""
        at_ms = NOW + number * PERIOD_MS
        self.desk.begin()
        said = {f"own-{place}": self.found(at_ms, 900 if is_there else None) for place in range(own)}
        self.desk.end(at_ms // PERIOD_MS, said, Millis(at_ms + 1_000))
        return self.takeovers.state(self.peer.node_id).state

    def report(self, number: int, found: list[Observation], now_ms: int, **changed: Any) -> list[str]:
        """Send a report of the probe far; return the rules by which it is refused."""
        name, to = changed.get("name", "far"), changed.get("to", self.to)
        octets = sign_report(changed.get("by", FAR), name, to, number, found)
        return self.sent(changed.get("octets", octets), now_ms)

    def sent(self, octets: bytes, now_ms: int) -> list[str]:
        try:
            taken = self.desk.report(octets, Millis(now_ms))
        except ReportError as error:
            return [each["rule"] for each in error.document()["refused"]]
        assert taken
        return []

    def close(self) -> None:
        self.takeovers.close()
        self.top.close()


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[Probed]:
    made = Probed(tmp_path)
    yield made
    made.close()


def test_every_lie_is_refused_whole_and_named(probed: Probed) -> None:
    """And moves nothing: neither window nor state; each rule of the table has a case."""
    probed.round(0, True)
    good = probed.found(NOW + 5, 1_000)
    now = NOW + 2_000
    away = lambda **named: [good[0], good[1]._replace(**named)]  # noqa: E731
    document = json.loads(sign_report(FAR, "far", probed.to, 90, good))
    document["results"][0]["rtt_us"] = None
    altered = json.dumps(document).encode()
    no_http = probed.found(NOW + 5, 1_000, (Way.UDP,))
    cases: list[tuple[str, list[Observation], dict[str, Any]]] = [
        ("unknown-probe", good, {"name": "nobody"}),
        ("unknown-probe", good, {"name": "own-1"}),
        ("signature", good, {"by": signer("near")}),
        ("signature", good, {"octets": altered}),
        ("receiver", good, {"to": "0" * 32}),
        ("node", away(subject="0" * 32), {}),
        ("time", away(at_ms=Millis(NOW - PERIOD_MS - 1)), {}),
        ("time", away(at_ms=Millis(NOW + PERIOD_MS)), {}),
        ("rtt", away(rtt_us=-1), {}),
        ("rtt", away(rtt_us=0), {}),
        ("rtt", away(rtt_us=PERIOD_MS * 1_000 + 1), {}),
        ("twice", [good[0], good[0]], {}),
    ]
    numbers = iter(range(1, 100))
    for rule, found, changed in cases:
        assert probed.report(next(numbers), found, now, **changed) == [rule], (rule, changed)
    everything = [*away(subject="x"), *away(rtt_us=-1), *away(at_ms=Millis(5))]
    assert sorted(set(probed.report(next(numbers), everything, now))) == ["node", "rtt", "time", "twice"]
    probed.tell("88.118", at(2641))  # it offers HTTP no more
    probed.round(1, True)
    later = NOW + PERIOD_MS + 5
    assert probed.report(next(numbers), probed.found(later, 1_000), later) == ["way", "way"]
    row = probed.takeovers.probe("far")
    assert (row.reports, row.refused, row.why) == (0, 9, ("way",))
    assert not probed.desk.last(probed.peer.node_id).get("far")
    assert probed.report(next(numbers), [each._replace(at_ms=Millis(later)) for each in no_http], later) == []
    assert probed.report(1, no_http, later) == ["number"]
    assert {rule for rule, _, _ in cases} | {"way", "number", "form"} == set(RULES)


def test_what_is_no_report_is_named(probed: Probed) -> None:
    good = sign_report(FAR, "far", probed.to, 1, probed.found(NOW, 1_000))
    document = json.loads(good)
    result = document["results"][0]
    others = [
        b"", b"[]", b"1", b"\xff", b"[" * 100_000, good[:-1], {**document, "more": 1}, {**document, "number": -1},
        {**document, "number": True}, {**document, "number": 2**60}, {**document, "name": 5},
        {**document, "results": {}}, {**document, "results": "abc"}, {**document, "results": [[]]},
        *({**document, "results": [{**result, **wrong}]} for wrong in (
            {"way": "dns"}, {"way": []}, {"node": 1}, {"at_ms": 1.5}, {"at_ms": None}, {"rtt_us": "1"},
            {"rtt_us": True}, {"rtt_us": 1e400}, {"x": 1},
        )),
        {**document, "results": [result] * 5_000},
    ]  # fmt: skip
    for each in others:
        octets = each if isinstance(each, bytes) else json.dumps(each).encode()
        assert probed.sent(octets, NOW) == ["form"], octets[:200]
    signature = {**document, "signature": {"deep": [[[]]]}}
    assert probed.sent(json.dumps(signature).encode(), NOW) == ["signature"]


def test_numbers_outlast_a_restart_and_a_refused_report_uses_its_number_up(probed: Probed) -> None:
    probed.round(0, True)
    assert probed.report(7, probed.found(NOW, 1_000, node="0" * 32), NOW) == ["node"] * 4
    probed.restart()
    probed.round(0, True)
    assert probed.report(7, probed.found(NOW, 1_000), NOW) == ["number"]
    assert probed.report(8, probed.found(NOW, 1_000), NOW) == []
    with pytest.raises(ReportError) as refused:
        probed.desk.report(sign_report(FAR, "far", probed.to, 8, []), NOW)
    assert refused.value.ended is Outcome.CONFLICT


def test_a_lying_probe_decides_nothing_and_is_named(probed: Probed) -> None:
    """Three own ones and a liar, who reports as often as he can; he is named as long as he differs."""
    probed.copies.add(probed.peer.node_id)
    number = iter(range(1, 1_000))
    for period in range(4):
        at_ms = NOW + period * PERIOD_MS
        probed.desk.begin()
        assert probed.report(next(number), probed.found(at_ms, None, (Way.REGISTRATION,)), at_ms + 10) == []
        assert probed.report(next(number), probed.found(at_ms, None, RESOLUTION), at_ms + 20) == []
        assert probed.report(next(number), probed.found(at_ms + 1, None, RESOLUTION), at_ms + 30) == ["twice"] * 3
        assert probed.round(period, True) is State.NORMAL
    summary = probed.takeovers.state(probed.peer.node_id).summary
    assert (summary.resolution, summary.registration) == ((24, 6), (8, 2))
    assert probed.takeovers.probe("far").differs == (probed.peer.node_id,)
    probed.round(4, True)
    assert probed.takeovers.probe("far").differs == ()  # it said nothing in that period


def test_probes_elsewhere_decide_with_the_own_ones(probed: Probed) -> None:
    """An own probe whose line is down sees the node away: two elsewhere see it there, and it is not taken over."""
    probed.copies.add(probed.peer.node_id)
    for period in range(3):
        at_ms = NOW + period * PERIOD_MS
        probed.desk.begin()
        for name in ("far", "near"):
            found = probed.found(at_ms, 900)
            assert probed.report(period + 1, found, at_ms + 5, name=name, by=signer(name)) == []
        assert probed.round(period, False, own=1) is State.NORMAL
    assert probed.takeovers.probe("own-0").differs == (probed.peer.node_id,)


def test_a_node_goes_and_comes_back_through_a_restart_in_between(probed: Probed) -> None:
    """With a copy. Two whole periods away; a top node that restarts waits for a window; two good windows back."""
    probed.copies.add(probed.peer.node_id)
    assert [probed.round(number, is_there) for number, is_there in enumerate((True, True, False))] == [State.NORMAL] * 3
    probed.restart()
    assert [probed.round(number, False) for number in (3, 4)] == [State.NORMAL, State.TAKEOVER]
    takeover = probed.takeovers.state(probed.peer.node_id).takeover
    probed.restart()
    assert probed.takeovers.serving(b"88.118.7") == probed.peer.node_id
    assert [probed.round(number, True) for number in (5, 6, 7)] == [State.TAKEOVER] * 2 + [State.RETURNING]
    assert probed.takeovers.serving(b"88.118.7") == probed.peer.node_id
    assert not probed.takeovers.handed_back(probed.peer.node_id, "another", NOW)
    assert probed.takeovers.handed_back(probed.peer.node_id, takeover, NOW)
    assert (probed.round(8, True), probed.takeovers.serving(b"88.118.7")) == (State.NORMAL, None)
    assert [event.after for event in probed.takeovers.events()] == [State.NORMAL, State.RETURNING, State.TAKEOVER]


def test_without_a_copy_it_is_down_until_there_is_one(probed: Probed) -> None:
    assert [probed.round(number, False) for number in (0, 1)] == [State.NORMAL, State.DOWN]
    assert probed.takeovers.serving(b"88.118") is None
    assert [probed.round(number, True) for number in (2, 3)] == [State.DOWN, State.NORMAL]
    assert [probed.round(number, False) for number in (4, 5)] == [State.NORMAL, State.DOWN]
    probed.copies.add(probed.peer.node_id)
    assert probed.round(6, False) is State.TAKEOVER


def test_who_is_not_probed(probed: Probed) -> None:
    """No route of its own prefix, a stopped one, one that nobody can be sent to, a node that is refused."""
    assert [target.node.node_id for target in probed.desk.begin()] == [probed.peer.node_id]
    Peer(probed.top, "other", "77").connect()
    assert len(probed.desk.begin()) == 1
    for addresses, state in (((at(5),), 0), ((("IPv4", "0.0.0.0", 5, 5, 5),), 1), ((), 1)):
        probed.tell("88.118", *addresses, state=state)
        assert probed.desk.begin() == []
    probed.tell("88.118", at(5), ("IPv6", "::1", 6, None, None))
    (target,) = probed.desk.begin()
    assert {way.value: [door.port for door in doors] for way, doors in target.doors.items()} == {
        "tcp": [5, 6],
        "udp": [5],
    }
    assert [target.door(Way.TCP, 7, place).port for place in range(3)] == [6, 5, 6]
    probed.top.store.reject(probed.peer.node_id)
    assert probed.desk.begin() == []


def test_what_probes_elsewhere_are_told_is_read_back_or_is_nothing(probed: Probed) -> None:
    probed.desk.begin()
    asked = json.loads(json.dumps(probed.desk.asked()))
    to, period_ms, limit_ms, targets = read_plan(asked)
    assert (to, period_ms, limit_ms) == (probed.to, PERIOD_MS, 200)
    (own,) = probed.desk.begin()
    assert targets == [own._replace(node=own.node._replace(codes=()))]
    node = asked["nodes"][0]
    wrong = [{"nodes": [node | each]} for each in (
        {"ways": {"udp": [["localhost", 1]]}}, {"ways": {"udp": []}}, {"ways": {"dns": [["::1", 1]]}}, {"node": 1},
        {"ways": {"udp": [["::1", 0]]}}, {"ways": {"udp": [["::1", True]]}}, {"ways": []}, {"ways": {"udp": 5}},
    )]  # fmt: skip
    for each in ({"to": 1}, {"period_ms": 0}, {"nodes": 5}, {"nodes": [node] * 300}, {"nodes": [5]}, *wrong):
        with pytest.raises(WireError):
            read_plan(asked | each)
    for other in (None, [], {}, "x"):
        with pytest.raises(WireError):
            read_plan(other)
