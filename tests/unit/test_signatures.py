"""The failure signatures against texts that were really seen."""

from __future__ import annotations

import csv
import dataclasses
import time
from pathlib import Path

import pytest

from matrix.verdicts import signatures
from matrix.verdicts.signatures import ErrorText, SignatureError, load, match, parse

SAMPLES = Path(__file__).parent / "data" / "failures.tsv"

COVERED_FACTS = {
    *(f"INS{n:02}" for n in range(1, 6)),
    *(f"IMP{n:02}" for n in range(1, 20)),
    *(f"EXP{n:02}" for n in range(1, 14)),
    *(f"CNV{n:02}" for n in range(1, 11)),
    "RUN01",
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


@pytest.mark.parametrize("sample", _samples(), ids=_id)
def test_a_sample_is_recognised_where_it_was_seen(sample: Sample) -> None:
    found = match(sample.role, sample.stage, sample.error)
    assert found is not None
    assert found.id == sample.expect
    assert found.verdict == SIGNATURES[sample.expect].verdict


@pytest.mark.parametrize("sample", _samples(), ids=_id)
def test_no_other_entry_takes_a_sample_anywhere_its_own_applies(sample: Sample) -> None:
    own = SIGNATURES[sample.expect]
    claimed = {
        (role, stage): (found.id if (found := match(role, stage, sample.error)) else None)
        for role in own.roles
        for stage in own.stages
    }
    assert claimed == dict.fromkeys(claimed, sample.expect)


def test_every_signature_is_proved_by_a_sample() -> None:
    assert set(SIGNATURES) == {sample.expect for sample in _samples()}


def test_every_fact_about_install_import_export_check_and_convert_is_covered() -> None:
    assert {fact for signature in load() for fact in signature.facts} == COVERED_FACTS
    assert {sample.fact for sample in _samples()} >= COVERED_FACTS


@pytest.mark.parametrize("sample", [s for s in _samples() if s.fact != "-"], ids=_id)
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


ENTRY = """
- id: {id}
  roles: [converter]
  stages: [convert]
  pattern: '{pattern}'
  title: {title}
  cause: because it was so
  source: a test of this file
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
