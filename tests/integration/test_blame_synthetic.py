"""`blame` with real uv and real environments, on indexes with a synthetic history."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from laboratory import Laboratory, needs
from synthetic_index import World

from matrix.answers.blame.search import find_blame
from matrix.answers.blame.types import Blame, Changed, Ranges, Recipe, Resolved, Transition
from matrix.environments.locks.request import Request
from matrix.packages import uv
from matrix.packages.index import IndexSettings, UploadDates

_START = dt.date(2021, 1, 1)
# Both ends, and one run that checks for an earlier break by the same culprit.
_ENDS, _HUNCH = 2, 1


def day(number: int) -> dt.date:
    """A release of one day is seen by a resolution as of the next, which begins at midnight."""
    return _START + dt.timedelta(days=number)


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache for all tests here, because synthetic packages must not enter the machine's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def noise(world: World, every: int, until: int) -> None:
    """Add releases that break nothing, to search among."""
    for number, since in enumerate(range(0, until, every)):
        world.release("noise", f"1.{number}", day(since))


def fault(name: str, when: str = "True") -> str:
    """Return a line of code that raises what the laboratory takes for the reason."""
    return f"if {when}:\n    raise RuntimeError({name!r})\n"


def halvings(environments: int) -> int:
    """Return how many runs a bisection of that many environments may take, with known ends."""
    return math.ceil(math.log2(environments - 1))


class Case:
    """A served world and the findings in it."""

    def __init__(
        self,
        world: World,
        folder: Path,
        now: int,
        then: int = 1,
        request: Request | None = None,
        hints: Mapping[str, tuple[Ranges, ...]] | None = None,
        yanked_later: tuple[tuple[str, str], ...] = (),
        untestable: int = 0,
        limit: int = 30,
    ) -> None:
        folder.mkdir(exist_ok=True)
        with world.served() as url:
            self.laboratory = Laboratory(folder, url, request or needs("app==1.0"), hints or {})
            if yanked_later:
                self.laboratory.commit(day(then))
                for name, version in yanked_later:
                    world.yank(name, version, "planted")
            self.blame = self.laboratory.follow(find_blame(day(then), day(now), limit))
            assert self.blame.tests == len(self.laboratory.built)
            assert len(set(self.laboratory.built)) == len(self.laboratory.built), "an environment was tested twice"
            self._assert_few_runs(bool(hints))
            # Conclusions are verified by separate runs.
            self._afresh = Laboratory(folder, url, self.laboratory.request, committed=self.laboratory.committed)
            self._good: dict[str, bool | None] = {}
            for transition in self.blame.transitions:
                assert transition.skipped == untestable
                self._assert_adjacent(transition)
                self._assert_culprits(transition)
            self._assert_cured(self.blame, day(now))

    @property
    def bisected(self) -> int:
        """Return the runs along the timeline without extra ranges, excluding the ends."""
        return sum(not ask.environment.recipe.ranges for ask in self.laboratory.measured) - _ENDS

    def good(self, environment: Resolved) -> bool | None:
        if not environment.solved:
            return False
        if environment.digest not in self._good:
            self._good[environment.digest] = self._afresh.measure(environment).good
        return self._good[environment.digest]

    def _assert_few_runs(self, hinted: bool) -> None:
        """Along the timeline; once more if an earlier break was found."""
        if self.blame.transitions:
            once = halvings(len(self.blame.timeline)) + (2 if hinted else 0)
            assert self.bisected <= (once + _HUNCH + once + 2 if self.blame.turns else once)

    def _assert_adjacent(self, transition: Transition) -> None:
        older, newer = sorted((transition.before, transition.after), key=lambda side: side.recipe.as_of)
        assert self.good(self._again(transition.before)) is True
        assert self.good(self._again(transition.after)) is False
        if not transition.skipped:
            eve = Recipe(newer.recipe.as_of - dt.timedelta(days=1), newer.recipe.ranges)
            assert self._afresh.resolve(eve).digest == older.digest

    def _assert_culprits(self, transition: Transition) -> None:
        """Check that together they turn the good environment bad, and that each is needed."""
        if not transition.culprits or not transition.after.solved:
            return
        later = max(transition.before.recipe.as_of, transition.after.recipe.as_of)
        names = {changed.package for changed in transition.culprits}
        for without in (None, *names):
            # Packages of one side only keep that side's version and are installed if needed.
            chosen = {**transition.after.packages, **transition.before.packages}
            chosen |= {name: transition.after.packages[name] for name in names - {without}}
            recipe = Recipe(later, tuple(sorted((name, f"=={version}") for name, version in chosen.items())))
            mixed = self._afresh.resolve(recipe)
            if without is None:
                assert mixed.solved
                assert self.good(mixed) is False
            else:
                assert not mixed.solved or self.good(mixed) is True

    def _assert_cured(self, blame: Blame, now: dt.date) -> None:
        """Check that the cure works and that each of its ranges is needed."""
        if blame.cure is None:
            return
        assert self.good(self._afresh.resolve(Recipe(now, blame.cure.ranges))) is True
        for package in dict(blame.cure.ranges):
            fewer = tuple(held for held in blame.cure.ranges if held[0] != package)
            assert self.good(self._afresh.resolve(Recipe(now, fewer))) is not True

    def _again(self, environment: Resolved) -> Resolved:
        again = self._afresh.resolve(environment.recipe)
        assert again.digest == environment.digest
        return again


def test_two_independent_culprits(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["lib", "other", "noise"], "import lib\nimport other\n")
    noise(world, every=20, until=600)
    for number, version in ((0, "1.0"), (105, "1.1"), (205, "2.0"), (305, "2.1")):
        world.release("lib", version, day(number), code=fault("lib-moved") if number >= 205 else "")
    for number, version in ((0, "2.4"), (155, "2.5"), (405, "3.0"), (505, "3.1")):
        world.release("other", version, day(number), code=fault("other-moved") if number >= 405 else "")

    case = Case(world, tmp_path, now=600)
    blame = case.blame

    assert blame.kind == "broken"
    first, second = blame.transitions
    assert first.culprits == (Changed("lib", "1.1", "2.0"),)
    assert first.after.recipe.as_of == day(206)
    assert first.measured.finding.reason == "lib-moved"
    assert (second.culprits, second.under) == ((Changed("other", "2.5", "3.0"),), (("lib", "<2"),))
    assert second.after.recipe.as_of == day(406)
    assert second.measured.finding.reason == "other-moved"
    assert blame.cure is not None
    assert blame.cure.ranges == (("lib", "<2"), ("other", "<3"))
    assert {c.package: (c.before, c.after) for c in blame.cure.changes} == {
        "lib": ("2.1", "1.1"),
        "other": ("3.1", "2.5"),
    }
    # 30 of noise, 6 of the two: a search each, each cap, and whether one of them is enough.
    assert len(blame.timeline) == 36
    assert blame.tests <= _ENDS + 2 * halvings(36) + 3


def test_a_pair_that_only_breaks_together(tmp_path: Path) -> None:
    """Both were released on one day, among others; holding back either is enough."""
    world = World()
    both = fault("left-with-right", "left.VERSION >= '2' and right.VERSION >= '2'")
    world.release("app", "1.0", day(0), ["left", "right", "noise", "calm"], f"import left\nimport right\n{both}")
    noise(world, every=10, until=300)
    for name in ("left", "right", "calm"):
        world.release(name, "1.0", day(0))
        world.release(name, "2.0", day(110))

    case = Case(world, tmp_path, now=300)
    blame = case.blame

    (transition,) = blame.transitions
    assert [c.package for c in transition.changes] == ["calm", "left", "noise", "right"]
    assert transition.culprits == (Changed("left", "1.0", "2.0"), Changed("right", "1.0", "2.0"))
    assert transition.after.recipe.as_of == day(111)
    assert blame.cure is not None
    assert blame.cure.ranges in ((("left", "<2"),), (("right", "<2"),))
    changed = len(transition.changes)
    assert blame.tests <= _ENDS + halvings(30) + changed**2 + 3 * changed + 1


def test_a_pair_of_which_one_came_later(tmp_path: Path) -> None:
    """The second broke it: with the first alone it was good."""
    world = World()
    both = fault("left-with-right", "left.VERSION >= '2' and right.VERSION >= '2'")
    world.release("app", "1.0", day(0), ["left", "right"], f"import left\nimport right\n{both}")
    for name, moved in (("left", 40), ("right", 80)):
        world.release(name, "1.0", day(0))
        world.release(name, "2.0", day(moved))

    blame = Case(world, tmp_path, now=100).blame

    (transition,) = blame.transitions
    assert transition.culprits == (Changed("right", "1.0", "2.0"),)
    assert transition.after.recipe.as_of == day(81)
    assert blame.cure is not None
    assert blame.cure.ranges == (("right", "<2"),)
    # The ends and the one between them; what the cap leaves is the environment before the break.
    assert (blame.tests, len(blame.timeline)) == (3, 3)


def test_a_break_that_was_mended_upstream_before_another_broke_it(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["lib", "other", "noise"], "import lib\nimport other\n")
    noise(world, every=20, until=600)
    for number, version, broken in ((0, "1.0", False), (105, "2.0", True), (405, "2.1", False)):
        world.release("lib", version, day(number), code=fault("lib-moved") if broken else "")
    for number, version in ((0, "2.5"), (505, "3.0")):
        world.release("other", version, day(number), code=fault("other-moved") if number else "")

    blame = Case(world, tmp_path, now=600).blame

    assert blame.kind == "broken"
    first = blame.transitions[0]
    assert first.culprits == (Changed("lib", "1.0", "2.0"),)
    assert first.after.recipe.as_of == day(106)
    assert blame.cure is not None
    assert blame.cure.ranges == (("other", "<3"),)
    other = blame.transitions[-1]
    assert other.culprits == (Changed("other", "2.5", "3.0"),)
    assert other.after.recipe.as_of == day(506)
    assert blame.tests <= _ENDS + 2 * halvings(33) + 3


def test_the_first_time_a_culprit_was_let_in(tmp_path: Path) -> None:
    """As with protobuf 4: it broke the row, a release of onnx excluded it for a while, and a later one allowed it."""
    world = World()
    world.release("app", "1.0", day(0), ["onnx", "proto", "noise"], "import proto\n")
    noise(world, every=20, until=700)
    for number, version in ((0, "3.19"), (45, "3.20"), (105, "4.21"), (305, "4.22")):
        world.release("proto", version, day(number), code=fault("proto-4") if version >= "4" else "")
    for number, version, needed in ((0, "1.11", "proto"), (135, "1.12", "proto<4"), (405, "1.14", "proto")):
        world.release("onnx", version, day(number), [needed])

    blame = Case(world, tmp_path, now=700).blame

    assert blame.kind == "broken"
    first = blame.transitions[0]
    assert first.after.recipe.as_of == day(106)
    assert first.culprits == (Changed("proto", "3.20", "4.21"),)
    assert "mended" in [turn.kind for turn in blame.turns]
    assert "broken again" in [turn.kind for turn in blame.turns]
    assert blame.cure is not None
    assert blame.cure.ranges == (("proto", "<4"),)
    assert {c.package for c in blame.cure.changes} == {"proto"}
    # Two packages changed where the later one was found.
    assert len(blame.timeline) == 39
    assert blame.tests <= _ENDS + 2 * halvings(39) + 2 + _HUNCH + 2**2 + 3 * 2 + 1


def test_a_culprit_that_was_yanked_is_not_to_blame(tmp_path: Path) -> None:
    """The first broken release was yanked; the next is equally broken and was not."""
    world = World()
    world.release("app", "1.0", day(0), ["lib", "noise"], "import lib\n")
    noise(world, every=10, until=300)
    world.release("lib", "1.0", day(0))
    world.release("lib", "2.0", day(105), code=fault("lib-moved"))
    world.release("lib", "2.1", day(155), code=fault("lib-moved"))
    world.yank("lib", "2.0", "imports nothing")

    blame = Case(world, tmp_path, now=300).blame

    (transition,) = blame.transitions
    assert transition.culprits == (Changed("lib", "1.0", "2.1"),)
    assert transition.after.recipe.as_of == day(156)
    assert blame.cure is not None
    assert blame.cure.ranges == (("lib", "<2"),)
    assert not any(environment.packages.get("lib") == "2.0" for environment in blame.timeline)
    assert blame.tests <= _ENDS + halvings(31)


def test_a_break_that_was_yanked_leaves_nothing_to_blame(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["lib", "noise"], "import lib\n")
    noise(world, every=10, until=100)
    world.release("lib", "1.0", day(0))
    world.release("lib", "2.0", day(55), code=fault("lib-moved"))
    world.yank("lib", "2.0")

    blame = Case(world, tmp_path, now=100).blame

    assert (blame.kind, blame.transitions, blame.cure) == ("works", (), None)
    assert (blame.tests, blame.resolutions) == (2, 2)


def test_what_the_row_needs_was_yanked(tmp_path: Path) -> None:
    """Its lock still installs, but no new one can be made, and no range restores it."""
    world = World()
    world.release("app", "1.0", day(0), ["lib<2", "noise"], "import lib\n")
    noise(world, every=10, until=100)
    world.release("lib", "1.0", day(0))
    world.release("lib", "2.0", day(55))

    blame = Case(world, tmp_path, now=100, yanked_later=(("lib", "1.0"),)).blame

    assert blame.kind == "broken"
    assert not blame.now.solved
    assert "yanked" in blame.now.explanation
    (transition,) = blame.transitions
    assert transition.before.recipe.as_of == day(1)
    assert not transition.after.solved
    assert blame.cure is None
    # An unsatisfiable resolution is bad without a run.
    assert blame.tests == 1


def test_no_cure_where_the_good_release_was_yanked(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["lib"], "import lib\n")
    world.release("lib", "1.0", day(0))
    world.release("lib", "2.0", day(1), code=fault("lib-moved"))

    blame = Case(world, tmp_path, now=50, yanked_later=(("lib", "1.0"),)).blame

    assert (blame.kind, blame.cure) == ("broken", None)
    (transition,) = blame.transitions
    assert transition.culprits == (Changed("lib", "1.0", "2.0"),)
    assert transition.after.recipe.as_of == day(2)
    attempt = blame.attempts[0]
    assert (attempt.ranges, attempt.measured) == ((("lib", "<2"),), None)
    assert blame.tests == 2


def test_no_cure_within_the_runs_that_are_allowed(tmp_path: Path) -> None:
    """Findings up to then are kept."""
    world = World()
    world.release("app", "1.0", day(0), ["lib", "other"], "import lib\nimport other\n")
    for name, moved in (("lib", 20), ("other", 40)):
        world.release(name, "1.0", day(0))
        world.release(name, "2.0", day(moved), code=fault(f"{name}-moved"))

    def found(limit: int) -> Blame:
        return Case(world, tmp_path / str(limit), now=60, limit=limit).blame

    enough = found(30)
    assert enough.cure is not None
    assert enough.cure.ranges == (("lib", "<2"), ("other", "<2"))
    short = found(enough.tests - 1)
    assert short.cure is None
    assert short.tests == enough.tests - 1
    assert short.transitions[0] == enough.transitions[0]


@pytest.mark.parametrize(
    ("releases", "remedy"),
    [pytest.param(1000, None, marks=pytest.mark.slow), (200, None), (200, "<7"), (200, "<6")],
)
def test_a_thousand_releases(tmp_path: Path, releases: int, remedy: str | None) -> None:
    """One a day. A remedy that names the range exactly costs two runs; one that is too narrow helps less or not."""
    world = World()
    world.release("app", "1.0", day(0), ["lib"], "import lib\n")
    minors = releases // 10
    for number in range(releases):
        major, minor = divmod(number, minors)
        world.release("lib", f"{major}.{minor}", day(number), code=fault("lib-moved") if major >= 7 else "")
    hints: dict[str, tuple[Ranges, ...]] = {"lib-moved": ((("lib", remedy),),)} if remedy else {}

    case = Case(world, tmp_path, now=releases, hints=hints)
    blame = case.blame

    assert len(blame.timeline) == releases
    (transition,) = blame.transitions
    assert transition.culprits == (Changed("lib", f"6.{minors - 1}", "7.0"),)
    assert transition.after.recipe.as_of == day(7 * minors + 1)
    assert blame.cure is not None
    # What the cap leaves is the environment before the break, which is known to be good.
    assert blame.cure.ranges == (("lib", "<7"),)
    assert blame.tests == _ENDS + case.bisected
    if remedy == "<7":
        assert case.bisected == 2
    else:
        assert case.bisected <= halvings(releases) + (2 if remedy else 0)


def test_a_new_dependency(tmp_path: Path) -> None:
    """It is at fault, but only the package that allowed it can be held back."""
    world = World()
    world.release("app", "1.0", day(0), ["lib", "noise"], "import lib\n")
    noise(world, every=10, until=200)
    world.release("lib", "1.0", day(0))
    world.release("lib", "2.0", day(105), ["extra"], "import extra\n")
    world.release("extra", "1.0", day(30), code=fault("extra-cannot-be-imported"))

    blame = Case(world, tmp_path, now=200).blame

    (transition,) = blame.transitions
    assert transition.changes == (Changed("extra", None, "1.0"), Changed("lib", "1.0", "2.0"))
    assert transition.culprits == (Changed("lib", "1.0", "2.0"),)
    assert transition.after.recipe.as_of == day(106)
    assert blame.cure is not None
    assert blame.cure.ranges == (("lib", "<2"),)
    assert blame.tests <= _ENDS + halvings(21)


def test_a_dependency_that_came_in_good_and_broke_later(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["lib", "noise"], "import lib\n")
    noise(world, every=10, until=200)
    world.release("lib", "1.0", day(0))
    world.release("lib", "2.0", day(65), ["extra"], "import extra\n")
    world.release("extra", "0.9", day(30))
    world.release("extra", "0.10.1", day(135), code=fault("extra-moved"))

    blame = Case(world, tmp_path, now=200).blame

    (transition,) = blame.transitions
    assert transition.culprits == (Changed("extra", "0.9", "0.10.1"),)
    assert transition.after.recipe.as_of == day(136)
    assert blame.cure is not None
    assert blame.cure.ranges == (("extra", "<0.10"),)
    assert blame.tests <= _ENDS + halvings(22) + 1


def test_an_environment_that_cannot_be_tested_is_passed_over(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["lib"], "import lib\n")
    for number, name in enumerate((None, None, None, "untestable", "lib-moved", "lib-moved")):
        world.release("lib", f"1.{number}", day(10 * number), code=fault(name) if name else "")

    blame = Case(world, tmp_path, now=100, untestable=1).blame

    (transition,) = blame.transitions
    assert (transition.before.packages["lib"], transition.after.packages["lib"]) == ("1.2", "1.4")
    assert transition.after.recipe.as_of == day(41)
    # Below 1.4 is 1.3, which cannot be tested.
    assert blame.cure is not None and blame.cure.ranges == (("lib", "<=1.2"),)


def test_what_was_mended_upstream(tmp_path: Path) -> None:
    """The transition is the one next to today: what, turned back, breaks it again."""
    world = World()
    world.release("app", "1.0", day(0), ["lib", "noise"], "import lib\n")
    noise(world, every=10, until=300)
    for number, version in ((0, "1.0"), (105, "1.1"), (205, "2.0")):
        world.release("lib", version, day(number), code=fault("lib-unfinished") if number < 205 else "")

    blame = Case(world, tmp_path, now=300).blame

    assert (blame.kind, blame.cure) == ("mended", None)
    (transition,) = blame.transitions
    assert transition.before.recipe.as_of == day(206)
    assert transition.before.packages["lib"] == "2.0"
    assert transition.culprits == (Changed("lib", "2.0", "1.1"),)
    assert blame.tests <= _ENDS + halvings(32)


@pytest.mark.parametrize(("broken", "kind"), [(False, "works"), (True, "never worked")])
def test_what_is_the_same_then_and_now_has_no_culprit(tmp_path: Path, broken: bool, kind: str) -> None:
    world = World()
    world.release("app", "1.0", day(0), ["noise"], fault("always") if broken else "")
    noise(world, every=10, until=100)

    blame = Case(world, tmp_path, now=100).blame

    assert (blame.kind, blame.transitions, blame.cure) == (kind, (), None)
    assert (blame.tests, blame.resolutions) == (2, 2)


def test_where_nothing_was_released_since_one_run_tells(tmp_path: Path) -> None:
    world = World()
    world.release("app", "1.0", day(0))

    blame = Case(world, tmp_path, now=100).blame

    assert (blame.kind, blame.tests, blame.resolutions) == ("works", 1, 2)


@pytest.mark.parametrize("dated", [True, False])
def test_upload_dates_of_an_index_that_gives_them_and_of_one_that_does_not(dated: bool) -> None:
    world = World(dated=dated)
    world.release("lib", "1.0", day(3))
    with world.served() as url:
        dates = UploadDates(IndexSettings(index=url)).of("lib")
    assert {str(version): date for version, date in dates.items()} == ({"1.0": day(3)} if dated else {})


@pytest.mark.parametrize("json", [True, False])
def test_both_forms_of_a_page_say_what_is_yanked_and_for_which_python(json: bool) -> None:
    world = World(json=json)
    for version in ("1.0", "1.1"):
        world.release("lib", version, day(0))
    world.release("lib", "1.2", day(0), requires_python=">=3.99")
    with world.served() as url:
        settings = IndexSettings(index=url)
        compile = ("pip", "compile", "-", "--python-version", "3.11", "--no-header", "--no-annotate")
        assert uv.call(compile, settings, stdin="lib\n").out == "lib==1.1\n"
        world.yank("lib", "1.1", "wrong <files>")
        assert uv.call(compile, settings, stdin="lib\n").out == "lib==1.0\n"
        yanked = uv.call(compile, settings, stdin="lib==1.1\n")
        assert (yanked.out, "wrong <files>" in yanked.text) == ("lib==1.1\n", True)
