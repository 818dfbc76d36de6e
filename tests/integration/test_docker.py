"""The main job with an image for every environment: the same findings as in virtual environments, and nothing built or
run twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import docker
import pytest
from engine import attempts, containers, environment_images, need_bases
from product import Finished, Project
from tables import EXPORTER, TF1, TF2, ZOO, copy_of_the_product, small_model, write_table
from test_zoo import EXPECTED, KEYS, MEMORY_MB, assert_a_hang_costs_its_own_job_only, findings

# Enough for a small model once its environment is warm; a model that hangs uses all of it.
SECONDS = 20


@pytest.fixture(scope="module")
def imaged(engine: docker.DockerClient, real: Project) -> Project:
    """The real table, in the --state in which `smoke` has run in virtual environments."""
    need_bases(engine, EXPORTER, "reference", TF1, TF2)
    return replace(real, engine="docker")


@pytest.fixture(scope="module")
def smoke_in_docker(smoke: Finished, imaged: Project) -> Finished:
    return imaged.call("run", "--format", "json", "--tier", "smoke", "--locked", patience=900)


@pytest.fixture(autouse=True)
def nothing_half_done_is_left(engine: docker.DockerClient, caged: Project) -> Iterator[None]:
    yield
    assert not containers(engine, caged) and not attempts(engine, caged)


def test_the_smoke_tier_finds_the_same_as_in_virtual_environments(
    smoke: Finished, smoke_in_docker: Finished, imaged: Project
) -> None:
    assert {cell["converter"]: cell["verdict"] for cell in smoke_in_docker.cells} == {TF1: "match", TF2: "match"}
    assert smoke_in_docker.code == 0, smoke_in_docker.err
    assert smoke_in_docker.jobs == smoke.jobs, "what another engine found is no finding of this one"
    compared = imaged.call("compare", str(smoke.document["run"]), str(smoke_in_docker.document["run"]))
    assert compared.code == 0, compared.out + compared.err
    imaged.assert_history_whole()


def test_a_second_run_builds_and_runs_nothing(smoke_in_docker: Finished, imaged: Project) -> None:
    again = imaged.run("--tier", "smoke", "--locked")
    assert again.jobs == (0, sum(smoke_in_docker.jobs))
    assert "building" not in again.err
    verdicts = [(cell["cell"], cell["verdict"], cell["metrics"]) for cell in smoke_in_docker.cells]
    assert [(cell["cell"], cell["verdict"], cell["metrics"]) for cell in again.cells] == verdicts


def test_edited_code_of_a_stage_rebuilds_no_image(caged: Project, engine: docker.DockerClient) -> None:
    write_table(caged.folder, [small_model("good")], (TF1, TF2))
    copy_of_the_product(caged.folder)
    first = caged.run()
    assert [cell["verdict"] for cell in first.cells] == ["match", "match"], first.err
    assert first.jobs == (4, 0)
    images = environment_images(engine)
    with (caged.folder / "converter" / "families" / "onnx_tf" / "convert.py").open("a") as file:
        file.write("# edited\n")

    again = caged.run()

    assert again.jobs == (2, 2)
    assert [cell["verdict"] for cell in again.cells] == ["match", "match"], again.err
    assert environment_images(engine) == images


def test_each_model_of_the_zoo_gets_the_verdict_it_gets_in_virtual_environments(caged: Project) -> None:
    write_table(caged.folder, [small_model(name, item["factory"]) for name, item in EXPECTED.items()])

    done = caged.run("--memory", str(MEMORY_MB))

    assert findings(done) == {name: {key: item[key] for key in KEYS} for name, item in EXPECTED.items()}, done.err
    assert done.code == 0
    assert not (caged.folder / "unpickled").exists(), "the driver unpickled an array"
    caged.assert_history_whole()
    assert caged.run("--memory", str(MEMORY_MB)).jobs[0] == 0, "each of them is a finding"


def test_who_runs_out_of_memory_in_a_shared_container_is_judged_alone(caged: Project) -> None:
    names = ("leak_a_gigabyte", "need_a_gigabyte", "hoard", "good")
    models = [{**small_model(name), "factory": f"converter.zoo.extra:{name}"} for name in names]
    write_table(caged.folder, models)
    copy_of_the_product(caged.folder)
    # Zoo models share a worker.
    shutil.copy(ZOO / "models.py", caged.folder / "converter" / "zoo" / "extra.py")

    done = caged.run("--memory", str(MEMORY_MB))

    match = {"verdict": "match", "role": None, "stage": None, "reason": None}
    oom = {"verdict": "oom", "role": "exporter", "stage": "forward", "reason": "memory-limit"}
    assert findings(done) == {**dict.fromkeys(names, match), "hoard": oom}, done.err


def test_a_model_that_hangs_costs_its_own_job_only(caged: Project) -> None:
    assert_a_hang_costs_its_own_job_only(caged, SECONDS)
