"""The .pyc files of an environment, kept for its next build."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.environments.bytecode import BytecodeCache


def made(folder: Path, *names: str, content: bytes = b"code") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_compiled_files_and_nothing_else_are_restored(tmp_path: Path) -> None:
    cache = BytecodeCache(lambda: tmp_path / "cache")
    compiled = {"pkg/__pycache__/a.cpython-39.pyc", "pkg/sub/__pycache__/b.cpython-39.pyc"}
    cache.keep("one", made(tmp_path / "old", *compiled, "pkg/a.py", "pkg/data.pyc", "pkg/__pycache__/note.txt"))
    new = made(tmp_path / "new", "pkg/a.py")
    cache.restore("one", new)
    assert files(new) == compiled | {"pkg/a.py"}
    cache.restore("another", made(tmp_path / "other", "x.py"))
    assert files(tmp_path / "other") == {"x.py"}


def test_what_python_writes_anew_does_not_reach_the_cache(tmp_path: Path) -> None:
    cache = BytecodeCache(lambda: tmp_path / "cache")
    name = "__pycache__/a.cpython-39.pyc"
    cache.keep("one", made(tmp_path / "old", name))
    cache.restore("one", tmp_path / "new")
    # As importlib does it: into a new file, which then takes the name.
    made(tmp_path / "new", "scratch", content=b"other").joinpath("scratch").rename(tmp_path / "new" / name)
    cache.restore("one", tmp_path / "third")
    assert (tmp_path / "third" / name).read_bytes() == b"code"


def test_a_second_time_replaces_the_first_and_nothing_replaces_nothing(tmp_path: Path) -> None:
    cache = BytecodeCache(lambda: tmp_path / "cache")
    cache.keep("one", made(tmp_path / "old", "__pycache__/a.pyc"))
    cache.keep("one", made(tmp_path / "newer", "__pycache__/b.pyc"))
    assert files(tmp_path / "cache") == {"one/__pycache__/b.pyc"}
    cache.keep("one", tmp_path / "gone")
    assert files(tmp_path / "cache") == {"one/__pycache__/b.pyc"}


def test_a_cache_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    def unknown() -> Path:
        raise FileNotFoundError("no uv")

    for cache in (BytecodeCache(unknown), BytecodeCache(lambda: Path("/dev/null"))):
        cache.keep("one", made(tmp_path / "old", "__pycache__/a.pyc"))
        cache.restore("one", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("taken", ["pkg", "pkg/__pycache__"])
def test_a_file_in_the_way_costs_only_itself(tmp_path: Path, taken: str) -> None:
    cache = BytecodeCache(lambda: tmp_path / "cache")
    cache.keep("one", made(tmp_path / "old", "pkg/__pycache__/a.pyc", "other/__pycache__/b.pyc"))
    cache.restore("one", made(tmp_path / "new", taken))
    assert files(tmp_path / "new") == {taken, "other/__pycache__/b.pyc"}
