"""Describe an exception as plain data, which can be judged elsewhere and keeps nothing alive, with the line of the
user's code that it originates from."""

import linecache
import os
import traceback

MESSAGE_LIMIT = 20000
TRACEBACK_LIMIT = 100000
CODE_LIMIT = 500

# The folder of a job that holds a user's modules.
SOURCE = "source"


class UsersMistake(Exception):
    """Something a user provided is wrong, though its own code raised nothing. `place`: the (path, line, function) it
    originates from, or None."""

    place = None

    def at(self, place):
        self.place = place
        return self


def describe(problem, inbox=None):
    """Return {"type", "mro", "message", "traceback", "user"} of an exception and its causes, each text cut to a limit.

    `user` is {"file", "line", "function", "code"} of the innermost frame in the user's files of the job in `inbox`
    (`file` relative to them), or None.
    """
    kind = type(problem)
    lines = traceback.format_exception(kind, problem, problem.__traceback__)
    try:
        message = str(problem)
    except Exception as unprintable:
        message = "<message not printable: %s>" % type(unprintable).__name__
    return {
        "type": _name(kind),
        "mro": [_name(base) for base in kind.__mro__],
        "message": _clip(message, MESSAGE_LIMIT),
        "traceback": _clip("".join(lines), TRACEBACK_LIMIT),
        "user": _users_line(problem, source_folder(inbox)) if inbox is not None else None,
    }


def source_folder(inbox):
    """Return the absolute path that a job's user files are relative to: its source/, or the inbox if it has none."""
    # Symbolic links are not resolved: a file may be a link into a store.
    source = os.path.abspath(os.path.join(inbox, SOURCE))
    return source if os.path.isdir(source) else os.path.abspath(inbox)


def _users_line(problem, source):
    for path, line, function in _places(problem):
        path = os.path.abspath(path)
        if path.startswith(source + os.sep):
            code = linecache.getline(path, line).strip()
            return {
                "file": os.path.relpath(path, source),
                "line": line,
                "function": function,
                "code": _clip(code, CODE_LIMIT),
            }
    return None


def _places(problem):
    """Yield (path, line, function) of an exception, most specific first, then those of its causes."""
    seen = set()
    while problem is not None and id(problem) not in seen:
        seen.add(id(problem))
        if isinstance(problem, UsersMistake) and problem.place:
            yield problem.place
        if isinstance(problem, SyntaxError) and isinstance(problem.filename, str) and problem.lineno:
            yield problem.filename, problem.lineno, "<module>"
        frames = [
            (frame.f_code.co_filename, line, frame.f_code.co_name)
            for frame, line in traceback.walk_tb(problem.__traceback__)
        ]
        yield from reversed(frames)
        problem = problem.__cause__ or problem.__context__


def _name(kind):
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def _clip(text, limit):
    """Cut the middle out: the start of a traceback says where it began, the end what was raised."""
    if len(text) <= limit:
        return text
    gap = "\n... %d characters left out ...\n" % (len(text) - limit)
    return text[: limit // 2] + gap + text[-(limit // 2) :]
