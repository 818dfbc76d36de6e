"""Who broke it, in worlds where that is known: the right day, a minimal set, a cure that is good, few runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from blame_world import GOOD, Driver, World, day, failing, rules

from matrix.answers.blame.bisection import depth
from matrix.answers.blame.probes import ProbeLog
from matrix.answers.blame.transitions import locate
from matrix.answers.blame.types import Blame, Changed, Measured, Recipe, Transition
from matrix.judging.finding import Finding


def steady(*packages: str, until: int = 100, every: int = 10) -> World:
    """Each has a release 1.N.0 every so many days."""
    world = World()
    for place, package in enumerate(packages):
        for number in range(0, until, every):
            world.release(package, f"1.{number // every}.0", max(0, number + place - 1) if number else 0)
    return world


def names(transition: Transition) -> list[tuple[str, str | None]]:
    assert transition.culprits is not None
    return [(one.package, one.after) for one in transition.culprits]


def adjacent(blame: Blame, transition: Transition) -> bool:
    places = {one.recipe.as_of: place for place, one in enumerate(blame.timeline)}
    return abs(places[transition.after.recipe.as_of] - places[transition.before.recipe.as_of]) == 1


def test_one_culprit_its_day_and_the_cure() -> None:
    world = steady("lib", "other", "more")
    world.release("lib", "2.0.0", 55)
    world.oracle = rules(("lib-too-new", {"lib": ">=2"}))
    driver = Driver(world)
    blame = driver.find_blame(0, 99)
    (found,) = blame.transitions
    assert (blame.kind, names(found)) == ("broken", [("lib", "2.0.0")])
    assert found.after.recipe.as_of == day(55) and adjacent(blame, found)
    assert blame.cure is not None and blame.cure.ranges == (("lib", "<2"),)
    assert [one.package for one in blame.cure.changes] == ["lib"]
    # The ends, bisection, the cure; one package changed, so nothing is run to tell whose fault it is.
    assert blame.tests <= 2 + depth(len(blame.timeline) - 1) + 1
    assert not blame.stopped and blame.turns == ()


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("second_shows", [False, True])
def test_two_independent_culprits_the_second_uncovered_by_mending_the_first(alike: bool, second_shows: bool) -> None:
    """Also where both fail alike, and where the later one hides the earlier one today."""
    world = steady("one", "two", "more")
    world.release("one", "2.0", 33)
    world.release("two", "2.0", 66)
    faults = [("first", {"one": ">=2"}), ("first" if alike else "second", {"two": ">=2"})]
    world.oracle = rules(*(reversed(faults) if second_shows else faults))
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("one", "2.0")]
    assert names(blame.transitions[1]) == [("two", "2.0")]
    assert blame.transitions[1].under == (("one", "<2"),)
    assert blame.transitions[1].after.recipe.as_of == day(66)
    assert blame.cure is not None and blame.cure.ranges == (("one", "<2"), ("two", "<2"))


def test_hints_spare_the_search_of_the_second_transition() -> None:
    world = steady("one", "two", "more")
    world.release("one", "2.0", 33)
    world.release("two", "2.0", 66)

    def oracle(packages: Mapping[str, str]) -> Measured:
        if packages["two"].startswith("2"):
            return failing("two-new", (("two", "<2"),))
        return failing("one-new", (("one", "<2"),)) if packages["one"].startswith("2") else GOOD

    world.oracle = oracle
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("one", "2.0")] and len(blame.transitions) == 1
    assert blame.cure is not None and blame.cure.ranges == (("one", "<2"), ("two", "<2"))
    # The ends; the suspected day and the one before, of either hint; one<2 alone, two<2 alone, both.
    assert blame.tests <= 2 + 4 + 3


def test_a_pair_that_breaks_only_together_is_cured_by_holding_back_one() -> None:
    world = steady("one", "two", "more")
    for package in ("one", "two", "more"):
        world.release(package, "2.0", 44)
    world.oracle = rules(("pair", {"one": ">=2", "two": ">=2"}))
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("one", "2.0"), ("two", "2.0")]
    assert len(blame.transitions[0].changes) == 3
    assert blame.cure is not None and blame.cure.ranges in ((("one", "<2"),), (("two", "<2"),))


def test_of_a_pair_that_came_one_by_one_the_last_is_to_blame() -> None:
    world = steady("one", "two")
    world.release("one", "2.0", 20)
    world.release("two", "2.0", 70)
    world.oracle = rules(("pair", {"one": ">=2", "two": ">=2"}))
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("two", "2.0")]
    assert blame.transitions[0].after.recipe.as_of == day(70)


def test_what_was_mended_is_searched_from_today() -> None:
    world = steady("lib", "other")
    world.release("lib", "2.0", 55)
    world.oracle = rules(("too-old", {"lib": "<2"}))
    blame = Driver(world).find_blame(0, 99)
    (found,) = blame.transitions
    assert blame.kind == "mended" and blame.cure is None and blame.attempts == ()
    assert found.before.recipe.as_of == day(55) and adjacent(blame, found)
    assert found.before.recipe.as_of > found.after.recipe.as_of
    assert found.culprits is not None and found.culprits[0].package == "lib"
    assert (found.culprits[0].before, blame.turns) == ("2.0", ())


def let_in_again() -> World:
    """protobuf 4.21 broke it, onnx 1.12 held protobuf back, onnx 1.14 let it in again."""
    world = World({"app": ""})
    world.release("app", "1.0", requires={"onnx": "", "protobuf": ">=3", "noise": ""})
    world.release("onnx", "1.11.0", requires={"protobuf": ">=3"})
    world.release("onnx", "1.12.0", 60, requires={"protobuf": "<4"})
    world.release("onnx", "1.14.0", 200, requires={"protobuf": ">=3.20"})
    world.release("protobuf", "3.20.1")
    world.release("protobuf", "4.21.0", 40)
    world.release("protobuf", "4.23.0", 150)
    for number in range(0, 400, 7):
        world.release("noise", f"1.{number}", number)
    world.oracle = rules(("protobuf-too-new", {"protobuf": ">=4"}))
    return world


def test_the_same_culprit_let_in_again_the_first_time_is_found_by_looking_earlier() -> None:
    blame = Driver(let_in_again()).find_blame(0, 399)
    assert names(blame.transitions[0]) == [("protobuf", "4.21.0")]
    assert blame.transitions[0].after.recipe.as_of == day(40) and adjacent(blame, blame.transitions[0])
    assert [turn.kind for turn in blame.turns] == ["mended", "broken again"]
    assert blame.turns[1].after.recipe.as_of == day(200)
    assert blame.cure is not None and blame.cure.ranges == (("protobuf", "<4"),)


def test_with_a_hint_two_runs_find_it() -> None:
    world = let_in_again()
    world.oracle = lambda packages: (
        failing("protobuf-too-new", (("protobuf", "<4"),)) if packages["protobuf"].startswith("4") else GOOD
    )
    blame = Driver(world).find_blame(0, 399)
    assert blame.transitions[0].after.recipe.as_of == day(40)
    assert blame.tests == 2 + 2 + 1


def test_a_break_mended_upstream_and_another_after_it() -> None:
    world = steady("lib", "other", "more")
    world.release("lib", "2.0", 20)
    world.release("lib", "2.1", 40)
    world.release("other", "3.0", 70)
    world.oracle = rules(("first", {"lib": "==2.0"}), ("second", {"other": ">=3"}))
    blame = Driver(world).find_blame(0, 99)
    (found, *_) = blame.transitions
    assert adjacent(blame, found)
    assert blame.cure is not None and blame.cure.ranges == (("other", "<3"),)


def test_the_first_of_two_different_breaks_is_known_when_it_was_tested() -> None:
    """The middle of the time falls into the first break: that one is next to the good date, the rest are turns."""
    world = steady("lib", "other", "more")
    world.release("lib", "2.0", 30)
    world.release("lib", "2.1", 60)
    world.release("other", "3.0", 70)
    world.oracle = rules(("broken", {"lib": "==2.0"}), ("broken", {"other": ">=3"}))
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("lib", "2.0")]
    assert blame.cure is not None and blame.cure.ranges == (("other", "<3"),)
    assert ("other", "3.0") in [name for one in blame.transitions[1:] for name in names(one)]


def test_a_culprit_that_is_held_back_today_gives_way_to_the_later_one() -> None:
    """lib 2 broke it, holder 1.50 held lib below 2, other 3 broke it anew: no cap of lib changes today."""
    world = World()
    world.release("lib", "1.0")
    world.release("holder", "1.0")
    world.release("other", "1.0")
    world.release("lib", "2.0", 30)
    world.release("holder", "1.50", 60, requires={"lib": "<2"})
    world.release("other", "3.0", 90)
    # The resolver prefers a new holder to a new lib.
    world.releases = {name: world.releases[name] for name in ("holder", "other", "lib")}
    world.oracle = rules(("broken", {"lib": ">=2"}), ("broken", {"other": ">=3"}))
    blame = Driver(world).find_blame(0, 99)
    assert blame.cure is not None and blame.cure.ranges == (("other", "<3"),)


def test_days_without_a_solution_are_bad_without_a_run() -> None:
    world = World({"app": ""})
    world.release("app", "1.0", requires={"lib": ">=2"})
    world.release("lib", "1.0", 0)
    world.release("lib", "2.0", 50)
    world.release("lib", "2.1", 70)
    driver = Driver(world)
    blame = driver.find_blame(0, 99)
    assert (blame.kind, blame.tests) == ("mended", 2)
    assert [one.recipe.as_of for one in blame.timeline] == [day(0), day(50), day(70)]
    (found,) = blame.transitions
    assert (found.before.recipe.as_of, found.after.solved) == (day(50), False)
    assert found.measured.finding.verdict == "unsatisfiable"
    assert (found.changes, found.culprits) == ((), None)


def test_a_yanked_release_is_never_to_blame() -> None:
    world = steady("lib")
    world.release("lib", "2.0", 30, yanked=True)
    world.release("lib", "2.1", 60)
    world.oracle = rules(("new", {"lib": ">=2"}))
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("lib", "2.1")]


def test_what_cannot_be_tested_is_passed_by_and_counted() -> None:
    world = steady("lib", every=1)
    world.release("lib", "2.0", 60)

    def oracle(packages: Mapping[str, str]) -> Measured:
        minor = int(packages["lib"].split(".")[1])
        if packages["lib"] == "2.0":
            return failing("new")
        return Measured(Finding("infra")) if minor >= 40 else GOOD

    world.oracle = oracle
    blame = Driver(world).find_blame(0, 99)
    (found,) = blame.transitions
    assert found.before.packages == {"lib": "1.39.0"}
    assert found.skipped == 21  # 1.40 to 1.60, of which the last came out the day before the culprit
    assert found.changes == (Changed("lib", "1.39.0", "2.0"),)


def test_a_package_that_is_newly_there_came_with_another() -> None:
    world = World({"app": ""})
    world.release("app", "1.0")
    world.release("app", "2.0", 40, requires={"fresh": ""})
    world.release("fresh", "0.1")
    world.release("fresh", "0.2", 70)
    world.oracle = rules(("fresh", {"fresh": ">0"}))
    blame = Driver(world).find_blame(0, 99)
    (found,) = blame.transitions
    assert found.changes == (Changed("app", "1.0", "2.0"), Changed("fresh", None, "0.1"))
    assert names(found) == [("app", "2.0")]
    assert blame.cure is not None and blame.cure.ranges == (("app", "<2"),)


def test_a_package_that_went_down_is_held_up() -> None:
    world = World({"app": "", "lib": ""})
    world.release("app", "1.0")
    world.release("app", "1.1", 40, requires={"lib": "<1.10"})
    world.release("lib", "1.10.0")
    world.release("lib", "1.6.0")
    world.oracle = rules(("old", {"lib": "<1.10"}))
    blame = Driver(world).find_blame(0, 99)
    assert blame.cure is not None and blame.cure.ranges in ((("lib", ">=1.10"),), (("app", "<1.1"),))


def test_a_set_that_cannot_be_tested_leaves_the_culprits_undecided() -> None:
    world = World()
    for package in ("one", "two"):
        world.release(package, "1.0")
        world.release(package, "2.0", 30)

    def oracle(packages: Mapping[str, str]) -> Measured:
        newer = sorted(package for package, version in packages.items() if version == "2.0")
        return {0: GOOD, 1: Measured(Finding("infra")), 2: failing("new")}[len(newer)]

    world.oracle = oracle
    blame = Driver(world).find_blame(0, 99)
    assert len(blame.transitions[0].changes) == 2 and blame.transitions[0].culprits is None
    # All that changed there is held back instead, and neither can be shown to be without need.
    assert blame.cure is not None and blame.cure.ranges == (("one", "<2"), ("two", "<2"))


def test_a_mixture_that_was_run_may_be_an_environment_nearer_to_the_good_date() -> None:
    world = World({"e": "", "d": "", "b": ""})
    for package in ("e", "d", "b"):
        world.release(package, "1.0")
    world.release("b", "2.0", 10)
    world.release("d", "2.0", 20, requires={"b": "<2"})
    world.release("e", "2.0", 30, requires={"d": "<2"})
    world.oracle = rules(("b-new", {"b": ">=2"}))
    line = [world.resolve(Recipe(day(number))) for number in (0, 10, 20, 30)]
    ledger = ProbeLog(10)
    ledger.outcomes.update({line[place].digest: world.oracle(line[place].packages) for place in (0, 2, 3)})
    found = Driver(world)(locate(ledger, line))
    assert (found.before, found.after, names(found)) == (line[0], line[1], [("b", "2.0")])


def test_a_thousand_releases() -> None:
    world = World()
    for number in range(1000):
        world.release("lib", f"1.{number}", number)
    world.oracle = rules(("new", {"lib": ">=1.637"}))
    blame = Driver(world).find_blame(0, 999)
    assert len(blame.timeline) == 1000
    assert names(blame.transitions[0]) == [("lib", "1.637")]
    assert blame.cure is not None and blame.cure.ranges == (("lib", "<1.637"),)
    assert blame.tests <= 2 + 10 + 1


@pytest.mark.parametrize(
    ("verdict", "kind", "tests"), [("match", "works", 2), ("error", "never worked", 2), ("infra", "indeterminate", 1)]
)
def test_where_nothing_broke_no_more_than_the_ends_are_run(verdict: Any, kind: str, tests: int) -> None:
    world = steady("lib")
    world.oracle = lambda packages: Measured(Finding(verdict))
    blame = Driver(world).find_blame(0, 99)
    assert (blame.kind, blame.tests, blame.transitions) == (kind, tests, ())


def test_nothing_changed_at_all() -> None:
    world = steady("lib", until=1)
    assert (Driver(world).find_blame(0, 99).kind, Driver(world).find_blame(5, 5).tests) == ("works", 1)
    with pytest.raises(ValueError, match="is after"):
        Driver(world).find_blame(6, 5)


def test_no_cure_is_said_with_all_that_was_tried() -> None:
    """With lib held back it cannot be found out whether the cell is good today."""
    world = steady("lib", "other", until=40)
    world.release("lib", "2.0", 50)
    world.release("other", "2.0", 60)

    def oracle(packages: Mapping[str, str]) -> Measured:
        if packages["lib"] == "2.0":
            return failing("new", (("lib", "<2,!=1.3.0"),))
        return Measured(Finding("infra")) if packages["other"] == "2.0" else GOOD

    world.oracle = oracle
    blame = Driver(world).find_blame(0, 99)
    assert names(blame.transitions[0]) == [("lib", "2.0")]
    assert (blame.cure, blame.stopped) == (None, False)
    tried = [(attempt.ranges, attempt.measured and attempt.measured.finding.verdict) for attempt in blame.attempts]
    assert tried == [((("lib", "<2"),), "infra"), ((("lib", "!=1.3.0,<2"),), "infra")]


def test_ranges_that_no_packages_fulfil_are_an_attempt_without_a_run() -> None:
    world = steady("one", "two")
    world.release("one", "2.0", 33)
    world.release("two", "2.0", 66)

    def oracle(packages: Mapping[str, str]) -> Measured:
        if packages["two"] == "2.0":
            return failing("second", (("two", "<1"),))
        return failing("first") if packages["one"] == "2.0" else GOOD

    world.oracle = oracle
    blame = Driver(world).find_blame(0, 99)
    first = blame.attempts[0]
    assert (first.ranges, first.measured, first.environment.solved) == ((("two", "<1"),), None, False)
    assert blame.cure is not None and blame.cure.ranges == (("one", "<2"), ("two", "<2"))


@pytest.mark.parametrize("limit", range(12))
def test_the_limit_ends_it_and_what_is_known_stays(limit: int) -> None:
    world = steady("one", "two", "more")
    world.release("one", "2.0", 33)
    world.release("two", "2.0", 66)
    world.oracle = rules(("first", {"one": ">=2"}), ("second", {"two": ">=2"}))
    blame = Driver(world).find_blame(0, 99, limit)
    assert blame.stopped and blame.tests == limit and blame.cure is None
    assert blame.kind == ("indeterminate" if limit < 2 else "broken")
    if limit >= 2:
        found = blame.transitions[0]
        assert found.before.packages["one"] < "2" <= found.after.packages["one"]
    if limit >= 2 + 5:
        assert names(blame.transitions[0]) == [("one", "2.0")] and blame.transitions[0].skipped == 0
