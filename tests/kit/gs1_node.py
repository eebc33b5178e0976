"""A node with a product, its lot and units, and links of every kind, under GS1 keys; and what a linkset must be."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tests.kit.node import Node, saltern

PREFIX = "88.118.7"
PRODUCT, LOT = f"{PREFIX}/SKU01", f"{PREFIX}/L1"
GTIN, GLN = "06901234567892", "6901234567892"
ADDRESS = "https://salt.example/"

_ANCHOR = re.compile(r"https?://[A-z0-9./]")
_KEY = re.compile(r"[a-z-]+|https?://[A-z0-9./]+")
_LANGUAGE = re.compile(r"\w{2}(-\w{2})?")
_OPTIONAL = {"hreflang": list, "type": str, "context": list, "fwqs": bool, "public": bool}


def link(name: str, rel: str, **members: Any) -> str:
    """Return the data of a GS1_LINK value."""
    return json.dumps({"href": ADDRESS + name, "rel": rel, "title": name} | members, ensure_ascii=False)


PRODUCT_LINKS = (
    link("zh", "gs1:pip", hreflang=["zh"], type="text/html", default=True),
    link("en", "gs1:pip", hreflang=["en", "en-GB"], type="text/html"),
    link("pdf", "gs1:pip", hreflang=["en"], type="application/pdf"),
    link("recipe1", "gs1:recipeInfo", hreflang=["zh"]),
    link("recipe2", "gs1:recipeInfo", hreflang=["zh"]),
    link("certificate?a=b", "gs1:certificationInfo"),
    link("faq", "gs1:faqs", title="问答"),
    link("recall", "gs1:recallStatus", type="application/json"),
    link("next", "next", fwqs=False),
)


def put(node: Node, handle: str, *values: tuple[str, str]) -> None:
    """Register a record of types and texts, indexes from 1."""
    forms = [{"index": at, "type": kind, "data": data} for at, (kind, data) in enumerate(values, 1)]
    stdin = json.dumps(forms).encode()
    saltern("record", "put", handle, "--file", "-", "--config", str(node.config), stdin=stdin)


def name(node: Node, handle: str, *aliases: str) -> None:
    """Give a handle other names."""
    for alias in aliases:
        saltern("alias", "add", handle, alias, "--config", str(node.config))


def codes(node: Node, lot: str, first: int, many: int) -> list[str]:
    """Return serial numbers of units of a lot."""
    options = ("--from", str(first), "--count", str(many), "--config", str(node.config))
    lines = saltern("lot", "codes", lot, *options).stdout.splitlines()
    return [json.loads(line)["identifier"].partition("/")[2] for line in lines]


def furnish(node: Node) -> None:
    """Register the product with its links, and a lot of it."""
    url = ("URL", ADDRESS + "sku"), ("DESC", "加碘精制食用盐"), ("GTIN", GTIN)
    put(node, PRODUCT, *url, *(("GS1_LINK", each) for each in PRODUCT_LINKS))
    saltern("lot", "create", LOT, "--product", PRODUCT, "--count", "100", "--config", str(node.config))
    name(node, PRODUCT, f"gtin:{GTIN}")


def fits(document: Any) -> bool:
    """Whether a document is a linkset as GS1 has it: read by hand and, where that is there, by the schema."""
    return _by_hand(document) and _by_schema(document)


def _by_hand(document: Any) -> bool:
    return set(document) == {"linkset"} and all(map(_is_entry, document["linkset"]))


def _is_entry(entry: dict[str, Any]) -> bool:
    links = {key: value for key, value in entry.items() if key not in ("anchor", "itemDescription")}
    return (
        _ANCHOR.match(entry["anchor"]) is not None
        and type(entry["itemDescription"]) is str
        and all(_KEY.fullmatch(key) and all(map(_is_link, told)) for key, told in links.items())
    )


def _is_link(told: dict[str, Any]) -> bool:
    more = {key: value for key, value in told.items() if key not in ("href", "title")}
    return (
        _ANCHOR.match(told["href"]) is not None
        and type(told["title"]) is str
        and all(type(value) is _OPTIONAL[key] for key, value in more.items())
        and all(_LANGUAGE.fullmatch(tag) for tag in told.get("hreflang", ()))
        and re.match(r"\w+/[-+.\w]+", told.get("type", "a/b")) is not None
    )


def _by_schema(document: Any) -> bool:
    folder = os.environ.get("SALTERN_CONFORMANCE_DIR")
    if folder is None:
        return True
    import jsonschema

    schema = json.loads((Path(folder) / "gs1/gs1-linkset/gs1-linkset-schema.json").read_text("utf-8"))
    return bool(jsonschema.Draft7Validator(schema).is_valid(document))
