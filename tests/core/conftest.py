"""What a value of each record type may be, so that a test asks `st.from_type(SiteInfo)`."""

from __future__ import annotations

from hypothesis import strategies as st

from core.records import (
    AdminRecord,
    DhKey,
    DsaKey,
    HandleValue,
    Interface,
    OtherKey,
    RsaKey,
    ServerInfo,
    SiteInfo,
    ValueReference,
)
from core.wire.jws import Jws

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
UINT8 = st.integers(0, 2**8 - 1)
UINT16 = st.integers(0, 2**16 - 1)
UINT32 = st.integers(0, 2**32 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
BIG = st.one_of(st.integers(0, 2**20), st.integers(0, 2**2048), st.sampled_from([2**1024, 2**1023, 2**1024 - 1]))
OCTETS = st.binary(max_size=40)
KNOWN_KEYS = ("RSA_PUB_KEY", "DSA_PUB_KEY", "DH_PUB_KEY")

st.register_type_strategy(ValueReference, st.builds(ValueReference, TEXT, INT32))
st.register_type_strategy(AdminRecord, st.builds(AdminRecord, st.integers(0, 0xFFF), TEXT, INT32, st.booleans()))
st.register_type_strategy(RsaKey, st.builds(RsaKey, BIG, BIG))
st.register_type_strategy(DsaKey, st.builds(DsaKey, BIG, BIG, BIG, BIG))
st.register_type_strategy(DhKey, st.builds(DhKey, BIG, BIG, BIG))
OTHER_KINDS = st.one_of(st.sampled_from(["SM2_PUB_KEY", "SM9_PUB_KEY"]), TEXT).filter(lambda k: k not in KNOWN_KEYS)
st.register_type_strategy(OtherKey, st.builds(OtherKey, OTHER_KINDS, OCTETS))
st.register_type_strategy(Interface, st.builds(Interface, UINT8, UINT8, INT32))
DOORS = st.lists(st.from_type(Interface), max_size=3).map(tuple)
st.register_type_strategy(ServerInfo, st.builds(ServerInfo, INT32, st.binary(min_size=16, max_size=16), OCTETS, DOORS))
st.register_type_strategy(
    SiteInfo,
    st.builds(
        SiteInfo, UINT16, UINT8, UINT8, UINT16, st.booleans(), st.booleans(), UINT8, TEXT,
        st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
        st.lists(st.from_type(ServerInfo), max_size=3).map(tuple),
    ),
)  # fmt: skip
st.register_type_strategy(Jws, st.builds(Jws, OCTETS, OCTETS, OCTETS))
st.register_type_strategy(
    HandleValue,
    st.builds(
        HandleValue, INT32, TEXT, st.binary(max_size=100), UINT32, st.booleans(), UINT8, UINT32,
        st.lists(st.from_type(ValueReference), max_size=3).map(tuple),
    ),
)  # fmt: skip
