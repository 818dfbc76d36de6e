"""What every worker is given, whichever engine starts it: the same run twice, and nothing of the machine's GPUs."""

from __future__ import annotations

WORKER = {
    "PYTHONNOUSERSITE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONIOENCODING": "utf-8",
    "CUDA_VISIBLE_DEVICES": "-1",
}
