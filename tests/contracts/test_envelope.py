"""What a consumer refuses before it looks at the message."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.clock import ManualClock, iso_millis
from shared.contracts.admin import AccountChanged, AccountStatus
from shared.contracts.approval import ChallengeEnded, DeviceChanged, OpenChallenge
from shared.contracts.envelope import (
    DOMAIN_SEPARATOR,
    FUTURE_TOLERANCE,
    MAX_MESSAGE,
    MessageSigner,
    Refused,
    SignedMessage,
    VerifiedMessage,
    verify_message,
)
from shared.crypto.keys import key_from_seed
from shared.ids import SeededIds

NOW = datetime(2026, 11, 21, 20, 49, tzinfo=UTC)
KEYS = {
    name: key_from_seed(bytes([number]) * 32) for number, name in enumerate(("admin", "approval", "wsfed"))
}
TRUSTED = {name: (key.public_key(),) for name, key in KEYS.items()}
CHANGED = AccountChanged(
    version=1,
    account="a",
    upn="ada@contoso.example",
    display_name="Ada",
    immutable_id="00",
    status=AccountStatus.ACTIVE,
)


def signer(service: str = "admin", at: datetime = NOW) -> MessageSigner:
    return MessageSigner(service, KEYS[service], ManualClock(at), SeededIds("envelope"))


def made(at: datetime = NOW) -> SignedMessage:
    return signer(at=at).sign(CHANGED, tenant="contoso")


def opened(signed_message: SignedMessage, now: datetime = NOW) -> VerifiedMessage[Any]:
    return verify_message(signed_message, trusted=TRUSTED, now=now)


def signed(body: bytes, like: SignedMessage, service: str = "admin") -> SignedMessage:
    """That body, really signed by the service: whatever is refused now is not refused for its signature."""
    return replace(like, body=body, signature=KEYS[service].sign(DOMAIN_SEPARATOR + body))


def edited(change: Callable[[dict[str, Any]], object], service: str = "admin") -> SignedMessage:
    signed_message = made()
    envelope = json.loads(signed_message.body)
    change(envelope)
    return signed(rfc8785.dumps(envelope), signed_message, service)


def test_a_message_opens_to_what_was_put_in() -> None:
    received = opened(made())
    assert received.message == CHANGED
    assert received.tenant == "contoso"
    assert received.envelope.sender == "admin"
    assert received.envelope.occurred_at == NOW
    assert received.envelope.correlation_id == received.envelope.id
    assert received.envelope.causation_id is None


def test_a_message_names_its_cause_and_keeps_the_correlation() -> None:
    cause = opened(made()).envelope
    ended = ChallengeEnded(challenge="c", transaction="t", account="a", outcome="denied")
    effect = opened(signer("approval").sign(ended, tenant="contoso", cause=cause)).envelope
    assert (effect.correlation_id, effect.causation_id) == (cause.correlation_id, cause.id)


def test_the_body_is_canonical_json_with_its_signature_beside_it() -> None:
    signed_message = made()
    assert signed_message.body == rfc8785.dumps(json.loads(signed_message.body))
    assert len(signed_message.signature) == 64


def test_refuses_forged_signature() -> None:
    stranger = key_from_seed(b"x" * 32)
    signed_message = made()
    with pytest.raises(Refused, match="signature"):
        opened(replace(signed_message, signature=stranger.sign(DOMAIN_SEPARATOR + signed_message.body)))


@pytest.mark.parametrize("signature", [b"", b"\0" * 63, b"\0" * 64, b"\0" * 65])
def test_refuses_signature_of_any_wrong_form(signature: bytes) -> None:
    with pytest.raises(Refused, match="signature"):
        opened(replace(made(), signature=signature))


def test_refuses_signature_made_for_another_purpose() -> None:
    signed_message = made()
    with pytest.raises(Refused, match="signature"):
        opened(replace(signed_message, signature=KEYS["admin"].sign(signed_message.body)))


@given(st.data())
def test_refuses_every_altered_octet(data: st.DataObject) -> None:
    signed_message = made()
    at = data.draw(st.integers(0, len(signed_message.body) - 1))
    flip = data.draw(st.integers(1, 255))
    body = signed_message.body[:at] + bytes([signed_message.body[at] ^ flip]) + signed_message.body[at + 1 :]
    with pytest.raises(Refused):
        opened(replace(signed_message, body=body))


def test_refuses_a_message_in_the_name_of_its_owner_by_another_service() -> None:
    signed_message = made()
    with pytest.raises(Refused, match="signature"):  # approval signs, and says that it is admin
        opened(signed(signed_message.body, signed_message, "approval"))


def test_refuses_a_sender_that_may_not_send_this_type() -> None:
    with pytest.raises(Refused, match="may not send"):
        opened(edited(lambda e: e.update(sender="approval"), "approval"))


def test_a_service_cannot_even_make_what_it_may_not_send() -> None:
    with pytest.raises(ValueError, match="may not send"):
        signer("approval").sign(CHANGED, tenant="contoso")
    ended = ChallengeEnded(challenge="c", transaction="t", account="a", outcome="denied")
    with pytest.raises(ValueError, match="may not send"):
        signer("wsfed").sign(ended, tenant="contoso")


def test_refuses_a_command_from_whoever_it_does_not_name() -> None:
    command = OpenChallenge(
        challenge="c",
        transaction="t",
        account="a",
        method="push",
        context="{}",
        expected_digest="d",
        browser="b",
        browser_known=True,
        lifetime=120,
    )
    signed_message = signer("wsfed").sign(command, tenant="contoso")
    assert opened(signed_message).message == command
    envelope = {**json.loads(signed_message.body), "sender": "admin"}
    with pytest.raises(Refused, match="may not send"):
        opened(signed(rfc8785.dumps(envelope), signed_message, "admin"))


def test_refuses_a_sender_whose_key_is_not_pinned() -> None:
    with pytest.raises(Refused, match="signature"):
        verify_message(made(), trusted={}, now=NOW)


def test_both_keys_count_while_a_service_key_is_rolled_over() -> None:
    both = {"admin": (key_from_seed(b"n" * 32).public_key(), KEYS["admin"].public_key())}
    assert verify_message(made(), trusted=both, now=NOW).message == CHANGED


def test_refuses_old_messages_and_takes_those_just_young_enough() -> None:
    assert opened(made(), now=NOW + timedelta(days=7)).message == CHANGED
    with pytest.raises(Refused, match="old"):
        opened(made(), now=NOW + timedelta(days=7, milliseconds=1))


def test_refuses_replay_of_an_approval_after_ten_minutes() -> None:
    ended = ChallengeEnded(challenge="c", transaction="t", account="a", outcome="denied")
    signed_message = signer("approval").sign(ended, tenant="contoso")
    opened(signed_message, now=NOW + timedelta(minutes=10))
    with pytest.raises(Refused, match="old"):
        opened(signed_message, now=NOW + timedelta(minutes=10, seconds=1))


def test_refuses_messages_from_the_future() -> None:
    assert opened(made(NOW + FUTURE_TOLERANCE)).message == CHANGED
    with pytest.raises(Refused, match="future"):
        opened(made(NOW + FUTURE_TOLERANCE + timedelta(milliseconds=1)))


def test_refuses_oversized_messages_before_parsing_them() -> None:
    body = b"[" * (MAX_MESSAGE + 1)
    with pytest.raises(Refused, match="over"):
        opened(signed(body, made()))


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_refuses_deeply_nested_bodies_without_falling_over(depth: int) -> None:
    body = b'{"body":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(Refused):
        opened(signed(body, made()))


@pytest.mark.parametrize(
    "name",
    ["", "admin.account.changed.v2", "admin.account.changed", "x" * 10_000, "admin.account.changed.v1 "],
)
def test_refuses_unknown_types(name: str) -> None:
    with pytest.raises(Refused, match="unknown type") as refused:
        opened(edited(lambda e: e.update(type=name)))
    assert len(str(refused.value)) < 200


def test_refuses_another_id_or_type_outside_than_inside() -> None:
    signed_message = made()
    for wrong in (
        replace(signed_message, id="other"),
        replace(signed_message, type="admin.tenant.configured.v1"),
    ):
        with pytest.raises(Refused, match="outside and inside"):
            opened(wrong)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.pop("tenant"),
        lambda e: e.pop("occurred_at"),
        lambda e: e.update(extra=1),
        lambda e: e.update(body="text"),
        lambda e: e.update(body=None),
        lambda e: e.update(tenant=7),
        lambda e: e.update(occurred_at="yesterday"),
        lambda e: e.update(occurred_at="2026-11-21T20:49:00.000"),
        lambda e: e["body"].pop("upn"),
        lambda e: e["body"].update(status="superuser"),
        lambda e: e["body"].update(version=0),
        lambda e: e["body"].update(immutable_id="a" * 65),
    ],
)
def test_refuses_envelopes_and_bodies_that_are_not_of_the_contract(
    change: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(Refused):
        opened(edited(change))


def test_ignores_fields_in_the_body_that_a_newer_sender_adds() -> None:
    assert opened(edited(lambda e: e["body"].update(new_field=1))).message == CHANGED


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"\xff\xfe", b'{"v":1', b"\xef\xbb\xbf{}", b"NaN"])
def test_refuses_what_is_not_json_of_an_envelope(body: bytes) -> None:
    with pytest.raises(Refused):
        opened(signed(body, made()))


@pytest.mark.parametrize(
    ("key", "other"),
    [("tenant", '"fabrikam"'), ("sender", '"approval"'), ("type", '"admin.tenant.configured.v1"')],
)
def test_doubled_keys_cannot_show_one_reader_another_message_than_the_next(key: str, other: str) -> None:
    signed_message = made()
    first = signed_message.body.replace(b"{", b'{"%s":%s,' % (key.encode(), other.encode()), 1)
    last = signed_message.body[:-1] + b',"%s":%s}' % (key.encode(), other.encode())
    for body in (first, last):
        with pytest.raises(Refused):
            opened(signed(body, signed_message))


def test_refuses_a_doubled_key_inside_the_message_too() -> None:
    signed_message = made()
    body = signed_message.body.replace(b'"body":{', b'"body":{"status":"removed",', 1)
    with pytest.raises(Refused, match="doubled"):
        opened(signed(body, signed_message))


@given(st.binary(max_size=300))
def test_whatever_octets_arrive_they_are_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(Refused):
        opened(signed(body, made()))


def test_times_in_an_envelope_are_utc_with_milliseconds() -> None:
    at = NOW.replace(microsecond=123_000)
    assert json.loads(made(at).body)["occurred_at"] == iso_millis(at) == "2026-11-21T20:49:00.123Z"


HUGE = "x" * 5000


@pytest.mark.parametrize(
    "field",
    ["device", "account", "credential_id", "public_key", "name", "endorsement.by", "endorsement.signature"],
)
def test_a_device_with_a_huge_field_is_refused(field: str) -> None:
    """A taken-over approval may make up as many devices as it likes, and each becomes a row; at least a small one."""
    body: dict[str, Any] = {
        "version": 1,
        "device": "d",
        "account": "a",
        "credential_id": "c",
        "public_key": "",
        "endorsement": {"kind": "invitation", "by": "i", "signature": ""},
        "enrolled_at": "2026-03-02T08:00:00Z",
        "status": "active",
    }
    DeviceChanged.model_validate(body)
    name, _, inner = field.partition(".")
    body[name] = {**body[name], inner: HUGE} if inner else HUGE
    with pytest.raises(ValidationError):
        DeviceChanged.model_validate(body)
