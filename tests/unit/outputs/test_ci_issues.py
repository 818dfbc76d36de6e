"""One issue for each regression: opened, updated, closed, reopened; and GitHub's possible answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fake_github
import pytest
import requests
from fake_github import REPOSITORY, TOKEN, GitHub
from sqlalchemy import create_engine, text
from synthetic_history import Planted, plant

from matrix.cli import main
from matrix.core.errors import Indeterminate, UsageError
from matrix.outputs.ci import github
from matrix.outputs.ci.github import Tracker
from matrix.outputs.ci.issues import MENDED, RETIRED, Issue, Steps, carry_out, steps
from matrix.outputs.ci.reports import IssueText

KEY, OTHER = "0123456789abcdef01234567", "f" * 24
TEXT = IssueText(KEY, "row: protobuf is too new", "2 cells matched and no longer do.", 2)


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with fake_github.served() as server:
        yield server


def tracker(hub: GitHub) -> Tracker:
    return Tracker(hub.url, REPOSITORY, TOKEN, lambda _: None)


def night(hub: GitHub, *wanted: IssueText, most: int = 20) -> Steps:
    """Make one call of the command; regressions that are not `wanted` are mended."""
    found = steps(wanted, {KEY: MENDED}, tracker(hub).issues(), most)
    for step in found.steps:
        carry_out(step, tracker(hub))
    return found


def kinds(found: Steps) -> list[str]:
    return [step.kind for step in found.steps]


def test_the_life_of_an_issue(hub: GitHub) -> None:
    assert kinds(night(hub, TEXT)) == ["open"]
    (issue,) = hub.issues
    assert issue["title"] == TEXT.title
    assert issue["labels"] == [{"name": "compatibility"}]
    assert hub.labels == {"compatibility"}
    assert KEY in issue["body"].splitlines()[0]

    assert kinds(night(hub, TEXT)) == []
    grown = replace(TEXT, body="3 cells matched and no longer do.", cells=3)
    assert kinds(night(hub, grown)) == ["update"]
    assert "3 cells" in hub.issue(1)["body"]
    assert hub.comments == []

    assert kinds(night(hub)) == ["close"]
    assert hub.issue(1)["state"] == "closed"
    assert hub.comments[0][0] == 1
    assert "Mended" in hub.comments[0][1]
    assert kinds(night(hub)) == []

    assert kinds(night(hub, TEXT)) == ["reopen"]
    assert hub.issue(1)["state"] == "open"
    assert "Back: 2 cells" in hub.comments[1][1]
    assert kinds(night(hub, TEXT)) == []
    assert len(hub.issues) == 1


def test_only_what_was_seen_to_be_mended_is_closed() -> None:
    issues = [Issue(1, "open", "", f"<!-- torch-tf-matrix regression {KEY} standing 0123456789abcdef -->\n")]
    assert kinds(steps([], {KEY: MENDED}, issues, 20)) == ["close"]
    assert kinds(steps([], {KEY: RETIRED}, issues, 20)) == ["close"]
    assert kinds(steps([], {OTHER: MENDED}, issues, 20)) == []
    assert kinds(steps([replace(TEXT, key=OTHER)], {KEY: MENDED, OTHER: MENDED}, issues, 0)) == ["close"]


def test_what_a_person_closed_or_wrote_stays(hub: GitHub) -> None:
    night(hub, TEXT)
    hub.issue(1)["body"] += "\n\nA person's note."
    assert kinds(night(hub, TEXT)) == []
    hub.issue(1)["state"] = "closed"
    assert kinds(night(hub, TEXT)) == []
    assert kinds(night(hub, replace(TEXT, body="more", cells=9))) == []
    assert hub.issue(1)["state"] == "closed"


def test_a_person_reopened_what_was_mended_and_broke_again(hub: GitHub) -> None:
    night(hub, TEXT)
    night(hub)
    hub.issue(1)["state"] = "open"
    assert kinds(night(hub)) == []
    assert kinds(night(hub, TEXT)) == ["reopen"]
    assert kinds(night(hub, TEXT)) == []


def test_line_ends_of_a_browser_change_nothing(hub: GitHub) -> None:
    night(hub, TEXT)
    hub.issue(1)["body"] = hub.issue(1)["body"].replace("\n", "\r\n")
    assert kinds(night(hub, TEXT)) == []


def test_others_are_left_alone(hub: GitHub) -> None:
    hub.add("a person's", "no mark", ["compatibility"])
    body = f"see\n<!-- torch-tf-matrix regression {KEY} standing 0123456789abcdef -->"
    hub.add("quotes a mark", body, ["compatibility"])
    hub.add("without the label", body.removeprefix("see\n"), [])
    hub.add("a pull request", body.removeprefix("see\n"), ["compatibility"], pull_request={})
    before = [dict(issue) for issue in hub.issues]
    assert kinds(night(hub)) == []
    assert kinds(night(hub, TEXT)) == ["open"]
    assert hub.issues[:4] == before


def test_of_several_the_open_one_is_kept() -> None:
    mark = f"<!-- torch-tf-matrix regression {KEY} standing 0123456789abcdef -->\n"
    issues = [Issue(1, "closed", "", mark), Issue(2, "open", "", mark), Issue(3, "closed", "", mark)]
    assert [(step.kind, step.number) for step in steps([TEXT], {}, issues, 20).steps] == [("update", 2)]


def test_a_bad_night_does_not_flood(hub: GitHub) -> None:
    many = [replace(TEXT, key=f"{number:024x}") for number in range(7)]
    found = night(hub, *many, most=3)
    assert (len(hub.issues), found.postponed) == (3, 4)
    assert night(hub, *many, most=3).postponed == 1
    assert night(hub, *many, most=3).postponed == 0
    assert len(hub.issues) == 7


def test_every_page_is_read(hub: GitHub) -> None:
    for number in range(250):
        hub.add("old", f"<!-- torch-tf-matrix regression {number:024x} mended 0123456789abcdef -->", ["compatibility"])
    assert len(tracker(hub).issues()) == 250
    assert kinds(night(hub, replace(TEXT, key=f"{249:024x}"))) == ["reopen"]


def test_the_list_goes_on_elsewhere(hub: GitHub) -> None:
    for _ in range(101):
        hub.add("old", "", ["compatibility"])
    hub.next_link = "http://127.0.0.2:9/steal"
    with pytest.raises(UsageError, match="another host"):
        tracker(hub).issues()


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "said"),
    [
        (500, {}, b"", Indeterminate, "answered 500"),
        (502, {}, b"<html>", Indeterminate, "continues"),
        (429, {"Retry-After": "60"}, b"", Indeterminate, "wait 60 s"),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000000"}, b"", Indeterminate, "22:13 UTC"),
        (403, {}, b'{"message": "You have exceeded a secondary rate limit"}', Indeterminate, "403"),
        (403, {}, b'{"message": "Resource not accessible by integration"}', UsageError, "issues: write"),
        (401, {}, b"", UsageError, "GITHUB_TOKEN"),
        (404, {}, b"", UsageError, "--repo"),
        (410, {}, b"", UsageError, "no issues"),
        (301, {"Location": "/elsewhere"}, b"", UsageError, "moved"),
        (200, {}, b"<html>a captive portal</html>", Indeterminate, "list of issues"),
        (200, {}, b'{"not": "a list"}', Indeterminate, "list of issues"),
    ],
)
def test_what_github_may_answer(
    hub: GitHub, status: int, headers: dict[str, str], body: bytes, error: type[Exception], said: str
) -> None:
    hub.instead.append((status, headers, body))
    with pytest.raises(error, match=said) as caught:
        tracker(hub).issues()
    assert TOKEN not in str(caught.value)


def test_nobody_answers(hub: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests.Session, "request", refuse)
    with pytest.raises(Indeterminate, match="does not answer"):
        tracker(hub).issues()


@pytest.mark.parametrize("api", ["http://api.example", "ftp://api.example", "https://me:secret@api.example", "api"])
def test_where_no_token_is_sent(api: str) -> None:
    with pytest.raises(UsageError) as caught:
        Tracker(api, REPOSITORY, TOKEN)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("repository", ["", "name", "a/b/c", "a/..", "a/b?x", "../b"])
def test_what_is_no_repository(repository: str) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        Tracker("https://api.example", repository, TOKEN)


class Night:
    """The command on a planted history."""

    def __init__(self, state: Path, hub: GitHub, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state, self.hub, self.planted, self._monkeypatch = state, hub, planted, monkeypatch

    def __call__(self, *more: str, command: str = "issues") -> int:
        arguments = ["ci", command, "--state", str(self.state), *more]
        if command == "issues":
            arguments += ["--repo", REPOSITORY, "--api", self.hub.url]
        self._monkeypatch.setattr("sys.argv", ["matrix", *arguments])
        return main()

    def change(self, statement: str, **values: object) -> None:
        engine = create_engine(f"sqlite:///{self.state}/matrix.db")
        with engine.begin() as connection:
            connection.execute(text(statement), values)
        engine.dispose()


@pytest.fixture
def planted_night(hub: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    monkeypatch.setattr(github, "_PAUSE", 0)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.delenv("GITHUB_API_URL", raising=False)
    return Night(tmp_path / "state", hub, plant(tmp_path / "state", long_bytes=1000), monkeypatch)


def test_a_planted_regression_has_one_issue(planted_night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    hub, planted = planted_night.hub, planted_night.planted
    assert planted_night("--dry-run") == 0
    assert "would open an issue" in capsys.readouterr().out
    assert hub.written == []
    assert planted_night() == 0
    (issue,) = hub.issues
    assert planted.row in issue["title"]
    assert all(f"`{cell}`" in issue["body"] for cell in planted.broke)
    assert "protobuf" in issue["body"]
    assert planted.infra not in issue["body"]
    assert planted_night() == 0
    assert len(hub.issues) == 1
    assert "are up to date" in capsys.readouterr().out


def test_cells_link_to_the_site(planted_night: Night) -> None:
    assert planted_night("--site", "https://pages.example/x/") == 0
    assert "](https://pages.example/x/cell.html#" in planted_night.hub.issues[0]["body"]
    assert "%2F" in planted_night.hub.issues[0]["body"]


def test_an_undeclared_model_is_not_named(planted_night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    secret = planted_night.planted.broke[0].split("/")[0]
    for column in ("cell", "model"):
        planted_night.change(f"UPDATE cell SET {column} = replace({column}, :name, 'secret-net')", name=secret)
    assert planted_night() == 0
    assert "secret-net" not in str(planted_night.hub.issues)
    assert planted_night(command="summary") == 0
    assert "secret-net" not in capsys.readouterr().out
    assert planted_night("--include", "secret-net") == 0
    assert "secret-net" in str(planted_night.hub.issues)
    assert planted_night("--include", "no-such-net") == 2


def test_what_is_not_known_any_more_is_not_mended(planted_night: Night) -> None:
    assert planted_night() == 0
    # As after an import without arrays, where the table has other tolerances than the machine that compared them.
    for name in ("derived", "comparison"):
        planted_night.change(f"DELETE FROM {name}")
    for blob in planted_night.state.glob("blobs/??/*"):
        blob.unlink()
    assert planted_night() == 0
    assert [issue["state"] for issue in planted_night.hub.issues] == ["open"]
    assert planted_night.hub.comments == []


def test_an_empty_history_closes_nothing(planted_night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    assert planted_night() == 0
    planted_night.change("DELETE FROM cell")
    assert planted_night() == 4
    assert planted_night.hub.issues[0]["state"] == "open"


def test_without_a_token(planted_night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert planted_night() == 2
    assert planted_night("--dry-run") == 0


def test_the_exit_code_of_a_server_error(planted_night: Night) -> None:
    planted_night.hub.instead.append((503, {}, b""))
    assert planted_night() == 7
