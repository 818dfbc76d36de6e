"""The site in a real browser, from a folder and over http: made from a small history with hostile content, from a real
run, and from fifty thousand cells.

Screenshots are left in MATRIX_SCREENSHOTS, by default .ci-artifacts/screenshots.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import browser as browsing
import pytest
from browser import DESK, PHONE, SINGLE, TABLET, Scheme, Theme, Visit, served, visiting
from packaging.specifiers import SpecifierSet
from playwright.sync_api import Browser, Page, expect, sync_playwright
from product import Finished, Project
from synthetic_history import HOSTILE_LINE, Planted, plant, write_history
from tables import ROOT

SCREENSHOTS = Path(os.environ.get("MATRIX_SCREENSHOTS", ROOT / ".ci-artifacts" / "screenshots"))
TITLE = 'Compatibility <b onclick="alert(4)">tonight</b>'
BIG = 50_000
ATOM = {"atom": "http://www.w3.org/2005/Atom"}

schemes = pytest.mark.parametrize("scheme", get_args(Scheme))
themes = pytest.mark.parametrize("theme", get_args(Theme))


@dataclass(frozen=True)
class Site:
    folder: Path
    planted: Planted | None = None

    def shard(self, name: str) -> dict[str, object]:
        document = json.loads((self.folder / "data" / f"{name}.json").read_text(encoding="utf-8"))
        assert isinstance(document, dict)
        return document

    @property
    def feed(self) -> list[ET.Element]:
        return ET.parse(self.folder / "feed.xml").getroot().findall("atom:entry", ATOM)


def build(state: Path, out: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "matrix", "dashboard", "--state", str(state), "--out", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Closed before other modules run: while Playwright is active, asyncio considers this thread busy."""
    program = shutil.which("chromium")
    if program is None:
        text = "no chromium; get it with: apt-get install chromium"
        if os.environ.get("MATRIX_CI") == "1":
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two nights: a row broke, one cell was fixed, another could not be measured, a third has hostile content."""
    folder = tmp_path_factory.mktemp("planted")
    planted = plant(folder / "state")
    return Site(build(folder / "state", folder / "site", "--title", TITLE), planted)


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("big")
    write_history(folder / "state", BIG, runs=4)
    yield Site(build(folder / "state", folder / "site"))
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def measured(smoke: Finished, real: Project, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of a run of the smoke tier."""
    assert smoke.cells
    return Site(build(real.state, tmp_path_factory.mktemp("measured") / "site"))


@pytest.fixture
def visit(chromium: Browser, planted: Site) -> Iterator[Visit]:
    """A desktop-sized visit to the planted site from its folder, during which nothing may go wrong."""
    with served(planted.folder, "file") as address, visiting(chromium, address) as visit:
        yield visit
        assert visit.problems == []


def cell_page(cell: str) -> str:
    return f"cell.html#{quote(cell, safe='')}"


def plan_of(site: Site) -> Planted:
    assert site.planted is not None
    return site.planted


def every_page(browser: Browser, site: Site, scheme: Scheme, paths: list[str]) -> None:
    with served(site.folder, scheme) as address, visiting(browser, address) as visit:
        for path in paths:
            title, headings = visit.look(path)
            assert title.strip(), path
            assert len(headings) == 1, path
    assert visit.problems == []


# -- the visitor


@schemes
def test_the_visitor_notices_what_should_not_happen(chromium: Browser, tmp_path: Path, scheme: Scheme) -> None:
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    bodies = {
        "quiet": "<p>fine</p>",
        "policy": f"{policy}<script>document.title = 'ran'</script>",
        "dialog": "<script>alert(1)</script>",
        "elsewhere": "<img src='http://127.0.0.1:9/pixel.png' alt=''>",
        "exception": "<script>nothing.there()</script>",
    }
    noticed = {}
    for name, body in bodies.items():
        page = f"<!doctype html><title>{name}</title><link rel=icon href=data:,>{body}<h1>{name}</h1>"
        (tmp_path / f"{name}.html").write_text(page)
        with served(tmp_path, scheme) as address, visiting(chromium, address) as visit:
            visit.look(f"{name}.html")
            noticed[name] = "\n".join(visit.problems)
    assert noticed.pop("quiet") == ""
    assert "Content Security Policy" in noticed["policy"]
    assert "dialog: 1" in noticed["dialog"]
    assert "left the site: http://127.0.0.1:9/pixel.png" in noticed["elsewhere"]
    assert "nothing is not defined" in noticed["exception"]


# -- every page


@schemes
def test_every_page_of_a_small_history(chromium: Browser, planted: Site, scheme: Scheme) -> None:
    told = plan_of(planted)
    cells = [cell_page(cell) for cell in (told.hostile, told.long, told.infra, told.mended, told.broke[0])]
    paths = browsing.pages(planted.folder)
    if scheme == "http":
        # They share one template, and each was checked from the folder.
        reasons = [path for path in paths if re.match("reasons/(?!index)", path)]
        paths = [path for path in paths if path not in reasons or path in reasons[::10]]
    every_page(chromium, planted, scheme, [*paths, *cells])


@schemes
def test_every_page_of_a_real_run(chromium: Browser, measured: Site, smoke: Finished, scheme: Scheme) -> None:
    cells = [cell_page(cell["cell"]) for cell in smoke.cells]
    # Pages of reasons that do not occur here are the same as above.
    paths = [path for path in browsing.pages(measured.folder) if not re.match("reasons/(?!index)", path)]
    every_page(chromium, measured, scheme, [*paths, *cells])


@schemes
def test_every_kind_of_page_of_fifty_thousand_cells(chromium: Browser, big: Site, scheme: Scheme) -> None:
    others = [path for path in browsing.pages(big.folder) if path not in SINGLE]
    shard = next(iter((big.folder / "data" / "cells").glob("*.json")))
    cells = list(json.loads(shard.read_text(encoding="utf-8"))["cells"])
    every_page(chromium, big, scheme, [*SINGLE, *others[::12], *map(cell_page, cells[:3])])


def test_every_site_has_its_shards_twice(planted: Site) -> None:
    data = planted.folder / "data"
    names = {path.relative_to(data).with_suffix("") for path in data.rglob("*.js")}
    assert names
    assert names == {path.relative_to(data).with_suffix("") for path in data.rglob("*.json")} - {Path("schema")}


# -- the Matrix


def count(page: Page) -> str:
    return page.locator("#count").inner_text()


def narrowed(page: Page, text: str) -> str:
    """Type into the version filter and return the page's count."""
    before = count(page)
    page.locator("#filter").fill(text)
    expect(page.locator("#count")).not_to_have_text(before)
    return count(page)


@schemes
def test_filters_change_what_is_counted_and_the_address_brings_them_back(
    chromium: Browser, big: Site, scheme: Scheme
) -> None:
    with served(big.folder, scheme) as address, visiting(chromium, address) as visit:
        page = visit.open("index.html")
        everything = count(page)
        narrow = narrowed(page, "onnx-tf==1.10.* torch<2")
        page.locator("#verdicts [data-verdict=match]").click()
        expect(page.locator("#count")).not_to_have_text(narrow)
        matching = count(page)
        squares = page.locator("#heat a.sq").count()
        assert squares == page.locator("#heat a.sq.v-match, #heat a.sq.v-with").count() > 0
        there = page.url.partition("/index.html")[2]

        again = visit.open(f"index.html{there}")
        assert count(again) == matching
        assert again.locator("#filter").input_value() == "onnx-tf==1.10.* torch<2"
        assert again.locator("#verdicts [data-verdict=match]").get_attribute("aria-pressed") == "true"
        again.locator("#reset").click()
        expect(again.locator("#count")).to_have_text(everything)
    assert visit.problems == []


def test_another_model_and_what_changed_are_a_deep_link(chromium: Browser, big: Site) -> None:
    models = big.shard("site")["models"]
    assert isinstance(models, list)
    model = models[-1]["id"]
    with served(big.folder, "file") as address, visiting(chromium, address) as visit:
        page = visit.open("index.html")
        page.locator("#model").select_option(model)
        page.locator("#time [value=changed]").click()
        expect(page.locator("#since-field")).to_be_visible()
        page.locator("#since").select_option(index=2)
        visit.settle()
        told, there = count(page), page.url.partition("/index.html")[2]
        again = visit.open(f"index.html{there}")
        assert again.locator("#model").input_value() == model
        assert again.locator("#time [value=changed]").get_attribute("aria-pressed") == "true"
        assert count(again) == told
    assert visit.problems == []


def test_a_range_that_cannot_be_read_is_said(visit: Visit) -> None:
    page = visit.open("index.html")
    page.locator("#filter").fill("tensorflow>=two")
    expect(page.locator("#filter-error")).to_contain_text("two")
    page.locator("#filter").fill("")
    expect(page.locator("#filter-error")).to_have_text("")


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit.open("index.html")
    page.keyboard.press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.press("Tab")
    for _ in range(60):
        if page.evaluate("document.activeElement.matches('table.heat .sq')"):
            break
        page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    right = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert first and len({first, below, right}) == 3
    assert page.locator("table.heat .sq[tabindex='0']").count() == 1
    assert page.evaluate("document.activeElement.matches(':focus-visible')")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.locator("table.heat .sq[tabindex='0']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/cell.html#*")
    assert visit.settle().locator("h1").count() == 1


def test_both_themes_and_the_choice_lasts(chromium: Browser, planted: Site) -> None:
    def paper(page: Page) -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    seen = {}
    with served(planted.folder, "http") as address:
        for theme in get_args(Theme):
            with visiting(chromium, address, theme=theme) as visit:
                seen[theme] = paper(visit.open("index.html"))
        assert seen["light"] != seen["dark"]
        with visiting(chromium, address, theme="dark") as visit:
            page = visit.open("index.html")
            page.locator("#theme").click()
            assert page.evaluate("document.documentElement.dataset.theme") == "light"
            assert paper(page) == seen["light"]
            assert paper(visit.open("changes.html")) == seen["light"]
        assert visit.problems == []


def test_nothing_is_wider_than_a_phone(chromium: Browser, planted: Site, big: Site) -> None:
    told = plan_of(planted)
    rows = f"rows/{quote(told.row)}.html"
    more = [rows, "reasons/protobuf-too-new.html", *map(cell_page, (told.hostile, told.broke[0], told.mended))]
    wide = {}
    for site, paths in ((planted, [*SINGLE, *more]), (big, list(SINGLE))):
        with served(site.folder, "file") as address, visiting(chromium, address, PHONE) as visit:
            for path in paths:
                page = visit.open(path)
                for summary in page.locator("main details:not([open]) > summary").all()[:8]:
                    if summary.is_visible():
                        summary.click()
                visit.settle()
                if overflow := visit.overflow:
                    wide[path] = overflow
        assert visit.problems == []
    assert wide == {}


# -- a cell


@schemes
def test_what_means_harm_is_shown_and_does_nothing(chromium: Browser, planted: Site, scheme: Scheme) -> None:
    told = plan_of(planted)
    with served(planted.folder, scheme) as address, visiting(chromium, address) as visit:
        page = visit.open(cell_page(told.hostile))
        assert told.hostile in page.title()
        text = page.locator("main").inner_text()
        assert "Conv_\"'\\u202e_1<img src=x onerror=alert(2)>" in text
        assert TITLE in page.locator("header.top").inner_text()
        page.locator("details[data-part=log] > summary").last.click()
        log = page.locator("pre.log")
        expect(log).to_contain_text(HOSTILE_LINE)
        expect(log).to_contain_text("</script><script>alert(3)</script>")
        assert "\u202e" not in page.locator("body").inner_text()
        assert page.locator("main img, main script, b[onclick]").count() == 0
    assert visit.problems == []


@schemes
def test_a_log_of_twenty_megabytes(chromium: Browser, planted: Site, scheme: Scheme) -> None:
    told = plan_of(planted)
    with served(planted.folder, scheme) as address, visiting(chromium, address) as visit:
        page = visit.open(cell_page(told.long))
        page.locator("details[data-part=log] > summary").last.click()
        log = page.locator("pre.log")
        expect(log).to_contain_text("the first line")
        expect(log).to_contain_text("the last line")
        assert len(log.inner_text()) < 200_000
        expect(page.locator("details[data-part=log]").last).to_contain_text("left out")
        search = page.get_by_label("Search in the log")
        search.fill("the last line")
        expect(page.locator("pre.log mark")).to_have_count(1)
        search.fill("no such words")
        expect(page.locator("details[data-part=log] [role=status]").last).to_have_text("nothing found")
        assert visit.overflow == ""
    assert visit.problems == []


def test_a_cell_tells_versions_history_and_how_to_reproduce_it(visit: Visit, planted: Site) -> None:
    told = plan_of(planted)
    page = visit.open(cell_page(told.broke[0]))
    main = page.locator("main")
    expect(main).to_contain_text("protobuf")
    expect(main).to_contain_text("python -m matrix")
    expect(main).to_contain_text("1 change over 2 runs")
    page.locator("details[data-part=environment] > summary").last.click()
    expect(page.locator("details[data-part=environment]").last).to_contain_text("4.21.1")


def test_a_cell_that_is_not_there(visit: Visit) -> None:
    page = visit.open(cell_page("no/such@13/cell"))
    expect(page.locator("h1")).to_have_text("No such cell")


# -- regressions


def test_a_planted_regression_is_at_the_top(visit: Visit, planted: Site) -> None:
    told = plan_of(planted)
    matrix = visit.open("index.html").locator("#regressions")
    expect(matrix).to_contain_text("1 new regression")
    expect(matrix).to_contain_text(told.row)
    expect(matrix).to_contain_text("4.21.1")
    assert told.infra not in matrix.inner_text()
    page = visit.open("changes.html")
    expect(page.locator("#standing article")).to_have_count(1)
    expect(page.locator("#standing")).to_contain_text(told.row)
    assert told.infra not in page.locator("main").inner_text()


def test_the_feed_has_one_entry_of_it_and_none_of_the_infrastructure(planted: Site) -> None:
    told = plan_of(planted)
    texts = ["".join(entry.itertext()) for entry in planted.feed]
    assert len([text for text in texts if told.row in text]) == 1
    assert len(texts) == 2, "what broke and what was mended"
    assert not [text for text in texts if told.infra in text or "index-timeout" in text]


def test_changes_between_two_runs(visit: Visit, planted: Site) -> None:
    told = plan_of(planted)
    page = visit.open("changes.html")
    page.locator("#run-b").select_option(index=1)  # the newest
    page.locator("#run-a").select_option(index=2)
    expect(page.locator("#between-title")).to_have_text("From run 1 to run 2")
    assert page.url.endswith("#a=1&b=2")
    page = visit.open("changes.html#a=1&b=2")
    changes = page.locator("#changes")
    expect(page.locator("#said")).to_contain_text("9 broke, 1 mended")
    expect(changes).to_contain_text("Broke")
    expect(changes).to_contain_text("Mended")
    expect(changes).to_contain_text("protobuf")
    assert told.infra not in changes.inner_text()


# -- pick


def test_pick_answers_and_says_what_to_give_up(visit: Visit) -> None:
    page = visit.open("pick.html")
    answers = page.locator("#answers > li")
    expect(answers.first).to_be_visible()
    page.locator("#wish-tensorflow").fill("2.8")
    expect(answers.first).to_contain_text("TensorFlow 2.8.0")
    expect(answers).to_have_count(2)
    page.locator("#wish-onnx-tf").fill("1.9.0")
    expect(answers).to_have_count(0)
    page.locator("#relaxed button").first.click()
    expect(answers.first).to_be_visible()
    expect(page.locator("#relaxed button")).to_have_count(0)
    page.locator("#wish-torch").fill("7.0")
    expect(page.locator("#relaxed")).to_contain_text("No toolchain measured here")
    expect(page.locator("#relaxed strong")).to_contain_text("torch ==7.0")


def test_versions_are_ordered_as_python_orders_them(visit: Visit) -> None:
    versions = (
        *("1.0", "1.0.0", "1.12.1", "1.13", "2", "2.0", "2.0.1", "2.8.0", "2.10.1", "2.13.0+cpu", "2.13.0", "2.13.1"),
        *("2.0a1", "2.0b2", "2.0rc1", "2.0.dev3", "2.0.post1", "2.0rc1.dev2", "1!1.0", "0.9", "2.8.0.dev20211221"),
    )
    ranges = (
        *("==2.0", "==2.0.*", "!=2.0", "!=2.*", ">=2.0", ">2.0", "<2.0", "<=2.0", "~=2.0", "~=2.8.0", "==2.13.0"),
        *("==2.13.0+cpu", ">=1.0,<2", ">2.0rc1", "<2.0rc1", ">=2.0.dev0", ">1.12.1,!=1.13", "==1!1.0", "<=2.13.0"),
        *(">2.0.post1", "!=2.13.0"),
    )
    cases = [(version, spec) for version in versions for spec in ranges]
    page = visit.open("index.html")
    found = page.evaluate("(cases) => cases.map(([version, range]) => Versions.matches(version, range))", cases)
    wrong = [
        (version, spec, answer)
        for (version, spec), answer in zip(cases, found, strict=True)
        if answer != SpecifierSet(spec).contains(version, prereleases=True)
    ]
    assert wrong == []
    for nonsense in ("two", ">=", "=>2", "~=2", ">=2.*", "2.0 or so"):
        said = page.evaluate(
            "(range) => { try { Versions.matches('1.0', range); } catch (error) { return error.message; } }", nonsense
        )
        assert said, nonsense


def test_charts_are_drawn(visit: Visit, chromium: Browser, big: Site) -> None:
    with served(big.folder, "file") as address, visiting(chromium, address) as other:
        page = other.open("trends.html")
        for chart in ("by-tier", "by-row", "duration", "cache"):
            expect(page.locator(f"#{chart} .chart svg, #{chart} .chart canvas").first).to_be_visible()
    assert other.problems == []


# -- for everybody


@themes
def test_no_serious_barrier(chromium: Browser, planted: Site, theme: Theme) -> None:
    told = plan_of(planted)
    paths = [
        *SINGLE,
        *map(cell_page, (told.hostile, told.broke[0], told.mended)),
        f"rows/{quote(told.row)}.html",
        "reasons/protobuf-too-new.html",
    ]
    found = {}
    with served(planted.folder, "file") as address, visiting(chromium, address, theme=theme) as visit:
        for path in paths:
            page = visit.open(path)
            for summary in page.locator("main details:not([open]) > summary").all()[:6]:
                if summary.is_visible():
                    summary.click()
            visit.settle()
            if barriers := visit.accessible():
                found[path] = barriers
    assert found == {}


@themes
@pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=lambda size: str(size[0]))
def test_screenshots(chromium: Browser, planted: Site, big: Site, size: tuple[int, int], theme: Theme) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    told = plan_of(planted)
    shots = (
        *((big, "matrix-50000", "index.html"), (planted, "matrix", "index.html"), (big, "trends", "trends.html")),
        *(
            (planted, "changes", "changes.html"),
            (planted, "cell", cell_page(told.broke[0])),
            (big, "pick", "pick.html"),
        ),
        *((big, "reasons", "reasons/index.html"), (planted, "row", f"rows/{quote(told.row)}.html")),
        (planted, "reason", "reasons/protobuf-too-new.html"),
    )
    for site in (planted, big):
        with served(site.folder, "file") as address, visiting(chromium, address, size, theme) as visit:
            for of_site, name, path in shots:
                if of_site is site:
                    visit.open(path).screenshot(path=SCREENSHOTS / f"{name}-{size[0]}-{theme}.png", full_page=True)
        assert visit.problems == []
