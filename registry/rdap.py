"""Public registration data of a prefix, in the shape of RDAP.

What is shown: prefix, dates, registrar, status, and of an organisation its name, website, industry,
address and description (national-node.md §5). A sealed field is never opened here, and of a natural
person industry and province are shown and nothing else; what is left out is told (RFC 9537).

A prefix is no object class of RFC 9083: the class and the members that are our own begin with
``saltern_`` (RFC 7480 §6). Only what was allocated is public; a prefix that was deleted is as unknown as
a domain whose registration ended.

Sources: RFC 9083 (members), RFC 7095 (jCard), RFC 8056 and RFC 9083 §10.2.2 (status), RFC 9537.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import quote

from core.clock import Millis, format_utc
from core.errors import Outcome
from core.ident.handle import PrefixKey
from core.lifecycle import Event, State
from core.outcomes import STATUSES
from core.party.fields import BY_NAME
from core.party.public import PERSONS_OWN, public_fields
from core.store.application_rows import Application, Step, unpack_application
from core.store.engine import Snapshot, Table
from core.store.hold_rows import Order
from core.store.holding import hold_on_prefix
from core.store.party_rows import PartyRow, unpack_party
from core.store.prefix_rows import unpack_prefix

Document = dict[str, Any]

LANGUAGE: Final = "zh-CN"
_OURS: Final = "saltern"
_CONFORMANCE: Final = ["rdap_level_0", "redacted", _OURS]
_HELD: Final = "server hold"
_STATUS: Final = {State.ALLOCATED: "inactive", State.HOMED: "active", State.SUSPENDED: _HELD}
"""A prefix that is allocated is not in use before it is homed; "server hold" (RFC 8056) is not answered."""

_ACTIONS: Final = {Event.SUSPEND.value: "locked", Event.RESUME.value: "unlocked"}
_BEGINS: Final = (Event.ALLOCATE.value, Event.HOME.value)
_REGISTRANT: Final = "$.entities[?(@.roles[0]=='registrant')]"
_NAME_PATH: Final = f"{_REGISTRANT}.vcardArray[1][?(@[0]=='fn')][3]"
_REASON: Final = {"description": "个人信息不公开。Personal data is not public"}


class Happening(NamedTuple):
    """One event of a prefix: an action of RFC 9083 §10.2.3."""

    action: str
    at_ms: Millis


class Registration(NamedTuple):
    """What is public of a prefix. ``holder``: None for the operator itself. ``orders``: that say so themselves."""

    prefix: str
    status: str
    happenings: tuple[Happening, ...]
    holder: PartyRow | None
    orders: tuple[Order, ...] = ()

    @property
    def public(self) -> dict[str, str]:
        """Return what of the holder is shown: name, website, industry, region, address, description."""
        return {} if self.holder is None else public_fields(self.holder.plain, person=self.holder.person)


class Registrar(NamedTuple):
    """Who runs this node: its code, where others reach it (no slash at the end), its name; empty: not said."""

    code: str
    url: str = ""
    operator: str = ""

    @property
    def name(self) -> str:
        """Return what it is called."""
        return self.operator or f"标识解析二级节点 Secondary node {self.code}".strip()


def registration_of(snapshot: Snapshot, prefix: PrefixKey) -> Registration | None:
    """Return what is public of a prefix, None if nothing is. Errors: StoreError."""
    found = _registered(snapshot, prefix)
    hold = hold_on_prefix(snapshot, prefix) if found else None
    if found is None or hold is None:
        return found
    return found._replace(status=_HELD, orders=tuple(order for order in hold.orders if order.public))


def _registered(snapshot: Snapshot, prefix: PrefixKey) -> Registration | None:
    row = snapshot.get(Table.APPLICATIONS, prefix)
    homed = snapshot.get(Table.PREFIXES, prefix)
    application = None if row is None else unpack_application(row)
    if application is None:  # homed by a version without applications: the operator's own
        if homed is None:
            return None
        found = unpack_prefix(homed)
        status = _STATUS[State.SUSPENDED if found.suspended else State.HOMED]
        return Registration(prefix.decode(), status, (Happening("registration", found.homed_ms),), None)
    state = State(application.state)
    if state not in _STATUS:
        return None
    party = None if application.own else snapshot.get(Table.PARTIES, application.party.encode())
    happenings = _happenings(application, application.filed_ms if homed is None else unpack_prefix(homed).homed_ms)
    return Registration(prefix.decode(), _STATUS[state], happenings, None if party is None else unpack_party(party))


def _happenings(application: Application, otherwise_ms: Millis) -> tuple[Happening, ...]:
    """Return what happened since it was first allocated. ``otherwise_ms``: when, if that step is kept no longer."""
    ends = [at for at, step in enumerate(application.steps) if step.event == Event.DELETE.value]
    lives = [*(end + 1 for end in ends), None]
    first = 0
    found: list[Happening] = []
    for number, stop in enumerate(lives):
        begun = next((step for step in application.steps[first:stop] if step.event in _BEGINS), None)
        if begun is not None:
            found.append(Happening("reregistration" if number and found else "registration", begun.at_ms))
        first = stop or 0
    if not found:
        found.append(Happening("registration", otherwise_ms))
    now: tuple[Step, ...] = application.steps[ends[-1] + 1 :] if ends else application.steps
    found += [Happening(_ACTIONS[step.event], step.at_ms) for step in now if step.event in _ACTIONS]
    if now:
        found.append(Happening("last changed", now[-1].at_ms))
    return tuple(found)


# --- documents -----------------------------------------------------------------
def registration_document(found: Registration, registrar: Registrar) -> Document:
    """Return the answer to a question for a prefix."""
    address = f"{registrar.url}/prefixes/{quote(found.prefix)}"
    actor = {"eventActor": registrar.code} if registrar.code else {}
    document: Document = {
        "rdapConformance": _CONFORMANCE,
        "lang": LANGUAGE,
        "objectClassName": f"{_OURS}_prefix",
        "handle": found.prefix,
        "status": [found.status],
        "events": [
            {"eventAction": each.action, **actor, "eventDate": format_utc(each.at_ms // 1_000)}
            for each in found.happenings
        ],
        "entities": [_registrant(found, registrar), _entity("registrar", registrar.code, _operator_card(registrar))],
        "links": [_link("self", address, address, "application/rdap+json")],
        "notices": [*_orders(found), *_notices(registrar, address)],
    }
    if "profile" in found.public:
        document["remarks"] = [{"title": "简介 Description", "description": [found.public["profile"]]}]
    if "industry" in found.public:
        document[f"{_OURS}_industry"] = found.public["industry"]
    redacted = [] if found.holder is None else _redacted(found.holder)
    return document | ({"redacted": redacted} if redacted else {})


def error_document(outcome: Outcome, words: str) -> Document:
    """Return the answer to a question that has no other (RFC 9083 §6)."""
    return {
        "rdapConformance": _CONFORMANCE,
        "lang": LANGUAGE,
        "errorCode": STATUSES[outcome].http,
        "title": outcome.value.replace("-", " ").capitalize(),
        "description": [words] if words else [],
    }


def _registrant(found: Registration, registrar: Registrar) -> Document:
    if found.holder is None:
        return _entity("registrant", registrar.code, _operator_card(registrar))
    public = found.public
    card: list[Any] = [["fn", {}, "text", public.get("name", "")]]
    if "name" in public:
        card.append(["org", {}, "text", public["name"]])
    if "address" in public or "region" in public:
        parts = ["", "", public.get("address", ""), "", public.get("region", ""), "", ""]
        card.append(["adr", {"cc": "CN"}, "text", parts])
    if "website" in public:
        card.append(["url", {}, "uri", public["website"]])
    return _entity("registrant", "", _card("individual" if found.holder.person else "org", card))


def _operator_card(registrar: Registrar) -> list[Any]:
    url = [["url", {}, "uri", registrar.url]] if registrar.url else []
    return _card("org", [["fn", {}, "text", registrar.name], *url])


def _card(kind: str, properties: list[Any]) -> list[Any]:
    return ["vcard", [["version", {}, "text", "4.0"], ["kind", {}, "text", kind], *properties]]


def _entity(role: str, handle: str, card: list[Any]) -> Document:
    named = {"handle": handle} if handle else {}
    return {"objectClassName": "entity", **named, "roles": [role], "vcardArray": card}


def _redacted(holder: PartyRow) -> list[Document]:
    """Return what is left out and that it is: each sealed field, and what a person has beside them."""
    hidden = [
        name
        for name in BY_NAME
        if name in holder.sealed or (holder.person and name in holder.plain.keys() & PERSONS_OWN)
    ]
    return [
        {
            "name": {"description": f"{BY_NAME[name].label} {name}"},
            **({"postPath": _NAME_PATH, "pathLang": "jsonpath"} if name == "name" else {}),
            "method": "emptyValue" if name == "name" else "removal",
            "reason": _REASON,
        }
        for name in hidden
    ]  # fmt: skip


def _orders(found: Registration) -> list[Document]:
    """Return the orders of the regulator that may be told."""
    return [
        {"title": "依令停止解析 On Hold by Order of the Regulator", "description": [f"{order.number}：{order.reason}"]}
        for order in found.orders
    ]


def _notices(registrar: Registrar, address: str) -> list[Document]:
    complaints = f"{registrar.url}/complaints"
    return [
        {
            "title": "使用条款 Terms of Use",
            "description": [
                "本数据仅供查询标识前缀的注册情况，不得用于批量收集或推销。",
                "This data tells how an identifier prefix is registered; it may not be copied in bulk or used to sell.",
            ],
        },
        {
            "title": "个人信息 Personal Data",
            "description": [
                "不公开任何个人信息；略去的项目列于 redacted。",
                "No personal data is public; what is left out is listed in redacted.",
            ],
        },
        {
            "title": "投诉 Complaints",
            "description": ["数据有误或有其他问题，可在此投诉。", "Wrong data, or anything else: complain here."],
            "links": [_link("related", address, complaints, "text/html")],
        },
    ]


def _link(relation: str, context: str, target: str, kind: str) -> Document:
    return {"value": context, "rel": relation, "href": target, "type": kind}
