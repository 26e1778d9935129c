"""A token read as the relying party reads it: each check finds exactly what it is there for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.wsfed.domain.trial import RESULT_SHOWN, Check, Expected, examine, trial_address
from shared.store.codec import from_document, to_document
from tests.wsfed.domain_samples import BADGE, NOW, PASSKEY, SUBJECT, a_token, signing_key

ADDRESS = trial_address("https://id.example", "tenant-1")
EXPECTED = Expected(
    certificate=signing_key().certificate,
    issuer=SUBJECT.issuer,
    audience=ADDRESS,
    upn=SUBJECT.upn,
    immutable_id=SUBJECT.immutable_id,
)


def token(**changes: Any) -> str:
    return a_token(**{"audience": ADDRESS, "key": signing_key(), **changes})


def test_a_right_token_passes_every_check_and_is_read_whole() -> None:
    result = examine(token(), EXPECTED, NOW)
    assert result.failed == ()
    assert set(result.checks) == set(Check)
    assert all(result.checks.values())
    assert (result.issuer, result.audience, result.subject) == (
        SUBJECT.issuer,
        ADDRESS,
        SUBJECT.immutable_id,
    )
    assert {each.name for each in result.claims} >= {"UPN", "ImmutableID", "authnmethodsreferences"}


@pytest.mark.parametrize(
    ("make", "failed"),
    [
        (lambda: token(key=signing_key(1)), {Check.SIGNATURE, Check.CERTIFICATE}),
        (lambda: token(audience="urn:federation:MicrosoftOnline"), {Check.AUDIENCE}),
        (lambda: token(subject=replace(SUBJECT, issuer="https://id.example/other")), {Check.ISSUER}),
        (lambda: token(subject=replace(SUBJECT, upn="bob@contoso.example")), {Check.UPN}),
        (lambda: token(subject=replace(SUBJECT, immutable_id="b3RoZXI=")), {Check.SUBJECT}),
        (lambda: token(now=NOW + timedelta(hours=1)), {Check.TIMES}),
        (lambda: token(verified=BADGE), {Check.MFA}),
        (lambda: token().replace(SUBJECT.upn, "bob@contoso.example"), {Check.SIGNATURE, Check.UPN}),
        (lambda: token().replace("multipleauthn", "none"), {Check.SIGNATURE, Check.MFA}),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(make: Callable[[], str], failed: set[Check]) -> None:
    assert set(examine(make(), EXPECTED, NOW).failed) == failed


def test_a_signature_over_a_part_or_none_is_no_signature() -> None:
    whole = token()
    start, end = whole.index("<ds:Signature "), whole.index("</ds:Signature>") + len("</ds:Signature>")
    assert Check.SIGNATURE in examine(whole[:start] + whole[end:], EXPECTED, NOW).failed


def test_an_expired_certificate_shows() -> None:
    late = NOW + timedelta(days=4 * 365)
    failed = set(
        examine(token(now=late, verified=replace(PASSKEY, authenticated_at=late)), EXPECTED, late).failed
    )
    assert Check.CERTIFICATE in failed


@pytest.mark.parametrize("text", ["", "<a/>", "not xml", token() * 2])
def test_what_is_no_response_of_ours_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        examine(text, EXPECTED, NOW)


def test_it_is_kept_and_read_back_whole() -> None:
    result = examine(token(verified=BADGE), EXPECTED, NOW)
    assert from_document(type(result), to_document(result)) == result
    assert not from_document(type(result), to_document(result)).checks[Check.MFA]


def test_it_is_shown_for_its_time() -> None:
    result = examine(token(), EXPECTED, NOW)
    assert result.shown(NOW)
    assert not result.shown(NOW + RESULT_SHOWN)
    assert not result.shown(NOW - timedelta(seconds=1))
