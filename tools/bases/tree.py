"""An interpreter of this machine as a set of files for /usr/local of an image."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from matrix.packages.interpreters import Interpreter
from matrix.packages.versions import minor
from tools.bases.archive import TarWriter

# Run by the interpreter itself: where it really lies, and which of its compiled modules work on this machine.
_ASK = """
import importlib, json, os, sys, sysconfig
found = {"prefix": sys.base_prefix, "stdlib": sysconfig.get_path("stdlib")}
found["version"] = "%d.%d.%d" % sys.version_info[:3]
folder = os.path.join(found["stdlib"], "lib-dynload")
modules = sorted({name.split(".")[0] for name in os.listdir(folder)}) if os.path.isdir(folder) else []
works = []
for name in modules + ["ssl", "ctypes", "sqlite3", "lzma", "bz2", "zlib", "ensurepip"]:
    try:
        importlib.import_module(name)
    except Exception:
        continue
    works.append(name)
found["modules"] = works
print(json.dumps(found))
"""

# What the official slim images leave out too: test suites, Tk and what draws with it, what one needs to embed Python.
_LEFT_OUT_FOLDERS = {
    "__pycache__",
    "idlelib",
    "idle_test",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
}
_LEFT_OUT_MODULES = ("_tkinter", "_test", "_ctypes_test", "_xxtestfuzz", "xxlimited")
# EXTERNALLY-MANAGED: a mark of interpreters whose packages belong to somebody else; in the image they are its own.
_LEFT_OUT_FILES = ("EXTERNALLY-MANAGED",)


class CannotCopy(Exception):
    """Why this interpreter cannot become part of an image, and what to do."""


@dataclass(frozen=True)
class Tree:
    """`modules` are those that can be imported on this machine, and therefore must be importable in the image."""

    prefix: Path
    stdlib: Path
    version: str
    modules: tuple[str, ...]

    @property
    def python(self) -> str:
        """`X.Y`."""
        return minor(self.version)

    @property
    def binary(self) -> Path:
        return self.prefix / "bin" / f"python{self.python}"

    def files(self) -> dict[str, Path]:
        """Path below /usr/local to the file of this machine that belongs there."""
        found = {f"bin/python{self.python}": self.binary.resolve()}
        for library in (self.prefix / "lib").glob("libpython*.so*"):
            found[f"lib/{library.name}"] = library
        for folder, folders, names in os.walk(self.stdlib):
            folders[:] = [name for name in folders if not _left_out(name)]
            for name in names:
                if name in _LEFT_OUT_FILES or (name.startswith(_LEFT_OUT_MODULES) and name.endswith(".so")):
                    continue
                path = Path(folder, name)
                found[f"lib/python{self.python}/{path.relative_to(self.stdlib)}"] = path
        return found

    def binaries(self) -> list[Path]:
        """Everything the dynamic linker has to load at some time."""
        return [path for name, path in self.files().items() if name.startswith("bin/") or ".so" in path.suffixes]

    def write(self, tar: TarWriter, libraries: tuple[Path, ...]) -> None:
        """Write it for extraction at /, together with libraries of its own that it cannot do without."""
        files = self.files() | {f"lib/{path.name}": path for path in libraries}
        for name, path in sorted(files.items()):
            if path.is_symlink() and path.readlink() == Path(path.readlink().name):
                tar.link(f"usr/local/{name}", path.readlink().name)
                continue
            data = path.read_bytes()
            if Path(name).name.startswith("_sysconfigdata"):
                # How it was configured names the place it was built for.
                data = data.replace(os.fsencode(self.prefix), b"/usr/local")
            tar.file(f"usr/local/{name}", data, os.access(path, os.X_OK))
        for link, target in (("python", "python3"), ("python3", f"python{self.python}")):
            tar.link(f"usr/local/bin/{link}", target)


def examine(interpreter: Interpreter) -> Tree:
    """Ask the interpreter where it lies. Raises CannotCopy."""
    done = subprocess.run([interpreter.path, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotCopy(f"Python {interpreter.version} at {interpreter.path} does not start: {done.stderr.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    modules = tuple(name for name in found["modules"] if not name.startswith(_LEFT_OUT_MODULES))
    tree = Tree(Path(found["prefix"]), Path(found["stdlib"]), found["version"], modules)
    if tree.prefix == Path("/usr"):
        raise CannotCopy(
            f"Python {tree.version} at {interpreter.path} is part of this machine's own system and cannot be copied "
            f"into an image; get one that stands alone: uv python install {tree.python}, or pyenv install {tree.python}"
        )
    if not tree.binary.exists() or not tree.stdlib.is_dir():
        raise CannotCopy(f"Python {tree.version} at {tree.prefix} is laid out in a way this program does not know")
    return tree


def _left_out(folder: str) -> bool:
    # config-3.9-x86_64-linux-gnu: the static library and the Makefile for embedding.
    return folder in _LEFT_OUT_FOLDERS or folder.startswith("config-")
