"""The workflows: valid by the official schemas, with least privileges, and every command in them exists."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from small import ROOT

from matrix.cli import cli

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
GITLAB = ROOT / ".gitlab-ci.yml"
SCRIPT = ROOT / ".ci" / "nightly"
NIGHTLY = ROOT / ".github" / "workflows" / "nightly.yml"

_PINNED = re.compile(r"uses: (\./[\w./-]+|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)")


def read(path: Path) -> dict[str, Any]:
    # BaseLoader, so that `on` stays a string.
    loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    assert isinstance(loaded, dict)
    return loaded


def check(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("github-workflows", path) for path in WORKFLOWS),
        *(("github-actions", path) for path in ACTIONS),
        ("gitlab-ci", GITLAB),
    ],
    ids=lambda item: item.name if isinstance(item, Path) else item,
)
def test_official_schemas(schema: str, path: Path) -> None:
    done = check(schema, path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_is_really_asked(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(NIGHTLY.read_text(encoding="utf-8").replace("runs-on:", "runs-at:"), encoding="utf-8")
    assert check("github-workflows", broken).returncode != 0


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.name)
def test_actions_are_pinned_by_digest(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if "uses:" in line:
            assert _PINNED.search(line), line


def test_one_digest_for_each_action() -> None:
    found: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, *ACTIONS):
        for action, rest in re.findall(r"uses: ([\w./-]+)@(.+)", path.read_text(encoding="utf-8")):
            found.setdefault(action, set()).add(rest)
    assert {action: rests for action, rests in found.items() if len(rests) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_least_privileges(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "permissions" in job, name
        assert "timeout-minutes" in job, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", name


def test_who_may_write_what() -> None:
    writes = {
        (name, right)
        for name, job in read(NIGHTLY)["jobs"].items()
        for right, level in job["permissions"].items()
        if level == "write"
    }
    assert writes == {("data", "contents"), ("publish", "pages"), ("publish", "id-token"), ("issues", "issues")}


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.name)
def test_nothing_is_pasted_into_a_shell(path: Path) -> None:
    for script in _scripts(read(path)):
        assert "${{" not in script
        assert "|| true" not in script


@pytest.mark.parametrize("path", [GITLAB, SCRIPT], ids=lambda path: path.name)
def test_no_failure_is_thrown_away(path: Path) -> None:
    assert "|| true" not in path.read_text(encoding="utf-8")


def test_a_restore_that_fails_publishes_nothing() -> None:
    """Every job that writes waits, directly or not, for a job that has to have succeeded after restore."""
    jobs = read(NIGHTLY)["jobs"]

    def surely_after(name: str) -> set[str]:
        """Return the jobs that must succeed before this one runs."""
        job = jobs[name]
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        condition = job.get("if")
        if condition is not None:
            # A job with its own condition depends only on the results that the condition names.
            assert "always()" not in condition
            needs = [need for need in needs if f"needs.{need}.result == 'success'" in condition]
        return {*needs, *(further for need in needs for further in surely_after(need))}

    for name in ("data", "site", "publish", "issues"):
        assert {"restore", "plan", "merge"} <= surely_after(name), name
    assert "compare" not in surely_after("publish")
    assert "shard" not in surely_after("merge")


def test_the_fan_out_keeps_going() -> None:
    shard = read(NIGHTLY)["jobs"]["shard"]
    assert shard["strategy"]["fail-fast"] == "false"
    run = next(step for step in shard["steps"] if step.get("id") == "run")
    assert int(run["timeout-minutes"]) < int(shard["timeout-minutes"])


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS, GITLAB, SCRIPT], ids=lambda path: path.parent.name + "/" + path.name
)
def test_every_command_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    scripts = [text] if path == SCRIPT else list(_scripts(read(path)))
    for script in scripts:
        for words in _calls(script):
            command: click.Command = cli
            while isinstance(command, click.Group):
                assert words, "a command is missing"
                found = command.get_command(click.Context(command), words.pop(0))
                assert found is not None, script
                command = found
            options = {name for parameter in command.params for name in parameter.opts}
            for word in words:
                if word.startswith("--"):
                    assert word.split("=")[0] in options, f"{command.name} has no {word}"


def test_calls_are_found() -> None:
    """The test above would also pass for a file without any."""
    calls = [words[0] for path in (SCRIPT, GITLAB) for words in _calls(path.read_text(encoding="utf-8"))]
    assert {"run", "import", "export", "compare", "dashboard", "ci", "merge"} <= set(calls)


def _scripts(value: Any) -> Iterator[str]:
    """Yield every shell script of a workflow."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("run", "script", "before_script") and not isinstance(item, dict):
                yield from [item] if isinstance(item, str) else item
            else:
                yield from _scripts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scripts(item)


def _calls(script: str) -> Iterator[list[str]]:
    """Yield the words after `python -m matrix`, or after `matrix` at the start of a command, up to its end."""
    lines = script.replace("\\\n", " ").splitlines()
    for line in lines:
        if line.lstrip().startswith("#"):
            continue
        for found in re.finditer(r"python -m matrix (.*)|(?:^\s*|\|\| |&& )matrix (?!\()(.*)", line):
            rest = re.split(r"[|;>)]", found[1] or found[2])[0]
            words = [word.strip("\"'`") for word in rest.split()]
            if re.fullmatch(r"[a-z-]+", words[0]):
                yield words


class Branch:
    """Run the push of the workflow on a repository in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = next(step["run"] for step in read(NIGHTLY)["jobs"]["data"]["steps"] if step.get("name") == "Push")
        (root / "merged").mkdir()
        self.git(root, "init", "--quiet", "--bare", "repo.git")

    def git(self, where: Path, *words: str) -> str:
        return subprocess.run(["git", *words], cwd=where, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def head(self) -> str:
        return self.git(self.root / "repo.git", "for-each-ref", "--format=%(objectname)", "refs/heads/history")

    def push(self, commit: str, **files: str) -> int:
        for path in (self.root / "merged").iterdir():
            path.unlink()
        for name, text in files.items():
            (self.root / "merged" / name).write_text(text)
        subprocess.run(["rm", "-rf", "history"], cwd=self.root, check=True)
        if commit:
            self.git(self.root, "clone", "--quiet", "--no-checkout", "repo.git", "history")
            self.git(self.root / "history", "checkout", "--quiet", commit)
        environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.root),
            "GH_TOKEN": "a-token",
            "COMMIT": commit,
            "BRANCH": "history",
            "RUN_ID": "nightly-7",
            "GITHUB_SERVER_URL": f"file://{self.root}",
            "GITHUB_REPOSITORY": "repo",
        }
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", self.script], cwd=self.root, env=environ, check=False)
        return done.returncode

    @property
    def files(self) -> set[str]:
        return set(self.git(self.root / "repo.git", "ls-tree", "--name-only", "history").split())


def test_the_history_is_pushed_on_top_of_what_was_restored(tmp_path: Path) -> None:
    branch = Branch(tmp_path)
    assert branch.push("", one="1") == 0
    first = branch.head
    assert branch.files == {"one"}
    assert branch.push(first, one="1") == 0
    assert branch.head == first
    # Files that are no longer in the export are removed too.
    assert branch.push(first, two="2") == 0
    assert branch.files == {"two"}
    second = branch.head
    assert branch.git(tmp_path / "repo.git", "rev-parse", f"{second}^") == first
    # The branch has moved: pushing on an older commit, or on none, is rejected.
    assert branch.push(first, three="3") != 0
    assert branch.push("", three="3") != 0
    assert branch.head == second
