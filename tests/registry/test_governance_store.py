"""Acts of governance on a real store: a commit that fails leaves no half act, and keys that no row has are no fault."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core import limits
from core.errors import Outcome
from core.store.engine import Batch, Engine, ExpectationError
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from registry.commands import (
    Actor,
    AddParty,
    AmendParty,
    ApplyPrefix,
    Command,
    ConfirmParty,
    IssueBearer,
    MovePrefix,
    ReviewPrefix,
    RevokeBearer,
    VerifyParty,
)
from tests.kit.governance import ANNA, BEN, CARLA, DORA, EVIDENCE, ROWS, Office, form

LONG = "x" * 1_000


@pytest.fixture(params=["memory", "lmdb"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """Whatever a test did, the store is right after it."""
    store: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(tmp_path / "store", create=True)
    yield Office(store)
    with store.snapshot() as snapshot:
        assert list(check_store(snapshot)) == []
    store.close()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the data file as it is."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "data.mdb").stat().st_size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def a_life(office: Office) -> list[tuple[Command, Actor]]:
    """Return acts of every kind, in their order, of a party that is there."""
    return [
        (AddParty(form(1)), ANNA),
        (AmendParty("P000001", '{"legal_rep": "别人"}'.encode()), ANNA),
        (ApplyPrefix("88.118.7", "P000001"), ANNA),
        (VerifyParty("P000001", "manual", EVIDENCE), BEN),
        (VerifyParty("P000001", "manual", EVIDENCE), CARLA),
        (ReviewPrefix("88.118.7", approve=True), DORA),
        (MovePrefix("88.118.7", "suspend", "wrong data", EVIDENCE), ANNA),
        (MovePrefix("88.118.7", "resume", "right again"), ANNA),
        (IssueBearer("enterprise", "hans", "P000001"), ANNA),
        (ConfirmParty("P000001"), ANNA),
        (MovePrefix("88.118.7", "delete", "end", EVIDENCE), ANNA),
    ]


def test_a_full_disk_leaves_no_half_act(tmp_path: Path) -> None:
    """Each act of a life is first tried where nothing can be written: not a row of it is there, and then all are."""
    folder = tmp_path / "store"
    store = LmdbEngine(folder, create=True)
    office = Office(store)
    office.party(0)
    for command, actor in a_life(office):
        before = office.dump()
        many = [AddParty(form(each)) for each in range(2, len(ROWS))]  # so much that it needs new pages
        with full_disk(folder):
            results = office.run(command, *many, actor=actor)
        assert {result.outcome for result in results} == {Outcome.STORE_FULL}
        assert office.dump() == before
        office.do(command, actor)
        with store.snapshot() as snapshot:
            assert list(check_store(snapshot)) == []
    store.close()


class Unlucky:
    """An engine whose commits another writer was faster than, so many times."""

    def __init__(self, store: Engine, times: int) -> None:
        self.store = store
        self.times = times

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)

    def commit(self, batch: Batch) -> object:
        if self.times:
            self.times -= 1
            raise ExpectationError("a row was written by another process")
        return self.store.commit(batch)


@pytest.mark.parametrize("times", [0, 1, limits.COMMIT_TRIES_MAX - 1, limits.COMMIT_TRIES_MAX])
def test_a_group_that_is_decided_again_is_entered_once(office: Office, times: int) -> None:
    """Acts and refusals alike; where it does not come through, nothing is there."""
    party = office.party()
    before, entries = office.dump(), len(office.journal())
    office.registry._store = Unlucky(office.store, times)  # type: ignore[assignment] # as far as the registrar asks
    results = office.run(ConfirmParty(party), ConfirmParty("P999999"), ApplyPrefix("88.118.7", party))
    if times == limits.COMMIT_TRIES_MAX:
        assert {result.outcome for result in results} == {Outcome.OVERLOADED}
        assert office.dump() == before
    else:
        assert [result.outcome for result in results] == [Outcome.OK, Outcome.NOT_FOUND, Outcome.CREATED]
        assert len(office.journal()) == entries + 3


@pytest.mark.parametrize(
    "command",
    [
        ConfirmParty(LONG), AmendParty(LONG, b"{}"), VerifyParty(LONG, "offline"), ApplyPrefix("88.118.7", LONG),
        ApplyPrefix(LONG, "P000001"), ReviewPrefix(LONG, approve=True), MovePrefix(LONG, "delete", "x", EVIDENCE),
        IssueBearer("enterprise", "hans", LONG), RevokeBearer(LONG), RevokeBearer(""), ConfirmParty(""),
        ApplyPrefix("", "P000001"), ApplyPrefix("88.118.7", ""), ApplyPrefix("88.118." + "7" * 500, "P000001"),
    ],
)  # fmt: skip
def test_a_name_that_no_row_can_have_is_refused_alone(office: Office, command: Command) -> None:
    """The store would refuse to look for its key; the rest of the group is done."""
    party = office.party()
    results = office.run(command, ConfirmParty(party), command)
    assert [result.done for result in results] == [False, True, False]
    assert results[0].outcome not in (Outcome.INTERNAL, Outcome.OVERLOADED)


def test_a_token_that_no_row_can_have_is_not_known(office: Office) -> None:
    """As any other that is not."""
    for bearer in (LONG, "f" * 12):
        assert office.ask(ConfirmParty("P000001"), Actor(bearer=bearer)).rule == "token-not-known"


def test_a_whole_life_on_any_store(office: Office) -> None:
    """Each act is done and leaves its entry; opened again, it is all there."""
    office.party()
    for command, actor in a_life(office):
        office.do(command, actor)
    assert office.homed() == {"88.118"}
    assert len(office.journal()) == 2 + len(a_life(office))
