"""The context: what a phone may show and sign, and that phone, page and stand-in know the same fields."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from deploy.standins.phone.request import CONTEXT_FIELDS, CONTEXT_VERSION
from services.wsfed.domain.context import VERSION, SignInContext
from shared.crypto.statement import Purpose

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CONTEXT = SignInContext(
    tenant="contoso",
    organisation="Contoso",
    application="m365",
    application_name="Microsoft 365",
    realm="urn:federation:MicrosoftOnline",
    origin="https://id.example",
    transaction="t1",
    challenge="c1",
    account="a1",
    upn="ada@contoso.example",
    method="push",
    address="192.0.2.17",
    place="Lyon, France",
    agent="Firefox on Windows",
    known_browser=False,
    issued_at=NOW,
    expires_at=NOW + timedelta(seconds=120),
    nonce="n" * 43,
)
PAGE = Path("shared/web/phone/static/request.js")


@pytest.mark.parametrize(
    ("method", "purpose"), [("push", "approve"), ("qr", "approve"), ("passkey", "sign-in")]
)
def test_a_phone_is_asked_to_approve_and_only_the_sign_in_page_to_sign_in(
    method: Literal["push", "qr", "passkey"], purpose: str
) -> None:
    context = replace(CONTEXT, method=method)
    assert context.purpose is Purpose(purpose)
    for text in (context.without_code(), context.with_code("482913")):
        assert (json.loads(text)["purpose"], json.loads(text)["v"]) == (purpose, 2)


def test_the_phones_page_knows_every_field_and_no_other() -> None:
    """It refuses to show a context with another field, so a new one is a new version on both sides."""
    script = PAGE.read_text("utf-8")
    listed = re.search(r"const FIELDS = \{(.*?)\};", script, re.DOTALL)
    version = re.search(r"const VERSION = (\d+);", script)
    assert listed is not None
    assert version is not None
    kinds = {str: "string", bool: "boolean", int: "number"}
    facts = json.loads(CONTEXT.without_code())
    assert re.findall(r'(\w+): "(\w+)"', listed[1]) == sorted(
        (name, kinds[type(value)]) for name, value in facts.items()
    )
    assert int(version[1]) == VERSION


def test_the_software_phone_knows_the_same() -> None:
    facts = json.loads(CONTEXT.without_code())
    assert {name: type(value) for name, value in facts.items()} == CONTEXT_FIELDS
    assert CONTEXT_VERSION == VERSION
