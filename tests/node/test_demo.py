"""``saltern demo``: it runs for real, and what it shows is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def told() -> str:
    """What the demo prints. It ends well, and leaves no folder."""
    done = subprocess.run(
        [sys.executable, "-m", "node.cli.main", "demo"],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_million_bags_are_one_registration(told: str) -> None:
    """Of less than 1 KiB; and every other lot of the sample data is registered as well."""
    assert re.search(r"1000000 袋 bags, \d+ 箱 cases, \d+ 托盘 pallets", told)
    octets = re.search(r"(\d+) 字节 octets written", told)
    assert octets
    assert int(octets[1]) < 1_024
    assert re.search(r"另 239 批 lots more, 71958000 袋 bags", told)


def test_a_bag_its_case_and_its_pallet_are_answered(told: str) -> None:
    """Each names what it is in, and how many are in it."""
    bag, case, pallet = re.findall(r"^   (\S+)  \S+  (?:unit|case|pallet), allocated(.*)$", told, re.MULTILINE)
    assert bag[1] == f"  在 in {case[0].partition('/')[2]}"
    assert case[1] == f"  在 in {pallet[0].partition('/')[2]}  内有 holds 50"
    assert pallet[1] == "  内有 holds 40"


def test_true_false_and_scrapped_codes_are_told_apart(told: str) -> None:
    """By the command, and by the answer; the true one is still true after the node was killed."""
    true, scrapped, false = re.findall(r"^   (\S+)  (?:已发码|未发码|已作废) ", told, re.MULTILINE)
    assert f"{true}  已发码 issued\n" in told
    assert f'404 {{"responseCode":100,"message":"gone","handle":"{scrapped}"}}' in told
    assert f'404 {{"responseCode":100,"message":"not-issued","handle":"{false}"}}' in told
    restarted = told.partition("kill -9, ")[2]
    assert re.search(rf"{true}  \S+  unit, commissioned", restarted)


def test_a_bag_is_the_same_by_handle_digital_link_and_dns(told: str) -> None:
    """The handle, the product and the day that are printed; the link and the name in DNS are the bag's own."""
    names = told.partition("The same bag:")[2].partition("5. ")[0]
    facts = re.findall(r"^   (?:Handle  )? {6,}(\S+/\S+  \S+  \d{4}-\d\d-\d\d)$", names, re.MULTILINE)
    assert len(facts) == 3
    assert len(set(facts)) == 1, facts
    bag = facts[0].partition("  ")[0]
    assert re.search(rf"\$ GET /01/\d{{14}}/21/{bag.partition('/')[2]}; ", names)
    assert re.search(r"Digital Link  307 → https://p009\.example\.cn/sku/01\n", names)
    assert re.search(r"kdig @127\.0\.0\.1 -p \d+ ors-dummy\.1\.7\.99999\.156\.2\.1\.oid-res\.org NAPTR\n", names)
    assert re.search(rf"DNS           ORS\+UINF → http://127\.0\.0\.1:\d+/{re.escape(bag)}\n", names)


def test_a_top_node_has_it_and_leads_to_it(told: str) -> None:
    """Products and lots, each one row; a client that asks it is referred to the node."""
    assert "T2 解析路由 routes 11, T9 标识 identifiers 306\n" in told
    above = told.partition("5. ")[2]
    assert re.search(r'"identifier": "88\.118\.9/L260714004".*"serial_length": 10, "count": 1000000}', above)
    assert re.search(
        r"By referral: 127\.0\.0\.1:\d+ → 127\.0\.0\.1:\d+\n +2  DESC .*\n.*unit\n.* commissioned\n", above
    )


def test_an_outage_of_the_top_node_stops_nothing_and_loses_nothing(told: str) -> None:
    """What was registered meanwhile waits, and what waits is told; afterwards both sides are equal."""
    away, _, back = told.partition("kill -9; ")[2].partition("恢复供电")
    assert re.search(r"NEW-SALT: created\n.*NEW-SALT  200\n.*  200\n", away)
    assert "The top node cannot be reached" in away
    assert re.search(r"T9 .* accepted 306, 拒收 refused 0, 待报 waiting 1, 将于 due ", away)
    assert "已报送 Sent: 1 行 rows" in back
    assert re.search(r"T9   307 行 rows, 不一致 different: 0\n   两端一致 Both sides are equal\n", back)


def test_a_top_node_answers_for_a_node_that_was_killed(told: str) -> None:
    """From the deposit, and not by a referral; what was registered there meanwhile is at the node afterwards."""
    away, _, back = told.partition("saltern topnode takeover")[2].partition("移交 Hand-back")
    assert "normal → takeover" in away
    assert re.search(r"takeover  .*\n +2  DESC .*\n.*unit\n.* commissioned\n", away), "no referral stands before it"
    assert '201 {"handle": "88.118.1/EMERGENCY", "number": 1, "outcome": "created"}' in away
    assert re.search(r"88\.118\.1/EMERGENCY  200", back)
    assert "returning → normal" in back


def test_a_backup_that_is_put_back_answers_the_same(told: str) -> None:
    """Behind a jump of the serials, and with logs of another name; the report of the month was made before."""
    assert "report-2" in told.partition("截至目前 so far")[2].partition("10. ")[0]
    back = told.partition("10. ")[2]
    before, after = re.findall(r"序号由 (\d+) 改从 (\d+) 继续", back)[0]
    assert int(after) >= int(before) + 2**32
    assert re.search(r"logs begin anew as 88\.118\.1-\d{8}T\d{6}Z\n.*the same answer as before\n", back)
