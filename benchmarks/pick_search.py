"""Count the conversions that `pick` needs to verify a toolchain, compared with simpler orders.

    python benchmarks/pick_search.py STATE [--sets 40] [--seed 0]

STATE is a state folder whose store holds a run of tier `evidence` (every model with every converter row). Its verdicts
replace real conversions, so that thousands of searches are free. For each model, evidence comes from the other models
only (its own cells are removed, what it consists of stays). Random sets of constraints are drawn: each holds one to
three ranges of Python, torch, TensorFlow, onnx and numpy versions that occur in the table's rows. A set is skipped if,
by the verdicts, no toolchain matches under it, or all do.

Orders compared, each counting conversions up to and including the first match:
- pick: most likely first, then newest;
- newest: the newest TensorFlow, onnx-tf, onnx and torch first;
- same: first the one toolchain that converts most models, then as newest;
- random: the mean over all orders, (n + 1) / (m + 1) with m matching among n.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.version import Version

from matrix.answers.evidence import Evidence
from matrix.answers.evidence.stored import EvidenceSource, gather
from matrix.answers.pick.candidates import Candidates
from matrix.answers.pick.constraints import Constraint, read_constraint
from matrix.answers.pick.ranking import Ranked, overall, preferred, rank
from matrix.answers.pick.search import Picks
from matrix.answers.prediction import Predictor
from matrix.answers.remedies.apply import Table
from matrix.app.project import Project
from matrix.judging.cells import CellResult
from matrix.packages.index import IndexSettings
from matrix.planning.cells import Cell
from matrix.store.state import State
from matrix.table.model import ModelSpec

TIER = "evidence"
WAYS = ("pick", "newest", "same", "random")


def main() -> int:
    parser = argparse.ArgumentParser(description="Count the conversions needed to verify a toolchain.")
    parser.add_argument("state", type=Path)
    parser.add_argument("--table", type=Path, default=Path("matrix.yml"))
    parser.add_argument("--sets", type=int, default=40, help="sets of constraints to draw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    session = Project(options.table, State(options.state.absolute()), IndexSettings.resolve())
    store = session.state.open_store()
    try:
        source = EvidenceSource(store, session.config, session.locks)
        run = next((run for run in store.runs() if run.tier == TIER and run.status == "complete"), None)
        if run is None:
            print(f"{options.state} holds no complete run of tier {TIER}", file=sys.stderr)
            return 2
        results = {r.record.cell: r for r in source.judge.cells(store.cells(run.id), session.locks, run.id)}
        evidence = gather(session, source)
    finally:
        store.close()
    sets = drawn(session, random.Random(options.seed), options.sets)
    searches = []
    for model in session.config.models:
        # As if the model had been read but never converted.
        known = evidence.without(model.id)
        predictor = Predictor(session.config, known)
        for constraints in sets:
            counted = count(session, constraints, model, known, predictor, results)
            if counted is not None:
                searches.append((constraints, model.id, counted))
    report(searches)
    return 0


def drawn(session: Project, dice: random.Random, number: int) -> list[tuple[Constraint, ...]]:
    """Draw distinct sets of one to three constraints on versions that occur in rows."""
    versions: dict[str, set[str]] = {
        "python": set(),
        "torch": set(),
        "tensorflow": set(),
        "onnx": set(),
        "numpy": set(),
    }
    for row in (*session.config.converters, *session.config.exporters):
        if row.id in session.locks:
            lock = session.locks[row.id]
            versions["python"].add(lock.python)
            for name in versions.keys() - {"python"}:
                if (version := row.pins.get(name) or lock.packages.get(name)) is not None:
                    versions[name].add(version)
    found: dict[tuple[str, ...], tuple[Constraint, ...]] = {}
    while len(found) < number:
        names = dice.sample(sorted(versions), dice.choice((1, 1, 2, 2, 3)))
        chosen = tuple(
            read_constraint(name, _range(dice, sorted(versions[name], key=Version))) for name in sorted(names)
        )
        found.setdefault(tuple(map(str, chosen)), chosen)
    return list(found.values())


def _range(dice: random.Random, versions: Sequence[str]) -> str:
    """Draw a range: below a version, from one on, between two, or one minor release."""
    low, high = sorted(dice.sample(range(len(versions)), 2))
    one = ".".join(map(str, Version(dice.choice(versions)).release[:2]))
    return dice.choice(
        (f"<={versions[high]}", f">={versions[low]}", f">={versions[low]},<={versions[high]}", f"=={one}.*")
    )


def count(
    session: Project,
    constraints: tuple[Constraint, ...],
    spec: ModelSpec,
    evidence: Evidence,
    predictor: Predictor,
    results: dict[str, CellResult],
) -> dict[str, float] | None:
    """Return {order: conversions}, or None if nothing or everything matches."""
    candidates = Candidates(session.config, session.locks, session.build)
    cells = [cell for cell in candidates.cells(spec, constraints) if _measured(results, cell.id)]
    matching = [cell for cell in cells if results[cell.id].finding.verdict == "match"]
    if not matching or len(matching) == len(cells):
        return None
    newest = preferred("newest", ())
    by_age = sorted(cells, key=newest)
    best = overall(candidates.cells(spec), evidence.entries, newest, frozenset(m.id for m in session.config.models))
    same = best[0].cell.id if best else None
    ranked = rank(cells, predictor.predict, newest)
    return {
        "pick": _searched(session, ranked, results),
        "newest": _first(by_age, results),
        "same": _first(sorted(by_age, key=lambda cell: cell.id != same), results),
        "random": (len(cells) + 1) / (len(matching) + 1),
    }


def _measured(results: dict[str, CellResult], cell: str) -> bool:
    return cell in results and not results[cell].finding.indeterminate


def _first(cells: Sequence[Cell], results: dict[str, CellResult]) -> int:
    return next(number for number, cell in enumerate(cells, 1) if results[cell.id].finding.verdict == "match")


def _searched(session: Project, ranked: list[Ranked], results: dict[str, CellResult]) -> int:
    """Run the real search, without remedies: the store does not hold all their outcomes."""
    picks = Picks(ranked, Table(session.config, session.locks), limit=len(ranked), remedy=False)
    found: list[CellResult] = []
    while cells := picks.next(found):
        found.append(results[cells[0].id])
    return picks.conversions


def report(searches: Sequence[tuple[tuple[Constraint, ...], str, dict[str, float]]]) -> None:
    sets = len({constraints for constraints, _, _ in searches})
    print(f"{len(searches)} searches: {sets} sets of constraints x the models that some but not all toolchains match")
    print()
    print("| order | mean conversions | median | at the first | worst |")
    print("|---|---|---|---|---|")
    for way in WAYS:
        counts = [counted[way] for _, _, counted in searches]
        first = sum(number <= 1 for number in counts) / len(counts)
        share = f"{first:.0%}" if way != "random" else ""
        print(
            f"| {way} | {statistics.mean(counts):.2f} | {statistics.median(counts):.0f} | {share} | {max(counts):.0f} |"
        )
    print()
    print("The five searches in which pick needed most:")
    for constraints, model, counted in sorted(searches, key=lambda item: -item[2]["pick"])[:5]:
        asked = ", ".join(map(str, constraints))
        others = ", ".join(f"{way} {counted[way]:.1f}" for way in WAYS[1:])
        print(f"- {model} with {asked}: {counted['pick']:.0f} ({others})")


if __name__ == "__main__":
    sys.exit(main())
