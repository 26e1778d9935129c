"""shared/store/codec.py"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal

import pytest
from bson import decode, encode
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.store.codec import from_document, to_document

NOW = datetime(2026, 11, 21, 20, 49, 0, 7000, tzinfo=UTC)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Rule(BaseModel):
    name: str
    hours: int = 8


@dataclass(frozen=True, slots=True)
class Inner:
    name: str
    age: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    id: str
    raw: bytes
    at: datetime
    colour: Colour = Colour.RED
    kind: Literal["one", "two"] = "one"
    number: int = 0
    share: float = 0.5
    sure: bool = False
    wait: timedelta = timedelta(seconds=90)
    inner: Inner | None = None
    texts: tuple[str, ...] = ()
    pair: tuple[int, int] = (0, 0)
    inners: Mapping[str, "Entry"] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    nothing: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    colour: Colour = Colour.BLUE


FULL = Outer(
    id="a",
    raw=b"\x00\xff",
    at=NOW,
    colour=Colour.BLUE,
    kind="two",
    number=2**40,
    sure=True,
    inner=Inner("é\u2028", timedelta(hours=1)),
    texts=("x", "null", "1"),
    pair=(1, 2),
    inners={"e": Entry(3, Colour.RED)},
    rules=(Rule(name="r"),),
)


def through_bson(document: Mapping[str, Any]) -> dict[str, Any]:
    return decode(encode(document), CodecOptions[dict[str, Any]](tz_aware=True))


def test_comes_back_through_bson_as_it_was() -> None:
    assert from_document(Outer, through_bson(to_document(FULL, key="id")), key="id") == FULL
    assert from_document(Inner, through_bson(to_document(Inner("a")))) == Inner("a")


def test_the_form_in_documents_stays_what_it_is() -> None:
    """Documents of the release before must be read, and it must read ours."""
    assert through_bson(to_document(FULL, key="id")) == {
        "_id": "a",
        "raw": b"\x00\xff",
        "at": NOW,
        "colour": "blue",
        "kind": "two",
        "number": 2**40,
        "share": 0.5,
        "sure": True,
        "wait": 90,
        "inner": {"name": "é\u2028", "age": 3600},
        "texts": ["x", "null", "1"],
        "pair": [1, 2],
        "inners": {"e": {"number": 3, "colour": "red"}},
        "rules": [{"name": "r", "hours": 8}],
        "nothing": None,
    }


def test_reading_changes_nothing_in_the_document() -> None:
    document = through_bson(to_document(FULL, key="id"))
    before = through_bson(document)
    from_document(Outer, document, key="id")
    assert document == before


def test_unknown_fields_are_left_out_and_missing_ones_have_their_default() -> None:
    least = {"_id": "a", "raw": b"", "at": NOW, "v": 1, "outbox": [{"id": "x"}], "later": {"a": 1}}
    assert from_document(Outer, least, key="id") == Outer(id="a", raw=b"", at=NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"raw": "text"},
        {"at": "2026-11-21T20:49:00Z"},
        {"colour": "green"},
        {"kind": "three"},
        {"number": "1"},
        {"number": True},
        {"sure": 1},
        {"texts": "x"},
        {"texts": [None]},
        {"pair": [1]},
        {"inner": "x"},
        {"inner": {"age": 1}},
        {"inners": {"e": {"number": None}}},
        {"rules": [{"hours": 1}]},
        {"nothing": 0},
        {"at": None},
    ],
)
def test_a_document_of_another_form_is_refused(wrong: dict[str, Any]) -> None:
    document = {**through_bson(to_document(FULL, key="id")), **wrong}
    with pytest.raises(ValueError, match=r".+"):
        from_document(Outer, document, key="id")


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(ValueError, match="no Inner"):
        from_document(Inner, {})


@given(st.text(), st.integers(-(2**62), 2**62), st.integers(0, 10**9))
def test_texts_and_numbers_come_back_whatever_they_look_like(text: str, number: int, seconds: int) -> None:
    value = Outer(id=text, raw=text.encode("utf-8", "surrogatepass"), at=NOW, number=number, texts=(text,))
    assert from_document(Outer, to_document(value)) == value
    assert from_document(Outer, {**to_document(value), "number": Int64(number)}) == value
    inner = Inner(text, timedelta(seconds=seconds))
    assert from_document(Inner, to_document(inner)) == inner


def test_what_has_no_form_in_a_document_is_refused_at_once() -> None:
    @dataclass
    class Unknown:
        value: object

    @dataclass
    class Durations:
        values: tuple[timedelta, ...]

    with pytest.raises(TypeError, match="no form"):
        to_document(Unknown(object()))
    with pytest.raises(TypeError, match="durations in arrays"):
        to_document(Durations((timedelta(1),)))
