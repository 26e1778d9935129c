"""docs/flows/sign-in.md, steps 7 and 8, attacked: messages "approved" that no phone approved.

Who can write to the bus has no service key. Who has taken over approval has approval's key and everything that
it knows, and still gets no token by what he says here: wsfed believes the assertion only, and only over its own
transaction. What he gets by the page that approval serves is in test_relay.py.
"""

import json
from typing import Any

import pytest
import rfc8785

from deploy.standins.phone.authenticator import UP, UV, Key, Tamper, make_private_key
from deploy.standins.phone.request import Request
from shared.contracts.approval import ChallengeAccepted, ChallengeEnded, Proof
from shared.contracts.envelope import SignedMessage
from shared.ids import SeededIds, b64u
from tests.flows.support import (
    BOB,
    Flow,
    Phone,
    SignIn,
    accepted,
    assert_no_token,
    proof_of,
    token_form,
)

THIEF = make_private_key("ES256", SeededIds("thief"))


class Waiting:
    """A sign-in that waits for Ada's phone, and all that approval knows of it."""

    def __init__(self, flow: Flow, phone: Phone, sign_in: SignIn, code: str, request: Request) -> None:
        self.flow, self.phone, self.sign_in, self.code, self.request = flow, phone, sign_in, code, request

    @property
    def key(self) -> Key:
        return self.phone.key

    @property
    def context(self) -> str:
        """What Ada would sign."""
        return self.request.with_code(self.code)

    def approved(self, proof: Proof, key: Key | None = None) -> ChallengeAccepted:
        return accepted(self.sign_in, self.request, key or self.key, proof)

    async def taken_over_approval_says(self, message: ChallengeAccepted, tenant: str = "contoso") -> None:
        """With approval's true key."""
        await self.flow.say("approval", message, tenant)

    async def assert_refused_among_others(self, message: ChallengeAccepted, what: str) -> None:
        """One more dead letter, and the transaction as it was."""
        before = len(self.flow.reasons())
        await self.taken_over_approval_says(message)
        assert len(self.flow.reasons()) == before + 1, what
        assert self.sign_in.stored["state"] == "waiting", what

    async def assert_refused(self) -> None:
        """A dead letter, the transaction as it was, and no token."""
        assert self.flow.reasons(), "the message was neither believed nor refused"
        await assert_no_token(self.sign_in, "push_waiting")


@pytest.fixture
async def waiting(flow: Flow) -> Waiting:
    phone = await flow.phone()
    sign_in = await flow.begin()
    code = await sign_in.push()
    (request,) = await phone.list()
    return Waiting(flow, phone, sign_in, code, request)


async def test_control_a_genuine_proof_said_by_approval_is_believed(waiting: Waiting) -> None:
    """The same road as all attacks below, without the attack: otherwise they would prove nothing."""
    await waiting.taken_over_approval_says(waiting.approved(proof_of(waiting.key, waiting.context)))
    assert token_form(await waiting.sign_in.token())


# --- the bus ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "key_of"),
    [("approval", None), ("approval", "admin"), ("approval", "wsfed"), ("approval", "notify"),
     ("admin", "admin"), ("wsfed", "wsfed"), ("somebody", None), ("", None)],
)  # fmt: skip
async def test_forged_message_approved_without_approvals_key(
    waiting: Waiting, sender: str, key_of: str | None
) -> None:
    """Even with a genuine proof: only approval says what phones did."""
    message = waiting.approved(proof_of(waiting.key, waiting.context))
    await waiting.flow.publish(waiting.flow.sign(message, sender=sender, key_of=key_of))
    await waiting.assert_refused()


async def test_genuine_message_changed_on_the_bus(waiting: Waiting) -> None:
    """approval's own message, its signature left, one field exchanged."""
    genuine = waiting.approved(proof_of(waiting.key, waiting.context))
    signed = waiting.flow.sign(genuine, sender="approval", key_of="approval")
    other = await waiting.flow.begin()
    changed = signed.body.replace(waiting.sign_in.id.encode(), other.id.encode())
    assert changed != signed.body
    await waiting.flow.publish(SignedMessage(signed.id, signed.type, changed, signed.signature))
    await waiting.assert_refused()


async def test_genuine_message_replayed_from_a_record_of_the_bus(waiting: Waiting) -> None:
    flow = waiting.flow
    signed = flow.sign(
        waiting.approved(proof_of(waiting.key, waiting.context)), sender="approval", key_of="approval"
    )
    await flow.publish(signed)
    await waiting.sign_in.take()
    await flow.publish(signed)
    assert waiting.sign_in.stored["state"] == "issued"
    flow.world.clock.advance(11 * 60)
    await flow.publish(signed)
    assert any("old" in reason for reason in flow.reasons())
    assert len(flow.issuances()) == 1
    # nor does it prove another sign-in
    second = await flow.begin()
    await second.push()
    await flow.publish(signed)
    assert await second.state() == "push_waiting"


# --- taken-over approval: the assertion ------------------------------------------------------------------------

LIES = {
    "without user verification": Tamper(flags=UP),
    "without user presence": Tamper(flags=UV),
    "without any flag": Tamper(flags=0),
    "other origin": Tamper(origin="https://evil.example"),
    "the sign-in page's origin": Tamper(origin="http://id.localhost:8365"),
    "origin that begins like ours": Tamper(origin="http://key.id.localhost:8365.evil.example"),
    "other RP ID": Tamper(rp_id="evil.example"),
    "other challenge": Tamper(challenge=bytes(32)),
    "registration instead of assertion": Tamper(type="webauthn.create"),
    "from a foreign frame": Tamper(cross_origin=True),
    "signed by an untrusted key": Tamper(signing_key=THIEF),
}


@pytest.mark.parametrize("tamper", LIES.values(), ids=LIES)
async def test_taken_over_approval_with_a_bad_assertion(waiting: Waiting, tamper: Tamper) -> None:
    await waiting.taken_over_approval_says(waiting.approved(proof_of(waiting.key, waiting.context, tamper)))
    await waiting.assert_refused()


JUNK = ("", "AA", "=", "é", b64u(bytes(37)), b64u(bytes(20_000)))


async def test_taken_over_approval_with_junk_for_a_part(waiting: Waiting) -> None:
    genuine = proof_of(waiting.key, waiting.context)
    for part in ("authenticator_data", "client_data_json", "signature"):
        for junk in JUNK:
            message = waiting.approved(genuine.model_copy(update={part: junk}))
            await waiting.assert_refused_among_others(message, f"{part} {junk[:8]}")
    await waiting.assert_refused()


# --- taken-over approval: the context --------------------------------------------------------------------------

FIELDS = [
    *(
        "v",
        "purpose",
        "tenant",
        "organisation",
        "application",
        "application_name",
        "realm",
        "origin",
        "transaction",
    ),
    *("challenge", "account", "upn", "method", "address", "place", "agent", "known_browser"),
    *("issued_at", "expires_at", "nonce", "code", "code_required"),
]


async def test_every_field_of_the_context_is_attacked_below(waiting: Waiting) -> None:
    """A new field must be added to FIELDS, and what docs/conformance-800-63b.md says the phone shows must be there."""
    assert sorted(json.loads(waiting.context)) == sorted(FIELDS)


def other(value: Any) -> Any:
    """A value of the same kind that is not this one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    assert isinstance(value, str)
    if value.isdigit():
        return f"{(int(value) + 1) % 10 ** len(value):0{len(value)}d}"
    return value + "x"


async def test_taken_over_approval_shows_the_phone_another_context(waiting: Waiting) -> None:
    """The person saw and signed something else than what wsfed asked for, by their own, genuine key."""
    fields = json.loads(waiting.context)
    for field in FIELDS:
        shown = rfc8785.dumps({**fields, field: other(fields[field])}).decode()
        await waiting.assert_refused_among_others(waiting.approved(proof_of(waiting.key, shown)), field)
    await waiting.assert_refused()


async def test_taken_over_approval_leaves_a_field_out(waiting: Waiting) -> None:
    """The code first of all: it is what ties the phone's person to the page's."""
    fields = json.loads(waiting.context)
    for field in FIELDS:
        shown = rfc8785.dumps({k: v for k, v in fields.items() if k != field}).decode()
        await waiting.assert_refused_among_others(waiting.approved(proof_of(waiting.key, shown)), field)
    await waiting.assert_refused()


@pytest.mark.parametrize("change", ["spaces", "field more", "doubled field", "escaped", "empty"])
async def test_taken_over_approval_with_another_spelling_of_the_context(
    waiting: Waiting, change: str
) -> None:
    context = waiting.context
    spelled = {
        "spaces": json.dumps(json.loads(context)),
        "field more": rfc8785.dumps({**json.loads(context), "note": "x"}).decode(),
        "doubled field": context[:-1] + f',"code":"{waiting.code}"}}',
        "escaped": context.replace("contoso", "\\u0063ontoso", 1),
        "empty": "",
    }[change]
    assert spelled != context
    await waiting.taken_over_approval_says(waiting.approved(proof_of(waiting.key, spelled)))
    await waiting.assert_refused()


async def test_taken_over_approval_sends_the_right_context_with_a_signature_over_another(
    waiting: Waiting,
) -> None:
    """The phone signed harmless words; the message puts wsfed's own beside the signature."""
    harmless = proof_of(waiting.key, '{"purpose":"harmless"}')
    await waiting.taken_over_approval_says(
        waiting.approved(harmless.model_copy(update={"context": waiting.context}))
    )
    await waiting.assert_refused()


async def test_taken_over_approval_uses_the_assertion_that_opened_a_session(waiting: Waiting) -> None:
    """The phone signs a random challenge of approval's to make a session: that is no approval."""
    made = waiting.phone.last_credential
    assert made is not None
    response = made["response"]
    proof = Proof(
        context=waiting.context,
        authenticator_data=response["authenticatorData"],
        client_data_json=response["clientDataJSON"],
        signature=response["signature"],
    )
    await waiting.taken_over_approval_says(waiting.approved(proof))
    await waiting.assert_refused()


# --- taken-over approval: whose, when, which -------------------------------------------------------------------


async def test_taken_over_approval_replays_an_older_genuine_proof(flow: Flow, waiting: Waiting) -> None:
    """Ada approved one sign-in; her proof is said again for another."""
    genuine = proof_of(waiting.key, waiting.context)
    await waiting.taken_over_approval_says(waiting.approved(genuine))
    await waiting.sign_in.take()
    attacker = await flow.begin()
    await attacker.push()
    request = next(r for r in await waiting.phone.list() if r.facts["transaction"] == attacker.id)
    await flow.say("approval", accepted(attacker, request, waiting.key, genuine))
    assert flow.reasons()
    assert await attacker.state() == "push_waiting"
    assert "wresult" not in (await attacker.token()).text
    assert len(flow.issuances()) == 1


async def test_taken_over_approval_uses_the_proof_of_the_request_before(waiting: Waiting) -> None:
    """Same transaction; the page drew a new code since."""
    genuine = proof_of(waiting.key, waiting.context)
    await waiting.sign_in.push()
    await waiting.taken_over_approval_says(
        waiting.approved(genuine)
    )  # names the old request: nothing happens
    await assert_no_token(waiting.sign_in, "push_waiting")
    newest = waiting.sign_in.stored["challenge"]["context"]["challenge"]
    renamed = waiting.approved(genuine).model_copy(update={"challenge": newest})
    await waiting.taken_over_approval_says(renamed)
    await waiting.assert_refused()


async def test_taken_over_approval_with_the_enrolled_phone_of_another_account(
    flow: Flow, waiting: Waiting
) -> None:
    await flow.person(BOB)
    bob = await flow.phone(BOB)
    mine = proof_of(bob.key, waiting.context)
    await waiting.taken_over_approval_says(waiting.approved(mine, bob.key))
    await waiting.taken_over_approval_says(waiting.approved(mine))  # under Ada's device id
    crossed = waiting.approved(mine, bob.key).model_copy(update={"account": waiting.key.account})
    await waiting.taken_over_approval_says(crossed)
    assert len(flow.reasons()) == 3
    await waiting.assert_refused()


async def test_taken_over_approval_with_the_enrolled_phone_of_another_tenant(
    flow: Flow, waiting: Waiting
) -> None:
    await flow.tenant("fabrikam", "fabrikam.example")
    await flow.person("ada@fabrikam.example", "fabrikam")
    stranger = await flow.phone("ada@fabrikam.example", "fabrikam")
    message = waiting.approved(proof_of(stranger.key, waiting.context), stranger.key)
    await waiting.taken_over_approval_says(message, "fabrikam")
    await waiting.taken_over_approval_says(
        message.model_copy(update={"device": waiting.key.device}), "fabrikam"
    )
    await waiting.assert_refused()
    await waiting.taken_over_approval_says(message)  # unknown in contoso: waits for its enrolment, in vain
    flow.world.clock.advance(1)
    await flow.world.settle()
    await assert_no_token(waiting.sign_in, "push_waiting")


async def test_genuine_proof_said_in_the_name_of_another_tenant(flow: Flow, waiting: Waiting) -> None:
    await flow.tenant("fabrikam", "fabrikam.example")
    message = waiting.approved(proof_of(waiting.key, waiting.context))
    await waiting.taken_over_approval_says(message, "fabrikam")
    await waiting.assert_refused()


async def test_taken_over_approval_uses_a_removed_phone(flow: Flow, waiting: Waiting) -> None:
    other_phone = await flow.phone()
    await other_phone.remove_device(waiting.key.device)
    await waiting.taken_over_approval_says(waiting.approved(proof_of(waiting.key, waiting.context)))
    await waiting.assert_refused()


async def test_taken_over_approval_is_late(waiting: Waiting) -> None:
    proof = proof_of(waiting.key, waiting.context)
    waiting.flow.world.clock.advance(120)
    await waiting.taken_over_approval_says(waiting.approved(proof))
    await assert_no_token(waiting.sign_in, "expired")


async def test_taken_over_approval_revives_a_denied_request(waiting: Waiting) -> None:
    await waiting.phone.deny()
    await waiting.taken_over_approval_says(waiting.approved(proof_of(waiting.key, waiting.context)))
    await assert_no_token(waiting.sign_in, "push_waiting")
    assert waiting.sign_in.stored["state"] == "denied"


async def test_taken_over_approval_approves_a_sign_in_that_asked_nothing(
    flow: Flow, waiting: Waiting
) -> None:
    started = await flow.begin()
    await flow.say(
        "approval",
        accepted(started, waiting.request, waiting.key, proof_of(waiting.key, waiting.context)),
    )
    await assert_no_token(started, "start")


@pytest.mark.parametrize("outcome", ["denied", "not_me", "expired", "superseded", "wrong_code", "limited"])
async def test_taken_over_approval_ends_what_is_proved(waiting: Waiting, outcome: str) -> None:
    """It can keep people out; it can't turn a proved or issued transaction back and have it proved again."""
    await waiting.phone.approve(waiting.code, waiting.request)
    ended = ChallengeEnded.model_validate(
        {
            "challenge": waiting.request.id,
            "transaction": waiting.sign_in.id,
            "account": waiting.key.account,
            "outcome": outcome,
        }
    )
    await waiting.flow.say("approval", ended)
    assert await waiting.sign_in.state() == "proved"
    await waiting.sign_in.take()
    await waiting.flow.say("approval", ended)
    assert waiting.sign_in.stored["state"] == "issued"
