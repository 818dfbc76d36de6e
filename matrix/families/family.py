"""The Family protocol: all that general code has to know of a converter program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from matrix.families.scheme import MEMORY, Scheme
from matrix.store.records import Pass

Source = Literal["onnx", "torch"]

# What a family may be capable of beyond converting: run the backend test cases of its onnx (`coverage`), list the
# operators it claims (`claims`), expose every tensor of a conversion (`trace`), go on to TensorFlow Lite (`tflite`).
Capability = Literal["coverage", "claims", "trace", "tflite"]

# The files that further jobs in a converter's environment leave.
_FURTHER = {"trace": ("traced.npz",), "coverage": ("cases.json", "expected.npz", "actual.npz")}


@dataclass(frozen=True, slots=True)
class Limit:
    """A value of an attribute that a converter refuses in its code, in the `releases` of this range."""

    operator: str
    attribute: str
    value: str | int
    releases: str = ""


class Family(Protocol):
    """A converter program and how it is driven. Families inherit from this for what most have in common.

    An external family is such an object in the entry point group `torch_tf_matrix.families`.
    """

    name: str
    """The value of `family:` in rows, `onnx-tf`."""

    title: str
    """The name as people write it."""

    source: Source
    """Its input: an .onnx file that an exporter made, or the torch module itself."""

    packages: tuple[str, ...]
    """The packages that name a row: columns of tables and options of `pick`. The converter itself comes first."""

    runtime: str
    """The package that runs its artifacts."""

    code: str
    """The module below converter/families/ with its passes: `convert` and those of `loads`."""

    loads: tuple[Pass, ...]
    """The passes that load artifacts of `convert`, in the order in which artifacts are judged."""

    folder: Path | None = None
    """The folder of that module, of an external family."""

    titles: Mapping[str, str] = {}
    """Names of packages as people write them, where they differ from the index."""

    artifacts: tuple[str, ...] = ()
    """The kinds of artifact it can make."""

    in_memory: bool = True
    """Whether `convert` also runs the model before saving it, and leaves its outputs."""

    capabilities: frozenset[Capability] = frozenset()

    optional: tuple[str, ...] = ()
    """The `packages` that a row without companions may leave to the resolver."""

    reads: str | None = "onnx"
    """The package whose release determines which files it can read; None where it does not read .onnx files."""

    newest: tuple[str, ...] = ()
    """The `packages` in the order in which their releases decide what is newest; () means in their own order."""

    replaces: Mapping[str, tuple[str, ...]] = {}
    """Distributions that may replace a package, and must not be installed beside it."""

    watched: tuple[str, ...] = ()
    """The `packages` of whose new releases `update` makes rows, in the order in which rows build on each other."""

    heavy: Mapping[str, tuple[tuple[str, int], ...]] = {}
    """The largest packages: (range, megabytes while an image is built), of which the first that fits counts."""

    related: tuple[str, ...] = ()
    """Further packages whose versions are shown with a cell."""

    modules: tuple[str, ...] = ()
    """The modules to import to test that an environment works."""

    def row_id(self, pins: Mapping[str, str]) -> str:
        """Return the id of a row that pins these versions of its packages."""
        return "-".join(f"{package}{pins[package]}" for package in self.packages)

    def facts(self, pins: Mapping[str, str]) -> dict[str, str]:
        """Return the facts on a row with these pins that remedies may refer to in braces."""
        return {}

    def limits(self, pins: Mapping[str, str]) -> tuple[Limit, ...]:
        """Return the limits of the converter of a row with these pins."""
        return ()

    def required(self, companions: bool) -> tuple[str, ...]:
        """Return the packages that a row has to pin."""
        return tuple(package for package in self.packages if companions or package not in self.optional)

    def title_of(self, package: str) -> str:
        """Return a package's name as people write it."""
        return self.titles.get(package, package)

    @property
    def package(self) -> str:
        """The converter itself."""
        return self.packages[0]

    @property
    def module(self) -> str:
        """The package of converter/ with its passes."""
        return f"converter.families.{self.code}"

    @property
    def converts(self) -> Pass:
        """The pass that converts and saves."""
        return Pass(f"{self.module}.convert", ("torch.npz", MEMORY) if self.source == "torch" else (MEMORY,))

    def further(self, kind: str) -> Pass:
        """Return the pass of a further job that it is capable of, `trace` or `coverage`."""
        return Pass(f"{self.module}.{kind}", _FURTHER[kind])

    @property
    def order(self) -> tuple[str, ...]:
        """Its packages, the one that decides what is newest first."""
        return self.newest or self.packages

    @property
    def scheme(self) -> Scheme:
        """How its artifacts are compared."""
        return Scheme(
            self.name, self.runtime, self.title_of(self.runtime), self.in_memory, self.loads, self.source == "torch"
        )
