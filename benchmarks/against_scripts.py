"""Compare `matrix run` with a venv+pip script and with `tox run-parallel`: four converter rows × three .onnx files.

    python benchmarks/against_scripts.py [--work FOLDER] [--out FILE.json]

All three install the same locked packages and do the same conversions, in one run on one machine:

cold       empty package caches, no environments
warm       package caches left by the cold round, no environments
unchanged  everything left by the warm round, the same command again

Figures are wall-clock seconds, and megabytes of environments and package caches, counting hard-linked files once.
Machines differ; compare the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from matrix.packages import interpreters  # noqa: E402
from matrix.packages.lock import Lock, read_locks  # noqa: E402
from matrix.store import Store  # noqa: E402
from matrix.table import load_config  # noqa: E402

# Four TensorFlow minor versions on Pythons that current virtualenv, and so tox, still supports.
CONVERTERS = ("onnxtf1.7.0-", "onnxtf1.8.0-", "onnxtf1.9.0-", "onnxtf1.10.0-onnx1.10.2-")
EXPORTER = "torch-1.8.1"
FILES = (("mobilehairnet", 9), ("mobilehairnet", 11), ("gestures", 9))
# Used to make the .onnx files before timing starts: the smallest environment of the table.
FIRST_CONVERTER = "onnxtf1.2.1-*"

BY_HAND = ROOT / "benchmarks" / "convert_by_hand.py"


@dataclass(frozen=True)
class OnnxFile:
    """A prepared model with its inputs and reference outputs, as files."""

    name: str
    model: Path
    inputs: Path
    reference: Path

    def command(self, python: str, folder: str) -> list[str]:
        """Return the command that converts it by hand in a separate process, with the SavedModel in `folder`."""
        return [python, str(BY_HAND), str(self.model), str(self.inputs), str(self.reference), f"{folder}/{self.name}"]


class Contestant(ABC):
    """A way to make four environments and do twelve conversions."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.environments = folder / "environments"

    @abstractmethod
    def run(self) -> None:
        """Run the command that is timed."""

    def forget_environments(self) -> None:
        shutil.rmtree(self.environments, ignore_errors=True)

    def forget_packages(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)

    def call(self, command: list[str], **variables: str) -> str:
        """Run a command in a clean environment and return its output."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "TOX"))}
        done = subprocess.run(
            command,
            env={**kept, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: {' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout


class Ours(Contestant):
    """`matrix run`. Exports and references are stored before, so that only conversions are timed."""

    name = "matrix run"

    def __init__(self, folder: Path, rows: list[Lock]) -> None:
        super().__init__(folder)
        self.rows = rows
        self.state = folder / "state"
        self.prepared = folder / "prepared"
        self.environments = self.state / "envs"

    def prepare(self) -> list[OnnxFile]:
        """Export the files and compute their references."""
        self._matrix(self.prepared, FIRST_CONVERTER)
        store = Store(f"sqlite:///{self.prepared / 'matrix.db'}", self.prepared / "blobs")
        files = []
        for cell in store.cells(store.runs()[0].id):
            assert cell.reference is not None, f"{cell.cell} was not exported"
            found = store.observations([cell.export, cell.reference])
            export, reference = found[cell.export], found[cell.reference]
            inputs = self.folder / f"{cell.model}-inputs.npz"
            model = self.folder / f"{cell.model}-{cell.opset}.onnx"
            outputs = model.with_suffix(".reference.npz")
            shutil.copy(store.blobs.local(str(export.file("model.onnx"))), model)
            shutil.copy(store.blobs.local(str(reference.file("reference.npz"))), outputs)
            inputs.write_bytes(_inputs(cell.model))
            files.append(OnnxFile(model.stem, model, inputs, outputs))
        store.close()
        shutil.rmtree(self.prepared / "envs")
        self.forget_environments()
        return files

    def run(self) -> None:
        document = json.loads(self._matrix(self.state, *(row.name for row in self.rows)))
        assert len(document["cells"]) == len(self.rows) * len(FILES), document

    def forget_environments(self) -> None:
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.prepared, self.state)

    def _matrix(self, state: Path, *converters: str) -> str:
        only = [f"exporter={EXPORTER}", *(f"converter={name}" for name in converters)]
        # One cell for each file: models and opsets are not a full product here.
        only += [f"cell={model}/*@{opset}/*" for model, opset in FILES]
        # Everything on this machine: against_dockerfiles.py measures containers.
        place = ["--table", str(ROOT / "matrix.yml"), "--state", str(state), "--engine", "venv"]
        narrowed = [word for text in only for word in ("--only", text)]
        return self.call(
            [sys.executable, "-m", "matrix", "run", *place, "--tier", "full", "--format", "json", *narrowed],
            PYTHONPATH=str(ROOT),
            UV_CACHE_DIR=str(self.cache),
        )


class Script(Contestant):
    """`python -m venv`, `pip install`, then one process for each conversion, one after the other."""

    name = "venv + pip script"

    def __init__(self, folder: Path, rows: list[Lock], files: list[OnnxFile]) -> None:
        super().__init__(folder)
        self.rows = rows
        self.files = files

    def run(self) -> None:
        for row in self.rows:
            environment = self.environments / row.name
            python = environment / "bin" / "python"
            if not python.exists():
                found = interpreters.find(row.python)
                assert found is not None, f"Python {row.python} is missing"
                self.call([str(found.path), "-m", "venv", str(environment)])
            requirements = self.folder / f"{row.name}.txt"
            requirements.write_text(row.body)
            pip = [str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", str(requirements)]
            self.call(pip, PIP_CACHE_DIR=str(self.cache))
            for file in self.files:
                saved = self.environments / "saved" / row.name
                shutil.rmtree(saved / file.name, ignore_errors=True)
                self.call(file.command(str(python), str(saved)))


class Tox(Contestant):
    """`tox run-parallel`, one tox environment for each row."""

    name = "tox run-parallel"

    def __init__(self, folder: Path, rows: list[Lock], files: list[OnnxFile]) -> None:
        super().__init__(folder)
        self.rows = rows
        self.files = files

    def run(self) -> None:
        paths = [str(found.path.parent) for row in self.rows if (found := interpreters.find(row.python))]
        self._write()
        self.call(
            [sys.executable, "-m", "tox", "run-parallel", "--workdir", str(self.environments), "--parallel", "auto"],
            PIP_CACHE_DIR=str(self.cache),
            PATH=os.pathsep.join([*paths, os.environ["PATH"]]),
        )

    def _write(self) -> None:
        lines = ["[tox]", "no_package = true", f"env_list = {', '.join(row.name for row in self.rows)}", ""]
        for row in self.rows:
            (self.folder / f"{row.name}.txt").write_text(row.body)
            lines += [f"[testenv:{row.name}]", f"base_python = python{row.python}", "runner = virtualenv"]
            lines += [f"deps = -r {row.name}.txt", "install_command = python -m pip install --no-deps {packages}"]
            lines += ["pass_env = PIP_*", "    SSL_*", "allowlist_externals = rm", "commands ="]
            lines += ["    rm -rf {env_dir}/saved"]
            lines += [f"    {' '.join(file.command('python', '{env_dir}/saved'))}" for file in self.files]
            lines.append("")
        (self.folder / "tox.ini").write_text("\n".join(lines))


def measure(work: Path) -> dict[str, dict[str, float]]:
    """Run the three rounds of every contestant, one after the other."""
    table = load_config(ROOT / "matrix.yml")
    locks = read_locks(ROOT / "envs")
    rows = [locks[row.id] for row in table.converters if row.id.startswith(CONVERTERS)]
    assert len(rows) == len(CONVERTERS), [lock.name for lock in rows]
    folders = {name: work / name for name in ("ours", "script", "tox")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    ours = Ours(folders["ours"], rows)
    files = ours.prepare()
    assert len(files) == len(FILES), files
    figures: dict[str, dict[str, float]] = {}
    for contestant in (ours, Script(folders["script"], rows, files), Tox(folders["tox"], rows, files)):
        figures[contestant.name] = rounds(contestant)
        # Free the disk for the next one.
        contestant.forget_packages()
        contestant.forget_environments()
    return figures


def rounds(contestant: Contestant) -> dict[str, float]:
    """Return the seconds of the three rounds, and the megabytes after the first."""
    figures: dict[str, float] = {}
    contestant.forget_packages()
    for name in ("cold", "warm", "unchanged"):
        if name != "unchanged":
            contestant.forget_environments()
        started = time.monotonic()
        contestant.run()
        figures[name] = round(time.monotonic() - started, 2)
        print(f"{contestant.name}, {name}: {figures[name]} s", file=sys.stderr, flush=True)
        if name == "cold":
            figures["disk_mb"] = round(disk(contestant.cache, contestant.environments) / 2**20, 1)
    return figures


def disk(*folders: Path) -> int:
    """Return bytes on disk, counting each inode once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            status = path.lstat()
            seen[(status.st_dev, status.st_ino)] = status.st_blocks * 512
    return sum(seen.values())


def as_markdown(figures: dict[str, dict[str, float]]) -> str:
    """Format the figures as a table, other contestants also as a multiple of ours."""
    base = figures[Ours.name]
    lines = ["| | cold | warm package cache | nothing changed | disk |", "|---|---|---|---|---|"]
    for name, row in figures.items():
        cells = []
        for key, unit in (("cold", "s"), ("warm", "s"), ("unchanged", "s"), ("disk_mb", "MB")):
            times = f" ({row[key] / base[key]:.1f}×)" if name != Ours.name else ""
            cells.append(f"{row[key]:.1f} {unit}{times}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _inputs(model: str) -> bytes:
    from matrix.execution.drawn_inputs import make_inputs

    return next(
        make_inputs(spec.inputs, spec.seed) for spec in load_config(ROOT / "matrix.yml").models if spec.id == model
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="working folder; default: a temporary one, removed afterwards")
    parser.add_argument("--out", type=Path, help="also write the figures to this file as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="matrix-benchmark-") as scratch:
        figures = measure((options.work or Path(scratch)).absolute())
    print(as_markdown(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
