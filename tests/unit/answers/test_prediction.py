"""Predictions from evidence on the same cell, on other models and on test cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import small
from test_evidence import entry, profile

from matrix.answers.evidence import Entry, Evidence, Profile
from matrix.answers.operators import CaseResult, Coverage
from matrix.answers.operators.coverage import Use
from matrix.answers.prediction import Predictor
from matrix.answers.prediction.features import Feature
from matrix.answers.prediction.frequencies import CountedTrial, Failure, FeatureIndex, Frequencies, suspects
from matrix.judging.finding import Finding
from matrix.planning.cells import Cell
from matrix.table.exporters import expand
from matrix.table.model import Config

CONV = Use("Conv", (("group", 1),), "111")
RELU = Use("Relu", (), "1")
GRU = Use("GRU", (("hidden_size", 8), ("linear_before_reset", 1)), "111011")
HISTORY = {"Conv": (1, 11), "Relu": (6, 13), "GRU": (7, 14), "Erf": (9, 13), "Resize": (10, 11, 13)}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small.config(tmp_path)


def cell(config: Config, converter: str = "new", exporter: str = "torch-1.12.1", opset: int = 9, **pins: str) -> Cell:
    row = next(row for row in config.converters if row.id == converter)
    if pins:
        changed = {**row.pins, **{name.replace("_", "-"): value for name, value in pins.items()}}
        row = row.model_copy(update={"id": "made", "pins": changed})
    return Cell(config.models[0], next(x for x in expand(config) if x.id == exporter), opset, row, "")


def covered(row: str = "new", onnx_tf: str = "1.10.0", *cases: CaseResult) -> Coverage:
    return Coverage(row, "1.10", "onnx-tf", onnx_tf, 15, cases, HISTORY, HISTORY)


def case(use: Use, form: int, verdict: str, said: str = "") -> CaseResult:
    return CaseResult(
        f"test_{use.operator.lower()}",
        "node",
        ((use.operator, form),),
        (use,),
        Finding(verdict, "converter", "run", verdict, said=said),
    )


def evidence(
    entries: Iterable[Entry] = (), profiles: Iterable[Profile] = (), coverage: dict[str, Coverage] | None = None
) -> Evidence:
    return Evidence(tuple(entries), {item.key: item for item in profiles}, coverage or {"new": covered()})


def seen(model: str, verdict: str, *uses: Use, converter: str = "new", said: str = "") -> tuple[Entry, Profile]:
    """A model that torch 1.12.1 exported at opset 9 with these uses, and its verdict."""
    failed = verdict != "match"
    found = entry(
        model,
        converter,
        verdict,
        cell=f"{model}/torch-1.12.1@9/{converter}",
        exporter="torch-1.12.1",
        role="converter" if failed else None,
        stage="run" if failed else None,
        reason=f"{verdict}-reason" if failed else None,
        said=said,
    )
    return found, profile(model, "torch-1.12.1", 9, *uses)


def known(
    *others: tuple[Entry, Profile], uses: tuple[Use, ...], coverage: dict[str, Coverage] | None = None
) -> Evidence:
    mine = profile("net", "torch-1.12.1", 9, *uses)
    return evidence((found for found, _ in others), (mine, *(item for _, item in others)), coverage)


def test_a_measured_cell_is_predicted_as_found(config: Config) -> None:
    match, _ = seen("net", "match")
    assert Predictor(config, evidence([match])).predict(cell(config)).probability > 0.95
    error, _ = seen("net", "error", said="broken")
    found = Predictor(config, evidence([error])).predict(cell(config))
    assert found.probability < 0.05
    assert [(item.reason, "broken" in item.text) for item in found.blockers] == [("error-reason", True)]
    assert "2026-11-24" in found.basis[0]


def test_a_model_that_was_never_exported_is_undecided(config: Config) -> None:
    found = Predictor(config, evidence()).predict(cell(config))
    assert found.probability == 0.5
    assert found.blockers == ()


def test_a_file_newer_than_the_converters_onnx_fails(config: Config) -> None:
    newer = Profile("net", "torch-1.12.1", 9, 9, 6, (RELU,))
    predictor = Predictor(config, evidence(profiles=[newer]))
    old, new = predictor.predict(cell(config, "old")), predictor.predict(cell(config))
    assert old.probability < 0.05
    assert old.blockers[0].reason == "ir-version-too-new"
    assert "IR version 6" in old.blockers[0].text
    assert "onnx 1.5.0 supports at most 5" in old.blockers[0].text
    assert new.probability > 0.5


def test_an_operator_that_worked_elsewhere_is_trusted_and_one_that_failed_is_not(config: Config) -> None:
    fine = [seen(f"fine-{number}", "match", CONV) for number in range(3)]
    broken = [seen(f"broken-{number}", "error", CONV, RELU) for number in range(3)]
    good = Predictor(config, known(*fine, *broken, uses=(CONV,))).predict(cell(config))
    bad = Predictor(config, known(*fine, *broken, uses=(CONV, RELU))).predict(cell(config))
    assert good.probability > 0.8
    assert good.blockers == ()
    assert bad.probability < 0.4
    (blocker,) = bad.blockers
    assert blocker.reason == "error-reason"
    assert "Relu-6: fails in onnx-tf 1.10.0, as broken-0 shows" in blocker.text


def test_only_the_operator_that_the_message_names_is_suspected(config: Config) -> None:
    strange = Use("Erf", (), "1")
    broken = [seen(f"b{number}", "error", RELU, strange, said="Erf is not there") for number in range(3)]
    found = Predictor(config, known(*broken, uses=(RELU,))).predict(cell(config))
    assert found.probability > 0.8
    found = Predictor(config, known(*broken, uses=(strange,))).predict(cell(config))
    assert found.probability < 0.4


def test_an_environment_that_does_not_import_fails_with_every_model(config: Config) -> None:
    before = seen("other", "error", RELU)[0]
    broken = before._replace(finding=replace(before.finding, stage="import", said="no keras"))
    found = Predictor(config, evidence([broken], [profile("net", "torch-1.12.1", 9, RELU)])).predict(cell(config))
    assert found.probability < 0.05
    assert "no keras" in found.blockers[0].text


def test_limits_in_the_code_of_onnx_tf_need_no_evidence(config: Config) -> None:
    found = Predictor(config, known(uses=(GRU,))).predict(cell(config))
    assert found.probability < 0.1
    assert "GRU-7 with linear_before_reset=1: refused by onnx-tf 1.10.0" in found.blockers[0].text
    other = Use("GRU", (("hidden_size", 8), ("linear_before_reset", 0)), "111011")
    assert Predictor(config, known(uses=(other,))).predict(cell(config)).probability > 0.8


def test_an_operator_that_is_not_in_onnx_fails(config: Config) -> None:
    found = Predictor(config, known(uses=(RELU, Use("ATen")))).predict(cell(config))
    assert found.probability < 0.1
    assert [item.reason for item in found.blockers] == ["operator-alien"]


def test_a_form_that_onnx_tf_has_no_handler_for_is_unlikely(config: Config) -> None:
    handlers = {**HISTORY, "Relu": (1,)}
    coverage = {"new": Coverage("new", "1.10", "onnx-tf", "1.10.0", 15, (), handlers, HISTORY)}
    found = Predictor(config, known(uses=(RELU,), coverage=coverage)).predict(cell(config))
    assert found.probability < 0.2
    assert found.blockers[0].text == "Relu-6: no handler in onnx-tf 1.10.0"


def test_test_cases_count_for_the_row_and_its_release(config: Config) -> None:
    cases = [case(RELU, 6, "unsupported"), case(CONV, 1, "match")]
    coverage = {"new": covered("new", "1.10.0", *cases)}
    for made in ({}, {"tensorflow": "2.9.0"}):
        there = cell(config, **made)
        found = Predictor(config, known(uses=(CONV, RELU), coverage=coverage)).predict(there)
        assert found.probability < 0.7
        assert found.probability < Predictor(config, known(uses=(CONV,), coverage=coverage)).predict(there).probability


def test_a_failing_case_about_something_else_does_not_count(config: Config) -> None:
    odd = Use("Relu", (("strange", 1),), "1")
    cases = [case(RELU, 6, "match"), *[case(odd, 6, "error")] * 5]
    coverage = {"new": covered("new", "1.10.0", *cases)}
    assert Predictor(config, known(uses=(RELU,), coverage=coverage)).predict(cell(config)).probability > 0.8


def test_a_derived_row_is_predicted_like_the_nearest(config: Config) -> None:
    broken = [seen(f"b{number}", "error", RELU) for number in range(4)]
    predictor = Predictor(config, known(*broken, uses=(RELU,)))
    near = predictor.predict(cell(config, tensorflow="2.9.0"))
    assert near.probability < 0.5
    assert "cells of new" in near.basis[-1]


def test_an_opset_that_the_exporter_cannot_write_fails(config: Config) -> None:
    found = Predictor(config, known(uses=(RELU,))).predict(cell(config, "old", "torch-1.2.0", 11))
    assert found.probability < 0.05
    assert found.blockers[0].reason == "opset-not-writable"


def test_a_profile_is_carried_over_to_another_opset(config: Config) -> None:
    bad = seen("other", "error", RELU, said="Relu fails")
    bad13 = [
        bad[0]._replace(cell=f"m{n}/x", model=f"m{n}", opset=13) for n in range(4)
    ]  # fmt: skip
    files = [profile(f"m{n}", "torch-1.12.1", 13, RELU) for n in range(4)]
    predictor = Predictor(config, evidence(bad13, [profile("net", "torch-1.12.1", 9, RELU), *files]))
    at9, at13 = predictor.predict(cell(config, opset=9)), predictor.predict(cell(config, opset=13))
    assert at13.probability < 0.5 < at9.probability
    assert "carried over" in at13.basis[0]
    assert "Relu-13" in at13.blockers[0].text


def test_an_export_that_failed_fails_with_every_converter(config: Config) -> None:
    failed = entry(
        "net", "old", "error", cell="net/torch-1.12.1@11/old", exporter="torch-1.12.1", opset=11, role="exporter",
        stage="export", reason="exporter-op-missing", said="no rule for it",
    )  # fmt: skip
    found = Predictor(config, evidence([failed], [profile("net", "torch-1.12.1", 9, RELU)])).predict(
        cell(config, opset=11)
    )
    assert found.probability < 0.05
    assert found.blockers[0].reason == "exporter-op-missing"


def test_coverage_is_not_needed(config: Config) -> None:
    fine = [seen(f"fine-{number}", "match", RELU) for number in range(3)]
    mine = profile("net", "torch-1.12.1", 9, RELU)
    bare = Evidence(tuple(found for found, _ in fine), {p.key: p for p in (mine, *(p for _, p in fine))})
    assert Predictor(config, bare).predict(cell(config)).probability > 0.8


class TestSuspects:
    features = (
        Feature("writer", detail="torch-2.13.0"),
        Feature("form", "Resize", 11),
        Feature("mode", "Resize", 11, "mode=nearest"),
        Feature("together", "Resize", 11, "mode=nearest"),
        Feature("form", "Relu", 6),
    )

    def of(self, said: str, reason: str = "x") -> list[str]:
        return [
            item.kind for item in suspects(self.features, Failure(Finding("error", reason=reason, said=said), of="m"))
        ]

    def test_all_if_nothing_is_named(self) -> None:
        assert len(self.of("list index out of range")) == 5

    def test_a_node_named_after_an_operator_is_not_the_operator(self) -> None:
        assert len(self.of("'/stem/Relu' is odd")) == 5

    def test_only_the_writer_for_invalid_names(self) -> None:
        assert self.of("'/stem/Relu' is not a valid scope name", "invalid-node-name") == ["writer"]

    def test_an_attribute_that_is_named(self) -> None:
        assert self.of("Resize: unknown attribute mode") == ["mode"]

    def test_values_that_are_refused_together(self) -> None:
        assert self.of("Resize mode=nearest and nearest_mode=floor is not supported") == ["together"]


def test_blame_moves_to_features_that_also_fail_elsewhere() -> None:
    index = FeatureIndex()
    common, bad, innocent = Feature("form", "A", 1), Feature("form", "B", 1), Feature("form", "C", 1)

    def trial(*features: Feature, failed: bool = True) -> CountedTrial:
        return CountedTrial(
            index.numbers(features), Failure(Finding("error", reason="r", said=""), of="m") if failed else None
        )

    trials = [trial(common, failed=False), *[trial(common, bad)] * 3, trial(bad, innocent)]
    import numpy as np

    found = Frequencies(trials, np.full(3, 0.95), 1.0)
    chances = dict(zip(index.seen, found.chances, strict=True))
    assert chances[common] > 0.95
    assert chances[bad] < 0.3
    assert chances[innocent] > 0.7
    assert len(found.blamed_on(1)) == 4
    assert found.blamed_on(2) == []


# --- a file that may be translated -----------------------------------------------------------------------------------


def with_file(*uses: Use, opset: int = 13) -> Evidence:
    """A file of a newer opset, and a converter that claims Relu in its form of opset 6 only."""
    claims = {**HISTORY, "Relu": (6,)}
    coverage = {"new": replace(covered(), handlers=claims)}
    written = replace(profile("net", "torch-1.12.1", 9, *uses), opset_written=opset)
    return evidence(profiles=[written], coverage=coverage)


def test_a_file_is_translated_to_the_newest_opset_whose_forms_are_converted(config: Config) -> None:
    predictor = Predictor(config, with_file(RELU))
    assert predictor.predict(cell(config)).probability < 0.2
    found = predictor.eased(cell(config))
    assert found is not None and found.opset == 12 and found.prediction.probability > 0.8


def test_a_file_is_not_translated_below_the_opset_of_its_operators(config: Config) -> None:
    assert Predictor(config, with_file(RELU, Use("Resize", (), "11"), opset=10)).eased(cell(config)) is None
    # What an older opset lacks can be spelled otherwise where we know how.
    predictor = Predictor(config, with_file(RELU, Use("LayerNormalization", (), "111"), opset=17))
    assert predictor.eased(cell(config)) is not None


def test_a_file_that_is_fine_as_it_is_or_unknown_is_not_translated(config: Config) -> None:
    assert Predictor(config, with_file(CONV, opset=11)).eased(cell(config)) is None
    assert Predictor(config, evidence()).eased(cell(config)) is None


def test_an_environment_that_fails_whatever_the_file_is_never_worth_a_try(config: Config) -> None:
    broken, file = seen("other", "error", CONV)
    broken = broken._replace(finding=Finding("error", "converter", "import", "no-module", said="no module"))
    found = evidence([broken], [file, profile("net", "torch-1.12.1", 9, CONV)])
    prediction = Predictor(config, found).predict(cell(config))
    assert prediction.probability == 0 and "does not work" in prediction.blockers[0].text
    assert Predictor(config, found).eased(cell(config)) is None
