"""The settings table and the loader of node.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import Config, load
from core.errors import ConfigError
from core.settings import BY_NAME, SETTINGS, Setting


def write(folder: Path, text: str) -> Path:
    """Return a configuration file with this text."""
    path = folder / "node.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    """Return the words with which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), overrides)
    return caught.value.message


# --- the table --------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_explains_itself_in_both_languages(setting: Setting) -> None:
    """English and Chinese, one sentence at least; a bounded number has a unit."""
    assert setting.help_en.endswith(".")
    assert setting.help_en.isascii()
    assert setting.help_zh.endswith("。")
    assert not setting.help_zh.isascii()
    assert (setting.kind == "integer") == bool(setting.unit)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_keeps_its_own_rules(setting: Setting, tmp_path: Path) -> None:
    """Written into the file, the default is accepted and comes out unchanged."""
    section, _, key = setting.name.partition(".")
    value = setting.default
    shown = str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
    assert load(write(tmp_path, f"[{section}]\n{key} = {shown}\n")).values[setting.name] == value


def test_names_are_unique_and_have_one_section() -> None:
    """One dot: the section and the key of node.toml."""
    assert len(BY_NAME) == len(SETTINGS)
    assert all(name.count(".") == 1 for name in BY_NAME)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """The ports and bounds that the manual promises."""
    config = load(write(tmp_path, ""))
    ports = {"http": 8000, "https": 8443, "handle": 2641, "dns": 5300, "management": 8001}
    for setting in SETTINGS:
        if setting.name.endswith(".port"):
            assert config.integer(setting.name) == ports[setting.name.partition(".")[0]]
    assert config.integer("handle.prefix_length_max") == 64
    assert config.integer("handle.length_max") == 255
    assert config.integer("store.map_size") == 2**40
    assert config.text("http.address") == "127.0.0.1"
    assert config.text("http.plain_auth") == "loopback"
    assert config.flag("handle.root") is False
    assert config.items("handle.server_admins") == ()
    assert config.integer("http.rate_limit") == config.integer("handle.rate_limit") == 1_000
    assert config.items("resolver.rate_limit_exempt") == ("127.0.0.0/8", "::1/128")


# --- reading ----------------------------------------------------------------


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    """Not from where the command was started; absolute ones stay; an empty one is none."""
    config = load(write(tmp_path, '[https]\ncertificate = "keys/tls.crt"\nkey = "/etc/tls.key"\n'))
    assert config.file("https.certificate") == tmp_path / "keys" / "tls.crt"
    assert config.file("https.key") == Path("/etc/tls.key")
    assert config.file("handle.server_key") is None
    assert config.data == tmp_path / "data"


def test_values_of_each_kind_are_read(tmp_path: Path) -> None:
    """integer, flag, text, list of numbers and texts."""
    text = '[node]\nprefix = "88.118.7"\n[handle]\nroot = true\nserver_admins = [300, "301:0.NA/88.1"]\nport = 0\n'
    config = load(write(tmp_path, text))
    assert config.text("node.prefix") == "88.118.7"
    assert config.flag("handle.root") is True
    assert config.items("handle.server_admins") == (300, "301:0.NA/88.1")
    assert config.integer("handle.port") == 0


OVERRIDES = {
    "http.port=1": ("http.port", 1),
    " http.port = 0x10 ": ("http.port", 16),
    "handle.root=true": ("handle.root", True),
    "node.prefix=88.118.7": ("node.prefix", "88.118.7"),
    "node.prefix=": ("node.prefix", ""),
    'node.prefix="88.118.7"': ("node.prefix", "88.118.7"),
    "node.data=/var/a=b": ("node.data", "/var/a=b"),
    "http.plain_auth=never": ("http.plain_auth", "never"),
    'handle.server_admins=[300, "301:0.NA/88.1"]': ("handle.server_admins", (300, "301:0.NA/88.1")),
    "node.data=/var/lib/盐": ("node.data", "/var/lib/盐"),
}


@pytest.mark.parametrize(("override", "expected"), OVERRIDES.items())
def test_set_overrides_any_setting(tmp_path: Path, override: str, expected: tuple[str, object]) -> None:
    """--set key=value, over the file; quotes around plain text may be left out."""
    name, value = expected
    config = load(write(tmp_path, '[http]\nport = 99\n[node]\nprefix = "x"\n'), [override])
    assert config.values[name] == value


def test_the_last_override_counts(tmp_path: Path) -> None:
    """As on every command line."""
    assert load(write(tmp_path, ""), ["http.port=1", "http.port=2"]).integer("http.port") == 2


# --- refusing ---------------------------------------------------------------

BAD_FILES = {
    "near key": ("[http]\nprot = 1", "unknown setting 'http.prot'; did you mean http.port?"),
    "near section": ('[nod]\nprefix = "x"', "unknown setting 'nod.prefix'; did you mean node.prefix?"),
    "far key": ("zzzzzzzzzzzz = 1", "unknown setting 'zzzzzzzzzzzz'; `saltern config explain` lists all"),
    "deeper": ("[http.port]\nnumber = 1", "unknown setting 'http.port.number'; did you mean"),
    "port high": ("[http]\nport = 65536", "http.port = 65536 is out of bounds: 0 … 65535 port"),
    "port low": ("[http]\nport = -1", "http.port = -1 is out of bounds: 0 … 65535 port"),
    "length": ("[handle]\nlength_max = 2049", "handle.length_max = 2049 is out of bounds: 3 … 2048 characters"),
    "map": ("[store]\nmap_size = 1024", "store.map_size = 1024 is out of bounds"),
    "rate": ("[http]\nrate_limit = 1000001", "http.rate_limit = 1000001 is out of bounds: 0 … 1000000 requests"),
    "text for number": ('[http]\nport = "8000"', "http.port wants a value of kind integer, got '8000'"),
    "flag for number": ("[http]\nport = true", "http.port wants a value of kind integer, got True"),
    "float for number": ("[http]\nport = 8000.0", "http.port wants a value of kind integer, got 8000.0"),
    "number for flag": ("[handle]\nroot = 1", "handle.root wants a value of kind flag, got 1"),
    "number for text": ("[node]\nprefix = 88.1", "node.prefix wants a value of kind text, got 88.1"),
    "text for list": ('[handle]\nserver_admins = "300"', "handle.server_admins wants a value of kind list"),
    "flag in list": ("[handle]\nserver_admins = [true]", "handle.server_admins wants a value of kind list"),
    "list in list": ("[handle]\nserver_admins = [[1]]", "handle.server_admins wants a value of kind list"),
    "choice": ('[http]\nplain_auth = "always"', "http.plain_auth = 'always' is none of loopback, never"),
    "time": ("[node]\nprefix = 2026-01-01", "node.prefix wants a value of kind text"),
    "no TOML": ("[http\nport = 1", "is not valid TOML"),
    "twice": ("[http]\nport = 1\nport = 2", "is not valid TOML"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    """Unknown keys name the nearest one; values name their kind or bounds."""
    assert message in refusal(tmp_path, text)


BAD_OVERRIDES = {
    "http.port": "--set wants key=value, got 'http.port'",
    "": "--set wants key=value, got ''",
    "=1": "unknown setting ''",
    "http.prot=1": "did you mean http.port?",
    "http.port=": "http.port: '' is no integer",
    "http.port=many": "http.port: 'many' is no integer",
    "http.port=65536": "out of bounds",
    "handle.root=yes": "handle.root: 'yes' is no flag",
    "handle.root=True": "handle.root: 'True' is no flag",
    "handle.server_admins=300": "wants a value of kind list",
    "http.plain_auth=Never": "none of loopback, never",
    'node.prefix="88': "node.prefix: '\"88' is no text",
}


@pytest.mark.parametrize(("override", "message"), BAD_OVERRIDES.items())
def test_a_wrong_override_is_refused_with_the_reason(tmp_path: Path, override: str, message: str) -> None:
    """The same words as for the file."""
    assert message in refusal(tmp_path, "", override)


def test_a_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    """The first thing that a newcomer meets."""
    with pytest.raises(ConfigError, match="saltern init"):
        load(tmp_path / "node.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder, and octets that are no UTF-8."""
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)
    (tmp_path / "node.toml").write_bytes(b'[node]\nprefix = "\xff"')
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "node.toml")


def test_an_empty_data_folder_is_refused(tmp_path: Path) -> None:
    """A setting that must be there is checked by the loader, not met by an assert later."""
    try:
        config = load(write(tmp_path, '[node]\ndata = ""\n'))
    except ConfigError:
        return
    assert isinstance(config.data, Path)


def test_an_unknown_section_is_refused_even_if_empty(tmp_path: Path) -> None:
    """Its settings may all be commented out."""
    assert "htpp" in refusal(tmp_path, "[htpp]\n# port = 8000\n")


NEARLY = st.tuples(st.sampled_from(list(BY_NAME)), st.text(max_size=30)).map("=".join)


@given(override=st.one_of(st.text(max_size=40), NEARLY))
def test_overrides_total_on_any_text(tmp_path_factory: pytest.TempPathFactory, override: str) -> None:
    """A configuration or a ConfigError, whatever stands behind --set."""
    folder = tmp_path_factory.getbasetemp() / "config"
    folder.mkdir(exist_ok=True)
    path = folder / "node.toml"
    if not path.exists():
        path.write_text("")
    try:
        config = load(path, [override])
    except ConfigError as error:
        assert error.message
    else:
        assert isinstance(config, Config)
