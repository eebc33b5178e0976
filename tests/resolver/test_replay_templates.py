"""The reference server's answers for handles that templates make.

The records are put into the store as they were there: some of them may not be
written here any more (docs/standards/divergences.md#templates-are-checked-when-they-are-written).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import Millis
from core.errors import RecordError
from core.ident.handle import HandleRules, check_handle, check_prefix
from core.outcomes import STATUSES
from core.records import HandleValue, Values
from core.store.engine import Batch, Engine, Table
from core.store.lmdb_engine import LmdbEngine
from core.store.memory_engine import MemoryEngine
from core.store.prefix_rows import HomedPrefix, pack_prefix
from core.store.record_rows import pack_record, record_key
from core.wire.values import decode_values
from registry.values import check_values
from resolver.service import Question, Resolver
from tests.kit.vectors import load

VECTORS = load("handle/templates.json")
EXCHANGES: dict[str, dict[str, Any]] = {exchange["name"]: exchange for exchange in VECTORS["exchanges"]}
REFUSED_WHEN_WRITTEN = {"template_bad_xml_0", "template_other_test_words_0", "template_ref_bad_0"}
RULES = HandleRules()


def namespace_of(exchange: dict[str, Any]) -> HandleValue:
    return HandleValue(1, "HS_NAMESPACE", exchange["namespace"].encode())


@pytest.fixture(scope="module", params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Every prefix with its namespace, and its base, on each engine."""
    folder: Path = tmp_path_factory.mktemp("templates")
    engine: Engine = MemoryEngine() if request.param == "memory" else LmdbEngine(folder / "store", create=True)
    batch = Batch()
    base = decode_values(bytes.fromhex(VECTORS["base_values_hex"]))
    for exchange in EXCHANGES.values():
        prefix = exchange["prefix"]
        batch.put(Table.PREFIXES, check_prefix(prefix, RULES), pack_prefix(HomedPrefix("hosted", Millis(0))))
        put(batch, f"0.NA/{prefix}", (namespace_of(exchange),))
        put(batch, exchange["base"], base)
    engine.commit(batch)
    yield engine
    engine.close()


def put(batch: Batch, handle: str, values: Values) -> None:
    key = check_handle(handle, RULES)
    rows = pack_record(key, values)
    batch.put(Table.RECORDS, record_key(key), rows.record)
    batch.put(Table.ANSWERS, record_key(key), rows.answer)


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_template_makes_what_the_reference_made(store: Engine, name: str) -> None:
    """Response code and values with every field, the times of the base's values too."""
    exchange = EXCHANGES[name]
    question = Question(
        exchange["asked"], frozenset(exchange["indexes"]), tuple(exchange["types"]), refer=False, want="values"
    )
    with store.snapshot() as snapshot:
        answer = Resolver(RULES, root=True).resolve(snapshot, question)
    assert STATUSES[answer.outcome].handle == exchange["response_code"]
    assert (answer.values or ()) == (decode_values(bytes.fromhex(values)) if (values := exchange["values_hex"]) else ())


@pytest.mark.parametrize("name", EXCHANGES)
def test_only_what_the_manual_names_is_refused_when_it_is_written(name: str) -> None:
    """The reference stores each of them."""
    values = (namespace_of(EXCHANGES[name]),)
    if name in REFUSED_WHEN_WRITTEN:
        with pytest.raises(RecordError, match="HS_NAMESPACE with index 1"):
            check_values(values)
    else:
        check_values(values)
