"""The loader of ``node.toml``. What may stand in it: ``core/settings.py``.

An unknown key is an error that names the nearest known one. Relative paths count
from the folder of the file.
"""

from __future__ import annotations

import datetime
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.clock import parse_day
from core.errors import ConfigError
from core.log_settings import require_log_settings
from core.settings import BY_NAME, Setting, Value


class Config:
    """The settings in force: the file, then ``--set``, over the defaults."""

    def __init__(self, path: Path, values: Mapping[str, Value], table: Mapping[str, Setting] = BY_NAME) -> None:
        self.path = path
        self.values: dict[str, Value] = {s.name: s.default for s in table.values()} | dict(values)

    def integer(self, name: str) -> int:
        """Return an integer setting."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def flag(self, name: str) -> bool:
        """Return a flag."""
        return bool(self.values[name])

    def text(self, name: str) -> str:
        """Return a text setting."""
        return str(self.values[name])

    def items(self, name: str) -> tuple[int | str, ...]:
        """Return a list setting."""
        value = self.values[name]
        assert isinstance(value, tuple)
        return value

    def file(self, name: str) -> Path | None:
        """Return a path setting, counted from the configuration's folder; None if empty."""
        text = self.text(name)
        return (self.path.parent / text) if text else None

    @property
    def data(self) -> Path:
        """The data folder."""
        folder = self.file("node.data")
        assert folder is not None
        return folder


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read ``node.toml`` and apply ``key=value`` overrides. Errors: as read_settings."""
    config = read_settings(path, overrides, BY_NAME, "saltern init DIR --prefix P")
    require_log_settings(config.integer("log.disk_stop"), config.integer("log.disk_reserve"), config.text("log.origin"))
    return config


def read_settings(path: Path, overrides: Sequence[str], table: Mapping[str, Setting], made_by: str) -> Config:
    """Read a configuration of the settings of a table. ``made_by``: the command that makes one.

    Errors: ConfigError for a file that cannot be read, is no TOML, names an
    unknown setting, or gives a value of the wrong kind or outside its bounds.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"没有配置文件 {path}，请先执行 {made_by}。There is no configuration at {path}; `{made_by}` makes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"无法读取 {path}。cannot read {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} 不是有效的 TOML。{path} is not valid TOML: {error}") from None
    values = {name: _check(setting_named(name, table), value) for name, value in _flatten(document, table)}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set 应为 名称=值。--set wants key=value, got {override!r}")
        setting = setting_named(name.strip(), table)
        values[setting.name] = _check(setting, _parse(setting, text.strip()))
    return Config(path, values, table)


def setting_named(name: str, table: Mapping[str, Setting] = BY_NAME) -> Setting:
    """Return the setting of that name. Errors: ConfigError that names the nearest one."""
    setting = table.get(name)
    if setting is None:
        near = difflib.get_close_matches(name, table, n=1, cutoff=0.5 if table is BY_NAME else 0.0)
        zh = f"，您是想用 {near[0]}？" if near else "，全部设置见 saltern config explain。"
        hint = f"; did you mean {near[0]}?" if near else "; `saltern config explain` lists all"
        raise ConfigError(f"没有设置 {name!r}{zh}unknown setting {name!r}{hint}", setting=name)
    return setting


def _flatten(
    document: Mapping[str, object], table: Mapping[str, Setting], prefix: str = ""
) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            if not value and not any(known.startswith(f"{name}.") for known in table):
                setting_named(name, table)  # there is none: the error names the nearest
            found += _flatten(value, table, f"{name}.")
        else:
            found.append((name, value))
    return found


def _parse(setting: Setting, text: str) -> object:
    """Read the value of an override; TOML syntax, with quotes optional around plain text."""
    if setting.kind in ("text", "path", "day") and not text.startswith(('"', "'")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            f"{setting.name}: 类型不符。{setting.name}: {text!r} is no {setting.kind}", setting=setting.name
        ) from None


def _check(setting: Setting, value: object) -> Value:
    match setting.kind, value:
        case "flag", bool():
            return value
        case "integer", int() if not isinstance(value, bool):
            if not setting.low <= value <= setting.high:
                raise ConfigError(
                    f"{setting.name} = {value} 超出范围。"
                    f"{setting.name} = {value} is out of bounds: "
                    f"{setting.low} … {setting.high} {setting.unit}",
                    setting=setting.name,
                )
            return value
        case (("text" | "path"), str()):
            if not value and setting.default and not setting.empty:
                raise ConfigError(
                    f"{setting.name} 不能为空。{setting.name} must not be empty; default {setting.default!r}",
                    setting=setting.name,
                )
            if setting.choices and value not in setting.choices:
                raise ConfigError(
                    f"{setting.name} = {value!r} 不是可选值之一。"
                    f"{setting.name} = {value!r} is none of {', '.join(setting.choices)}",
                    setting=setting.name,
                )
            return value
        case "day", _:
            return _check_day(setting, value)
        case "list", list():
            if all(isinstance(item, int | str) and not isinstance(item, bool) for item in value):
                return tuple(value)
    raise ConfigError(
        f"{setting.name}: 类型不符。{setting.name} wants a value of kind {setting.kind}, got {value!r}",
        setting=setting.name,
    )


def _check_day(setting: Setting, value: object) -> str:
    """Return a day as text; TOML has days without quotes, too."""
    if type(value) is datetime.date:
        return value.isoformat()
    if value == "" or (isinstance(value, str) and parse_day(value)):
        return str(value)
    raise ConfigError(
        f"{setting.name} = {value!r} 不是日期（YYYY-MM-DD）。That is no day of the form YYYY-MM-DD",
        setting=setting.name,
    )
