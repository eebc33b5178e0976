"""Hand-back under random changes on both sides, lost answers and kills: what a plain dictionary says is on both."""

from __future__ import annotations

import contextlib
import random
from ipaddress import ip_address
from pathlib import Path

import pytest

from core.errors import NodeError
from core.store.engine import Table
from core.store.handed_rows import kept_of, kept_range
from registry.commands import Delete, Put
from sync.link import UpstreamError
from sync.messages import Made
from sync.topnode.referral import Server
from tests.kit.governance import OWN
from tests.kit.standin import StandIn, url

HANDLES = [f"{OWN}/R{number}" for number in range(5)]


@pytest.mark.parametrize("seed", range(4))
def test_both_sides_end_as_the_model_says(tmp_path: Path, seed: int) -> None:  # noqa: C901
    """Each change is taken once or kept out once, by whichever of both was first; nothing is left out."""
    chance = random.Random(seed)
    pair = StandIn(tmp_path, Server(ip_address("192.0.2.9"), (1, 1, None)))
    node: dict[str, str | None] = dict.fromkeys(HANDLES)
    for handle in HANDLES[:3]:
        node[handle] = "https://first.example"
        pair.office.do(Put(handle, url("https://first.example")))
    pair.deposit()
    pair.begin()
    top, token, made = dict(node), pair.token(), list[tuple[str, str | None, str | None]]()
    kept: list[int] = []

    def told(takeover: str, change: Made) -> None:
        """Take a change; its answer may be lost."""
        if chance.random() < 0.2:
            raise UpstreamError("killed before")
        pair.tell(takeover, change)
        handle, before, after = made[change.number - 1]
        assert handle == change.handle
        if node[handle] == before:
            node[handle] = after
        elif node[handle] != after:
            kept.append(change.number)
        if chance.random() < 0.2:
            raise UpstreamError("killed behind")

    def carry(octets: bytes) -> bytes:
        answer = pair.carry(octets)
        if chance.random() < 0.3:
            raise UpstreamError("lost")
        return answer

    for step in range(40):
        handle, value = chance.choice(HANDLES), chance.choice([None, f"https://{seed}-{step}.example"])
        match chance.choice("ttttnnhhk"):
            case "t" if value is not None or top[handle] is not None:
                number = pair.register(handle, None if value is None else url(value), token).number
                made.append((handle, top[handle], value))
                assert number == len(made)
                top[handle] = value
            case "n" if value is not None or node[handle] is not None:
                pair.office.do(Delete(handle) if value is None else Put(handle, url(value), overwrite=True))
                node[handle] = value
            case "h":
                with contextlib.suppress(UpstreamError):
                    assert pair.hand_back(carry, told)
            case "k":
                pair.reopen()
            case _:
                pass
    pair.back()
    for _ in range(200):
        try:
            if not pair.hand_back(carry, told):
                break
        except UpstreamError:
            continue
    else:
        pytest.fail("it never ends")
    assert {handle: value_of(pair, handle) for handle in HANDLES} == node
    with pair.office.store.snapshot() as snapshot:
        assert [number for number, _ in kept_of(snapshot.scan(Table.HANDED_BACK, *kept_range(pair.upstream)))] == kept
    with pytest.raises(NodeError):
        pair.register(HANDLES[0], url("https://late.example"), token)
    pair.close()


def value_of(pair: StandIn, handle: str) -> str | None:
    try:
        return pair.office.values(handle)[0].data.decode()
    except AssertionError:
        return None
