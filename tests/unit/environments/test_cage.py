"""What the engine is asked to keep a job from; that it does so is an integration test's business."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.environments.docker.cage import job_user, restrictions
from matrix.environments.docker.client import Facts
from matrix.table.model import Limits

FACTS = Facts(
    version="20.10.24",
    podman=False,
    rootless=False,
    cgroup="1",
    cpus=2,
    limits_cpus=True,
    driver="overlay2",
    root=None,
    address="its usual socket",
)


def asked(facts: Facts = FACTS, memory_mb: int = 3000) -> dict[str, Any]:
    places = (Path(f"/state/{name}") for name in ("inbox", "outbox", "converter", "job.sh"))
    return restrictions(facts, Limits(seconds=60, memory_mb=memory_mb), *places)


def test_nothing_is_granted() -> None:
    cage = asked()
    assert cage["network_mode"] == "none"
    assert cage["read_only"] is True
    assert cage["cap_drop"] == ["ALL"]
    assert cage["security_opt"] == ["no-new-privileges"]
    assert cage.keys().isdisjoint({"privileged", "cap_add", "devices", "pid_mode", "ipc_mode", "binds"})


def test_the_outbox_alone_can_be_written() -> None:
    mounts = asked()["mounts"]
    assert {mount["Target"]: mount["Source"] for mount in mounts if not mount["ReadOnly"]} == {
        "/matrix/outbox": "/state/outbox"
    }
    assert {mount["Type"] for mount in mounts} == {"bind"}
    assert len(mounts) == 4


def test_memory_has_no_swap_beside_it() -> None:
    cage = asked(memory_mb=3000)
    assert cage["mem_limit"] == cage["memswap_limit"] == "3000m"


@pytest.mark.parametrize("cpus", [1, 2, 64, 1000])
def test_processes_are_limited_on_every_machine(cpus: int) -> None:
    assert 512 <= asked(replace(FACTS, cpus=cpus))["pids_limit"] <= 4096
    assert 0 < asked(replace(FACTS, cpus=cpus))["nano_cpus"] <= cpus * 10**9


def test_an_engine_that_cannot_limit_cores_is_not_asked_to() -> None:
    assert asked(replace(FACTS, limits_cpus=False))["nano_cpus"] is None


@pytest.mark.parametrize(
    ("uid", "rootless", "user"),
    [(0, False, "65534:65534"), (1000, False, "1000:100"), (1000, True, "65534:65534"), (0, True, "65534:65534")],
)
def test_a_job_is_never_root(monkeypatch: pytest.MonkeyPatch, uid: int, rootless: bool, user: str) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    assert job_user(replace(FACTS, rootless=rootless)) == user
