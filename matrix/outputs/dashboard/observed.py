"""Observations as the Cell page shows them: the passes with their stages, errors and logs."""

from __future__ import annotations

import datetime as dt
from typing import Any

from matrix.outputs.dashboard.environments import Environments
from matrix.outputs.dashboard.logs import Logs
from matrix.outputs.dashboard.schema import ObservedShape, PassShape, StageShape
from matrix.outputs.privacy import SiteCleaner
from matrix.store import Observation, PassRecord

# Cells are taken in the order of their ids, so those of one export are neighbours.
_REMEMBERED = 4096
_MESSAGE, _TRACEBACK = 8_000, 24_000


class Observed:
    """Encodes observations; those that neighbouring cells share are encoded once."""

    def __init__(self, logs: Logs, environments: Environments, cleaner: SiteCleaner) -> None:
        self._logs = logs
        self._environments = environments
        self._cleaner = cleaner
        self._known: dict[int, str] = {}

    def encoded(self, observation: Observation) -> str:
        """Return an ObservedShape as JSON."""
        if observation.id is None:
            return self._encode(observation)
        if observation.id not in self._known:
            if len(self._known) == _REMEMBERED:
                self._known.clear()
            self._known[observation.id] = self._encode(observation)
        return self._known[observation.id]

    def _encode(self, observation: Observation) -> str:
        obstacle, created = observation.obstacle, observation.created
        observed: ObservedShape = {
            "role": observation.role,
            "kind": observation.kind,
            "environment": observation.environment,
            "environment_shard": self._environments.take(observation)[0],
            "python": observation.python,
            "created": created.replace(tzinfo=created.tzinfo or dt.UTC).isoformat(),
            "obstacle": None
            if obstacle is None
            else {
                "stage": obstacle.stage,
                "kind": obstacle.kind,
                "reason": obstacle.reason,
                "text": shortened(obstacle.text, _TRACEBACK),
            },
            "passes": [self._pass(record) for record in observation.passes],
        }
        return self._cleaner.encoded(observed)

    def _pass(self, record: PassRecord) -> PassShape:
        result, ended = record.result or {}, record.exit
        error = result.get("error")
        return {
            "name": record.name,
            "seconds": record.seconds,
            "stopped": record.stopped,
            "exit": None if ended is None else {"code": ended.code, "signal": ended.signal, "oom": ended.oom},
            "stages": [_stage(stage) for stage in result.get("stages") or () if isinstance(stage, dict)],
            "error": None
            if not isinstance(error, dict)
            else {
                "type": str(error.get("type", ""))[:300],
                "message": shortened(str(error.get("message", "")), _MESSAGE),
                "traceback": shortened(str(error.get("traceback", "")), _TRACEBACK),
            },
            "log": self._logs.take(record.log),
        }


def _stage(stage: dict[str, Any]) -> StageShape:
    seconds = stage.get("seconds")
    return {
        "stage": str(stage.get("stage", ""))[:60],
        "status": str(stage.get("status", ""))[:60],
        "seconds": seconds if isinstance(seconds, int | float) else None,
    }


def shortened(text: str, most: int) -> str:
    """Cut the middle out of a text that is too long: an error is named at its beginning or its end."""
    if len(text) <= most:
        return text
    head = most // 4
    left_out = len(text) - most
    return f"{text[:head]}\n… {left_out:,} characters left out …\n{text[head - most :]}"
