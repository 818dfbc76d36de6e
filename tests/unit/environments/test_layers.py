"""Which packages environments share as a layer: the same text for all of a family, so that it is one layer."""

from __future__ import annotations

import small

from matrix.environments.docker.layers import shared_part
from matrix.packages.lock import Lock


def lock(name: str, pins: str, python: str = "3.8", as_of: str = "2022-02-16", digest: str = "0") -> Lock:
    lines = [f"{pin} \\\n    --hash=sha256:{digest:0>64}\n" for pin in pins.split()]
    return small.lock(name, python=python, as_of=as_of, body="".join(sorted(lines)))


ONE = lock("one", "tensorflow-cpu==2.8.0 numpy==1.22.0 onnx==1.10.0 six==1.16.0", as_of="2022-03-01")
TWO = lock("two", "tensorflow-cpu==2.8.0 numpy==1.22.0 onnx==1.11.0 six==1.16.0", as_of="2022-02-20")
OTHER = lock("other", "tensorflow-cpu==2.9.0 numpy==1.22.0 onnx==1.10.0")


def pins(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if "==" in line]


def test_what_a_whole_family_pins_alike_is_shared_and_the_same_text_for_each() -> None:
    texts = {shared_part(row, [ONE, TWO, OTHER]) for row in (ONE, TWO)}
    (text,) = texts
    assert pins(text) == ["numpy==1.22.0", "six==1.16.0", "tensorflow-cpu==2.8.0"]
    assert text.startswith("#: as_of: '2022-02-20'\n"), "the oldest date of the family"
    assert text.count("--hash=sha256:") == 3


def test_the_order_of_the_rows_does_not_matter() -> None:
    assert shared_part(ONE, [TWO, OTHER, ONE]) == shared_part(ONE, [ONE, TWO, OTHER])


def test_a_row_without_relatives_shares_its_framework() -> None:
    assert pins(shared_part(OTHER, [ONE, TWO, OTHER])) == ["tensorflow-cpu==2.9.0"]


def test_one_that_is_no_row_shares_as_much_as_it_has_in_common_or_the_framework() -> None:
    variant = lock("variant", "tensorflow-cpu==2.8.0 numpy==1.22.0 onnx==1.9.0 six==1.16.0")
    assert shared_part(variant, [ONE, TWO]) == shared_part(ONE, [ONE, TWO])
    breaking_ranks = lock("variant", "tensorflow-cpu==2.8.0 numpy==1.21.0 onnx==1.9.0 six==1.16.0")
    assert pins(shared_part(breaking_ranks, [ONE, TWO])) == ["tensorflow-cpu==2.8.0"]


def test_another_python_or_another_file_of_the_same_version_is_no_relative() -> None:
    elsewhere = lock("elsewhere", "tensorflow-cpu==2.8.0 numpy==1.22.0 onnx==1.10.0 six==1.15.0", python="3.9")
    rebuilt = lock("rebuilt", "tensorflow-cpu==2.8.0 numpy==1.22.0 six==1.15.0", digest="1")
    assert shared_part(ONE, [ONE, TWO, elsewhere, rebuilt]) == shared_part(ONE, [ONE, TWO])


def test_without_a_framework_there_is_no_shared_layer() -> None:
    assert shared_part(lock("plain", "numpy==1.22.0 six==1.16.0"), [ONE, TWO]) == ""
