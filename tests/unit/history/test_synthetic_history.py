"""The synthetic histories of the dashboard's tests and benchmarks: judging them gives the findings that were put in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
import small
from synthetic_history import HOSTILE_LINE, HOSTILE_NODE, ROOT, plant, write_history

from matrix.history import History, read_history
from matrix.judging.cells import CellResult, Judge
from matrix.judging.reasons import known_reasons
from matrix.packages.lock import read_locks
from matrix.store import Store
from matrix.store.state import State
from matrix.table import load_config
from matrix.table.model import Verdict


def read(state: Path, newest: Callable[[CellResult, int], None] | None = None) -> tuple[History, Store]:
    paths = State(state)
    store = Store(f"sqlite:///{paths.database}", paths.blobs)
    judge = Judge(load_config(small.TABLE, known_reasons()), store)
    return read_history(store, judge, read_locks(ROOT / "envs"), newest), store


@dataclass(frozen=True)
class Big:
    history: History
    verdicts: Counter[str]
    reasons: Counter[str | None]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Big:
    state = tmp_path_factory.mktemp("big")
    write_history(state, cells=1_200, runs=4)
    verdicts: Counter[str] = Counter()
    reasons: Counter[str | None] = Counter()

    def count(result: CellResult, run: int) -> None:
        verdicts[result.finding.verdict] += 1
        reasons[result.finding.reason] += 1

    return Big(read(state, count)[0], verdicts, reasons)


def test_every_run_decides_every_cell(big: Big) -> None:
    assert len(big.history.timelines) == 1_200
    assert len(big.history.runs) == 4
    assert {len(timeline.runs) for timeline in big.history.timelines.values()} == {4}


def test_every_verdict_is_there_and_none_for_want_of_arrays(big: Big) -> None:
    assert set(big.verdicts) == set(get_args(Verdict))
    assert big.verdicts["match"] > 300
    assert not big.reasons["arrays-missing"]
    assert len(big.reasons) > 12


def test_something_changes_every_night_and_most_does_not(big: Big) -> None:
    changed = [len(big.history.changes(run)) for run in range(1, 4)]
    assert all(1 <= count <= 24 for count in changed), changed
    assert big.history.regressions()
    assert all(big.history.silent(run) for run in range(4))


def test_the_same_seed_makes_the_same_history(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_history(tmp_path / name, cells=300, runs=3, seed=7)
    one, two = (read(tmp_path / name)[0] for name in ("one", "two"))
    assert one.timelines == two.timelines
    assert one.conclusions == two.conclusions


def test_rows_of_now_and_of_other_pins_come_with_what_they_consist_of(tmp_path: Path) -> None:
    write_history(tmp_path, cells=900, runs=2)
    history, store = read(tmp_path)
    environments = {cell.rpartition("/")[2] for cell in history.timelines}
    moved = {name for name in environments if "~now" in name}
    assert moved
    assert moved <= set(store.resolutions.names())
    exporters = {cell.split("/")[1].partition("@")[0] for cell in history.timelines}
    assert any("~now" in name for name in exporters)


def test_two_nights_differ_in_what_was_planted(tmp_path: Path) -> None:
    planted = plant(tmp_path, long_bytes=100_000)
    verdicts: Counter[str] = Counter()
    history, store = read(tmp_path, lambda result, _: verdicts.update([result.finding.verdict]))
    assert set(verdicts) == set(get_args(Verdict))
    (regression,) = history.regressions()
    assert regression.cells == tuple(sorted(planted.broke))
    assert (regression.environment, regression.reason, regression.new) == (planted.row, "protobuf-too-new", True)
    kinds = {change.cell: change.kind for change in history.changes(1)}
    assert kinds == {**dict.fromkeys(planted.broke, "broke"), planted.mended: "mended"}
    assert history.conclusions[history.timelines[planted.infra].newest[1]].finding.verdict == "infra"
    store.close()


def test_what_means_harm_is_in_message_and_log(tmp_path: Path) -> None:
    planted = plant(tmp_path, long_bytes=100_000)
    found: dict[str, CellResult] = {}
    _, store = read(tmp_path, lambda result, _: found.update({result.record.cell: result}))
    hostile = found[planted.hostile].convert
    assert hostile is not None
    result = hostile.passes[-1].result
    assert result is not None
    assert HOSTILE_NODE in result["error"]["message"]
    assert HOSTILE_LINE in store.blobs.text(hostile.passes[-1].log)
    long = found[planted.long].convert
    assert long is not None
    assert len(store.blobs.read(long.passes[-1].log)) == pytest.approx(planted.long_bytes, rel=0.01)
    store.close()
