"""A user's model before export: factory, checkpoint, and the user's line in errors. torch is a fake."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converter import checkpoint, users
from converter.doubtful import disguise
from converter.dynamic import dynamic_axes, dynamic_shapes
from converter.failure import describe
from converter.finite import NothingFinite, check_finite
from converter.zipped import Unreadable, is_zipped, read_zipped

MODELS = """
class Net:
    def __init__(self, width=1):
        self.width = width

def fails(): raise RuntimeError("deep")
def number(): return 3
ready = 5
"""


class Module:
    """The part of torch.nn.Module that loading weights uses."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.own: dict[str, Any] = {name: np.zeros(shape, "float32") for name, shape in shapes.items()}
        self.loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return self.own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if {k: np.shape(v) for k, v in state.items()} != {k: np.shape(v) for k, v in self.own.items()}:
            raise RuntimeError("Error(s) in loading state_dict")
        self.loaded = state


def torch(version: str = "1.2.0", load: Callable[..., Any] | None = None) -> Any:
    return SimpleNamespace(
        __version__=version,
        nn=SimpleNamespace(Module=Module),
        Tensor=np.ndarray,
        from_numpy=lambda array: array,
        load=load,
    )


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Path]:
    """A job with the user's files in source/; imports are undone afterwards."""
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "models.py").write_text(MODELS)
    (tmp_path / "source" / "deep" / "beside.py").write_text("VALUE = 7\n")
    (tmp_path / "source" / "deep" / "inner.py").write_text("import beside, models\ndef make(): return beside.VALUE\n")
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def blamed(call: Callable[[], Any], inbox: Path) -> dict[str, Any]:
    try:
        call()
    except Exception as problem:
        return describe(problem, str(inbox))
    raise AssertionError("nothing was raised")


# --- factories


def test_a_factory_is_found_in_a_file_and_in_a_module(inbox: Path) -> None:
    assert users.factory("models.py:Net", str(inbox))(width=3).width == 3
    assert users.factory("models:number", str(inbox))() == 3
    assert users.factory("deep/inner.py:make", str(inbox))() == 7, "imports what lies beside it and at the top"


def test_a_file_in_a_package_imports_relatively(inbox: Path) -> None:
    package = inbox / "source" / "net"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text("WIDTH = 9\n")
    (package / "models.py").write_text("from .layers import WIDTH\ndef make(): return WIDTH\n")
    assert users.factory("net/models.py:make", str(inbox))() == 9


def test_a_file_named_like_a_loaded_module_is_loaded(inbox: Path) -> None:
    (inbox / "source" / "json.py").write_text("def make(): return 'mine'\n")
    import json

    assert users.factory("json.py:make", str(inbox))() == "mine"
    assert sys.modules["json"] is json


def test_without_a_source_folder_a_file_lies_in_the_jobs_folder(tmp_path: Path) -> None:
    before = list(sys.path)
    (tmp_path / "alone.py").write_text("def make(): return 4\n")
    assert users.factory("alone.py:make", str(tmp_path))() == 4
    sys.path[:] = before


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("models.py:Nett", "models.py has no 'Nett'; it has Net, fails, number"),
        ("model.py:Net", "no file model.py; it has models.py"),
        ("modelz.net:Net", "there is no module 'modelz.net'"),
    ],
)
def test_a_factory_that_is_not_there(inbox: Path, reference: str, words: str) -> None:
    with pytest.raises(users.FactoryNotFound, match=words):
        users.factory(reference, str(inbox))


def test_a_missing_import_in_a_users_module_passes_through(inbox: Path) -> None:
    (inbox / "source" / "needy.py").write_text("\nimport a_package_nobody_has\n")
    error = blamed(lambda: users.factory("needy:Net", str(inbox)), inbox)
    assert error["type"] == "builtins.ModuleNotFoundError"
    assert (error["user"]["file"], error["user"]["line"]) == ("needy.py", 2)
    assert error["user"]["code"] == "import a_package_nobody_has"


def test_what_a_factory_may_make(inbox: Path) -> None:
    ready = Module()
    assert users.network(ready, {}, torch()) is ready
    assert users.network(lambda: ready, {}, torch()) is ready
    with pytest.raises(users.FactoryNotFound, match="is a int"):
        users.network(5, {}, torch())
    number = users.factory("models.py:number", str(inbox))
    error = blamed(lambda: users.network(number, {}, torch()), inbox)
    assert error["type"] == "converter.users.NotAModule"
    assert error["message"] == "the factory returned a int, a torch.nn.Module was expected"
    assert error["user"] == {
        "file": "models.py",
        "line": 7,
        "function": "number",
        "code": "def number(): return 3",
    }


def test_arguments_are_checked_before_the_factory_runs(inbox: Path) -> None:
    net = users.factory("models.py:Net", str(inbox))
    error = blamed(lambda: users.network(net, {"height": 2}, torch()), inbox)
    assert error["type"] == "converter.users.ArgumentsDoNotFit"
    assert "(width=1)" in error["message"]
    assert error["user"]["line"] == 2


def test_outputs_are_flattened_as_exporters_do() -> None:
    one, two, three = np.zeros(1), np.zeros(2), np.zeros(3)
    found = users.tensors((one, {"b": [two, None], "a": three}), torch(), None)
    assert [array.shape for array in found] == [(1,), (2,), (3,)]
    with pytest.raises(users.NotATensor, match="returns a str"):
        users.tensors([one, "text"], torch(), None)


# --- the user's line


def test_the_innermost_line_of_the_user_is_named(inbox: Path) -> None:
    error = blamed(users.factory("models.py:fails", str(inbox)), inbox)
    assert error["user"] == {
        "file": "models.py",
        "line": 6,
        "function": "fails",
        "code": 'def fails(): raise RuntimeError("deep")',
    }


def test_a_cause_in_the_users_code_counts_if_the_error_has_none(inbox: Path) -> None:
    fails = users.factory("models.py:fails", str(inbox))

    def wrapped() -> None:
        try:
            fails()
        except RuntimeError as problem:
            raise ValueError("translated") from problem

    assert blamed(wrapped, inbox)["user"]["line"] == 6


def test_a_syntax_error_has_its_own_place(inbox: Path) -> None:
    (inbox / "source" / "broken.py").write_text("x = 1\ndef f(:\n    pass\n")
    error = blamed(lambda: users.factory("broken.py:f", str(inbox)), inbox)
    assert (error["user"]["file"], error["user"]["line"], error["user"]["code"]) == ("broken.py", 2, "def f(:")


def test_a_line_outside_the_users_files_is_not_the_users(inbox: Path) -> None:
    assert blamed(lambda: {}["missing"], inbox)["user"] is None
    assert describe(ValueError("x"))["user"] is None


# --- what a file is instead


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty (0 bytes)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "it is a pointer of Git LFS"),
        (b"<html>\n" + "ä".encode() * 5000, "it is a text, beginning with '<html>"),
        (b"PK\3\4 and no end", "it is only the beginning of a zip file"),
        (b"\x08\x08\x12\x07pytorch", None),
        (b"\x80\x02}q\x00.", None),
    ],
)
def test_a_file_in_disguise(tmp_path: Path, content: bytes, words: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    found = disguise(str(path))
    assert found is None if words is None else found is not None and found.startswith(words)


# --- checkpoints


def test_before_2_6_nothing_untrusted_is_read(tmp_path: Path) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("read")

    for version in ("1.0.1", "1.12.1+cu102", "2.5.1"):
        with pytest.raises(checkpoint.CheckpointNotTrusted, match="runs whatever code"):
            checkpoint.read(str(tmp_path / "x"), False, torch(version, load))


@pytest.mark.parametrize(
    ("version", "trusted", "options"),
    [
        ("2.6.0", False, {"weights_only": True}),
        ("2.13.0+cpu", True, {"weights_only": False}),
        ("2.5.1", True, {}),
        ("1.0.1", True, {}),
    ],
)
def test_how_torch_load_is_called(tmp_path: Path, version: str, trusted: bool, options: dict[str, bool]) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(b"\x80\x02")
    asked: list[Any] = []
    checkpoint.read(str(path), trusted, torch(version, lambda *a, **k: asked.append((a, k))))
    assert asked == [((str(path),), {"map_location": "cpu", **options})]


@pytest.mark.parametrize(
    "text",
    [
        "Weights only load failed.\nTrying to load unsupported GLOBAL posix.system whose module posix is blocked.",
        "WeightsUnpickler error: Unsupported global: GLOBAL posix.system was not an allowed global by default.",
    ],
)
def test_code_in_a_checkpoint_is_named(tmp_path: Path, text: str) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise pickle.UnpicklingError(text)

    (tmp_path / "x").write_bytes(b"\x80\x02")
    with pytest.raises(checkpoint.CheckpointRunsCode, match=r"asks for posix\.system when it is read"):
        checkpoint.read(str(tmp_path / "x"), False, torch("2.13.0", load))
    with pytest.raises(checkpoint.CheckpointUnreadable, match="cannot be read: UnpicklingError"):
        checkpoint.read(str(tmp_path / "x"), True, torch("2.13.0", load))


def test_which_entry_of_a_checkpoint_is_used() -> None:
    weights = {"w": np.zeros(2)}
    assert checkpoint.weights(weights, None, torch()) is weights
    assert checkpoint.weights({"epoch": 1, "ema": weights}, "ema", torch()) is weights
    module = Module(w=(2,))
    assert checkpoint.weights({"model": module}, "model", torch()) is module.own
    for loaded, key, words in (
        ({"epoch": 1, "model": weights}, "net", "no key 'net'; it has epoch, model"),
        ({"epoch": 1, "model": weights}, None, "say --checkpoint-key model"),
        ({"net": weights, "model": weights}, None, "net, model; --checkpoint-key says which"),
        ([weights], None, "holds a list"),
        ([weights], "model", "no keys: it is a list"),
    ):
        with pytest.raises(checkpoint.CheckpointKey, match=words):
            checkpoint.weights(loaded, key, torch())


def test_a_checkpoint_that_does_not_fit_says_where() -> None:
    network = Module(a=(2, 3), b=(4,), c=(1,))
    with pytest.raises(checkpoint.CheckpointDoesNotFit) as caught:
        checkpoint.put({"a": np.zeros((3, 2)), "b": np.zeros(4), "d": np.zeros(1)}, network)
    assert str(caught.value) == (
        "the checkpoint does not fit Module. missing: c; unexpected: d; "
        "other shape: a (the model has [2, 3], the checkpoint [3, 2])"
    )
    with pytest.raises(checkpoint.CheckpointDoesNotFit, match="unexpected: n0, n1, n2, n3, n4 and 7 more"):
        checkpoint.put({f"n{i}": np.zeros(1) for i in range(12)}, Module())


def test_the_prefix_of_a_wrapper_is_stripped_if_the_checkpoint_then_fits() -> None:
    network = Module(w=(2,))
    assert checkpoint.put({"w": np.ones(2)}, network) is None
    assert checkpoint.put({"module.w": np.ones(2)}, network) == "module."
    assert network.loaded is not None
    assert list(network.loaded) == ["w"]
    with pytest.raises(checkpoint.CheckpointDoesNotFit, match=r"all its names begin with 'module\.'"):
        checkpoint.put({"module.v": np.ones(2)}, network)


# --- the zip format, read for old releases


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a checkpoint as torch 1.6 and newer do; a tensor is ("FloatStorage", array, offset, size, stride)."""
    fake, rebuild = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "BFloat16Storage", "BoolStorage", "LongStorage"):
        setattr(fake, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    rebuild._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setitem(sys.modules, "torch._utils", rebuild)

    class Tensor:
        def __init__(self, kind: str, array: Any, offset: int, size: Any, stride: Any) -> None:
            self.made = (Storage(kind, array), offset, size, stride, False, OrderedDict())

        def __reduce__(self) -> Any:
            return _rebuild_tensor_v2, self.made

    class Storage:
        def __init__(self, kind: str, array: Any) -> None:
            self.kind, self.array = kind, array

    class Writer(pickle.Pickler):
        storages: list[Storage]

        def persistent_id(self, thing: Any) -> Any:
            if not isinstance(thing, Storage):
                return None
            self.storages.append(thing)
            key = str(len(self.storages) - 1)
            return "storage", getattr(fake, thing.kind), key, "cuda:0", thing.array.size

    def write(content: Any, cut: int = 0) -> Path:
        content = {k: Tensor(*v) if isinstance(v, tuple) else v for k, v in content.items()}
        buffer = io.BytesIO()
        writer = Writer(buffer, protocol=2)
        writer.storages = []
        writer.dump(OrderedDict(content))
        path = tmp_path / "x.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", buffer.getvalue())
            for number, storage in enumerate(writer.storages):
                raw = storage.array.tobytes()
                archive.writestr(f"x/data/{number}", raw[: len(raw) - cut])
        return path

    return write


def test_tensors_of_the_zip_format_with_their_views(written: Callable[..., Path]) -> None:
    floats = np.arange(24, dtype="float32")
    path = written(
        {
            "plain": ("FloatStorage", floats, 0, (2, 3, 4), (12, 4, 1)),
            "turned": ("FloatStorage", floats, 2, (3, 2), (1, 4)),
            "scalar": ("LongStorage", np.array([7]), 0, (), ()),
            "none": ("FloatStorage", floats[:0], 0, (0, 3), (3, 1)),
            "mask": ("BoolStorage", np.array([True, False]), 0, (2,), (1,)),
            "brain": ("BFloat16Storage", np.array([0x3FC0, 0xC010], "uint16"), 0, (2,), (1,)),
            "epoch": 3,
        }
    )
    assert is_zipped(str(path))
    found = read_zipped(str(path), torch())
    assert np.array_equal(found["plain"], floats.reshape(2, 3, 4))
    assert np.array_equal(found["turned"], [[2, 6], [3, 7], [4, 8]])
    assert found["scalar"].shape == ()
    assert int(found["scalar"]) == 7
    assert found["none"].shape == (0, 3)
    assert found["mask"].tolist() == [True, False]
    assert found["brain"].tolist() == [1.5, -2.25]
    assert found["epoch"] == 3
    found["plain"][0] = 1  # what torch gets must be writable


@pytest.mark.parametrize(
    ("size", "stride", "offset"), [((25,), (1,), 0), ((2, 2), (23, 1), 0), ((4,), (1,), 21), ((2,), (-1,), 1)]
)
def test_no_view_reaches_beyond_its_storage(written: Callable[..., Path], size: Any, stride: Any, offset: int) -> None:
    path = written({"w": ("FloatStorage", np.zeros(24, "float32"), offset, size, stride)})
    with pytest.raises(Unreadable, match="beyond its storage"):
        read_zipped(str(path), torch())


def test_a_storage_must_hold_what_it_promises(written: Callable[..., Path]) -> None:
    path = written({"w": ("FloatStorage", np.zeros(24, "float32"), 0, (24,), (1,))}, cut=4)
    with pytest.raises(Unreadable, match="24 elements"):
        read_zipped(str(path), torch())


def test_the_zip_format_runs_no_code(written: Callable[..., Path], tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "went-off"),)

    with pytest.raises(Unreadable, match=r"holds \w+\.mkdir, which torch 1\.2\.0 cannot take"):
        read_zipped(str(written({"w": Bomb()})), torch())
    assert not (tmp_path / "went-off").exists()


# --- shapes and numbers


def test_axes_without_a_size() -> None:
    asked = {"image": {"2": "height"}, "lengths": {}}
    outputs = [
        {"mask": np.zeros((1, 2, 8)), "score": np.zeros(3)},
        {"mask": np.zeros((1, 2, 9)), "score": np.zeros(3)},
    ]
    assert dynamic_axes(asked, outputs) == {"image": {2: "height"}, "mask": {2: "mask_2"}}
    assert dynamic_shapes(asked, ["lengths", "image"]) == (None, {2: "height"})


def test_outputs_without_a_finite_number_name_the_weights_to_blame() -> None:
    nan, fine = np.full(3, np.nan, "float32"), np.array([1, np.nan, np.inf], "float32")
    check_finite([{"a": fine, "b": np.zeros(0, "float32"), "c": np.array([1])}])
    with pytest.raises(NothingFinite, match=r"output 'a' of case 1 has not one finite number; weights hold NaN: w$"):
        check_finite([{"a": fine}, {"a": nan}], lambda: [("v", np.zeros(2)), ("w", fine)])
    with pytest.raises(NothingFinite, match="no weight is NaN"):
        check_finite([{"a": np.full(2, np.inf)}], lambda: [("v", np.zeros(2))])
    with pytest.raises(NothingFinite, match=r"finite number$"):
        check_finite([{"a": nan}])
