"""Collect the files of an interpreter of this machine for /usr/local of an image."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from matrix.packages.interpreters import Interpreter
from matrix.packages.versions import minor
from tools.bases.archive import TarWriter

# Run by the interpreter: its real location, and which of its compiled modules work on this machine.
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

# Left out as in the official slim images: test suites, Tk and what uses it, files for embedding Python.
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
# EXTERNALLY-MANAGED marks an interpreter whose packages another program manages, which is not so in the image.
_LEFT_OUT_FILES = ("EXTERNALLY-MANAGED",)


class CannotCopy(Exception):
    """An interpreter cannot be copied into an image; the message says why, and what to do."""


@dataclass(frozen=True)
class Tree:
    """An interpreter. Its `modules` can be imported on this machine, so they must be importable in the image."""

    prefix: Path
    stdlib: Path
    version: str
    modules: tuple[str, ...]

    @property
    def python(self) -> str:
        """The version as `X.Y`."""
        return minor(self.version)

    @property
    def binary(self) -> Path:
        return self.prefix / "bin" / f"python{self.python}"

    def files(self) -> dict[str, Path]:
        """Map paths below /usr/local to files of this machine. Raises OSError."""
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
        """Return all files that the dynamic linker may load."""
        return [path for name, path in self.files().items() if name.startswith("bin/") or ".so" in path.suffixes]

    def write(self, tar: TarWriter, libraries: tuple[Path, ...]) -> None:
        """Write the tree for extraction at /, together with `libraries` of its own. Raises OSError."""
        files = self.files() | {f"lib/{path.name}": path for path in libraries}
        for name, path in sorted(files.items()):
            if path.is_symlink() and path.readlink() == Path(path.readlink().name):
                tar.link(f"usr/local/{name}", path.readlink().name)
                continue
            data = path.read_bytes()
            if Path(name).name.startswith("_sysconfigdata"):
                # The build configuration contains the original prefix.
                data = data.replace(os.fsencode(self.prefix), b"/usr/local")
            tar.file(f"usr/local/{name}", data, os.access(path, os.X_OK))
        for link, target in (("python", "python3"), ("python3", f"python{self.python}")):
            tar.link(f"usr/local/bin/{link}", target)


def examine(interpreter: Interpreter) -> Tree:
    """Query an interpreter. Raises CannotCopy."""
    done = subprocess.run([interpreter.path, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotCopy(f"Python {interpreter.version} at {interpreter.path} does not start: {done.stderr.strip()}")
    found = json.loads(done.stdout.splitlines()[-1])
    modules = tuple(name for name in found["modules"] if not name.startswith(_LEFT_OUT_MODULES))
    tree = Tree(Path(found["prefix"]), Path(found["stdlib"]), found["version"], modules)
    if tree.prefix == Path("/usr"):
        raise CannotCopy(
            f"Python {tree.version} at {interpreter.path} is part of this machine's operating system and cannot be "
            f"copied into an image; install a separate one: uv python install {tree.python}, "
            f"or pyenv install {tree.python}"
        )
    if not tree.binary.exists() or not tree.stdlib.is_dir():
        raise CannotCopy(
            f"Python {tree.version} at {tree.prefix} has an unknown layout; install another: "
            f"uv python install {tree.python}"
        )
    return tree


def _left_out(folder: str) -> bool:
    # config-3.9-x86_64-linux-gnu: the static library and the Makefile for embedding.
    return folder in _LEFT_OUT_FOLDERS or folder.startswith("config-")
