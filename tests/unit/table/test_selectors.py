"""Selectors: which cells are meant."""

from __future__ import annotations

import pytest

from matrix.table.selectors import Condition, Selector, from_mapping, from_text

CELL = {
    "model": "net",
    "exporter": "torch-2.13.0-dynamo",
    "via": "dynamo",
    "torch": "2.13.0",
    "opset": "9",
    "converter": "onnxtf1.10.0-onnx1.15.0-tf2.15.0",
    "python": "3.10",
    "onnx-tf": "1.10.0",
    "tensorflow": "2.15.0",
    "cell": "net/torch-2.13.0-dynamo@9/onnxtf1.10.0-onnx1.15.0-tf2.15.0",
}

HOLDS = [
    "onnx-tf>=1.8",  # 1.10 is newer than 1.8
    "onnx_tf >= 1.8",
    "tensorflow==2.15.*",
    "tensorflow~=2.14",
    "torch>=2,<3",
    "torch!=1.12.1",
    "opset<=11",
    "opset=9",
    "python==3.10",
    "python=3.10",
    "converter=onnxtf1.10*",
    "via=dynamo",
    "model = n?t",
    "*tf2.15*",
    "net/*",
    "dynamo",
]

FAILS = [
    "onnx-tf>=1.11",
    "onnx-tf==1.1",
    "tensorflow==2.1.*",
    "opset>9",
    "python==3.1",
    "converter=onnxtf1.1",
    "converter=onnxtf1.10",  # a glob is of the whole name
    "via=torchscript",
    "tf2.15",
    "numpy>=1",  # not a part of the cell
]


@pytest.mark.parametrize("text", HOLDS)
def test_holds(text: str) -> None:
    assert from_text(text)(CELL)


@pytest.mark.parametrize("text", FAILS)
def test_does_not_hold(text: str) -> None:
    assert not from_text(text)(CELL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch=1.12", "write torch==1.12"),
        ("onnx-tf=1.8", "write onnx-tf==1.8"),
        ("torch==new", "not a version"),
        ("opset=high", "not a version"),
        ("opset>=", "not a version"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_text(text)


def test_the_two_spellings_are_the_same() -> None:
    mapping = from_mapping({"torch": "==2.13.*", "converter": "onnxtf1.10*", "opset": "9"})
    assert mapping.conditions == (
        from_text("torch==2.13.*"),
        from_text("converter=onnxtf1.10*"),
        from_text("opset=9"),
    )
    assert mapping(CELL)


def test_a_bare_version_is_that_version() -> None:
    assert from_mapping({"tensorflow": "2.15"})(CELL)
    assert not from_mapping({"tensorflow": "2.1"})(CELL)


def test_alternatives_widen_and_keys_narrow() -> None:
    assert from_mapping({"opset": ("7", "9")})(CELL)
    assert not from_mapping({"opset": ("7", "8")})(CELL)
    assert not from_mapping({"opset": "9", "model": "other"})(CELL)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="opset"):
        from_mapping({"opset": ()})


def test_an_empty_selector_selects_everything() -> None:
    assert Selector()(CELL) and Selector()({})


def test_restricted_asks_only_about_its_keys() -> None:
    selector = from_mapping({"opset": "99", "model": "net"})
    assert not selector(CELL)
    assert selector.restricted(("model",))(CELL)


def test_a_version_that_is_none_matches_no_range() -> None:
    assert not Condition("torch", (">=1",))({"torch": "nightly"})


def test_prereleases_are_versions_too() -> None:
    assert from_text("tensorflow>=2.0")({"tensorflow": "2.2.0rc1"})
