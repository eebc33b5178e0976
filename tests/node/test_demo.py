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
    restarted = told.partition("kill -9")[2]
    assert re.search(rf"{true}  \S+  unit, commissioned", restarted)
