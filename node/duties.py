"""What the operator of a node owes the public (Measures art. 6, 9, 12, 13), as the configuration has it.

A node in production has all of it, or does not start; in development what is missing is shown as missing.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from core import limits
from core.clock import parse_day
from core.config import Config
from core.errors import ConfigError
from core.licence import ALWAYS, Licence, LicenceState, Window, state_of
from core.settings import BY_NAME

OWED: Final = (
    "about.operator", "about.services", "about.time_limits", "about.fees", "about.department", "about.person",
    "about.complaint_contact", "licence.number", "licence.issuer", "licence.scope", "licence.valid_from",
    "licence.valid_until",
)  # fmt: skip
"""The settings that a node in production must have."""

_TOLD: Final = (*OWED, "about.website", "node.public_url", "node.prefix")


class Duties(NamedTuple):
    """What is published; what is not configured is empty. Addresses have no slash at their end."""

    operator: str
    website: str
    services: tuple[str, ...]
    time_limits: tuple[str, ...]
    fees: tuple[str, ...]
    department: str
    person: str
    complaint_contact: str
    licence_number: str
    licence_issuer: str
    licence_scope: str
    licence: Licence | None
    prefix: str
    public_url: str
    production: bool

    @property
    def registration(self) -> Window:
        """When registration is open: in production while the licence is in force, else always."""
        return self.licence.window if self.production and self.licence is not None else ALWAYS

    def warning(self, now_ms: int) -> str | None:
        """Return what the operator has to know about the licence, None if all is well."""
        state = state_of(self.licence, now_ms)
        if self.licence is None or state is LicenceState.IN_FORCE:
            return None
        closed = "" if self.registration.is_open(now_ms) else "；注册已关闭，解析照常 registration is closed"
        return f"许可证 licence: {validity(self.licence, state)}, {self.licence.days_left(now_ms)} 天 days{closed}"


def validity(licence: Licence, state: LicenceState) -> str:
    """Return the days of a licence and where it stands, for people."""
    return f"{licence.first_day} – {licence.last_day} {state.zh} {state.en}"


def load_duties(config: Config) -> Duties:
    """Read what is published.

    Errors: ConfigError for a text that is too long or cannot be read, days in the wrong order, and in production
    for all that is missing, at once.
    """
    texts = {name: _texts(name, config) for name in _TOLD}
    production = config.text("node.profile") == "production"
    missing = [name for name in OWED if not texts[name]]
    if production and missing:
        told = "".join(f"\n  {name}: {BY_NAME[name].help_zh}{BY_NAME[name].help_en}" for name in missing)
        raise ConfigError(
            "node.profile = production：缺少以下设置，节点不启动。Without these settings a node in production does "
            f"not start:{told}",
            missing=missing,
        )
    one = {name: "".join(items[:1]) for name, items in texts.items()}
    return Duties(
        one["about.operator"], _address("about.website", one["about.website"]), texts["about.services"],
        texts["about.time_limits"], texts["about.fees"], one["about.department"], one["about.person"],
        one["about.complaint_contact"], one["licence.number"], one["licence.issuer"],
        one["licence.scope"], _licence(config), one["node.prefix"],
        _address("node.public_url", one["node.public_url"]), production,
    )  # fmt: skip


def _texts(name: str, config: Config) -> tuple[str, ...]:
    """Return the texts of a setting, none if it is empty. Errors: ConfigError that names it."""
    value = config.values[name]
    items = value if isinstance(value, tuple) else (value,) if value else ()
    if len(items) > limits.DUTY_ITEMS_MAX:
        raise ConfigError(
            f"{name}: 至多 {limits.DUTY_ITEMS_MAX} 项。It takes {limits.DUTY_ITEMS_MAX} items at most", setting=name
        )
    for item in items:
        if not isinstance(item, str) or not item.strip() or not item.isprintable():
            raise ConfigError(f"{name}: {item!r} 不是可见文字。That is no visible text on one line", setting=name)
        if len(item) > limits.DUTY_TEXT_CHARS_MAX:
            raise ConfigError(
                f"{name}: 文字过长，至多 {limits.DUTY_TEXT_CHARS_MAX} 个字符。A text takes "
                f"{limits.DUTY_TEXT_CHARS_MAX} characters at most, this has {len(item)}",
                setting=name,
            )
    return tuple(str(item).strip() for item in items)


def _licence(config: Config) -> Licence | None:
    """Return the licence, None where one of its days is not given. Errors: ConfigError."""
    first, last = (parse_day(config.text(f"licence.{name}")) for name in ("valid_from", "valid_until"))
    if first is None or last is None:
        return None
    if first > last:
        raise ConfigError(
            f"licence.valid_from, licence.valid_until: 起始日 {first} 晚于截止日 {last}。The licence begins after "
            "its end",
            setting="licence.valid_until",
        )
    return Licence(first, last)


def _address(name: str, text: str) -> str:
    """Return a web address without a slash at its end. Errors: ConfigError."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if text and (not right or parts.query or parts.fragment or "@" in parts.netloc or not set(text).isdisjoint(' "<>')):
        raise ConfigError(
            f"{name}: {text!r} 不是网址，应如 https://id.example.cn。That is no web address, as https://id.example.cn",
            setting=name,
        )
    return text.rstrip("/")
