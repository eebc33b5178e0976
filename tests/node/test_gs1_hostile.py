"""A running node against Digital Links that are wrong in every way: never its own failure, nobody is led astray."""

from __future__ import annotations

import random
from pathlib import Path

from tests.kit.link_noise import BASE, endure_links
from tests.kit.node import Node

PREFIX = "88.118.7"
REQUESTS = 2_000


def test_noise_between_what_is_right(tmp_path: Path, seed: int) -> None:
    """Paths, queries and headers: no 5xx, no place that nobody registered; `make soak` does it for long."""
    with Node(tmp_path / "node", PREFIX, node__public_url=BASE) as node:
        endured = endure_links(node, REQUESTS, random.Random(seed))
    assert {200, 307, 400, 404, 405} <= set(endured.codes)
    assert endured.right >= REQUESTS // 10
