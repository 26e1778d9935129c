"""Random documents, filters and changes: MongoDB and the store in memory answer the same.

Where the memory store refuses (NotImplementedError), MongoDB may do as it likes: no store of ours gets that far.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

from shared.clock import ManualClock
from shared.store.memory import MemoryDatabase
from shared.store.mongo import MongoDatabase
from shared.store.port import Collection, Index
from tests.conformance.support import START

NAMES = ("a", "b", "c")
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.sampled_from(["", "x", "y", "z"]),
    st.sampled_from([START, START + timedelta(milliseconds=1)]),
    st.sampled_from([b"", b"x"]),
)
flat = st.dictionaries(st.sampled_from(NAMES), scalars, max_size=2)
values = st.one_of(scalars, flat, st.lists(scalars, max_size=3), st.lists(flat, max_size=3))
documents = st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=3), max_size=6)
paths = st.sampled_from(["a", "b", "c", "a.a", "a.b", "b.a", "c.c", "_id"])
orderable = st.one_of(
    st.integers(-2, 3), st.sampled_from([1.5, "x", "y", b"x", START, START + timedelta(milliseconds=1)])
)
conditions = st.one_of(
    values,
    st.dictionaries(st.sampled_from(["$lt", "$lte", "$gt", "$gte"]), orderable, min_size=1, max_size=2),
    st.builds(lambda v: {"$ne": v}, values),
    st.builds(lambda v: {"$in": v}, st.lists(scalars, max_size=3)),
    st.builds(lambda v: {"$nin": v}, st.lists(scalars, max_size=3)),
    st.builds(lambda v: {"$all": v}, st.lists(scalars, max_size=3)),
    st.builds(lambda v: {"$exists": v}, st.booleans()),
)
plain_filters = st.dictionaries(paths, conditions, max_size=2)
filters = st.one_of(
    plain_filters,
    st.builds(lambda b: {"$or": b}, st.lists(plain_filters, min_size=1, max_size=2)),
    st.builds(lambda b, f: {"$or": b, **f}, st.lists(plain_filters, min_size=1, max_size=2), plain_filters),
)
fields = paths.filter(lambda p: p != "_id")
changes = st.dictionaries(
    st.sampled_from(["$set", "$setOnInsert"]),
    st.dictionaries(fields, values, min_size=1, max_size=2),
    max_size=2,
).flatmap(
    lambda sets: st.fixed_dictionaries(
        {},
        optional={
            "$unset": st.dictionaries(fields, st.just(""), min_size=1, max_size=1),
            "$inc": st.dictionaries(fields, st.integers(-2, 2), min_size=1, max_size=1),
            "$max": st.dictionaries(fields, orderable, min_size=1, max_size=1),
            "$min": st.dictionaries(fields, orderable, min_size=1, max_size=1),
            "$push": st.dictionaries(
                fields,
                st.one_of(
                    values,
                    st.builds(lambda v: {"$each": v}, st.lists(scalars, max_size=2)),
                    st.builds(lambda v: {"$each": v, "$slice": -2}, st.lists(scalars, max_size=3)),
                ),
                min_size=1,
                max_size=1,
            ),
        },
    ).map(lambda rest: {**sets, **rest})
)
sorts: st.SearchStrategy[list[tuple[str, int]]] = st.one_of(
    st.just([]), st.builds(lambda f, o: [(f, o)], fields, st.sampled_from([1, -1]))
)


class Pair:
    """The same collection in both, on an event loop that outlives hypothesis's examples."""

    def __init__(self, url: str, name: str) -> None:
        clock = ManualClock(START)
        self._loop = asyncio.new_event_loop()
        self._mongo = MongoDatabase(url, name, clock=clock)
        self._clock = clock
        self._indexes = [
            Index((("c", 1),), unique=True, partial={"c": {"$exists": True}}),
            Index((("b.a", 1),), unique=True, partial={"b": {"$exists": True}}),
        ]
        self.real = self._mongo.collection("things")
        self._unique_real = self._mongo.collection("unique", indexes=self._indexes)
        self._run(self._mongo.migrate())

    def fresh(self, given: list[dict[str, Any]], *, unique: bool = False) -> tuple[Collection, Collection]:
        real = self._unique_real if unique else self.real
        made = MemoryDatabase(clock=self._clock).collection("things", indexes=self._indexes if unique else ())
        self._run(real.delete({}))
        for i, document in enumerate(given):
            took = [self._run(each.insert({**document, "_id": str(i)})) for each in (real, made)]
            assert took[0] == took[1], document
        return real, made

    def _run(self, step: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(_await(step))

    def agree(self, in_memory: Awaitable[Any], in_mongo: Awaitable[Any]) -> None:
        try:
            expected = self._run(in_memory)
        except NotImplementedError:
            self._run(_closed(in_mongo))
            return
        except ValueError:
            expected = "impossible"
        try:
            got = self._run(in_mongo)
        except (OperationFailure, ValueError):
            got = "impossible"
        assert _typed(got) == _typed(expected)

    def close(self) -> None:
        self._run(self._mongo.close())
        self._loop.close()


async def _await(step: Awaitable[Any]) -> Any:
    return await step


async def _closed(step: Any) -> None:
    step.close()


def _typed(value: Any) -> Any:
    """Equal only if BSON would say so: booleans are no numbers, and the order of fields inside values counts.

    Fields of the document itself stand in another order: MongoDB adds new ones by name.
    """
    if isinstance(value, list):
        return [_typed(v) for v in value]
    if isinstance(value, dict):
        return {k: _typed(v) for k, v in value.items()}
    return (isinstance(value, bool), value)


@pytest.fixture(scope="module")
def pair(mongo_url: str) -> Iterator[Pair]:
    pair = Pair(mongo_url, "differential")
    yield pair
    pair.close()


pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("differential")]
examples = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(given_documents=documents, where=filters, sort=sorts)
@examples
def test_both_find_the_same(pair: Pair, given_documents: Any, where: Any, sort: Any) -> None:
    real, made = pair.fresh(given_documents)
    order = [*sort, ("_id", 1)]
    pair.agree(made.find(where, sort=order), real.find(where, sort=order))


@given(given_documents=documents, where=filters, change=changes)
@examples
def test_both_change_the_same(pair: Pair, given_documents: Any, where: Any, change: Any) -> None:
    real, made = pair.fresh(given_documents)
    by_id = {**where, "_id": "0"}
    pair.agree(made.update(by_id, change), real.update(by_id, change))
    pair.agree(made.find({}, sort=[("_id", 1)]), real.find({}, sort=[("_id", 1)]))


@given(given_documents=documents, where=plain_filters, change=changes)
@examples
def test_both_upsert_the_same(pair: Pair, given_documents: Any, where: Any, change: Any) -> None:
    real, made = pair.fresh(given_documents)
    by_id = {**where, "_id": "0"}
    pair.agree(made.update(by_id, change, upsert=True), real.update(by_id, change, upsert=True))
    pair.agree(made.find({}, sort=[("_id", 1)]), real.find({}, sort=[("_id", 1)]))


@given(given_documents=documents, change=changes)
@examples
def test_both_keep_the_same_unique(pair: Pair, given_documents: Any, change: Any) -> None:
    real, made = pair.fresh(given_documents, unique=True)
    pair.agree(made.update({"_id": "0"}, change), real.update({"_id": "0"}, change))
    pair.agree(made.find({}, sort=[("_id", 1)]), real.find({}, sort=[("_id", 1)]))


@given(given_documents=documents, where=filters)
@examples
def test_both_delete_the_same(pair: Pair, given_documents: Any, where: Any) -> None:
    real, made = pair.fresh(given_documents)
    pair.agree(made.delete(where), real.delete(where))
