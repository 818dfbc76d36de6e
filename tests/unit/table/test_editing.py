"""Edits of matrix.yml: they go where they belong, keep every other byte, and are refused if they read differently."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import small

from matrix.core.errors import ConfigError
from matrix.table.editing import (
    Edit,
    append_section,
    apply_edits,
    difference,
    flow,
    insert_entries,
    insert_keys,
    replace_value,
    scalar,
)
from matrix.table.model import Config
from matrix.table.source import TableSource, parse_source


def source(text: str) -> TableSource:
    return parse_source(text, Path("t.yml"))


def apply(text: str, *edits: Edit) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:\n- x: 1\n\n# b\nb: 2\n", "a:\n- x: 1\n+\n\n# b\nb: 2\n"),
        ("a:\n  - x: 1  # x\n    # deeper\n  # same\nb: 2\n", "a:\n  - x: 1  # x\n    # deeper\n  +\n  # same\nb: 2\n"),
        ("a:\n  - x: |\n      1\n\nb: 2\n", "a:\n  - x: |\n      1\n  +\n\nb: 2\n"),
        ("a:\n  - x: |+\n      1\n\nb: 2\n", "a:\n  - x: |+\n      1\n\n  +\nb: 2\n"),
        (
            "a:\n  - x:\n      - 1\n      - {y: [2,\n       3]}\n",
            "a:\n  - x:\n      - 1\n      - {y: [2,\n       3]}\n  +\n",
        ),
        ("b: '\U0001f642é'\r\na:\r\n  - 'ü'", "b: '\U0001f642é'\r\na:\r\n  - 'ü'\r\n  +\r\n"),
    ],
    ids=[
        "unindented",
        "comments",
        "literal",
        "literal that keeps",
        "nested",
        "CRLF, wide characters, no last line end",
    ],
)
def test_entries_go_after_the_last_line_of_the_one_before(before: str, after: str) -> None:
    assert apply(before, insert_entries(source(before), ("a", 0), ["+"])) == after


@pytest.mark.parametrize("text", ["a: [{x: 1}]\n", "a: []\n"])
def test_a_list_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"t\.yml:1:[15]: cannot add to `a`"):
        insert_entries(source(text), ("a", 0), ["+"])


def test_keys_go_after_another_in_its_form() -> None:
    text = "a:\n  x: {p: 1} # x\n  y: 2\nb: {x: [1], y: 2}\n"
    edits = [insert_keys(source(text), (name, "x"), {"n": "1.0", "m": ">=1"}) for name in "ab"]
    assert apply(text, *edits) == (
        'a:\n  x: {p: 1} # x\n  n: 1.0\n  m: ">=1"\n  y: 2\nb: {x: [1], n: 1.0, m: ">=1", y: 2}\n'
    )


def test_a_value_is_replaced_with_its_quotes() -> None:
    text = "a: {x: '>1', y: \"<2\"} # {x: 1}\n"
    edits = [replace_value(source(text), ("a", "x"), ">1,<3"), replace_value(source(text), ("a", "y"), "2.0")]
    assert apply(text, *edits) == 'a: {x: ">1,<3", y: 2.0} # {x: 1}\n'


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_section_goes_to_the_end(end: str) -> None:
    assert apply(f"a: 1{end}", append_section(source(f"a: 1{end}"), "b", ["- 1"])) == "a: 1\nb:\n  - 1\n"


@pytest.mark.parametrize("text", ["1.10", "a # b", "- a", "{a", '"', "", "a: b", "ü", "null", "a, b", "[x]", "a:"])
def test_what_is_written_reads_back(text: str) -> None:
    written = f"a: {flow({'x': text, 'y': (text, text)})}\nb: {scalar(text)}\n"
    assert source(written).data == {"a": {"x": text, "y": [text, text]}, "b": text}


def test_an_edit_that_reads_as_something_else_is_refused(tmp_path: Path) -> None:
    table = parse_source(small.SMALL, tmp_path / "matrix.yml")
    edit = replace_value(table, ("companions", 0, "why"), "x")
    with pytest.raises(ConfigError, match=r"matrix\.yml:\d+:1: `companions` would not read as intended"):
        apply_edits(table, [edit], Config.model_validate(table.data))


def test_an_edit_that_breaks_the_table_is_refused(tmp_path: Path) -> None:
    table = parse_source(small.SMALL, tmp_path / "matrix.yml")
    with pytest.raises(ConfigError, match=r"the changed table would not be valid: .*matrix\.yml:\d+:\d+: "):
        apply_edits(table, [(0, 0, "{")], Config.model_validate(table.data))


def test_a_difference_applies_whatever_else_python_takes_for_a_line_end(tmp_path: Path) -> None:
    old, new = "a\x0cb\u2028c\nd", "a\x0cb\u2028c\ne\nd"
    (tmp_path / "t").write_text(old, encoding="utf-8")
    diff = difference(old, new, "t")
    subprocess.run(["patch", "-p1", "-s"], cwd=tmp_path, input=diff.encode(), check=True, capture_output=True)
    assert (tmp_path / "t").read_text(encoding="utf-8") == new
    assert difference(old, old, "t") == ""


def test_a_byte_order_mark_moves_no_edit() -> None:
    for mark in ("", "\ufeff"):
        text = f"{mark}a:\n  - {{x: 1}}\nb: old\n"
        read = source(text)
        assert text[slice(*read.spans[("b",)])] == "old"
        assert apply(text, replace_value(read, ("b",), "new")) == text.replace("old", "new")
