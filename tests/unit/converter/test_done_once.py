"""What a worker does only once: reading onnx-tf's code, opening a session, running a model that another job ran."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from converter.arrays import read_cases, write_cases
from converter.families.onnx_tf import fresh, session
from converter.job import Job
from converter.stages import forward

# --- onnx-tf's code


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of that name; its modules and what is kept of them go away again."""
    package = tmp_path / "site" / "onnx_tf"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "backend.py").write_text(
        "from onnx_tf.helper import kept\n\ndef prepare():\n    kept.append(1)\n    return len(kept)\n"
    )
    (package / "helper.py").write_text("kept = []\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(fresh, "_codes", {})
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "onnx_tf"]:
        del sys.modules[name]


def test_state_is_new_and_code_is_not(installed):
    one = fresh.backend()
    assert [one.prepare(), one.prepare()] == [1, 2]
    two = fresh.backend()
    assert two is not one and two.prepare() == 1
    # TensorFlow finds what it has rewritten by this object, and forgets it with its last reference.
    assert two.prepare.__code__ is one.prepare.__code__
    (installed / "backend.py").unlink()
    assert sum(finder is fresh._Finder for finder in sys.meta_path) == 1


def test_what_cannot_be_imported_is_said_by_python(installed):
    (installed / "backend.py").unlink()
    with pytest.raises(ModuleNotFoundError, match=r"onnx_tf\.backend"):
        fresh.backend()


# --- sessions


class Sessions:
    """TensorFlow's module, as far as sessions go; lists those that are opened."""

    def __init__(self):
        self.opened = []
        self.ConfigProto = dict
        self.Session = self._opened

    def _opened(self, config=None, **options):
        self.opened.append((config, options))
        return SimpleNamespace(number=len(self.opened))


@pytest.mark.parametrize("newer", [False, True])
def test_all_calls_of_onnx_tf_get_one_session(monkeypatch, newer):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    tensorflow = SimpleNamespace(constant=7)
    sessions = Sessions()
    if newer:
        tensorflow.compat = SimpleNamespace(v1=sessions, as_bytes=8)
    else:
        tensorflow.ConfigProto, tensorflow.Session = sessions.ConfigProto, sessions.Session
    module = SimpleNamespace(tf=tensorflow)
    monkeypatch.setitem(sys.modules, "onnx_tf.backend_rep", module)
    session.keep()
    opens = module.tf.compat.v1.Session if newer else module.tf.Session
    with opens() as one:
        pass
    with opens() as two:
        pass
    assert one is two
    threads = {"intra_op_parallelism_threads": 3, "inter_op_parallelism_threads": 0}
    assert sessions.opened == [(threads, {})]
    # Everything else is TensorFlow's own, and TensorFlow itself is unchanged.
    assert module.tf.constant == 7 and (not newer or module.tf.compat.as_bytes == 8)
    assert tensorflow is not module.tf and not hasattr(tensorflow, "kept")


# --- a model that another job of the environment ran


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Call `forward` on a network that multiplies by `factor`; returns the job and how often the network ran."""
    monkeypatch.setattr(forward, "check_finite", lambda *_: None)

    def run(name, factor, known=None):
        inbox, outbox = tmp_path / name / "in", tmp_path / name / "out"
        for folder in (inbox, outbox):
            folder.mkdir(parents=True)
        write_cases(str(inbox / "inputs.npz"), [{"x": np.float32([1, case])} for case in range(3)])
        if known is not None:
            for file in forward.OUTPUTS:
                (inbox / file).write_bytes((known / "out" / file).read_bytes())
        calls = []

        def outputs(job, torch, network, case):
            calls.append(1)
            return {"output": case["x"] * np.float32(factor)}

        monkeypatch.setattr(forward, "_outputs", outputs)
        job = Job({"inputs": ["x"], "outputs": []}, str(inbox), str(outbox))
        packages = SimpleNamespace(torch=SimpleNamespace(no_grad=contextlib.nullcontext))
        _, cases, once = forward.forward(job, packages, None)
        assert len(cases) == len(once) == 3
        return job, len(calls)

    return run


def test_outputs_of_the_same_network_are_taken_over(ran, tmp_path):
    first, calls = ran("first", 2)
    assert calls == 6
    job, calls = ran("second", 2, tmp_path / "first")
    assert calls == 1
    for file in forward.OUTPUTS:
        assert (tmp_path / "first/out" / file).read_bytes() == (tmp_path / "second/out" / file).read_bytes()
    assert job.facts == first.facts and job.files == first.files


def test_another_network_computes_its_own(ran, tmp_path):
    ran("first", 2)
    job, calls = ran("second", 3, tmp_path / "first")
    assert calls == 6
    found = read_cases(str(tmp_path / "second/out/torch.npz"))
    assert found[2]["output"].tolist() == [3, 6] and job.facts["returned"][0]["name"] == "output"
