"""Time calls."""

import time


class Watch:
    """Time calls; the first, in which a framework warms up, counts only if it is the only one."""

    def __init__(self):
        self._seconds = []

    def call(self, function, *arguments, **named):
        started = time.perf_counter()
        value = function(*arguments, **named)
        self._seconds.append(time.perf_counter() - started)
        return value

    def fastest(self):
        return round(min(self._seconds[1:] or self._seconds), 6)
