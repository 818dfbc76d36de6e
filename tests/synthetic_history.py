"""Histories that nothing had to run for: stores filled through SQLAlchemy, in seconds.

`write_history` makes a big one, plausible in its ids, payloads and changes; `plant` a small one of two nights with what
tests look for. Arrays are not kept: what comparing them gave is, as in a history that came from other machines, so that
the Judge really judges.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import synthetic_outcomes as outcomes
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    literal,
    select,
    update,
)
from synthetic_outcomes import MATCH, MISMATCH, Made, Numbers, Outcome, Surroundings

from matrix.judging import cells as results
from matrix.judging import comparisons as array_comparisons
from matrix.judging.reasons import known_reasons
from matrix.packages.lock import Lock, read_locks
from matrix.store import Store, schema
from matrix.store.state import State
from matrix.table import Config, load_config
from matrix.table.exporters import expand

ROOT = Path(__file__).resolve().parents[1]
FIRST_NIGHT = dt.datetime(2026, 9, 27, 2, 0, tzinfo=dt.UTC)

_AT_ONCE = 5_000
# A name for what a search for packages changed in a row: the pins of variants.
_VARIED = (("numpy", "1.23.5"), ("protobuf", "3.19.6"), ("numpy", "1.21.6"), ("protobuf", "3.20.3"))


@dataclass(frozen=True)
class Environment:
    """What stands for one, with what is installed in it."""

    name: str
    installed: Mapping[str, str]
    python: str = "3.9"
    lock: Lock | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        return _sha(self.name, sorted(self.installed.items()))

    def with_package(self, package: str, version: str) -> Environment:
        """The same after a package was released anew."""
        old = self.installed.get(package)
        lock = self.lock
        if lock is not None and old is not None:
            lock = replace(lock, body=lock.body.replace(f"{package}=={old} ", f"{package}=={version} "))
        return replace(self, installed={**self.installed, package: version}, lock=lock)


@dataclass(frozen=True)
class Square:
    """A cell: what it is made of, by name. `environments` are those of exporter and converter."""

    model: str
    exporter: str
    torch: str
    opset: int
    converter: str
    environments: tuple[str, str]

    @property
    def id(self) -> str:
        return f"{self.model}/{self.exporter}@{self.opset}/{self.converter}"

    @property
    def column(self) -> tuple[str, str, int]:
        return self.model, self.exporter, self.opset


class Writer:
    """Fills the store of a state folder. Nothing of it waits for the disk: what is lost can be made again."""

    def __init__(self, state: Path, table: Path = ROOT / "matrix.yml") -> None:
        self.state = State(state)
        state.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{self.state.database}"
        Store(url, self.state.blobs).close()  # makes the tables
        self.config: Config = load_config(table, known_reasons())
        self.locks = read_locks(table.parent / "envs")
        self.environments = {
            name: Environment(name, dict(lock.packages), lock.python, lock) for name, lock in self.locks.items()
        }
        self._engine = create_engine(url)
        event.listen(self._engine, "connect", _in_a_hurry)
        self._connection = self._engine.connect()
        self._observations: list[dict[str, Any]] = []
        self._count = self.runs = 0
        self._legs: dict[str, dict[str, Any]] = {}
        self._kept_legs: set[str] = set()
        self._tolerances = {
            model.id: asdict(results.tolerances_of(self.config, model.id)) for model in self.config.models
        }

    # -- rows

    def run(self, started: dt.datetime | None = None, **changes: Any) -> int:
        """A new run; its number. By default a night after the one before, complete."""
        self.runs += 1
        begun = started or FIRST_NIGHT + dt.timedelta(days=self.runs - 1)
        row: dict[str, Any] = {
            "id": self.runs,
            "started": begun,
            "ended": begun + dt.timedelta(minutes=90 + self.runs % 7),
            "status": "complete",
            "tier": "full",
            "engine": "docker",
            "command": "python -m matrix run --tier full",
            "planned": 0,
            "jobs_run": 0,
            "jobs_cached": 0,
            "host": {"state": "0" * 16, "matrix": "0.1.0", "python": "3.11.7", "system": "Linux x86_64"},
            "resolution": "then",
            **changes,
        }
        if "uid" in schema.RunRow.__table__.c:
            row.setdefault("uid", _sha("run", self.runs)[:32])
        self._connection.execute(insert(schema.RunRow), [row])
        return self.runs

    def end(self, run: int, planned: int, jobs_run: int, jobs_cached: int) -> None:
        values = {"planned": planned, "jobs_run": jobs_run, "jobs_cached": jobs_cached}
        self._connection.execute(update(schema.RunRow).where(schema.RunRow.id == run).values(**values))

    def observe(self, run: int, kind: str, environment: Environment, made: Made, job: str) -> int:
        """Store an observation; its number."""
        self._count += 1
        started = FIRST_NIGHT + dt.timedelta(days=run - 1, seconds=self._count % 5_000)
        self._observations.append(
            {
                "id": self._count,
                "run": run,
                "job": job,
                "kind": kind,
                "role": {"export": "exporter", "reference": "reference", "convert": "converter"}[kind],
                "environment": environment.name,
                "environment_id": environment.id,
                "finding": made.finding,
                "limits_seconds": 300.0,
                "limits_memory_mb": 6144,
                "bounded": made.bounded,
                "created": started,
                "payload": made.payload,
            }
        )
        if len(self._observations) >= _AT_ONCE:
            self.flush()
        return self._count

    def flush(self) -> None:
        """What is not in the database yet."""
        if self._observations:
            self._connection.execute(insert(schema.ObservationRow), self._observations)
            self._observations = []
        if self._legs:
            self._keep_legs()

    def cells(self, run: int, squares: Mapping[Square, tuple[int, int | None, int | None]]) -> None:
        """What the cells of a run rest on: export, reference, convert."""
        self.flush()
        rows = [{"run": run, **_cell(square), **_numbers(rests)} for square, rests in squares.items()]
        self._connection.execute(insert(schema.CellRow), rows)

    def resolution(self, run: int, environment: Environment) -> None:
        """The lock that a run made of an environment of now."""
        lock = environment.lock
        assert lock is not None
        kept = select(schema.LockRow.digest).where(schema.LockRow.digest == lock.digest)
        if self._connection.execute(kept).first() is None:
            columns = ("digest", "role", "python", "outcome", "body", "explanation")
            self._connection.execute(insert(schema.LockRow), [{column: getattr(lock, column) for column in columns}])
        row = {
            "run": run,
            "name": environment.name,
            "as_of": (FIRST_NIGHT + dt.timedelta(days=run - 1)).date(),
            "request": lock.request,
            "resolver": lock.resolver,
            "find_links": lock.find_links,
            "lock": lock.digest,
        }
        self._connection.execute(insert(schema.ResolutionRow), [row])

    def log(self, text: str) -> str:
        """Keep a log; its name."""
        data = text.encode()
        name = hashlib.sha256(data).hexdigest()
        path = self.state.blobs / name[:2] / name[2:]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return name

    # -- jobs

    def export(self, run: int, square: Square, outcome: Outcome = MATCH, log: str = outcomes.EMPTY_LOG) -> int:
        where = self._surroundings("export", square, square.environments[0], log)
        torch, file = _sha("torch", square.column), _sha("file", square.column)
        self._leg(square.model, torch, torch, False, _equal())
        made = outcomes.exported(outcome, where, square.opset, torch, file)
        return self.observe(run, "export", self.environments[square.environments[0]], made, where.job)

    def reference(self, run: int, square: Square) -> int:
        where = self._surroundings("reference", square, "reference", outcomes.EMPTY_LOG)
        torch, reference = _sha("torch", square.column), _sha("reference", square.column)
        self._leg(square.model, reference, reference, False, _equal())
        self._leg(square.model, torch, reference, True, _close(square.column))
        made = outcomes.referred(where, reference)
        return self.observe(run, "reference", self.environments["reference"], made, where.job)

    def convert(
        self,
        run: int,
        square: Square,
        outcome: Outcome = MATCH,
        log: str = outcomes.EMPTY_LOG,
        environment: Environment | None = None,
    ) -> int:
        environment = environment or self.environments[square.environments[1]]
        self.environments[environment.name] = environment
        where = self._surroundings("convert", square, environment.name, log)
        # Rows of one TensorFlow compute the same bits.
        memory = _sha("memory", square.column, environment.installed.get("numpy"), square.converter, outcome)
        if isinstance(outcome, Numbers):
            reference = _sha("reference", square.column)
            self._leg(square.model, memory, memory, False, _equal())
            leg = _apart(memory) if outcome.differ else _close(memory)
            self._leg(square.model, reference, memory, False, leg)
        seconds = 3 + int(memory[:4], 16) / 6_000
        made = outcomes.converted(outcome, where, memory, seconds)
        return self.observe(run, "convert", environment, made, where.job)

    def close(self) -> None:
        self.flush()
        self._connection.commit()
        self._connection.close()
        self._engine.dispose()

    @property
    def connection(self) -> Any:
        return self._connection

    def _surroundings(self, kind: str, square: Square, name: str, log: str) -> Surroundings:
        environment = self.environments[name]
        parts = (kind, square.column, square.converter if kind == "convert" else "", environment.id)
        return Surroundings(_sha(*parts), environment.installed, f"{environment.python}.18", log)

    def _leg(self, model: str, one: str, two: str, by_position: bool, leg: Mapping[str, Any]) -> None:
        parts = [one, two, by_position, self._tolerances[model]]
        self._legs[json.dumps(parts, sort_keys=True)] = dict(leg)

    def _keep_legs(self) -> None:
        """Where the store keeps what other machines compared, there; else as if this machine had compared it."""
        kept = getattr(schema, "ComparisonRow", None)
        table = kept or schema.DerivedRow
        rows = {}
        for text, leg in self._legs.items():
            parts = json.loads(text)
            parts = parts if kept else [array_comparisons.method(), *parts]
            rows[hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()] = leg
        fresh = [{"key": key, "value": leg} for key, leg in rows.items() if key not in self._kept_legs]
        if fresh:
            self._connection.execute(insert(table), fresh)
        self._kept_legs |= rows.keys()
        self._legs = {}


# -- a big one


def write_history(state: Path, cells: int = 50_000, runs: int = 60, seed: int = 1) -> None:
    """A store of `runs` nights, each of `cells` cells of every verdict, of which one in a hundred is measured anew each
    night because an environment changed, and one in a thousand says nothing for a night."""
    chance = random.Random(seed)
    writer = Writer(state)
    squares = list(_squares(writer, cells))
    by_row: dict[str, list[int]] = {}
    for index, square in enumerate(squares):
        by_row.setdefault(square.converter, []).append(index)
    logs = [writer.log(text) for text in _logs(chance)]
    moved = sorted({name for square in squares for name in square.environments if "~now" in name})

    # Made anew at the end, in one go.
    indexes = [index for index in inspect(schema.CellRow).local_table.indexes if not index.unique]
    for index in indexes:
        index.drop(writer.connection)
    run = writer.run(resolution="both", as_of=FIRST_NIGHT.date())
    current = _first_night(writer, run, squares, chance, logs)
    keeper = _Current(writer, squares, current)
    keeper.decide(run)
    writer.end(run, cells, len(squares) * 2, 0)
    for name in moved:
        writer.resolution(run, writer.environments[name])

    restless: dict[int, tuple[int, Outcome]] = {}
    outcome_of = {index: outcome for index, (_, outcome) in current.items()}
    for number in range(1, runs):
        started = FIRST_NIGHT + dt.timedelta(days=number)
        run = writer.run(started, resolution="both", as_of=started.date())
        changed = {index: (rests, outcome) for index, (rests, outcome) in restless.items()}
        row = chance.choice(sorted(by_row))
        measured = [index for index in by_row[row] if current[index][0][2] is not None][: max(1, cells // 100)]
        environment = _released(writer, squares[by_row[row][0]].environments[1], number)
        good = sum(outcome_of[index] == MATCH for index in measured)
        turn = "stays" if number % 5 == 0 else "breaks" if 4 * good > len(measured) else "mends"
        broken = chance.choice(outcomes.ERRORS)
        for index in measured:
            outcome = _turned(outcome_of[index], turn, broken)
            export, reference, _ = current[index][0]
            convert = writer.convert(run, squares[index], outcome, chance.choice(logs), environment)
            changed[index] = ((export, reference, convert), outcome)
        restless = {}
        for index in chance.sample(range(len(squares)), max(1, cells // 1_000)):
            before = changed.get(index, current[index])
            if before[0][2] is not None:
                restless[index] = before
                convert = writer.convert(run, squares[index], outcomes.INFRA)
                changed[index] = ((before[0][0], before[0][1], convert), outcomes.INFRA)
        current |= changed
        outcome_of |= {index: outcome for index, (_, outcome) in changed.items()}
        keeper.change(changed)
        keeper.decide(run)
        jobs = len(measured) + len(restless)
        writer.end(run, cells, jobs, 2 * cells - jobs)
        for name in moved:
            writer.resolution(run, writer.environments[name])
    for index in indexes:
        index.create(writer.connection)
    writer.close()


_Rests = tuple[int, int | None, int | None]


class _Current:
    """What every cell rests on tonight, in a table of its own, so that a night of fifty thousand cells is one
    statement."""

    _columns = ("cell", "model", "exporter", "torch", "opset", "converter", "export", "reference", "convert")

    def __init__(
        self, writer: Writer, squares: Sequence[Square], current: Mapping[int, tuple[_Rests, Outcome]]
    ) -> None:
        self._writer = writer
        self._table = Table(
            "tonight",
            MetaData(),
            Column("id", Integer, primary_key=True),
            *(
                Column(name, Integer if name in ("opset", "export", "reference", "convert") else String(500))
                for name in self._columns
            ),
            prefixes=["TEMPORARY"],
        )
        self._table.create(writer.connection)
        rows = [{"id": index, **_cell(square), **_numbers(current[index][0])} for index, square in enumerate(squares)]
        writer.connection.execute(insert(self._table), rows)

    def change(self, changed: Mapping[int, tuple[_Rests, Outcome]]) -> None:
        for index, (rests, _) in changed.items():
            where = update(self._table).where(self._table.c.id == index)
            self._writer.connection.execute(where.values(**_numbers(rests)))

    def decide(self, run: int) -> None:
        self._writer.flush()
        chosen = [self._table.c[name] for name in self._columns]
        query = select(literal(run), *chosen).order_by(self._table.c.id)
        self._writer.connection.execute(insert(schema.CellRow).from_select(["run", *self._columns], query))


def _first_night(
    writer: Writer, run: int, squares: Sequence[Square], chance: random.Random, logs: Sequence[str]
) -> dict[int, tuple[_Rests, Outcome]]:
    exports: dict[tuple[str, str, int], int] = {}
    references: dict[tuple[str, str, int], int | None] = {}
    releases = {release.version: release.opset for release in writer.config.onnx}
    temper = {name: chance.random() for name in sorted({square.converter for square in squares})}
    found: dict[int, tuple[_Rests, Outcome]] = {}
    for index, square in enumerate(squares):
        if square.column not in exports:
            fails = chance.random() < 0.05
            exports[square.column] = writer.export(
                run, square, outcomes.EXPORT_FAILED if fails else MATCH, chance.choice(logs)
            )
            references[square.column] = None if fails else writer.reference(run, square)
        export, reference = exports[square.column], references[square.column]
        if reference is None:
            found[index] = ((export, None, None), outcomes.EXPORT_FAILED)
            continue
        outcome = _drawn(square, temper, releases, writer, chance)
        convert = writer.convert(run, square, outcome, chance.choice(logs))
        found[index] = ((export, reference, convert), outcome)
    return found


def _drawn(
    square: Square, temper: Mapping[str, float], releases: Mapping[str, int], writer: Writer, chance: random.Random
) -> Outcome:
    """Some rows cannot be imported at all; onnx reads no opset newer than itself."""
    mood = temper[square.converter]
    if mood < 0.08:
        return outcomes.ERRORS[int(mood * 25) % 2]
    onnx = writer.environments[square.environments[1]].installed.get("onnx", "")
    if square.opset > releases.get(onnx, 99) and chance.random() < 0.6:
        return outcomes.UNSUPPORTED
    return chance.choices(list(outcomes.WEIGHTS), list(outcomes.WEIGHTS.values()))[0]


def _turned(before: Outcome, turn: str, broken: Outcome) -> Outcome:
    if turn == "breaks" and before == MATCH:
        return broken
    if turn == "mends" and before in (*outcomes.ERRORS, outcomes.UNSUPPORTED):
        return MATCH
    return before


def _released(writer: Writer, name: str, number: int) -> Environment:
    """The environment with one of its packages in a newer version."""
    environment = writer.environments[name]
    package = "protobuf" if number % 3 else "numpy"
    return environment.with_package(package, f"{4 + number // 10}.{number % 10}.{number}")


def _squares(writer: Writer, cells: int) -> Iterator[Square]:
    """`cells` cells of the table's models, exporters and rows: rows at their own time, of now, and with other pins."""
    models = [model.id for model in writer.config.models]
    models = models[: max(2, min(len(models), cells // 1_000))]
    columns = [
        (exporter, opset)
        for exporter in expand(writer.config)
        if exporter.via != "builder"
        for opset in exporter.askable
    ]
    share = -(-cells // len(models))
    rows = [row.id for row in writer.config.converters]
    moved = [f"{row}~now" for row in rows]
    varied = [f"{row}+{package}{version}" for package, version in _VARIED for row in rows]
    if share < 400:
        rows, moved = rows[3::4], moved[3::8]
    _make(writer, [*moved, *varied])
    wanted = max(1, min(len(columns), share // len([*rows, *moved])))
    columns = [columns[index * len(columns) // wanted] for index in range(wanted)]
    exporters = [exporter.row for exporter, _ in columns]
    _make(writer, [f"{name}~now" for name in exporters])
    names = [*rows, *moved, *varied]
    left = cells
    for place, model in enumerate(models):
        here = left // (len(models) - place)
        left -= here
        squares = [
            Square(model, exporter.id, exporter.torch, opset, row, (exporter.row, row))
            for row in names
            for exporter, opset in columns
        ]
        # Of every exporter and opset one cell has an exporter of now.
        squares[here - len(columns) :] = [
            Square(model, f"{exporter.id}~now", exporter.torch, opset, rows[-1], (f"{exporter.row}~now", rows[-1]))
            for exporter, opset in columns
        ]
        assert len(squares) >= here, f"the table has no {cells} cells"
        yield from sorted(squares[:here], key=lambda square: square.id)


def _make(writer: Writer, names: Iterable[str]) -> None:
    """Environments made of the table's: of now, or with a package of another version."""
    for name in names:
        if name in writer.environments:
            continue
        stem = writer.environments[name.partition("~")[0].partition("+")[0]]
        made = replace(stem, name=name, lock=replace(stem.lock, name=name) if stem.lock else None)
        if "~" in name:
            made = made.with_package("protobuf", "5.29.1")
        else:
            change = name.partition("+")[2]
            package, version = next(item for item in _VARIED if "".join(item) == change)
            made = made.with_package(package, version)
            writer.state.locks.mkdir(exist_ok=True)
            assert made.lock is not None
            (writer.state.locks / f"{name}.lock").write_text(made.lock.text())
        writer.environments[name] = made


def _logs(chance: random.Random) -> Iterator[str]:
    """Most jobs print nothing or little; some print a lot."""
    for _ in range(40):
        yield ""
    for number in range(160):
        lines = 4 + int(2 ** chance.uniform(0, 7))
        yield "".join(
            f"2026-11-26 02:{number % 60:02}:{line % 60:02} W tensorflow/core/{number}: node Conv_{line} was given "
            f"a constant of {chance.randrange(10**6)} elements\n"
            for line in range(lines)
        )
    yield "".join(f"{line}: Warning: the shape inference of node {line} gave nothing\n" for line in range(60_000))


# -- a small one

HOSTILE_LINE = "<script>alert(1)</script>"
HOSTILE_NODE = "Conv_\"'\u202e_1<img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class Planted:
    """Ids of the cells of two nights: `broke` matched in the first and not in the second, all in one row and one way;
    `mended` is the other way round; `infra` matched and could not be measured again. `hostile` has a log and a message
    that mean harm, `long` a log of about `long_bytes`."""

    broke: tuple[str, ...]
    infra: str
    mended: str
    hostile: str
    long: str
    long_bytes: int
    row: str


def plant(state: Path, table: Path = ROOT / "matrix.yml", long_bytes: int = 20 << 20) -> Planted:
    """Two nights of some dozen cells, all ten verdicts among them."""
    writer = Writer(state, table)
    rows = [row.id for row in writer.config.converters][4:12]
    columns = (("torch-1.8.1", "1.8.1", 11), ("torch-1.8.1", "1.8.1", 13), ("torch-1.12.1", "1.12.1", 13))
    models = [model.id for model in writer.config.models][:3]
    squares = [
        Square(model, exporter, torch, opset, row, (exporter, row))
        for model in models
        for exporter, torch, opset in columns
        for row in rows
    ]
    special: tuple[Outcome, ...] = (
        *(MISMATCH, outcomes.UNSUPPORTED, outcomes.ERRORS[3], outcomes.CRASH, outcomes.OOM, outcomes.TIMEOUT),
        *(outcomes.UNSATISFIABLE, outcomes.UNAVAILABLE),
    )
    broken, others = rows[0], [square for square in squares if square.converter != rows[0]]
    drawn: dict[Square, Outcome] = dict.fromkeys(squares, MATCH)
    drawn |= dict(zip(others[:: len(others) // 12], special, strict=False))
    mended, infra, hostile, long = others[3], others[6], others[-1], others[-2]
    harm = outcomes.Raised(
        "convert", "builtins.RuntimeError", f"node {HOSTILE_NODE} cannot be converted\n{HOSTILE_LINE}"
    )
    drawn |= {mended: outcomes.ERRORS[4], infra: MATCH, hostile: harm, long: outcomes.CRASH}
    logs = {
        hostile: writer.log(f"first line\n{HOSTILE_LINE}\n</script><script>alert(3)</script>\n\u2028{HOSTILE_NODE}\n"),
        long: writer.log(_long(long_bytes)),
    }
    first = writer.run(tier="quick", command="python -m matrix run")
    exports: dict[tuple[str, str, int], tuple[int, int]] = {}
    rests: dict[Square, _Rests] = {}
    for square, outcome in drawn.items():
        if square.column not in exports:
            exports[square.column] = (writer.export(first, square), writer.reference(first, square))
        log = logs.get(square, outcomes.EMPTY_LOG)
        rests[square] = (*exports[square.column], writer.convert(first, square, outcome, log))
    writer.cells(first, rests)
    writer.end(first, len(rests), len(rests) + 2 * len(exports), 0)

    second = writer.run(tier="quick", command="python -m matrix run")
    changed = writer.environments[broken].with_package("protobuf", "4.21.1")
    broke = [square for square in squares if square.converter == broken]
    for square in broke:
        rests[square] = (*rests[square][:2], writer.convert(second, square, outcomes.PROTOBUF, environment=changed))
    rests[mended] = (*rests[mended][:2], writer.convert(second, mended))
    rests[infra] = (*rests[infra][:2], writer.convert(second, infra, outcomes.INFRA))
    writer.cells(second, rests)
    writer.end(second, len(rests), len(broke) + 2, len(rests))
    writer.log("")
    writer.close()
    return Planted(tuple(square.id for square in broke), infra.id, mended.id, hostile.id, long.id, long_bytes, broken)


def _long(size: int) -> str:
    line = f"W0000 {HOSTILE_LINE} a line among many\n"
    return f"the first line\n{line * (size // len(line))}the last line\n"


# -- pieces


def _in_a_hurry(connection: Any, _record: Any) -> None:
    for setting in ("synchronous=OFF", "journal_mode=MEMORY", "cache_size=-200000", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {setting}")


def _sha(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _cell(square: Square) -> dict[str, Any]:
    return {
        "cell": square.id,
        "model": square.model,
        "exporter": square.exporter,
        "torch": square.torch,
        "opset": square.opset,
        "converter": square.converter,
    }


def _numbers(rests: _Rests) -> dict[str, int | None]:
    return dict(zip(("export", "reference", "convert"), rests, strict=True))


def _equal() -> dict[str, Any]:
    return _found(None, "All elements lie within the tolerance (400 in 5 outputs).", 0.0)


def _close(seed: object) -> dict[str, Any]:
    far = 1e-8 + int(_sha(seed)[:4], 16) * 1e-11
    return _found(None, "All elements lie within the tolerance (400 in 5 outputs).", far)


def _apart(seed: object) -> dict[str, Any]:
    far = 0.01 + int(_sha(seed)[:4], 16) * 1e-5
    return _found("values-differ", f"output mask: 212 of 400 elements differ, the largest by {far:.3g}.", far)


def _found(reason: str | None, detail: str, far: float) -> dict[str, Any]:
    metrics = {
        "elements": 400,
        "max_abs": far,
        "max_rel": far * 20,
        "mean_abs": far / 5,
        "rmse": far / 3,
        "cosine": 1.0 if reason is None else 0.91,
        "snr_db": round(80 - far, 3) if far else "inf",
        "mismatch_share": 0.53 if reason else 0.0,
        "top1_agreement": None,
        "tightest": far * 3,
        "margin": round(1e-3 / (far * 3), 5) if far else "inf",
    }
    where = "0/mask" if reason else None
    return {"reason": reason, "detail": detail, "metrics": metrics, "hints": [], "blind": False, "where": where}
