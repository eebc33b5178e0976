"""Guesses at unit codes, and genuine ones that are changed: how many of them are taken."""

from __future__ import annotations

import random

from core.ident.unitcode import ALPHABET, SERIAL_CHARS, UnitCodes

_LETTERS = ALPHABET.decode()


def guessed_hits(codes: UnitCodes, units: int, count: int, chance: random.Random) -> int:
    """Return how many of so many random serials are those of a unit of the lot."""
    hits = 0
    for _ in range(count):
        index = codes.index("".join(chance.choices(_LETTERS, k=SERIAL_CHARS)).encode())
        hits += index is not None and index < units
    return hits


def altered_hits(codes: UnitCodes, units: int, count: int, chance: random.Random) -> int:
    """Return how many genuine serials are still taken when one or two characters are other ones, or change places."""
    hits = 0
    for number in range(count):
        serial = codes.serial(chance.randrange(units))
        changed = bytearray(serial)
        while bytes(changed) == serial:
            places = chance.sample(range(SERIAL_CHARS), 1 + number % 2)
            if number % 4 == 3:
                changed[places[0]], changed[places[1]] = changed[places[1]], changed[places[0]]
            else:
                for place in places:
                    changed[place] = chance.choice(ALPHABET)
        index = codes.index(bytes(changed))
        hits += index is not None and index < units
    return hits
