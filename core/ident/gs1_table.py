"""The application identifiers (AI) of GS1 that may stand in a Digital Link, as a table.

One line, for one AI or for several of one kind:

    310-316_5     families 310 to 316, last digit 0 to 5
    =             the length is known from the AI, so that no separator follows in a symbol
    &             may be an attribute: stand in the query of a Digital Link
    n14           exactly 14 of the kind n; n-20 is 1 to 20 of them; ? behind: or nothing
                  n digits, x the 82 characters, y the 39, z those of base64 in URIs
    n6:date       the same, and what is more (core.ident.gs1.SAYS)
    with A B+C    needs A, or B and C, beside it
    not D         never beside D
    31nn          any AI that begins so; ~ any other one of its own family

Left out: AIs that are neither key nor qualifier nor attribute there (03, 7041, 8014, 804n, 8200).
Source: GS1 General Specifications §3, §4.14; GS1 Digital Link URI syntax 1.6 §4; the Syntax Dictionary of GS1 is what
tests/core/test_gs1_dictionary.py compares it with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Final, NamedTuple

_ITEM: Final = "01 02 03 8006 8026"  # a trade item, its content, or a piece of one

_LINES: Final = """
00            =& n18:mod10
01            =& n14:mod10  not 255 37
02            =& n14:mod10  with 37  not 01 03
10            &  x-20  with ITEM
11,13,15,16   =& n6:date0  with ITEM
12            =& n6:date0  with 8020
17            =& n6:date0  with ITEM 255
20            =& n2  with ITEM
21            .  x-20  with 01 03 8006  not 235
22            .  x-20  with 01
235           .  x-28  with 01
240,241       &  x-30  with ITEM
242           &  n-6  with 01 02 8006 8026
243           &  x-20  with 01 03
250           &  x-30  with 01+21 03+21 8006+21
251           &  x-30  with 01 03 8006
253           &  n13:mod10 x-17?
254           .  x-20  with 414
255           &  n13:mod10 n-12?  not 01 02 415 8006 8020 8026
30            &  n-8  with 01 02
310-316_5     =& n6  with 01 02  not ~
320-329_5     =& n6  with 01 02  not ~
330-336_5     =& n6  with 00 01  not ~
337_5         =& n6  with 01  not ~
340-349_5     =& n6  with 00 01  not ~
350-352_5     =& n6  with 01 02  not ~
353-355_5     =& n6  with 00 01  not ~
356-357_5     =& n6  with 01 02  not ~
360-361_5     =& n6  with 01 02  not ~
362-363_5     =& n6  with 00 01  not ~
364-366_5     =& n6  with 01 02  not ~
367-369_5     =& n6  with 00 01  not ~
37            &  n-8  with 00+02 00+8026
390_9         &  n-15  with 255 8020  not ~ 391n 394n 8111
391_9         &  n3:currency n-15  with 8020  not ~
392_9         &  n-15  with 01+30 01+31nn 01+32nn 01+35nn 01+36nn  not ~ 393n
393_9         &  n3:currency n-15  with 30 31nn 32nn 35nn 36nn  not ~
394_3         &  n4  with 255  not ~ 8111
395_5         &  n6  with 30 31nn 32nn 35nn 36nn  not 392n 393n ~ 8005
400           &  x-30
401           &  x-30:prefix
402           &  n17:mod10
403           &  x-30  with 00
410-414       =& n13:mod10
415           =& n13:mod10  with 8020
416,417       =& n13:mod10
420           &  x-20  not 421
421           &  n3:country x-9  not 4307
422           &  n3:country  with ITEM  not 426
423,425       &  n3:country n3?:country n3?:country n3?:country n3?:country  with 01 02 03  not 426
424           &  n3:country  with 01 02 03  not 426
426           &  n3:country  with 01 02 03
427           &  x-3  with 01+422 02+422 03+422
4300,4301     &  x-35:percent  with 00
4302          &  x-70:percent  with 00
4303          &  x-70:percent  with 4302
4304-4306     &  x-70:percent  with 00
4307,4317     &  x2:nation  with 00
4308,4319     &  x-30  with 00
4309          &  n10:latitude n10:longitude  with 00
4310,4311     &  x-35:percent  with 00
4312          &  x-70:percent  with 00
4313          &  x-70:percent  with 4312
4314-4316     &  x-70:percent  with 00
4318          &  x-20  with 00
4320          &  x-35:percent  with 00
4321-4323     &  n1:yesno  with 00
4324,4325     &  n6:date0 n4:time  with 00
4326          &  n6:date  with 00
4330          &  n6 x1?:minus  with 00  not 4331
4331          &  n6 x1?:minus  with 00  not 4330
4332          &  n6 x1?:minus  with 00  not 4333
4333          &  n6 x1?:minus  with 00  not 4332
7001          &  n13  with 01 02 8006 8026
7002          &  x-30  with 01 02
7003          &  n6:date n4:time  with 01 02 03
7004          &  n-4  with 01+10 03+10
7005          &  x-12  with 01 02
7006          &  n6:date  with 01 02
7007          &  n6:date n6?:date  with 01 02
7008          &  x-3  with 01 02
7009          &  x-10  with 01 02
7010          &  x-2  with 01 02 03
7011          &  n6:date n4?:time  with 01 02 03
7020          &  x-20  with 01+416 03+416 8006+416
7021          &  x-20  with 01 03 8006
7022          &  x-20  with 01+7021 03+7021 8006+7021
7023          &  x-30:prefix
703_9         &  n3:country999 x-27  with 01 02
7040          .  n1 x1 x1 x1:importer
710-717       &  x-20  with 01
723_9         &  x2 x-28  with 01 8004
7240          &  x-20  with 01 8006  not 03
7241          &  n2:media  with 8017 8018
7242          &  x-25  with 8017 8018
7250          &  n8:date  with 8018  not 7251
7251          &  n8:date n4:time  with 8018  not 7250
7252          &  n1:sex  with 8018
7253,7254     &  x-40:percent  with 8017 8018  not 7256 7259
7255          &  x-10  with 8017 8018  not 7256 7259
7256          &  x-90:percent  with 8017 8018
7257          &  x-70:percent  with 8018
7258          &  x3:order  with 8018+7259
7259          &  x-40:percent  with 8018  not 7256
8001          &  n4:nonzero n5:nonzero n3:nonzero n1:winding n1  with 01
8002          &  x-20
8003          &  n1:zero n13:mod10 x-16?
8004          &  x-30:prefix
8005          &  n6  with 01 02
8006          &  n14:mod10 n4:piece  not 01 03 37
8007          &  x-34:iban  with 415
8008          &  n6:date n2:hour n2?:minute n2?:minute  with 01 02 03
8009          &  x-50  with 00 01 03
8010          &  y-30:prefix
8011          .  n-12:lead  with 8010
8012          &  x-20  with 01 03 8006
8013          &  x-25:pair:prefix
8017          &  n18:mod10  not 8018
8018          &  n18:mod10  not 8017
8019          .  n-10  with 8017 8018
8020          .  x-25  with 415
8026          &  n14:mod10 n4:piece  with 37  not 02 03 8006
8030          &  z-90  with 00 01+21 03+21 253 255 8003 8004 8006+21 8010+8011 8017 8018
8110          &  x-70:coupon
8111          &  n4  with 255
8112          &  x-70:offer
90            &  x-30
91-99         &  x-90
"""

_KEYS: Final = """
00  253  255  401  402  8003  8013
01:22,10,21  01:235  8006:22,10,21
414:254  414:7040  415:8020  417:7040
8004:7040  8010:8011  8017:8019  8018:8019
"""  # a key and its qualifiers, each of which may be left out, in this order

_PART: Final = re.compile(r"([nxyz])(-?)([0-9]+)(\??)((?::[a-z0-9]+)*)")
_AIS: Final = re.compile(r"([0-9]+)(?:-([0-9]+))?(?:_([0-9]))?")


class Part(NamedTuple):
    """One part of a value: ``least`` to ``most`` characters of a kind, n x y or z; ``may_lack``: or nothing."""

    kind: str
    least: int
    most: int
    may_lack: bool
    checks: tuple[str, ...]


class Rule(NamedTuple):
    """What is fixed for one AI. ``needs``: one of these groups beside it, if any. ``never``: none of these."""

    ai: str
    fixed: bool
    attribute: bool
    parts: tuple[Part, ...]
    needs: tuple[tuple[str, ...], ...]
    never: tuple[str, ...]


def _read_part(text: str) -> Part:
    found = _PART.fullmatch(text)
    if found is None:
        raise ValueError(text)
    kind, upto, most, may_lack, checks = found.groups()
    return Part(kind, 1 if upto else int(most), int(most), bool(may_lack), tuple(checks.split(":")[1:]))


def _read_ais(text: str) -> Iterator[str]:
    for each in text.split(","):
        found = _AIS.fullmatch(each)
        if found is None:
            raise ValueError(text)
        first, last, digit = found.groups()
        for number in range(int(first), int(last or first) + 1):
            ai = str(number).zfill(len(first))
            yield from (ai,) if digit is None else (f"{ai}{low}" for low in range(int(digit) + 1))


def _read_line(line: str) -> Iterator[Rule]:
    left, _, never = line.partition(" not ")
    left, _, needs = left.partition(" with ")
    ais, marks, *parts = left.split()
    read = tuple(map(_read_part, parts))
    groups = tuple(tuple(group.split("+")) for group in needs.replace("ITEM", _ITEM).split())
    for ai in _read_ais(ais):
        family = ai[:3] + "n"
        yield Rule(ai, "=" in marks, "&" in marks, read, groups, tuple(never.replace("~", family).split()))


def _sequences() -> Iterator[tuple[str, ...]]:
    for each in _KEYS.split():
        key, _, qualifiers = each.partition(":")
        names = qualifiers.split(",") if qualifiers else []
        for many in range(len(names) + 1):
            for chosen in combinations(names, many):
                yield (key, *chosen)


RULES: Final = {rule.ai: rule for line in _LINES.strip().splitlines() for rule in _read_line(line)}
"""Every AI that may stand in a Digital Link."""

SEQUENCES: Final = tuple(dict.fromkeys(_sequences()))
"""Every path that there is: a key and some of its qualifiers, in order."""

KEYS: Final = frozenset(sequence[0] for sequence in SEQUENCES)
"""The keys of Digital Links."""
