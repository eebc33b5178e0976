"""Keys of lots: derived, or sealed and bound to their lot; master keys that come and go."""

from __future__ import annotations

import pytest

from core.clock import Millis
from core.errors import ConfigError, SealError
from core.ident.unitcode import SCHEME, UnitCodes, derive_lot_key
from core.keyring import KeyRing
from core.limits import LOT_KEYS_RETRY_S
from core.lotkeys import NO_MASTER_KEYS, NONCE_BYTES, codes_of_lot, key_of_lot, seal_lot_key
from core.lots import Packaging
from core.store.lot_rows import LotRow
from node.lot_keys import LotKeys

MASTER = bytes(range(32))
LOT = b"88.1/L1"
NONCE = bytes(NONCE_BYTES)
ROW = LotRow("88.1/SKU", b"", Packaging(10), "", "", "", SCHEME, 1, b"", b"", Millis(0), bytes(4))


class Clock:
    """The key file, and the time at which it is read."""

    def __init__(self) -> None:
        self.ring = KeyRing(1, {1: MASTER})
        self.now = 0.0
        self.reads = 0
        self.keys = LotKeys(self.load, lambda: self.now)

    def load(self) -> KeyRing:
        self.reads += 1
        if not self.ring.keys:
            raise ConfigError("no file")
        return self.ring


def test_a_key_is_derived_from_the_master_that_the_lot_names() -> None:
    assert key_of_lot(Clock().keys, LOT, ROW) == derive_lot_key(MASTER, b"88.1", b"L1", 1)


def test_a_sealed_key_opens_for_its_lot_alone() -> None:
    """Moved to another lot, cut or altered it does not."""
    keys = Clock().keys
    sealed = seal_lot_key(MASTER, NONCE, LOT, b"k" * 16)
    assert key_of_lot(keys, LOT, ROW._replace(sealed_key=sealed)) == b"k" * 16
    wrong = [sealed[:-1], sealed[:5], bytes([sealed[0] ^ 1]) + sealed[1:]]
    for lot, octets in ((b"88.1/L2", sealed), *((LOT, each) for each in wrong)):
        with pytest.raises(SealError, match=lot.decode()):
            key_of_lot(keys, lot, ROW._replace(sealed_key=octets))


def test_a_nonce_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="nonce"):
        seal_lot_key(MASTER, NONCE[:-1], LOT, b"k" * 16)


def test_without_master_keys_nothing_opens() -> None:
    with pytest.raises(SealError):
        key_of_lot(NO_MASTER_KEYS, LOT, ROW)


def test_the_file_is_read_again_for_a_key_that_is_not_known() -> None:
    """At once the first time; after one that lacked it once in LOT_KEYS_RETRY_S, whoever asks again and again."""
    clock = Clock()
    assert clock.keys.master(1) == MASTER
    for _ in range(10):
        with pytest.raises(SealError, match="2"):
            clock.keys.master(2)
    assert clock.reads == 2
    clock.ring = KeyRing(2, {1: MASTER, 2: b"2" * 32})
    clock.now += LOT_KEYS_RETRY_S
    assert clock.keys.master(2) == b"2" * 32
    assert clock.keys.master(1) == MASTER
    assert clock.reads == 3


def test_a_file_that_cannot_be_read_takes_no_key_away() -> None:
    clock = Clock()
    clock.keys.master(1)
    clock.ring = KeyRing(0, {})
    assert clock.keys.master(1) == MASTER
    clock.now += LOT_KEYS_RETRY_S
    with pytest.raises(SealError, match="2"):
        clock.keys.master(2)
    with pytest.raises(ConfigError):
        clock.keys.current()


def test_new_lots_get_the_newest_key() -> None:
    """As the file is now."""
    clock = Clock()
    assert clock.keys.current() == 1
    clock.ring = KeyRing(2, {1: MASTER, 2: b"2" * 32})
    assert clock.keys.current() == 2


def test_another_master_key_of_the_same_number_is_told_and_never_used() -> None:
    """It would find every genuine code of the lot false."""
    clock = Clock()
    check = codes_of_lot_check(clock.keys)
    assert codes_of_lot(clock.keys, LOT, ROW._replace(check=check)).index(b"2222222222") is None
    clock = Clock()
    clock.ring = KeyRing(1, {1: b"x" * 32})
    with pytest.raises(SealError, match="L1"):
        codes_of_lot(clock.keys, LOT, ROW._replace(check=check))


def codes_of_lot_check(keys: LotKeys) -> bytes:
    return UnitCodes(key_of_lot(keys, LOT, ROW)).check_value()
