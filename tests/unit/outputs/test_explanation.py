"""`explain`: what people paste, read as what failed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rows import every
from test_known_failures import ELSEWHERE, Sample, _id, _samples

from matrix import cli
from matrix.core import errors
from matrix.judging.pasted import read
from matrix.outputs.terminal.explanation import explain

ROOT = Path(__file__).resolve().parents[3]

CHAINED = """\
Traceback (most recent call last):
  File "/home/me/convert.py", line 3, in load
    return cache["model"]
KeyError: 'model'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/home/me/convert.py", line 12, in <module>
    tf_rep = prepare(onnx_model)
  File "/home/me/env/lib/python3.6/site-packages/onnx_tf/common/exception.py", line 26, in __call__
    raise self._func(self.get_message(op, version))
NotImplementedError: Upsample version 1 is not implemented.
"""

CAUSED = """\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    import onnx_tf
ModuleNotFoundError: No module named 'tensorflow_addons'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 9, in <module>
    main()
  File "b.py", line 5, in main
    raise RuntimeError("cannot start") from error
RuntimeError: cannot start
"""

SEVERAL_LINES = """\
2024-05-01 10:00:00.123456: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load libcudart
Traceback (most recent call last):
  File "t.py", line 1, in <module>
    import tensorflow
TypeError: Descriptors cannot be created directly.
If this call came from a _pb2.py file, your generated code is out of date.

More information: see the notes of that release.
"""

ACTIONS = "".join(f"2024-05-01T10:00:00.1234567Z {line}\n" for line in CHAINED.splitlines())
COMPOSE = "".join(f"converter-1  | {line}\n" for line in CHAINED.splitlines())
QUOTED = "".join(f"> {line}\n" for line in CHAINED.splitlines())
COLOURED = CHAINED.replace("NotImplementedError", "\x1b[31mNotImplementedError\x1b[0m")
WINDOWS = CHAINED.replace("\n", "\r\n")
INDENTED = "".join(f"    {line}\n" for line in CHAINED.splitlines())

NOTEBOOK = """\
---------------------------------------------------------------------------
ValidationError                           Traceback (most recent call last)
Cell In[3], line 1
----> 1 onnx.checker.check_model(model)

File ~/env/lib/python3.9/site-packages/onnx/checker.py:106, in check_model(model, full_check)
    105 else:
--> 106     C.check_model(protobuf_string)

ValidationError: Your model ir_version 10 is higher than the checker's (8).
"""

PYTEST = """\
    def test_same():
>       np.testing.assert_allclose(ours, theirs, rtol=1e-3)
E       AssertionError:
E       Not equal to tolerance rtol=0.001, atol=0
E
E       Mismatched elements: 3 / 10 (30%)

test_it.py:9: AssertionError
=========================== short test summary info ============================
FAILED test_it.py::test_same - AssertionError:
"""

AUTOGRAPH = """\
Traceback (most recent call last):
  File "x.py", line 3, in <module>
    tf_rep.export_graph("out")
  File "tensorflow/python/framework/func_graph.py", line 1129, in autograph_handler
    raise e.ag_error_metadata.to_exception(e)
onnx.backend.test.runner.BackendIsNotSupposedToImplementIt: in user code:

    File "onnx_tf/backend_tf_module.py", line 99, in __call__  *
        output_ops = self.backend._onnx_node_to_tensorflow_op(onnx_node,

    BackendIsNotSupposedToImplementIt: Unsqueeze version 13 is not implemented.
"""

UV = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because tensorflow-cpu==2.15.0 depends on ml-dtypes>=0.2.0,<0.3.dev0
      and onnx==1.19.1 depends on ml-dtypes>=0.5.0, we can conclude that
      tensorflow-cpu==2.15.0 and onnx==1.19.1 are incompatible.
"""

PIP = """\
Collecting tensorflow-addons
ERROR: Could not find a version that satisfies the requirement tensorflow-addons (from versions: none)
ERROR: No matching distribution found for tensorflow-addons
"""

PIP_BUILD = """\
  error: subprocess-exited-with-error

  × Building wheel for onnx (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [12 lines of output]
      Traceback (most recent call last):
        File "setup.py", line 4, in <module>
          from helpers import thing
      ImportError: cannot import name 'thing' from 'helpers'
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for onnx
ERROR: Could not build wheels for onnx, which is required to install pyproject.toml-based projects
"""

ONE_LINE = "I get this: \nRuntimeError: GRU with linear_before_reset is not supported in Tensorflow.\nany idea?\n"

SEGFAULT = """\
2024-05-01 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:193] This binary is optimized
UserWarning: No module named 'tensorflow_probability'
./run.sh: line 3: 12345 Segmentation fault      (core dumped) python convert.py
"""

FAULT_HANDLER = """\
Fatal Python error: Segmentation fault

Current thread 0x00007f0000000000 (most recent call first):
  File "tensorflow/python/client/session.py", line 1429 in _call_tf_sessionrun
  File "x.py", line 3 in <module>
"""

ILLEGAL = "Importing tensorflow\nIllegal instruction (core dumped)\n"


@pytest.mark.parametrize(
    ("text", "type", "reason"),
    [
        (CHAINED, "NotImplementedError", "op-version-too-old"),
        (CAUSED, "RuntimeError", "tensorflow-addons-missing"),
        (SEVERAL_LINES, "TypeError", "protobuf-too-new"),
        (ACTIONS, "NotImplementedError", "op-version-too-old"),
        (COMPOSE, "NotImplementedError", "op-version-too-old"),
        (QUOTED, "NotImplementedError", "op-version-too-old"),
        (COLOURED, "NotImplementedError", "op-version-too-old"),
        (WINDOWS, "NotImplementedError", "op-version-too-old"),
        (INDENTED, "NotImplementedError", "op-version-too-old"),
        (NOTEBOOK, "ValidationError", "ir-version-too-new"),
        (PYTEST, "AssertionError", "values-differ"),
        (AUTOGRAPH, "onnx.backend.test.runner.BackendIsNotSupposedToImplementIt", "op-version-not-implemented"),
        (UV, "", "ml-dtypes-conflict"),
        (PIP, "", "no-wheel-for-python"),
        (PIP_BUILD, "", "source-build-failed"),
        (ONE_LINE, "RuntimeError", "op-form-unsupported"),
        (SEGFAULT, "", "sigsegv"),
        (FAULT_HANDLER, "", "sigsegv"),
        (ILLEGAL, "", "cpu-too-old"),
        ("Loading\nKilled\n", "", "killed-from-outside"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_what_people_paste(text: str, type: str, reason: str) -> None:
    pasted = read(text)
    assert pasted.error.type == type
    found = explain(pasted)
    assert found is not None and found.reason == reason
    assert "{" not in found.title


def test_a_message_of_several_lines_is_read_to_its_end() -> None:
    assert read(SEVERAL_LINES).error.message.splitlines()[-1] == "More information: see the notes of that release."
    assert read(CHAINED).error.message == "Upsample version 1 is not implemented."


def test_of_a_chain_the_last_exception_speaks_first() -> None:
    swapped = CAUSED.replace("RuntimeError: cannot start", "TypeError: Descriptors cannot be created directly.")
    found = explain(read(swapped))
    assert found is not None and found.reason == "protobuf-too-new"


def test_what_a_process_said_after_its_exception_is_not_the_message() -> None:
    pasted = read(CHAINED + "\nSegmentation fault (core dumped)\n")
    assert (pasted.error.message, pasted.signal) == ("Upsample version 1 is not implemented.", "sigsegv")


def test_a_warning_before_a_crash_explains_nothing() -> None:
    assert read(SEGFAULT).error.message == "" and read(SEGFAULT).signal == "sigsegv"


def test_the_kind_of_the_exception_counts_where_it_is_named() -> None:
    frame = 'Traceback (most recent call last):\n  File "onnx_tf/backend.py", line 65, in prepare\n    call()\n'
    known, other = explain(read(f"{frame}NotImplementedError: a case")), explain(read(f"{frame}KeyError: 'a case'"))
    assert known is not None and (known.reason, known.general) == ("converter-case-not-implemented", True)
    assert other is None


def _printed(sample: Sample) -> str:
    error = sample.error
    if not error.type or sample.where != "message":
        return getattr(error, sample.where)
    name = error.type.removeprefix("builtins.")
    return f'Traceback (most recent call last):\n  File "x.py", line 3, in f\n    g()\n{name}: {error.message}\n'


@every(_samples(), _id)
def test_every_known_failure_is_recognised_in_a_paste(sample: Sample) -> None:
    pasted = read(_printed(sample))
    if sample.error.type and sample.where == "message":
        assert pasted.error.type == sample.error.type.removeprefix("builtins.")
        assert pasted.error.message == sample.error.message.strip()
    found = explain(pasted)
    assert found is not None and found.reason == ELSEWHERE.get(sample.expect, sample.expect)


@pytest.mark.parametrize(
    "text",
    [
        "something quite new",
        "foo: bar",
        CHAINED.replace("NotImplementedError: Upsample version 1 is not implemented", "ValueError: no"),
        "\x00\xff",
        "-" * 50,
    ],
)
def test_what_nobody_knows(text: str) -> None:
    assert explain(read(text)) is None


@pytest.mark.parametrize(
    "filler", ["a: ", "E   x\n", "Traceback (most recent call last):\n", "> ", "| ", "\n", "error: build\n"]
)
def test_a_huge_paste_takes_little_time(filler: str) -> None:
    text = filler * (5_000_000 // len(filler))
    began = time.perf_counter()
    explain(read(text + "\n" + CHAINED))
    assert time.perf_counter() - began < 5


# --- the command -----------------------------------------------------------------------------------------------------


def run(text: str, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "matrix", "explain", *arguments],
        input=text, capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_command(tmp_path: Path) -> None:
    code, out, err = run(CHAINED)
    assert (code, err) == (0, "")
    assert out.startswith("op-version-too-old (unsupported): onnx-tf does not know Upsample")
    assert "[translate-opset-7]\n      `run --remedy` tries: onnx.version_converter to opset >=7\n" in out
    assert "read as: NotImplementedError: Upsample version 1 is not implemented." in out
    file = tmp_path / "log.txt"
    file.write_bytes(CHAINED.encode() + b"\xff\xfe")
    assert run("", str(file))[1].splitlines()[0] == out.splitlines()[0]


def test_as_an_object() -> None:
    code, out, _ = run(CHAINED, "--format", "json")
    found = json.loads(out)
    assert (code, found["reason"], found["verdict"], found["general"]) == (
        0,
        "op-version-too-old",
        "unsupported",
        False,
    )
    assert found["understood"]["type"] == "NotImplementedError"
    assert found["remedies"][0] == {
        "id": "translate-opset-7",
        "text": "Have onnx.version_converter translate the file to opset 7 or later.",
        "tries": "onnx.version_converter to opset >=7",
        "change": {"convert_opset": ">=7"},
    }


def test_an_unknown_failure_ends_with_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], ["--format", "json"]):
        monkeypatch.setattr(sys, "argv", ["matrix", "explain", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ValueError: something quite new")))
        assert cli.main() == errors.Unrecognised.exit_code == 12
        captured = capsys.readouterr()
        assert "please report it" in captured.err
        if arguments:
            found = json.loads(captured.out)
            assert found["reason"] is None and found["understood"]["message"] == "something quite new"
        else:
            assert "read as: ValueError: something quite new" in captured.out


def test_nothing_to_explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["matrix", "explain"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    assert cli.main() == errors.UsageError.exit_code
    assert "nothing to explain" in capsys.readouterr().err


def test_it_needs_neither_table_nor_database() -> None:
    code = (
        "import sys, io\nsys.argv = ['matrix', 'explain']\nfrom matrix import cli\nassert cli.main() == 0\n"
        "print(*sorted({'sqlalchemy', 'numpy', 'rich', 'requests'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=CHAINED, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
