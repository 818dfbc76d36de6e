"""Hostile user input: files that are not what they claim, checkpoints that run code, networks that compute NaN. Each is
explained by the product's real environments and does not affect the next job."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shared
from passes import module_of
from product import Project
from tables import EXPORTER, NEWEST, ROOT, ZOO, need_cpu_torch


def _hostile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hostile", ZOO / "hostile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostile = _hostile()


@dataclass(frozen=True)
class Shop:
    """Environments of the product, used without its driver."""

    project: Project
    folder: Path

    def python(self, row: str) -> Path:
        if row == NEWEST:
            need_cpu_torch()
            shared.environments(self.project.state, NEWEST)
        found = [p for p, s in self.project.stamps().items() if s and s["environment"].split(".cpu")[0] == row]
        return found[0] / "bin" / "python"

    def work(self, row: str, name: str, **jobs: tuple[Mapping[str, Any], Mapping[str, bytes]]) -> dict[str, Any]:
        """Run jobs, each (params, {file: content}), in order in one worker; return {job: result}."""
        base = self.folder / f"{row}-{name}"
        shutil.rmtree(base, ignore_errors=True)
        inbox, outbox = base / "in", base / "out"
        outbox.mkdir(parents=True)
        for number, (job, (params, files)) in enumerate(jobs.items()):
            (inbox / job).mkdir(parents=True)
            for file, content in files.items():
                (inbox / job / file).parent.mkdir(parents=True, exist_ok=True)
                (inbox / job / file).write_bytes(content)
            spec = {"schema": 1, "job": job, "folder": job, "params": params}
            (inbox / f"{number:04}.json").write_text(json.dumps(spec))
        (inbox / "stop").touch()
        worker = [self.python(row), ROOT / "converter" / "worker.py", module_of(name)]
        command = [*worker, "--inbox", inbox, "--outbox", outbox]
        subprocess.run([*map(str, command)], check=True, timeout=300, env={**os.environ, "PYTHONNOUSERSITE": "1"})
        return {job: json.loads((outbox / job / f"{name}.json").read_text()) for job in jobs}

    def made(self, row: str, name: str, job: str, file: str) -> Path:
        return self.folder / f"{row}-{name}" / "out" / job / file


@pytest.fixture(scope="module")
def shop(real: Project, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(real, tmp_path_factory.mktemp("shop"))


def arrays(folder: Path, **named: Any) -> bytes:
    np.savez(folder / "arrays.npz", **named)
    return (folder / "arrays.npz").read_bytes()


def error(result: Mapping[str, Any]) -> tuple[str, str, str]:
    assert result["error"], "nothing was wrong"
    return result["stages"][-1]["stage"], result["error"]["type"], result["error"]["message"]


# --- .onnx files


def test_hostile_onnx_files_are_answered_in_words(shop: Shop) -> None:
    jobs = {name: ({}, {"model.onnx": content}) for name, (content, _, _) in hostile.ONNX.items()}
    done = shop.work("reference", "inspect", **jobs, good=({}, {"model.onnx": hostile.GOOD}))
    for name, (_, kind, words) in hostile.ONNX.items():
        _, raised, message = error(done[name])
        assert raised == kind, name
        assert words in message, name
        assert done[name]["files"] == [], name
        assert done[name]["peak_rss_mb"] < 500, name
    assert done["good"]["error"] is None
    assert shop.made("reference", "inspect", "good", "model.onnx").read_bytes() == hostile.GOOD
    facts = done["good"]["facts"]
    assert facts["inputs"] == [{"name": "x", "shape": ["batch", 4], "dtype": "float32"}]
    assert facts["outputs"] == [{"name": "y", "shape": ["batch", 4], "dtype": "float32"}]
    assert (facts["opset_written"], facts["external"], facts["checker"]) == (13, [], None)
    assert (facts["nan_weights"], facts["initializers_mb"]) == ([], 0.0)


def test_external_data_is_named_first_and_then_put_in(shop: Shop, tmp_path: Path) -> None:
    model = hostile.adding(hostile.tensor("w", [4], location="parts/w.bin", offset=16, length=16))
    data = b"\xff" * 16 + hostile.QUARTET
    done = shop.work(
        "reference",
        "inspect",
        alone=({}, {"model.onnx": model}),
        whole=({}, {"model.onnx": model, "beside/parts/w.bin": data}),
        short=({}, {"model.onnx": model, "beside/parts/w.bin": data[:24]}),
    )
    assert done["alone"]["error"] is None
    assert done["alone"]["facts"]["external"] == ["parts/w.bin"]
    assert done["alone"]["files"] == []
    assert done["whole"]["files"] == ["model.onnx"]
    assert error(done["short"])[1] == "converter.tensors.TensorLargerThanItsData"

    made = shop.made("reference", "inspect", "whole", "model.onnx").read_bytes()
    x = np.arange(8, dtype="float32").reshape(2, 4)
    inputs = arrays(tmp_path, **{"0/x": x})
    ran = shop.work("reference", "reference", whole=({"threads": 1}, {"model.onnx": made, "inputs.npz": inputs}))
    assert ran["whole"]["error"] is None
    with np.load(shop.made("reference", "reference", "whole", "reference.npz")) as file:
        assert np.array_equal(file["0/y"], x + 1)


def test_reference_outputs_of_the_user_must_be_those_of_the_model(shop: Shop, tmp_path: Path) -> None:
    fits = arrays(tmp_path, **{"0/y": np.ones((1, 4), "float32")})
    other = arrays(tmp_path, **{"0/z": np.ones((1, 4), "float32")})
    done = shop.work(
        "reference",
        "inspect",
        fits=({}, {"model.onnx": hostile.GOOD, "given.npz": fits}),
        other=({}, {"model.onnx": hostile.GOOD, "given.npz": other}),
    )
    assert done["fits"]["files"] == ["model.onnx", "given.npz"]
    assert shop.made("reference", "inspect", "fits", "given.npz").read_bytes() == fits
    assert error(done["other"]) == (
        "check",
        "converter.stages.inspect.ReferenceDoesNotFit",
        "case 0 of the reference has ['z'], the model's outputs are ['y']",
    )


def test_weights_that_are_nan_are_facts_and_outputs_that_are_an_error(shop: Shop, tmp_path: Path) -> None:
    seen = shop.work("reference", "inspect", nan=({}, {"model.onnx": hostile.NAN_WEIGHTS}))
    assert seen["nan"]["facts"]["nan_weights"] == ["w"]
    inputs = arrays(tmp_path, **{"0/x": np.zeros((1, 4), "float32")})
    ran = shop.work("reference", "reference", nan=({}, {"model.onnx": hostile.NAN_WEIGHTS, "inputs.npz": inputs}))
    assert error(ran["nan"]) == (
        "run",
        "converter.finite.NothingFinite",
        "output 'y' of case 0 has not one finite number",
    )


# --- torch


def params(factory: str, **more: Any) -> dict[str, Any]:
    common = {"arguments": {}, "seed": None, "via": "torchscript", "opset": 9, "inputs": ["image"], "outputs": []}
    return {"factory": factory, **common, **more}


def files(folder: Path, checkpoint: bytes | None = None) -> dict[str, bytes]:
    draw = np.random.default_rng(0).random
    image = {f"{case}/image": draw((1, 3, 8, 8 + case), "float32") for case in range(2)}
    given = {"inputs.npz": arrays(folder, **image), "source/models.py": hostile.MODELS.encode()}
    return given | ({} if checkpoint is None else {"checkpoint": checkpoint})


def saved(python: Path, folder: Path, expression: str) -> bytes:
    """Return what `torch.save(expression)` writes in an environment; `net` is a Net of the user's models.py."""
    (folder / "models.py").write_text(hostile.MODELS)
    code = f"import torch, models; torch.manual_seed(3); net = models.Net(); torch.save({expression}, 'x.pt')"
    subprocess.run([python, "-c", code], cwd=folder, check=True, timeout=120)
    return (folder / "x.pt").read_bytes()


@pytest.mark.parametrize("row", [EXPORTER, NEWEST])
def test_networks_that_are_not_as_they_should_be(shop: Shop, tmp_path: Path, row: str) -> None:
    given = files(tmp_path)
    names = ("not_a_number", "not_a_module", "failing", "Texts", "nothing", "Dropping", "Changing", "Net")
    done = shop.work(row, "export", **{name: (params(f"models.py:{name}"), given) for name in names})
    lines = hostile.MODELS.splitlines()

    def user(name: str) -> tuple[str, str]:
        place = done[name]["error"]["user"]
        assert lines[place["line"] - 1].strip() == place["code"]
        return place["file"], place["code"]

    assert error(done["not_a_number"]) == (
        "forward",
        "converter.finite.NothingFinite",
        "output 'output' of case 0 has not one finite number; weights hold NaN: convolution.weight",
    )
    assert error(done["not_a_module"])[:2] == ("model", "converter.users.NotAModule")
    assert user("not_a_module") == ("models.py", "def not_a_module():")
    assert error(done["failing"]) == ("model", "builtins.RuntimeError", "no such file")
    assert user("failing") == ("models.py", 'raise RuntimeError("no such file")')
    assert error(done["Texts"])[:2] == ("forward", "converter.users.NotATensor")
    assert user("Texts") == ("models.py", "def forward(self, image):")
    assert error(done["nothing"])[:2] == ("model", "converter.users.FactoryNotFound")
    assert user("nothing")[0] == "models.py"

    for name, repeats in (("Dropping", False), ("Changing", True), ("Net", True)):
        assert done[name]["error"] is None, done[name]["error"]
        assert done[name]["facts"]["returned"] == [{"name": "output", "shape": [1, 4, 8, 9], "dtype": "float32"}]
        once, again = (
            np.load(shop.made(row, "export", name, file))["0/output"] for file in ("torch.npz", "torch-again.npz")
        )
        assert np.array_equal(once, again) == repeats, name


def test_a_checkpoint_that_runs_code_runs_none(shop: Shop, tmp_path: Path) -> None:
    hostile.checkpoint_that_runs_code(tmp_path / "bomb.pt", tmp_path / "went-off")
    bomb = (tmp_path / "bomb.pt").read_bytes()
    job = (params("models.py:Net", checkpoint={"key": None, "trusted": False}), files(tmp_path, bomb))
    asked = error(shop.work(NEWEST, "export", bomb=job)["bomb"])
    assert asked[:2] == ("model", "converter.checkpoint.CheckpointRunsCode")
    assert "asks for posix.mkdir" in asked[2]
    refused = error(shop.work(EXPORTER, "export", bomb=job)["bomb"])
    assert refused[:2] == ("model", "converter.checkpoint.CheckpointNotTrusted")
    assert not (tmp_path / "went-off").exists()


@pytest.mark.parametrize("row", [EXPORTER, NEWEST])
def test_checkpoints_that_are_none_or_do_not_fit(shop: Shop, tmp_path: Path, row: str) -> None:
    python = shop.python(NEWEST)
    state = saved(python, tmp_path, "net.state_dict()")
    keyed = saved(python, tmp_path, "{'epoch': 1, 'model': net.state_dict()}")
    wide = saved(python, tmp_path, "models.Net(8).state_dict()")
    wrapped = saved(python, tmp_path, "{'module.' + name: value for name, value in net.state_dict().items()}")

    def job(content: bytes, key: str | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
        trusted = row != NEWEST
        return params("models.py:Net", checkpoint={"key": key, "trusted": trusted}), files(tmp_path, content)

    done = shop.work(
        row,
        "export",
        empty=job(b""),
        text=job(b"my weights\n"),
        cut=job(state[: len(state) // 2]),
        keyless=job(keyed),
        wrong_key=job(keyed, "net"),
        wide=job(wide),
        state=job(state),
        keyed=job(keyed, "model"),
        wrapped=job(wrapped),
    )
    for name, words in (("empty", "0 bytes"), ("text", "it is a text"), ("cut", "only the beginning of a zip file")):
        assert error(done[name])[1] == "converter.checkpoint.CheckpointUnreadable"
        assert words in error(done[name])[2]
    assert "--checkpoint-key model" in error(done["keyless"])[2]
    assert "no key 'net'; it has epoch, model" in error(done["wrong_key"])[2]
    assert error(done["wide"]) == (
        "model",
        "converter.checkpoint.CheckpointDoesNotFit",
        "the checkpoint does not fit Net. other shape: convolution.weight (the model has [4, 3, 3, 3], the checkpoint "
        "[8, 3, 3, 3]), convolution.bias (the model has [4], the checkpoint [8])",
    )
    assert done["wide"]["error"]["user"]["code"] == "class Net(nn.Module):"

    assert done["wrapped"]["facts"]["stripped"] == "module."
    code = (
        "import numpy, torch, models, sys; net = models.Net(); net.load_state_dict(torch.load('state.pt')); net.eval();"
        "image = torch.from_numpy(numpy.load('arrays.npz')['1/image']); numpy.save('own.npy', net(image).detach())"
    )
    (tmp_path / "state.pt").write_bytes(state)
    subprocess.run([python, "-c", code], cwd=tmp_path, check=True, timeout=120)
    for name in ("state", "keyed", "wrapped"):
        assert done[name]["error"] is None, done[name]["error"]
        found = np.load(shop.made(row, "export", name, "torch.npz"))["1/output"]
        assert np.abs(found - np.load(tmp_path / "own.npy")).max() < 1e-6, "not what the user's own script computes"
