"""`pick` with real packages: read the model, convert, hand over; and the answer if nothing fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from product import Finished, Project
from tables import EXPORTER, TF1, small_model, write_table

from matrix.packages.lock import read_locks


def within(project: Project, *environments: str) -> list[str]:
    """Return options that leave only these rows to choose from."""
    locks = read_locks(project.folder / "envs")
    packages = {name: version for environment in environments for name, version in locks[environment].packages.items()}
    return [
        part
        for name in ("torch", "tensorflow", "onnx-tf")
        for part in (f"--{name}", packages.get(name) or packages[f"{name}-cpu"])
    ] + ["--onnx", locks[TF1].packages["onnx"]]


def pick(project: Project, *options: str) -> Finished:
    return project.call("pick", "--model", "net", "--format", "json", "--out", str(project.folder / "handed"), *options)


@pytest.fixture
def asked(project: Project) -> list[str]:
    write_table(project.folder, [small_model("net")])
    return within(project, EXPORTER, TF1)


def test_a_model_that_was_never_seen_is_read_and_its_toolchain_proven(project: Project, asked: list[str]) -> None:
    done = pick(project, *asked)
    assert done.code == 0, done.err
    found = done.document
    (proven,) = found["proven"]
    assert (proven["exporter"], proven["converter"], proven["verdict"]) == (EXPORTER, TF1, "match")
    assert found["conversions"] == 1 and found["given_up"] == {}
    # Read before it was converted, so that operators are considered, not only past results.
    assert "reading net" in done.err
    assert Path(found["folder"], "EVIDENCE.md").is_file() and Path(found["folder"], "convert.py").is_file()

    again = pick(project, *asked)
    assert again.code == 0 and again.document["proven"][0]["cached"], again.err
    assert "reading net" not in again.err

    told = project.call("pick", "--model", "net", "--format", "json", "--offline", *asked)
    assert told.code == 0, told.err
    best = told.document["candidates"][0]
    assert best["seen"] and best["cell"] == proven["cell"]
    assert not project.jobs_of_last_run()


def test_where_nothing_fits_it_says_what_was_tried_and_what_to_give_up(project: Project, asked: list[str]) -> None:
    done = pick(project, *asked, "--numpy", ">=3")
    assert done.code == 15, done.err
    found = done.document
    assert found["given_up"] == {"numpy": ">=3"}
    assert found["made"] and all("numpy" in why for why in found["made"].values())
    (proven,) = found["proven"]
    assert proven["converter"] == TF1 and proven["verdict"] == "match"
    assert "numpy >=3" in done.err.splitlines()[-1]


def test_one_environment_can_hold_both_sides(project: Project, asked: list[str]) -> None:
    done = pick(project, *asked, "--single-environment")
    assert done.code == 0, done.err
    (proven,) = done.document["proven"]
    assert proven["converter"] == f"{TF1}+{EXPORTER}"
    exported, converted = (project.payloads(kind)[-1]["installed"] for kind in ("export", "convert"))
    assert exported == converted and {"torch", "onnx-tf"} <= exported.keys()
    assert (project.folder / "handed" / "requirements.txt").is_file()


def test_a_range_that_no_row_has_makes_rows_that_are_proven(project: Project, asked: list[str]) -> None:
    """Both sides are locked again with it."""
    done = pick(project, *asked, "--numpy", ">=1.18,<1.19")
    assert done.code == 0, done.err
    found = done.document
    assert any(why == "" for why in found["made"].values())
    for kind in ("export", "convert"):
        assert project.payloads(kind)[-1]["installed"]["numpy"].startswith("1.18.")


def test_what_is_over_the_zoo_needs_evidence(project: Project, asked: list[str]) -> None:
    done = project.call("pick", *asked)
    assert done.code == 15 and "--tier evidence" in done.err
