"""All reasons of findings: the ids of the signatures, and those that the driver and the judge give."""

from __future__ import annotations

from matrix.judging import signatures

# Given by outcome.py, judge.py, compare.py, the lanes and the engines.
OWN = frozenset(
    {
        "arrays-missing",
        "arrays-unreadable",
        "base-changed",
        "base-missing",
        "checkpoint-not-trusted",
        "died-after-result",
        "disk-full",
        "driver-fault",
        "engine-error",
        "engine-lost",
        "exit-without-result",
        "forward-failed",
        "inf-mask",
        "installed-differs-from-lock",
        "interpreter-missing",
        "killed-from-outside",
        "memory-limit",
        "model-code-failed",
        "model-unusable",
        "nan-mask",
        "no-result",
        "no-solution",
        "not-deterministic",
        "not-observed",
        "not-started",
        "output-count",
        "output-dtype",
        "output-names",
        "output-shape",
        "time-limit",
        "unrecognised",
        "values-differ",
    }
)

# Where no signature matches, a process that died of a signal has its name as the reason.
SIGNALS = frozenset({"sigsegv", "sigabrt", "sigbus", "sigfpe", "sigill", "sigtrap", "sigsys", "sigterm"})

# Reasons that say no more than the signal, or that there was no result.
BARE = SIGNALS | {"exit-without-result", "no-result", "unrecognised"}


def known_reasons() -> frozenset[str]:
    """Return the reasons that `expect` in matrix.yml may name."""
    return OWN | SIGNALS | signatures.ids()
