"""The probe of registration: whether the registrar takes a change and has it on the disk."""

from __future__ import annotations

from typing import Final, NamedTuple

PROBE_KEY: Final = b"probe"
"""Key of META: when the last one was written, eight octets of Unix milliseconds, big-endian."""


class Probe(NamedTuple):
    """Write one row, durably, that says nothing: no change, and no entry of any log."""
