"""Read and check matrix.yml; every error names file, line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from matrix.core.converter_code import ConverterCode
from matrix.core.errors import ConfigError
from matrix.core.paths import CONVERTER
from matrix.table.check import Problem, RowRules, problems
from matrix.table.model import Config
from matrix.table.source import TableSource, read_source


def load_config(
    path: Path, reasons: frozenset[str] | None = None, families: Mapping[str, RowRules] | None = None
) -> Config:
    """Read and check the table at `path`. `reasons` are the ids that an expectation may name, `families` those that a
    row may have; None allows any.

    Raises ConfigError listing every problem found, one a line, each with its place and what to do.
    """
    return checked(read_source(path), reasons, families)


def checked(
    source: TableSource, reasons: frozenset[str] | None = None, families: Mapping[str, RowRules] | None = None
) -> Config:
    """Return the table that `source` states; arguments and errors are those of `load_config`."""
    try:
        config = Config.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from error
    found = [*problems(config, reasons, families), *_absent_files(config, source.path.parent)]
    if found:
        raise ConfigError("\n".join(f"{source.where(place)}: {message}" for place, message in found))
    return config


def _absent_files(config: Config, folder: Path) -> Iterator[Problem]:
    code = ConverterCode(CONVERTER)
    for i, model in enumerate(config.models):
        for key in ("onnx", "checkpoint", "source", "inputs_file", "reference"):
            path = getattr(model, key)
            if path is not None and not (folder / path).exists():
                yield ("models", i, key), f"there is no {path}; a path is relative to the table's folder"
        if model.factory is not None:
            place = model.factory.rsplit(":", 1)[0]
            if place.endswith(".py"):
                absent = not (folder / place).is_file()
            else:
                # Other packages are in the exporter's environment, which only its worker can inspect.
                absent = place.split(".")[0] == CONVERTER.name and code.module(place) is None
            if absent:
                yield ("models", i, "factory"), f"there is no {place}; a path is relative to the table's folder"
        if model.builder is not None and code.module(model.builder.write.rsplit(":", 1)[0]) is None:
            yield ("models", i, "builder", "write"), f"there is no {model.builder.write}"


def _explain(error: ValidationError, source: TableSource) -> str:
    lines = []
    for item in error.errors(include_url=False):
        place = tuple(part for part in item["loc"] if part != "[key]")
        name = ".".join(str(part) for part in place)
        match item["type"]:
            case "extra_forbidden":
                message = f"unknown key {place[-1]!r}"
            case "missing":
                message = f"{place[-1]!r} is missing"
            case "value_error":
                message = str(item["ctx"]["error"])
            case _:
                message = f"{name}: {item['msg']} (got {item['input']!r})"
        lines.append(f"{source.where(place)}: {message}")
    return "\n".join(dict.fromkeys(lines))
