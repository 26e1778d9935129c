"""Evidence: from the record of any token a way leads to a proof that verifies without this system."""

import hashlib
import json
from typing import Any

import pytest

from shared.crypto.assertion import InvalidAssertion, verify_assertion
from tests.flows.support import ADA, BOB, Flow, token_form


def proving(records: list[dict[str, Any]], record: dict[str, Any]) -> dict[str, Any]:
    """The one record with the proof that `record` stands on; of the same account, method and moment."""
    (found,) = (r for r in records if r["proof"] is not None and r["transaction"] == record["proved_by"])
    for name in ("tenant", "account", "method", "authenticated_at", "user_verified"):
        assert found[name] == record[name]
    return found


def verify(flow: Flow, record: dict[str, Any]) -> None:
    """With nothing but the record, the origins and the RP ID. Raises InvalidAssertion."""
    proof = record["proof"]
    context = json.loads(proof["context"])
    assert (context["transaction"], context["tenant"], context["account"]) == (
        record["transaction"],
        record["tenant"],
        record["account"],
    )
    verify_assertion(
        authenticator_data=proof["authenticator_data"],
        client_data_json=proof["client_data_json"],
        signature=proof["signature"],
        public_key=proof["public_key"],
        expected_challenge=hashlib.sha256(proof["context"].encode()).digest(),
        expected_origins=frozenset({flow.origin if record["method"] == "passkey" else flow.phone_origin}),
        expected_rp_id=flow.world.platform.settings.rp_id,
    )


async def test_every_issuance_leads_to_a_proof_that_verifies_by_itself(flow: Flow) -> None:
    """By push, by passkey, from a session at once, from a session on the page, after a second proof; two persons."""
    await flow.person(BOB)
    phone, bobs = await flow.phone(), await flow.phone(BOB)
    browser = await flow.browser()
    pushed = await flow.begin(browser=browser)
    await phone.approve(await pushed.push())
    await pushed.take()
    at_once = await browser.get(flow.entra.request(ADA)[0])
    assert "wresult" in token_form(at_once).fields
    flow.world.clock.advance(60)
    again = await flow.begin(browser=browser, prompt="login")
    await again.passkey(phone)
    await again.take()
    assert "wresult" in token_form(await browser.get(flow.entra.request(ADA)[0])).fields
    other = await flow.begin(BOB, browser=browser)
    await bobs.approve(await other.push())
    await other.take()
    named = await browser.get(
        flow.entra.request("")[0]
    )  # no name from Entra: the page asks, and the session answers
    answered = await browser.submit(named.form("/account"), username=BOB)
    assert "wresult" in token_form(answered).fields

    records = flow.issuances()
    assert len(records) == 6
    assert [r["session"] is None for r in records].count(False) == 3
    for record in records:
        verify(flow, proving(records, record))
    assert {proving(records, r)["transaction"] for r in records} == {pushed.id, again.id, other.id}


async def test_a_changed_record_does_not_verify(flow: Flow) -> None:
    phone = await flow.phone()
    sign_in = await flow.begin()
    await phone.approve(await sign_in.push())
    await sign_in.take()
    (record,) = flow.issuances()
    verify(flow, record)
    context = record["proof"]["context"].replace("Contoso", "Tontoso")
    changed = {**record, "proof": {**record["proof"], "context": context}}
    with pytest.raises(InvalidAssertion):
        verify(flow, changed)
