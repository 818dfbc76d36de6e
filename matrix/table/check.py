"""Check that the table is consistent. Pure: Config in, (place, message) pairs out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from matrix.table import selectors
from matrix.table.exporters import EXPORTER_KEYS, expand, exporter_id
from matrix.table.ids import DIRECT, FILE, environment_name
from matrix.table.model import CellSelector, Config, ConverterRow, ExporterRow, Row
from matrix.table.selectors import Selector
from matrix.table.source import Place

Problem = tuple[Place, str]


class RowRules(Protocol):
    """Requirements of a family for its rows."""

    @property
    def source(self) -> str: ...

    def required(self, companions: bool) -> tuple[str, ...]: ...


def problems(
    config: Config, reasons: frozenset[str] | None = None, families: Mapping[str, RowRules] | None = None
) -> list[Problem]:
    """Return every problem that the shape of the table alone does not show.

    `reasons` are the ids that an expectation may name, `families` those that a row may have; None allows any.
    """
    return list(
        chain(
            _duplicates(config),
            _resolver(config),
            _pins(config, families),
            _companions(config),
            _models(config),
            _tiers(config, families),
            _expectations(config, reasons, families),
        )
    )


def subjects(config: Config) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]:
    """Return what selectors see of (exporter, opset) pairs, converters and models."""
    exporters = [{**exporter.subject, "opset": str(opset)} for exporter in expand(config) for opset in exporter.askable]
    converters = [
        {"converter": row.id, "family": row.family, **row.pins, **({"python": row.python} if row.python else {})}
        for row in config.converters
    ]
    return exporters, converters, [{"model": model.id} for model in config.models]


def rows_with_places(config: Config) -> Iterator[tuple[Place, Row]]:
    for i, exporter in enumerate(config.exporters):
        yield ("exporters", i), exporter
    yield ("reference",), config.reference
    for i, converter in enumerate(config.converters):
        yield ("converters", i), converter


def _duplicates(config: Config) -> Iterator[Problem]:
    seen: set[str] = set()
    for place, row in rows_with_places(config):
        names = [row.id]
        if isinstance(row, ExporterRow):
            names += [exporter_id(row, via) for via in row.via if len(row.via) > 1]
            names += [environment_name(row.id, row.builds, build) for build in row.builds]
        for name in names:
            if name in (FILE, DIRECT):
                yield (*place, "id"), f"{name!r} is reserved for cells without an exporter; choose another id"
            if name in seen:
                yield (*place, "id"), f"the id {name!r} is taken by an earlier row"
            seen.add(name)
    for section in ("onnx", "torch"):
        versions: set[Version] = set()
        for i, release in enumerate(getattr(config, section)):
            if Version(release.version) in versions:
                yield (section, i, "version"), f"{section} {release.version} is listed twice"
            versions.add(Version(release.version))
    models: set[str] = set()
    for i, model in enumerate(config.models):
        if model.id in models:
            yield ("models", i, "id"), f"the id {model.id!r} is taken by an earlier model"
        models.add(model.id)
    if sum(row.current for row in config.exporters) > 1:
        last = max(i for i, row in enumerate(config.exporters) if row.current)
        yield ("exporters", last, "current"), "only one exporter can be the current one"


def _resolver(config: Config) -> Iterator[Problem]:
    pinned = _pinned(config)
    for package in config.resolver.replace:
        if package not in pinned:
            yield ("resolver", "replace", package), f"no row pins {package}; correct the name or remove it"


def _pinned(config: Config) -> set[str]:
    return {package for _, row in rows_with_places(config) for package in row.pins}


def _pins(config: Config, families: Mapping[str, RowRules] | None) -> Iterator[Problem]:
    known = {
        "onnx": {Version(release.version) for release in config.onnx},
        "torch": {Version(release.version) for release in config.torch},
    }
    for place, row in rows_with_places(config):
        needed: tuple[str, ...] = ()
        if isinstance(row, ExporterRow):
            needed = ("torch",)
        elif isinstance(row, ConverterRow) and families is not None:
            if row.family in families:
                needed = families[row.family].required(row.companions)
            else:
                yield (*place, "family"), f"there is no family {row.family!r}; installed: {', '.join(families)}"
        for package in needed:
            if package not in row.pins:
                yield (*place, "pins"), f"{row.id} must pin {package}"
        for package, version in row.pins.items():
            if package in known and Version(version) not in known[package]:
                yield (
                    (*place, "pins", package),
                    f"impossible pin: {package} {version} is not in the table's `{package}` section; add its row there",
                )
            if package in config.resolver.replace.values():
                original = next(k for k, v in config.resolver.replace.items() if v == package)
                yield (
                    (*place, "pins", package),
                    f"impossible pin: pin {original}; the resolver replaces it by {package}",
                )
        if row.python is not None and row.python not in config.resolver.pythons:
            yield ((*place, "python"), f"impossible pin: Python {row.python} is not among resolver.pythons")
        if isinstance(row, ExporterRow):
            yield from _exporter(config, place, row)
    for i, release in enumerate(config.torch):
        if release.opsets[0] > release.opsets[1]:
            yield ("torch", i, "opsets"), "the first opset must not exceed the last"


def _exporter(config: Config, place: Place, row: ExporterRow) -> Iterator[Problem]:
    release = next((r for r in config.torch if r.version == row.pins.get("torch")), None)
    if release is not None and "dynamo" in row.via and release.dynamo is None:
        yield ((*place, "via"), f"torch {release.version} has no dynamo exporter in the table's `torch` section")
    if len(set(row.via)) != len(row.via):
        yield (*place, "via"), "an exporter is named twice"
    for build, pins in row.builds.items():
        for package, version in pins.items():
            stated = row.pins.get(package)
            if stated is None or Version(version).public != Version(stated).public:
                yield (
                    (*place, "builds", build, package),
                    f"impossible pin: a build of {row.id} must be a build of {package} {stated}",
                )


def applies(when: Mapping[str, str], pins: Mapping[str, str]) -> bool:
    """Return whether a companion rule's ranges all contain a row's pins."""
    return all(
        package in pins and SpecifierSet(spec).contains(pins[package], prereleases=True)
        for package, spec in when.items()
    )


def _companions(config: Config) -> Iterator[Problem]:
    rows = [row for _, row in rows_with_places(config)]
    for i, rule in enumerate(config.companions):
        place = ("companions", i)
        matching = [row for row in rows if row.companions and applies(rule.when, row.pins)]
        if not rule.when:
            yield place, "a companion rule needs a non-empty `when`"
        elif not matching:
            yield (*place, "when"), "this rule matches no row; correct its ranges or remove it"
        for row in matching:
            for package, spec in rule.add.items():
                pinned = row.pins.get(package)
                if pinned is not None and not SpecifierSet(spec).contains(pinned, prereleases=True):
                    yield (
                        (*place, "add", package),
                        f"impossible pin: {row.id} pins {package} {pinned}, this rule requires {spec}",
                    )


def _models(config: Config) -> Iterator[Problem]:
    for i, model in enumerate(config.models):
        if not model.is_file and not model.inputs and model.inputs_file is None:
            yield ("models", i), f"{model.id} needs at least one input, or an `inputs_file`"
        for j, item in enumerate(model.inputs):
            if any(size < 1 for size in item.shape):
                yield ("models", i, "inputs", j, "shape"), "every size must be at least 1"
            if any(axis not in range(len(item.shape)) for axis in item.dynamic):
                yield ("models", i, "inputs", j, "dynamic"), f"axes are numbered from 0 to {len(item.shape) - 1}"
            if item.range[0] >= item.range[1]:
                yield ("models", i, "inputs", j, "range"), "the first bound must be below the second"
        for j in _repeated(item.name for item in model.inputs):
            yield ("models", i, "inputs", j, "name"), f"{model.inputs[j].name!r} is the name of an earlier input"
        for j in _repeated(model.outputs):
            yield ("models", i, "outputs", j), f"{model.outputs[j]!r} is the name of an earlier output"


def _repeated(names: Iterable[str]) -> Iterator[int]:
    """Yield the positions of names that occurred before."""
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            yield i
        seen.add(name)


def _tiers(config: Config, families: Mapping[str, RowRules] | None) -> Iterator[Problem]:
    if config.default_tier not in config.tiers:
        yield ("default_tier",), f"there is no tier {config.default_tier!r}"
    converters = {row.id for row in config.converters}
    models = {model.id for model in config.models}
    for name, tier in config.tiers.items():
        for key in ("cells", "converters", "models"):
            if getattr(tier, key) == ():
                yield ("tiers", name, key), "an empty list selects nothing; remove it to select all"
        for key, known in (("converters", converters), ("models", models)):
            for i, wanted in enumerate(getattr(tier, key) or ()):
                if wanted not in known:
                    yield ("tiers", name, key, i), f"{wanted!r} is not among the table's {key}"
        for i, selector in enumerate(tier.cells or ()):
            yield from _selector(config, ("tiers", name, "cells", i), selector, families)


def _expectations(
    config: Config, reasons: frozenset[str] | None, families: Mapping[str, RowRules] | None
) -> Iterator[Problem]:
    for i, expectation in enumerate(config.expect):
        yield from _selector(config, ("expect", i, "cells"), expectation.cells, families)
        if reasons is not None and expectation.reason is not None and expectation.reason not in reasons:
            yield ("expect", i, "reason"), f"{expectation.reason!r} is not a known reason"


def _selector(
    config: Config, place: Place, mapping: CellSelector, families: Mapping[str, RowRules] | None
) -> Iterator[Problem]:
    packages = _pinned(config)
    for key in mapping:
        if key == "cell":
            yield (*place, key), "`cell` is for the command line; here use exporter, opset, converter and model"
            return
        if key not in selectors.NAME_KEYS and key not in selectors.VERSION_KEYS and key not in packages:
            yield (*place, key), f"unknown key {key!r}: neither part of a cell nor a package that a row pins"
            return
    try:
        selector = selectors.from_mapping(mapping)
    except ValueError as error:
        yield place, str(error)
        return
    if not _matches_something(config, selector, families):
        yield place, "this selector matches no cell; correct it or remove it"
        return
    for key, value in mapping.items():
        for i, alternative in enumerate(() if isinstance(value, str) else value):
            if not _matches_something(config, selectors.from_mapping({**mapping, key: alternative}), families):
                yield (*place, key, i), f"with {alternative!r} this selector matches no cell; correct it or remove it"


def _matches_something(config: Config, selector: Selector, families: Mapping[str, RowRules] | None) -> bool:
    exporters, converters, models = subjects(config)
    named = {row.family for row in config.converters}
    if families is not None and any(families[name].source == "torch" for name in named if name in families):
        # Their cells have no exporter with another name.
        exporters.append({"exporter": DIRECT, "via": DIRECT})
    on_exporter = selector.restricted(EXPORTER_KEYS)
    on_model = selector.restricted(("model",))
    # If a row leaves Python open, `lock` chooses it, so the table alone cannot tell.
    rest = Selector(tuple(c for c in selector.conditions if c.key not in (*EXPORTER_KEYS, "model", "python")))
    return any(map(on_exporter, exporters)) and any(map(rest, converters)) and any(map(on_model, models))
