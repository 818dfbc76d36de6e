"""Compare `matrix build --engine docker` with one naive Dockerfile for each of four converter rows.

    python benchmarks/against_dockerfiles.py [--rounds 1]

Both use the same base images and the same package versions, in one run on one machine. A naive Dockerfile is `FROM
python`, `COPY requirements.txt`, `RUN pip install`; they are built one after the other and, as a second variant, in
parallel on all cores. Cold: neither layers nor packages are cached. Warm: packages are cached if the build keeps them
(pip in a RUN does not). Unchanged: everything was built before.

Removes the images and build cache of these four rows and nothing else from the engine. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from matrix.environments.choose import docker_engine
from matrix.environments.docker import names
from matrix.environments.docker.client import buildkit_cli
from matrix.environments.docker.engine import DockerEngine, layers
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock, read_locks
from matrix.store.state import State

ROOT = Path(__file__).resolve().parent.parent
ROWS = (
    "onnxtf1.3.0-onnx1.3.0-tf1.13.1",
    "onnxtf1.3.0-onnx1.4.1-tf1.13.1",
    "onnxtf1.3.0-onnx1.5.0-tf1.13.1",
    "onnxtf1.5.0-onnx1.5.0-tf1.15.0",
)
NAIVE = "torch-tf-matrix/naive"
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY requirements.txt .
RUN --mount=type=secret,id=certificates,target=/tmp/certificates.pem --mount=type=secret,id=index,target=/tmp/index \\
    PIP_CERT=/tmp/certificates.pem PIP_INDEX_URL=$(cat /tmp/index) pip install -r requirements.txt
"""


class Naive:
    """One Dockerfile for each row."""

    def __init__(self, engine: DockerEngine, locks: list[Lock], settings: IndexSettings, folder: Path) -> None:
        self._engine, self._locks, self._settings, self._folder = engine, locks, settings, folder
        for lock in locks:
            place = folder / lock.name
            place.mkdir()
            (place / "Dockerfile").write_text(DOCKERFILE)
            (place / "index").write_text(settings.index)
            (place / "requirements.txt").write_text("".join(f"{n}=={v}\n" for n, v in lock.packages.items()))
            certificates = Path(settings.certificates) if settings.certificates else None
            (place / "certificates.pem").write_bytes(certificates.read_bytes() if certificates else b"")

    def build(self, cached: bool, at_once: int) -> None:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda lock: self._one(lock, cached), self._locks))

    def _one(self, lock: Lock, cached: bool) -> None:
        place = self._folder / lock.name
        command = buildkit_cli()
        assert command is not None
        call(
            [
                *(command, "build", "--tag", f"{NAIVE}:{lock.name}"),
                *("--build-arg", f"BASE={self._engine.base(lock.python).reference}"),
                *(
                    "--secret",
                    f"id=certificates,src={place / 'certificates.pem'}",
                    "--secret",
                    f"id=index,src={place / 'index'}",
                ),
                *(() if cached else ("--no-cache",)),
                str(place),
            ],
            {"DOCKER_BUILDKIT": "1"},
        )

    def megabytes(self) -> float:
        return unique_megabytes(self._engine, [f"{NAIVE}:{lock.name}" for lock in self._locks])

    def remove(self) -> None:
        for lock in self._locks:
            self._engine.remove([f"{NAIVE}:{lock.name}"])


class Ours:
    """The product, called as by a user."""

    def __init__(self, engine: DockerEngine, locks: list[Lock], state: Path) -> None:
        self._engine, self._locks, self._state = engine, locks, state
        self._tags = [names.environment_image(engine.identify(lock)) for lock in locks]

    def build(self) -> None:
        rows = [lock.name for lock in self._locks]
        call([sys.executable, "-m", "matrix", "build", *rows, "--engine", "docker", "--state", str(self._state)], {})

    def forget(self, packages: bool) -> None:
        client = self._engine.client
        there = {tag for tag in self._tags if client.images.list(tag)}
        mine = {layer for tag in there for layer in own_layers(self._engine, tag)}
        self._engine.remove(self._tags)
        others = [image.tags or image.id for image in client.images.list() if mine & set(layers(image))]
        if others:
            sys.exit(f"these images share layers with what is measured; remove them first: {others}")
        if packages:
            for record in client.df().get("BuildCache") or []:
                if record["Type"] == "exec.cachemount" and "/tmp/torch-tf-matrix/" in record["Description"]:
                    by_id: Any = {"id": record["ID"]}
                    client.api.prune_builds(filters=by_id, all=True)

    def megabytes(self) -> float:
        return unique_megabytes(self._engine, self._tags)


def unique_megabytes(engine: DockerEngine, tags: list[str]) -> float:
    """Return the total size of images without their bases, counting shared layers once."""
    parts: dict[str, int] = {}
    for tag in tags:
        parts |= own_layers(engine, tag)
    return sum(parts.values()) / 1e6


def own_layers(engine: DockerEngine, tag: str) -> dict[str, int]:
    """Return {layer: bytes} of an image above its base."""
    parts = layers(engine.client.images.get(tag))
    locks = read_locks(ROOT / "envs")
    for python in {locks[row].python for row in ROWS}:
        for name in layers(engine.client.images.get(engine.base(python).reference)):
            parts.pop(name, None)
    return parts


def call(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command} ended with status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1, help="repeat this often and report the minimum")
    rounds = parser.parse_args().rounds
    locks = [read_locks(ROOT / "envs")[name] for name in ROWS]
    settings = IndexSettings.resolve()
    cores = os.cpu_count() or 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "naive").mkdir()
        engine = docker_engine(State(folder / "state"), settings, "auto", ROOT / "envs")
        engine.ready({lock.python for lock in locks})
        naive = Naive(engine, locks, settings, folder / "naive")
        ours = Ours(engine, locks, folder / "state")
        figures: dict[str, dict[str, float]] = {"naive": {}, "naive at once": {}, "ours": {}}

        def note(who: str, what: str, seconds: float) -> None:
            figures[who][what] = min(seconds, figures[who].get(what, seconds))

        for _ in range(rounds):
            ours.forget(packages=True)
            note("ours", "cold", timed(ours.build))
            ours.forget(packages=False)
            note("ours", "warm", timed(ours.build))
            note("ours", "unchanged", timed(ours.build))
            figures["ours"]["disk"] = ours.megabytes()
            for who, at_once in (("naive", 1), ("naive at once", cores)):
                naive.remove()
                note(who, "cold", timed(lambda n=at_once: naive.build(cached=False, at_once=n)))
                note(who, "warm", timed(lambda n=at_once: naive.build(cached=False, at_once=n)))
                note(who, "unchanged", timed(lambda n=at_once: naive.build(cached=True, at_once=n)))
                figures[who]["disk"] = naive.megabytes()
        naive.remove()
        report(figures, len(locks), cores)


def report(figures: dict[str, dict[str, float]], images: int, cores: int) -> None:
    mine = figures["ours"]
    print(f"| {images} images, {cores} cores | cold | warm package cache | nothing changed | disk, without bases |")
    print("|---|---|---|---|---|")
    print(
        f"| `matrix build --engine docker` | {mine['cold']:.1f} s | {mine['warm']:.1f} s | {mine['unchanged']:.1f} s "
        f"| {mine['disk']:.0f} MB |"
    )
    words = {"naive": "naive Dockerfiles, one after the other", "naive at once": f"the same, {cores} in parallel"}
    for who, text in words.items():
        row = figures[who]
        cells = " | ".join(f"{row[w]:.1f} s ({row[w] / mine[w]:.1f}×)" for w in ("cold", "warm", "unchanged"))
        print(f"| {text} | {cells} | {row['disk']:.0f} MB (ours is {mine['disk'] / row['disk']:.2f}×) |")
    print(f"\nunchanged, per image: {mine['unchanged'] / images:.2f} s")


if __name__ == "__main__":
    main()
