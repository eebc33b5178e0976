"""A top node that stands in for a node: its answers are those of the node; what is registered comes home, once."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from core import limits
from core.errors import NodeError, Outcome
from core.ident.handle import check_handle
from core.lotkeys import codes_of_lot
from core.records import HandleValue, SiteInfo, Values
from core.store.bounds_row import adopt_bounds
from core.store.engine import Table
from core.store.handed_rows import handed_digest, handed_state, kept_of, kept_range
from core.store.lot_rows import unpack_lot
from core.wire.site import decode_site
from core.wire.values import encode_values
from node.topnode_copies import WaitingError
from node.topnode_handles import TopHandleApi
from registry.alias_commands import AddAlias
from registry.commands import Delete, MovePrefix, PlaceHold, Put
from resolver.service import Answer, Question, Resolver
from resolver.units import Units
from sync.escrow.faults import DepositError
from sync.handing import HandingError, take_back
from sync.link import UpstreamError
from sync.messages import Handed, Made
from sync.topnode.referral import Server
from tests.kit.governance import EVIDENCE, LOT_KEYS, OWN, RULES, Office
from tests.kit.lots import put_lot
from tests.kit.standin import StandIn, url

SITE = Server(ip_address("192.0.2.9"), (3641, 3641, None))
LOT = f"{OWN}/LOT1"
ADMIN = HandleValue(100, "HS_ADMIN", b"\x0f\xff\0\0\0\x0b0.NA/88.118\0\0\1\x2c", ttl=86_400)
HIDDEN = HandleValue(2, "NOTE", b"inner", ttl=86_400, permissions=0b1100)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path, SITE, lambda prefix: "0" * 32 if prefix == b"88.118.9" else None)
    yield made
    made.close()


def furnish(office: Office) -> None:
    """Register something of every kind."""
    office.do(Put(f"{OWN}/SKU", (*url("https://a.example"), HIDDEN, ADMIN)))
    office.do(Put(f"{OWN}/HIDDEN", (HIDDEN,)))
    office.do(Put(f"{OWN}/HELD", url("https://held.example")))
    office.do(PlaceHold(f"{OWN}/HELD", "文1号", "查处", True))
    put_lot(office.registry, LOT, f"{OWN}/SKU", office.now)
    namespace = b'<template delimiter="-"><foreach><if value="type" test="equals" expression="URL">'
    namespace += b'<value index="1" type="URL" data="${data}/${extension}"/></if></foreach></template>'
    office.do(Put(f"{OWN}/T", (HandleValue(1, "URL", b"https://t.example"), HandleValue(2, "HS_NAMESPACE", namespace))))
    office.do(Put(f"0.NA/{OWN}", (HandleValue(3, "HS_NAMESPACE", namespace), ADMIN)))
    office.allocated("88.118.5")
    office.do(Put("88.118.5/X", url("https://x.example")))
    office.do(MovePrefix("88.118.5", "suspend", "停业", EVIDENCE))


def questions(office: Office) -> Iterator[Question]:
    """Yield questions that end in every way."""
    with office.store.snapshot() as snapshot:
        key, _ = next(snapshot.scan(Table.LOTS, b""))
        row = snapshot.get(Table.LOTS, key)
        assert row is not None
        codes = codes_of_lot(LOT_KEYS, key, unpack_lot(row))
    units = [LOT + codes.serial(index).decode() for index in (0, 6, 99, 100)]
    handles = [
        f"{OWN}/SKU", f"{OWN}/sku", f"{OWN}/HIDDEN", f"{OWN}/HELD", f"{OWN}/NONE", LOT, *units, LOT + "ABCDEFGHJK",
        f"{OWN}/T-more", "88.118.5/X", "88.118.77/X", f"0.NA/{OWN}.77", "88.118/" + "x" * 300, "\x01/x",
    ]  # fmt: skip
    for handle in handles:
        for want in ("wire", "json"):
            yield Question(handle, want=want)  # type: ignore[arg-type]
            yield Question(handle, frozenset({2, 100}), want=want)  # type: ignore[arg-type]
            yield Question(handle, types=("url", "HS_"), want=want)  # type: ignore[arg-type]
        yield Question(handle, public_only=False)


def key_of(handle: str) -> bytes | None:
    try:
        return check_handle(handle, RULES)
    except NodeError:
        return None


def shown(answer: Answer | None) -> tuple[object, ...] | None:
    """Return all that a front can show of an answer."""
    return answer and (
        answer.outcome, answer.handle, answer.message, answer.notice, answer.values_wire(), answer.values_json()
    )  # fmt: skip


def test_answers_are_those_of_the_node(pair: StandIn) -> None:
    """Of every outcome and in both forms; behind a FULL, and behind a DIFF with changes, deletions, events."""
    office = pair.office
    furnish(office)
    pair.deposit()
    office.do(Put(f"{OWN}/NEW", url("https://new.example")))
    office.do(Put(f"{OWN}/SKU", (*url("https://b.example"), HIDDEN, ADMIN), overwrite=True))
    office.do(Put(f"{OWN}/GONE", url("https://gone.example")))
    pair.deposit()
    office.do(Delete(f"{OWN}/GONE"))
    pair.deposit()
    node = Resolver(RULES, units=Units(LOT_KEYS))
    asked = [*questions(office), Question(f"{OWN}/NEW"), Question(f"{OWN}/GONE")]
    question = Question(f"{OWN}/SKU")
    assert pair.serving.answer(question, check_handle(question.handle, RULES)) is None, "no takeover is on"
    pair.begin()
    ended = set()
    for question in asked:
        key = key_of(question.handle)
        if key is None:
            continue
        with office.store.snapshot() as snapshot:
            own = node.resolve(snapshot, question)
        made = pair.serving.answer(question, key)  # type: ignore[arg-type]
        assert shown(made) == shown(own), question
        ended.add(own.outcome)
    assert ended >= {
        Outcome.OK, Outcome.NO_VALUES, Outcome.HELD, Outcome.HANDLE_NOT_FOUND, Outcome.GONE, Outcome.NOT_ISSUED,
        Outcome.NOT_RESPONSIBLE, Outcome.AUTHENTICATION_NEEDED,
    }  # fmt: skip
    assert sum(pair.serving.counts[pair.node_id].values()) > 100


def test_a_hosted_prefix_is_here_and_others_are_referred_to(pair: StandIn) -> None:
    """0.NA/P of a hosted prefix has the top node's own site; of a delegated one, and one that came later, nothing."""
    pair.office.allocated("88.118.5")
    pair.deposit()
    pair.begin()
    answer = pair.serving.answer(Question("0.na/88.118.5"), check_handle("0.na/88.118.5", RULES))
    assert answer is not None and answer.outcome is Outcome.OK and answer.values is not None
    site: SiteInfo = decode_site(answer.values[0].data)
    assert site.servers[0].address[-4:] == bytes((192, 0, 2, 9))
    for handle in ("88.118.9/X", "0.NA/88.118.9", "88.200/X", "0.NA/0.NA"):
        assert pair.serving.answer(Question(handle), check_handle(handle, RULES)) is None, handle


def test_a_long_handle_is_answered_as_at_a_node_that_takes_it(pair: StandIn) -> None:
    """Bounds are a setting of the node (handle.length_max)."""
    handle = f"{OWN}/{'x' * 400}"
    pair.office.registry._rules = RULES._replace(length_max=500)
    adopt_bounds(pair.office.store, limits.PREFIX_CHARS, 500)
    pair.office.do(Put(handle, url("https://long.example")))
    pair.deposit()
    pair.begin()
    api = TopHandleApi(lambda prefix: None, SITE, pair.serving.answer)
    assert api.resolve(Question(handle)).outcome is Outcome.OK
    assert api.resolve(Question(f"{OWN}/{'x' * 500}")).outcome is Outcome.INVALID_HANDLE


def test_what_another_node_answers_for_by_now_is_not_answered_from_the_copy(tmp_path: Path) -> None:
    """A node that tells fewer codes frees them, and another one may have them while the copy is served."""
    owners: dict[bytes, str] = {}
    pair = StandIn(tmp_path, SITE, owners.get)
    pair.office.do(Put(f"{OWN}/A", url("https://a.example")))
    pair.deposit()
    pair.begin()
    api = TopHandleApi(lambda prefix: None, SITE, pair.serving.answer)
    found = []
    for owner in (pair.node_id, "0" * 32):
        owners[OWN.encode()] = owner
        found.append(api.resolve(Question(f"{OWN}/A")).outcome)
    pair.close()
    assert found == [Outcome.OK, Outcome.NOT_RESPONSIBLE]


def test_a_deposit_waits_while_a_takeover_is_on(pair: StandIn) -> None:
    """And a copy that is in use already is not applied twice, as after a crash before its verdict."""
    pair.office.do(Put(f"{OWN}/A", url("https://a.example")))
    pair.deposit()
    path, head = pair.written()
    pair.begin()
    with pytest.raises(WaitingError):
        pair.copies.take(pair.node_id, path)
    pair.back()
    assert not pair.hand_back()
    pair.copies.take(pair.node_id, path)
    pair.copies.take(pair.node_id, path)
    copy = pair.copies.current(pair.node_id)
    assert copy is not None and copy.deposit == head.deposit


# --- emergency registration ---------------------------------------------------


def refused(pair: StandIn, handle: str, values: Values | None, token: str) -> NodeError:
    before = dump(pair)
    with pytest.raises(NodeError) as raised:
        pair.register(handle, values, token)
    assert dump(pair) == before, "nothing was changed"
    return raised.value


def dump(pair: StandIn) -> dict[str, dict[bytes, bytes]]:
    engine = pair.copies.engine(pair.node_id)
    assert engine is not None
    with engine.snapshot() as snapshot:
        return {table.value: dict(snapshot.scan(table, b"")) for table in Table}


def test_a_registration_needs_a_takeover_a_token_and_a_right(pair: StandIn) -> None:
    """Whatever is refused changes nothing, and says why."""
    furnish(pair.office)
    pair.deposit()
    token = pair.token()
    assert refused(pair, f"{OWN}/A", url("x"), token).fields["rule"] == "emergency-closed"
    pair.begin()
    other = pair.token("88.118.5")
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    for text in ("", "saltern_0", wrong):
        assert refused(pair, f"{OWN}/A", url("x"), text).fields["rule"] == "emergency-token"
    assert refused(pair, f"{OWN}/A", url("x"), other).fields["rule"] == "emergency-prefix"
    assert refused(pair, f"0.NA/{OWN}", url("x"), token).fields["rule"] == "emergency-prefix"
    assert refused(pair, f"{OWN}/HELD", url("x"), token).ended is Outcome.HELD
    assert refused(pair, "88.118.5/X", url("x"), other).ended is Outcome.HELD
    assert refused(pair, f"{OWN}/A", (ADMIN,), token).fields["rule"] == "emergency-rights"
    assert refused(pair, f"{OWN}/SKU", (*url("x"), ADMIN._replace(data=b"\0")), token).ended is Outcome.FORBIDDEN
    assert refused(pair, f"{OWN}/A", (HandleValue(0, "URL", b"x"),), token).ended is not Outcome.INTERNAL
    assert refused(pair, f"{OWN}/NONE", None, token).ended is Outcome.HANDLE_NOT_FOUND
    assert refused(pair, "\x01", url("x"), token).ended is Outcome.INVALID_HANDLE


def test_a_registration_holds_at_once_and_comes_home(pair: StandIn) -> None:
    """New, changed with its rights kept, deleted; the node says who made it, and where its own record was changed."""
    furnish(pair.office)
    pair.office.do(Put(f"{OWN}/OLD", url("https://old.example")))
    pair.office.do(Put(f"{OWN}/BOTH", url("https://both.example")))
    pair.deposit()
    pair.begin()
    token = pair.token()
    assert pair.register(f"{OWN}/new", url("https://n.example"), token).outcome is Outcome.CREATED
    assert pair.register(f"{OWN}/SKU", url("https://c.example"), token).outcome is Outcome.OK
    assert pair.register(f"{OWN}/SKU", url("https://c.example"), token).number == 0, "nothing is to be changed"
    pair.register(f"{OWN}/OLD", None, token)
    pair.register(f"{OWN}/BOTH", url("https://top.example"), token)
    answer = pair.serving.answer(Question(f"{OWN}/NEW", want="values"), check_handle(f"{OWN}/NEW", RULES))
    assert answer is not None and answer.outcome is Outcome.OK

    pair.office.do(Put(f"{OWN}/BOTH", url("https://node.example"), overwrite=True))
    assert pair.hand_back(), "the takeover is on"
    assert pair.office.values(f"{OWN}/new")[0].data == b"https://n.example"
    assert [value.type for value in pair.office.values(f"{OWN}/SKU")] == ["URL", "HS_ADMIN"]
    assert pair.office.values(f"{OWN}/BOTH")[0].data == b"https://node.example"
    with pytest.raises(AssertionError):
        pair.office.values(f"{OWN}/OLD")
    told = [entry for entry in pair.office.journal() if entry.action == "takeover.change"]
    assert [entry.object for entry in told] == [f"{OWN}/new", f"{OWN}/SKU", f"{OWN}/OLD", f"{OWN}/BOTH"]
    assert all("李雷" in entry.reason and pair.upstream in entry.reason for entry in told)
    assert "kept" in told[3].reason and not any("kept" in entry.reason for entry in told[:3])
    with pair.office.store.snapshot() as snapshot:
        assert handed_state(snapshot, pair.upstream).taken == 4
        ((number, kept),) = kept_of(snapshot.scan(Table.HANDED_BACK, *kept_range(pair.upstream)))
    assert (number, kept.handle) == (4, f"{OWN}/BOTH")
    pair.back()
    assert not pair.hand_back()
    assert refused(pair, f"{OWN}/A", url("x"), token).fields["rule"] == "emergency-closed"
    assert pair.serving.answer(Question(f"{OWN}/NEW"), check_handle(f"{OWN}/NEW", RULES)) is None


def test_no_registration_is_between_the_last_hand_back_and_its_end(pair: StandIn) -> None:
    """A change that came behind the question is handed back before it is over."""
    pair.office.do(Put(f"{OWN}/A", url("https://a.example")))
    pair.deposit()
    pair.begin()
    token = pair.token()
    pair.register(f"{OWN}/A", url("https://1.example"), token)
    pair.back()
    late = iter([True])

    def carry(octets: bytes) -> bytes:
        answer = pair.carry(octets)
        if next(late, False):
            pair.register(f"{OWN}/A", url("https://2.example"), token)
        return answer

    assert not pair.hand_back(carry)
    assert pair.office.values(f"{OWN}/A")[0].data == b"https://2.example"


def test_a_lost_answer_that_it_is_over_is_given_again(pair: StandIn) -> None:
    """The page is closed already, and nothing is taken twice."""
    pair.office.do(Put(f"{OWN}/A", url("https://a.example")))
    pair.deposit()
    pair.begin()
    token = pair.token()
    pair.register(f"{OWN}/A", url("https://1.example"), token)
    pair.hand_back()
    pair.back()

    def lost(octets: bytes) -> bytes:
        pair.carry(octets)
        raise UpstreamError("lost")

    with pytest.raises(UpstreamError):
        pair.hand_back(lost)
    assert refused(pair, f"{OWN}/A", url("x"), token).ended is Outcome.GONE
    feed = pair.office.feed()
    assert not pair.hand_back() and not pair.hand_back()
    assert pair.office.feed() == feed


def test_another_takeover_counts_anew(pair: StandIn) -> None:
    """Its changes are numbered from 1, and are taken."""
    pair.office.do(Put(f"{OWN}/A", url("https://a.example")))
    pair.deposit()
    token = pair.token()
    for number in (1, 2):
        pair.begin()
        assert pair.register(f"{OWN}/A", url(f"https://{number}.example"), token).number == 1
        pair.back()
        assert not pair.hand_back()
        assert pair.office.values(f"{OWN}/A")[0].data == f"https://{number}.example".encode()


def test_what_the_node_kept_does_not_stay_in_the_copy(pair: StandIn) -> None:
    """A record that was changed here, a new and a deleted one, all on hold at the node: then both sides are equal."""
    for name in ("A", "GONE", "B"):
        pair.office.do(Put(f"{OWN}/{name}", url(f"https://{name}.example")))
    pair.deposit()
    pair.begin()
    token = pair.token()
    pair.register(f"{OWN}/A", url("https://1.example"), token)
    pair.register(f"{OWN}/A", url("https://2.example"), token)
    pair.register(f"{OWN}/NEW", url("https://new.example"), token)
    pair.register(f"{OWN}/GONE", None, token)
    pair.register(f"{OWN}/B", url("https://taken.example"), token)
    for name in ("A", "NEW", "GONE"):
        pair.office.do(PlaceHold(f"{OWN}/{name}", "文1号", "查处", True))
    pair.back()
    assert not pair.hand_back()
    same_records(pair)
    pair.deposit()  # a DIFF, which tells of none of them
    same_records(pair)


def test_aliases_end_at_the_node_alone(pair: StandIn) -> None:
    """Of a record that is deleted in a takeover; where the node kept its own, they stay on both sides."""
    for name, alias in (("KEPT", "oid:1.2.156.1"), ("TAKEN", "oid:1.2.156.2")):
        pair.office.do(Put(f"{OWN}/{name}", url("https://a.example")))
        pair.office.do(AddAlias(f"{OWN}/{name}", alias))
    pair.deposit()
    pair.begin()
    for name in ("KEPT", "TAKEN"):
        pair.register(f"{OWN}/{name}", None, pair.token())
    pair.office.do(PlaceHold(f"{OWN}/KEPT", "文1号", "查处", True))
    pair.back()
    assert not pair.hand_back()
    assert pair.office.rows(Table.ALIASES_OF).keys() == {f"{OWN}/KEPT"}
    pair.deposit()
    engine = pair.copies.engine(pair.node_id)
    assert engine is not None
    with engine.snapshot() as copy, pair.office.store.snapshot() as node:
        for table in (Table.RECORDS, Table.ALIASES, Table.ALIASES_OF):
            assert dict(copy.scan(table, b"")) == dict(node.scan(table, b"")), table


def same_records(pair: StandIn) -> None:
    engine = pair.copies.engine(pair.node_id)
    assert engine is not None
    with engine.snapshot() as copy, pair.office.store.snapshot() as node:
        for table in (Table.RECORDS, Table.ANSWERS, Table.COUNTERS):
            assert dict(copy.scan(table, b"")) == dict(node.scan(table, b"")), table


def test_a_takeover_ended_by_hand_loses_no_registration(pair: StandIn) -> None:
    """A deposit that came meanwhile takes the place of the copy once the node has all that is in it."""
    pair.office.do(Put(f"{OWN}/A", url("https://a.example")))
    pair.deposit()
    path, head = pair.written()
    pair.begin()
    pair.register(f"{OWN}/A", url("https://b.example"), pair.token())
    pair.back()
    pair.back()  # no hand-back is waited for any more
    with pytest.raises(WaitingError):
        pair.copies.take(pair.node_id, path)
    assert not pair.hand_back()
    assert pair.office.values(f"{OWN}/A")[0].data == b"https://b.example"
    pair.copies.take(pair.node_id, path)
    copy = pair.copies.current(pair.node_id)
    assert copy is not None and copy.deposit == head.deposit


def test_a_deposit_fills_no_disk(pair: StandIn) -> None:
    """One that is small in its volumes may be large: its store has part of the room that is left, and goes again."""
    for number in range(200):
        pair.office.do(Put(f"{OWN}/{number}", url("\x01" * 60_000)))
    path, _ = pair.written()
    assert sum(each.stat().st_size for each in path.iterdir()) < 100_000
    pair.copies._free = lambda folders: 1 << 22
    with pytest.raises(DepositError, match="disk is full"):
        pair.copies.take(pair.node_id, path)
    assert not pair.copies.has(pair.node_id)
    assert not list((pair.folder / "copies" / pair.node_id).rglob("data.mdb"))
    pair.copies._free = lambda folders: 1 << 30
    pair.copies.take(pair.node_id, path)
    same_records(pair)


# --- a top node that lies -------------------------------------------------------


class Lying:
    """Answers each question with one change, of another takeover each time."""

    def __init__(self, made: Made) -> None:
        self.made, self.asked = made, 0

    def ask(self, question: object, kind: object) -> Any:
        self.asked += 1
        return Handed(f"T{self.asked}", (self.made,), False)


MADE = Made(1, f"{OWN}/X", encode_values(url("https://x.example")), b"", 1, "eve")


def test_changes_without_end_are_taken_in_portions(pair: StandIn) -> None:
    """Whoever asks goes on with what else is to be done, and asks again later."""
    pair.begin()
    lying = Lying(MADE)
    assert take_back(pair.office.store, pair.upstream, lying, pair.tell, lambda: pair.now)
    assert lying.asked < 100


@pytest.mark.parametrize("made", [MADE._replace(at_ms=2**62), MADE._replace(handle=f"{OWN}/{'x' * 3_000}")])
def test_a_change_that_nobody_can_have_made_is_not_told_to_the_registrar(pair: StandIn, made: Made) -> None:
    """Nor would it take it, or stop over it."""
    pair.begin()
    with pytest.raises(UpstreamError):
        take_back(pair.office.store, pair.upstream, Lying(made), pair.tell, lambda: pair.now)
    with pytest.raises(HandingError):
        pair.tell("T1", made)
    pair.tell("T1", MADE)
    assert pair.office.values(f"{OWN}/X")


def test_keys_stay_and_nothing_takes_their_place(pair: StandIn) -> None:
    """Of secret keys however their type is written; a record with keys is not deleted; nobody gets a right to write."""
    secret = HandleValue(300, "HS_SECKEY", b"secret", ttl=86_400, permissions=0b1100)
    keys = (secret, secret._replace(value_index=301, type="hs_seckey"))
    pair.office.do(Put(f"{OWN}/A", (*url("https://a.example"), *keys)))
    pair.deposit()
    pair.begin()
    before = pair.office.values(f"{OWN}/A")
    over = (HandleValue(300, "URL", b"https://b.example", ttl=86_400),)
    written = (url("https://b.example")[0]._replace(permissions=0b1111),)
    for number, values in enumerate((over, written, None), 1):
        octets = None if values is None else encode_values(values)
        pair.tell("T1", Made(number, f"{OWN}/A", octets, handed_digest(before), 1, "eve"))
        assert pair.office.values(f"{OWN}/A") == before
    pair.tell("T1", Made(4, f"{OWN}/A", encode_values(url("https://c.example")), handed_digest(before), 1, "eve"))
    assert pair.office.values(f"{OWN}/A")[1:] == before[1:]
    token = pair.token()
    for asked in (written, None):
        assert refused(pair, f"{OWN}/A", asked, token).fields["rule"] == "emergency-rights"
