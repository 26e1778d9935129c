"""Steps 7 and 8 of docs/flows/sign-in.md: what the phone answered."""

import structlog

from services.wsfed.domain.proof import InvalidProof, verify_phone_proof
from services.wsfed.domain.transaction import State
from services.wsfed.handlers.common import WsFed
from shared.bus.port import Reject, Retry
from shared.contracts.approval import ChallengeAccepted, ChallengeEnded
from shared.contracts.envelope import Received
from shared.ids import unb64u

log = structlog.get_logger(__name__)


async def phone_accepted(wsfed: WsFed, received: Received[ChallengeAccepted]) -> None:
    """Step 8: verify the proof again. Raises Retry while the device key is not here yet, Reject otherwise."""
    message = received.message
    transaction = await wsfed.transactions.get(message.transaction)
    if transaction is None or transaction.tenant != received.tenant:
        raise Reject("no such transaction in this tenant")
    challenge = transaction.challenge
    if transaction.state is not State.WAITING or challenge is None or challenge.id != message.challenge:
        log.info("signin.late_approval", transaction=transaction.id, state=transaction.state)
        return  # already proved, or superseded: a duplicate is not an attack
    device = await wsfed.directory.device(received.tenant, message.device)
    if device is None:
        if challenge.expired(wsfed.clock.now()):
            raise Reject("no trusted device of that id")
        raise Retry("device key not here yet")
    try:
        authentication, proof = verify_phone_proof(
            transaction=transaction,
            challenge=message.challenge,
            device=device,
            context=message.proof.context,
            authenticator_data=unb64u(message.proof.authenticator_data),
            client_data_json=unb64u(message.proof.client_data_json),
            signature=unb64u(message.proof.signature),
            expected_origins=wsfed.expected_origins,
            expected_rp_id=wsfed.rp_id,
            now=wsfed.clock.now(),
        )
    except (InvalidProof, ValueError) as error:
        raise Reject(f"proof refused: {error}") from error
    if await wsfed.transactions.prove(transaction.id, message.challenge, authentication, proof) is not None:
        log.info("signin.proved", tenant=received.tenant, transaction=transaction.id)
        await wsfed.wake(transaction.id)


async def phone_ended(wsfed: WsFed, received: Received[ChallengeEnded]) -> None:
    """Step 7, without approval: the page offers a way on."""
    message = received.message
    transaction = await wsfed.transactions.get(message.transaction)
    if transaction is None or transaction.tenant != received.tenant:
        raise Reject("no such transaction in this tenant")
    state = State(message.outcome)
    known = transaction.challenge is not None and transaction.challenge.context.known_browser
    if state in (State.LIMITED, State.SUPERSEDED) and not known:
        # It happens to accounts that exist only: to a stranger's browser it must look like nobody answering.
        log.info("signin.silent_end", transaction=message.transaction, outcome=message.outcome)
        return
    if await wsfed.transactions.end_challenge(message.transaction, message.challenge, state) is not None:
        log.info("signin.ended", transaction=message.transaction, outcome=message.outcome)
        await wsfed.wake(message.transaction)
