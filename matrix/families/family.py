"""What a family is: a converter program, and all that general code has to know of it.

Only the standard library, and what a take-away image carries anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from matrix.families.scheme import MEMORY, Scheme
from matrix.store.records import Pass

Source = Literal["onnx", "torch"]

# What a family may be able to do beyond converting: run the backend test cases of its own onnx (`coverage`), say which
# operators it claims (`claims`), show every tensor inside a conversion (`trace`), go on to TensorFlow Lite (`tflite`).
Capability = Literal["coverage", "claims", "trace", "tflite"]


# What jobs leave that only a converter's environment can do.
_FURTHER = {"trace": ("traced.npz",), "coverage": ("cases.json", "expected.npz", "actual.npz")}


class Limit(Protocol):
    """A value of an attribute that a converter refuses by its own code, whatever the rest of the file is."""

    @property
    def operator(self) -> str: ...
    @property
    def attribute(self) -> str: ...
    @property
    def value(self) -> str | int: ...


class Family(Protocol):
    """A converter program and how it is driven. Members inherit from this, for what most families have in common.

    A family from outside is an object like this under the entry point group `torch_tf_matrix.families`.
    """

    name: str
    """What `family:` of a row states, `onnx-tf`."""

    title: str
    """The same as people write it."""

    source: Source
    """What it converts: an .onnx file, which an exporter made, or the torch module itself."""

    packages: tuple[str, ...]
    """What names a row: the columns of tables, and the options of `pick`. The converter itself comes first."""

    runtime: str
    """The package that runs what it makes."""

    code: str
    """Module below converter/families/ that holds its passes: `convert` and those of `loads`."""

    loads: tuple[Pass, ...]
    """The passes that load what `convert` saved, in the order in which artifacts are judged."""

    folder: Path | None = None
    """Where that module lies, of a family from outside."""

    titles: Mapping[str, str] = {}
    """How people write packages that go by another name on the index."""

    artifacts: tuple[str, ...] = ()
    """The kinds of artifact it can make."""

    in_memory: bool = True
    """Whether `convert` runs the model before it is saved, and leaves its outputs."""

    capabilities: frozenset[Capability] = frozenset()

    optional: tuple[str, ...] = ()
    """Of `packages` those that a row without companions may leave to the resolver."""

    reads: str | None = "onnx"
    """The package whose release says which files it can read; None where it reads no .onnx files."""

    newest: tuple[str, ...] = ()
    """Of `packages`, which release decides first what is newest. () means: in their order."""

    replaces: Mapping[str, tuple[str, ...]] = {}
    """Distributions that may be installed in a package's place, and never beside it."""

    watched: tuple[str, ...] = ()
    """Of `packages` those whose new releases `update` makes rows of, in the order in which rows build on each other."""

    heavy: Mapping[str, tuple[tuple[str, int], ...]] = {}
    """What dwarfs other packages of an environment: (range, megabytes while an image is built), the first counts."""

    related: tuple[str, ...] = ()
    """Further packages that a reader of one cell wants to see the versions of."""

    modules: tuple[str, ...] = ()
    """What to import to see that an environment works."""

    def row_id(self, pins: Mapping[str, str]) -> str:
        """Return the id of a row that pins these versions of its packages."""
        return "-".join(f"{package}{pins[package]}" for package in self.packages)

    def facts(self, pins: Mapping[str, str]) -> dict[str, str]:
        """Return what remedies may refer to in braces, of a row with these pins."""
        return {}

    def limits(self, pins: Mapping[str, str]) -> tuple[Limit, ...]:
        """Return what the converter of a row with these pins refuses."""
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
        """The package of converter/ that its passes are in."""
        return f"converter.families.{self.code}"

    @property
    def converts(self) -> Pass:
        """The pass that converts and saves."""
        return Pass(f"{self.module}.convert", ("torch.npz", MEMORY) if self.source == "torch" else (MEMORY,))

    def further(self, kind: str) -> Pass:
        """The pass of a job of another kind in a converter's environment, which it is capable of."""
        return Pass(f"{self.module}.{kind}", _FURTHER[kind])

    @property
    def order(self) -> tuple[str, ...]:
        """Its packages, what decides about newest first."""
        return self.newest or self.packages

    @property
    def scheme(self) -> Scheme:
        """How what it makes is compared."""
        return Scheme(
            self.name, self.runtime, self.title_of(self.runtime), self.in_memory, self.loads, self.source == "torch"
        )
