"""Where the rows of the tables come from at this node: the sources, joined with its configuration."""

from __future__ import annotations

from core.config import Config
from core.keyring import KeyRing
from node import wiring
from node.key_file import PARTY_KEYS, load_keys
from node.site import known_ports, own_addresses
from sync.source import Source
from sync.sources.events import EventSource
from sync.sources.identifiers import IdentifierSource
from sync.sources.overview import overviews
from sync.sources.routes import RouteSource
from sync.sources.statistics import StatisticsSource
from sync.sources.subject import Parties, operator_party
from sync.sources.templates import TemplateSource
from sync.tables import TABLES


def make_sources(config: Config) -> dict[str, Source]:
    """Return the source of each table, T1 first. Errors: ConfigError."""
    key_file = wiring.key_file(config, PARTY_KEYS)

    def keys() -> KeyRing:
        return load_keys(key_file, PARTY_KEYS)

    node, enterprises = overviews(config.file("sync.applications"))
    addresses = own_addresses(config, known_ports(config))
    sources: tuple[Source, ...] = (
        operator_party(config, keys),
        RouteSource(TABLES["T2"], addresses, own=True),
        StatisticsSource(TABLES["T3"]),
        TemplateSource(TABLES["T4"], own=True),
        node,
        Parties(keys),
        RouteSource(TABLES["T7"], addresses, own=False),
        StatisticsSource(TABLES["T8"]),
        IdentifierSource(TABLES["T9"]),
        enterprises,
        TemplateSource(TABLES["T11"], own=False),
        StatisticsSource(TABLES["T12"]),
        EventSource(),
    )
    return {source.table.name: source for source in sources}
