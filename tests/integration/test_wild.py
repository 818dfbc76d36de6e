"""Real .onnx files that packages of the index carry: chosen sizes, what `pick` finds, and the share it proves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from product import Project
from tables import ROOT, TF2

# A network of each kind of input, all small: sound with lengths, a picture, indices, a spectrogram, a state.
SMALL = {
    "onnx-asr-gigaam_v3": {"waveforms", "waveforms_lens"},
    "rapidocr-onnxruntime-ch_ppocr_mobile_v2.0_cls_infer": {"x"},
    "g2p-id-py-bert_mlm": {"input_1"},
    "speechmos-model_v8": {"input_1"},
    "speechmos-Run_1663829550_Stage_0": {"input", "h0"},
}


@pytest.fixture(scope="module")
def files(real: Project) -> Project:
    models = [f"--model={name}" for name in SMALL]
    done = real.call("run", "--tier", "wild", "--only", f"converter={TF2}", "--format", "json", *models)
    assert done.code == 0, done.err
    return real


def test_files_of_packages_are_fed_without_being_told_how(files: Project) -> None:
    chosen = {
        payload["passes"][0]["result"]["job"]: payload["passes"][1]["result"]["facts"]
        for payload in files.payloads("inspect")
        if len(payload["passes"]) == 2 and "chosen" in payload["passes"][1]["result"]["facts"]
    }
    names = [{item["name"] for item in facts["chosen"]} for facts in chosen.values()]
    for wanted in SMALL.values():
        assert wanted in names
    for facts in chosen.values():
        open_ = [item for item in facts["chosen"] if item["shape"] != item["longer"]]
        assert open_ or not facts["sizes"]


def test_a_file_is_found_a_way_through(files: Project, tmp_path: Path) -> None:
    """The converter knows no STFT; it is spelled as a convolution."""
    done = files.call(
        *("pick", "--model", "onnx-asr-gigaam_v3", "--tensorflow", "2.8", "--format", "json"),
        *("--out", str(tmp_path / "handed")),
    )
    assert done.code == 0, done.err
    (proven,) = done.document["proven"]
    assert proven["verdict"] == "match" and "plainer operators" in proven["changes"]
    assert done.document["conversions"] <= 6


@pytest.mark.slow
def test_most_real_files_end_in_a_proof(tmp_path: Path) -> None:
    out = tmp_path / "wild.json"
    command = [sys.executable, "benchmarks/wild.py", "--state", str(tmp_path / "state"), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True)
    results = json.loads(out.read_text())
    good = [name for name, found in results.items() if found["code"] == 0]
    assert len(good) >= 0.6 * len(results), sorted(results.keys() - set(good))
