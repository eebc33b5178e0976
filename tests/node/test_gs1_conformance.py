"""The GS1 resolver test suite against a real node: every check passes, with no warning, over HTTP and HTTPS."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.ident.gs1_table import KEYS
from tests.kit.gs1_node import GTIN, LOT, codes, fits, furnish
from tests.kit.gs1_suite import CHECKS, Suite
from tests.kit.node import Node

CONFORMANCE = os.environ.get("SALTERN_CONFORMANCE_DIR")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("gs1"), "88.118.7") as running:
        furnish(running)
        yield running


def is_described(document: dict[str, Any]) -> bool:
    """Whether it is a resolver description file: what the schema 1.2.0 of GS1 asks for, read by hand."""
    return (
        re.fullmatch(r"https?://[^ /]+", document["resolverRoot"]) is not None
        and set(document["supportedPrimaryKeys"]) == KEYS
        and type(document["name"]) is str
        and document["supportedLinkType"] == [{"namespace": "https://gs1.org/voc/", "prefix": "gs1:"}]
        and document["linkTypeDefaultCanBeLinkset"] is False
        and document["jsonLdContextLocation"].startswith("https://")
    )


@pytest.mark.parametrize("level", ["product", "serial"])
@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
def test_every_check_of_the_suite_passes(node: Node, level: str, tls: bool) -> None:
    """For a product and for one of its bags; over plain HTTP all but that it is HTTPS."""
    (serial,) = codes(node, LOT, 3, 1)
    path = f"/01/{GTIN}" + (f"/21/{serial}" if level == "serial" else "")
    scheme = "https" if tls else "http"
    suite = Suite(partial(node.ask, tls=tls), f"{scheme}://127.0.0.1:{node.ready[scheme]}", path, fits, is_described)
    verdicts = suite.verdicts()
    assert set(verdicts) >= CHECKS
    assert len([check for check in verdicts if check.startswith("loFor")]) == 12
    expected = set() if tls else {"isHttps", "plausibleDL", "validDL"}
    assert {check for check, passed in verdicts.items() if not passed} == expected


def test_the_schema_of_gs1_is_what_we_read_by_hand() -> None:
    """Its own examples, valid and not."""
    if CONFORMANCE is None:
        pytest.skip("SALTERN_CONFORMANCE_DIR is not set")
    folder = Path(CONFORMANCE) / "gs1/gs1-linkset"
    assert fits(json.loads((folder / "valid-gs1-example.json").read_text("utf-8")))
    with pytest.raises(KeyError):
        fits(json.loads((folder / "invalid-gs1-example.json").read_text("utf-8")))
