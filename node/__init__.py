"""The roof: command line, configuration, processes, telemetry. Nobody imports it."""

from typing import Final

VERSION: Final = "0.1.0"
