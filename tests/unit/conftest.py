"""Shared by the unit tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here survives a power cut anyway, and other work on the machine's disk would decide how long it takes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
