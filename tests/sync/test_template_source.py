"""Rows of T4 and T11: versions of metadata templates that were published."""

from __future__ import annotations

from core.changes import ChangeKind
from registry.commands import AddTemplate, PublishTemplate, WithdrawTemplate
from sync.sources.templates import TemplateSource
from sync.table import Operation, unpack_row
from sync.tables import TABLES, check_row
from tests.kit.governance import Office
from tests.kit.sources import ranges_agree, rows_of
from tests.kit.templates import CODE, template_form, template_members

T4, T11 = (TemplateSource(TABLES[name], own=name == "T4") for name in ("T4", "T11"))


def test_versions_of_the_node_and_of_parties_are_apart() -> None:
    """A draft has no row, one that was withdrawn has."""
    office = Office()
    party = office.party()
    office.do(AddTemplate(template_form()))
    office.do(AddTemplate(template_form(version="V2.0")))
    office.do(PublishTemplate(CODE, "1.0"))
    office.do(AddTemplate(template_form(code="p-1", party=party)))
    office.do(PublishTemplate("p-1"))
    office.do(WithdrawTemplate("p-1"))
    with office.store.snapshot() as snapshot:
        own, theirs = rows_of(T4, snapshot), rows_of(T11, snapshot)
        ranges_agree(T4, snapshot, [b"", b"P", b"SALT-PRODUCT@1", b"SALT-PRODUCT@2", b"z"])
        assert [T4.row(snapshot, key) for key in (b"", b"P-1@1", b"SALT-PRODUCT@2", b"x" * 600)] == [None] * 4
        assert T4.context(snapshot) == b""
        assert T4.latest(snapshot) == snapshot.serial()
    assert (set(own), set(theirs)) == ({b"SALT-PRODUCT@1"}, {b"P-1@1"})
    for source, rows in ((T4, own), (T11, theirs)):
        assert [check_row(source.table, key, row) for key, row in rows.items()] == [[]]
    sample = template_members()
    values = unpack_row(own[b"SALT-PRODUCT@1"])
    assert values[:3] == [CODE, sample["version"], sample["name"]]
    assert values[7] is sample.get("active", False)
    assert [item[0] for item in values[8]] == [item["name"] for item in sample["items"]]
    assert values[9] == "published"
    assert unpack_row(theirs[b"P-1@1"])[9:] == ["withdrawn", party]


def test_what_a_change_touches() -> None:
    """The feed names a version as its key does."""
    touch = T11.touched(ChangeKind.TEMPLATE_PUBLISHED, b"P-1@1")
    assert touch == (b"P-1@1", Operation.NONE)
