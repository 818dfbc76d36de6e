"""Read a pasted text - a traceback, an installer's output, a log - as the error it ends with. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from matrix.judging.matching import ErrorText

_LONGEST = 2_000_000
"""Characters that are read, from the end: a log ends with what ended the process."""

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Prefixes that tools add to every line: a time, the name of a container or job and a bar, a mail's quote.
_PREFIX = re.compile(
    r"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]{0,12}(?:Z|[+-]\d\d:?\d\d)?\]?(?: |$)|[\w.-]{1,60} +\| ?|(?:> ?)+)"
)

_HEADER = re.compile(r"^(?P<indent>[ |│]*)(?P<type>[\w.]+)? *Traceback \(most recent call last\)")
# `module.Class: text`, or the class alone.
_RAISED = re.compile(r"^(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: ?(?P<message>.*)|\s*)$")
# Where it does not follow the frames, only these count as exceptions: many lines begin with a word and a colon.
_EXCEPTION = re.compile(
    r"(?:Error|Exception|Interrupt|Exit|Fault|Timeout|SkipTest|BackendIsNotSupposedToImplementIt)$"
    r"|(?:^|\.)(?:onnxruntime_pybind11_state|errors_impl|errors)\.[A-Z]\w+$"
)
_CHAINED = re.compile(
    r"^(?:During handling of the above exception, another|The above exception was the direct cause of)"
)
_PYTEST = re.compile(r"^E(?: {3}(?P<text>.*)|)$")
_INSTALLER = re.compile(
    r"^ {0,2}(?:error: |ERROR: |× |╰─▶ ).*(?:resol|build|download|fetch|install|wheel|matching|conflict|satisf|prepare"
    r"|subprocess|metadata|version)",
    re.IGNORECASE,
)
_DEATHS = {
    "sigsegv": re.compile(r"Segmentation fault|SIGSEGV|signal 11\b"),
    "sigabrt": re.compile(r"\bAborted\b|SIGABRT|signal 6\b"),
    "sigbus": re.compile(r"Bus error|SIGBUS|signal 7\b"),
    "sigfpe": re.compile(r"Floating point exception|SIGFPE|signal 8\b"),
    "sigkill": re.compile(
        r"^(?:\S+: line \d+: +\d+ )?Killed\b|SIGKILL|signal 9\b|exit(?:ed)? (?:with )?(?:code|status) 137\b"
    ),
}


@dataclass(frozen=True)
class Pasted:
    """``error`` is the input of matching. ``signal`` names the signal that the text ends with, '' for none."""

    error: ErrorText
    signal: str = ""


def read(text: str) -> Pasted:
    """Return the last exception of a (chained) traceback with its message; where none was raised, an installer's whole
    output as the message; where a process died, a log."""
    lines = [_plain(line) for line in text[-_LONGEST:].splitlines()]
    whole = "\n".join(lines).strip()
    found = _last_exception(lines)
    after = lines[found.end :] if found else lines
    if any(map(_INSTALLER.match, after)):
        return Pasted(ErrorText(message=whole, log=whole))
    signal = _death(after)
    if found is not None:
        return Pasted(ErrorText(type=found.type, message=found.message, traceback=whole, log=whole), signal)
    return Pasted(ErrorText(message="" if signal else whole, log=whole), signal)


@dataclass(frozen=True)
class _Exception:
    type: str
    message: str
    end: int


def _last_exception(lines: list[str]) -> _Exception | None:
    headers = [(number, found) for number, line in enumerate(lines) if (found := _HEADER.match(line))]
    quoted = [number for number, line in enumerate(lines) if _PYTEST.match(line)]
    if quoted and (not headers or quoted[-1] > headers[-1][0]):
        return _of_pytest(lines, quoted[-1])
    for number, header in reversed(headers):
        if (raised_in := _of_traceback(lines, number, header["indent"], header["type"])) is not None:
            return raised_in
    for number in range(len(lines) - 1, -1, -1):
        raised = _RAISED.match(lines[number].strip())
        if raised and raised["message"] is not None and _EXCEPTION.search(raised["type"]):
            return _raised(lines, number, "")
    return None


def _of_traceback(lines: list[str], header: int, indent: str, named: str | None) -> _Exception | None:
    """Find the exception below a header. `named` is the class that a notebook's header gives; elsewhere it is on the
    first line with the header's indentation."""
    interrupted = named is not None
    for number in range(header + 1, len(lines)):
        rest = lines[number].removeprefix(indent)
        if not lines[number].startswith(indent) or not rest.strip() or rest.startswith(" "):
            continue
        raised = _RAISED.match(rest)
        if raised and (
            (named is not None and raised["type"].rpartition(".")[2] == named.rpartition(".")[2])
            or (named is None and (not interrupted or _EXCEPTION.search(raised["type"])))
        ):
            return _raised(lines, number, indent)
        # Output of another stream in between.
        interrupted = True
    return None


def _raised(lines: list[str], number: int, indent: str) -> _Exception:
    """Read the exception on a line. Its message extends to the end, or to a line that cannot be part of it."""
    end = number + 1
    while end < len(lines) and not (
        _CHAINED.match(lines[end].strip())
        or _HEADER.match(lines[end])
        or _INSTALLER.match(lines[end])
        or (lines[end].strip() and not lines[end].startswith(indent))
        or _died(lines[end])
    ):
        end += 1
    raised = _RAISED.match(lines[number][len(indent) :].strip())
    assert raised is not None
    rest = [line.removeprefix(indent) for line in lines[number + 1 : end]]
    return _Exception(raised["type"], "\n".join([raised["message"] or "", *rest]).strip(), end)


def _of_pytest(lines: list[str], last: int) -> _Exception | None:
    first = last
    while first > 0 and _PYTEST.match(lines[first - 1]):
        first -= 1
    texts = [(found["text"] or "").strip() for line in lines[first : last + 1] if (found := _PYTEST.match(line))]
    for number, line in enumerate(texts):
        raised = _RAISED.match(line)
        if raised and _EXCEPTION.search(raised["type"]):
            message = "\n".join([raised["message"] or "", *texts[number + 1 :]]).strip()
            return _Exception(raised["type"], message, last + 1)
    return None


def _death(lines: list[str]) -> str:
    """Return the signal that the last lines, of a shell or of Python's fault handler, report; '' for none."""
    said = [line for line in lines if line.strip()]
    fatal = [line for line in said if line.startswith("Fatal Python error:")]
    return next((name for line in [*fatal, *said[-3:]] if (name := _died(line))), "")


def _died(line: str) -> str:
    """Return the signal that a line reports if it is about nothing else; '' for none."""
    said = _RAISED.match(line.strip())
    if len(line) > 200 or (said and _EXCEPTION.search(said["type"])):
        return ""
    return next((name for name, form in _DEATHS.items() if form.search(line.strip())), "")


def _plain(line: str) -> str:
    # A progress bar overwrites its line: only the last part was visible.
    line = _COLOURS.sub("", line).rstrip("\r").rpartition("\r")[2]
    return line[found.end() :] if (found := _PREFIX.match(line)) else line
