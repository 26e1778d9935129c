"""The proof with which a person came to their own page (docs/flows/own-page.md), for whoever is asked to act on it.

wsfed makes the signed context and verifies the whole of it against its own transaction. admin has no transaction: it
reads from the text what it must know to be sure that this person, at this time, proved who they are to their own page.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.canonical import canonical
from shared.contracts.approval import Proof
from shared.crypto.assertion import InvalidAssertion, verify_assertion
from shared.crypto.statement import Purpose
from shared.ids import unb64u

MAX_AGE = timedelta(minutes=21)
"""From the making of the context to the act: a passkey's waits in the page for as long as a sign-in lasts (15 minutes),
the visit takes 5, and clocks may differ by one.
"""
CLOCK_SKEW = timedelta(minutes=1)


def own_page(origin: str, tenant: str) -> str:
    """The address of the own page, and the relying party in a context that is signed for it."""
    return f"{origin}/t/{tenant}/me"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedVisit:
    """That somebody who holds the key came to the own page of that account. Not verified: that the key counts, what was
    asked for there, that the proof was not used before.
    """

    tenant: str
    account: str


def verify_visit(
    proof: Proof,
    *,
    public_key: bytes,
    tenant: str,
    account: str,
    origin: str,
    phone_origins: frozenset[str],
    rp_id: str,
    now: datetime,
) -> VerifiedVisit:
    """Check the context's fields, then the assertion. `origin`: of the sign-in host. Raises InvalidAssertion.

    An approval was made on the phone's page, a passkey's assertion on the sign-in page; neither stands for the other.
    """
    fields = _read(proof.context)
    expected = {"tenant": tenant, "account": account, "origin": origin, "realm": own_page(origin, tenant)}
    wrong = sorted(name for name, value in expected.items() if fields.get(name) != value)
    if wrong:
        raise InvalidAssertion(f"not to the own page of that account: {', '.join(wrong)}")
    match fields.get("purpose"):
        case Purpose.APPROVE.value:
            origins = phone_origins
        case Purpose.SIGN_IN.value:
            origins = frozenset({origin})
        case _:
            raise InvalidAssertion("signed for another purpose")
    try:
        issued_at = datetime.fromisoformat(str(fields.get("issued_at")))
        fresh = -CLOCK_SKEW <= now - issued_at <= MAX_AGE
    except (ValueError, TypeError) as error:  # no time, or one without a zone
        raise InvalidAssertion("no time in the context") from error
    if not fresh:
        raise InvalidAssertion("too old, or from the future")
    try:
        assertion = [
            unb64u(each) for each in (proof.authenticator_data, proof.client_data_json, proof.signature)
        ]
    except ValueError as error:
        raise InvalidAssertion("not base64url") from error
    verify_assertion(
        authenticator_data=assertion[0],
        client_data_json=assertion[1],
        signature=assertion[2],
        public_key=public_key,
        expected_challenge=hashlib.sha256(proof.context.encode()).digest(),
        expected_origins=origins,
        expected_rp_id=rp_id,
    )
    return VerifiedVisit(tenant=tenant, account=account)


def _read(context: str) -> Mapping[str, Any]:
    """The context's fields. Only canonical JSON is read: no field can be there twice. Raises InvalidAssertion."""
    try:
        fields = json.loads(context)
        if isinstance(fields, dict) and canonical(fields).decode() == context:
            return fields
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidAssertion("the context is not JSON") from error
    raise InvalidAssertion("the context is not canonical JSON")
