"""An exception as plain data, so that it can be judged elsewhere and hold on to nothing."""
import traceback

MESSAGE_LIMIT = 20000
TRACEBACK_LIMIT = 100000


def describe(problem):
    """{"type", "mro", "message", "traceback"} of an exception, with its causes, each text cut to a limit."""
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
    }


def _name(kind):
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def _clip(text, limit):
    """Both ends stay: the start says where it began, the end what was raised."""
    if len(text) <= limit:
        return text
    gap = "\n... %d characters left out ...\n" % (len(text) - limit)
    return text[: limit // 2] + gap + text[-(limit // 2) :]
