"""Slots, and environments that are built once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import small
from fakes import FakeEngine, Told

from matrix.environments.engine import BuildFailed, Environment
from matrix.execution.builds import Builds
from matrix.execution.slots import Slots
from matrix.packages.lock import Lock

T = TypeVar("T")

# --- slots -----------------------------------------------------------------------------------------------------------


class Crowd:
    """Tasks that each take a slot, record it, and keep it until released."""

    def __init__(self, size: int) -> None:
        self.slots = Slots(size)
        self.entered: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def send(self, name: str, priority: float) -> None:
        self.gates[name] = asyncio.Event()

        async def work() -> None:
            async with self.slots.hold((priority,)):
                self.entered.append(name)
                await self.gates[name].wait()

        self.tasks[name] = asyncio.create_task(work())
        await settle()

    async def leave(self, name: str) -> None:
        self.gates[name].set()
        await settle()

    async def give_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await settle()

    async def end(self) -> None:
        for gate in self.gates.values():
            gate.set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def ended(work: Coroutine[Any, Any, T]) -> T:
    """The result, with a timeout: a slot that is never free would be waited for without end."""

    async def limited() -> T:
        return await asyncio.wait_for(work, 10)

    return asyncio.run(limited())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_most_urgent_goes_first_among_equals_the_earlier() -> None:
    async def main() -> list[str]:
        crowd = Crowd(1)
        for name, priority in (("first", 2), ("late", 2), ("low", 5), ("later", 2), ("urgent", 0)):
            await crowd.send(name, priority)
        for name in ("first", "urgent", "late", "later", "low"):
            await crowd.leave(name)
        await crowd.end()
        return crowd.entered

    assert ended(main()) == ["first", "urgent", "late", "later", "low"]


def test_as_many_as_there_are_places() -> None:
    async def main() -> list[str]:
        crowd = Crowd(2)
        for name in "abc":
            await crowd.send(name, 0)
        before = list(crowd.entered)
        assert crowd.slots.wanted
        await crowd.leave("a")
        assert not crowd.slots.wanted
        after = list(crowd.entered)
        await crowd.end()
        return [*before, "-", *after]

    assert ended(main()) == ["a", "b", "-", "a", "b", "c"]


def test_demand_is_what_is_held_or_waited_for_up_to_all() -> None:
    async def main() -> list[int]:
        crowd = Crowd(2)
        found = [crowd.slots.demand]
        for name in "abc":
            await crowd.send(name, 0)
            found.append(crowd.slots.demand)
        for name in "abc":
            await crowd.leave(name)
            found.append(crowd.slots.demand)
        await crowd.end()
        return found

    assert ended(main()) == [0, 1, 2, 2, 2, 1, 0]


def test_what_takes_longest_is_built_first(tmp_path: Path) -> None:
    locks = [small.lock(name, body=f"{name}==1 \\\n    {small.HASH}\n") for name in ("short", "middle", "long")]
    seconds = {"short": 1.0, "middle": 2.0, "long": 3.0}

    async def main() -> list[str]:
        engine = FakeEngine(tmp_path)
        builds = Builds(engine, 1, Told(), priority=lambda lock: (-seconds[lock.name],))
        tasks = [builds.want(lock) for lock in locks]
        await asyncio.gather(*tasks)
        return engine.prepared

    # The first is begun before the others are known.
    assert ended(main()) in (["long", "middle", "short"], ["short", "long", "middle"])


def test_an_environment_is_left_once_and_only_if_it_was_built(tmp_path: Path) -> None:
    built, there, dropped = (small.lock(name, body=f"{name}==1 \\\n    {small.HASH}\n") for name in ("b", "t", "d"))

    async def main() -> list[str]:
        engine = FakeEngine(tmp_path)
        engine.old = {"t"}
        builds = Builds(engine, 2, Told())
        for lock in (built, there, dropped):
            await builds.get(lock)
        await builds.evict(dropped)
        assert engine.left == ["d"]
        await builds.close()
        return engine.left

    assert ended(main()) == ["d", "b"]


def test_a_slot_survives_a_cancelled_waiter() -> None:
    async def main() -> list[str]:
        crowd = Crowd(1)
        await crowd.send("a", 0)
        await crowd.send("gives up", 0)
        await crowd.send("c", 0)
        await crowd.give_up("gives up")
        assert crowd.slots.wanted
        await crowd.leave("a")
        await crowd.leave("c")
        assert not crowd.slots.wanted
        await crowd.send("d", 0)
        await crowd.end()
        return crowd.entered

    assert ended(main()) == ["a", "c", "d"]


def test_a_place_given_to_somebody_cancelled_at_that_moment_is_passed_on() -> None:
    async def main() -> list[str]:
        crowd = Crowd(1)
        for name in ("a", "cancelled", "c"):
            await crowd.send(name, 0)
        # Both before anybody runs: the place is already theirs when the cancellation arrives.
        crowd.gates["a"].set()
        await asyncio.sleep(0)
        crowd.tasks["cancelled"].cancel()
        await settle()
        await crowd.leave("c")
        await crowd.send("d", 0)
        await crowd.end()
        return crowd.entered

    assert ended(main()) == ["a", "c", "d"]


def test_a_place_is_given_back_by_who_fails() -> None:
    async def main() -> None:
        slots = Slots(1)
        for _ in range(2):
            with pytest.raises(ValueError, match="x"):
                async with slots.hold(0):
                    raise ValueError("x")
        async with asyncio.timeout(1), slots.hold(0):
            pass

    ended(main())


# --- builds ----------------------------------------------------------------------------------------------------------


def lock(name: str) -> Lock:
    """A unique lock: locks of equal content are one environment."""
    return small.lock(name, body=f"{name}==1\n")


def build(engine: FakeEngine, told: Told, *names: str, limit: int = 2, ahead: tuple[str, ...] = ()) -> list[Any]:
    async def main() -> list[Any]:
        builds = Builds(engine, limit, told)
        for name in ahead:
            builds.want(lock(name))
        found = await asyncio.gather(*(builds.get(lock(name)) for name in names), return_exceptions=True)
        await builds.close()
        return list(found)

    return ended(main())


def test_each_is_built_once(tmp_path: Path) -> None:
    engine, told = FakeEngine(tmp_path), Told()
    found = build(engine, told, "a", "b", "a", ahead=("b",))
    assert [item.lock.name for item in found if isinstance(item, Environment)] == ["a", "b", "a"]
    assert sorted(engine.prepared) == ["a", "b"]
    assert sorted(told.of("built")) == [("a", None), ("b", None)]


def test_two_rows_with_the_same_lock_are_built_once(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path)

    async def main() -> None:
        builds = Builds(engine, 2, Told())
        one = lock("a")
        await asyncio.gather(builds.get(one), builds.get(replace(one, name="twin")))
        await builds.close()

    ended(main())
    assert engine.prepared == ["a"]


def test_no_more_at_once_than_allowed(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path)
    engine.build_seconds = 0.01
    build(engine, Told(), *"abcdef", limit=2)
    assert engine.most_at_once == 2


def test_a_failure_is_raised_for_every_caller(tmp_path: Path) -> None:
    engine, told = FakeEngine(tmp_path), Told()
    engine.broken["a"] = BuildFailed("error", "no-wheel", "text")
    found = build(engine, told, "a", "a", "b")
    assert [getattr(item, "reason", "built") for item in found] == ["no-wheel", "no-wheel", "built"]
    assert engine.prepared.count("a") == 1
    assert ("a", "no-wheel") in told.of("built")


def test_a_failure_that_is_not_awaited_is_silent(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path)
    engine.broken["a"] = BuildFailed("error", "no-wheel", "text")
    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        builds = Builds(engine, 2, Told())
        builds.want(lock("a"))
        await builds.get(lock("b"))
        await settle()
        # Dropped without being closed: now the loop would complain of an exception that was never retrieved.
        del builds
        engine.broken.clear()
        gc.collect()

    ended(main())
    assert engine.prepared == ["a", "b"] and complaints == []


def test_one_who_stops_waiting_does_not_stop_the_build(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path)
    engine.build_seconds = 0.02

    async def main() -> Environment:
        builds = Builds(engine, 1, Told())
        impatient = asyncio.ensure_future(builds.get(lock("a")))
        await settle()
        impatient.cancel()
        return await builds.get(lock("a"))

    assert ended(main()).lock.name == "a"
    assert engine.prepared == ["a"]


def test_closing_stops_what_is_being_built_and_does_not_call_it_built(tmp_path: Path) -> None:
    engine, told = FakeEngine(tmp_path), Told()
    engine.build_seconds = 60

    async def main() -> None:
        builds = Builds(engine, 1, told)
        builds.want(lock("a"))
        await settle()
        await asyncio.wait_for(builds.close(), 5)

    ended(main())
    assert told.of("built") == [("a", "interrupted")]
