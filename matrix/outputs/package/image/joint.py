"""One environment that holds an exporter and a converter: torch, onnx, onnx-tf and TensorFlow together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from matrix.app.project import Project
from matrix.core.errors import LockStale, UsageError
from matrix.environments.locks.keep import refresh, stale
from matrix.environments.locks.request import Request, make_request
from matrix.packages.lock import Lock
from matrix.table.ids import environment_name, joint_id
from matrix.table.model import Config, ConverterRow, ExporterRow


def joint_request(config: Config, converter: ConverterRow, exporter: ExporterRow, build: str | None) -> Request:
    """Return the request for an environment with the pins of both rows; the resolver chooses Python and date.

    `build` is the project's build of torch. Raises UsageError if the rows pin one package to two versions.
    """
    for package, version in exporter.pins.items():
        if converter.pins.get(package, version) != version:
            raise UsageError(
                f"{converter.id} pins {package} {converter.pins[package]} and {exporter.id} {version}: "
                "no environment holds both"
            )
    row = ConverterRow(id=joint_id(converter.id, exporter.id), pins={**converter.pins, **exporter.pins})
    request = make_request(config, row)
    if build in exporter.builds:
        # As for the exporter's own row: the index has the version, and the user's wheels its build.
        built = exporter.builds[str(build)]
        plain = {f"{package}=={exporter.pins[package]}": f"{package}=={built[package]}" for package in built}
        request = replace(
            request,
            name=environment_name(request.name, (build,), build),
            requirements=tuple(sorted(plain.get(text, text) for text in request.requirements)),
        )
    return replace(request, find_links=not exporter.builds or build in exporter.builds)


def joint_lock(
    project: Project, converter: ConverterRow, exporter: str, tell: Callable[[str], None], allowed: bool = True
) -> Lock:
    """Return the lock, resolved if it is missing or stale, and kept in the state folder.

    Raises UsageError for an exporter that is not in the table, LockStale if resolving is not `allowed`, and from
    resolving Indeterminate, ConfigError and ImpossiblePin.
    """
    known = {row.id: row for row in project.config.exporters}
    if exporter not in known:
        raise UsageError(f"--with-exporter {exporter}: no such row in the table; it has: {', '.join(known)}")
    request = joint_request(project.config, converter, known[exporter], project.build)
    outdated = stale([request], project.locks)
    if not outdated:
        return project.locks[request.name]
    if not allowed:
        raise LockStale(
            f"no current lock for {request.name}; run without --locked to resolve it and keep it in --state"
        )
    (made,) = refresh(outdated, project.folders, frozenset({request.name}), project.settings, tell)
    return made
