"""What a phone states for itself, read strictly."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.statement import Purpose, Statement, read_statement
from shared.ids import b64u

ORIGIN, APP = "https://key.id.example", "android:apk-key-hash:blokkey"
HONEST = Statement(
    purpose=Purpose.REMOVE,
    origin=ORIGIN,
    rp_id="id.example",
    nonce=b64u(bytes(range(32))),
    server_nonce=b64u(bytes(32)),
    device="d1",
)


def read(text: str, **other: Any) -> Statement:
    expected: dict[str, Any] = {
        "purpose": Purpose.REMOVE,
        "origins": (ORIGIN, APP),
        "rp_id": "id.example",
        "server_nonce": HONEST.server_nonce,
        "device": "d1",
    }
    return read_statement(text, **{**expected, **other})


def test_text_is_canonical_and_its_digest_is_the_challenge() -> None:
    fields: dict[str, Any] = {
        "v": 1,
        "purpose": "remove",
        "origin": ORIGIN,
        "rp_id": "id.example",
        "nonce": HONEST.nonce,
        "server_nonce": HONEST.server_nonce,
        "device": "d1",
    }
    assert HONEST.text() == rfc8785.dumps(fields).decode()
    assert HONEST.digest() == hashlib.sha256(HONEST.text().encode()).digest()
    assert read(HONEST.text()) == HONEST


@pytest.mark.parametrize("field", json.loads(HONEST.text()))
@pytest.mark.parametrize("value", ["another", "", None, 2, [], {}, True])
def test_rejects_any_other_value_of_any_field(field: str, value: Any) -> None:
    changed = rfc8785.dumps({**json.loads(HONEST.text()), field: value}).decode()
    with pytest.raises(ValueError):
        read(changed)


@pytest.mark.parametrize("field", json.loads(HONEST.text()))
def test_rejects_a_field_less(field: str) -> None:
    fields = json.loads(HONEST.text())
    del fields[field]
    with pytest.raises(ValueError):
        read(rfc8785.dumps(fields).decode())


@pytest.mark.parametrize(
    "text",
    [
        HONEST.text() + " ",
        HONEST.text()[:-1] + ',"v":1}',
        HONEST.text()[:-1] + ',"x":1}',
        json.dumps(json.loads(HONEST.text())),
        HONEST.text().replace("id.example", "\\u0069d.example"),
        "[]",
        "null",
        "",
        "[" * 3000,
        HONEST.text().replace("d1", "d" * 3000),
    ],
    ids=["space", "doubled", "field more", "spaced", "escaped", "list", "null", "empty", "deep", "long"],
)  # fmt: skip
def test_rejects_another_spelling(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


@pytest.mark.parametrize("octets", [0, 31, 33])
def test_rejects_a_nonce_of_another_length(octets: int) -> None:
    fields = {**json.loads(HONEST.text()), "nonce": b64u(bytes(octets))}
    with pytest.raises(ValueError, match="32 octets"):
        read(rfc8785.dumps(fields).decode())


def test_rejects_a_statement_without_the_device_that_was_asked_about() -> None:
    with pytest.raises(ValueError, match="asked for"):
        read(HONEST.text(), device="d2")
    with pytest.raises(ValueError, match="asked for"):
        read(HONEST.text(), device=None)


@given(st.text(max_size=200))
def test_any_text_is_refused_cleanly(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)
