"""Base images without an engine or a registry: which one is chosen, and what is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound, NotFound
from requests.exceptions import ConnectionError as NoConnection

from matrix.core.errors import ConfigError, Indeterminate, UsageError
from matrix.environments.docker import base_pins as pins
from matrix.environments.docker import names
from matrix.environments.docker.base_pins import BasePins
from matrix.environments.docker.bases import BaseMissing, candidates, check_option, choose, find

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
MIRROR = "mirror:5000/python:{python}-slim"

# --- which base ------------------------------------------------------------------------------------------------------


class FakeEngine:
    """An engine with `images`, and behind it a registry with those of `remote`; it knows no other methods."""

    def __init__(self, *images: str, remote: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        self.there = set(images)
        self.remote = set(remote)
        self.variables = variables
        self.pulled: list[str] = []
        self.alive = True
        self.fails: Exception | None = None
        self.images = self
        self.api = SimpleNamespace(pull=self._pull)
        self.containers = SimpleNamespace(run=self._run)

    def get(self, name: str) -> Any:
        if name not in self.there:
            raise ImageNotFound(name)
        local = name.startswith("torch-tf-matrix/")
        version = name.split(":")[-1].removesuffix("-slim") if "@" not in name else "3.9"
        variables = self.variables if self.variables is not None else {"PYTHON_VERSION": f"{version}.99"}
        env = [f"{key}={value}" for key, value in variables.items()]
        labels = {names.LABEL: names.BASE} if local else {}
        return SimpleNamespace(id=f"id of {name}", labels=labels, attrs={"Config": {"Env": env}, "Size": 7})

    def ping(self) -> None:
        if not self.alive:
            raise NoConnection("gone")

    def _pull(self, repository: str, tag: str, stream: bool, decode: bool) -> list[dict[str, str]]:
        assert stream and decode
        if self.fails:
            raise self.fails
        name = f"{repository}{'@' if tag.startswith('sha256:') else ':'}{tag}"
        self.pulled.append(name)
        if name not in self.remote:
            return [{"status": "Pulling"}, {"error": "manifest unknown"}]
        self.there.add(name)
        return [{"status": "Pulling"}]

    def _run(self, image: str, command: list[str], **options: Any) -> bytes:
        assert options["network_disabled"] and options["remove"]
        return b"Python 3.9.2\n"


PINNED = BasePins(digests={"3.9": ONE})


def choice(engine: FakeEngine, option: str = "auto", pinned: BasePins | None = None, **more: Any) -> tuple[str, str]:
    base = choose(engine, "3.9", option, pinned or BasePins(), **more)
    assert base.id == f"id of {base.reference}" and base.size == 7
    return base.reference, base.origin


def test_auto_takes_what_is_there_before_it_downloads() -> None:
    official, local = "python:3.9-slim", "torch-tf-matrix/python:3.9"
    engine = FakeEngine(official, local, remote=(official,))
    assert choice(engine) == (official, "registry")
    engine.there.remove(official)
    assert choice(engine) == (local, "local")
    engine.there.remove(local)
    assert not engine.pulled
    assert choice(engine) == (official, "registry")
    assert engine.pulled == [official]


def test_what_is_asked_for_is_what_is_taken() -> None:
    official, local, mirrored = "python:3.9-slim", "torch-tf-matrix/python:3.9", "mirror:5000/python:3.9-slim"
    engine = FakeEngine(official, local, mirrored)
    assert choice(engine, "local") == (local, "local")
    assert choice(engine, "registry") == (official, "registry")
    assert choice(engine, MIRROR) == (mirrored, "registry")
    assert not engine.pulled


def test_a_pinned_base_is_meant_by_its_digest() -> None:
    engine = FakeEngine("python:3.9-slim", f"python@{ONE}", "torch-tf-matrix/python:3.9")
    assert choice(engine, pinned=PINNED) == (f"python@{ONE}", "registry")
    # The tag alone may stand for anything.
    engine.there.remove(f"python@{ONE}")
    assert choice(engine, pinned=PINNED) == ("torch-tf-matrix/python:3.9", "local")
    engine.remote = {f"python@{ONE}"}
    assert choice(engine, "registry", PINNED) == (f"python@{ONE}", "registry")
    # Another Python of the same table is not pinned; a name of the user's own never is.
    assert candidates("3.8", "registry", PINNED) == ["python:3.8-slim"]
    assert candidates("3.9", "python:{python}-slim", PINNED) == ["python:3.9-slim"]
    mirrored = BasePins(template=MIRROR, digests={"3.9": ONE})
    assert candidates("3.9", "auto", mirrored) == [f"mirror:5000/python@{ONE}", "torch-tf-matrix/python:3.9"]


@pytest.mark.parametrize(
    ("option", "more"), [("local", {}), ("auto", {"download": False}), ("registry", {"download": False})]
)
def test_without_a_base_the_next_step_is_named(option: str, more: dict[str, bool]) -> None:
    engine = FakeEngine(remote=("python:3.9-slim",))
    with pytest.raises(BaseMissing, match=r"python -m matrix bases 3\.9"):
        choice(engine, option, **more)
    assert not engine.pulled


def test_a_download_that_fails() -> None:
    engine = FakeEngine()
    with pytest.raises(BaseMissing, match=r"python:3\.9-slim could not be downloaded \(manifest unknown\); make one"):
        choice(engine)
    engine.fails = APIError("x", explanation="no such host, https://user:secret@mirror asked")
    with pytest.raises(BaseMissing, match=r"\(no such host, https://\*\*\*@mirror asked\); make one"):
        choice(engine)
    # An engine that went away says nothing about bases.
    engine.fails, engine.alive = NoConnection("gone"), False
    with pytest.raises(NoConnection):
        choice(engine)


def test_the_full_version_of_python() -> None:
    def version(variables: Mapping[str, str]) -> str:
        engine: Any = FakeEngine("own:3.9", variables=variables)
        return choose(engine, "3.9", "own:{python}", BasePins()).python

    assert version({"PYTHON_VERSION": "3.9.18"}) == "3.9.18"
    assert version({}) == "3.9.2"  # asked for it
    with pytest.raises(BaseMissing, match=r"own:3\.9 holds Python 3\.8\.1 where 3\.9 is needed"):
        version({"PYTHON_VERSION": "3.8.1"})


def test_values_of_the_option_base() -> None:
    for good in ("auto", "local", "registry", MIRROR):
        assert check_option(good) is None
    for bad in ("", "python:3.9-slim", "{pyton}", "{", "{0}{python}"):
        assert "{python} in it" in (check_option(bad) or "")


def test_every_base_that_is_there_is_found_best_first() -> None:
    engine: Any = FakeEngine("torch-tf-matrix/python:3.9", "python:3.9-slim")
    assert [base.origin for base in find(engine, "3.9", "auto", BasePins())] == ["registry", "local"]


# --- pins ------------------------------------------------------------------------------------------------------------


class FakeRegistry:
    def __init__(self, answers: Mapping[str, str | Exception]) -> None:
        self.images = self
        self._answers = answers

    def get_registry_data(self, name: str) -> Any:
        answer = self._answers[name]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(id=answer)


def test_pins_are_what_the_registry_says(tmp_path: Path) -> None:
    engine: Any = FakeRegistry({"mirror:5000/python:3.10-slim": ONE, "mirror:5000/python:3.9-slim": TWO})
    path = tmp_path / "docker" / "bases.yml"
    pins.write(pins.ask_registry(engine, MIRROR, ["3.10", "3.9"]), path)
    head, body = path.read_text().split("\n", 1)
    assert head.startswith("# Written by `python -m matrix bases --pin`")
    assert body == f"schema: 1\ntemplate: {MIRROR}\ndigests:\n  '3.9': {TWO}\n  '3.10': {ONE}\n"
    assert pins.read(path) == BasePins(template=MIRROR, digests={"3.9": TWO, "3.10": ONE})


def test_pins_of_some_pythons_leave_the_others() -> None:
    old = BasePins(digests={"3.8": ONE, "3.9": ONE})
    assert old.updated(BasePins(digests={"3.9": TWO})).digests == {"3.8": ONE, "3.9": TWO}
    assert old.updated(BasePins(template=MIRROR, digests={"3.9": TWO})).digests == {"3.9": TWO}


def test_a_registry_that_does_not_answer_pins_nothing() -> None:
    def ask(answer: Exception) -> None:
        engine: Any = FakeRegistry({"python:3.9-slim": answer})
        pins.ask_registry(engine, names.OFFICIAL, ["3.9"])

    for silent in (NoConnection("no route"), APIError("x", explanation="no route")):
        with pytest.raises(Indeterminate, match=r"no registry answers for python:3\.9-slim.*\(no route\)"):
            ask(silent)
    with pytest.raises(UsageError, match=r"the registry has no python:3\.9-slim"):
        ask(NotFound("manifest unknown"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1",
        "schema: 2",
        "template: {",
        "schema: 1\ndigests: {'3.9': sha256:12}",
        f"schema: 1\ndigests: {{3.9: {ONE}}}",
        f"schema: 1\ndigests: {{newest: {ONE}}}",
        f"schema: 1\ndigest: {{'3.9': {ONE}}}",
    ],
)
def test_a_damaged_file_of_pins_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bases.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bases\.yml.*--pin"):
        pins.read(path)


def test_no_file_pins_nothing(tmp_path: Path) -> None:
    assert pins.read(tmp_path / "none.yml") == BasePins()
