"""A user's files for jobs: source, checkpoint, .onnx file with its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from fakes import Deed, FakeEngine, good
from test_run import World

from matrix.core.errors import ConfigError
from matrix.execution import user_files as module
from matrix.execution.graph import is_users
from matrix.execution.user_files import UserFiles
from matrix.judging.arrays import read_arrays
from matrix.store import Store
from matrix.store.blobs import FolderBlobs
from matrix.table.model import ModelInput, ModelSpec

X = ModelInput(name="x", shape=(1, 3))


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


@pytest.fixture
def materials(tmp_path: Path, blobs: FolderBlobs) -> UserFiles:
    return UserFiles(tmp_path, blobs)


def write(root: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def npz(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


def factory(text: str, **fields: Any) -> ModelSpec:
    return ModelSpec(id="mine", factory=text, inputs=(X,), **fields)


def file(**fields: Any) -> ModelSpec:
    return ModelSpec(id="mine", onnx="nets/net.onnx", **fields)


# --- a factory -------------------------------------------------------------------------------------------------------


def test_a_zoo_model_needs_nothing(materials: UserFiles) -> None:
    assert materials.of_factory(factory("converter.zoo.gestures:build")) == {}


def test_a_source_folder_is_given_without_what_is_no_source(
    tmp_path: Path, materials: UserFiles, blobs: FolderBlobs
) -> None:
    write(
        tmp_path / "code", "models.py", "net/layers.py", "net/data/table.csv", ".git/config", ".env", "net/.hidden.py",
        "__pycache__/models.pyc", "net/__pycache__/layers.cpython-311.pyc", "old.pyc", "node_modules/x.js",
        "venv/pyvenv.cfg", "venv/lib/torch.py",
    )  # fmt: skip
    write(tmp_path / "code", "models.py", content=b"def build(): ...\n")
    given = materials.of_factory(factory("models:build", source="code"))
    assert sorted(given) == ["source/models.py", "source/net/data/table.csv", "source/net/layers.py"]
    assert blobs.read(given["source/models.py"]) == b"def build(): ...\n"


@pytest.mark.parametrize(("limit", "value"), [("_MOST_FILES", 2), ("_MOST_BYTES", 2)])
def test_a_source_folder_that_is_too_large(
    tmp_path: Path, materials: UserFiles, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    write(tmp_path / "code", "a.py", "b.py")
    assert len(materials.of_factory(factory("a:build", source="code"))) == 2
    write(tmp_path / "code", "c.py")
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(ConfigError, match=r"'mine'.*holds more than"):
        UserFiles(tmp_path, materials._blobs).of_factory(factory("a:build", source="code"))


@pytest.mark.parametrize("source", ["gone", "empty", "a.py"])
def test_a_source_folder_without_files(tmp_path: Path, materials: UserFiles, source: str) -> None:
    write(tmp_path, "a.py")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="is not a folder with files in it"):
        materials.of_factory(factory("a:build", source=source))


PLACES: dict[str, tuple[str, str | None, list[str], str]] = {
    "a file alone": ("nets/mine.py", None, ["source/mine.py"], "mine.py:build"),
    "inside its source": ("code/nets/mine.py", "code", ["source/lib.py", "source/nets/mine.py"], "nets/mine.py:build"),
    "outside its source": (
        "nets/mine.py",
        "code",
        ["source/lib.py", "source/mine.py", "source/nets/mine.py"],
        "mine.py:build",
    ),
    "a module": ("nets.mine", "code", ["source/lib.py", "source/nets/mine.py"], "nets.mine:build"),
}


@pytest.mark.parametrize(("place", "source", "given", "name"), PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("absolute", ["neither", "factory", "source"])
@pytest.mark.parametrize("at", [".", "/"], ids=["in the table's folder", "elsewhere"])
def test_where_a_factory_lies(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    source: str | None,
    given: list[str],
    name: str,
    absolute: str,
    at: str,
) -> None:
    """Paths are relative to the table, not to the working directory."""
    write(tmp_path, "code/nets/mine.py", "code/lib.py", "nets/mine.py")
    if absolute == "factory" and place.endswith(".py"):
        place = str(tmp_path / place)
    if absolute == "source" and source is not None:
        source = str(tmp_path / source)
    text = small.changed(
        'id: net\n    factory: "converter.zoo.gestures:build"',
        f"id: net\n    factory: {place}:build" + (f"\n    source: {source}" if source else ""),
    )
    table = small.config(tmp_path, text)
    monkeypatch.chdir(tmp_path / at)
    store = Store("sqlite://", tmp_path / "blobs")
    world = World(tmp_path, table, small.locks(table), store, FakeEngine(tmp_path))
    told: list[str] = []

    def script(work: str, spec: Mapping[str, Any]) -> Deed:
        if work == "export":
            told.append(spec["params"]["factory"])
            seen = [path for path in world.engine.seen[-1][2] if path.endswith(".py")]
            assert seen == given
        return good(work, spec)

    world.engine.script = script
    world.run(world.plan("known", "opset=9"))
    store.close()
    assert told == [name]


def test_a_checkpoint_is_given_unread(tmp_path: Path, materials: UserFiles, blobs: FolderBlobs) -> None:
    write(tmp_path, "net.pt", content=b"\x80 no pickle at all")
    given = materials.of_factory(factory("converter.zoo.gestures:build", checkpoint="net.pt"))
    assert {name: blobs.read(blob) for name, blob in given.items()} == {"checkpoint": b"\x80 no pickle at all"}


@pytest.mark.parametrize(
    "model", [factory("gone.py:build"), factory("models:build", checkpoint="gone.pt"), factory("nets.py:build")]
)
def test_what_is_not_there(tmp_path: Path, materials: UserFiles, model: ModelSpec) -> None:
    (tmp_path / "nets.py").mkdir()
    with pytest.raises(ConfigError, match=r"model 'mine': its .* cannot be read: (No such file|Is a directory)"):
        materials.of_factory(model)


@pytest.mark.parametrize("fields", [{"checkpoint": "net.pt"}, {"source": "code"}])
def test_a_zoo_model_with_files_of_the_users_is_the_users(fields: dict[str, str]) -> None:
    """Its worker is not shared with other models, and its files are copies, not links to ours."""
    assert not is_users(factory("converter.zoo.gestures:build"))
    assert is_users(factory("converter.zoo.gestures:build", **fields))


# --- an .onnx file ---------------------------------------------------------------------------------------------------


def test_a_file_and_its_reference(tmp_path: Path, materials: UserFiles, blobs: FolderBlobs) -> None:
    write(tmp_path, "nets/net.onnx", content=b"model")
    npz(tmp_path / "in.npz", x=np.ones(3))
    npz(tmp_path / "out.npz", y=np.arange(2.0))
    given = materials.onnx(file(inputs_file="in.npz", reference="out.npz"))
    assert sorted(given) == ["given.npz", "model.onnx"]
    assert blobs.read(given["model.onnx"]) == b"model"
    found = read_arrays(blobs.local(given["given.npz"]))
    assert list(found) == ["0/y"] and found["0/y"].tolist() == [0.0, 1.0]


def test_external_data_of_its_own_folder(tmp_path: Path, materials: UserFiles, blobs: FolderBlobs) -> None:
    write(tmp_path / "nets", "net.onnx", "net.data", "more/w.bin")
    given = materials.beside(file(), ["net.data", "more/w.bin"])
    assert sorted(given) == ["beside/more/w.bin", "beside/net.data"]
    assert blobs.read(given["beside/net.data"]) == b"x"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "{root}/nets/net.data",
        "../secret",
        "../nets/../secret",
        "out",
        "folder/secret",
        # They come back into the folder, but on the way through a job's own folder they lead out of that.
        "../nets/net.data",
        "more/../net.data",
        "{up}{root}/nets/net.data",
    ],
)
def test_external_data_elsewhere(tmp_path: Path, materials: UserFiles, name: str) -> None:
    write(tmp_path, "nets/net.onnx", "nets/net.data", "nets/more/w.bin", "secret", "outside/secret")
    (tmp_path / "nets" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "nets" / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigError, match="names external data outside its folder"):
        materials.beside(file(), [name.format(root=tmp_path, up="../" * 30)])


@pytest.mark.parametrize("name", ["gone.bin", "", "more", "nul\0"])
def test_external_data_that_is_none(tmp_path: Path, materials: UserFiles, name: str) -> None:
    write(tmp_path, "nets/net.onnx", "nets/more/w.bin")
    with pytest.raises(ConfigError, match="model 'mine'"):
        materials.beside(file(), [name])
