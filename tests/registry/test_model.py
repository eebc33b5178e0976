"""The registration service against a plain dictionary, whatever is asked in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.changes import Serial
from core.clock import Millis
from core.errors import Outcome
from core.ident.handle import HandleRules
from core.records import HandleValue
from core.store.engine import Table
from core.store.fsck import check_store
from core.store.lmdb_engine import LmdbEngine
from core.store.record_rows import unpack_values
from registry.commands import OPERATOR, Add, Command, Delete, Home, Modify, Put, Remove, Request
from registry.service import Registry

HANDLES = st.sampled_from(["88.118.7/A", "88.118.7/b", "88.118.7/B", "0.NA/88.118.7", "88.118.7/盐"])
INDEXES = st.integers(1, 4)
VALUES = st.dictionaries(INDEXES, st.sampled_from([b"x", b"y", b""]), min_size=1, max_size=3)
Model = dict[str, dict[int, bytes]]


def values_of(contents: dict[int, bytes]) -> tuple[HandleValue, ...]:
    return tuple(HandleValue(index, "T", data) for index, data in contents.items())


class Machine(RuleBasedStateMachine):
    """Groups of operations, with the store closed and opened between them."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = LmdbEngine(Path(self.folder.name) / "store", create=True)
        self.now = 1_700_000_000_000
        self.model: Model = {}
        self.changes = 1
        assert self.run([Home("88.118.7")]) == [Outcome.CREATED]

    def run(self, commands: list[Command]) -> list[Outcome]:
        self.now += 1_000
        registry = Registry(self.store, HandleRules(), founding=True)
        results = registry.run([Request(command, OPERATOR) for command in commands], Millis(self.now))
        return [result.outcome for result in results]

    def expect(self, command: Command) -> Outcome:
        """Do it to the model; return the outcome that is right."""
        assert not isinstance(command, Home)
        name = command.handle.upper()
        known = self.model.get(name)  # type: ignore[attr-defined] # commands of this test all name a handle
        new = dict(known or {})
        match command:
            case Put(_, values, overwrite):
                if known is not None and not overwrite:
                    return Outcome.HANDLE_EXISTS
                new = {value.value_index: value.data for value in values}
                outcome = Outcome.CREATED if known is None else Outcome.OK
            case _ if known is None:
                return Outcome.HANDLE_NOT_FOUND
            case Add(_, values, overwrite):
                conflicts = [value.value_index for value in values if value.value_index in known]
                if conflicts and not overwrite:
                    return Outcome.VALUE_EXISTS
                new = dict(sorted((known | {value.value_index: value.data for value in values}).items()))
                outcome = Outcome.OK if len(conflicts) == len(values) else Outcome.CREATED
            case Modify(_, values):
                if any(value.value_index not in known for value in values):
                    return Outcome.VALUE_NOT_FOUND
                new = known | {value.value_index: value.data for value in values}
                outcome = Outcome.OK
            case Remove(_, indexes):
                if any(index not in known for index in indexes):
                    return Outcome.VALUE_NOT_FOUND
                new = {index: data for index, data in known.items() if index not in indexes}
                outcome = Outcome.OK
            case _:
                del self.model[name]
                self.changes += 1
                return Outcome.OK
        if known is None or list(new.items()) != list(known.items()):
            self.changes += 1
        self.model[name] = new
        return outcome

    @rule(
        commands=st.lists(
            st.one_of(
                st.builds(Put, HANDLES, VALUES.map(values_of), st.booleans(), st.just(False)),
                st.builds(Add, HANDLES, VALUES.map(values_of), st.booleans()),
                st.builds(Modify, HANDLES, VALUES.map(values_of)),
                st.builds(Remove, HANDLES, st.lists(INDEXES, min_size=1, max_size=2, unique=True).map(tuple)),
                st.builds(Delete, HANDLES),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def group(self, commands: list[Command]) -> None:
        expected = [self.expect(command) for command in commands]
        assert self.run(commands) == expected

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = LmdbEngine(Path(self.folder.name) / "store")

    @invariant()
    def the_store_is_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.snapshot() as snapshot:
            stored = {
                key.decode(): {value.value_index: value.data for value in unpack_values(row)}
                for key, row in snapshot.scan(Table.RECORDS, b"")
            }
            assert stored == self.model
            assert [list(each) for each in stored.values()] == [list(self.model[name]) for name in stored]
            assert snapshot.serial() == self.changes == len(snapshot.feed(Serial(0), 10_000))
            assert list(check_store(snapshot)) == []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


Machine.TestCase.settings = settings(
    max_examples=max(25, (settings.default.max_examples or 0) // 100), stateful_step_count=15
)
TestRegistryModel = Machine.TestCase
