"""A user's files for jobs, read once and stored by content: inputs, source files, checkpoint, .onnx file.

Only arrays, which are plain numbers, are parsed here; files that may run code or crash a reader are opened inside an
environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from matrix.core.errors import ConfigError, Indeterminate
from matrix.core.files import is_full
from matrix.core.text import redact
from matrix.execution.drawn_inputs import make_inputs, of_first_size, pack
from matrix.execution.model_inputs import check_arrays, completed_inputs, refuse_beyond_limit
from matrix.judging.arrays import UnreadableArrays, read_cases
from matrix.store.blobs import BlobStore
from matrix.table.ids import ArrayKey
from matrix.table.model import ModelSpec, Packaged

# The subfolder of a job's folder from which a factory's modules are imported.
SOURCE = "source"
CHECKPOINT = "checkpoint"
GIVEN = "given.npz"

_MOST_FILES = 5000
_MOST_BYTES = 2**30

# Folders that tools make: large, and never imported by a model.
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})


def no_packages(package: Packaged) -> Path:
    """Refuse to fetch the file of a package. Raises Indeterminate."""
    raise Indeterminate(f"{package.name} {package.version}: nothing is fetched here")


class UserFiles:
    """The files of models, whose paths are relative to `folder`. `fetch` returns the file of a package."""

    def __init__(self, folder: Path, blobs: BlobStore, fetch: Callable[[Packaged], Path] = no_packages) -> None:
        self._folder = folder
        self._fetch = fetch
        self._blobs = blobs
        self._inputs: dict[str, str] = {}
        self._first_size: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self._files: dict[str, dict[str, str]] = {}

    def inputs(
        self, model: ModelSpec, stated: Iterable[Mapping[str, Any]] = (), chosen: Iterable[Mapping[str, Any]] = ()
    ) -> str:
        """Return the blob of a model's inputs. `stated` are those that its .onnx file declares: name, shape, dtype;
        `chosen` those that were chosen for it. Raises ConfigError where they do not fit, cannot be drawn or cannot be
        read."""
        if model.id not in self._inputs:
            if model.inputs_file is not None:
                arrays = self._arrays(model, "inputs_file", model.inputs_file)
                check_arrays(model, arrays, stated)
                content = pack(arrays)
            else:
                completed = tuple(completed_inputs(model, stated, chosen))
                refuse_beyond_limit(model, completed)
                content = make_inputs(completed, model.seed, model.is_file)
            self._inputs[model.id] = self._blobs.put(content)
        return self._inputs[model.id]

    def of_first_size(self, model: ModelSpec) -> str:
        """Return the blob of the cases at the beginning of a model's inputs that have the shapes of the first."""
        whole = self.inputs(model)
        if whole not in self._first_size:
            self._first_size[whole] = self._blobs.put(pack(of_first_size(read_cases(self._blobs.local(whole)))))
        return self._first_size[whole]

    def names(self, model: ModelSpec) -> list[str]:
        """Return the names of the inputs in the order of forward(): as stated, or as in the file of inputs. Raises
        ConfigError where that cannot be read."""
        if model.inputs or model.inputs_file is None:
            return [item.name for item in model.inputs]
        if model.id not in self._names:
            keys = map(ArrayKey.parse, self._arrays(model, "inputs_file", model.inputs_file))
            self._names[model.id] = list(dict.fromkeys(key.name for key in keys))
        return self._names[model.id]

    def of_factory(self, model: ModelSpec) -> dict[str, str]:
        """Return {file in the job's folder: blob} of the files that a factory needs; empty for a model of the zoo.
        Raises ConfigError where one cannot be read or they are too large."""
        if model.id not in self._files:
            files: dict[str, str] = {}
            model = self.placed(model)
            if model.source is not None:
                files |= self._tree(model, self._folder / model.source)
            if (file := _factory(model)[0]).endswith(".py") and _below_source(model) is None:
                files[f"{SOURCE}/{factory_place(model)}"] = self._put(model, "factory", Path(file))
            if model.checkpoint is not None:
                files[CHECKPOINT] = self._put(model, "checkpoint", self._folder / model.checkpoint)
            self._files[model.id] = files
        return self._files[model.id]

    def placed(self, model: ModelSpec) -> ModelSpec:
        """Return the model with absolute paths of its code, so that it shows whether one contains the other."""
        place, function = _factory(model)
        where = str(self._folder / place) if place.endswith(".py") else place
        source = str(self._folder / model.source) if model.source is not None else None
        return model.model_copy(update={"factory": f"{where}:{function}", "source": source})

    def onnx(self, model: ModelSpec) -> dict[str, str]:
        """Return {file in the job's folder: blob} of an .onnx model: the file, and reference outputs where given.
        Raises ConfigError where one cannot be read, and Indeterminate where the index does not answer."""
        if model.id not in self._files:
            files = {"model.onnx": self._put(model, "onnx", self._file(model))}
            if model.reference is not None:
                files[GIVEN] = self._blobs.put(pack(self._arrays(model, "reference", model.reference)))
            self._files[model.id] = files
        return self._files[model.id]

    def beside(self, model: ModelSpec, names: Iterable[str]) -> dict[str, str]:
        """Return {file in the job's folder: blob} of the external data that an .onnx file names. The names are
        untrusted. Raises ConfigError for one outside the file's folder, or that cannot be read."""
        file = self._file(model)
        folder = file.resolve().parent
        files = {}
        for name in names:
            place, path = PurePosixPath(name), folder / name
            # A path with ".." could lead out of a job's folder even if it leads back into this one.
            outside = "\0" in name or place.is_absolute() or ".." in place.parts
            if outside or not path.resolve().is_relative_to(folder):
                raise ConfigError(f"{_said(model, 'onnx', file)} names external data outside its folder: {name}")
            files[f"beside/{name}"] = self._put(model, "external data", path)
        return files

    def _file(self, model: ModelSpec) -> Path:
        return self._fetch(model.package) if model.package is not None else self._folder / str(model.onnx)

    def _put(self, model: ModelSpec, what: str, path: Path) -> str:
        try:
            return self._blobs.put_file(path)
        except OSError as error:
            if is_full(error):
                raise
            raise ConfigError(f"{_said(model, what, path)} cannot be read: {error.strerror}") from error

    def _arrays(self, model: ModelSpec, what: str, place: str) -> dict[str, Any]:
        path = self._folder / place
        try:
            return read_cases(path)
        except UnreadableArrays as error:
            raise ConfigError(f"{_said(model, what, path)} is not an .npz file of plain arrays ({error})") from error
        except OSError as error:
            raise ConfigError(f"{_said(model, what, path)} cannot be read: {error.strerror}") from error

    def _tree(self, model: ModelSpec, folder: Path) -> dict[str, str]:
        files: dict[str, str] = {}
        size = 0
        for path in _walk(folder):
            size += path.stat().st_size
            if len(files) == _MOST_FILES or size > _MOST_BYTES:
                raise ConfigError(
                    f"{_said(model, 'source', folder)} holds more than {_MOST_FILES} files or {_MOST_BYTES // 2**30} "
                    "GiB; name a folder with only the model's code"
                )
            files[f"{SOURCE}/{path.relative_to(folder).as_posix()}"] = self._put(model, "source", path)
        if not files:
            raise ConfigError(f"{_said(model, 'source', folder)} is not a folder with files in it")
        return files


def factory_name(model: ModelSpec) -> str:
    """Return the factory as a job names it: a file relative to the job's source folder, or a module."""
    place, function = _factory(model)
    return f"{factory_place(model)}:{function}" if place.endswith(".py") else str(model.factory)


def factory_place(model: ModelSpec) -> str:
    """Return the path of a factory's file in the source folder: as in the user's source folder, or at the top."""
    return _below_source(model) or Path(_factory(model)[0]).name


def _factory(model: ModelSpec) -> tuple[str, str]:
    """Split a factory into its file or module, and its function."""
    place, _, function = str(model.factory).rpartition(":")
    return place, function


def _below_source(model: ModelSpec) -> str | None:
    """Return the path of a factory's file relative to the user's source folder; None where it is not in it."""
    if model.source is None:
        return None
    # Both relative to the same folder; resolved, because one may be absolute or go through a link.
    path, source = Path(_factory(model)[0]).resolve(), Path(model.source).resolve()
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else None


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the plain files below a folder, sorted, without hidden ones, caches and virtual environments."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _LEFT_OUT and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(".pyc") and (here / name).is_file():
                yield here / name


def _said(model: ModelSpec, what: str, path: str | Path) -> str:
    return f"model {model.id!r}: its {what}, {redact(str(path))},"
