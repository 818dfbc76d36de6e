"""Expand exporter rows: a row with several exporters (`via`) is several exporters that share an environment."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from packaging.version import Version

from matrix.table.ids import DIRECT, FILE
from matrix.table.model import Config, ExporterRow, Via

# What selectors see of an exporter and the requested opset.
EXPORTER_KEYS = ("exporter", "via", "torch", "opset")


@dataclass(frozen=True)
class Exporter:
    """A way to write .onnx: a torch release and one of its exporters.

    `askable` are the opsets it accepts as an argument, `writable` those it writes: the dynamo exporter accepts an old
    opset and silently writes a newer one. `via` "file" means that the model is an .onnx file, which the reference
    environment inspects; "direct" that the converter takes the torch module itself.
    """

    id: str
    row: str
    via: Via | Literal["file", "direct"]
    torch: str
    released: dt.date
    askable: range
    writable: range
    current: bool

    @property
    def writes(self) -> bool:
        """Return whether this is a real exporter, which writes a file at a requested opset."""
        return self.via not in (FILE, DIRECT)

    @cached_property
    def subject(self) -> dict[str, str]:
        return {"exporter": self.id, "via": self.via, "torch": self.torch}


def exporter_id(row: ExporterRow, via: str) -> str:
    return row.id if len(row.via) == 1 else f"{row.id}-{via}"


def from_file(config: Config) -> Exporter:
    """Return the placeholder for a model that is an .onnx file; its only opset, 0, means unchanged."""
    only = range(1)
    return Exporter(FILE, config.reference.id, FILE, "", dt.date.min, only, only, current=False)


def without_exporter(config: Config) -> tuple[Exporter, ...]:
    """Return the possible placeholders for an exporter."""
    asked = direct(config)
    return (from_file(config), *((asked,) if asked is not None else ()))


def direct(config: Config) -> Exporter | None:
    """Return the placeholder for a converter that takes the torch module itself. Its row is the current one, else the
    newest; the torch there defines what the module computes. None if the table has no exporters.
    """
    if not config.exporters:
        return None
    row = max(config.exporters, key=lambda row: (row.current, Version(row.pins.get("torch", "0"))))
    only = range(1)
    return Exporter(DIRECT, row.id, DIRECT, "", dt.date.min, only, only, current=False)


def expand(config: Config) -> list[Exporter]:
    """Return all exporters of the table, in its order, except for rows whose torch release is not in the table."""
    releases = {release.version: release for release in config.torch}
    exporters = []
    for row in config.exporters:
        release = releases.get(row.pins.get("torch", ""))
        if release is None:
            continue
        first, last = release.opsets
        for via in row.via:
            if via == "builder":
                built = [model.builder.opsets for model in config.models if model.builder is not None]
                if not built:
                    continue
                askable = writable = range(min(low for low, _ in built), max(high for _, high in built) + 1)
            elif via == "dynamo":
                if release.dynamo is None:
                    continue
                askable = range(first, release.dynamo[1] + 1)
                writable = range(release.dynamo[0], release.dynamo[1] + 1)
            else:
                askable = writable = range(first, last + 1)
            exporters.append(
                Exporter(
                    exporter_id(row, via),
                    row.id,
                    via,
                    release.version,
                    release.released,
                    askable,
                    writable,
                    row.current,
                )
            )
    return exporters
