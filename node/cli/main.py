"""``saltern``: the console script."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from core import clock
from core.config import setting_named
from core.settings import SETTINGS
from node import VERSION
from node.cli.common import Commands, config_option, json_option, load_config, print_json, start_logging
from node.cli.later import Later, Place


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="saltern")
def cli() -> None:
    """Saltern：盐业工业互联网标识解析二级节点。A secondary node for industrial identifiers.

    Example: saltern init my-node --prefix 88.118.7 && saltern serve --config my-node/node.toml
    """


@cli.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--prefix", "prefixes", multiple=True, required=True, metavar="P",
    help="运营者自有前缀，可重复 The operator's own prefix; repeatable.",
)  # fmt: skip
@json_option
def init(folder: Path, prefixes: tuple[str, ...], as_json: bool) -> None:
    """新建节点：配置、密钥、存储。Make a node: configuration, keys, store.

    Example: saltern init my-node --prefix 88.118.7
    """
    from node.initialise import initialise

    config = initialise(folder, prefixes)
    if as_json:
        print_json({"config": str(config.path), "prefixes": list(prefixes)})
        return
    click.echo(f"已建立节点 Made a node in {folder}: {', '.join(prefixes)}")
    click.echo(f"管理员密钥 Administrator's keys (keep them safe): {folder / 'keys'}")
    click.echo(f"启动 Start it: saltern serve --config {config.path}")


@cli.command()
@config_option
def serve(config_file: Path, overrides: tuple[str, ...]) -> None:
    """运行节点，直到收到 SIGTERM。Run the node until SIGTERM.

    Example: saltern serve --config my-node/node.toml --set http.port=8080
    """
    from node.serve import serve as run

    start_logging()
    raise SystemExit(run(load_config(config_file, overrides)))


@cli.command()
@click.option("--keep", is_flag=True, help="保留演示目录 Keep the demo's folder.")
def demo(keep: bool) -> None:
    """演示：注册、解析、重启、再解析。Show the main job on sample data.

    Example: saltern demo
    """
    from node.demo import run

    raise SystemExit(run(keep=keep))


@cli.group(cls=Commands)
def config() -> None:
    """配置：检查、显示、说明。Configuration: check, show, explain."""


@config.command("check")
@config_option
@json_option
def config_check(config_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """检查配置及其引用的文件。Check the configuration and the files that it names.

    Example: saltern config check --config my-node/node.toml
    """
    from node import wiring
    from node.dns_settings import require_dns
    from node.duties import load_duties
    from node.recursion.places import require_places
    from node.site import Ports, site_info

    loaded = load_config(config_file, overrides)
    wiring.tls_context(loaded)
    wiring.server_admins(loaded)
    wiring.rate_limit_exempt(loaded)
    wiring.trusted_proxies(loaded)
    wiring.policy(loaded)
    warning = load_duties(loaded).warning(clock.now_ms())
    if warning is not None:
        click.echo(f"注意 Note: {warning}", err=True)
    site_info(loaded, Ports(0, None, 0, 0))
    require_dns(loaded, Ports(0, None, 0, 0))
    require_places(loaded)
    if as_json:
        print_json({"ok": True, "config": str(loaded.path)})
    else:
        click.echo(f"配置有效 The configuration is valid: {loaded.path}")


@config.command("show")
@config_option
@json_option
def config_show(config_file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """显示生效的设置。Show the settings in force.

    Example: saltern config show --config my-node/node.toml --json
    """
    values = load_config(config_file, overrides).values
    if as_json:
        print_json({name: list(v) if isinstance(v, tuple) else v for name, v in values.items()})
        return
    for setting in SETTINGS:
        mark = " " if values[setting.name] == setting.default else "*"
        shown = list(v) if isinstance(v := values[setting.name], tuple) else v
        click.echo(f"{mark} {setting.name} = {shown!r}")
    click.echo("* 与默认值不同 differs from the default")


@config.command("explain")
@click.argument("name", required=False)
@json_option
def config_explain(name: str | None, as_json: bool) -> None:
    """说明一项或全部设置。Explain one setting, or all.

    Example: saltern config explain http.port
    """
    chosen = [setting_named(name)] if name else list(SETTINGS)
    if as_json:
        print_json([setting._asdict() for setting in chosen])
        return
    for setting in chosen:
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        unit = f" {setting.unit}" if setting.unit else ""
        bounds = f" {setting.low} … {setting.high}" if setting.kind == "integer" else ""
        choices = f" {' | '.join(setting.choices)}" if setting.choices else ""
        click.echo(f"{setting.name} ({setting.kind}{unit}{bounds}{choices}; 默认 default {default!r})")
        click.echo(f"    {setting.help_zh}\n    {setting.help_en}")


_TRANSFER: Final = tuple(
    ("transfer", name) for name in ("export_prefix", "import_prefix", "abandon_import", "prefix_history")
)
_LOG: Final = (
    ("log_query", "query"), ("log_export", "export"), ("log_mirror", "mirror"), ("log_verify", "verify"),
    ("log_verify", "prove"), ("log_retention", "retention"), ("log_retention", "hold_month"),
    ("log_retention", "release_month"),
)  # fmt: skip
_TOPNODE: Final = tuple(
    ("topnode_takeover", name)
    for name in ("probes", "takeovers", "probe", "takeover", "release", "emergency_token", "emergency_tokens")
)
_PLACES: Final = {
    **{
        name: Place(name, name)
        for name in (
            "record", "party", "hold", "lot", "alias", "token", "template", "incident", "complaint", "line", "report",
            "dns", "resolve", "doctor", "monitor", "backup", "restore",
        )
    },
    "prefix": Place("prefix", "prefix", _TRANSFER),
    "sync": Place("sync", "sync", (("escrow", "escrow"),)),
    "log": Place("log", "log", _LOG),
    "topnode": Place("topnode", "topnode", _TOPNODE),
    "changes": Place("trail", "changes"),
    "journal": Place("trail", "journal"),
}  # fmt: skip

cli.commands = Later(cli.commands, _PLACES)

if __name__ == "__main__":
    cli()
