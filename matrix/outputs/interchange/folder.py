"""The folder of an export: read as untrusted, and written so that a mix of an old and a new one is never taken for
whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from matrix.core import files as durable
from matrix.core.errors import ConfigError, UsageError
from matrix.core.files import remove_tree
from matrix.outputs.interchange import forms
from matrix.outputs.interchange.documents import KIND, SCHEMA, BlameLine, LockDocument, ObservationLine, RunDocument
from matrix.store.runs import UID

MARKER_FILE = "history.json"
PARTS = ("runs", "locks", "comparisons", "blobs")
CELLS, OBSERVATIONS, RESOLUTIONS, BLAMES = "cells.jsonl", "observations.jsonl", "resolutions.jsonl", "blames.jsonl"
RUN_FILES = frozenset({"run.json", CELLS, OBSERVATIONS, RESOLUTIONS, BLAMES})

_LINE_CAP = 64 * 2**20
_PAGE_CAP = 256 * 2**20
_UNDERWAY = re.compile(r"\.export-[0-9a-f]{8}")

# Control characters, as JSON encodes them; an export writes only tab and line feed.
_STEERS = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|(?<!\\)(?:\\\\)*\\(?:[bfr]|u00(?:0[0-8bcefBCEF]|0[dD]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F]))"
)
_FROM_WORKERS = (ObservationLine, BlameLine, RunDocument)

_DIGEST = re.compile(r"[0-9a-f]{64}\.json")
_SHARD = re.compile(r"[0-9a-f]{2}\.jsonl")
_TWO = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")


_Shape = TypeVar("_Shape", bound=BaseModel)


def damaged(place: Path, what: str, line: int | None = None) -> ConfigError:
    """Return the error for a file that no export holds."""
    at = f"{place}:{line}" if line is not None else str(place)
    return ConfigError(f"{at}: {what}; nothing was imported: export again, or leave this folder out")


class Folder:
    """An export to read. All methods raise ConfigError, with file and line, for content that no export holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        marker = root / MARKER_FILE
        if not marker.is_file():
            raise ConfigError(f"{root} is not an export: it has no {MARKER_FILE}; name a folder that `export` wrote")
        try:
            read = from_json(self._read(MARKER_FILE))
        except ValueError as error:
            raise damaged(marker, str(error)) from error
        match read:
            case {"kind": str(kind), "schema": int(schema)} if kind == KIND and schema > SCHEMA:
                raise ConfigError(
                    f"{marker}: export of schema {schema}, this version reads {SCHEMA}; use a newer version of matrix"
                )
        if read != {"kind": KIND, "schema": SCHEMA}:
            raise damaged(marker, f"not a {KIND} of schema {SCHEMA}")

    def runs(self) -> list[str]:
        """Return the names of the runs, sorted."""
        found = self._names("runs", UID, folders=True)
        for uid in found:
            for name in self._names(f"runs/{uid}", None):
                if name not in RUN_FILES:
                    raise damaged(self.root / "runs" / uid / name, "no export has such a file")
        return found

    def run(self, uid: str) -> dict[str, Any]:
        """Return a run.json."""
        place = f"runs/{uid}/run.json"
        self._page(place, RunDocument)
        found: dict[str, Any] = from_json(self._read(place))
        if found["uid"] != uid:
            raise damaged(self.root / place, f"it belongs to run {found['uid']}")
        if len({part["uid"] for part in found["parts"]}) < len(found["parts"]):
            raise damaged(self.root / place, "two parts of the same name")
        return found

    def locks(self) -> list[str]:
        """Return the digests of the locks."""
        return [name.removesuffix(".json") for name in self._names("locks", _DIGEST)]

    def lock(self, digest: str) -> dict[str, Any]:
        place = f"locks/{digest}.json"
        read = self._page(place, LockDocument)
        if read.digest != digest:
            raise damaged(self.root / place, "it holds another lock")
        return read.model_dump()

    def comparisons(self) -> list[str]:
        """Return the places of the files of comparisons."""
        return [f"comparisons/{name}" for name in self._names("comparisons", _SHARD)]

    def blobs(self) -> Iterator[tuple[str, Path]]:
        """Yield names and files."""
        for two in self._names("blobs", _TWO, folders=True):
            for rest in self._names(f"blobs/{two}", _REST):
                yield two + rest, self.root / "blobs" / two / rest

    def lines(self, place: str, shape: type[_Shape]) -> Iterator[tuple[int, bytes, _Shape]]:
        """Yield number, bytes and validated form of every line; nothing if there is no such file."""
        path = self.root / place
        if not path.is_symlink() and not path.exists():
            return
        before = b""
        with open_plain(path) as stream:
            for number, line in enumerate(iter(partial(stream.readline, _LINE_CAP + 1), b""), 1):
                if len(line) > _LINE_CAP:
                    raise damaged(path, f"a line of more than {_LINE_CAP // 2**20} MB", number)
                if not line.endswith(b"\n"):
                    raise damaged(path, "the file ends in the middle of a line", number)
                line = line[:-1]
                if line <= before:
                    raise damaged(path, "the lines are not sorted", number)
                before = line
                yield number, line, _validated(shape, line, path, number)

    def _page(self, place: str, shape: type[_Shape]) -> _Shape:
        """Return the validated form of a file of one value."""
        return _validated(shape, self._read(place), self.root / place)

    def _read(self, place: str) -> bytes:
        with open_plain(self.root / place) as stream:
            data = stream.read(_PAGE_CAP + 1)
        if len(data) > _PAGE_CAP:
            raise damaged(self.root / place, f"more than {_PAGE_CAP // 2**20} MB")
        return data

    def _names(self, place: str, pattern: re.Pattern[str] | None, folders: bool = False) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""
        path = self.root / place
        try:
            status = path.lstat()
        except FileNotFoundError:
            return []
        if not stat.S_ISDIR(status.st_mode):
            raise damaged(path, "not a folder")
        found = []
        with os.scandir(path) as entries:
            for entry in entries:
                whole = pattern is None or pattern.fullmatch(entry.name)
                plain = entry.is_dir(follow_symlinks=False) if folders else entry.is_file(follow_symlinks=False)
                if not whole or not plain:
                    raise damaged(path / ascii(entry.name)[1:-1], "no export has such an entry")
                found.append(entry.name)
        return sorted(found)


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file: a link could lead anywhere, a pipe could block. Raises ConfigError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise damaged(path, f"cannot be read as a plain file ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise damaged(path, "not a plain file")
    return os.fdopen(descriptor, "rb")


class FolderWriter:
    """An export that is being written, beside the one that may be there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def page(self, place: str, value: Any) -> None:
        self._place(place).write_bytes(forms.page(value))

    def lines(self, place: str, lines: Iterable[bytes]) -> None:
        """Write a file of these lines, none if there are none."""
        rest = iter(lines)
        if (first := next(rest, None)) is not None:
            with self._place(place).open("wb") as stream:
                stream.writelines(line + b"\n" for line in chain([first], rest))

    def blob(self, name: str, source: Path) -> None:
        """Copy a file that is named by its content, unless it is gone."""
        if source.is_file():
            shutil.copyfile(source, self._place(f"blobs/{name[:2]}/{name[2:]}"))

    def _place(self, place: str) -> Path:
        path = self._root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@contextlib.contextmanager
def writing(target: Path) -> Iterator[FolderWriter]:
    """Write a new export in `target`. At the end of the block it replaces the files of an older one; others, such as a
    .git folder, stay. Killed before that, the old one is whole; killed in the middle, there is no history.json.

    Raises UsageError if `target` holds something other than an export.
    """
    _refuse_foreign(target)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target}: {error.strerror}; name a folder that can be written") from error
    for left in [path for path in target.iterdir() if _is_underway(path)]:
        remove_tree(left)
    new = target / f".export-{secrets.token_hex(4)}"
    new.mkdir()
    try:
        yield FolderWriter(new)
        # One flush for a hundred thousand small files.
        os.sync()
        (target / MARKER_FILE).unlink(missing_ok=True)
        for name in PARTS:
            if (target / name).is_dir() and not (target / name).is_symlink():
                remove_tree(target / name)
            else:
                (target / name).unlink(missing_ok=True)
            if (new / name).exists():
                (new / name).rename(target / name)
        durable.sync_folder(target)
        durable.write_bytes(target / MARKER_FILE, forms.page({"schema": SCHEMA, "kind": KIND}))
    finally:
        remove_tree(new)


def _refuse_foreign(target: Path) -> None:
    if not target.is_dir():
        if target.exists():
            raise UsageError(f"{target} is not a folder; name one to export to")
        return
    found = [*target.iterdir()]
    if not {path.name for path in found} - {".git"} or any(map(_is_underway, found)):
        return
    try:
        Folder(target)
    except ConfigError as error:
        raise UsageError(
            f"{target} is neither empty nor an export of this version; choose another folder, or empty it"
        ) from error


def _is_underway(path: Path) -> bool:
    """Whether a killed export left the folder. The name alone is not enough to remove a folder."""
    if _UNDERWAY.fullmatch(path.name) is None or path.is_symlink() or not path.is_dir():
        return False
    return {inner.name for inner in path.iterdir()} <= set(PARTS)


def _validated(shape: type[_Shape], data: bytes, path: Path, number: int | None = None) -> _Shape:
    """Return the form of a line or a page. Raises ConfigError."""
    if shape in _FROM_WORKERS and _STEERS.search(data):
        raise damaged(path, "it holds characters that would control a terminal", number)
    try:
        return shape.model_validate_json(data)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in item["loc"])
        raise damaged(path, f"{place}: {item['msg']}" if place else str(item["msg"]), number) from error
