"""`predict` on the command line, with invented evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import small
from click.testing import CliRunner, Result
from test_evidence import entry, profile
from test_prediction import CONV, GRU, covered, seen

from matrix.answers.evidence import Evidence
from matrix.cli import predict as predicting
from matrix.core.errors import NothingSelected, UsageError


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = [seen(f"m{number}", "match", CONV) for number in range(3)]
    mine = (profile("net", "torch-1.12.1", 9, CONV), profile("net", "torch-1.2.0", 9, CONV, GRU))
    known = Evidence(
        tuple(found for found, _ in fine),
        {item.key: item for item in (*mine, *(p for _, p in fine))},
        {"new": covered()},
    )
    monkeypatch.setattr("matrix.answers.evidence.stored.look_up", lambda *_: known)


def predict(folder: Path, *arguments: str) -> Result:
    table = small.table(folder)
    return CliRunner().invoke(
        predicting.predict, [*arguments, "--table", str(table), "--state", str(folder / "state"), "--tier", "full"]
    )


@pytest.mark.usefixtures("evidence")
def test_the_likely_come_first_and_the_others_say_why(tmp_path: Path) -> None:
    done = predict(tmp_path, "net", "--only", "opset==9", "--only", "converter=new", "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["model"] == "net"
    chances = [item["probability"] for item in found["predictions"]]
    assert chances == sorted(chances, reverse=True)
    assert found["predictions"][0]["exporter"] == "torch-1.12.1"
    refused = next(item for item in found["predictions"] if item["exporter"] == "torch-1.2.0")
    assert [blocker["reason"] for blocker in refused["blockers"]] == ["operator-limit"]


@pytest.mark.usefixtures("evidence")
def test_the_table_says_it_in_words(tmp_path: Path) -> None:
    done = predict(tmp_path, "net", "--only", "opset==9", "--only", "converter=new")
    assert done.exit_code == 0, done.output
    assert "GRU-7 with linear_before_reset=1: refused by onnx-tf 1.10.0" in done.output


@pytest.mark.usefixtures("evidence")
def test_offline_says_what_to_do_about_a_model_nobody_has_read(tmp_path: Path) -> None:
    done = predict(tmp_path, "other", "--offline")
    assert isinstance(done.exception, NothingSelected)
    assert "without --offline" in str(done.exception)


@pytest.mark.usefixtures("evidence")
@pytest.mark.parametrize("arguments", [(), ("net", "--model", "other")])
def test_it_takes_one_model(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert isinstance(predict(tmp_path, *arguments).exception, UsageError)


def test_a_model_is_read_by_another_exporter_where_the_newest_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read(_session: object, _options: object, cells: list[predicting.Any]) -> bool:
        asked.append(cells[0].exporter.row)
        return True

    def gather(*_: object) -> Evidence:
        item = profile("net", "torch-1.12.1", 9, CONV)
        return Evidence((entry("other"),), {item.key: item} if "torch-1.12.1" in asked else {})

    monkeypatch.setattr("matrix.answers.use_cases.read_models", read)
    monkeypatch.setattr("matrix.answers.evidence.stored.look_up", gather)
    done = predict(tmp_path, "net", "--only", "opset==9")
    assert done.exit_code == 0, done.output
    assert asked == ["torch-2.13.0", "torch-2.13.0", "torch-1.12.1"]


def test_evidence_is_written_beside_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.answers.evidence.stored.look_up", lambda *_: Evidence((entry(), entry("private"))))
    done = predict(tmp_path, "--export-evidence")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "evidence" / "cells.json").read_text()
    assert '"net"' in text
    assert "private" not in text
