"""The chain from an invitation to a new device key."""

import json
from dataclasses import fields, replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.enrolment import FirstSession, NewDeviceKey, endorse, is_endorsed
from shared.crypto.keys import key_from_seed, raw_public

INVITATION = key_from_seed(b"i" * 32)
PUBLIC = raw_public(INVITATION)
DEVICE = NewDeviceKey(
    tenant="contoso", account="ada", invitation="inv-1", credential_id="Y3JlZA", public_key=b"der octets"
)
SESSION = FirstSession(
    tenant="contoso", account="ada", invitation="inv-1", credential_id="Y3JlZA", session_sha256="c2hhMjU2"
)


def test_the_invitations_key_vouches_for_exactly_this_device_key() -> None:
    signature = endorse(INVITATION, DEVICE)
    assert len(signature) == 64
    assert is_endorsed(PUBLIC, DEVICE, signature)


@pytest.mark.parametrize("field", [f.name for f in fields(NewDeviceKey)])
def test_an_endorsement_is_of_no_other_tenant_account_invitation_credential_or_key(field: str) -> None:
    signature = endorse(INVITATION, DEVICE)
    other = replace(DEVICE, **{field: b"other" if field == "public_key" else "other"})  # type: ignore[arg-type]
    assert not is_endorsed(PUBLIC, other, signature)


def test_another_key_cannot_endorse() -> None:
    stranger = key_from_seed(b"s" * 32)
    assert not is_endorsed(PUBLIC, DEVICE, endorse(stranger, DEVICE))


@given(st.data())
def test_refuses_every_altered_octet_of_the_signature(data: st.DataObject) -> None:
    signature = bytearray(endorse(INVITATION, DEVICE))
    signature[data.draw(st.integers(0, 63))] ^= data.draw(st.integers(1, 255))
    assert not is_endorsed(PUBLIC, DEVICE, bytes(signature))


@given(key=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_whatever_octets_stand_for_key_and_signature_the_answer_is_no(key: bytes, signature: bytes) -> None:
    assert not is_endorsed(key, DEVICE, signature)


def test_text_that_cannot_be_written_as_utf_8_is_not_endorsed() -> None:
    assert not is_endorsed(PUBLIC, replace(DEVICE, account="\ud800"), endorse(INVITATION, DEVICE))


def test_the_signed_octets_are_canonical_and_say_what_they_are_for() -> None:
    octets = DEVICE.octets()
    said = json.loads(octets)
    assert rfc8785.dumps(said) == octets
    assert said["typ"] == "blok365.device-enrolment"
    assert said["v"] == 1


def test_the_fields_cannot_be_shifted_into_each_other() -> None:
    one = replace(DEVICE, tenant="a", account="bc")
    two = replace(DEVICE, tenant="ab", account="c")
    assert one.octets() != two.octets()


def test_the_invitations_key_vouches_for_exactly_this_first_session() -> None:
    signature = endorse(INVITATION, SESSION)
    assert is_endorsed(PUBLIC, SESSION, signature)
    assert not is_endorsed(raw_public(key_from_seed(b"s" * 32)), SESSION, signature)
    for field in fields(FirstSession):
        assert not is_endorsed(PUBLIC, replace(SESSION, **{field.name: "other"}), signature), field.name


def test_neither_signature_stands_for_the_other() -> None:
    assert not is_endorsed(PUBLIC, SESSION, endorse(INVITATION, DEVICE))
    assert not is_endorsed(PUBLIC, DEVICE, endorse(INVITATION, SESSION))


def test_what_is_signed_for_a_session_is_canonical_and_says_what_it_is_for() -> None:
    octets = SESSION.octets()
    said = json.loads(octets)
    assert rfc8785.dumps(said) == octets
    assert said == {
        "v": 1,
        "typ": "blok365.first-session",
        "tenant": "contoso",
        "account": "ada",
        "invitation": "inv-1",
        "credential_id": "Y3JlZA",
        "session_sha256": "c2hhMjU2",
    }
