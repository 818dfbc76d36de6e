"""Makes what unit tests, browser tests and benchmarks share importable: synthetic_history."""
