"""Environment variables of every worker, with any engine: runs are reproducible, and GPUs are hidden."""

from __future__ import annotations

WORKER = {
    "PYTHONNOUSERSITE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONIOENCODING": "utf-8",
    "CUDA_VISIBLE_DEVICES": "-1",
}
