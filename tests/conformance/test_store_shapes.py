"""Both databases: documents of an older and a newer shape (docs/adr/0007-shapes-change-in-two-releases.md)."""

from itertools import pairwise

import pytest

from shared.store.port import Collection
from shared.store.schema_version import WrongSchemaVersion
from tests.conformance.support import Store, signed


async def test_reads_this_shape_and_the_one_before(store: Store) -> None:
    await store.open(None).collection("things", v=1).insert({"_id": "a"})
    second = store.open(None).collection("things", v=2)
    assert await second.find_one({}) == {"_id": "a", "v": 1}
    assert await second.insert({"_id": "b"})
    first = store.open(None).collection("things", v=1)
    with pytest.raises(WrongSchemaVersion, match="things holds version 2, this release reads 0 and 1"):
        await first.find_one({"_id": "b"})
    fourth = store.open(None).collection("things", v=4)
    with pytest.raises(WrongSchemaVersion):
        await fourth.find({})


async def test_change_of_an_old_document_leaves_its_shape_as_it_is(store: Store) -> None:
    """Only the step that rewrites a document knows that it has the new shape now, and says so."""
    await store.open(None).collection("things", v=1).insert({"_id": "a", "name": "x"})
    second = store.open(None).collection("things", v=2)
    changed = await second.update({"_id": "a"}, {"$set": {"n": 1}}, outbox=[signed("p")], upsert=True)
    assert changed is not None
    assert changed["v"] == 1
    rewritten = await second.update(
        {"_id": "a", "v": 1}, {"$set": {"names": ["x"], "v": 2}, "$unset": {"name": ""}}
    )
    assert rewritten is not None
    assert (rewritten["v"], rewritten["names"]) == (2, ["x"])


async def test_neighbouring_releases_read_what_each_other_writes(store: Store) -> None:
    releases = [
        store.open(None).collection("things", v=1),
        store.open(None).collection("things", v=2, writes=1),  # reads the new shape before anybody writes it
        store.open(None).collection("things", v=2),
        store.open(None).collection("things", v=3, writes=2),
    ]
    for old, new in pairwise(releases):
        for writer, reader in ((old, new), (new, old)):
            assert await writer.insert({"_id": "a"})
            await writer.insert_many([{"_id": "b"}])
            assert await writer.update({"_id": "c"}, {"$set": {"n": 1}}, upsert=True)
            assert len(await reader.find({})) == 3
            assert await writer.delete({}) == 3


@pytest.mark.parametrize(("v", "writes"), [(2, 0), (2, 3), (1, 2)])
async def test_refuses_to_write_a_shape_that_it_cannot_read(store: Store, v: int, writes: int) -> None:
    with pytest.raises(ValueError, match="writes"):
        store.open(None).collection("things", v=v, writes=writes)


async def test_refuses_a_change_to_a_shape_that_it_does_not_write_yet(store: Store) -> None:
    things = store.open(None).collection("things", v=2, writes=1)
    await things.insert({"_id": "a"})
    for change in ({"$set": {"v": 2}}, {"$setOnInsert": {"v": 2}}, {"$inc": {"v": 1}}):
        with pytest.raises(ValueError, match="writes shape 1"):
            await things.update({"_id": "a"}, change)


async def test_refuses_a_change_that_changes_nothing(things: Collection) -> None:
    with pytest.raises(ValueError, match="nothing"):
        await things.update({"_id": "a"}, {})
