"""The chapter of ``saltern demo`` about other names: one bag, found by handle, GS1 Digital Link and DNS."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import dns.message
import dns.query
import dns.rdatatype

from node.demo_stage import chapter, command, http_call, say

_OID: Final = "1.2.156.99999.7.1"
_WAIT_S: Final = 5.0
_UINF: Final = "ORS+UINF"


def show_other_names(ready: dict[str, Any], config: Path, bag: str, product: str, gtin: str) -> None:
    """Give product and bag other names, and ask for the bag by each of them."""
    chapter("   其他名字 Other names:", f"saltern alias add {product} gtin:{gtin}; saltern alias add {bag} oid:{_OID}")
    command("alias", "add", product, f"gtin:{gtin}", "--config", str(config))
    command("alias", "add", bag, f"oid:{_OID}", "--config", str(config))

    link = f"/01/{gtin.zfill(14)}/21/{bag.partition('/')[2]}"
    name = ".".join(("ors-dummy", *reversed(_OID.split(".")), "oid-res.org"))
    chapter("   同一袋 The same bag:", f"GET /api/handles/{bag}")
    say(f"   Handle        {_facts(ready, f'/api/handles/{bag}')}")
    say(f"   $ GET {link}; GET /v1/resolve?identifier={link[1:]}")
    status, headers, _ = http_call(ready, "GET", link)
    say(f"   Digital Link  {status} → {headers['Location']}")
    say(f"                 {_facts(ready, f'/v1/resolve?identifier={link[1:]}')}")
    say(f"   $ kdig @127.0.0.1 -p {ready['dns']} {name} NAPTR")
    address = _uniform_resource(ready, name)
    say(f"   DNS           {_UINF} → {address}")
    say(f"                 {_facts(ready, f'/api/handles{urlsplit(address).path}')}")


def _facts(ready: dict[str, Any], path: str) -> str:
    """Return the handle that is answered, and what its values say."""
    told = json.loads(http_call(ready, "GET", path)[2])
    values = {value["type"]: value["data"]["value"] for value in told["values"]}
    return f"{told['handle']}  {values['DESC']}  {values['PRODUCED']}"


def _uniform_resource(ready: dict[str, Any], name: str) -> str:
    """Return the address that DNS gives for an OID (RFC 3403 §4.1; ITU-T X.672, type UINF)."""
    question = dns.message.make_query(name, dns.rdatatype.NAPTR)
    answer = dns.query.udp(question, "127.0.0.1", port=ready["dns"], timeout=_WAIT_S)
    rules = [
        record.regexp.decode()
        for rrset in answer.answer
        for record in rrset
        if record.rdtype == dns.rdatatype.NAPTR and record.service.decode() == _UINF
    ]
    found = re.fullmatch(r"!\^\.\*\$!(.+)!", rules[0])
    assert found is not None, rules
    return found[1]
