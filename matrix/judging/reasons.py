"""All reasons of findings: the ids of the signatures, and those that the driver and the judge give."""

from __future__ import annotations

from matrix.judging import signature_file as signatures

OWN = frozenset((
    # By compare.py.
    "inf-mask", "nan-mask", "output-count", "output-dtype", "output-names", "output-shape", "values-differ",
    # By judge.py.
    "arrays-missing", "arrays-unreadable", "not-deterministic", "not-observed",
    # By outcome.py.
    "died-after-result", "exit-without-result", "forward-failed", "killed-from-outside", "memory-limit",
    "model-code-failed", "no-result", "not-started", "time-limit", "unrecognised",
    # By the driver and the engines.
    "base-changed", "base-missing", "checkpoint-not-trusted", "disk-full", "driver-fault", "engine-error",
    "engine-lost", "installed-differs-from-lock", "interpreter-missing", "model-unusable", "no-solution",
))  # fmt: skip

# Where no signature matches, a process that died of a signal has its name as the reason.
SIGNALS = frozenset({"sigsegv", "sigabrt", "sigbus", "sigfpe", "sigill", "sigtrap", "sigsys", "sigterm"})

# Reasons that say no more than the signal, or that there was no result.
BARE = SIGNALS | {"exit-without-result", "no-result", "unrecognised"}


def known_reasons() -> frozenset[str]:
    """Return the reasons that `expect` in matrix.yml may name."""
    return OWN | SIGNALS | signatures.ids()
