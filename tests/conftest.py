"""Makes what unit tests, browser tests and benchmarks share importable: synthetic_history."""

import signal

# A shell starts what runs in the background deaf to Ctrl-C, and so would be what tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
