"""The zones of DNS: any question is answered as from the zone that ``records()`` gives, by whoever serves it."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import limits
from core.errors import Outcome
from core.ident.gs1 import check_digit
from core.ident.ors import labels_of_gtin, labels_of_node
from core.records import HandleValue
from core.store.engine import Batch, Table
from core.wire.dns import Labels, Rcode, Type
from registry.commands import LiftHold, PlaceHold, Put
from resolver.zone import Zones
from resolver.zone_rows import Below, below_arc
from tests.kit.prefixes import suspend
from tests.kit.zones import (
    HELD,
    HOSTED,
    ONS,
    ORS,
    SETTINGS,
    SUSPENDED,
    TARGETS,
    Reader,
    ZoneStore,
    knot_program,
    labels,
    rdata,
    seen,
    serve_by_knot,
    zone_text,
)

HUGE = str(2**128 - 1)
DEEP = "1.2.156." + ".".join(["1"] * 29)
TYPES = (
    1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 43, 46, 47, 48, 50, 52, 64, 65, 99, 128, 255, 256, 257,
    32_768, 65_280, 65_534,
)  # fmt: skip
"""Without those that mean a transfer, a signature, or nothing in a question: the front judges them."""

WORDS = (
    b"ors-dummy", b"ORS-Dummy", b"iso", b"ISO", b"member-body", b"cn", b"Cn", b"xn--fiqs8s", b"salt", b"uuid",
    b"ns", b"NS", b"gtin", b"GTIN", b"0", b"1", b"2", b"3", b"7", b"9", b"25", b"156", b"01",
    b"a", b"*", b"\xe4\xb8\xad", b".", b"\0", HUGE.encode(), b"x" * 63,
)  # fmt: skip
BY_NAME = (
    ("156.2.1", "cn.2.1"), ("156.2.1", "XN--FIQS8S.member-body.1"), ("156.2.1", "cn.Member-Body.iso"), ("1", "iso"),
)  # fmt: skip
"""Names of arcs, and the numbers that they lead to in the end."""

OIDS = st.one_of(
    st.lists(st.sampled_from("1279"), max_size=4).map(lambda rest: ".".join(["1.2.156", *rest])),
    st.sampled_from(["1.2", "1.3", "2.25", "2.999", "0.9", f"2.25.{HUGE}", f"2.25.{HUGE}.{HUGE}", DEEP]),
)
GTINS = st.builds(
    lambda leading, middle: leading + middle + check_digit(leading + middle),
    st.sampled_from("019"), st.sampled_from(["690123456789", "690123456780", "000000000001"]),
)  # fmt: skip
ALIASES = st.dictionaries(
    st.builds("oid:{}".format, OIDS) | st.builds("gtin:{}".format, GTINS), st.sampled_from(TARGETS), max_size=8
)
QUESTION = st.tuples(
    st.lists(st.sampled_from(WORDS), max_size=4),
    st.integers(0, 1_000),
    st.integers(0, 6),
    st.just(35) | st.sampled_from(TYPES),
)


def readers(store: ZoneStore, zones: Zones) -> dict[Labels, str]:
    return {apex: zone_text(store.records(zones, apex)) for apex in zones.apexes}


def starts(store: ZoneStore, zones: Zones, hidden: list[str]) -> list[Labels]:
    """Return names that questions begin with: of all records, of what is not answered, and both by names of arcs."""
    found = {rr.name for apex in zones.apexes for rr in store.records(zones, apex)}
    for each in hidden:
        kind, _, value = each.partition(":")
        found.add((labels_of_gtin(value) + ONS) if kind == "gtin" else labels_of_node(value) + ORS)
    for numbers, names in BY_NAME:
        end = labels(numbers) + ORS
        found |= {name[: -len(end)] + labels(names) + ORS for name in found if name[-len(end) :] == end}
    return sorted(found)


def asked(names: list[Labels], question: tuple[list[bytes], int, int, int]) -> Labels:
    """Return a name in, above, below or beside those that there are; no longer than a name is."""
    words, start, cut, _ = question
    name = (*words, *names[start % len(names)][cut:])
    while sum(map(len, name)) + len(name) + 1 > limits.DNS_NAME_BYTES_MAX:
        name = name[1:]
    return name


@settings(max_examples=60)
@given(ALIASES, st.lists(QUESTION, min_size=30, max_size=30))
def test_an_answer_is_what_the_zone_says(
    aliases: dict[str, str], questions: list[tuple[list[bytes], int, int, int]]
) -> None:
    """An independent reader of the zone as text gives the same rcode, AA, answer, authority and additional section."""
    store, zones = ZoneStore(aliases), Zones(SETTINGS)
    reader, names = Reader(readers(store, zones)), starts(store, zones, list(aliases))
    for question in questions:
        name, type_ = asked(names, question), question[3]
        answer = store.answer(zones, name, type_)
        assert seen(answer.sections) == reader.ask(name, type_), (name, type_)
        assert answer.identifier.isascii()
        assert answer.identifier.decode().isprintable()


def test_every_type_at_every_kind_of_name() -> None:
    """Apex, name server, DNAME, OID, GTIN, and a name with others below it; by name of an arc, too."""
    store, zones = ZoneStore({"oid:1.2.156.7.1": "88.1/A", "gtin:06901234567892": "88.1/A"}), Zones(SETTINGS)
    reader = Reader(readers(store, zones))
    for name in starts(store, zones, []):
        for type_ in TYPES:
            assert seen(store.answer(zones, name, type_).sections) == reader.ask(name, type_), (name, type_)


@pytest.mark.skipif(knot_program() is None, reason="knotd is not installed")
def test_knot_answers_the_same_from_the_zone(tmp_path: Path, seed: int) -> None:
    """Rcode, AA, answer, authority and additional section of thousands of questions.

    Left out: a name that becomes too long by a DNAME. Knot 3.2 answers that with NXDOMAIN, we as RFC 6672 §2.2 says.
    """
    chance = random.Random(seed)
    aliases = {
        "oid:1.2.156.7": TARGETS[0], "oid:1.2.156.7.1.1": TARGETS[0], "oid:1.2.156.9.9": TARGETS[2],
        "oid:1.2.156.2": TARGETS[1], "oid:1.2.156.2.1.7": TARGETS[3], "oid:1.3.1": HELD, "oid:1.2.156.1": HELD,
        "oid:1.2.156.1.7": TARGETS[0], f"oid:2.25.{HUGE}": TARGETS[0], f"oid:{DEEP}": TARGETS[2],
        "gtin:06901234567892": TARGETS[0], "gtin:16901234567899": TARGETS[2], "gtin:00000000000017": TARGETS[1],
        "gtin:90000000000010": HELD,
    }  # fmt: skip
    store, zones = ZoneStore(aliases), Zones(SETTINGS)
    texts, names = readers(store, zones), starts(store, zones, list(aliases))
    program = knot_program()
    assert program
    tally: Counter[tuple[int, bool, bool]] = Counter()
    with serve_by_knot(program, tmp_path, texts) as knot:
        for name in (*zones.apexes, (b"ns", *ORS), (b"iso", *ORS), names[-1]):
            for type_ in TYPES:
                assert seen(store.answer(zones, name, type_).sections) == knot.ask(name, type_), (name, type_)
        for _ in range(600):
            words = chance.choices(WORDS, k=chance.choice((0, 0, 0, 1, 1, 2, 3)))
            cut = chance.choice((0, 0, 0, 1, 1, 2, 3, 4))
            question = (words, chance.randrange(1_000), cut, 35 if chance.random() < 0.5 else chance.choice(TYPES))
            name = asked(names, question)
            ours = store.answer(zones, name, question[3]).sections
            if ours.rcode == Rcode.YXDOMAIN:
                continue
            assert seen(ours) == knot.ask(name, question[3]), (name, question[3])
            by_name = any(rr.type == Type.DNAME and question[3] != Type.DNAME for rr in ours.answer)
            tally[ours.rcode, by_name, not ours.authority] += 1
    found = {(Rcode.NOERROR, by_name, data) for by_name in (False, True) for data in (False, True)}
    found |= {(Rcode.NXDOMAIN, False, False), (Rcode.NXDOMAIN, True, False), (Rcode.REFUSED, False, True)}
    assert all(tally[each] >= 5 for each in found), tally


def naptr(store: ZoneStore, zones: Zones, name: Labels) -> dict[str, str]:
    """Return what a client makes of an answer: service and URI, by the rule of RFC 3402 §3.2."""
    answer = store.answer(zones, name, Type.NAPTR)
    assert answer.outcome is Outcome.OK, answer
    found = {}
    for rr in answer.sections.answer:
        data = rdata(rr)
        assert (data.order, data.preference, data.flags, data.replacement.to_text()) == (100, 10, b"u", ".")
        delimiter, regexp = data.regexp[:1], data.regexp.decode()
        _, ere, replacement, flags = regexp.split(delimiter.decode())
        assert "\\" not in regexp
        assert flags == ""
        found[data.service.decode()] = re.sub(ere, replacement, "whatever was asked", count=1)
    return found


@pytest.mark.parametrize("dummy", [(), (b"ors-dummy",)])
def test_an_oid_is_answered_with_every_service(dummy: Labels) -> None:
    """At its own name and at ors-dummy below it; the log knows it as the OID."""
    store, zones = ZoneStore({"oid:1.2.156.99999.7": "88.1/盐/A!\\1%B C?#"}), Zones(SETTINGS)
    name = (*dummy, *labels("7.99999.156.2.1"), *ORS)
    assert naptr(store, zones, name) == {
        "ORS+COID": "urn:oid:1.2.156.99999.7",
        "ORS+CINF": "https://id.example.cn/oid/1.2.156.99999.7/children.xml",
        "ORS+RINF": "https://id.example.cn/oid/1.2.156.99999.7/registrant.xml",
        "ORS+UINF": "https://id.example.cn/88.1/%E7%9B%90/A%21%5C1%25B%20C%3F%23",
    }
    assert store.answer(zones, name, Type.NAPTR).identifier == b"oid:1.2.156.99999.7"


def test_services_are_those_of_the_settings() -> None:
    """In another order, with another text."""
    zones = Zones(SETTINGS._replace(ors_services=("UINF=x+UINF", "COID")))
    store = ZoneStore({"oid:1.2.3": "88.1/A"})
    assert naptr(store, zones, labels("3.2.1") + ORS) == {
        "x+UINF": "https://id.example.cn/88.1/A", "ORS+COID": "urn:oid:1.2.3",
    }  # fmt: skip


def test_an_address_that_is_too_long_for_dns_is_that_of_the_oid() -> None:
    """No string of a NAPTR has more than 255 octets; the longest OID of all still fits."""
    oid = "2.25." + ".".join(["9" * 38] * 3)[:122].rstrip(".")
    base = "https://" + "x" * (248 - len("/oid//registrant.xml") - 127 - len("https://"))
    store, zones = ZoneStore({f"oid:{oid}": "88.1/" + "盐" * 200}), Zones(SETTINGS._replace(public_url=base))
    assert naptr(store, zones, labels_of_node(oid) + ORS)["ORS+UINF"] == f"{base}/oid/{oid}"


def test_a_gtin_is_answered_with_its_digital_link() -> None:
    """At the name of GS1 ONS, with the service of the settings."""
    store, zones = ZoneStore({"gtin:614141322602": "88.3/A"}), Zones(SETTINGS)
    name = labels("0.0.6.2.2.3.1.4.1.4.1.6.0.gtin") + ONS
    assert naptr(store, zones, name) == {"https://www.gs1.org/voc/pip": "https://id.example.cn/01/00614141322602"}
    assert store.answer(zones, name, Type.NAPTR).identifier == b"gtin:00614141322602"


@pytest.mark.parametrize(
    ("name", "type_", "outcome", "rcode", "identifier"),
    [
        ("7.156.2.1.oid-res.org", Type.NAPTR, Outcome.OK, 0, "oid:1.2.156.7"),
        ("ors-dummy.7.156.2.1.oid-res.org", Type.NAPTR, Outcome.OK, 0, "oid:1.2.156.7"),
        ("ors-dummy.7.CN.member-body.iso.oid-res.org", Type.NAPTR, Outcome.OK, 0, "oid:1.2.156.7"),
        ("7.156.2.1.OID-RES.ORG", Type.A, Outcome.NO_VALUES, 0, "oid:1.2.156.7"),
        ("156.2.1.oid-res.org", Type.NAPTR, Outcome.NO_VALUES, 0, "oid:1.2.156"),
        ("1.oid-res.org", Type.NAPTR, Outcome.NO_VALUES, 0, "oid:1"),
        ("ors-dummy.156.2.1.oid-res.org", Type.NAPTR, Outcome.HANDLE_NOT_FOUND, 3, "oid:1.2.156"),
        ("8.156.2.1.oid-res.org", Type.NAPTR, Outcome.HANDLE_NOT_FOUND, 3, "oid:1.2.156.8"),
        ("foo.7.156.2.1.oid-res.org", Type.NAPTR, Outcome.HANDLE_NOT_FOUND, 3, "foo.7.156.2.1.oid-res.org"),
        ("07.156.2.1.oid-res.org", Type.NAPTR, Outcome.HANDLE_NOT_FOUND, 3, "07.156.2.1.oid-res.org"),
        ("9.156.2.1.oid-res.org", Type.NAPTR, Outcome.HELD, 3, "oid:1.2.156.9"),
        ("ors-dummy.9.156.2.1.oid-res.org", Type.NAPTR, Outcome.HELD, 3, "oid:1.2.156.9"),
        ("3.156.2.1.oid-res.org", Type.NAPTR, Outcome.HELD, 0, "oid:1.2.156.3"),
        ("4.156.2.1.oid-res.org", Type.NAPTR, Outcome.HELD, 3, "oid:1.2.156.4"),
        ("5.156.2.1.oid-res.org", Type.NAPTR, Outcome.HANDLE_NOT_FOUND, 3, "oid:1.2.156.5"),
        ("oid-res.org", Type.SOA, Outcome.OK, 0, "oid-res.org"),
        ("oid-res.org", 43, Outcome.NO_VALUES, 0, "oid-res.org"),
        ("example.org", Type.A, Outcome.NOT_RESPONSIBLE, 5, "example.org"),
        ("org", Type.A, Outcome.NOT_RESPONSIBLE, 5, "org"),
        ("1.1.1.1.1.1.1.1.1.1.1.1.1.gtin.gs1.id.onsepc.com", 35, Outcome.HANDLE_NOT_FOUND, 3, "gtin:11111111111113"),
        ("gtin.gs1.id.onsepc.com", 35, Outcome.HANDLE_NOT_FOUND, 3, "gtin.gs1.id.onsepc.com"),
    ],
)  # fmt: skip
def test_how_a_question_ends(name: str, type_: int, outcome: Outcome, rcode: int, identifier: str) -> None:
    """For the log and on the wire: found, without data, not there, on hold, suspended, of a prefix that is not here."""
    store = ZoneStore({
        "oid:1.2.156.7": "88.1/A", "oid:1.2.156.9": HELD, "oid:1.2.156.3": HELD, "oid:1.2.156.3.1": "88.3/A",
        "oid:1.2.156.4": "88.2/A", "oid:1.2.156.5": "88.4/A",
    })  # fmt: skip
    answer = store.answer(Zones(SETTINGS), labels(name), type_)
    assert (answer.outcome, answer.sections.rcode, answer.identifier.decode()) == (outcome, rcode, identifier)
    assert answer.sections.authoritative is (outcome is not Outcome.NOT_RESPONSIBLE)


def test_a_hold_takes_names_away_and_brings_them_back() -> None:
    """Also those that were there by what is below them; prefix, suspension, order and removal alike."""
    store, zones = ZoneStore({"oid:1.2.156.7.1": "88.1/A", "gtin:06901234567892": "88.1/A"}), Zones(SETTINGS)
    arc, gtins = labels("7.156.2.1") + ORS, (b"6", b"gtin", *ONS)

    def states() -> list[Outcome]:
        store.touch()
        names = [arc, (b"1", *arc), gtins, labels_of_gtin("06901234567892") + ONS]
        return [store.answer(zones, name, Type.NAPTR).outcome for name in names]

    there = [Outcome.NO_VALUES, Outcome.OK, Outcome.NO_VALUES, Outcome.OK]
    held = [Outcome.HANDLE_NOT_FOUND, Outcome.HELD, Outcome.HANDLE_NOT_FOUND, Outcome.HELD]
    assert states() == there
    store.run(PlaceHold("88.1/A", "2", "because"))
    assert states() == held
    store.run(LiftHold("88.1/A", "2"))
    assert states() == there
    suspend(store.engine, HOSTED)
    assert states() == held
    suspend(store.engine, HOSTED, suspended=False)
    assert states() == there
    store.name({"oid:1.2.156.7.1": None, "gtin:06901234567892": None})
    assert states() == [Outcome.HANDLE_NOT_FOUND] * 4


def test_the_serial_is_that_of_the_last_change_that_touched_a_zone() -> None:
    """A record leaves it alone, an alias does not; it wraps, and is never 0."""
    store, zones = ZoneStore(), Zones(SETTINGS)

    def serial() -> int:
        with store.engine.snapshot() as snapshot:
            soa = next(iter(zones.records(snapshot, ORS)))
            assert rdata(soa).serial == zones.serial(snapshot)
            assert zones.answer(snapshot, ORS, Type.SOA).sections.answer == [soa]
            return zones.serial(snapshot)

    before = serial()
    store.run(Put("88.1/NEW", (HandleValue(1, "URL", b"https://a.example"),)))
    assert serial() == before
    store.name({"oid:1.2.3": "88.1/NEW"})
    assert serial() == before + 1
    for stored, told in ((0, 1), (2**32 - 1, 2**32 - 1), (2**32, 1), (2**32 + 7, 7), (2**40 + 9, 9)):
        batch = Batch()
        batch.put(Table.META, b"zone", stored.to_bytes(8, "big"))
        store.engine.commit(batch)
        assert serial() == told


def test_an_answer_follows_no_more_names_than_knot() -> None:
    """It ends with the alias; who asks goes on by himself."""
    arcs = ["2.5", *(f"2.5.{'1.' * deep}1" for deep in range(8))]
    zones = Zones(SETTINGS._replace(oid_labels=tuple(f"{arc}=a" for arc in arcs[1:])))
    store = ZoneStore({f"oid:{arcs[5]}": "88.1/A", f"oid:{arcs[6]}": "88.1/A"})
    for steps in range(1, 8):
        answer = store.answer(zones, (b"ors-dummy", *[b"a"] * steps, b"5", b"2", *ORS), Type.NAPTR)
        types = [rr.type for rr in answer.sections.answer]
        assert types.count(Type.CNAME) == types.count(Type.DNAME) == min(steps, limits.DNS_CNAMES_MAX)
        assert answer.sections.rcode == (Rcode.NXDOMAIN if steps < 5 else Rcode.NOERROR)
        assert (Type.NAPTR in types) is (steps == 5)


def test_a_name_that_becomes_too_long_is_refused() -> None:
    """By RFC 6672 §2.2 the DNAME is shown, and nothing is made of it."""
    zones = Zones(SETTINGS._replace(oid_labels=(f"2.25.{HUGE}=u",)))
    name = (b"x" * 63, b"y" * 63, b"z" * 63, b"w" * 35, b"u", b"25", b"2", *ORS)
    answer = ZoneStore().answer(zones, name, Type.NAPTR)
    assert answer.sections.rcode == dns.rcode.YXDOMAIN
    assert [rr.type for rr in answer.sections.answer] == [Type.DNAME]
    assert answer.outcome is Outcome.HANDLE_NOT_FOUND


def test_what_is_not_answered_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below an arc with many that are stopped: a bounded look, which goes on where it ended, until it is known."""
    many = 3_500
    store = ZoneStore({f"oid:1.2.156.{number}": "88.2/A" for number in range(many)})
    zones, arc = Zones(SETTINGS._replace(oid_labels=())), labels("156.2.1") + ORS
    looked = 0
    snapshots = type(store.engine.snapshot())
    scan = snapshots.scan

    def counted(self, table, start, stop=None):
        nonlocal looked
        for each in scan(self, table, start, stop):
            looked += 1
            yield each

    monkeypatch.setattr(snapshots, "scan", counted)
    outcomes = []
    for _ in range(6):
        looked = 0
        outcomes.append(store.answer(zones, arc, Type.NAPTR).outcome)
        assert looked <= limits.DNS_HIDDEN_MAX + 1
    assert outcomes == [Outcome.NO_VALUES] * 3 + [Outcome.HANDLE_NOT_FOUND] * 3
    assert looked == 0
    suspend(store.engine, SUSPENDED, suspended=False)
    store.touch()
    assert store.answer(zones, arc, Type.NAPTR).outcome is Outcome.NO_VALUES
    assert looked == 1


def test_places_that_are_remembered_are_bounded() -> None:
    """However many names are asked for."""
    store, below = ZoneStore({f"oid:1.2.156.{number}.1": "88.2/A" for number in range(5_000)}), Below(root=False)
    with store.engine.snapshot() as snapshot:
        for number in range(5_000):
            assert not below.any_within(snapshot, (below_arc(f"1.2.156.{number}"),))
    assert len(below._passed) <= limits.DNS_HIDDEN_KEPT_MAX


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=20), st.integers(0, 65_535), st.booleans())
def test_whatever_is_asked_is_answered(words: list[bytes], type_: int, below: bool) -> None:
    """Any octets, any type, below a DNAME and elsewhere."""
    name = (*words, b"iso", *ORS) if below else (*words, *ORS)
    while sum(map(len, name)) + len(name) + 1 > limits.DNS_NAME_BYTES_MAX:
        name = name[1:]
    answer = ZoneStore().answer(Zones(SETTINGS), name, type_)
    assert answer.identifier.decode().isprintable()


def test_a_zone_that_is_not_configured_is_none() -> None:
    """Neither names nor records."""
    store, zones = ZoneStore({"gtin:06901234567892": "88.1/A"}), Zones(SETTINGS._replace(ons_suffix=""))
    assert zones.apexes == (ORS,)
    assert store.records(zones, ONS) == []
    assert store.answer(zones, labels_of_gtin("06901234567892") + ONS, 35).outcome is Outcome.NOT_RESPONSIBLE
    assert Zones(SETTINGS._replace(ors_suffix="", ons_suffix="")).apexes == ()
