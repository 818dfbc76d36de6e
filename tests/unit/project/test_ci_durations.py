"""`.ci/durations`: JUnit files as a table of durations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from small import ROOT

JUNIT = """\
<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.unit.test_a" name="test_one" time="0.5" />
<testcase classname="tests.unit.test_a" name="test_two[x]" time="7.0" />
<testcase classname="tests.unit.test_b" name="test_three" time="1.25" />
</testsuite></testsuites>
"""


def durations(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / ".ci" / "durations", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_a_line_for_what_is_slow_and_a_sum_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text(JUNIT, encoding="utf-8")
    done = durations(tmp_path / "unit.xml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "| suite | file | tests | seconds | slowest |",
        "|---|---|---|---|---|",
        "| unit | test_a | 2 | 8 | test_two[x] (7 s) |",
        "| unit | the rest | 1 | 1 | |",
        "| **unit** | **all** | **3** | **9** | |",
    ]
    assert "test_three (1 s)" in durations(tmp_path / "unit.xml", "--least", "1").stdout


def test_what_is_no_junit_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "half.xml").write_text(JUNIT[:200], encoding="utf-8")
    for path in (tmp_path / "half.xml", tmp_path / "none.xml"):
        done = durations(path)
        assert done.returncode == 1 and done.stderr.startswith("durations: "), done
