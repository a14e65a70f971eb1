"""What every Storage must do. tests/unit runs it on Memory, tests/node on a real etcd: the twin is as good as this."""

import asyncio
import contextlib

import pytest

from labkit.storage.protocol import Change, Compacted, Mismatch, Storage, Stored, TooLarge, Transition


async def create(storage: Storage, key: str, value: bytes = b"{}") -> int:
    return await storage.commit({key: 0}, {key: value})


class StorageContract:
    """Mixed into a test class whose module has a fixture `storage` with an empty store."""

    async def test_created_is_got_with_its_revision(self, storage: Storage) -> None:
        before = await storage.revision()
        revision = await create(storage, "/registry/pods/default/a", b"one")
        assert revision == before + 1 == await storage.revision()
        assert await storage.get("/registry/pods/default/a") == Stored("/registry/pods/default/a", b"one", revision)
        assert await storage.get("/registry/pods/default/b") is None

    async def test_create_of_what_exists_shows_what_is_there(self, storage: Storage) -> None:
        revision = await create(storage, "/registry/a", b"one")
        with pytest.raises(Mismatch) as caught:
            await create(storage, "/registry/a", b"two")
        assert caught.value.current == {"/registry/a": Stored("/registry/a", b"one", revision)}
        assert (await storage.get("/registry/a")) == Stored("/registry/a", b"one", revision)

    async def test_replace_needs_the_last_revision(self, storage: Storage) -> None:
        first = await create(storage, "/registry/a", b"one")
        second = await storage.commit({"/registry/a": first}, {"/registry/a": b"two"})
        assert second == first + 1
        with pytest.raises(Mismatch):
            await storage.commit({"/registry/a": first}, {"/registry/a": b"three"})
        assert await storage.get("/registry/a") == Stored("/registry/a", b"two", second)

    async def test_replace_and_delete_of_what_is_gone(self, storage: Storage) -> None:
        with pytest.raises(Mismatch) as caught:
            await storage.commit({"/registry/a": 5}, {"/registry/a": b"two"})
        assert caught.value.current == {"/registry/a": None}
        with pytest.raises(Mismatch):
            await storage.commit({"/registry/a": 5}, {}, ["/registry/a"])

    async def test_delete(self, storage: Storage) -> None:
        first = await create(storage, "/registry/a")
        assert await storage.commit({"/registry/a": first}, {}, ["/registry/a"]) == first + 1
        assert await storage.get("/registry/a") is None

    async def test_a_transaction_writes_all_or_nothing(self, storage: Storage) -> None:
        held = await create(storage, "/registry/range", b"0")
        revision = await storage.commit(
            {"/registry/range": held, "/registry/svc": 0}, {"/registry/range": b"1", "/registry/svc": b"s"}
        )
        assert {item.revision for item in (await storage.list("/registry/")).items} == {revision}
        with pytest.raises(Mismatch) as caught:
            await storage.commit(
                {"/registry/range": held, "/registry/svc2": 0}, {"/registry/range": b"2", "/registry/svc2": b"s"}
            )
        assert caught.value.current["/registry/range"] == Stored("/registry/range", b"1", revision)
        assert caught.value.current["/registry/svc2"] is None
        assert await storage.get("/registry/svc2") is None

    async def test_of_sixteen_writers_one_wins(self, storage: Storage) -> None:
        first = await create(storage, "/registry/a")

        async def write(n: int) -> bool:
            try:
                await storage.commit({"/registry/a": first}, {"/registry/a": str(n).encode()})
            except Mismatch:
                return False
            return True

        assert sum(await asyncio.gather(*(write(n) for n in range(16)))) == 1

    async def test_list_is_in_key_order_within_its_prefix(self, storage: Storage) -> None:
        for name in ("pods/b/x", "pods/a/y", "pods/a/x", "podtemplates/a/x", "poda"):
            await create(storage, f"/registry/{name}")
        page = await storage.list("/registry/pods/")
        assert [item.key for item in page.items] == [f"/registry/pods/{n}" for n in ("a/x", "a/y", "b/x")]
        assert page.revision == await storage.revision()
        assert page.more == 0

    async def test_list_in_pages_as_of_one_revision(self, storage: Storage) -> None:
        for n in range(5):
            await create(storage, f"/registry/pods/a/{n}")
        first = await storage.list("/registry/pods/", limit=2)
        assert ([item.key[-1] for item in first.items], first.more) == (["0", "1"], 3)
        await create(storage, "/registry/pods/a/9")
        await storage.commit({}, {}, ["/registry/pods/a/3"])
        rest = await storage.list("/registry/pods/", after=first.items[-1].key, revision=first.revision)
        assert [item.key[-1] for item in rest.items] == ["2", "3", "4"]

    async def test_long_list_is_whole(self, storage: Storage) -> None:
        await asyncio.gather(*(create(storage, f"/registry/pods/a/{n:04}") for n in range(1100)))
        page = await storage.list("/registry/pods/")
        assert [item.key[-4:] for item in page.items] == [f"{n:04}" for n in range(1100)]
        assert (await storage.list("/registry/pods/", limit=700)).more == 400

    async def test_too_large(self, storage: Storage) -> None:
        with pytest.raises(TooLarge):
            await create(storage, "/registry/a", b"x" * 1_600_000)

    async def test_what_has_a_ttl_vanishes_and_is_watched_vanishing(self, storage: Storage) -> None:
        revision = await storage.commit({"/registry/e": 0}, {"/registry/e": b"x"}, ttl=1)
        async with contextlib.aclosing(storage.watch("/registry/", revision + 1)) as watch:
            async with asyncio.timeout(15):
                assert [(c.key, c.value) for c in await anext(watch)] == [("/registry/e", None)]
        assert await storage.get("/registry/e") is None

    async def test_watch_replays_then_follows(self, storage: Storage) -> None:
        first = await create(storage, "/registry/a", b"one")
        second = await storage.commit({"/registry/a": first}, {"/registry/a": b"two"})
        seen: list[Change] = []
        async with contextlib.aclosing(storage.watch("/registry/", first)) as watch, asyncio.timeout(10):
            while len(seen) < 2:
                seen += await anext(watch)
            assert seen == [Change("/registry/a", b"one", first), Change("/registry/a", b"two", second)]
            third = await storage.commit({"/registry/a": second}, {}, ["/registry/a"])
            assert await anext(watch) == [Change("/registry/a", None, third)]

    async def test_watch_sees_a_transaction_whole(self, storage: Storage) -> None:
        revision = await storage.revision()
        async with contextlib.aclosing(storage.watch("/registry/", revision + 1)) as watch, asyncio.timeout(10):
            done = await storage.commit({}, {"/registry/a": b"1", "/registry/b": b"2"})
            batch = await anext(watch)
            assert sorted(batch) == [Change("/registry/a", b"1", done), Change("/registry/b", b"2", done)]

    async def test_watch_keeps_to_its_prefix(self, storage: Storage) -> None:
        revision = await storage.revision()
        async with contextlib.aclosing(storage.watch("/registry/pods/", revision + 1)) as watch, asyncio.timeout(10):
            await create(storage, "/registry/other")
            await create(storage, "/registry/pods/a")
            assert [c.key for c in await anext(watch)] == ["/registry/pods/a"]

    async def test_two_watches_see_the_same(self, storage: Storage) -> None:
        start = await storage.revision() + 1
        await asyncio.gather(*(create(storage, f"/registry/{n}") for n in range(50)))

        async def read() -> list[Change]:
            seen: list[Change] = []
            async with contextlib.aclosing(storage.watch("/registry/", start)) as watch, asyncio.timeout(10):
                while len(seen) < 50:
                    seen += await anext(watch)
            return seen

        one, two = await asyncio.gather(read(), read())
        assert one == two
        assert [c.revision for c in one] == list(range(start, start + 50))

    async def test_compacted_history(self, storage: Storage) -> None:
        revision = await create(storage, "/registry/a", b"0")
        for n in range(1, 5):
            revision = await storage.commit({"/registry/a": revision}, {"/registry/a": str(n).encode()})
        await storage.compact(revision - 1)
        await storage.compact(revision - 1)
        assert await storage.get("/registry/a") == Stored("/registry/a", b"4", revision)
        assert [i.value for i in (await storage.list("/registry/", revision=revision - 1)).items] == [b"3"]
        with pytest.raises(Compacted):
            await storage.list("/registry/", revision=revision - 2)
        async with contextlib.aclosing(storage.watch("/registry/", revision - 2)) as watch, asyncio.timeout(10):
            with pytest.raises(Compacted):
                await anext(watch)
        async with contextlib.aclosing(storage.watch("/registry/", revision - 1)) as watch, asyncio.timeout(10):
            assert (await anext(watch))[0].value == b"3"

    async def test_replay_tells_what_was_there_before(self, storage: Storage) -> None:
        key = "/registry/pods/a"
        start = await storage.revision()
        first = await create(storage, key, b"one")
        await create(storage, "/registry/other")
        second = await storage.commit({key: first}, {key: b"two"})
        gone = await storage.commit({key: second}, {}, [key])
        again = await create(storage, key, b"new")
        one, two, new = Stored(key, b"one", first), Stored(key, b"two", second), Stored(key, b"new", again)
        told = [
            Transition(key, None, one, first), Transition(key, one, two, second),
            Transition(key, two, None, gone), Transition(key, None, new, again),
        ]  # fmt: skip
        for after, expected in ((start, told), (first, told[1:]), (gone, told[3:])):
            assert await replayed(storage, after, len(expected)) == expected

    async def test_replay_goes_on_with_what_happens(self, storage: Storage) -> None:
        start = await storage.revision()
        async with contextlib.aclosing(storage.replay("/registry/", start)) as replay, asyncio.timeout(10):
            first = await create(storage, "/registry/a", b"one")
            assert await anext(replay) == [Transition("/registry/a", None, Stored("/registry/a", b"one", first), first)]
            done = await storage.commit({}, {"/registry/a": b"two", "/registry/b": b"b"})
            batch = await anext(replay)
            assert {(step.key, step.before is None, step.revision) for step in batch} == {
                ("/registry/a", False, done), ("/registry/b", True, done)
            }  # fmt: skip

    async def test_replay_of_a_ttl_tells_what_has_vanished(self, storage: Storage) -> None:
        revision = await storage.commit({"/registry/e": 0}, {"/registry/e": b"x"}, ttl=1)
        was = Stored("/registry/e", b"x", revision)
        steps = await replayed(storage, revision, 1)
        assert [(step.before, step.after) for step in steps] == [(was, None)]

    async def test_replay_from_compacted_history(self, storage: Storage) -> None:
        revisions = [await create(storage, "/registry/a", b"0")]
        for n in range(1, 5):
            revisions.append(await storage.commit({"/registry/a": revisions[-1]}, {"/registry/a": str(n).encode()}))
        await storage.compact(revisions[2])
        steps = await replayed(storage, revisions[2], 2)
        assert [(step.before and step.before.value, step.revision) for step in steps] == [
            (b"2", revisions[3]), (b"3", revisions[4])
        ]  # fmt: skip
        with pytest.raises(Compacted):
            await replayed(storage, revisions[1], 3)

    async def test_replay_from_a_compacted_deletion(self, storage: Storage) -> None:
        """From the deletion on it is told nothing; from just before it, that this is known no longer: etcd throws the
        deletion itself away."""
        revision = await create(storage, "/registry/a")
        gone = await storage.commit({}, {}, ["/registry/a"])
        new = await create(storage, "/registry/b")
        await storage.compact(gone)
        assert [step.revision for step in await replayed(storage, gone, 1)] == [new]
        with pytest.raises(Compacted):
            await replayed(storage, revision, 2)


async def replayed(storage: Storage, after: int, number: int) -> list[Transition]:
    """The first so many changes after a revision."""
    steps: list[Transition] = []
    async with contextlib.aclosing(storage.replay("/registry/", after)) as replay, asyncio.timeout(15):
        while len(steps) < number:
            steps += [step for step in await anext(replay) if step.key != "/registry/other"]
    return steps
