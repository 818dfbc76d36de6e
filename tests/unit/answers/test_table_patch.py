"""A cure as a diff of matrix.yml: it applies, keeps every other byte, and the table then asks for the range."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import small

from matrix.answers.blame.table_patch import TablePatch, proposal
from matrix.answers.blame.types import Ranges
from matrix.core.errors import ConfigError
from matrix.environments.locks.request import make_request
from matrix.table import Config, Row, load_config
from matrix.table.check import rows_with_places

PROTOBUF: Ranges = (("protobuf", "<4"),)
BOTH: Ranges = (("numpy", "<2"), ("protobuf", "<4"))

BARE = small.changed(
    "  - id: new\n    pins: {onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.8.0}\n",
    "  - {id: new, pins: {onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.8.0}, companions: false}\n"
    "  - {id: other, pins: {onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.9.0}}\n",
)


def row_of(config: Config, name: str) -> Row:
    return next(row for _, row in rows_with_places(config) if row.id == name)


def propose(
    folder: Path, name: str, ranges: Ranges = PROTOBUF, why: str = "it broke", text: str = small.SMALL
) -> tuple[TablePatch, Config]:
    """The proposal for a row of the text, and the table after `patch` has applied what is printed."""
    path = folder / "matrix.yml"
    path.write_bytes(text.encode())
    config = load_config(path)
    made = proposal(path, row_of(config, name), ranges, why)
    assert path.read_bytes() == text.encode(), "the user applies it"
    if made.diff:
        subprocess.run(
            ["patch", "-p1", "--binary", "-s"], cwd=folder, input=made.text.encode(), check=True, capture_output=True
        )
    return made, load_config(path)


def added(made: TablePatch) -> list[str]:
    return [line[1:] for line in made.diff.split("\n") if line.startswith("+") and not line.startswith("+++")]


def removed(made: TablePatch) -> list[str]:
    return [line[1:] for line in made.diff.split("\n") if line.startswith("-") and not line.startswith("---")]


def requirements(config: Config, name: str) -> tuple[str, ...]:
    return make_request(config, row_of(config, name)).requirements


def test_a_rule_is_put_behind_the_last_one_and_nothing_else_changes(tmp_path: Path) -> None:
    made, after = propose(tmp_path, "new", BOTH, "protobuf 4.21.1, uploaded 2022-05-26, broke it (protobuf-too-new)")
    rule = """\
  - when: {onnx-tf: "==1.10.0", tensorflow: "~=2.8.0"}
    add: {numpy: "<2", protobuf: "<4"}
    why: protobuf 4.21.1, uploaded 2022-05-26, broke it (protobuf-too-new)
"""
    behind = "    why: onnx-tf imports it\n"
    assert (tmp_path / "matrix.yml").read_text() == small.changed(behind, behind + rule)
    assert {"numpy<2", "protobuf<4"} <= set(requirements(after, "new"))
    assert "protobuf<4" not in requirements(after, "old")
    assert made.stale == ("new",)


def test_an_exporter_is_matched_by_its_minor(tmp_path: Path) -> None:
    made, after = propose(tmp_path, "torch-1.12.1", (("numpy", "<2"),))
    assert added(made)[0] == '  - when: {torch: "==1.12.*"}'
    assert requirements(after, "torch-1.12.1") == ("numpy<2", "torch==1.12.1")
    assert requirements(after, "torch-1.2.0") == ("torch==1.2.0",)


def test_every_build_of_a_row_becomes_stale(tmp_path: Path) -> None:
    made, _ = propose(tmp_path, "torch-2.13.0", (("numpy", "<2"),))
    assert made.stale == ("torch-2.13.0", "torch-2.13.0.cpu")
    assert "torch-2.13.0 torch-2.13.0.cpu\n" in made.text


def test_rows_of_the_same_minor_are_named_as_stale(tmp_path: Path) -> None:
    text = small.SMALL.replace(
        "models:\n", "  - {id: twin, pins: {onnx-tf: 1.10.0, onnx: 1.5.0, tensorflow: 2.8.0}}\nmodels:\n", 1
    )
    made, after = propose(tmp_path, "new", text=text)
    assert made.stale == ("new", "twin")
    assert "committed locks of all these rows" in made.text
    assert "protobuf<4" in requirements(after, "twin")


@pytest.mark.parametrize("pin", ["protobuf: 5.0", "companion"])
def test_the_rule_spares_a_row_that_could_not_live_with_it(tmp_path: Path, pin: str) -> None:
    """Another row of the minor holds the package outside the range, by a pin or by another rule."""
    more = ", protobuf: 5.0" if pin != "companion" else ""
    text = small.SMALL.replace(
        "models:\n", f"  - {{id: twin, pins: {{onnx-tf: 1.10.0, onnx: 1.5.0, tensorflow: 2.8.0{more}}}}}\nmodels:\n", 1
    )
    if pin == "companion":
        text = small.changed(
            "onnx:\n", '  - {when: {onnx: "==1.5.0"}, add: {protobuf: "==5.0"}, why: it needs it}\nonnx:\n', text
        )
    made, after = propose(tmp_path, "new", text=text)
    assert 'when: {onnx-tf: "==1.10.0", onnx: "==1.10", tensorflow: "==2.8.0"}' in made.diff
    assert made.stale == ("new",)
    assert "protobuf<4" in requirements(after, "new")


def test_a_rule_that_nobody_could_live_with_is_an_error(tmp_path: Path) -> None:
    text = small.changed(
        'add: {tensorflow-addons: "==0.16.1"}', 'add: {tensorflow-addons: "==0.16.1", protobuf: "==5.0"}'
    )
    with pytest.raises(ConfigError, match=r"no rule can fix new: new requires protobuf 5\.0 by another rule"):
        propose(tmp_path, "new", text=text)


def test_what_the_row_pins_is_left_out_and_alone_is_an_error(tmp_path: Path) -> None:
    made, _ = propose(tmp_path, "new", (("onnx", "<1.14"), ("protobuf", "<4")))
    assert '    add: {protobuf: "<4"}' in added(made)
    with pytest.raises(ConfigError, match="pins every package that the fix names"):
        propose(tmp_path, "new", (("onnx", "<1.14"),))


def test_a_row_that_is_not_in_the_file_is_an_error(tmp_path: Path) -> None:
    config = small.config(tmp_path)
    row = config.converters[1].model_copy(update={"id": "new+tf2.8.1"})
    with pytest.raises(ConfigError, match=r"there is no row new\+tf2\.8\.1"):
        proposal(tmp_path / "matrix.yml", row, PROTOBUF, "why")


@pytest.mark.parametrize(
    "why", ["a: b # c", "'x", "- y", "null: no", "line\nbreak", 'say "x"\\', "ünïcode ✓", "[a", ""]
)
def test_any_text_can_be_the_why(tmp_path: Path, why: str) -> None:
    _, after = propose(tmp_path, "new", why=why)
    assert after.companions[-1].why == " ".join(why.split())


@pytest.mark.parametrize(
    "last",
    [
        "    why: >\n      it is\n      # no comment\n\n      imported\n",
        "    why: it is\n      imported\n  # of the next rule\n",
        '  # before\n    why: "x"  # behind\n    # within\n\n\n',
        "    why: |+\n      kept\n\n",
    ],
    ids=["folded", "plain over two lines", "comments", "literal with its blank lines"],
)
def test_the_end_of_the_last_rule_is_found(tmp_path: Path, last: str) -> None:
    text = small.changed("    why: onnx-tf imports it\n", last)
    made, after = propose(tmp_path, "new", text=text)
    assert not removed(made)
    assert len(added(made)) == 3
    assert "protobuf<4" in requirements(after, "new")


def test_a_list_that_is_not_indented(tmp_path: Path) -> None:
    rule = '  - when: {onnx-tf: ">=1.6"}\n    add: {tensorflow-addons: "==0.16.1"}\n    why: onnx-tf imports it\n'
    text = small.changed(rule, rule.replace("\n  ", "\n")[2:])
    made, after = propose(tmp_path, "new", text=text)
    assert added(made)[0].startswith("- when:")
    assert len(after.companions) == 2


def test_line_ends_and_a_missing_last_one_stay(tmp_path: Path) -> None:
    propose(tmp_path, "new", text=small.SMALL.rstrip("\n").replace("\n", "\r\n"))
    written = (tmp_path / "matrix.yml").read_bytes()
    assert b'protobuf: "<4"}\r\n' in written
    assert not written.endswith(b"\n")
    assert written.count(b"\n") == written.count(b"\r\n")


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_table_without_rules_gets_a_section_at_its_end(tmp_path: Path, end: str) -> None:
    start, stop = small.SMALL.index("companions:"), small.SMALL.index("onnx:\n  -")
    text = (small.SMALL[:start] + small.SMALL[stop:]).rstrip("\n") + end
    _, after = propose(tmp_path, "new", text=text)
    assert (tmp_path / "matrix.yml").read_text().startswith(text)
    assert requirements(after, "new")[-2:] == ("protobuf<4", "tensorflow==2.8.0")


def test_a_flow_list_of_rules_is_left_to_the_user(tmp_path: Path) -> None:
    start, stop = small.SMALL.index("companions:"), small.SMALL.index("onnx:\n  -")
    text = (
        small.SMALL[:start]
        + 'companions: [{when: {onnx-tf: ">=1.6"}, add: {wheel: ""}, why: x}]\n'
        + small.SMALL[stop:]
    )
    made, _ = propose(tmp_path, "new", text=text)
    assert made.diff == ""
    assert '  - when: {onnx-tf: "==1.10.0", tensorflow: "~=2.8.0"}\n    add: {protobuf: "<4"}\n' in made.text
    assert made.stale == ("new",)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (
            "  - {id: new, PINS, companions: false}\n",
            '  - {id: new, PINS, add: {protobuf: "<4"}, companions: false}',
        ),
        (
            "  - {companions: false, id: new, PINS} # {last}\n",
            '  - {companions: false, id: new, PINS, add: {protobuf: "<4"}} # {last}',
        ),
        (
            "  - id: new\n    PINS\n    companions: false\n",
            '    add: {protobuf: "<4"}',
        ),
        (
            "  - companions: false\n    id: new\n    pins:\n      onnx-tf: 1.10.0\n      tensorflow: 2.8.0\n",
            '    add: {protobuf: "<4"}',
        ),
        (
            '  - {id: new, PINS, add: {wheel: ""}, companions: false}\n',
            '  - {id: new, PINS, add: {wheel: "", protobuf: "<4"}, companions: false}',
        ),
        (
            "  - {id: new, PINS, add: {protobuf: '>=3'}, companions: false}\n",
            '  - {id: new, PINS, add: {protobuf: "<4,>=3"}, companions: false}',
        ),
        (
            "  - id: new\n    companions: false\n    PINS\n    add:\n      wheel: '>0'\n",
            '      protobuf: "<4"',
        ),
    ],
    ids=["flow", "flow, pins last", "block", "block, pins last", "more in add", "narrower in add", "more in a block"],
)
def test_a_row_without_companions_gets_an_add_of_its_own(tmp_path: Path, written: str, line: str) -> None:
    written, line = (each.replace("PINS", "pins: {onnx-tf: 1.10.0, tensorflow: 2.8.0}") for each in (written, line))
    text = small.changed("  - id: new\n    pins: {onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.8.0}\n", written)
    text = small.changed('{onnx-tf: ">=1.6"}', '{torch: ">=2"}', text)
    made, after = propose(tmp_path, "new", text=text)
    assert line in added(made)
    assert len(added(made)) == 1
    assert len(removed(made)) == (1 if written.startswith("  - {") else 0)
    assert any(r.startswith("protobuf<4") for r in requirements(after, "new"))
    assert made.stale == ("new",)


def test_other_rows_keep_their_requests(tmp_path: Path) -> None:
    made, after = propose(tmp_path, "new", text=BARE)
    assert "protobuf<4" not in requirements(after, "other")
    assert made.stale == ("new",)


@pytest.mark.parametrize("name", ["onnxtf1.10.0-onnx1.10.2-tf2.8.0", "torch-1.12.1", "onnxtf1.3.0-onnx1.4.1-tf1.13.1"])
def test_the_real_table_takes_a_rule(tmp_path: Path, name: str) -> None:
    config = load_config(small.TABLE)
    made = proposal(small.TABLE, row_of(config, name), PROTOBUF, "why")
    copy = tmp_path / "matrix.yml"
    copy.write_bytes(small.TABLE.read_bytes())
    subprocess.run(["patch", "-p1", "-s"], cwd=tmp_path, input=made.text.encode(), check=True, capture_output=True)
    assert not removed(made)
    assert "protobuf<4" in requirements(load_config(copy), name)
