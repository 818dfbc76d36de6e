"""The failure signatures, tested on real texts."""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rows import every

from matrix.families.onnx_tf import OnnxTf
from matrix.judging import known_failures as recognise
from matrix.judging import matching
from matrix.judging import signature_file as signatures
from matrix.judging.known_failures import load, match, match_any
from matrix.judging.matching import first
from matrix.judging.remedy_changes import Change, facts
from matrix.judging.signature_file import ErrorText, SignatureError, parse

SAMPLES = Path(__file__).parents[1] / "data" / "failures.tsv"

COVERED_FACTS = {
    *(f"INS{n:02}" for n in range(1, 6)),
    *(f"IMP{n:02}" for n in range(1, 20)),
    *(f"EXP{n:02}" for n in range(1, 14)),
    *(f"CNV{n:02}" for n in range(1, 11)),
    "RUN01",
    "TFL01",
    "NUM01",
}


@dataclasses.dataclass(frozen=True)
class Sample:
    expect: str
    fact: str
    role: str
    stage: str
    where: str
    type: str
    text: str
    source: str

    @property
    def error(self) -> ErrorText:
        kind = "" if self.type == "-" else self.type
        text = self.text.replace("\\n", "\n").replace("\\\\", "\\")
        return dataclasses.replace(ErrorText(type=kind, mro=(kind, "builtins.Exception")), **{self.where: text})


def _samples() -> list[Sample]:
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        return [Sample(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def _id(sample: Sample) -> str:
    return f"{sample.expect}-{sample.fact}"


SIGNATURES = {signature.id: signature for signature in load()}


@every(_samples(), _id)
def test_a_sample_is_recognised_where_it_was_seen(sample: Sample) -> None:
    found = match(sample.role, sample.stage, sample.error)
    assert found is not None
    assert found.id == sample.expect
    assert found.verdict == SIGNATURES[sample.expect].verdict


@every(_samples(), _id)
def test_no_other_entry_takes_a_sample_anywhere_its_own_applies(sample: Sample) -> None:
    own = SIGNATURES[sample.expect]
    claimed = {
        (role, stage): (found.id if (found := match(role, stage, sample.error)) else None)
        for role in own.roles
        for stage in own.stages
    }
    assert claimed == dict.fromkeys(claimed, sample.expect)


@every(range(len(SIGNATURES)), list(SIGNATURES).__getitem__)
def test_an_entry_takes_a_text_that_those_before_it_do_not(later: int) -> None:
    entries = list(SIGNATURES.values())
    own = [sample for sample in _samples() if sample.expect == entries[later].id]
    for earlier in entries[:later]:
        if set(earlier.roles) & set(entries[later].roles) and set(earlier.stages) & set(entries[later].stages):
            taken = [earlier.raised_by(s.error) and first([earlier], s.error) is not None for s in own]
            assert not all(taken), earlier.id


# The same words mean one thing while a lock is made and another when it is installed, which a paste does not tell.
ELSEWHERE = {"wheel-not-for-this-host": "no-wheel-for-python", "module-of-the-user-missing": "module-missing"}


@every(_samples(), _id)
def test_a_sample_is_recognised_without_role_and_stage_and_bases(sample: Sample) -> None:
    found = match_any(dataclasses.replace(sample.error, mro=()))
    assert found is not None and found.id == ELSEWHERE.get(sample.expect, sample.expect)


def test_what_is_no_more_than_a_class_or_a_stage_says_so() -> None:
    general = {s.expect for s in _samples() if (m := match(s.role, s.stage, s.error)) is not None and m.general}
    assert general == {signature.id for signature in load() if signature.general}
    assert {"module-missing", "backend-not-supposed-to-implement"} <= general < set(SIGNATURES)


def test_remedies_survive_the_way_into_an_image() -> None:
    carried = json.loads(recognise.carried())
    assert tuple(map(matching.Signature.of, carried)) == load()
    assert hash(load()) == hash(tuple(map(matching.Signature.of, carried)))


FACTS = facts(OnnxTf().facts({"tensorflow": "2.16.2"}), opset=13, onnx_opset=12)


@every(_samples(), _id)
def test_changes_are_ready_to_be_made(sample: Sample) -> None:
    found = match(sample.role, sample.stage, sample.error)
    assert found is not None
    for change in (remedy.change for remedy in found.remedies):
        if change is None:
            continue
        made = change.concrete(FACTS)
        assert made is not None and not made.placeholders
        if made.kind in ("opset", "convert_opset"):
            SpecifierSet(str(made.value))
        if made.kind == "add":
            assert isinstance(made.value, tuple)
            for name, specifier in made.value:
                assert canonicalize_name(name) == name
                SpecifierSet(specifier)


@pytest.mark.parametrize(
    ("role", "stage", "kind", "text", "changes"),
    [
        ("converter", "convert", "NotImplementedError", "Upsample version 1 is not implemented.",
         [{"convert_opset": ">=7"}, {"opset": ">=7"}]),
        ("converter", "run", "NotImplementedError", "Unsqueeze version 13 is not implemented.",
         [{"opset": "<13"}, {"convert_opset": "<13"}, {"via": "torchscript"}]),
        ("converter", "convert", "NotImplementedError", "Resize is not implemented.",
         [{"opset": "<10"}, {"opset": "<13"}, {"via": "torchscript"}]),
        ("converter", "convert", "NotImplementedError", "AliasWithName is not implemented.",
         [{"opset": "<13"}, {"via": "torchscript"}]),
        ("converter", "check", "ValidationError", "Your model ir_version 10 is higher than the checker's (9).",
         [{"ir_version": "table"}]),
        ("exporter", "export", "ValueError", "Unsupported ONNX opset version: 18",
         [{"opset": "<18"}, {"opset": ">18"}]),
        ("converter", "convert", "ValueError", "'_x' is not a valid scope name", [{"rename": True}]),
        ("converter", "import", "ModuleNotFoundError", "No module named 'tf_keras'",
         [{"add": {"tf-keras": "~=2.16.0"}}]),
        ("converter", "import", "ModuleNotFoundError", "No module named 'tensorflow_probability'",
         [{"add": {"tensorflow-probability": "~=0.24.0"}}]),
        ("converter", "import", "VersionError",
         "Detected incompatible Protobuf Gencode/Runtime versions when loading x.proto: gencode 5.29.5 runtime 5.27.2",
         [{"add": {"protobuf": "~=5.29.5"}}]),
        ("converter", "import", "VersionError", "Detected mismatched Protobuf Gencode/Runtime version suffixes", []),
        ("converter", "convert", "ValueError", "A KerasTensor cannot be used as input to a TensorFlow function.",
         [{"environ": {"TF_USE_LEGACY_KERAS": "1"}}, {"add": {"tf-keras": "~=2.16.0"}}]),
        ("converter", "check", "ValidationError", "Input size 2 not in range [min=1, max=1].",
         [{"opset": "<=12"}, {"convert_opset": "<=12"}]),
    ],
)  # fmt: skip
def test_what_a_machine_would_try_and_in_which_order(
    role: Any, stage: Any, kind: str, text: str, changes: list[dict[str, Any]]
) -> None:
    found = match(role, stage, ErrorText(f"builtins.{kind}", (), text))
    assert found is not None
    made = [remedy.change.concrete(FACTS) for remedy in found.remedies if remedy.change is not None]
    assert made == [Change.parse(change) for change in changes]


def test_every_signature_is_proved_by_a_sample() -> None:
    assert set(SIGNATURES) == {sample.expect for sample in _samples()}


def test_every_row_of_the_table_of_known_failures_is_covered() -> None:
    assert {fact for signature in load() for fact in signature.facts} == COVERED_FACTS
    assert {sample.fact for sample in _samples()} >= COVERED_FACTS


@every([s for s in _samples() if s.fact != "-"], _id)
def test_the_fact_of_a_sample_is_one_its_signature_names(sample: Sample) -> None:
    assert sample.fact in SIGNATURES[sample.expect].facts


def test_only_the_converter_can_say_unsupported() -> None:
    for signature in load():
        if signature.verdict == "unsupported":
            assert signature.roles == ("converter",), signature.id


def test_a_lock_that_cannot_be_made_is_never_an_error_of_the_row_if_the_index_was_not_reached() -> None:
    unreachable = next(s for s in _samples() if s.expect == "index-unreachable" and s.stage == "lock")
    found = match("converter", "lock", unreachable.error)
    assert found is not None and found.verdict == "infra"


@pytest.mark.parametrize(
    ("role", "stage"),
    [("reference", "alter"), ("reference", "expose"), ("converter", "tflite"), ("converter", "invoke")],
)
def test_a_full_disk_or_memory_is_no_finding_of_the_later_stages(role: Any, stage: Any) -> None:
    full = match(role, stage, ErrorText("builtins.OSError", (), "[Errno 28] No space left on device"))
    assert full is not None and (full.id, full.verdict) == ("disk-full", "infra")
    memory = match(role, stage, ErrorText("numpy.MemoryError", (), "Unable to allocate 3.05 GiB for an array"))
    assert memory is not None and (memory.id, memory.verdict) == ("out-of-memory", "oom")


def test_an_unknown_failure_is_left_to_the_caller() -> None:
    assert match("converter", "convert", ErrorText("builtins.ValueError", (), "something quite new")) is None
    assert match("converter", "convert", ErrorText()) is None


def test_roles_and_stages_are_told_apart() -> None:
    not_implemented = ErrorText("builtins.NotImplementedError", (), "Resize is not implemented.")
    assert match("converter", "convert", not_implemented) is not None
    assert match("exporter", "export", not_implemented) is None
    assert match("converter", "import", not_implemented) is None


def test_the_exception_speaks_before_its_traceback_and_before_the_log() -> None:
    error = ErrorText(
        "builtins.ImportError",
        (),
        "cannot import name 'builder' from 'google.protobuf.internal'",
        "TypeError: Descriptors cannot be created directly.",
        "No space left on device",
    )
    found = match("converter", "import", error)
    assert found is not None and found.id == "protobuf-too-old"
    unknown = dataclasses.replace(error, message="other words")
    found = match("converter", "import", unknown)
    assert found is not None and found.id == "protobuf-too-new"
    found = match("converter", "import", dataclasses.replace(unknown, traceback=""))
    assert found is not None and found.id == "disk-full"


def test_a_warning_in_the_log_explains_nothing() -> None:
    log = "UserWarning: No module named 'tensorflow_probability'\nDescriptors cannot be created directly."
    assert match("converter", "import", ErrorText("builtins.ValueError", (), "new", "", log)) is None


def test_typeguards_frames_in_a_traceback_do_not_blame_typeguard() -> None:
    traceback = 'File "typeguard/__init__.py", line 1033, in wrapper\n    check_argument_types(memo)\nValueError: new'
    assert match("converter", "import", ErrorText("builtins.ValueError", (), "new", traceback)) is None


def test_not_implemented_by_tensorflow_is_not_unsupported_by_onnx_tf() -> None:
    traceback = (
        'File "onnx_tf/backend.py", line 65, in prepare\n    call()\n'
        'File "tensorflow/python/ops/example.py", line 12, in run\n    raise NotImplementedError\n'
        "NotImplementedError"
    )
    error = ErrorText("builtins.NotImplementedError", (), "", traceback)
    assert match("converter", "convert", error) is None


def test_titles_and_remedies_carry_the_names_from_the_text() -> None:
    error = ErrorText("builtins.NotImplementedError", (), "Upsample version 9 is not implemented.")
    found = match("converter", "convert", error)
    assert found is not None
    assert "Upsample" in found.title and "9" in found.title
    assert any("9" in remedy.text for remedy in found.remedies)
    for sample in _samples():
        known = match(sample.role, sample.stage, sample.error)
        assert known is not None and "{" not in known.title


def test_braces_in_a_text_are_not_taken_for_placeholders() -> None:
    error = ErrorText("builtins.RuntimeError", (), "Mod with {0} and {x} is not supported in Tensorflow.")
    found = match("converter", "run", error)
    assert found is not None and "{0} and {x}" in found.title


@pytest.mark.parametrize("filler", ["a", " ", "onnx_tf/", "depends on ", "in user code: File ", "'", "[Errno "])
def test_a_huge_text_takes_little_time(filler: str) -> None:
    text = filler * (5_000_000 // len(filler))
    began = time.perf_counter()
    for role, stage in (("converter", "run"), ("converter", "lock"), ("exporter", "export")):
        match(role, stage, ErrorText("builtins.NotImplementedError", (), text, text, text))
    assert time.perf_counter() - began < 5


def test_the_end_of_a_huge_text_is_read() -> None:
    text = "compiling\n" * 500_000 + "error: No space left on device (os error 28)"
    found = match("converter", "build", ErrorText(message=text))
    assert found is not None and found.id == "disk-full"


@pytest.mark.parametrize(
    ("written", "id", "words"),
    [
        ({"ir_version": "table"}, "ir_version=table", "ir_version as the converter's onnx knows it"),
        ({"ir_version": "8"}, "ir_version=8", "ir_version 8"),
        ({"opset": "< 13"}, "opset<13", "export at opset < 13"),
        ({"opset": "<{opset}"}, "opset<{opset}", "export at opset <(that of the file)"),
        ({"convert_opset": ">=7,<13"}, "convert_opset>=7,<13", "onnx.version_converter to opset >=7,<13"),
        ({"via": "torchscript"}, "via=torchscript", "export by way of torchscript"),
        ({"simplify": True}, "simplify", "the file simplified by onnxsim"),
        ({"rename": True}, "rename", "valid names for tensors and nodes"),
        ({"environ": {"A_B": "1"}}, "A_B=1", "A_B=1"),
        ({"add": {"numpy": "<2", "tf-keras": ""}}, "numpy<2,tf-keras", "numpy<2 tf-keras"),
    ],
)
def test_a_change(written: dict[str, Any], id: str, words: str) -> None:
    change = Change.parse(written)
    assert (change.id, change.words) == (id, words)
    assert Change(*json.loads(json.dumps(change.data))) == change
    assert hash(change) == hash(Change.parse(written))


@pytest.mark.parametrize(
    "written",
    [
        {}, {"opset": "13"}, {"opset": "<x"}, {"opset": "<13,"}, {"opset": 13}, {"ir_version": 8}, {"via": "dynamo"},
        {"simplify": False}, {"rename": "yes"}, {"environ": {}}, {"environ": {"lower": "1"}}, {"environ": {"A": 1}},
        {"add": {"TF_Keras": "<2"}}, {"add": {"numpy": "2"}}, {"add": {"numpy": "<2,"}}, {"add": "numpy"},
        {"add": {"numpy": "<2; rm"}}, {"opset": "<13", "via": "torchscript"}, {"magic": True},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_change(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Change.parse(written)


def test_a_change_whose_placeholder_nothing_fills_is_none() -> None:
    assert Change.parse({"opset": "<{1}"}).filled(["all", "unknown"]) is None
    assert Change.parse({"opset": "<{1.since}"}).filled(["all", "NoSuchOperator"]) is None
    named = Change.parse({"add": {"tf-keras": "~={tensorflow_minor}.0"}})
    assert named.filled(["all"]) == named
    assert named.concrete({}) is None
    assert named.concrete(FACTS) == Change.parse({"add": {"tf-keras": "~=2.16.0"}})
    # Said by a failing package, so not to be trusted with a requirement's syntax.
    assert Change.parse({"add": {"protobuf": "~={1}"}}).filled(["all", "1.2 ; x @ http://host"]) is None


@pytest.mark.parametrize(
    ("tensorflow", "minor"),
    [("2.1.0", "0.9"), ("2.15.1", "0.23"), ("2.16.2", "0.24"), ("2.17.0", "0.24"), ("2.18.0", "0.25")],
)
def test_the_probability_that_goes_with_a_tensorflow(tensorflow: str, minor: str) -> None:
    assert OnnxTf().facts({"tensorflow": tensorflow})["tensorflow_probability_minor"] == minor


def test_tensorflow_1_has_no_probability_to_go_with() -> None:
    assert OnnxTf().facts({"tensorflow": "1.15.0"}) == {"tensorflow_minor": "1.15"}


ENTRY = """
- id: {id}
  roles: [converter]
  stages: [convert]
  pattern: '{pattern}'
  title: {title}
  cause: because it was so
  source: a test of this file
"""


REMEDY = """\
  remedies:
    - {id: do-it, text: "what to do", change: %s}
"""


def _entry(id: str = "some-id", pattern: str = "text (here)", title: str = "a long title") -> str:
    return ENTRY.format(id=id, pattern=pattern, title=title)


def test_a_good_entry_is_read() -> None:
    assert [signature.id for signature in parse(_entry())] == ["some-id"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (_entry() + _entry(), "some-id.*twice"),
        (_entry(pattern="text (here"), "some-id.*regular expression"),
        (_entry(pattern="text.*here"), "some-id.*upper bound"),
        (_entry(pattern="(text|here)+"), "some-id.*upper bound"),
        (_entry(title="'names {2}'"), "some-id.*1 groups"),
        (_entry(id="Some_Id"), "Some_Id"),
        (_entry() + "  surprise: 1\n", "some-id.*surprise"),
        (_entry() + REMEDY % "{opset: '<{2}'}", "some-id.*1 groups"),
        (_entry() + REMEDY % "{opset: '<{named}'}", "some-id.*named"),
        (_entry() + REMEDY % "{opset: 13}", "some-id.*change.*opset: 13"),
        (_entry() + REMEDY % "{magic: true}", "some-id.*magic"),
        (_entry() + REMEDY % "{simplify: true, rename: true}", "some-id.*exactly one"),
        (_entry() + "  verdict: fine\n", "some-id.*verdict"),
        (_entry().replace("[convert]", "[cook]"), "some-id.*stages"),
        (_entry().replace("  cause: because it was so\n", ""), "some-id.*cause"),
        ("- [", "YAML"),
    ],
)
def test_a_wrong_entry_is_named(text: str, complaint: str) -> None:
    with pytest.raises(SignatureError, match=complaint):
        parse(text)


def test_the_file_is_read_once() -> None:
    assert load() is load()
    assert signatures.FILE.name == "signatures.yml"


def test_the_ids_alone_are_those_of_all_entries() -> None:
    assert signatures.ids() == {signature.id for signature in recognise.load()}
