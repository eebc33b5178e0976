"""Which server of a site a handle belongs to: as the reference server and its clients compute it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Outcome, ResponsibilityError
from core.ident import sitehash
from core.ident.handle import HandleRules, check_requested
from core.ident.sitehash import ServerChoice, site_hash
from core.records import HashOption
from tests.kit.vectors import load

VECTORS = load("handle/site_hash.json")["vectors"]
THREE_SERVERS = load("handle/set_e_three_server_site_tcp.json")["exchanges"]


def test_the_options_are_those_of_a_site() -> None:
    """core.ident stands beside core.records and has its own names for them."""
    assert list(HashOption) == [sitehash.BY_PREFIX, sitehash.BY_SUFFIX, sitehash.BY_ALL]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: ascii(vector["handle"]))
def test_hashes_are_those_of_the_reference_server(vector: dict[str, object]) -> None:
    """By prefix, suffix, and the whole, of 230 handles."""
    assert [site_hash(str(vector["handle"]), option) for option in HashOption] == vector["hash"]


def test_the_vectors_are_all_there() -> None:
    """Both files, with handles on either side."""
    assert len(VECTORS) >= 50
    assert {exchange["responseCode"] for exchange in THREE_SERVERS} >= {1, 301}


@pytest.mark.parametrize("exchange", THREE_SERVERS, ids=lambda exchange: str(exchange["handle"]))
def test_the_first_of_three_servers_takes_what_the_reference_server_took(exchange: dict[str, object]) -> None:
    """Hash option 2; anything but 301 says that the handle was taken."""
    handle, taken = str(exchange["handle"]), exchange["responseCode"] != 301
    assert ServerChoice(HashOption.BY_ALL, 3, 0).takes(handle) is taken
    rules = HandleRules(server=ServerChoice(HashOption.BY_ALL, 3, 0))
    if taken:
        assert check_requested(handle, rules) == rules.key(handle)
        return
    with pytest.raises(ResponsibilityError) as caught:
        check_requested(handle, rules)
    assert (caught.value.ended, caught.value.message) == (Outcome.NOT_RESPONSIBLE, "Request was hashed incorrectly")


def test_the_smallest_number_has_an_absolute_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """-2**31, which has none in 32 bits."""

    class Digest:
        def digest(self) -> bytes:
            return bytes(12) + b"\x80\x00\x00\x00"

    monkeypatch.setattr(hashlib, "md5", lambda *_, **__: Digest())
    assert site_hash("88.1/x", 2) == 2**31
    assert [ServerChoice(2, 3, position).takes("88.1/x") for position in range(3)] == [False, False, True]


def test_an_unknown_option_is_an_error_of_ours() -> None:
    """The configuration was checked before."""
    with pytest.raises(ValueError, match="hash option 3"):
        site_hash("88.1/x", 3)


@given(
    handle=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    option=st.sampled_from(HashOption),
    servers=st.integers(1, 256),
)
def test_every_handle_belongs_to_one_server_whatever_its_case(handle: str, option: int, servers: int) -> None:
    """Total on any text that is UTF-8."""
    takers = [n for n in range(servers) if ServerChoice(option, servers, n).takes(handle)]
    assert len(takers) == 1
    folded = handle.encode().upper().decode()
    assert site_hash(folded, option) == site_hash(handle, option) <= 2**31
