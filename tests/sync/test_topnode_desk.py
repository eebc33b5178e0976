"""What the reference top node answers: who may say something, routes, reviews, and what is not to be believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import NodeError, Outcome, StoreError, WireError
from sync import messages
from sync.digests import items_digest
from sync.envelope import ANSWER, seal
from sync.form import encode
from sync.messages import CompareRanges, Delta, Item, ListKeys, Piece, Range, Refusal, Repair, Review, Verdict
from sync.table import pack_row
from sync.tables import TABLES
from sync.topnode.misbehave import Misbehaviour
from tests.kit.topnode import NOW, Peer, Top, permit, range_of, signer

ROW = pack_row(["x"])


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Top]:
    top = Top(tmp_path / "store")
    yield top
    top.close()


@pytest.fixture
def peer(top: Top) -> Peer:
    peer = Peer(top)
    peer.connect()
    return peer


def item(serial: int, key: bytes, row: bytes | None = ROW, operation: int = 1) -> Item:
    return Item(serial, operation, key, row)


# --- who says it ---


def test_a_key_that_nobody_knows_says_nothing_but_that_it_is_there(top: Top) -> None:
    """It is not remembered until it connects."""
    answer = Peer(top).delta("T9", 0, 1)
    assert (type(answer), answer.rule, answer.number) == (Refusal, "not-connected", 0)
    assert top.store.nodes() == []


def test_an_open_top_node_enrols_at_the_first_connect(top: Top) -> None:
    """It tells what it holds of each table, and keeps what the node says of itself."""
    state = Peer(top).connect()
    assert (state.enrolment, state.name, state.now_ms) == ("enrolled", "Top", NOW)
    assert [holding.table for holding in state.holdings] == list(TABLES)
    (node,) = top.store.nodes()
    assert (node.prefix, node.name, node.origin, node.vkey) == ("88.118", "盐业节点", "log.example", "vkey")


def test_a_key_waits_where_people_enrol_and_nothing_of_it_is_taken(tmp_path: Path) -> None:
    """Enrolled it may send; rejected not any more."""
    top = Top(tmp_path / "store", enrol_open=False)
    peer = Peer(top)
    assert peer.connect().enrolment == "waiting"
    assert peer.delta("T9", 0, 1, item(1, b"A")).rule == "not-enrolled"
    top.store.enrol(peer.node_id)
    assert peer.connect().enrolment == "enrolled"
    assert peer.delta("T9", 0, 1, item(1, b"A")).why == "applied"
    top.store.reject(peer.node_id)
    assert peer.connect().enrolment == "rejected"
    assert peer.delta("T9", 1, 2, item(2, b"A")).rule == "not-enrolled"
    for node_id in ("0" * 32, "", "zz", "é"):
        with pytest.raises(StoreError) as error:
            top.store.enrol(node_id)
        assert error.value.ended is Outcome.NOT_FOUND
    top.close()


def test_a_number_is_taken_once(peer: Peer) -> None:
    """Also after a restart; the refusal tells which one was the last."""
    octets = peer.sealed(messages.ListKeys("T6", b"", None))
    peer.said(octets)
    peer.top.reopen()
    assert peer.said(octets) == Refusal(*peer.said(octets)[:3], peer.number)
    assert peer.said(octets).rule == "replayed"


@pytest.mark.parametrize("place", range(6))
def test_what_is_altered_on_its_way_is_nobodys(peer: Peer, place: int) -> None:
    """Each member of the envelope, and its number is not used up."""
    octets = peer.sealed(messages.ListKeys("T6", b"", None))
    members: list[Any] = msgpack.unpackb(octets)
    other: list[Any] = ["SM2", signer("other").public_key, peer.number + 1, "0" * 32, b"", bytes(64)]
    members[place] = other[place]
    with pytest.raises(WireError):
        peer.top.desk.answer(msgpack.packb(members), NOW)
    assert isinstance(peer.said(octets), messages.Keys)


def test_a_message_for_another_top_node_is_not_taken(peer: Peer) -> None:
    """It is signed well."""
    with pytest.raises(WireError):
        peer.top.desk.answer(peer.sealed(messages.ListKeys("T6", b"", None), to="0" * 32), NOW)


def test_an_answer_is_no_question(peer: Peer) -> None:
    """Neither by its purpose nor by its message."""
    answer = seal(ANSWER, peer.signer, 9, peer.top.desk.key_id, encode(messages.ListKeys("T6", b"", None)))
    for octets in (answer, peer.sealed(messages.Keys((), None))):
        with pytest.raises(WireError):
            peer.top.desk.answer(octets, NOW)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(octets=st.binary(max_size=300), payload=st.binary(max_size=60))
def test_any_octets_are_answered_or_a_wire_error(peer: Peer, octets: bytes, payload: bytes) -> None:
    """Sealed by a node that is known, too."""
    peer.number += 1
    for each in (octets, seal("upstream question 1", peer.signer, peer.number, peer.top.desk.key_id, payload)):
        with pytest.raises(WireError):
            peer.top.desk.answer(each, NOW)


keys = st.binary(max_size=600) | st.sampled_from([b"Handle/88.118.7", b"Handle/", b""])
numbers = st.integers(0, 2**63 - 1) | st.integers(0, 4)
items = st.lists(
    st.builds(Item, numbers, st.integers(0, 4) | numbers, keys, st.none() | st.binary(max_size=9)), max_size=4
).map(tuple)
names = st.sampled_from([*TABLES, "T99", ""])
texts = st.text(max_size=20) | st.just("88.118.7")
questions = st.one_of(
    st.builds(lambda *of: Delta(*of[:3], items_digest(of[3]), of[3]), names, numbers, numbers, items),
    st.builds(lambda *of: Piece(*of[:4], items_digest(of[4]), of[4]), names, numbers, keys, st.none() | keys, items),
    st.builds(lambda *of: Repair(*of[:2], items_digest(of[2]), of[2]), names, numbers, items),
    st.builds(CompareRanges, names, st.lists(st.builds(Range, keys, st.none() | keys, numbers, keys)).map(tuple)),
    st.builds(ListKeys, names, keys, st.none() | keys),
    st.builds(Review, texts, texts | st.just("p" * 600), texts, numbers),
    st.builds(messages.Connect, texts, st.lists(texts, max_size=3).map(tuple), texts, texts, texts, texts),
    st.builds(messages.Checkpoint, keys),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=questions)
def test_any_message_of_the_form_is_answered(peer: Peer, question: Any) -> None:
    """Serials, keys and texts of any kind: an answer each time, and the store can be read after it."""
    assert isinstance(peer.ask(question), messages.Answer)
    assert peer.connect().enrolment == "enrolled"


# --- rows ---


def test_nodes_do_not_see_one_another(top: Top) -> None:
    """Same keys, same tables: neither the rows nor the numbers of the other."""
    one, two = Peer(top, "one"), Peer(top, "two")
    one.connect(), two.connect()
    one.delta("T9", 0, 2, item(1, b"A"), item(2, b"B"))
    assert two.ask(ListKeys("T9", b"", None)).rows == ()
    assert two.piece("T9", 7, b"", None, {b"A": b"\x91\x01"}).holding.rows == 1
    assert one.ask(CompareRanges("T9", (range_of([(b"A", ROW), (b"B", ROW)]),))).places == ()
    assert top.store.history(two.node_id, 0, 9) == []


def test_serials_that_do_not_fit_are_refused_whole(peer: Peer) -> None:
    """Of a feed none twice; of days several rows; none outside of what the message covers."""
    assert peer.delta("T9", 0, 5, item(2, b"A"), item(2, b"B")).rule == "items"
    assert peer.delta("T9", 0, 5, item(3, b"A"), item(2, b"B")).rule == "items"
    assert peer.delta("T9", 0, 5, item(6, b"A")).rule == "items"
    assert peer.delta("T9", 5, 4).rule == "items"
    assert peer.delta("T9", 0, 5, item(1, b"A", operation=4)).rule == "items"
    assert peer.delta("T1", 0, 5, item(1, b"operator")).rule == "table"
    assert peer.delta("T99", 0, 5, item(1, b"A")).rule == "table"
    assert peer.delta("T8", 0, 20_000, item(19_999, b"A"), item(19_999, b"B")).why == "applied"
    assert peer.held_rows("T9") == {}


def test_a_refused_row_stays_as_it_was_and_is_put_right_by_a_repair(tmp_path: Path) -> None:
    """Its change is told once, then, and not before."""
    wrong = {b"bad": [("row-form", "错", "wrong"), ("second", "", "")]}
    top = Top(tmp_path / "store", check=lambda table, key, row: wrong.get(row, []))
    peer = Peer(top)
    peer.connect()
    peer.delta("T9", 0, 1, item(1, b"A"))
    answer = peer.delta("T9", 1, 3, item(2, b"A", b"bad", 3), item(3, b"B"))
    assert answer.refused == (messages.Refused(2, b"A", "row-form", "错", "wrong"),)
    assert peer.held_rows("T9") == {b"A": ROW, b"B": ROW}
    for operation in (3, 2):
        assert peer.repair("T9", 3, item(2, b"A", b"\x91\x07", operation)).why == "applied"
    assert [told[:2] for told in top.store.history(peer.node_id, 0, 9)] == [(1, 1), (2, 3), (3, 1)]
    held = top.store.holdings(peer.node_id, TABLES.values())["T9"]
    assert (held.serial, held.rows, held.added, held.changed, held.removed, held.refused) == (3, 2, 2, 2, 0, 1)
    top.close()


def test_a_snapshot_goes_on_where_it_was_and_ends_once(peer: Peer) -> None:
    """A piece that comes again is a duplicate, also the last one; changes wait; a lower serial may follow a higher."""
    peer.delta("T9", 0, 9, item(1, b"A"), item(2, b"B"), item(3, b"C"))
    first, last = (5, b"", b"B", {b"A": ROW}), (5, b"B", None, {b"C": ROW})
    assert peer.piece("T9", *last).why == "piece"
    assert [peer.piece("T9", *first).why for _ in range(2)] == ["applied", "duplicate"]
    assert peer.delta("T9", 9, 10, item(10, b"D")).why == "piece"
    peer.top.reopen()
    assert [peer.piece("T9", *last).why for _ in range(2)] == ["applied", "duplicate"]
    assert peer.delta("T9", 5, 5).holding == messages.Holding("T9", 5, 0, b"", 2)
    assert peer.held_rows("T9") == {b"A": ROW, b"C": ROW}


def test_ranges_come_in_order(peer: Peer) -> None:
    """So that no question walks the same rows twice."""
    twice = Range(b"", None, 0, b"")
    assert peer.ask(CompareRanges("T9", (twice, twice))).rule == "ranges"
    peer.delta("T9", 0, 3, item(1, b"A"), item(2, b"B"), item(3, b"C"))
    rows = [(b"A", ROW), (b"B", b"\x91\x07"), (b"C", ROW)]
    ranges = tuple(range_of(rows, *of) for of in ((b"", b"B"), (b"B", b"C"), (b"C", None)))
    assert peer.ask(CompareRanges("T9", ranges)) == messages.Differing(3, (1,))


def test_keys_are_listed_by_pages(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page tells where the next one starts."""
    rows = {b"%c" % letter: ROW for letter in b"ABCDEFG"}
    peer.piece("T9", 1, b"", None, rows)
    monkeypatch.setattr("core.limits.UPSTREAM_ITEMS_MAX", 4)
    first = peer.ask(ListKeys("T9", b"", b"G"))
    assert ([key for key, _ in first.rows], first.next) == ([b"A", b"B", b"C", b"D"], b"E")
    second = peer.ask(ListKeys("T9", b"E", b"G"))
    assert ([key for key, _ in second.rows], second.next) == ([b"E", b"F"], None)


def test_personal_rows_are_sealed_where_they_lie(peer: Peer) -> None:
    """The file has not their octets; those of other tables it has."""
    secret, plain = pack_row(["SECRET-IN-T6" * 3]), pack_row(["PLAIN-IN-T11" * 3])
    peer.delta("T6", 0, 1, item(1, b"P1", secret))
    peer.delta("T11", 0, 1, item(1, b"X@1", plain))
    peer.top.reopen()
    octets = (peer.top.folder / "data.mdb").read_bytes()
    assert b"SECRET-IN-T6" not in octets
    assert b"PLAIN-IN-T11" in octets
    assert peer.held_rows("T6") == {b"P1": secret}


def test_rows_are_refused_at_random_when_the_top_node_is_told_to(tmp_path: Path) -> None:
    """Not for ever: sent again they are taken."""
    top = Top(tmp_path / "store", refuse=Misbehaviour("refuse=0.5", Random(1)).refuses)
    peer = Peer(top)
    peer.connect()
    answer = peer.delta("T9", 0, 20, *(item(serial, b"K%d" % serial) for serial in range(1, 21)))
    assert 0 < len(answer.refused) < 20
    while answer.refused:
        assert {each.rule for each in answer.refused} == {"misbehaviour"}
        answer = peer.repair("T9", 20, *(item(each.serial, each.key) for each in answer.refused))
    assert [told.serial for told in top.store.history(peer.node_id, 0, 99)] == list(range(1, 21))
    top.close()


# --- routes ---


def test_a_node_routes_its_own_prefixes_alone(top: Top, peer: Peer) -> None:
    """Its own and those below; a prefix that begins alike is another."""
    own, below, alike = b"Handle/88.118", b"Handle/88.118.7", b"Handle/88.1189"
    answer = peer.delta("T7", 0, 3, item(1, own), item(2, below), item(3, alike))
    assert [(each.key, each.rule) for each in answer.refused] == [(alike, "prefix-foreign")]
    route = top.store.route(b"88.118.7")
    assert route is not None
    assert (route.node_id, route.table, route.key, route.row) == (peer.node_id, "T7", below, ROW)
    assert top.store.route(b"88.1189") is None


def test_who_comes_first_keeps_a_prefix_until_it_lets_go(top: Top, peer: Peer) -> None:
    """A code is that of the node that named it first; of a rejected node it is free again, as its claims are."""
    other = Peer(top, "other")
    other.connect()
    key = b"Handle/88.118.7"
    peer.delta("T7", 0, 1, item(1, key))
    assert other.delta("T7", 0, 1, item(1, key)).refused[0].rule == "prefix-foreign"
    assert other.piece("T7", 1, b"", None, {key: ROW}).refused[0].rule == "prefix-foreign"
    top.store.reject(peer.node_id)
    assert top.store.route(b"88.118.7") is None
    other.connect()
    assert other.repair("T7", 1, item(1, key)).refused == ()
    route = top.store.route(b"88.118.7")
    assert route is not None
    assert route.node_id == other.node_id


def test_a_route_in_both_tables_stays_until_both_are_gone(top: Top, peer: Peer) -> None:
    """Also where a snapshot takes the row away."""
    key = b"Handle/88.118"
    peer.delta("T2", 0, 1, item(1, key, b"\x91\x02"))
    peer.delta("T7", 0, 1, item(1, key, b"\x91\x07"))
    peer.piece("T7", 2, b"", None, {})
    route = top.store.route(b"88.118")
    assert route is not None
    assert (route.table, route.row) == ("T2", b"\x91\x02")
    peer.piece("T2", 2, b"", None, {})
    assert top.store.route(b"88.118") is None


# --- reviews ---


def test_a_prefix_is_approved_at_once_when_its_party_is_here(peer: Peer) -> None:
    """It waits for the party; the verdict stands until a later application."""
    asked = Review("88.118.7", "P1", "hosted", 5)
    assert peer.ask(asked).verdict == "waiting"
    peer.delta("T6", 0, 1, item(1, b"P1"))
    assert peer.ask(asked) == Verdict("approved", "", ())
    peer.delta("T6", 1, 2, item(2, b"P1", None))
    assert peer.ask(asked).verdict == "approved"
    assert peer.ask(asked._replace(filed_ms=6)).verdict == "waiting"
    assert peer.ask(asked).verdict == "rejected"


@pytest.mark.parametrize("prefix", ["88.118", "88.1189", "88.119.1", "10.118.7"])
def test_a_prefix_elsewhere_is_rejected(peer: Peer, prefix: str) -> None:
    """The node's own is not below it, either."""
    assert peer.ask(Review(prefix, "P1", "hosted", 5)).verdict == "rejected"


def test_a_person_decides_once(tmp_path: Path) -> None:
    """The verdict goes down with the fields to be corrected; a later application is another review."""
    top = Top(tmp_path / "store", review="manual")
    peer = Peer(top)
    peer.connect()
    asked = Review("88.118.a", "P1", "hosted", 5)
    assert peer.ask(asked).verdict == "waiting"
    assert [row.prefix for row in top.store.reviews("waiting")] == ["88.118.a"]
    top.store.decide("88.118.A", "asked", "see below", (("name", "not as in the register"),), "li", NOW)
    assert peer.ask(asked) == Verdict("asked", "see below", (("name", "not as in the register"),))
    with pytest.raises(NodeError) as error:
        top.store.decide("88.118.a", "approved", "", (), "li", NOW)
    assert error.value.ended is Outcome.CONFLICT
    assert peer.ask(asked._replace(filed_ms=6)).verdict == "waiting"
    top.store.decide("88.118.a", "approved", "", (), "li", NOW)
    assert peer.ask(asked._replace(filed_ms=6)).verdict == "approved"
    (row,) = top.store.reviews()
    assert (row.by, row.at_ms, row.party, row.hosting) == ("li", NOW, "P1", "hosted")
    for prefix in ("88.118.b", "", "\udcff" * 300):
        with pytest.raises(StoreError) as error:
            top.store.decide(prefix, "approved", "", (), "li", NOW)
        assert error.value.ended is Outcome.NOT_FOUND
    top.close()


def test_an_application_for_what_another_node_has_is_rejected(tmp_path: Path) -> None:
    """Whether it applied first or routes it already."""
    top = Top(tmp_path / "store", review="manual")
    one, two = Peer(top, "one"), Peer(top, "two")
    one.connect(), two.connect()
    assert one.ask(Review("88.118.7", "P1", "hosted", 5)).verdict == "waiting"
    assert two.ask(Review("88.118.7", "P1", "hosted", 6)).verdict == "rejected"
    top.store.decide("88.118.7", "rejected", "no", (), "li", NOW)
    assert two.ask(Review("88.118.7", "P1", "hosted", 6)).verdict == "waiting"
    one.delta("T7", 0, 1, item(1, b"Handle/88.118.8"))
    assert two.ask(Review("88.118.8", "P1", "hosted", 6)).verdict == "rejected"
    top.close()


# --- other takers ---


def test_checkpoints_go_to_who_takes_them(tmp_path: Path) -> None:
    """Of enrolled nodes alone, each after its number was taken; where nobody does the message is refused."""
    taken: list[bytes] = []

    def witness(node: Any, message: messages.Checkpoint, now_ms: int) -> messages.Cosigned:
        taken.append(message.request)
        assert top.store.node(node.node_id) == node
        return messages.Cosigned(7, b"signed")

    top = Top(tmp_path / "store", takers={messages.Checkpoint: witness}, enrol_open=False, check=permit)
    peer = Peer(top)
    peer.connect()
    assert peer.ask(messages.Checkpoint(b"early")).rule == "not-enrolled"
    top.store.enrol(peer.node_id)
    assert peer.ask(messages.Checkpoint(b"log")) == messages.Cosigned(7, b"signed")
    assert peer.ask(messages.MonthFile("maintenance", "2026-10", "x", 0, b"", True)).rule == "not-taken"
    assert taken == [b"log"]
    top.close()


def test_codes_above_and_below_those_of_another_node_are_not_free(top: Top, peer: Peer) -> None:
    """Else whoever comes second answers for prefixes of the first one."""
    for number, code in enumerate(("88", "88.118.7", "88.118")):
        other = Peer(top, f"other{number}", code)
        other.connect()
        node = top.store.node(other.node_id)
        assert node is not None
        assert node.codes == ()


def test_codes_of_a_node_that_was_rejected_are_free(top: Top, peer: Peer) -> None:
    """A node that lost its key comes back with another one."""
    top.store.reject(peer.node_id)
    again = Peer(top, "again")
    again.connect()
    node = top.store.node(again.node_id)
    assert node is not None
    assert node.codes == ("88.118",)
