"""Making base images, without an engine or a mirror: layers, interpreters, the Debian root, and the command."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix import cli
from matrix.core.errors import EngineUnavailable, Indeterminate
from matrix.packages.interpreters import Interpreter
from tools.bases import debian, make
from tools.bases.archive import Description, TarWriter, copy_sorted, extract_layers, layer, write_image
from tools.bases.libraries import needed
from tools.bases.tree import CannotCopy, Tree, examine

# --- layers and images -----------------------------------------------------------------------------------------------


def contents(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as tar:
        return {
            m.name: m.linkname if m.issym() else stat.filemode(m.mode) if m.isdir() else tar.extractfile(m).read()
            for m in tar
        }


def test_a_layer_depends_on_names_content_and_permissions_alone(tmp_path: Path) -> None:
    def make_source(name: str, order: tuple[str, ...], mode: int, time: int) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w") as tar:
            for inner in order:
                member = tarfile.TarInfo(f"local/{inner}")
                member.mode, member.mtime, member.uid, member.uname = mode, time, time, f"user{time}"
                member.size = len(inner)
                tar.addfile(member, io.BytesIO(inner.encode()))
            link = tarfile.TarInfo("local/bin/z")
            link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "a", time
            tar.addfile(link)
        return path

    def normal(source: Path) -> Path:
        path = source.with_suffix(".layer")
        with TarWriter(path) as tar:
            copy_sorted(source, tar, lambda name: None if name.endswith("left-out") else f"usr/{name}")
        return path

    one = normal(make_source("one.tar", ("bin/a", "lib/b", "left-out"), 0o755, 1))
    two = normal(make_source("two.tar", ("lib/b", "bin/a"), 0o700, 2))
    assert contents(one) == {
        "usr": "?rwxr-xr-x",
        "usr/local": "?rwxr-xr-x",
        "usr/local/bin": "?rwxr-xr-x",
        "usr/local/bin/a": b"bin/a",
        "usr/local/bin/z": "a",
        "usr/local/lib": "?rwxr-xr-x",
        "usr/local/lib/b": b"lib/b",
    }
    assert one.read_bytes() == two.read_bytes()
    assert layer(one).digest == f"sha256:{hashlib.sha256(one.read_bytes()).hexdigest()}"
    other = normal(make_source("other.tar", ("bin/a", "lib/b"), 0o644, 1))
    assert other.read_bytes() != one.read_bytes()


def test_an_image_is_named_by_its_content_and_can_be_taken_apart(tmp_path: Path) -> None:
    layers = []
    for name in ("below", "above"):
        with TarWriter(tmp_path / name) as tar:
            tar.file(name, name.encode())
        layers.append(layer(tmp_path / name))
    image = Description("own:1", {"PATH": "/bin"}, "sh", {"label": "x"}, ("first", "second"))
    write_image(tmp_path / "image.tar", image, layers, "amd64")
    with tarfile.open(tmp_path / "image.tar") as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
        config = tar.extractfile(manifest["Config"]).read()
    assert manifest["RepoTags"] == ["own:1"]
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    said = json.loads(config)
    assert said["config"] == {"Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": {"label": "x"}}
    assert said["rootfs"]["diff_ids"] == [one.digest for one in layers]
    assert [entry["created_by"] for entry in said["history"]] == ["first", "second"]

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    again = extract_layers(iter([(tmp_path / "image.tar").read_bytes()]), scratch)
    assert [one.digest for one in again] == [one.digest for one in layers]
    assert [layer(one.path).digest for one in again] == [one.digest for one in layers]


# --- an interpreter --------------------------------------------------------------------------------------------------


def small_tree(root: Path) -> Tree:
    stdlib = root / "lib" / "python3.9"
    for name, text in {
        "bin/python3.9": "binary",
        "bin/pip": "#!/old/bin/python",
        "lib/libpython3.9.so.1.0": "library",
        "lib/python3.9/os.py": "os",
        "lib/python3.9/test_tools.py": "kept",
        "lib/python3.9/__pycache__/os.pyc": "x",
        "lib/python3.9/test/regrtest.py": "x",
        "lib/python3.9/unittest/test/test_case.py": "x",
        "lib/python3.9/unittest/case.py": "case",
        "lib/python3.9/tkinter/__init__.py": "x",
        "lib/python3.9/config-3.9-x86_64/Makefile": "x",
        "lib/python3.9/site-packages/numpy.py": "x",
        "lib/python3.9/EXTERNALLY-MANAGED": "x",
        "lib/python3.9/lib-dynload/_ssl.cpython-39.so": "ssl",
        "lib/python3.9/lib-dynload/_tkinter.cpython-39.so": "x",
        "lib/python3.9/lib-dynload/_testcapi.cpython-39.so": "x",
        "lib/python3.9/_sysconfigdata__linux.py": f"prefix = '{root}'",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "bin" / "python3.9").chmod(0o700)
    (root / "lib" / "libpython3.9.so").symlink_to("libpython3.9.so.1.0")
    return Tree(root, stdlib, "3.9.18", ("_ssl",))


def test_what_of_an_interpreter_belongs_into_an_image(tmp_path: Path) -> None:
    own = tmp_path / "python" / "openssl" / "lib" / "libssl.so.1.1"
    tree = small_tree(tmp_path / "python")
    own.parent.mkdir(parents=True)
    own.write_text("own library")
    with TarWriter(tmp_path / "tree.tar") as tar:
        tree.write(tar, (own,))
    found = contents(tmp_path / "tree.tar")
    assert {name: text for name, text in found.items() if text != "?rwxr-xr-x"} == {
        "usr/local/bin/python": "python3",
        "usr/local/bin/python3": "python3.9",
        "usr/local/bin/python3.9": b"binary",
        "usr/local/lib/libpython3.9.so": "libpython3.9.so.1.0",
        "usr/local/lib/libpython3.9.so.1.0": b"library",
        "usr/local/lib/libssl.so.1.1": b"own library",
        "usr/local/lib/python3.9/os.py": b"os",
        "usr/local/lib/python3.9/test_tools.py": b"kept",
        "usr/local/lib/python3.9/unittest/case.py": b"case",
        "usr/local/lib/python3.9/lib-dynload/_ssl.cpython-39.so": b"ssl",
        "usr/local/lib/python3.9/_sysconfigdata__linux.py": b"prefix = '/usr/local'",
    }
    with tarfile.open(tmp_path / "tree.tar") as tar_:
        assert tar_.getmember("usr/local/bin/python3.9").mode == 0o755
        assert tar_.getmember("usr/local/lib/python3.9/os.py").mode == 0o644


Script = Callable[[str, str], Path]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a shell script in front of everything on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(name: str, text: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return put


def interpreter(script: Script, prefix: Path) -> Interpreter:
    said = json.dumps(
        {"prefix": str(prefix), "stdlib": f"{prefix}/lib/python3.9", "version": "3.9.18", "modules": ["_ssl", "_test"]}
    )
    return Interpreter(script("python3.9", f"echo '{said}'"), "3.9.18")


def test_an_interpreter_is_asked_where_it_lies(script: Script, tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "python")
    assert examine(interpreter(script, tree.prefix)) == tree
    with pytest.raises(CannotCopy, match=r"part of this machine's operating system.*uv python install 3\.9"):
        examine(interpreter(script, Path("/usr")))
    with pytest.raises(CannotCopy, match="unknown layout"):
        examine(interpreter(script, tmp_path / "elsewhere"))
    with pytest.raises(CannotCopy, match="does not start: broken"):
        examine(Interpreter(script("python3.8", "echo broken >&2; exit 1"), "3.8.1"))


def test_this_interpreter_answers() -> None:
    """The question itself is Python that any interpreter understands; this one may be part of its system."""
    try:
        tree = examine(Interpreter(Path(sys.executable), platform.python_version()))
    except CannotCopy as error:
        assert Path(sys.base_prefix) == Path("/usr"), error
        return
    assert tree.prefix == Path(sys.base_prefix) and tree.version == platform.python_version()
    assert "zlib" in tree.modules and not any(name.startswith("_test") for name in tree.modules)


def test_libraries_come_from_packages_or_from_the_tree(script: Script, tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "python")
    lines = [
        "/lib/x86_64-linux-gnu/libz.so.1",
        "/usr/lib/libffi.so.8",
        f"{tree.stdlib}/lib-dynload/../../libssl.so.1.1",
        f"{tree.prefix}/lib/libpython3.9.so.1.0",
    ]
    seen = tmp_path / "seen"
    ldd = f'printf "%s\\n" "$@" > {seen}; ' + "; ".join(f"echo 'x => {line} (0x1)'" for line in lines)
    script("ldd", f"{ldd}; echo 'libgone.so => not found'; exit 1")
    # dpkg knows some files under /lib, others under /usr/lib.
    script("dpkg", "echo 'zlib1g:amd64: /usr/lib/x86_64-linux-gnu/libz.so.1'; echo 'libffi8:amd64: /lib/libffi.so.8'")
    found = needed(tree)
    assert found.packages == {"zlib1g", "libffi8"}
    assert found.own == (tree.prefix / "lib" / "libssl.so.1.1",)
    assert {Path(name).name for name in seen.read_text().split()} == {
        "python3.9",
        "libpython3.9.so",
        "libpython3.9.so.1.0",
        "_ssl.cpython-39.so",
    }
    script("dpkg", "echo 'zlib1g:amd64: /usr/lib/x86_64-linux-gnu/libz.so.1'; exit 1")
    with pytest.raises(CannotCopy, match=r"needs /usr/lib/libffi\.so\.8, which no Debian package"):
        needed(tree)


# --- Debian ----------------------------------------------------------------------------------------------------------

TARGETS = r"""cat <<'END'
Debian|bookworm|http://mirror/debian/|bookworm|main
Debian|bookworm|http://mirror/debian/|bookworm|contrib
Debian|bookworm|http://mirror/debian/|bookworm|main
Debian|bookworm-security|http://u:s3cret@mirror/security/|stable-security|main
Debian|bookworm-backports|http://mirror/debian/|bookworm-backports|main
Debian|trixie|http://mirror/debian/|testing|main
Somebody|bookworm|http://elsewhere/|bookworm|main
|||x|main
END"""


def system(monkeypatch: pytest.MonkeyPatch, **facts: str) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: facts)


def test_the_root_is_of_this_machines_release_and_mirrors(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    script("apt-get", TARGETS)
    script("apt-config", 'case "$4" in *https*) printf DIRECT;; *) printf http://proxy:1;; esac')
    variables = '"$SOURCE_DATE_EPOCH" "$http_proxy" "$https_proxy"'
    script("mmdebstrap", f'printf "%s\\n" "$@" {variables} > {tmp_path}/call; echo tar')
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made = debian.make("bookworm", debian.packages(["libssl3"]), scratch)
    assert made.read_text() == "tar\n"
    call = (tmp_path / "call").read_text().splitlines()
    assert "--include=ca-certificates,libssl3,netbase,tzdata" in call
    assert call[-7:] == [
        "bookworm",
        "-",
        "deb http://mirror/debian/ bookworm main contrib",
        "deb http://u:s3cret@mirror/security/ stable-security main",
        "315532800",
        "http://proxy:1",
        "",
    ]


def test_a_root_that_cannot_be_made(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script("apt-get", TARGETS)
    script("mmdebstrap", "echo 'I: trying'; echo 'E: http://u:s3cret@mirror/ is gone' >&2; exit 25")
    with pytest.raises(Indeterminate, match=r"Debian bookworm: E: http://\*\*\*@mirror/ is gone; it needs root"):
        debian.make("bookworm", frozenset(), tmp_path)
    script("apt-get", "exit 0")
    with pytest.raises(EngineUnavailable, match="apt-get update"):
        debian.make("bookworm", frozenset(), tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(EngineUnavailable, match="apt-get install mmdebstrap"):
        debian.make("bookworm", frozenset(), tmp_path)


def test_bases_are_made_on_debian_only(monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch, ID="debian", VERSION_CODENAME="bookworm")
    assert debian.codename() == "bookworm"
    system(monkeypatch, ID="fedora", PRETTY_NAME="Fedora 40")
    with pytest.raises(EngineUnavailable, match="this is Fedora 40; pull python:X"):
        debian.codename()

    def none() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", none)
    with pytest.raises(EngineUnavailable, match="this is Linux"):
        debian.codename()


def test_a_python_that_is_missing_is_a_problem_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch, ID="debian", VERSION_CODENAME="bookworm")
    monkeypatch.setattr("matrix.packages.interpreters.installed", dict)
    engine: Any = None  # is not asked
    assert make.make(engine, ["3.7"], False, print) == {
        "3.7": "Python 3.7 is not on this machine; install it: pyenv install 3.7"
    }


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["3.5"], "3.5: not supported; choose from 3.6, ", 2),
        (["--pin", "--list"], "exclude each other", 2),
        (["3.9", "--to", "x"], "--to requires --pin", 2),
        (["3.9", "--base", "python:3.9-slim"], "{python} in it", 2),
        ([], "no lock beside", 2),
        (["3.9"], "no engine answers", 6),
    ],
)
def test_how_the_command_ends(
    arguments: list[str],
    said: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MATRIX_BASE", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.setattr(sys, "argv", ["matrix", "bases", *arguments])
    assert cli.main() == code
    assert said in capsys.readouterr().err


def test_making_bases_needs_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installed wheel has no `tools`."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tools", None)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    for arguments, code, said in (
        (["3.9"], 2, "needs a checkout of the project"),
        # These need nothing of `tools` and go on to the engine.
        (["3.9", "--list"], 6, "no engine answers"),
        (["3.9", "--pin"], 6, "no engine answers"),
    ):
        monkeypatch.setattr(sys, "argv", ["matrix", "bases", *arguments])
        assert cli.main() == code
        assert said in capsys.readouterr().err
