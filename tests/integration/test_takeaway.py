"""A toolchain to take away: the program on real environments, and its image on a real engine and a real registry."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import docker
import numpy as np
import psutil
import pytest
import requests
from docker.errors import ImageNotFound
from engine import lacking
from product import Finished, Project, wait_for
from tables import ROOT, TF1, TF2

from matrix.app.project import Project as OpenProject
from matrix.environments.docker.engine import DockerEngine
from matrix.families.onnx_tf import OnnxTf
from matrix.outputs.package.image.carried import write_program
from matrix.outputs.package.image.image import KIND, ImagePackager, default_tag
from matrix.outputs.package.image.inside.toolchain import Toolchain
from matrix.packages.index import IndexSettings
from matrix.packages.lock import read_locks
from matrix.store.state import State

# Run in the reference environment, which has onnx: makes a folder of models, each with a peculiarity.
MODELS = """
import numpy, onnx
from onnx import TensorProto, helper, numpy_helper

state = numpy.random.RandomState(0)

def weights(name, *shape):
    return numpy_helper.from_array(state.randn(*shape).astype("float32"), name)

def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)

def save(name, nodes, inputs, outputs, initializers=(), opset=9, **options):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 4
    onnx.save(model, name, **options)

network = [
    helper.make_node("Conv", ["image", "W"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    helper.make_node("Relu", ["c"], ["r"]),
    helper.make_node("GlobalAveragePool", ["r"], ["p"]),
    helper.make_node("Flatten", ["p"], ["f"]),
    helper.make_node("Gemm", ["f", "G", "B"], ["features"]),
]
held = [weights("W", 8, 3, 3, 3), weights("G", 8, 5), weights("B", 5)]
save("model.onnx", network, [value("image", [1, 3, 16, 16])], [value("features", [1, 5])], held)
save("open.onnx", network, [value("image", ["n", 3, 16, 16])], [value("features", ["n", 5])], held)
save("beside.onnx", network, [value("image", [1, 3, 16, 16])], [value("features", [1, 5])], held,
     save_as_external_data=True, location="weights.bin", size_threshold=0)
save("indices.onnx", [helper.make_node("Gather", ["E", "i"], ["e"])],
     [value("i", [4], TensorProto.INT64)], [value("e", [4, 3])], [weights("E", 6, 3)])
save("unknown.onnx", [helper.make_node("NoSuchOperator", ["x"], ["y"])], [value("x", [2])], [value("y", [2])])
"""

EVERYTHING = {"names.json", "inputs.npz", "outputs.npz", "reference.npz", "log.txt", "report.json"}
ARTIFACT = {TF1: "graph.pb", TF2: "model"}


@dataclass(frozen=True)
class Program:
    """The program as the image starts it, on the environments of the venv engine."""

    root: Path
    python: Path
    data: Path

    def __call__(self, *arguments: str) -> Finished:
        done = subprocess.run(self.command(*arguments), cwd=self.data, capture_output=True, text=True, timeout=240)
        return Finished(done.returncode, done.stdout, done.stderr, 0.0)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-E", "-s", str(self.root / "convert.py"), *arguments]


@pytest.fixture(scope="session")
def built(real: Project) -> Project:
    """The environments of the smoke tier, as virtual environments."""
    done = real.call("build", "--engine", "venv", "--tier", "smoke", "--locked")
    assert done.code == 0, done.err
    return real


@pytest.fixture(scope="session")
def models(built: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    python = built.environment("reference") / "bin" / "python"
    subprocess.run([str(python), "-c", MODELS], cwd=folder, check=True, timeout=120)
    return folder


# The names TensorFlow may be installed by.
TENSORFLOW = ("tensorflow", *OnnxTf().replaces["tensorflow"])


def program_of(row: str, built: Project, models: Path, folder: Path, runtime: bool = True) -> Program:
    environment, reference = built.environment(row), built.environment("reference")
    stamps = built.stamps()
    stamp, second = stamps[environment], stamps[reference]
    assert stamp is not None and second is not None
    root = folder / "program"
    write_program(root)
    facts = Toolchain(
        row=row,
        environment=stamp["id"],
        lock=read_locks(ROOT / "envs")[row].digest,
        versions={"python": stamp["python"], **stamp["installed"]},
        python=str(environment / "bin" / "python"),
        reference_python=str(reference / "bin" / "python"),
        onnxruntime=second["installed"]["onnxruntime"] if runtime else None,
        tolerances={},
        packages=("onnx-tf", "onnx", next(name for name in stamp["installed"] if name in TENSORFLOW)),
        converts="converter.families.onnx_tf.convert",
        compared=asdict(OnnxTf().scheme),
    )
    (root / "toolchain.json").write_text(facts.text())
    shutil.copytree(models, folder / "data")
    return Program(root, reference / "bin" / "python", folder / "data")


@pytest.fixture(params=[TF1, TF2])
def program(request: pytest.FixtureRequest, built: Project, models: Path, tmp_path: Path) -> Program:
    return program_of(request.param, built, models, tmp_path)


@pytest.fixture
def either(built: Project, models: Path, tmp_path: Path) -> Program:
    """The program of the TensorFlow 1 row, which starts in half the time; the tests hold for any row."""
    return program_of(TF1, built, models, tmp_path)


def report(program: Program, name: str) -> dict[str, Any]:
    document = json.loads((program.data / f"{name}.tf" / "report.json").read_text())
    assert isinstance(document, dict)
    return document


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return dict(file)


def test_a_model_is_converted_and_compared(program: Program) -> None:
    done = program("model.onnx")
    assert done.code == 0, done.err
    found = report(program, "model")
    row = found["row"]
    assert done.out.startswith("model.onnx: match\n") and row in done.out
    version = read_locks(ROOT / "envs")["reference"].packages["onnxruntime"]
    assert f"ONNX Runtime {version}, carried in this image" in done.out
    assert (found["verdict"], found["exit_code"]) == ("match", 0)
    assert 0 < found["metrics"]["max_abs"] < 1e-4
    assert {path.name for path in (program.data / "model.tf").iterdir()} == EVERYTHING | {ARTIFACT[row]}
    # The report is right about the files: TensorFlow's outputs are ONNX Runtime's.
    outputs, reference = (arrays(program.data / "model.tf" / name) for name in ("outputs.npz", "reference.npz"))
    assert outputs.keys() == reference.keys() == {f"{case}/features" for case in range(5)}
    largest = max(float(np.abs(outputs[key] - reference[key]).max()) for key in outputs)
    assert largest == pytest.approx(found["metrics"]["max_abs"], rel=1e-6)
    assert not list(program.data.glob(".*")), "something in between was left"


def test_given_outputs_decide(either: Program) -> None:
    assert either("model.onnx").code == 0
    result = either.data / "model.tf"
    inputs, outputs = result / "inputs.npz", arrays(result / "reference.npz")
    np.savez(either.data / "right.npz", **outputs)
    outputs["3/features"][0, 2] += 1
    np.savez(either.data / "wrong.npz", **outputs)
    shutil.copy(inputs, either.data / "in.npz")

    done = either("model.onnx", "--inputs", "in.npz", "--reference", "right.npz", "--json")
    assert done.code == 0, done.err
    assert done.document["reference"] == {"kind": "given", "words": "right.npz, given"}

    done = either("model.onnx", "--inputs", "in.npz", "--reference", "wrong.npz")
    assert done.code == 3, done.err
    found = report(either, "model")
    assert (found["verdict"], found["stage"], found["reason"]) == ("mismatch", "compare", "values-differ")
    assert "3/features: 1 of 5 elements" in done.out
    assert found["metrics"]["max_abs"] == pytest.approx(1, abs=1e-3)


def test_without_a_reference_it_says_that_nothing_was_compared(built: Project, models: Path, tmp_path: Path) -> None:
    done = program_of(TF1, built, models, tmp_path, runtime=False)("model.onnx")
    assert done.code == 0, done.err
    assert done.out.startswith("model.onnx: converted, not compared\n")
    assert "none (this image carries none" in done.out and "max abs" not in done.out


def test_sizes_left_open_are_asked_for_by_the_option_to_type(either: Program) -> None:
    done = either("open.onnx")
    assert (done.code, done.out) == (2, "")
    option = re.search(r"--shape \S+$", done.err.strip())
    assert option is not None and done.err.count("\n") == 1, done.err
    assert not (either.data / "open.tf").exists()
    done = either("open.onnx", *option.group().split())
    assert done.code == 0, done.err


def test_weights_beside_the_model_go_along(built: Project, models: Path, tmp_path: Path) -> None:
    """By the TensorFlow 2 row: the onnx of the other is too old for them."""
    newer = program_of(TF2, built, models, tmp_path)
    done = newer("beside.onnx")
    assert done.code == 0, done.out + done.err
    (newer.data / "weights.bin").unlink()
    done = newer("beside.onnx")
    assert done.code == 2 and "weights.bin" in done.err


def test_made_up_indices_are_in_the_table(either: Program) -> None:
    done = either("indices.onnx")
    assert done.code == 0, done.out + done.err


def test_a_failure_has_stage_reason_remedy_and_log_and_no_old_model_stays(program: Program) -> None:
    assert program("model.onnx", "--output", "unknown.tf").code == 0
    done = program("unknown.onnx")
    assert done.code == 4, done.err
    found = report(program, "unknown")
    assert (found["verdict"], found["role"]) == ("error", "converter")
    assert found["stage"] in ("load", "check", "convert") and found["reason"] == "op-not-in-schema"
    assert found["remedies"] and all(remedy["text"] in done.out for remedy in found["remedies"])
    assert "Traceback" not in done.out + done.err
    log = (program.data / "unknown.tf" / "log.txt").read_text()
    assert "Traceback" in log and "NoSuchOperator" in log
    assert {path.name for path in (program.data / "unknown.tf").iterdir()} == {"inputs.npz", "log.txt", "report.json"}


def test_a_mistake_is_one_sentence_and_leaves_nothing(either: Program) -> None:
    (either.data / "text.onnx").write_text("this is no model")
    (either.data / "empty.onnx").write_text("")
    (either.data / "model.tf").mkdir()
    (either.data / "model.tf" / "precious.txt").write_text("mine")
    before = sorted(either.data.rglob("*"))
    for arguments, words in (
        (["missing.onnx"], "not a file"),
        (["text.onnx"], "not an ONNX model"),
        (["empty.onnx"], "not an ONNX model"),
        (["/etc/hostname"], "outside"),
        (["model.onnx"], "--overwrite"),
        (["model.onnx", "--output", "../elsewhere"], "outside"),
        (["open.onnx", "--inputs", "text.onnx"], "not an .npz"),
    ):
        done = either(*arguments)
        assert done.code == 2 and words in done.err and done.err.count("\n") == 1, (arguments, done.err)
    assert sorted(either.data.rglob("*")) == before


def test_an_interrupt_leaves_the_last_result_and_no_process(either: Program) -> None:
    assert either("model.onnx").code == 0
    before = (either.data / "model.tf" / "report.json").read_bytes()
    process = subprocess.Popen(
        either.command("model.onnx"), cwd=either.data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: bool(list(either.data.glob(".model.tf-*/convert/outbox"))), "the conversion to begin")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err.endswith("interrupted\n")
    assert (either.data / "model.tf" / "report.json").read_bytes() == before
    assert not list(either.data.glob(".*"))
    workers = [process for process in psutil.process_iter(["cmdline"]) if str(either.root) in str(process.info)]
    assert not workers


# On an engine


@pytest.fixture(scope="session")
def maker(docker_state: Path) -> Project:
    """The real table in place, with a --state for the Docker engine."""
    return Project(ROOT, docker_state, engine="docker")


@contextlib.contextmanager
def taken_away(maker: Project, engine: docker.DockerClient, *arguments: str) -> Iterator[Finished]:
    """An image made by the command and removed afterwards under every name."""
    done = maker.call("image", *arguments, patience=590)
    try:
        yield done
    finally:
        if (made := re.match(r"(\S+): \d+ MB", done.out)) is not None:
            for name in (made[1], *re.findall(r"^pushed (\S+)@", done.out, re.MULTILINE)):
                with contextlib.suppress(ImageNotFound):
                    engine.images.remove(name, force=True)


@pytest.fixture(scope="module")
def small(maker: Project, engine: docker.DockerClient) -> Iterator[Finished]:
    """The image of the TensorFlow 1 row under a separate name."""
    with taken_away(maker, engine, TF1, "--tag", f"torch-tf-matrix/takeaway-test:{os.getpid()}") as done:
        assert done.code == 0, done.err
        yield done


@pytest.fixture
def data(models: Path, tmp_path: Path) -> Path:
    """A folder of models that belongs to another user, if possible."""
    folder = tmp_path / "data"
    shutil.copytree(models, folder)
    if os.getuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 4321, 4321)
    return folder


def run_image(image: str, data: Path, *arguments: str, options: tuple[str, ...] = ()) -> Finished:
    owner = data.stat()
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--user", f"{owner.st_uid}:{owner.st_gid}", "-v", f"{data}:/data"),
            *options,
            image,
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    return Finished(done.returncode, done.stdout, done.stderr, 0.0)


def image_of(done: Finished) -> str:
    return done.out.split(": ", 1)[0]


def test_an_image_converts_for_any_user_in_the_tightest_cage(small: Finished, data: Path) -> None:
    cage = ("--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    done = run_image(image_of(small), data, "model.onnx", options=cage)
    assert done.code == 0, done.out + done.err
    assert done.out.startswith("model.onnx: match\n") and "carried in this image" in done.out
    made = data / "model.tf"
    assert {path.name for path in made.iterdir()} == EVERYTHING | {ARTIFACT[TF1]}
    assert {path.stat().st_uid for path in (made, *made.rglob("*"))} == {data.stat().st_uid}


def test_a_folder_that_the_user_may_not_write_is_one_sentence(small: Finished, data: Path) -> None:
    for mode in (0o755, 0o700):
        data.chmod(mode)
        done = run_image(image_of(small), data, "model.onnx", options=("--user", "9:9"))
        assert done.code == 2 and done.err.count("\n") == 1 and "--user" in done.err, done.err


def test_a_container_that_is_too_small_is_an_oom(small: Finished, data: Path) -> None:
    done = run_image(image_of(small), data, "model.onnx", options=("--memory", "80m", "--memory-swap", "80m"))
    assert done.code == 4, done.out + done.err
    assert done.out.startswith("model.onnx: oom\n") and "docker run --memory" in done.out


def test_an_image_says_what_it_is_and_holds_nothing_of_this_machine(
    small: Finished, engine: docker.DockerClient
) -> None:
    image = engine.images.get(image_of(small))
    locks = read_locks(ROOT / "envs")
    assert image.labels["torch-tf-matrix"] == KIND
    assert image.labels["torch-tf-matrix.row"] == TF1
    assert image.labels["torch-tf-matrix.lock"] == locks[TF1].digest
    assert image.labels["torch-tf-matrix.reference-lock"] == locks["reference"].digest
    for name in ("title", "description", "version", "source"):
        assert image.labels[f"org.opencontainers.image.{name}"]
    assert not engine.images.list(filters={"dangling": True, "label": "torch-tf-matrix.stage=takeaway"})
    # The place where this copy of the project lies, and files that only a build needs.
    script = f"grep -rlF '{ROOT}/' /opt; find /opt /tmp /build -name uv -o -name '*.whl' 2>/dev/null || true"
    found = engine.containers.run(image, ["-c", script], entrypoint="sh", user="0", remove=True, network_disabled=True)
    assert found == b""


def test_without_the_reference_an_image_is_smaller_and_takes_outputs(
    maker: Project, engine: docker.DockerClient, small: Finished, data: Path
) -> None:
    assert run_image(image_of(small), data, "model.onnx").code == 0
    tag = f"torch-tf-matrix/takeaway-test:{os.getpid()}-none"
    with taken_away(maker, engine, TF1, "--tag", tag, "--reference", "none") as done:
        assert done.code == 0 and "given as .npz" in done.out, done.err
        sizes = [int(re.findall(r": (\d+) MB", made.out)[0]) for made in (small, done)]
        assert sizes[1] < sizes[0] - 30
        found = run_image(tag, data, "model.onnx", "--output", "alone")
        assert found.code == 0 and found.out.startswith("model.onnx: converted, not compared\n"), found.err
        given = ("--inputs", "model.tf/inputs.npz", "--reference", "model.tf/reference.npz", "--output", "given")
        found = run_image(tag, data, "model.onnx", *given)
        assert found.code == 0 and "model.tf/reference.npz, given" in found.out, found.err


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A real registry on the loopback interface, with its own configuration."""
    command = shutil.which("docker-registry")
    if command is None:
        lacking("no registry: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    process = subprocess.Popen([command, "serve", str(tmp_path / "registry.yml")], stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{port}/v2/", timeout=5).ok
        return False

    try:
        wait_for(answers, "the registry to answer", 30)
        yield f"localhost:{port}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(tmp_path / "registry", ignore_errors=True)


def test_an_image_is_pushed_to_a_registry_and_works_when_pulled(
    maker: Project, engine: docker.DockerClient, small: Finished, registry: str, data: Path
) -> None:
    place = f"{registry}/team"
    with taken_away(maker, engine, TF1, "--tag", "takeaway-pushed:1", "--push", place) as done:
        assert done.code == 0, done.err
        pushed = re.search(r"^pushed (\S+)@(sha256:[0-9a-f]{64})$", done.out, re.MULTILINE)
        assert pushed is not None and pushed[1] == f"{place}/takeaway-pushed"
        assert done.out.splitlines()[-1].endswith(f"{place}/takeaway-pushed:1 model.onnx")
        manifest = requests.get(
            f"http://{registry}/v2/team/takeaway-pushed/manifests/1",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
            timeout=30,
        )
        assert manifest.headers["Docker-Content-Digest"] == pushed[2]
        for name in (f"{place}/takeaway-pushed:1", "takeaway-pushed:1"):
            engine.images.remove(name)
        # Pulled by digest: the printed line identifies exactly these bytes.
        found = run_image(f"{pushed[1]}@{pushed[2]}", data, "model.onnx")
        assert found.code == 0 and found.out.startswith("model.onnx: match\n"), found.err
        engine.images.remove(f"{pushed[1]}@{pushed[2]}")


def test_a_registry_that_does_not_answer_is_one_sentence_and_leaves_no_name(
    maker: Project, engine: docker.DockerClient, small: Finished
) -> None:
    with taken_away(maker, engine, TF1, "--tag", "takeaway-unpushed:1", "--push", "localhost:9") as done:
        assert done.code == 7, done.err
        assert done.err.splitlines()[-1].startswith("matrix: localhost:9/takeaway-unpushed:1 could not be pushed: ")
        with pytest.raises(ImageNotFound):
            engine.images.get("localhost:9/takeaway-unpushed:1")
        assert engine.images.get("takeaway-unpushed:1"), "the image itself is good"


def test_the_readmes_commands_work_word_for_word(
    maker: Project, engine: docker.DockerClient, models: Path, tmp_path: Path
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "matrix image" in block]
    assert blocks, "the README shows no image"
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    make, use = lines[:2]
    row = make.split()[-1]
    tag = default_tag(row)
    there = bool(engine.images.list(tag))
    folder = tmp_path / "mine"
    shutil.copytree(models, folder)
    # As after `. .venv/bin/activate`.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "MATRIX_STATE": str(maker.state)}
    try:
        made = subprocess.run(make, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, timeout=590)
        assert made.returncode == 0, made.stderr
        assert use in made.stdout.splitlines(), "the README shows another line than the command prints"
        began = time.time()
        done = subprocess.run(use, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0 and done.stdout.startswith("model.onnx: match\n"), done.stdout + done.stderr
        assert (folder / "model.tf" / "report.json").stat().st_mtime >= began - 2
        assert (folder / "model.tf" / "report.json").stat().st_uid == os.getuid()
    finally:
        if not there:
            with contextlib.suppress(ImageNotFound):
                engine.images.remove(tag, force=True)


def test_a_joint_environment_that_cannot_be_is_explained(maker: Project, engine: docker.DockerClient) -> None:
    """TensorFlow 1 needs a Python that the current torch no longer supports."""
    current = read_locks(ROOT / "envs")
    exporter = next(name.removesuffix(".cpu") for name in current if name.endswith(".cpu"))
    done = maker.call("image", TF1, "--with-exporter", exporter)
    assert done.code == 11, done.err
    assert "No solution found" in done.err and "no set of packages" in done.err
    done = maker.call("image", TF1, "--with-exporter", exporter, "--locked")
    assert done.code == 11, "the explanation is kept"


def test_where_onnx_runtime_does_not_start_the_image_takes_outputs_instead(
    maker: Project, engine: docker.DockerClient, small: Finished, data: Path
) -> None:
    session = OpenProject(maker.table, State(maker.state), IndexSettings.resolve(), engine_name="docker")
    docker_engine, _ = session.engine()
    assert isinstance(docker_engine, DockerEngine)
    lock, second = session.locks[TF1], session.locks["reference"]
    environment, reference = (asyncio.run(docker_engine.prepare(item)) for item in (lock, second))
    tag, broken = f"torch-tf-matrix/takeaway-test:{os.getpid()}-refusing", f"takeaway-broken:{os.getpid()}"
    package = "/opt/env/lib/python3.11/site-packages/onnxruntime"
    # Without its .pyc, which is taken unseen.
    breaking = f"rm {package}/__pycache__/__init__.*; echo 'raise ImportError(\"too old\")' > {package}/__init__.py"
    container = engine.containers.create(
        reference.place,
        ["-c", breaking],
        entrypoint="sh",
        user="0",
    )
    try:
        container.start()
        assert container.wait()["StatusCode"] == 0
        container.commit(*broken.split(":"))
        packager = ImagePackager(docker_engine, session.state.mark, OnnxTf(), {}, tag, runtime=True)
        made = packager.assemble(environment, replace(reference, place=broken))
        assert made.onnxruntime is None and "too old" in made.why
        found = run_image(tag, data, "model.onnx")
        assert found.code == 0 and found.out.startswith("model.onnx: converted, not compared\n"), found.err
        nameless = {"dangling": True, "label": f"torch-tf-matrix={KIND}"}
        assert not engine.images.list(filters=nameless), "the first attempt was left behind"
    finally:
        container.remove(force=True)
        for name in (tag, broken):
            with contextlib.suppress(ImageNotFound):
                engine.images.remove(name, force=True)
