"""One object, one Answer, while everything changes and processes are killed."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.node import Node
from tests.kit.one_answer import PREFIX, endure_changes, settings

WRITERS = 3
ACTS = 30


def test_after_each_change_every_way_tells_the_same(tmp_path: Path, seed: int) -> None:
    """By handle (JSON, UDP, TCP), alias, GS1 Digital Link (both ways), OID over DNS; transfers of the zone too.

    Records, lots and bags get other URLs and aliases, lose them, are deleted, held, let go and scrapped, while workers
    and the registrar are killed. `make soak` does it for long; SALTERN_SEED repeats it.
    """
    with Node(tmp_path / "node", PREFIX, **settings(tmp_path)) as node:
        endured = endure_changes(node, WRITERS, ACTS, random.Random(seed))
        assert {"url", "alias"} <= set(endured.acts)
        assert endured.asked > 5 * endured.acts.total()
        assert endured.names > 0
        assert "every row is right" in node.fsck()
        assert "Traceback" not in node.log()
