"""Who may change what, over the wire: the reference server's matrix of operations and permission bits.

Each cell is a request of the binary protocol at a real node, with its challenge and the answer to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.handle_bench import (
    DERIVED,
    DERIVED_VALUES,
    OPERATIONS,
    PREFIX_OPERATIONS,
    Bench,
    bench,
    identity,
)
from tests.kit.handle_recorded import EXCHANGES, MORE, pair
from tests.kit.handle_replay import anchors
from tests.kit.vectors import load

MATRIX = load("handle/mask_matrix.json")["mask_matrix"]
STRANGER = 413
MASK_002 = 401
"""The identity of the row wrong_secret; it may delete the handle and nothing else."""

PROOF_FIRST = "handle-protocol-proof-first-then-existence-then-right"
DIFFERENCES = {
    ("anonymous", "create_existing"): 402,
    **{
        ("wrong_secret", name): 403
        for name in OPERATIONS
        if name
        not in (
            "delete_handle", "overwrite_modify_value", "overwrite_remove_all",  # 403 in the reference server too
            "modify_public_write", "modify_no_admin_write", "read_no_admin_read",  # never challenged
        )
    },
}  # fmt: skip
"""Cells that differ by the divergence PROOF_FIRST, and what ours answers."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("masks")) as made:
        yield made


def test_the_differences_have_their_heading() -> None:
    """And each is one: the reference server answered otherwise."""
    assert PROOF_FIRST in anchors()
    for (row, name), code in DIFFERENCES.items():
        assert MATRIX[row][name] != code


def test_the_operations_are_those_of_the_recorded_requests() -> None:
    """None is missing, and each that was recorded has its octets."""
    assert set(OPERATIONS) == set(MATRIX["responseCodes"]) == set(MATRIX["anonymous"])
    assert set(PREFIX_OPERATIONS) == set(MATRIX["prefix_level"])
    found = set()
    for name in EXCHANGES:
        kind, _, rest = name.partition("_")
        operation = rest.rpartition("_bit")[0] if kind in ("mask", "prefix") else rest
        known = PREFIX_OPERATIONS if kind == "prefix" else OPERATIONS
        if kind not in ("mask", "wrongsecret", "anon", "prefix") or "#" in name or operation not in known:
            continue
        request = pair(name)[0]
        assert (request.op, request.flags, request.body) == (
            known[operation].op, known[operation].flags, known[operation].body,
        ), name  # fmt: skip
        found.add((kind == "prefix", operation))
    assert len(found) > 20


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_bit_opens_what_it_opens_there(server: Bench, name: str) -> None:
    """Identity 400+n holds bit n in one HS_ADMIN value, and no other."""
    for bit, code in enumerate(MATRIX["responseCodes"][name]):
        server.put_mask()
        assert server.ask(OPERATIONS[name], identity(400 + bit)).code == code, MATRIX["bits"][bit]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("row", ["anonymous", "wrong_secret", "stranger"])
def test_who_has_no_right_is_told_the_same(server: Bench, row: str, name: str) -> None:
    """Nobody, a secret that is wrong, an identity that no HS_ADMIN value names."""
    who = {"wrong_secret": identity(MASK_002, b"wrong"), "stranger": identity(STRANGER)}.get(row)
    server.put_mask()
    assert server.ask(OPERATIONS[name], who).code == DIFFERENCES.get((row, name), MATRIX[row][name])


@pytest.mark.parametrize("name", PREFIX_OPERATIONS)
def test_the_prefix_handle_opens_creation_and_lists(server: Bench, name: str) -> None:
    """001 a handle, 004 a derived prefix, 800 the list; homing, lists of prefixes and the status no bit at all."""
    server.put_prefix_administrators()
    for bit, code in enumerate(MATRIX["prefix_level"][name]):
        if name == "delete_derived":
            server.put(DERIVED, DERIVED_VALUES)
        elif name.startswith("create_"):
            handle = DERIVED if name == "create_derived" else "88.9999.2/C1"
            assert server.admin.delete(handle).code in (1, 100)
        reply = server.ask(PREFIX_OPERATIONS[name], identity(400 + bit))
        assert reply.code == code, MATRIX["bits"][bit]


def test_the_bits_of_the_set_up_are_those_of_the_matrix() -> None:
    """Bit n is the mask 1 << n."""
    assert [1 << bit for bit in range(12)] == [int(bits, 16) for bits in MATRIX["bits"]]
    assert MORE["mask_matrix"] == MATRIX
