"""The table is read strictly, and every complaint names the place to mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import small
from small import changed, position

from matrix.core.errors import ConfigError
from matrix.families import KNOWN
from matrix.judging.tolerance import KIND_OF_DTYPE
from matrix.table import load_config, model
from matrix.table.model import json_schema

NEW_PINS = "{onnx-tf: 1.10.0, onnx: 1.10, tensorflow: 2.8.0}"

# (what is written, in place of what, where the complaint points, what it says)
WRONG = {
    # shape
    "unknown key of the table": ("modles: []\nmodels:\n  - id", "models:\n  - id", "modles", "unknown key 'modles'"),
    "unknown key of a row": ("ntoe: x, python:", "python:", "ntoe", "unknown key 'ntoe'"),
    "unknown key of a tier": ("rule: nearest, convertrs: [new]", "rule: nearest, converters: [new]", "convertrs",
                              "unknown key 'convertrs'"),
    "key given twice": ("margin_days: 14\n  margin_days: 15", "margin_days: 14", "margin_days: 15", "is given twice"),
    "missing key": ("{id: reference, pinz: {}}", "{id: reference, pins: {onnxruntime: 1.17.0}}",
                    "reference: {id: reference", "'pins' is missing"),
    "missing key of a row": ("{id: torch-1.2.0}", "{id: torch-1.2.0, pins: {torch: 1.2.0}}", "{id: torch-1.2.0}",
                             "'pins' is missing"),
    "a list where a mapping belongs": ("  pins: [1, 2]", f"  pins: {NEW_PINS}", "pins: [1, 2]",
                                       "valid dictionary"),
    "a word where a number belongs": ("margin_days: soon", "margin_days: 14", "margin_days: soon", "valid integer"),
    "a number below its bound": ("schema: 0\nresolver:", "schema: 1\nresolver:", "schema: 0", "greater than or equal"),
    "a newer schema": ("schema: 2\nresolver:", "schema: 1\nresolver:", "schema: 2", "less than or equal"),
    "no such verdict": ("verdict: matches", "verdict: match", "verdict: matches", "verdict"),
    "no such dtype": ("shape: [1, 4], dtype: float8", "shape: [1, 4]", "dtype: float8", "dtype"),
    "not a date": ("as_of: someday", "as_of: 2019-08-20", "as_of: someday", "as_of"),
    "not a version": ("onnx-tf: one", "onnx-tf: 1.3.0", "onnx-tf: one", "'one' is not a version"),
    "not a version range": ('onnx-tf: "=>1.6"', 'onnx-tf: ">=1.6"', 'onnx-tf: "=>1.6"', "not a version range"),
    "not a normalised name": ("ONNX_TF: 1.3.0", "onnx-tf: 1.3.0", "ONNX_TF", "write 'onnx-tf'"),
    "not an id": ('id: "a b"', "id: net", 'id: "a b"', "is not an id"),
    "not a factory": ('"converter.zoo.gestures"', '"converter.zoo.gestures:build"', 'factory: "converter.zoo.gestures"',
                      "factory"),
    "a tier that is neither": ("{about: everything}", "{about: everything, rule: full}", "full: {about: everything}",
                               "either `cells` or `rule`"),
    "a tier that is both": ("rule: full\n    models: [net]", "models: [net]", "known:", "either `cells` or `rule`"),
    # duplicates
    "a row's id again": ("- id: old", "- id: new", "id: old\n", "'old' is taken"),
    "an id across the sections": ("reference: {id: old", "reference: {id: reference", "id: old, pins: {onnx-tf",
                                  "'old' is taken"),
    "an id an exporter's `via` makes": ("- id: torch-2.13.0-dynamo", "- id: new", "id: torch-2.13.0-dynamo",
                                        "is taken"),
    "an id an exporter's build makes": ("- id: torch-2.13.0.cpu", "- id: new", "id: torch-2.13.0.cpu", "is taken"),
    "an onnx release again": ("{version: 1.5, ", "{version: 1.10, ", "version: 1.5, ", "onnx 1.5 is listed twice"),
    "a torch release again": ("{version: 1.2.0, released: 2022", "{version: 1.12.1, released: 2022",
                              "version: 1.2.0, released: 2022", "torch 1.2.0 is listed twice"),
    "two current exporters": ("{torch: 1.2.0}, current: true}", "{torch: 1.2.0}}", "current: true\n",
                              "only one exporter"),
    # pins
    "a converter without tensorflow": ("{onnx-tf: 1.10.0, onnx: 1.10}", NEW_PINS, "pins: {onnx-tf: 1.10.0, onnx: 1.10}",
                                       "new must pin tensorflow"),
    "an exporter without torch": ("{id: torch-1.2.0, pins: {numpy: 1.2.0}}",
                                  "{id: torch-1.2.0, pins: {torch: 1.2.0}}", "pins: {numpy", "must pin torch"),
    "an onnx the table does not know": ("onnx: 1.5.1", "onnx: 1.5.0", "onnx: 1.5.1", "onnx 1.5.1 is not in the table"),
    "a torch the table does not know": ("{torch: 1.2.9}", "{torch: 1.2.0}", "torch: 1.2.9}", "torch 1.2.9 is not in"),
    "what the resolver puts in": ("tensorflow: 2.8.0, tensorflow-cpu: 2.8.0", "tensorflow: 2.8.0",
                                  "tensorflow-cpu: 2.8.0", "pin tensorflow"),
    "a Python `lock` never tries": ('python: "3.7"', 'python: "3.8"', 'python: "3.7"', "Python 3.7 is not among"),
    "a companion against a pin": ("tensorflow: 2.8.0, tensorflow-addons: 0.1", "tensorflow: 2.8.0",
                                  'tensorflow-addons: "==0.16.1"', "new pins tensorflow-addons 0.1"),
    "a build of another release": ("2.12.0+cpu", "2.13.0+cpu", "torch: 2.12.0+cpu", "must be a build of torch 2.13.0"),
    "a dynamo that release lacks": ("{torch: 1.2.0}, via: [dynamo]}", "{torch: 1.2.0}}", "via: [dynamo]}",
                                    "has no dynamo exporter"),
    "an exporter named twice": ("via: [dynamo, dynamo]", "via: [torchscript, dynamo]", "via: [dynamo, dynamo]",
                                "twice"),
    "opsets the wrong way round": ("opsets: [10, 7]", "opsets: [7, 10]", "opsets: [10, 7]", "must not exceed"),
    # what matches nothing
    "a companion rule": ('onnx-tf: ">=1.11"', 'onnx-tf: ">=1.6"', 'when: {onnx-tf: ">=1.11"}', "matches no row"),
    "a companion rule without ranges": ("when: {}", 'when: {onnx-tf: ">=1.6"}', "when: {}", "non-empty"),
    "a tier's converter": ("converters: [newer]", "converters: [new]", "newer", "'newer' is not among the table's c"),
    "a tier's model": ("models: [nett]", "models: [net]", "nett", "'nett' is not among the table's models"),
    "a tier's selector": ('opset: ">99"', 'opset: "<=8"', '{torch: "==1.12.*", opset: ">99"', "matches no cell"),
    "an expectation": ("converter: older}\n    verdict", "converter: old}\n    verdict",
                       "cells: {exporter: torch-1.2.0, opset: 9", "matches no cell"),
    "an unknown key of a selector": ('tensorfow: "*"', 'converter: "*"', "tensorfow", "unknown key 'tensorfow'"),
    "a selector of no range": ('opset: "high"', 'opset: "<=8"', '{torch: "==1.12.*", opset: "high"',
                               "not a version or version range"),
    "a selector of nothing": ("opset: []", "opset: [9, 10]", "{exporter: torch-1.2.0, opset: []", "empty list"),
    "one of a selector's names": ("exporter: [torch-1.2.0, torch-1.2.O], opset: [9, 10]",
                                  "exporter: torch-1.2.0, opset: [9, 10]", "torch-1.2.O]", "'torch-1.2.O'"),
    "one of a selector's versions": ("opset: [9, 99]", "opset: [9, 10]", "99", "'99'"),
    "one of a selector's, with the rest of it": ("torch: [1.2.0, 1.12.1], opset: 16, converter: old}\n    verdict",
                                                 "exporter: torch-1.2.0, opset: 9, converter: old}\n    verdict",
                                                 "1.2.0, 1.12.1], opset", "'1.2.0'"),
    "a selector by cell": ('{cell: "net/*"', '{torch: "==1.12.*"', "cell: ",
                           "use exporter, opset, converter and model"),
    "an expected stage": ("verdict: match\n    stage: exports", "verdict: match", "stage: exports", "stage"),
    "an empty list of converters": ("converters: []", "converters: [new]", "converters: []", "selects nothing"),
    "an empty list of models": ("models: []\n    cells", "models: [net]\n    cells", "models: []", "selects nothing"),
    "what the resolver replaces": ("{tensorflw: tensorflow-cpu}", "{tensorflow: tensorflow-cpu}", "tensorflw",
                                   "no row pins tensorflw"),
    "a default tier": ("default_tier: fast\ntiers:", "tiers:", "default_tier: fast", "there is no tier 'fast'"),
    # models
    "a model without inputs": ("inputs: []\n    outputs: [y]\ntiers",
                               "inputs: [{name: x, shape: [1, 4]}]\n    outputs: [y]\ntiers",
                               "id: other", "needs at least one input"),
    "a factory and a file": ("mobilehairnet:build\"\n    onnx: net.onnx", "mobilehairnet:build\"", "id: other",
                             "either `factory` or `onnx`"),
    "a file with a seed": ("onnx: net.onnx\n    seed: 1", 'factory: "converter.zoo.mobilehairnet:build"', "id: other",
                           "takes no seed"),
    "a checkpoint and a seed": ("mobilehairnet:build\"\n    checkpoint: a.pt\n    seed: 1", "mobilehairnet:build\"",
                                "id: other", "would replace the weights"),
    "a file that is not there": ("onnx: net.onnx", 'factory: "converter.zoo.mobilehairnet:build"', "onnx: net.onnx",
                                 "there is no net.onnx"),
    "an axis that is not there": ("shape: [1, 4], dynamic: {2: n}", "shape: [1, 4]", "dynamic: {2",
                                  "axes are numbered from 0 to 1"),
    "an empty size": ("shape: [0, 4]", "shape: [1, 4]", "shape: [0, 4]", "at least 1"),
    "a range the wrong way round": ("range: [2, -2]", "range: [-2, 2]", "range: [2, -2]", "below the second"),
    "a range that its type does not hold": ("dtype: int8, range: [-129, 0]", "range: [-2, 2]",
                                            "{name: x, shape: [2, 3], dtype", "int8 holds numbers from -128 to 128"),
    "an input's name again": ("inputs: [{name: x, shape: [1]}, {name: x, shape: [1, 4]}]",
                              "inputs: [{name: x, shape: [1, 4]}]", "name: x, shape: [1, 4]", "of an earlier input"),
    "an output's name again": ("outputs: [y, z, y]\n  - id: other", "outputs: [y]\n  - id: other", "y]\n  - id: other",
                               "of an earlier output"),
    "a factory's file": ('"mine.py:build"', '"converter.zoo.gestures:build"', 'factory: "mine.py',
                         "there is no mine.py"),
    "a factory's module": ('"converter.zoo.gone:build"', '"converter.zoo.gestures:build"',
                           'factory: "converter.zoo.gone', "there is no converter.zoo.gone"),
    "no such kind of number": ("tolerances: {float3: {rtol: 0, atol: 0}}\ntiers:", "tiers:", "float3", "float3"),
    "no such kind of number for a model": ("outputs: [y]\n    tolerances: {int: {rtol: 0, atol: 0}}\ntiers:",
                                           "outputs: [y]\ntiers:", "int: {rtol", "tolerances.int"),
    "a tolerance without end": ("tolerances: {float32: {rtol: inf, atol: 0}}\ntiers:", "tiers:", "rtol: inf", "finite"),
    "a tolerance that is no number": ("tolerances: {float32: {rtol: 0, atol: nan}}\ntiers:", "tiers:", "atol: nan",
                                      "finite"),
    "a bound without end": ("range: [-inf, 2]", "range: [-2, 2]", "-inf", "finite"),
    # YAML itself
    "a key that is no text": ("? [a]\n: 1\ntiers:", "tiers:", "[a]\n", "a key must be plain text"),
    "an alias that contains itself": ("outputs: &loop [*loop]\ntiers:", "outputs: [y]\ntiers:", "&loop",
                                      "an alias that contains itself"),
}  # fmt: skip


@pytest.mark.parametrize(("new", "old", "needle", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_table_is_refused_at_its_place(tmp_path: Path, new: str, old: str, needle: str, words: str) -> None:
    text = changed(old, new)
    path = small.table(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, families=KNOWN)
    complaints = str(caught.value).splitlines()
    expected = f"{path}:{position(text, needle)}: "
    assert any(line.startswith(expected) and words in line for line in complaints), complaints


def test_an_expected_reason_is_held_against_the_known_ones(tmp_path: Path) -> None:
    text = changed("verdict: match", "verdict: error\n    reason: op-mising")
    path = small.table(tmp_path, text)
    assert load_config(path).expect[0].reason == "op-mising"
    assert load_config(path, frozenset({"op-mising"}))
    with pytest.raises(ConfigError, match="'op-mising' is not a known reason") as caught:
        load_config(path, frozenset({"op-missing"}))
    assert str(caught.value).startswith(f"{path}:{position(text, 'reason: op-mising')}: ")


def test_alternatives_may_share_the_rest_of_a_selector(tmp_path: Path) -> None:
    # torch 1.2.0 has no opset 16, but each exporter matches with one of the opsets and each opset with an exporter.
    small.config(tmp_path, changed("exporter: torch-1.2.0, opset: [9, 10]", "torch: [1.2.0, 1.12.1], opset: [9, 16]"))


def test_factories_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.py").touch()
    for factory in ("models/mine.py:build", f"{tmp_path}/models/mine.py:build", "converter.zoo:build", "torch.nn:ReLU"):
        small.config(tmp_path, changed("converter.zoo.gestures:build", factory))


def test_kinds_of_numbers_are_those_the_verdicts_know() -> None:
    assert set(get_args(model.NumberKind)) == set(KIND_OF_DTYPE.values())


def test_the_small_table_itself_is_right(tmp_path: Path) -> None:
    read = small.config(tmp_path)
    assert [row.id for row in read.converters] == ["old", "new"]


def test_a_version_stays_as_it_is_written(tmp_path: Path) -> None:
    read = small.config(tmp_path)
    assert read.onnx[1].version == "1.10"
    assert read.converters[1].pins["onnx"] == "1.10"


def test_a_second_model_of_the_same_id(tmp_path: Path) -> None:
    text = changed("- id: other\n", "- id: net\n")
    with pytest.raises(ConfigError, match="'net' is taken by an earlier model") as caught:
        small.config(tmp_path, text)
    line = text[: text.rindex("- id: net")].count("\n") + 1
    assert f":{line}:5: " in str(caught.value)


def test_yaml_that_does_not_parse(tmp_path: Path) -> None:
    text = changed("{id: torch-1.2.0, pins: {torch: 1.2.0}}", "{id: torch-1.2.0, pins: {torch: 1.2.0}}}")
    line = text[: text.index("1.2.0}}}")].count("\n") + 1
    with pytest.raises(ConfigError, match=rf"matrix\.yml:{line}:\d+: not valid YAML"):
        small.config(tmp_path, text)


def test_a_python_must_be_major_and_minor(tmp_path: Path) -> None:
    text = changed('python: "3.8"', 'python: "3.8.1"')
    with pytest.raises(ConfigError, match="python") as caught:
        small.config(tmp_path, text)
    assert position(text, 'python: "3.8.1"') in str(caught.value)


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    text = changed("margin_days: 14", "margin_days: soon", changed("verdict: match", "verdict: fine"))
    with pytest.raises(ConfigError) as caught:
        small.config(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 2


NO_TABLE = {
    b"": "is empty",
    b"\xff\xfe": "not UTF-8",
    b"[": "not valid YAML",
    b"a: \x00": "not valid YAML",
    b"- 1": "dict",
}


@pytest.mark.parametrize(("content", "words"), NO_TABLE.items())
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "matrix.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--table FILE"):
        load_config(tmp_path / "nowhere.yml")


def test_the_schema_in_the_repository_is_current() -> None:
    text = (small.ROOT / "matrix.schema.json").read_text(encoding="utf-8")
    assert text == json_schema(), "run: python -m matrix schema > matrix.schema.json"
    assert json.loads(text)["additionalProperties"] is False
