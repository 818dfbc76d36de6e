"""Find the files of converter/ that a job imports, from import statements, without running them."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from matrix.core.gc import uncollected


class ConverterCode:
    """The folder converter/, and hashes over parts of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._imports: dict[Path, frozenset[Path]] = {}

    def module(self, name: str) -> Path | None:
        """Return the file of `converter.x.y`, or None where there is none."""
        parts = name.split(".")
        if parts[0] != "converter":
            return None
        base = self.root.joinpath(*parts[1:])
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if candidate.is_file():
                return candidate
        return None

    def closure(self, modules: Iterable[str]) -> tuple[Path, ...]:
        """Return all files reached from `modules` by import statements, sorted. Missing modules are left out: the job
        itself will report them. Raises OSError."""
        open_files = [path for name in modules for path in self._run_by(name)]
        seen: set[Path] = set()
        while open_files:
            path = open_files.pop()
            if path not in seen:
                seen.add(path)
                open_files.extend(self._imported_by(path))
        return tuple(sorted(seen))

    def digest(self, modules: Iterable[str]) -> str:
        """Return a hash over names and content of the closure. Raises OSError."""
        total = hashlib.sha256()
        for path in self.closure(modules):
            total.update(f"{path.relative_to(self.root).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    def _run_by(self, name: str) -> Iterator[Path]:
        """Yield the files that an import of `name` runs: those of its packages, outermost first, then its own."""
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            if found := self.module(".".join(parts[:end])):
                yield found

    def _imported_by(self, path: Path) -> frozenset[Path]:
        if path not in self._imports:
            self._imports[path] = frozenset(self._scan(path))
        return self._imports[path]

    def _scan(self, path: Path) -> Iterable[Path]:
        try:
            # A finalizer may print a traceback, and CPython 3.11 parses the source to place its carets: a parser called
            # inside a parser raises SystemError there (python/cpython#106905).
            with uncollected():
                tree = ast.parse(path.read_bytes(), filename=str(path))
        except SyntaxError:
            return
        package = ("converter", *path.parent.relative_to(self.root).parts)
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # One dot is the file's package, each further dot the enclosing package.
                around = package[: len(package) + 1 - node.level] if node.level else ()
                module = ".".join([*around, *([node.module] if node.module else [])])
                # `from converter.x import y`: y may be a name in x or a module.
                names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
            for name in names:
                yield from self._run_by(name)
