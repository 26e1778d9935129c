"""The text that a phone signs, against the one that wsfed sent."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from services.approval.domain.context import answer_digest, read_context
from shared.errors import BadInput, Blok365Error, Conflict

FIELDS: dict[str, Any] = {
    "v": 2,
    "purpose": "approve",
    "tenant": "contoso",
    "application_name": "Müller & Søn",
    "nonce": "n" * 43,
}
CONTEXT = rfc8785.dumps(FIELDS).decode()


def with_code(code: Any, **more: Any) -> str:
    return rfc8785.dumps({**FIELDS, "code": code, **more}).decode()


def test_digest_is_over_the_octets_that_were_signed() -> None:
    answer = with_code("482913")
    assert answer_digest(answer, CONTEXT) == hashlib.sha256(answer.encode()).digest()


@pytest.mark.parametrize("code", ["", "48 29", "48291x", "٤٨٢٩١٣", "1" * 13, 482913, None, ["1"]])
def test_rejects_a_code_that_is_no_short_row_of_digits(code: object) -> None:
    with pytest.raises(BadInput):
        answer_digest(with_code(code), CONTEXT)


@pytest.mark.parametrize(
    "answer",
    [
        with_code("482913", tenant="fabrikam"),
        with_code("482913", extra=1),
        rfc8785.dumps({"v": 2, "code": "482913"}).decode(),
    ],
    ids=["another tenant", "a field more", "fields less"],
)
def test_rejects_another_context(answer: str) -> None:
    with pytest.raises(Conflict) as refused:
        answer_digest(answer, CONTEXT)
    assert refused.value.code == "other_context"


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({**FIELDS, "code": "482913"}, ensure_ascii=False),
        with_code("482913")[:-1] + ',"v":2}',
        with_code("482913") + " ",
        with_code("482913").replace("ü", "\\u00fc"),
        "[]",
        "482913",
        "{",
        "",
        '{"code":"1","a":NaN}',
        '{"code":"1","a":"\ud800"}',
        "[" * 5000,
        with_code("482913", padding="x" * 9000),
    ],
    ids=["spaced", "doubled", "space", "escaped", "list", "number", "half", "empty", "nan", "half character",
         "deep", "long"],
)  # fmt: skip
def test_rejects_what_is_not_canonical(answer: str) -> None:
    with pytest.raises(BadInput):
        answer_digest(answer, CONTEXT)


@given(st.text(max_size=300))
def test_any_text_is_refused_cleanly(text: str) -> None:
    with pytest.raises(Blok365Error):
        answer_digest(text, CONTEXT)


@pytest.mark.parametrize("text", [with_code("1"), " " + CONTEXT, "null", "\ud800", "x" * 9000])
def test_a_context_is_canonical_and_has_no_code_yet(text: str) -> None:
    assert read_context(CONTEXT).text == CONTEXT
    with pytest.raises(ValueError):
        read_context(text)


@pytest.mark.parametrize("purpose", ["sign-in", "session", "remove", "", None, ["approve"]])
def test_a_context_for_another_purpose_is_never_given_to_a_phone(purpose: Any) -> None:
    with pytest.raises(ValueError, match="not for a phone to approve"):
        read_context(rfc8785.dumps({**FIELDS, "purpose": purpose}).decode())


@pytest.mark.parametrize(
    ("fields", "address"), [({}, ""), ({"address": "192.0.2.17"}, "192.0.2.17"), ({"address": 17}, "")]
)
def test_the_browsers_address_is_read_from_the_context(fields: dict[str, Any], address: str) -> None:
    assert read_context(rfc8785.dumps({**FIELDS, **fields}).decode()).browser_address == address
