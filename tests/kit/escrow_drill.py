"""A node with something of every kind deposits a FULL and two DIFFs between its changes, and is put back from them."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from core import clock
from core.config import load
from sync.escrow.sealing import make_escrow_key
from tests.kit.answers import WAYS, Ports, assert_same, by_browser
from tests.kit.backups import opened
from tests.kit.furnished import LOTS, OWN, Furnishing, allow_site, asked, by_socket, repack, unit_names
from tests.kit.node import Node, saltern

_QUICK = ("udp", "tcp", "http")


class Drilled(NamedTuple):
    """What was seen. ``compared``: answers of both, by protocol; ``names``: that were asked for, without repetition;
    ``statuses``: that a browser has of the first 300."""

    compared: dict[str, int]
    names: int
    statuses: Counter[int]


def drill(folder: Path, answers: int, pages: int, chance: random.Random, *, records: int = 3_000) -> Drilled:
    """Run it all; ``answers``: compared by each of UDP, TCP and HTTP; ``pages``: in a browser.

    Errors: AssertionError.
    """
    private, public, out = folder / "escrow.pem", folder / "escrow.pub", folder / "out"
    make_escrow_key(private, public)
    node = Node(folder / "node", OWN)
    allow_site(node.config)
    config = load(node.config)
    with opened(config) as (store, registry):
        furnishing = Furnishing(lambda request: registry.run([request], clock.now_ms())[0], records)
        furnishing.fill()
        with store.snapshot() as snapshot:
            name = unit_names(config, snapshot, LOTS[0])
        repack(furnishing, LOTS[0], name)

    def deposit(kind: str) -> None:
        arguments = ("--config", str(node.config), "--type", kind, "--out", str(out), "--to-key", str(public))
        saltern("sync", "escrow", *arguments)

    with node:
        deposit("full")
        client = by_socket(config)
        changing = Furnishing(client.call, records)
        for number in (1, 2):
            changing.change(number)
            repack(changing, LOTS[0], name, 20 * number)
            deposit("diff")
        client.close()
        again = folder / "again"
        saltern("restore", "--from-escrow", str(out), "--key", str(private), "--to", str(again))
        names = asked(config, chance, answers)
        with Node(again, OWN) as restored:
            here, there = (Ports(each.ready["http"], each.ready["handle"]) for each in (node, restored))
            compared = assert_same(here, there, names, _QUICK)
            statuses = Counter[int](status for status, *_ in by_browser(here, names[:300]))
            compared |= assert_same(here, there, names[:pages], ["browser"])
        restored.fsck()
    assert set(compared) == set(WAYS)
    return Drilled(compared, len(set(names)), statuses)
