"""Room on the engine's disk: a build that would fill it is not begun."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import small

from matrix.environments.docker.room import FLOOR_MEGABYTES, Room
from matrix.environments.engine import BuildFailed
from matrix.environments.sizes import megabytes
from matrix.packages.lock import Lock, read_locks

TORCH = small.lock("torch", body=f"torch==1.2.0 \\\n    {small.HASH}\nsix==1.16.0 \\\n    {small.HASH}\n")
NEED = megabytes(TORCH)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_free(megabytes: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=megabytes * 2**20))

    return set_free


async def hold(room: Room, lock: Lock, entered: list[str], until: asyncio.Event | None = None) -> None:
    async with room.claimed(lock):
        entered.append(lock.name)
        if until is not None:
            await until.wait()


def test_frameworks_count_most_and_everything_counts() -> None:
    small_one = small.lock("x", body=f"six==1.16.0 \\\n    {small.HASH}\n")
    assert 0 < megabytes(small_one) < 100 < 1000 < NEED
    assert all(megabytes(lock) > 100 for lock in read_locks(small.ROOT / "envs").values() if lock.packages)


def test_where_it_fits_it_is_built(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(NEED + FLOOR_MEGABYTES)
    entered: list[str] = []
    asyncio.run(hold(Room(tmp_path), TORCH, entered))
    assert entered == ["torch"]


def test_where_it_does_not_fit_the_refusal_says_how_much_is_wanted(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(NEED + FLOOR_MEGABYTES - 1)
    with pytest.raises(BuildFailed) as refused:
        asyncio.run(hold(Room(tmp_path), TORCH, []))
    assert (refused.value.kind, refused.value.reason) == ("infra", "disk-full")
    for said in ("torch: ", f"{NEED} MB", f"{NEED + FLOOR_MEGABYTES - 1} MB free", "python -m matrix clean"):
        assert said in refused.value.text


def test_two_that_only_fit_one_after_the_other_wait_for_each_other(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(NEED + FLOOR_MEGABYTES + 1)

    async def main() -> list[list[str]]:
        room, entered, over, seen = Room(tmp_path), list[str](), asyncio.Event(), []
        first = asyncio.create_task(hold(room, TORCH, entered, over))
        second = asyncio.create_task(hold(room, TORCH, entered))
        await asyncio.sleep(0.02)
        seen.append(list(entered))
        over.set()
        await asyncio.wait_for(asyncio.gather(first, second), 5)
        return [*seen, entered]

    assert asyncio.run(main()) == [["torch"], ["torch", "torch"]]


def test_room_is_given_back_by_a_build_that_fails(tmp_path: Path, free: Callable[[int], None]) -> None:
    free(NEED + FLOOR_MEGABYTES)

    async def main() -> list[str]:
        room, entered = Room(tmp_path), list[str]()
        with pytest.raises(ValueError, match="broken"):
            async with room.claimed(TORCH):
                raise ValueError("broken")
        await asyncio.wait_for(hold(room, TORCH, entered), 5)
        return entered

    assert asyncio.run(main()) == ["torch"]


def test_a_disk_that_cannot_be_seen_is_not_judged() -> None:
    entered: list[str] = []
    asyncio.run(hold(Room(None), TORCH, entered))
    assert entered == ["torch"]
    assert Room(None).free_mb() is None
