"""T6 follows every change of a party, T1 is the operator's own; both open what is sealed and name no reviewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.clock import Millis
from core.config import Config
from core.errors import ConfigError, SealError
from core.keyring import KeyRing
from core.party.fields import FIELDS
from registry.commands import AmendParty, ConfirmParty, RekeyParties, Request, VerifyParty
from registry.service import Registry
from sync.sources.subject import OperatorParty, Parties, operator_party
from sync.table import unpack_row
from sync.tables import TABLES, check_row
from tests.kit.governance import ANNA, BEN, CARLA, DAY_MS, EVIDENCE, ROWS, RULES, SEALS, Office
from tests.kit.transfers import export, take_over

PNG = b"\x89PNG\r\n\x1a\n a picture"
T6 = Parties(SEALS.load_keys)


def rows(office: Office, source: Parties | OperatorParty = T6) -> dict[str, dict[str, Any]]:
    """Return the rows of a source by key, each right and the same as asked for alone."""
    found = {}
    with office.store.snapshot() as snapshot:
        for key, row in source.rows(snapshot, b"", None):
            assert row == source.row(snapshot, key)
            assert check_row(source.table, key, row) == []
            names = [field.name for field in source.table.fields]
            found[key.decode()] = dict(zip(names, unpack_row(row), strict=True))
    return found


def test_every_party_of_the_sample_makes_a_right_row() -> None:
    """Organisations and persons; what was filed is what is sent."""
    office = Office()
    names = [office.party(number) for number in range(0, len(ROWS), 7)]
    found = rows(office)
    assert list(found) == names
    for number, row in zip(range(0, len(ROWS), 7), found.values(), strict=True):
        assert row["uscc"] == ROWS[number]["uscc"] and row["legal_rep"] == ROWS[number]["legal_rep"]
        assert row["verified"] == "unverified" and row["steps"] == [] and row["kind"] == "organisation"


def test_a_person_is_opened_too() -> None:
    """Name, address and number of a person are sealed."""
    office = Office()
    name = office.party(0, kind="person")
    assert {"name", "address", "uscc"} <= set(office.party_row(name).sealed)
    row = rows(office)[name]
    assert row["kind"] == "person" and row["name"] == ROWS[0]["name"]


def test_the_result_of_a_verification_goes_up_and_nobodys_name() -> None:
    """Each step with method, source and the digest of the evidence."""
    office = Office()
    name = office.verified()
    row = rows(office)[name]
    assert row["verified"] == "verified"
    assert [(method, evidence) for _, method, _, evidence, _ in row["steps"]] == [("manual", EVIDENCE)] * 2
    with office.store.snapshot() as snapshot:
        octets = T6.row(snapshot, name.encode()) or b""
    assert not any(actor.name.encode() in octets for actor in (BEN, CARLA))


def test_every_change_of_a_row_is_told_by_the_feed() -> None:
    """Filed, amended, verified, confirmed: each has a change of one of the kinds of T6, for this party."""
    office = Office()
    name = office.party()
    acts = (AmendParty(name, b'{"phone": "13900139000"}'), VerifyParty(name, "manual", EVIDENCE), ConfirmParty(name))
    office.now = Millis(office.now + DAY_MS)
    before = rows(office)[name]
    for act in acts:
        seen = len(office.feed())
        office.do(act, BEN)
        touched = [T6.touched(kind, party.encode()) for kind, party in office.feed()[seen:] if kind in T6.kinds]
        assert [key for key, _ in filter(None, touched)] == [name.encode()], act
        after = rows(office)[name]
        assert after != before, act
        before = after


def test_sealing_under_another_key_changes_no_row() -> None:
    """It has no change in the feed, and needs none."""
    office = Office()
    name, before = office.party(), rows(office)
    sealed = office.party_row(name).sealed
    ring = KeyRing(2, {**SEALS.load_keys().keys, 2: bytes(32)})
    registry = Registry(office.store, RULES, seals=SEALS._replace(load_keys=lambda: ring))
    [result] = registry.run([Request(RekeyParties(), ANNA)], office.now)
    assert result.done and office.party_row(name).sealed != sealed
    assert rows(office, Parties(lambda: ring)) == before


def test_a_party_that_came_by_an_import_has_no_identity_data() -> None:
    """None, not invented; the import tells of it by a change of T6."""
    source, target = Office(), Office()
    source.allocated()
    seen = len(target.feed())
    assert take_over(target, export(source, "88.118.7")).done
    told = {T6.touched(kind, party.encode()) for kind, party in target.feed()[seen:] if kind in T6.kinds}
    [(name, row)] = rows(target).items()
    assert {key for key, _ in filter(None, told)} == {name.encode()}
    assert all(row[field.name] is None for field in FIELDS if field.identity)
    assert row["name"] == ROWS[0]["name"] and row["verified"] == "verified"


def test_a_field_that_does_not_open_is_an_error() -> None:
    """A row must not say that nothing was filed. The message names party and field."""
    office = Office()
    name = office.party()
    other = Parties(lambda: KeyRing(1, {1: bytes(32)}))
    with office.store.snapshot() as snapshot, pytest.raises(SealError, match=name):
        other.row(snapshot, name.encode())


def test_rows_are_of_a_range_and_a_party_that_is_not_there_has_none() -> None:
    """The start is included, the stop is not."""
    office = Office()
    one, two, three = (office.party(number).encode() for number in range(3))
    with office.store.snapshot() as snapshot:
        assert [key for key, _ in T6.rows(snapshot, two, three)] == [two]
        assert [key for key, _ in T6.rows(snapshot, two, None)] == [two, three]
        assert T6.row(snapshot, b"P999999") is None and T6.row(snapshot, one) is not None
        assert T6.latest(snapshot) == snapshot.serial() and T6.context(snapshot) == b""


# --- T1 ---
def test_without_an_operator_t1_has_no_row(tmp_path: Path) -> None:
    """The default of the settings; its digest is that of no rows."""
    office = Office()
    office.party()
    source = operator_party(Config(tmp_path / "node.toml", {}), SEALS.load_keys)
    assert rows(office, source) == {}
    with office.store.snapshot() as snapshot:
        assert source.row(snapshot, b"operator") is None and len(source.context(snapshot)) == 32


def test_t1_is_the_party_of_the_operator_with_its_images(tmp_path: Path) -> None:
    """From the settings; the context is another as soon as the row is, by a change of party or file."""
    office = Office()
    name = office.party()
    image = tmp_path / "licence.png"
    image.write_bytes(PNG)
    config = Config(tmp_path / "node.toml", {"sync.operator": name, "sync.certificate_image": "licence.png"})
    source = operator_party(config, SEALS.load_keys)
    row = rows(office, source)["operator"]
    assert row["certificate_image"] == PNG and row["contact_image"] is None and row["party"] == name
    contexts = []
    for step in (lambda: None, lambda: image.write_bytes(PNG + b"2"), lambda: office.do(ConfirmParty(name))):
        office.now = Millis(office.now + DAY_MS)
        step()
        with office.store.snapshot() as snapshot:
            assert source.context(snapshot) == source.context(snapshot)
            contexts.append(source.context(snapshot))
            assert [key for key, _ in source.rows(snapshot, b"p", None)] == []
            assert [key for key, _ in source.rows(snapshot, b"", b"operator")] == []
    assert len(set(contexts)) == 3
    assert not source.kinds and source.table is TABLES["T1"]


@pytest.mark.parametrize("octets", [None, b"", b"%PDF-1.7", PNG + bytes(1_048_576)])
def test_a_file_that_is_no_picture_is_an_error_for_people(tmp_path: Path, octets: bytes | None) -> None:
    """Missing, empty, of another kind, too large: the setting is named."""
    office = Office()
    name, path = office.party(), tmp_path / "image"
    if octets is not None:
        path.write_bytes(octets)
    source = OperatorParty(SEALS.load_keys, name, {"contact_image": path})
    with office.store.snapshot() as snapshot, pytest.raises(ConfigError, match=r"sync\.contact_image"):
        source.context(snapshot)


def test_an_operator_that_is_no_party_is_an_error_for_people() -> None:
    """A wrong id must not take T1 away above."""
    with Office().store.snapshot() as snapshot, pytest.raises(ConfigError, match=r"sync\.operator"):
        OperatorParty(SEALS.load_keys, "P000009", {}).context(snapshot)
