"""An observation as the Cell page shows it: the passes with their stages, errors and logs."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from typing import Any

from matrix.outputs.dashboard.environments import Environments
from matrix.outputs.dashboard.logs import Logs
from matrix.outputs.privacy import SiteCleaner
from matrix.store import Observation, PassRecord

# Cells come in the order of their ids, so that those of one export are neighbours.
_REMEMBERED = 4096
_MESSAGE, _TRACEBACK = 8_000, 24_000


class Observed:
    """Encodes observations, those that many cells share once."""

    def __init__(self, logs: Logs, environments: Environments, cleaner: SiteCleaner) -> None:
        self._logs = logs
        self._environments = environments
        self._cleaner = cleaner
        self._known: OrderedDict[int, str] = OrderedDict()

    def encoded(self, observation: Observation) -> str:
        """JSON, of an object that still lacks its `run`."""
        if observation.id is None:
            return self._encode(observation)
        if observation.id in self._known:
            self._known.move_to_end(observation.id)
        else:
            self._known[observation.id] = self._encode(observation)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[observation.id]

    def _encode(self, observation: Observation) -> str:
        obstacle = observation.obstacle
        return self._cleaner.encoded(
            {
                "role": observation.role,
                "kind": observation.kind,
                "environment": observation.environment,
                "environment_shard": self._environments.take(observation)[0],
                "python": observation.python,
                "created": observation.created.replace(tzinfo=observation.created.tzinfo or dt.UTC).isoformat(),
                "obstacle": obstacle
                and {
                    "stage": obstacle.stage,
                    "kind": obstacle.kind,
                    "reason": obstacle.reason,
                    "text": shortened(obstacle.text, _TRACEBACK),
                },
                "passes": [self._pass(record) for record in observation.passes],
            }
        )

    def _pass(self, record: PassRecord) -> dict[str, Any]:
        result = record.result or {}
        error = result.get("error")
        return {
            "name": record.name,
            "seconds": record.seconds,
            "stopped": record.stopped,
            "exit": None
            if record.exit is None
            else {"code": record.exit.code, "signal": record.exit.signal, "oom": record.exit.oom},
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


def _stage(stage: dict[str, Any]) -> dict[str, Any]:
    seconds = stage.get("seconds")
    return {
        "stage": str(stage.get("stage", ""))[:60],
        "status": str(stage.get("status", ""))[:60],
        "seconds": seconds if isinstance(seconds, int | float) else None,
    }


def shortened(text: str, most: int) -> str:
    """Beginning and end of what is too long: an error says what it is in one of the two."""
    if len(text) <= most:
        return text
    head = most // 4
    left_out = len(text) - most
    return f"{text[:head]}\n… {left_out:,} characters left out …\n{text[head - most :]}"
