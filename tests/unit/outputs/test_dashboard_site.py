"""A whole site made of two planted nights: its shards, its pages, and what must not be in it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import small
from bench import Bench, Cell
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from synthetic_history import HOSTILE_LINE, Planted, plant, write_history

from matrix.cli.dashboard import dashboard
from matrix.core.errors import MatrixError, NothingSelected, UsageError
from matrix.outputs.dashboard import feed
from matrix.outputs.dashboard.shards import fnv1a

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module", autouse=True)
def _no_bundle() -> Iterator[None]:
    """Putting the chart library together takes seconds; tests/browser looks at the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vl_convert.javascript_bundle", lambda: "/* vega */")
        yield


def make(*arguments: str | Path) -> Result:
    return CliRunner().invoke(dashboard, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Planted]:
    """The site, and what was planted."""
    folder = tmp_path_factory.mktemp("planted")
    told = plant(folder / "state-of-mine", long_bytes=300_000)
    made = make("--out", folder / "site", "--table", small.TABLE, "--state", folder / "state-of-mine")
    assert made.exit_code == 0, made.exception
    return folder / "site", told


def shard(site: Path, name: str) -> Any:
    return json.loads((site / "data" / f"{name}.json").read_text(encoding="utf-8"))


def cell(site: Path, name: str) -> Any:
    return shard(site, f"cells/{fnv1a(name) % shard(site, 'site')['cell_shards']}")["cells"][name]


def test_every_shard_is_as_the_schema_says_and_there_as_a_script(planted: tuple[Path, Planted]) -> None:
    data = planted[0] / "data"
    schema = json.loads((data / "schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    kinds = set()
    for path in sorted(data.rglob("*.json")):
        name = path.relative_to(data).as_posix().removesuffix(".json")
        if name == "schema":
            continue
        text = path.read_text(encoding="utf-8")
        kind = next(pattern for pattern in schema["shards"] if fnmatchcase(name, pattern))
        kinds.add(kind)
        Draft202012Validator({**schema["shards"][kind], "$defs": schema["$defs"]}).validate(json.loads(text))
        script = path.with_name(f"{path.name.removesuffix('.json')}.js").read_text(encoding="utf-8")
        assert script == f"matrixShard({json.dumps(name)},{text});\n"
    assert set(schema["shards"]) - kinds == {"coverage/*"}


def test_the_planted_regression_is_told_and_the_fault_of_the_machine_is_not(planted: tuple[Path, Planted]) -> None:
    site, told = planted
    found = shard(site, "site")
    (regression,) = found["regressions"]
    assert regression["new"] and regression["count"] == len(told.broke) and regression["environment"] == told.row
    assert regression["run"] == 1 and regression["before_run"] == 0 and regression["reason"] == "protobuf-too-new"
    assert [package[0] for package in regression["packages"]] == ["protobuf"]
    counts = found["runs"][1]["changes"]
    assert (counts["broke"], counts["mended"], counts["silent"]) == (len(told.broke), 1, shard_silent(site))
    changed = {item["cell"]: item for item in shard(site, "changes/1")["changes"]}
    assert set(changed) == {*told.broke, told.mended}
    assert "protobuf" in changed[told.broke[0]]["why"] and changed[told.mended]["kind"] == "mended"


def shard_silent(site: Path) -> int:
    counts = shard(site, "site")["runs"][1]["counts"]
    return sum(counts.get(name, 0) for name in ("infra", "unavailable"))


def test_the_feed_has_one_entry_for_each_thing_that_happened(planted: tuple[Path, Planted]) -> None:
    site, told = planted
    tree = ElementTree.fromstring((site / "feed.xml").read_bytes())
    titles = [entry.findtext(f"{ATOM}title") or "" for entry in tree.iter(f"{ATOM}entry")]
    assert sorted(title.partition(":")[0] for title in titles) == ["broke", "mended"]
    assert any(told.row in title and "protobuf-too-new" in title for title in titles)
    for place in (tree, *tree.iter(f"{ATOM}entry")):
        assert (place.findtext(f"{ATOM}id") or "").startswith("urn:uuid:") and place.findtext(f"{ATOM}updated")
    assert told.infra not in (site / "feed.xml").read_text(encoding="utf-8")


def test_only_texts_of_the_feed_are_cleaned() -> None:
    """The checkout's folder may have the name that the site's address ends with."""
    when = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    entry = feed.FeedEntry("urn:uuid:1", "in /proj", when, "below /proj/x", "cell.html#/proj")
    found = feed.context("/proj", "https://me.example/proj/", when, [entry], lambda text: text.replace("/proj", "."))
    assert (found["title"], found["base"]) == (".", "https://me.example/proj/")
    assert [found["entries"][0][key] for key in ("title", "text", "link")] == ["in .", "below ./x", "cell.html#/proj"]


def test_what_means_harm_is_shown_as_it_is_and_does_none(planted: tuple[Path, Planted]) -> None:
    site, told = planted
    found = cell(site, told.hostile)
    log = next(item["log"] for part in found["observations"] for item in part["passes"] if item["log"])
    text = shard(site, log["shard"])["logs"][log["key"]]["text"]
    assert HOSTILE_LINE in text and "\\u202e" in text
    raw = [path for path in site.rglob("*") if path.suffix in (".js", ".json", ".html", ".xml", ".svg")]
    for path in raw:
        content = path.read_text(encoding="utf-8")
        assert not any(mark in content for mark in ("\u202e", "\u2028", "\x1b")), path
        if path.suffix == ".html":
            assert "</script><script>alert" not in content and "<img src=x" not in content, path
    assert "&lt;script&gt;" in (site / "reasons" / "index.html").read_text(encoding="utf-8")


def test_of_a_long_log_the_middle_is_left_out(planted: tuple[Path, Planted]) -> None:
    site, told = planted
    log = next(p["log"] for part in cell(site, told.long)["observations"] for p in part["passes"] if p["log"])
    entry = shard(site, log["shard"])["logs"][log["key"]]
    assert entry["bytes"] == log["bytes"] >= told.long_bytes - 1000
    assert entry["left_out"] == entry["bytes"] - 128 * 1024 and len(entry["text"]) < 140_000
    assert entry["text"].startswith("the first line") and entry["text"].endswith("the last line\n")
    assert f"{entry['left_out']:,} bytes left out" in entry["text"]


def test_a_cell_has_its_history_and_its_place_in_the_matrix(planted: tuple[Path, Planted]) -> None:
    site, told = planted
    found, name = shard(site, "site"), told.broke[0]
    details = cell(site, name)
    assert [run for run, _ in details["history"]] == [0, 1] and details["decided"] == 2 and details["run"] == 1
    assert found["conclusions"][details["conclusion"]]["reason"] == details["reason"] == "protobuf-too-new"
    assert {part["role"] for part in details["observations"]} == {"exporter", "reference", "converter"}
    assert details["observations"][0]["run"] == 0 and details["observations"][-1]["run"] == 1
    environment = shard(site, details["observations"][-1]["environment_shard"])
    assert environment["installed"]["protobuf"] == "4.21.1"
    assert any(f"cell={name}" in command for command in details["reproduce"])
    model = next(item for item in found["models"] if item["id"] == details["model"])
    matrix = shard(site, model["shard"])
    places = {
        (found["converters"][matrix["rows"][row]]["id"], *matrix["columns"][column], time): (conclusion, run, changes)
        for row, column, time, conclusion, run, changes in matrix["cells"]
    }
    exporter = next(n for n, item in enumerate(found["exporters"]) if item["id"] == details["exporter"])
    conclusion, run, changes = places[details["converter"], exporter, details["opset_asked"], 0]
    assert (conclusion, run) == (details["conclusion"], 1)
    assert list(zip(changes[::2], changes[1::2], strict=True)) == [tuple(item) for item in details["history"]]


def test_the_numbers_of_the_pages_agree(planted: tuple[Path, Planted]) -> None:
    found = shard(planted[0], "site")
    newest = found["runs"][-1]
    assert sum(newest["counts"].values()) == newest["cells"] == sum(model["cells"] for model in found["models"])
    assert newest["counts"]["match"] == sum(model["match"] for model in found["models"])
    trends = shard(planted[0], "trends")
    assert trends["by_tier"]["quick"][-1][1] == newest["counts"]["match"]
    for converter in found["converters"]:
        run, match, findings = trends["by_row"][converter["id"]][-1]
        assert (run, match, findings) == (1, converter["match"], converter["findings"])
        badge = json.loads((planted[0] / "badges" / f"{converter['id']}.json").read_text(encoding="utf-8"))
        assert badge["message"] == f"{match}/{findings} match"
        assert (planted[0] / converter["page"]).is_file()
    for reason in found["reasons"].values():
        assert (planted[0] / reason["page"]).is_file()


def test_nothing_says_where_it_was_made(planted: tuple[Path, Planted]) -> None:
    site = planted[0]
    for path in site.rglob("*"):
        if path.is_file():
            content = path.read_text(encoding="utf-8", errors="replace")
            assert "state-of-mine" not in content and str(small.ROOT) not in content, path
    assert not list(site.parent.glob(".site*")) and not (site / "spill").exists()


def test_every_square_leads_to_its_cell_at_every_time(tmp_path: Path) -> None:
    write_history(tmp_path / "state", cells=1_200, runs=2)
    assert make("--out", tmp_path / "site", "--table", small.TABLE, "--state", tmp_path / "state").exit_code == 0
    found = shard(tmp_path / "site", "site")
    cells = set()
    for number in range(found["cell_shards"]):
        cells |= shard(tmp_path / "site", f"cells/{number}")["cells"].keys()
    joined, times = [], set()
    for model in found["models"]:
        matrix = shard(tmp_path / "site", model["shard"])
        for row, column, time, *_ in matrix["cells"]:
            converter = found["converters"][matrix["rows"][row]]
            # What assets/matrix.js does.
            joined.append(matrix["ids"][column][time == 2] + converter["now" if time == 1 else "id"])
            times.add(time)
    assert times == {0, 1, 2} and len(joined) == len(cells) and set(joined) == cells
    picked = shard(tmp_path / "site", "pick")
    asked = {(exporter, opset): text for exporter, opset, text in picked["ids"]}
    for exporter, opset, row, *lists in picked["toolchains"]:
        end = asked[exporter, opset] + found["converters"][row]["id"]
        assert {picked["models"][model] + end for models in lists for model in models} <= cells


# -- models that stay private


class Home(Bench):
    """`net` is in the table, `secret` is not."""

    def secret(self, *cells: Cell) -> int:
        number = self.run()
        for item in cells:
            parts = [self.store.add(number, part, True, None) for part in self._observed(item)]
            facts = dict(zip(("export", "reference", "convert"), parts, strict=True))
            name = item.id.replace("net/", "secret/")
            self.store.add_cells(number, [small.cell_record(name, model="secret", converter=item.converter, **facts)])
        return number

    def site(self, *arguments: str) -> Result:
        return make("--out", "site", *arguments)

    def everything(self) -> str:
        files = [path for path in (self.root / "site").rglob("*") if path.is_file()]
        return "\n".join([*map(str, files), *(path.read_text(encoding="utf-8") for path in files)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Home]:
    (tmp_path / ".matrix").mkdir()
    made = Home(tmp_path, monkeypatch, capsys)
    yield made
    made.store.close()


def test_a_model_that_is_not_in_the_table_leaves_no_trace(home: Home) -> None:
    home.run(Cell("old"), Cell("new", failed="nothing private"))
    home.secret(Cell("old", failed="the private node"), Cell("new"))
    told = home.site()
    assert told.exit_code == 0 and "left out: 2 cells" in told.output
    text = home.everything()
    assert "secret" not in text and "private node" not in text and "nothing private" in text
    site = shard(home.root / "site", "site")
    assert [run["id"] for run in site["runs"]] == [1]
    assert site["runs"][0]["planned"] == 2 and sum(row["findings"] for row in site["converters"]) == 2


def test_a_run_of_both_counts_what_is_shown(home: Home) -> None:
    number = home.run(Cell("old"))
    parts = [home.store.add(number, part, True, None) for part in home._observed(Cell("old"))]
    facts = dict(zip(("export", "reference", "convert"), parts, strict=True))
    home.store.add_cells(number, [small.cell_record("secret/torch-1.2.0@9/old", model="secret", **facts)])
    home.store.end_run(number, "complete", 6, 0, planned=2)
    assert home.site().exit_code == 0
    (run,) = shard(home.root / "site", "site")["runs"]
    assert (run["planned"], run["cells"], run["jobs_run"], run["jobs_cached"]) == (1, 1, 3, 0)
    home.site("--include", "secret")
    (run,) = shard(home.root / "site", "site")["runs"]
    assert (run["planned"], run["cells"], run["jobs_run"]) == (2, 2, 6)


def test_a_model_that_is_named_is_shown(home: Home) -> None:
    home.secret(Cell("old"))
    told = home.site("--include", "secret")
    assert told.exit_code == 0 and "left out" not in told.output
    assert [model["id"] for model in shard(home.root / "site", "site")["models"]] == ["secret"]
    # Nobody else has the model to run it with.
    assert all("--only" not in command for command in cell(home.root / "site", "secret/torch-1.2.0@9/old")["reproduce"])
    assert isinstance(home.site("--include", "secrt").exception, UsageError)


@pytest.mark.parametrize("private", [False, True])
def test_a_site_of_nothing_is_refused_with_advice(home: Home, private: bool) -> None:
    if private:
        home.secret(Cell("old"))
    error = home.site().exception
    assert isinstance(error, NothingSelected) and ("--include" if private else "matrix run") in str(error)
    assert not (home.root / "site").exists() and not list(home.root.glob(".site*"))


def test_an_export_that_failed_does_not_count_against_the_row(home: Home) -> None:
    broken = {"export": small.Obstacle("build", "error", "unrecognised", "no wheel")}
    home.run(Cell("old", obstacles=broken), Cell("new"))
    assert home.site().exit_code == 0
    site = shard(home.root / "site", "site")
    assert {row["id"]: (row["match"], row["findings"]) for row in site["converters"]} == {"old": (0, 0), "new": (1, 1)}
    assert [(model["match"], model["findings"]) for model in site["models"]] == [(1, 2)]
    assert "not measured" in (home.root / "site" / "badges" / "old.svg").read_text(encoding="utf-8")


def test_two_builds_of_one_history_are_the_same_but_for_the_time(home: Home) -> None:
    home.run(Cell("old"), Cell("new", failed="x"))
    home.run(Cell("old", failed="y"), Cell("new"))

    def content() -> dict[str, str]:
        assert home.site("--base-url", "https://example.org/x").exit_code == 0
        site = home.root / "site"
        files = {
            str(path.relative_to(site)): path.read_text(encoding="utf-8")
            for path in site.rglob("*.*")
            if path.is_file()
        }
        generated = shard(site, "site")["generated"]
        return {
            name: text.replace(generated, "").replace(generated[:16].replace("T", " "), "")
            for name, text in files.items()
        }

    assert content() == content()
    assert "https://example.org/x/changes.html" in (home.root / "site" / "feed.xml").read_text(encoding="utf-8")


def test_an_address_must_be_whole(home: Home) -> None:
    assert isinstance(home.site("--base-url", "example.org").exception, MatrixError)


def test_the_page_of_a_row_has_all_that_it_pins(bench: Bench, tmp_path: Path) -> None:
    bench.run(Cell("old"))
    small.table(bench.root, small.changed("tensorflow: 1.13.1}, python", "tensorflow: 1.13.1, numpy: 1.10.0}, python"))
    made = make("--out", tmp_path / "site", "--table", bench.root / "matrix.yml", "--state", bench.root / ".matrix")
    assert made.exit_code == 0, made.exception
    page = (tmp_path / "site" / "rows" / "old.html").read_text(encoding="utf-8")
    assert '<span class="muted">numpy</span> <strong>1.10.0</strong>' in page and "numpy==1.10.0" in page
