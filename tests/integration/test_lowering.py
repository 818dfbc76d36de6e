"""Files taken to an older opset, or spelled with plainer operators: they compute what they did before."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from product import Project
from tables import ROOT


def test_what_is_changed_computes_the_same_and_what_cannot_be_is_refused_by_name(real: Project) -> None:
    python = real.environment("reference") / "bin" / "python"
    script = Path(__file__).with_name("lowering_cases.py")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([python, script], env=environ, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["wrong"] == {} and told["cases"] > 45
    assert "STFT does not exist" in told["refused"]["STFT"]
    assert "Einsum does not exist" in told["refused"]["Einsum"]
    assert "computed n" in told["refused"]["computed"]
    assert "allowzero=1" in told["refused"]["allowzero"]
