"""One environment that holds an exporter and a converter: torch, onnx, onnx-tf and TensorFlow together."""

from __future__ import annotations

from collections.abc import Callable

from matrix.config.model import ConverterRow, ExporterRow
from matrix.errors import UsageError
from matrix.locks.keep import refresh, stale
from matrix.locks.lockfile import Lock
from matrix.locks.request import Request, make_request
from matrix.session import Session


def joint_row(converter: ConverterRow, exporter: ExporterRow, build: str | None) -> ConverterRow:
    """A converter row with the pins of both; Python and date are left to the resolver, both rows chose theirs alone.

    Raises UsageError where they pin one package to two versions.
    """
    pins = exporter.pins | (exporter.builds.get(build, {}) if build else {})
    for package, version in pins.items():
        if converter.pins.get(package, version) != version:
            raise UsageError(
                f"{converter.id} pins {package} {converter.pins[package]} and {exporter.id} {version}: "
                "no environment holds both"
            )
    return ConverterRow(id=f"{converter.id}+{exporter.id}", pins={**converter.pins, **pins})


def joint_request(session: Session, converter: ConverterRow, exporter_id: str) -> Request:
    """What is asked of the resolver. Raises UsageError for an exporter the table does not have."""
    known = {row.id: row for row in session.config.exporters}
    if exporter_id not in known:
        raise UsageError(f"--with-exporter {exporter_id}: the table has no such row; it has: {', '.join(known)}")
    exporter = known[exporter_id]
    build = session.build if session.build in exporter.builds else None
    return make_request(session.config, joint_row(converter, exporter, build))


def joint_lock(session: Session, request: Request, tell: Callable[[str], None], allowed: bool = True) -> Lock:
    """The lock, resolved where it is missing or stale, and kept in the state folder. Raises what `refresh` does."""
    outdated = stale([request], session.locks)
    made = refresh(outdated, session.folders, frozenset({request.name}), session.settings, tell, allowed)
    return made[0] if made else session.locks[request.name]
