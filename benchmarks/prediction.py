"""Measure how well the cells of an unseen model are predicted: leave one model out at a time, over all stored cells.

    python benchmarks/prediction.py STATE [--one EXPORTER@OPSET] [--coverage FOLDER]

STATE is the state folder of a run of tier `evidence`; its database is copied, not changed. Each model's cells are
removed from the evidence and predicted from those of the others. What each exporter wrote of the model stays known;
with --one only what that exporter wrote, as for a model that was read once. Cells whose export failed are included.

The plain rule, as a baseline: a cell fails if the file's IR version is newer than the converter's onnx supports, if the
exporter cannot write the opset, if the converter's environment cannot be imported, or if an operator of the file is
unsupported, wrong or failing in the operator coverage of the row (or of another row with the same onnx-tf); otherwise
it matches. --coverage names a folder of raw coverage results, one subfolder for each row, for a state without any.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matrix.answers.evidence import Entry, Evidence
from matrix.answers.evidence.stored import EvidenceSource, gather
from matrix.answers.operators import Coverage
from matrix.answers.operators.coverage import since
from matrix.answers.operators.judging import judge_cases
from matrix.answers.prediction import Prediction, Predictor
from matrix.answers.prediction.experience import KINDS, converter_release, nearest
from matrix.app.project import Project
from matrix.families.registry import read_by
from matrix.judging.cells import Judge, tolerances_of
from matrix.packages.index import IndexSettings
from matrix.planning.cells import Cell
from matrix.store.state import State
from matrix.table.exporters import expand
from matrix.table.model import Config

ROOT = Path(__file__).resolve().parent.parent

Predicted = list[tuple[Entry, float, Prediction | None]]
Method = Callable[[Evidence], Callable[[Cell], tuple[float, Prediction | None]]]

_BAD = frozenset({"unsupported", "wrong", "failing"})

LEFT_OUT = {
    "limits in onnx-tf's code": {"limit"},
    "attributes": {"mode", "together", "limit", "odd"},
    "the exporter": {"writer"},
    "newer forms": {"beyond", "odd"},
    "claims and unknown operators": {"unclaimed", "alien"},
}


def evidence_of(state: Path, raw: Path | None) -> tuple[Config, Evidence]:
    """Return the table and all evidence, read from a copy of the state's database."""
    with tempfile.TemporaryDirectory() as folder:
        for path in state.glob("matrix.db*"):
            shutil.copy(path, folder)
        (Path(folder) / "blobs").symlink_to((state / "blobs").absolute())
        settings = IndexSettings.resolve(index=None, find_links=())
        session = Project(table=ROOT / "matrix.yml", state=State(Path(folder)), settings=settings)
        store = session.state.open_store()
        try:
            judge = Judge(session.config, store)
            evidence = gather(session, EvidenceSource(store, session.config, session.locks, judge))
        finally:
            store.close()
    if raw is not None:
        covered = {
            path.name: _judged(session.config, path) for path in sorted(raw.iterdir()) if (path / "cases.json").exists()
        }
        evidence = replace(evidence, coverage={**covered, **evidence.coverage})
    return session.config, evidence


def _judged(config: Config, path: Path) -> Coverage:
    cases, expected, actual = (path / name for name in ("cases.json", "expected.npz", "actual.npz"))
    return judge_cases(path.name, cases, expected, actual, tolerances_of(config, ""))


def learned(config: Config, ignored: frozenset[str] = frozenset()) -> Method:
    def of(evidence: Evidence) -> Callable[[Cell], tuple[float, Prediction | None]]:
        predictor = Predictor(config, evidence, ignored)

        def predict(cell: Cell) -> tuple[float, Prediction | None]:
            found = predictor.predict(cell)
            return found.probability, found

        return predict

    return of


def plain(config: Config) -> Method:
    def of(evidence: Evidence) -> Callable[[Cell], tuple[float, Prediction | None]]:
        rows = {row.id: row for row in config.converters}
        broken = {
            e.converter
            for e in evidence.entries
            if e.finding.role == "converter" and e.finding.stage in ("build", "import")
        }

        def predict(cell: Cell) -> tuple[float, Prediction | None]:
            profile = evidence.profiles.get((cell.model.id, cell.exporter.id, cell.opset))
            if cell.opset not in cell.exporter.askable or cell.converter.id in broken:
                return 0.0, None
            release = read_by(config, cell.converter, {})
            if profile is None or release is None:
                return 1.0, None
            if (profile.ir_version or 0) > release.ir:
                return 0.0, None
            own = converter_release(cell.converter)
            same = [n for n in evidence.coverage if converter_release(rows[n]) == own]
            near = nearest(cell.converter, rows, same)
            if near is None:
                return 1.0, None
            covered, known = evidence.coverage[near], min(profile.opset_written or cell.opset, release.opset)
            forms = {(use.operator, since(covered.schemas, use.operator, known) or 0) for use in profile.uses}
            support = covered.support
            return float(not any(form in support and support[form].status in _BAD for form in forms)), None

        return predict

    return of


def left_out(config: Config, evidence: Evidence, method: Method, one: tuple[str, int] | None) -> Predicted:
    """Return every measured cell of the table's models with its prediction from the other models."""
    rows = {row.id: row for row in config.converters}
    exporters = {exporter.id: exporter for exporter in expand(config)}
    found: Predicted = []
    for model in config.models:
        others = evidence.without(model.id)
        if one is not None:
            kept = {key: item for key, item in others.profiles.items() if key[0] != model.id or key[1:] == one}
            others = replace(others, profiles=kept)
        predict = method(others)
        for entry in evidence.entries:
            if entry.model != model.id or entry.finding.indeterminate:
                continue
            known = entry.finding.role == "exporter" or entry.profile in evidence.profiles
            if known and entry.exporter in exporters and entry.converter in rows:
                cell = Cell(model, exporters[entry.exporter], entry.opset, rows[entry.converter], "")
                found.append((entry, *predict(cell)))
    return found


def arrays(found: Predicted) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    return np.array([entry.finding.verdict == "match" for entry, *_ in found]), np.array(
        [chance for _, chance, _ in found]
    )


def score(truth: NDArray[np.bool_], chances: NDArray[np.float64]) -> str:
    """Return balanced accuracy (the mean of the recalls of matches and of failures) and Brier score."""
    accuracy = ((chances[truth] >= 0.5).mean() + (chances[~truth] < 0.5).mean()) / 2
    return f"{accuracy:7.1%}   {((chances - truth) ** 2).mean():.3f}"


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("state", type=Path)
    asked.add_argument("--one", metavar="EXPORTER@OPSET")
    asked.add_argument("--coverage", type=Path, metavar="FOLDER")
    options = asked.parse_args()
    one = None
    if options.one:
        exporter, _, opset = options.one.rpartition("@")
        one = (exporter, int(opset))
    config, evidence = evidence_of(options.state, options.coverage)
    found = left_out(config, evidence, learned(config), one)
    truth, chances = arrays(found)
    cases = sum(len(covered.cases) for covered in evidence.coverage.values())
    print(f"{len(found)} cells, {truth.mean():.1%} match; coverage of {len(evidence.coverage)} rows, {cases} cases\n")
    print("balanced accuracy, Brier score")
    print(f"{score(truth, np.full(len(truth), truth.mean()))}  majority class (with its share as the probability)")
    print(f"{score(*arrays(left_out(config, evidence, plain(config), one)))}  plain operator rule")
    print(f"{score(truth, chances)}  this predictor")
    for name, kinds in LEFT_OUT.items():
        assert kinds <= KINDS.keys()
        print(f"{score(*arrays(left_out(config, evidence, learned(config, frozenset(kinds)), one)))}    without {name}")
    bare = replace(evidence, coverage={})
    print(f"{score(*arrays(left_out(config, bare, learned(config), one)))}    without coverage")
    print("\npredicted    cells   mean    matched")
    for low in range(10):
        inside = (chances >= low / 10) & (chances < (low + 1) / 10)
        if inside.any():
            mean, real = chances[inside].mean(), truth[inside].mean()
            print(f"{low / 10:.1f} to {(low + 1) / 10:.1f} {inside.sum():8}   {mean:.2f}    {real:.2f}")
    print("\nmost frequent mistakes")
    mistakes = [item for item in found if (item[1] >= 0.5) != (item[0].finding.verdict == "match")]
    counted = Counter(
        (entry.model, entry.finding.verdict, entry.finding.role, entry.finding.reason) for entry, *_ in mistakes
    )
    for (model, verdict, role, reason), count in counted.most_common(10):
        print(f"{count:5}  {model}: {verdict} {role or ''} {reason or ''}")
    print("\nworst mistakes")
    worst = sorted(mistakes, key=lambda item: -abs(item[1] - (item[0].finding.verdict == "match")))
    for entry, chance, prediction in worst[:8]:
        why = "; ".join(blocker.text for blocker in prediction.blockers) if prediction else ""
        finding = entry.finding
        print(f"  {chance:.2f}  {entry.cell}: {finding.verdict} {finding.reason or ''} {f'[{why}]' if why else ''}")


if __name__ == "__main__":
    main()
