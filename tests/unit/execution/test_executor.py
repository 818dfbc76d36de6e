"""The data that an executor takes and gives survives JSON unchanged."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
import small
from hypothesis import given
from hypothesis import strategies as st

from matrix.execution.job_identity import Job
from matrix.families.onnx_tf import OnnxTf
from matrix.packages.lock import Lock
from matrix.store.records import Exit, Observation, Obstacle, Pass, PassRecord

texts = st.text(max_size=20)
names = st.text("abc019._-", min_size=1, max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
tuples = st.lists(names, max_size=3).map(tuple)
passes = st.builds(Pass, names, tuples, tuples, names, names, names, names, texts)
jobs = st.builds(
    Job,
    names,
    names,
    st.dictionaries(names, plain, max_size=4),
    st.dictionaries(names, names, max_size=4),
    st.lists(passes, max_size=3).map(tuple),
    st.booleans(),
    names,
)
dates = st.dates(dt.date(2015, 1, 1), dt.date(2030, 1, 1))
locks = st.builds(
    Lock,
    name=names,
    role=st.sampled_from(["exporter", "converter", "reference"]),
    request=names,
    python=names,
    as_of=dates,
    newest_pin=st.none() | dates,
    resolver=texts,
    outcome=st.sampled_from(["resolved", "unsatisfiable"]),
    body=texts,
    explanation=texts,
    find_links=st.booleans(),
)
exits = st.builds(Exit, st.none() | st.integers(0, 255), st.none() | st.integers(1, 64), st.booleans())
records = st.builds(
    PassRecord,
    name=names,
    result=st.none() | st.dictionaries(names, plain, max_size=4),
    exit=st.none() | exits,
    stopped=st.sampled_from([None, "timeout", "memory"]),
    released=st.booleans(),
    seconds=st.floats(0, 1e6),
    log=names,
    files=st.dictionaries(names, names, max_size=3),
    artifact=names,
)
obstacles = st.builds(
    Obstacle,
    st.sampled_from(["lock", "build", "model", "run"]),
    st.sampled_from(["unsatisfiable", "error", "infra", "unavailable"]),
    names,
    texts,
)
observations = st.builds(
    Observation,
    job=names,
    kind=names,
    role=st.sampled_from(["exporter", "converter", "reference"]),
    environment=names,
    environment_id=names,
    limits_seconds=st.floats(0, 1e6),
    limits_memory_mb=st.integers(0, 10**6),
    passes=st.lists(records, max_size=3).map(tuple),
    obstacle=st.none() | obstacles,
    installed=st.dictionaries(names, names, max_size=3),
    python=names,
    created=st.datetimes(timezones=st.just(dt.UTC)),
    id=st.none() | st.integers(0, 10**6),
    run=st.none() | st.integers(0, 10**6),
    family=names,
)


def through_json(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


@given(jobs)
def test_jobs(job: Job) -> None:
    found = Job.from_document(through_json(job.document()))
    assert found.document() == job.document() and found.passes == job.passes


@given(locks)
def test_locks(lock: Lock) -> None:
    assert Lock.from_document(through_json(lock.document())) == lock


@given(observations)
def test_observations(observation: Observation) -> None:
    assert Observation.from_document(through_json(observation.document())) == observation


def test_another_schema_is_refused() -> None:
    job = Job("x", "convert", {}, {}, (OnnxTf().converts,))
    for kind, document in (
        (Job, job.document()),
        (Lock, small.lock("old").document()),
        (Observation, small.observation().document()),
    ):
        with pytest.raises(ValueError, match="schema"):
            kind.from_document({**document, "schema": 99})
