"""A request resolved into a lock, with the resolver's answers given."""

from __future__ import annotations

import datetime as dt
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import small
from packaging.version import Version

from matrix.core.errors import ConfigError, Indeterminate
from matrix.environments.locks import live
from matrix.environments.locks.request import Request, all_requests
from matrix.environments.locks.resolve import resolve
from matrix.packages import interpreters, uv
from matrix.packages.index import IndexSettings, UploadDates
from matrix.packages.lock import Lock

SETTINGS = IndexSettings("https://index/simple", find_links=("/wheels",))
BODY = "onnx==1.10 \\\n    --hash=sha256:00\n"
REFUSAL = "warning: hm\n  × No solution found when resolving dependencies:\n  ╰─▶ Because tensorflow has no wheels  "

UPLOADS = {
    "onnx-tf": {"1.10.0": "2022-03-17", "1.3.0": "2019-03-01"},
    "onnx": {"1.10": "2021-07-31", "1.5.0": "2019-04-25"},
    "tensorflow": {"2.8.0": "2022-02-02", "1.13.1": "2019-02-26"},
    "tensorflow-cpu": {"2.8.0": "2022-02-02"},
    "tensorflow-addons": {"0.16.1": "2022-01-27"},
}


class Resolver:
    """In the place of uv: `answer` says what it finds, by Python version and by what is asked of it."""

    def __init__(self, answer: Callable[[str, str], uv.UvResult]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, list[str], IndexSettings]] = []
        self.overrides: list[str] = []

    def __call__(
        self, arguments: Sequence[str], settings: IndexSettings, stdin: str | None = None, fresh: int | None = None
    ) -> uv.UvResult:
        python = arguments[arguments.index("--python-version") + 1]
        if "--overrides" in arguments:
            self.overrides.append(Path(arguments[arguments.index("--overrides") + 1]).read_text())
        self.asked.append((python, stdin or "", list(arguments), settings))
        return self.answer(python, stdin or "")


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[[str], Request]:
    requests = {request.name: request for request in all_requests(small.config(tmp_path))}
    return requests.__getitem__


def solved(monkeypatch: pytest.MonkeyPatch, request: Request, resolver: Resolver) -> Lock:
    monkeypatch.setattr(uv, "call", resolver)
    monkeypatch.setattr(interpreters, "installed", dict)
    known = {
        name: {Version(v): dt.date.fromisoformat(day) for v, day in found.items()} for name, found in UPLOADS.items()
    }
    dates = UploadDates(SETTINGS)
    monkeypatch.setattr(dates, "of", lambda package: known.get(package, {}))
    return resolve(request, SETTINGS, dates)


def yes(python: str, wanted: str) -> uv.UvResult:
    return uv.UvResult(True, BODY, BODY)


def no(python: str, wanted: str) -> uv.UvResult:
    return uv.UvResult(False, "", REFUSAL)


Asked = Callable[[str], Request]


def test_the_date_is_the_newest_pins_plus_the_margin(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    resolver = Resolver(yes)
    lock = solved(monkeypatch, request_of("new"), resolver)
    assert (lock.newest_pin, lock.as_of) == (dt.date(2022, 3, 17), dt.date(2022, 3, 31))
    arguments = resolver.asked[0][2]
    assert arguments[arguments.index("--exclude-newer") + 1] == "2022-03-31T00:00:00Z"
    assert (lock.python, lock.outcome, lock.body, lock.request) == ("3.9", "resolved", BODY, request_of("new").digest)


def test_a_date_to_come_is_today(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    today = dt.datetime.now(dt.UTC).date()
    monkeypatch.setitem(UPLOADS["onnx"], "1.10", today.isoformat())
    assert today <= solved(monkeypatch, request_of("new"), Resolver(yes)).as_of < today + dt.timedelta(days=2)


def test_what_the_row_states_is_taken(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    lock = solved(monkeypatch, request_of("old"), Resolver(yes))
    assert (lock.python, lock.as_of, lock.newest_pin) == ("3.8", dt.date(2019, 8, 20), None)


def test_the_newest_python_with_a_solution(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    resolver = Resolver(lambda python, wanted: no(python, wanted) if python == "3.9" else yes(python, wanted))
    assert solved(monkeypatch, request_of("new"), resolver).python == "3.8"
    assert resolver.asked[-1][0] == "3.8"


def test_tensorflow_cpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    resolver = Resolver(yes)
    solved(monkeypatch, request_of("new"), resolver)
    assert "tensorflow-cpu==2.8.0" in resolver.asked[0][1] and "tensorflow==" not in resolver.asked[0][1]
    # A name with the same beginning is another package.
    assert "tensorflow-addons==0.16.1" in resolver.asked[0][1]
    assert resolver.overrides == ["tensorflow ; sys_platform == 'never'\n"]
    older = Resolver(yes)
    solved(monkeypatch, request_of("old"), older)
    assert "tensorflow==1.13.1" in older.asked[0][1] and older.overrides == []


def test_tensorflow_itself_where_the_cpu_build_has_no_solution(
    monkeypatch: pytest.MonkeyPatch, request_of: Asked
) -> None:
    resolver = Resolver(lambda python, wanted: (no if "tensorflow-cpu" in wanted else yes)(python, wanted))
    assert solved(monkeypatch, request_of("new"), resolver).outcome == "resolved"
    assert [("tensorflow==2.8.0" in wanted) for _, wanted, _, _ in resolver.asked] == [False, True]


def test_no_solution_is_a_finding_in_the_resolvers_words(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    lock = solved(monkeypatch, request_of("new"), Resolver(no))
    assert (lock.outcome, lock.body) == ("unsatisfiable", "")
    assert lock.explanation == (
        "Python 3.9, 3.8:\n  × No solution found when resolving dependencies:\n  ╰─▶ Because tensorflow has no wheels"
    )


SAYS_NOTHING = [
    "error: Failed to fetch: `https://index/x/`\n  Caused by: dns error",
    # Reads like a refusal of the row, but is none.
    "  × Failed to build `onnx-tf==1.10.0`\n  ╰─▶ No space left on device (os error 28)",
    "something nobody has described yet",
]


@pytest.mark.parametrize("said", SAYS_NOTHING)
def test_what_says_nothing_about_the_row_makes_no_lock(
    monkeypatch: pytest.MonkeyPatch, request_of: Asked, said: str
) -> None:
    resolver = Resolver(lambda python, wanted: uv.UvResult(False, "", said))
    with pytest.raises(Indeterminate, match="new"):
        solved(monkeypatch, request_of("new"), resolver)


def test_a_pin_that_is_not_on_the_index(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    for dated in (None, dt.date(2024, 1, 1)):
        wrong = replace(request_of("new"), pinned=(("onnx", "9.9"),), as_of=dated)
        with pytest.raises(ConfigError, match=r"new: impossible pin: the index has onnx, but no version 9\.9"):
            solved(monkeypatch, wrong, Resolver(yes))


def test_all_that_determines_a_lock_is_passed_to_uv(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    resolver = Resolver(yes)
    solved(monkeypatch, request_of("old"), resolver)
    _, _, arguments, settings = resolver.asked[0]
    assert {"--generate-hashes", "--no-python-downloads", "--only-binary"} <= set(arguments)
    assert settings.find_links == ("/wheels",)
    lock = solved(monkeypatch, replace(request_of("old"), find_links=False), resolver)
    assert resolver.asked[-1][3].find_links == () and not lock.find_links


# --- ranges that hold where needed, several at once, pages that are fresh enough --------------------------------------


def test_ranges_that_hold_where_needed_are_constraints(
    monkeypatch: pytest.MonkeyPatch, request_of: Asked, tmp_path: Path
) -> None:
    """Of what is put in another's place they hold for that."""
    given: list[str] = []

    def call(arguments: Sequence[str], *_: object, **__: object) -> uv.UvResult:
        if "--constraints" in arguments:
            given.append(Path(arguments[arguments.index("--constraints") + 1]).read_text())
        return uv.UvResult(True, BODY, BODY)

    request = request_of("new")
    bounded = replace(request, constraints=("protobuf<4", "tensorflow<2.9"))
    solved(monkeypatch, request, call)  # type: ignore[arg-type]
    assert given == []
    lock = solved(monkeypatch, bounded, call)  # type: ignore[arg-type]
    assert given == ["protobuf<4\ntensorflow-cpu<2.9\n"]
    # They are a part of what was asked, and none are what nobody asked before there were any.
    assert lock.request == bounded.digest != request.digest


def test_several_are_resolved_in_their_order_and_one_takes_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch, request_of: Asked
) -> None:
    asked: list[tuple[str, int | None]] = []

    def one(request: Request, settings: IndexSettings, dates: UploadDates, fresh: int | None = None) -> Lock:
        asked.append((request.name, fresh))
        if request.name == "old":
            raise Indeterminate("the index does not answer")
        return small.lock(request.name, request.role)

    monkeypatch.setattr(live, "resolve", one)
    requests = [request_of(name) for name in ("new", "old", "torch-1.2.0")]
    first, second, third = live.LiveResolver(SETTINGS, fresh=7).answers(requests)
    assert isinstance(first, Lock) and isinstance(third, Lock) and (first.name, third.name) == ("new", "torch-1.2.0")
    assert isinstance(second, Indeterminate)
    assert sorted(asked) == [("new", 7), ("old", 7), ("torch-1.2.0", 7)]
    with pytest.raises(Indeterminate, match="does not answer"):
        live.LiveResolver(SETTINGS).resolve(requests)
    assert [lock.name for lock in live.LiveResolver(SETTINGS).resolve(requests[::2])] == ["new", "torch-1.2.0"]
    assert live.LiveResolver(SETTINGS).resolve([]) == []


def test_a_fault_of_ours_is_no_answer(monkeypatch: pytest.MonkeyPatch, request_of: Asked) -> None:
    def one(*_: object, **__: object) -> Lock:
        raise ZeroDivisionError

    monkeypatch.setattr(live, "resolve", one)
    with pytest.raises(ZeroDivisionError):
        live.LiveResolver(SETTINGS).answers([request_of("new")])


def test_the_age_limit_of_pages_is_set_for_every_index(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[list[str], dict[str, str], dict[str, object]]] = []

    def run(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        said = {}
        if "--config-file" in command:
            path = Path(command[command.index("--config-file") + 1])
            assert path.stat().st_mode & 0o077 == 0
            said = tomllib.loads(path.read_text())
        calls.append((command, env, said))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(uv, "binary", lambda: "uv")
    settings = IndexSettings('https://u:p"w@index/simple', extra=("named=https://extra/simple",))
    uv.call(["pip"], settings, fresh=600)
    uv.call(["pip"], settings)
    (command, env, said), (plain, usual, nothing) = calls
    assert said["index"] == [
        {"name": "named", "url": "https://extra/simple", "default": False, "cache-control": cached(600)},
        {"url": 'https://u:p"w@index/simple', "default": True, "cache-control": cached(600)},
    ]
    assert "--no-config" not in command and not {"UV_DEFAULT_INDEX", "UV_INDEX"} & env.keys()
    assert "--no-config" in plain and nothing == {} and usual["UV_DEFAULT_INDEX"] == settings.index
    assert not any('p"w' in word for word in command), "an address may hold credentials"


def cached(seconds: int) -> dict[str, str]:
    """A file of a release does not change, the page of a package does."""
    return {"api": f"max-age={seconds}", "files": "max-age=31536000"}
