"""What holds of every search for a culprit, in worlds nobody thought of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from hashlib import sha256

from blame_world import GOOD, Driver, World, day, digest, failing, rules
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from matrix.answers.blame.bisection import HINTED, Bracket, depth, next_probe, timeline
from matrix.answers.blame.delta import changes, minimise
from matrix.answers.blame.probes import ProbeLog
from matrix.answers.blame.ranges import cap, fulfilled, merged
from matrix.answers.blame.transitions import locate
from matrix.answers.blame.types import Changed, Measured, Recipe, Resolved
from matrix.judging.finding import Finding

LAST = 40
NAMES = ("a", "b", "c", "d")
few = settings(max_examples=100, deadline=None, derandomize=True)


@few
@given(
    st.lists(st.sampled_from([True, False, None]), max_size=120),
    st.booleans(),
    st.lists(st.integers(1, 121), max_size=4),
)
# Nothing but wrong hints.
@example([False] * 120, True, [120, 110, 100, 90])
def test_bisection_ends_at_neighbours_within_its_bound(
    between: list[bool | None], whole: bool, hints: list[int]
) -> None:
    if whole:
        between = [bool(good) for good in between]
    line = [True, *between, False]
    known: dict[int, bool | None] = {0: True, len(line) - 1: False}
    bound = depth(len(line) - 1) + (HINTED if hints else 0)
    tests = 0
    while not isinstance(found := next_probe(known, hints, bound - tests), Bracket):
        assert found not in known
        known[found] = line[found]
        tests += 1
    assert line[found.good] is True and line[found.bad] is False
    assert all(good is None for good in line[found.good + 1 : found.bad])
    if None not in line:
        assert found.skipped == 0 and tests <= bound


versions = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(lambda numbers: ".".join(map(str, numbers)))


@few
@given(versions, versions)
def test_a_cap_keeps_the_good_version_and_shuts_out_the_bad_one_and_all_beyond(good: str, bad: str) -> None:
    found = cap(Changed("lib", good, bad))
    if Version(good) == Version(bad):
        return
    assert fulfilled({"lib": good}, found) and not fulfilled({"lib": bad}, found)
    beyond = "99!0" if Version(bad) > Version(good) else "0.dev0"
    assert not fulfilled({"lib": beyond}, found)


@few
@given(st.lists(versions, min_size=1, max_size=3), st.lists(versions, min_size=1, max_size=3), versions)
def test_what_is_merged_holds_where_both_hold(below: list[str], above: list[str], version: str) -> None:
    first = (("lib", ",".join(f"<{bound}" for bound in below)),)
    second = (("lib", ",".join(f">={bound}" for bound in above)),)
    packages = {"lib": version}
    assert fulfilled(packages, merged(first, second)) == (fulfilled(packages, first) and fulfilled(packages, second))
    assert merged(first, second)[0][1].count(",") == 1


@st.composite
def worlds(draw: st.DrawFn, requires: bool = False) -> World:
    """Every package is there on the first day; many may change on one."""
    world = World()
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        world.release(name, "1.0")
        for number, since in enumerate(sorted(draw(st.lists(st.integers(1, LAST), max_size=6)))):
            needed = {}
            if requires and draw(st.booleans()):
                needed = {draw(st.sampled_from(NAMES)): draw(st.sampled_from(["<3", ">=2", "<2", ""]))}
            major = draw(st.booleans())
            world.release(name, f"{number + 2}.0" if major else f"{number + 1}.{number + 5}", since, needed)
    return world


@few
@given(worlds(requires=True))
def test_the_timeline_is_that_of_every_single_day(world: World) -> None:
    found = Driver(world)(timeline(ProbeLog(0), day(0), day(LAST)))
    daily = [world.resolve(Recipe(day(number))) for number in range(LAST + 1)]
    expected: list[Resolved] = []
    for environment in daily:
        if not expected or dict(expected[-1].packages) != dict(environment.packages):
            expected.append(environment)
    assert [(one.recipe.as_of, one.packages) for one in found] == [(one.recipe.as_of, one.packages) for one in expected]


def arbitrary(seed: int, first: Mapping[str, str], hide: bool) -> dict[str, Measured]:
    """An oracle without any sense: what a set of packages comes out as is anybody's guess, but for the first."""
    outcomes = [GOOD, GOOD, failing("one"), failing("one"), failing("two", (("b", "<2"),))]
    outcomes += [Measured(Finding("infra"))] if hide else []

    class Guess(dict[str, Measured]):
        def __missing__(self, key: str) -> Measured:
            return outcomes[int(sha256(f"{seed}{key}".encode()).hexdigest(), 16) % len(outcomes)]

    return Guess({digest(first): GOOD})


@few
@given(worlds(), st.integers(0, 10**6), st.booleans(), st.integers(0, 200))
def test_whatever_the_world_is_like_the_answer_is_true(world: World, seed: int, hide: bool, limit: int) -> None:
    guess = arbitrary(seed, world.resolve(Recipe(day(0))).packages, hide)
    world.oracle = lambda packages: guess[digest(packages)]
    blame = Driver(world).find_blame(0, LAST, limit)
    if blame.kind != "broken":
        assert blame.transitions == () and blame.cure is None
        return
    for found in blame.transitions:
        assert guess[found.before.digest].good and guess[found.after.digest].good is False
        assert found.changes == changes(found.before, found.after)
        if found.culprits is not None:
            assert_minimal(guess, found.before, found.after, found.culprits)
    if not blame.stopped:
        line = list(blame.timeline)
        days = [one.recipe.as_of for one in line]
        place = days.index(blame.transitions[0].before.recipe.as_of)
        between = line[place + 1 : days.index(blame.transitions[0].after.recipe.as_of)]
        assert len(between) == blame.transitions[0].skipped
        assert all(guess[one.digest].good is None for one in between)
    if blame.cure is not None:
        assert blame.cure.environment.digest == world.resolve(Recipe(day(LAST), blame.cure.ranges)).digest
        assert guess[blame.cure.environment.digest].good
        if not blame.stopped:
            for left in blame.cure.ranges:
                fewer = tuple(one for one in blame.cure.ranges if one != left)
                assert not guess[world.resolve(Recipe(day(LAST), fewer)).digest].good


@few
@given(worlds(), st.integers(0, 10**6), st.booleans())
def test_nothing_that_was_seen_to_be_bad_is_nearer_to_the_good_date(world: World, seed: int, earlier: bool) -> None:
    line = [world.resolve(Recipe(day(0)))]
    for number in range(1, LAST + 1):
        if (environment := world.resolve(Recipe(day(number)))).digest != line[-1].digest:
            line.append(environment)
    guess = arbitrary(seed, line[0].packages, hide=True)
    if len(line) == 1 or guess[line[-1].digest].good is not False:
        return
    world.oracle = lambda packages: guess[digest(packages)]
    ledger = ProbeLog(1000)
    ledger.outcomes.update({end.digest: guess[end.digest] for end in (line[0], line[-1])})
    found = Driver(world)(locate(ledger, line, earlier=earlier))
    before, after = line.index(found.before), line.index(found.after)
    seen = {index: known.good for index, one in enumerate(line) if (known := ledger.known(one))}
    assert seen[before] is True and seen[after] is False
    assert all(seen[index] is None for index in range(before + 1, after))
    assert not any(good is False for index, good in seen.items() if index < after)


def assert_minimal(
    guess: Mapping[str, Measured], before: Resolved, after: Resolved, culprits: tuple[Changed, ...]
) -> None:
    def fails(part: tuple[Changed, ...]) -> bool:
        packages = {**before.packages, **{one.package: str(one.after) for one in part}}
        return guess[digest(packages)].failure == guess[after.digest].failure and not guess[digest(packages)].good

    assert fails(culprits)
    for left in culprits:
        assert not fails(tuple(one for one in culprits if one != left))


faults = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([">=2", ">=3", ">=4"]), min_size=1, max_size=2), max_size=3
)


@few
@given(worlds(), faults, st.lists(st.sampled_from(["x", "y"]), min_size=3, max_size=3))
def test_where_newer_is_what_breaks_there_is_always_a_cure(
    world: World, where: list[dict[str, str]], reasons: list[str]
) -> None:
    world.oracle = rules(*zip(reasons, where, strict=False))
    blame = Driver(world).find_blame(0, LAST, 300)
    assert blame.kind in ("broken", "works") and not blame.stopped
    if blame.kind == "broken":
        assert blame.cure is not None
        # Such a world is bad from its first break on.
        found = blame.transitions[0]
        assert all(
            world.oracle(one.packages).good == (one.recipe.as_of <= found.before.recipe.as_of) for one in blame.timeline
        )


@few
@given(st.integers(2, 7), st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_culprits_are_a_minimal_set_within_the_bound(count: int, seed: int, hide: bool, alone: bool) -> None:
    world = World()
    for number in range(count):
        world.release(f"p{number}", "1.0")
        world.release(f"p{number}", "2.0", 10)
    before, after = (world.resolve(Recipe(day(number))) for number in (0, 10))
    guess = arbitrary(seed, before.packages, hide)
    guess[after.digest] = failing("one", (("p1", "<2"),) if alone else (("p0", "<2"), ("p1", "<2")))
    world.oracle = lambda packages: guess[digest(packages)]
    ledger = ProbeLog(1000)
    ledger.outcomes.update({before.digest: GOOD, after.digest: guess[after.digest]})
    culprits = Driver(world)(minimise(ledger, before, after))
    assert ledger.tests <= count * count + 3 * count
    assert culprits is not None or hide
    if culprits is not None:
        assert_minimal(guess, before, after, culprits)


@few
@given(st.integers(1, 9), st.integers(0, 8), st.booleans())
def test_one_culprit_among_many_costs_little(count: int, which: int, named: bool) -> None:
    which %= count
    world = World()
    for number in range(count):
        world.release(f"p{number}", "1.0")
        world.release(f"p{number}", "1.1", 10)
    hints = ((f"p{which}", "<1.1"),)
    world.oracle = lambda packages: (
        failing("new", *([hints] if named else [])) if packages[f"p{which}"] == "1.1" else GOOD
    )
    before, after = (world.resolve(Recipe(day(number))) for number in (0, 10))
    ledger = ProbeLog(1000)
    ledger.outcomes.update({before.digest: GOOD, after.digest: world.oracle(after.packages)})
    culprits = Driver(world)(minimise(ledger, before, after))
    assert culprits is not None and [one.package for one in culprits] == [f"p{which}"]
    assert ledger.tests <= (1 if named else 2 * depth(count)) and (count > 1 or ledger.tests == 0)


def test_a_batch_is_a_level_of_the_division() -> None:
    """So that whoever answers can resolve in parallel."""
    world = World()
    for number in range(64):
        world.release("lib", f"1.{number}", number)
    driver = Driver(world)
    assert len(driver(timeline(ProbeLog(0), day(0), day(63)))) == 64
    assert len(driver.batches) == 1 + depth(63) and sum(driver.batches) == 64
    assert day(63) - day(0) == dt.timedelta(days=63)
