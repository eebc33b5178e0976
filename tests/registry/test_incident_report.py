"""The signed report: nothing of it can be altered, and the page says exactly what is signed."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.clock import Millis
from core.errors import WireError
from core.incidents import PURPOSE, Kind, Severity, State
from core.signature import Signer, key_id
from core.store.incident_rows import Incident, Measure, Report
from core.who import Who
from registry.incident_report import Reporting, check_report, render_report, report_document
from tests.kit.governance import SIGNER

AT = Millis(1_790_000_000_000)
ANNA = Who("local", "安娜 <i>", 1_000)
OTHER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
WHOLE = Incident(
    "解析中断 <script>alert(1)</script>", "主机断电\n&lt;b&gt; \"'", "attack", "extraordinary", AT,
    Millis(AT + 60_000), Millis(AT + 120_000), "88.118.7 </pre>", "供电 &amp;", AT, ANNA, Millis(AT + 86_400_000),
    "closed", Millis(AT + 180_000), (Measure(AT, "换 <b>电源</b>", ANNA), Measure(AT, "二", ANNA)),
    (Report(AT, "省局 <1>", ANNA, "k"),),
)  # fmt: skip
BARE = Incident("t", "d", "other", "ordinary", AT, AT, Millis(0), "", "", AT, ANNA, AT)
NODE = Reporting("88.118", "某<盐>业", "Saltern 0.1.0")


def signed(incident: Incident = WHOLE, signer: Signer = SIGNER, **changes: Any) -> dict[str, Any]:
    """Return a signed report, of other members before it was signed."""
    document = report_document("I000001", incident, NODE, to="省通信管理局 <to>", who=ANNA, now_ms=AT)
    return signer.sign_document(PURPOSE, document | changes)


def as_json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


Path = tuple[str | int, ...]


def leaves(part: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of every leaf; of an empty list or object itself."""
    if isinstance(part, dict | list) and part:
        for name, inner in part.items() if isinstance(part, dict) else enumerate(part):
            yield from leaves(inner, (*path, name))
    else:
        yield path, part


def changed(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return a copy in which one leaf is something else."""
    made = copy.deepcopy(document)
    place: Any = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return made


DOCUMENT = signed()
LEAVES = list(leaves(DOCUMENT))


# --- the signature ------------------------------------------------------------


@pytest.mark.parametrize("incident", [WHOLE, BARE])
def test_both_forms_are_good(incident: Incident) -> None:
    """In whatever order and with whatever blanks the JSON comes."""
    document = signed(incident)
    texts = [as_json(document), json.dumps(document, indent=3, sort_keys=True).encode(), render_report(document)]
    for octets in texts:
        checked = check_report(octets)
        assert (checked.document, checked.key_id) == (document, key_id(SIGNER.public_key))


@given(st.data())
def test_no_leaf_can_be_altered(data: st.DataObject) -> None:
    """Nor taken away, nor another one added: neither in the JSON nor in the page that holds it."""
    path, value = data.draw(st.sampled_from(LEAVES))
    if isinstance(value, str) and value:
        at = data.draw(st.integers(0, len(value) - 1))
        other: Any = value[:at] + data.draw(st.characters(exclude_categories=["Cs"])) + value[at + 1 :]
    else:
        other = data.draw(st.none() | st.integers(0, 9) | st.text("ab", max_size=2) | st.lists(st.just("a")))
    altered = changed(DOCUMENT, path, other)
    if altered == DOCUMENT:
        return
    refuse(as_json(altered))
    refuse(page_of(altered))
    if isinstance(path[-1], str):
        refuse(as_json(changed(DOCUMENT, (*path[:-1], "more"), 1)))


@pytest.mark.parametrize("path", [path for path, _ in LEAVES], ids=lambda path: ".".join(map(str, path)))
def test_each_leaf_counts(path: Path) -> None:
    """Each of them, not those alone that are drawn."""
    for other in (None, "", "x", 7, 1.5, [], {}):
        altered = changed(DOCUMENT, path, other)
        assert altered != DOCUMENT
        refuse(as_json(altered))


def refuse(octets: bytes) -> str:
    with pytest.raises(WireError, match=r"^报告无效：.*。The report is not good: ") as raised:
        check_report(octets)
    return raised.value.message


def page_of(document: dict[str, Any]) -> bytes:
    """Return the page of the report with other JSON in it."""
    inner = json.dumps(document, ensure_ascii=False, indent=1)
    escaped = inner.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    page = render_report(DOCUMENT).decode()
    return re.sub(r'(?s)(<pre id="signed">).*(</pre>)', lambda match: match[1] + escaped + match[2], page).encode()


def test_a_signature_written_otherwise_is_another_one() -> None:
    """Base64 has more than one text for the same octets; only ours is good."""
    value = DOCUMENT["signature"]["value"]
    same = value[:-3] + chr(ord(value[-3]) + 1) + "=="
    refuse(as_json(changed(DOCUMENT, ("signature", "value"), same)))


def test_a_name_that_stands_twice_is_refused() -> None:
    """Who reads the first would read something else than who reads the last."""
    text = as_json(DOCUMENT).replace(b'{"version": 1', b'{"title": "x", "version": 1', 1)
    assert json.loads(text) == DOCUMENT
    assert "重名" in refuse(text)


def test_what_is_signed_for_another_purpose_is_no_report() -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != "signature"}
    refuse(as_json(SIGNER.sign_document("prefix export", document)))


@pytest.mark.parametrize("changes", [{"version": 2}, {"more": "x"}, {"title": 1}, {"node": {}}, {"measures": [1]}])
def test_what_has_another_form_is_no_report(changes: dict[str, Any]) -> None:
    """Though its signature holds: nobody would see what the page does not show."""
    assert "所签内容不是事件报告" in refuse(as_json(signed(**changes)))


def test_another_key_is_told() -> None:
    """The signature holds; whose key it is, is told and not judged here."""
    assert check_report(as_json(signed(signer=OTHER))).key_id == key_id(OTHER.public_key)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: ('<pre id="signed">' + text + "</pre>").encode()))
def test_the_check_is_total(octets: bytes) -> None:
    """Whatever the file holds."""
    refuse(octets)


@pytest.mark.parametrize(
    "octets", [b"[" * 100_000, b"1" * 10_000, b'{"a":NaN}', b'{"a":"\\ud800"}', b"null", b"<html>"]
)
def test_the_check_is_total_on_odd_json(octets: bytes) -> None:
    refuse(octets)
    refuse(b'<pre id="signed">' + octets + b"</pre>")


# --- the page -------------------------------------------------------------------


class Page(HTMLParser):
    """What a page shows: the texts of its spans, the tags that it has, and the JSON that it holds."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.values: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.json = ""
        self._open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attributes}
        self._open.append(tag)
        if tag == "span":
            self.values.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "span" in self._open:
            self.values[-1] += data
        elif "pre" in self._open:
            self.json += data


@pytest.mark.parametrize("incident", [WHOLE, BARE])
def test_the_page_shows_exactly_what_is_signed(incident: Incident) -> None:
    """Each leaf once, none that is not there, and the JSON itself; no text becomes a tag."""
    document = signed(incident)
    page = Page(render_report(document))
    shown = Counter(str(value) for _, value in leaves(document) if value not in (None, []))
    assert Counter(page.values) == shown
    assert json.loads(page.json) == document
    assert not {"script", "b", "i", "img", "a", "link", "form"} & set(page.tags)
    assert page.tags["pre"] == 1
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "id"}


ANY_TEXT = st.text(st.sampled_from("<>&\"'/ab盐\n "), min_size=1, max_size=30)


@given(st.builds(
    lambda text, other, kind, severity, state: WHOLE._replace(
        title=text, description=other, cause=text, affected=other, kind=kind, severity=severity, state=state,
        measures=(Measure(AT, text, Who("local", other)),), reports=(Report(AT, text, ANNA, ""),),
    ),
    ANY_TEXT, ANY_TEXT, *(st.sampled_from([each.value for each in words]) for words in (Kind, Severity, State)),
))  # fmt: skip
def test_any_text_is_shown_as_it_is(incident: Incident) -> None:
    """Whatever it holds: as text, and the page is good."""
    document = signed(incident)
    page = render_report(document)
    shown = Counter(str(value) for _, value in leaves(document) if value not in (None, []))
    assert Counter(Page(page).values) == shown
    assert check_report(page).document == document


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("特别重大", "一般"), ("换 &lt;b&gt;", "换 "), ("</h1>", "</h1><p>作废 void</p>"), ("</body>", "</body> "),
        ("<span>1</span>", "<span>2</span>"), (key_id(SIGNER.public_key), key_id(OTHER.public_key)),
    ],
)  # fmt: skip
def test_a_page_that_says_something_else_is_not_good(old: str, new: str) -> None:
    """Though the JSON in it is as it was signed."""
    page = render_report(DOCUMENT).decode()
    assert old in page
    refuse(page.replace(old, new, 1).encode())


def test_the_page_asks_for_nothing() -> None:
    """No script, nothing from elsewhere, and a policy that says so, with the one style sheet by its digest."""
    page = render_report(DOCUMENT).decode()
    assert "default-src &#x27;none&#x27;; style-src &#x27;sha256-" in page
    assert not re.search(r"https?:|url\(|@import|src=|href=", page)
    assert "@page{size:A4" in page


def test_version_1_looks_as_it_did() -> None:
    """Pages that were made are checked by making them again: another look needs another VERSION."""
    digest = hashlib.sha256(render_report(DOCUMENT)).hexdigest()
    assert digest == "ef45a165187cac7a42eb5277d849d50729d00d915e93730e278adfe247b56c9c"
