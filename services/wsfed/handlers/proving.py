"""Steps 5, 7 and 8 of docs/flows/sign-in.md: a code scanned, and what the phone answered."""

import structlog

from services.wsfed.domain.proof import InvalidProof, verify_phone_proof
from services.wsfed.domain.transaction import State, Transaction
from services.wsfed.handlers.common import WsFed
from shared.bus.port import Reject, Retry
from shared.contracts.approval import ChallengeAccepted, ChallengeClaimed, ChallengeEnded
from shared.contracts.envelope import VerifiedMessage
from shared.ids import unb64u

log = structlog.get_logger(__name__)


ANSWERS = (State.DENIED, State.NOT_ME, State.WRONG_CODE)
"""Ends that a phone makes, and so by QR code only after a scan."""


async def phone_claimed(wsfed: WsFed, received: VerifiedMessage[ChallengeClaimed]) -> None:
    """Step 5, QR: the code was scanned, so the page shows it no longer. Only approval's word: it proves nothing."""
    message = received.message
    transaction = await _transaction(wsfed, received.tenant, message.transaction)
    if await _claim(wsfed, transaction, message.challenge) is not None:
        log.info("signin.scanned", tenant=received.tenant, transaction=transaction.id)
        await wsfed.wake(transaction.id)


async def _claim(wsfed: WsFed, transaction: Transaction, challenge: str) -> Transaction | None:
    """Make the scanned one the current one, also when the page had renewed it a moment before."""
    scanned = transaction.claimable(challenge)
    return None if scanned is None else await wsfed.transactions.claim_challenge(transaction.id, scanned)


async def _answered(wsfed: WsFed, transaction: Transaction, challenge: str) -> Transaction:
    """The transaction as it is when a phone has answered that one: the news of its scan may come later."""
    previous = transaction.previous
    if previous is not None and previous.id == challenge:
        return await _claim(wsfed, transaction, challenge) or transaction
    return transaction


def _waits_for(transaction: Transaction, challenge: str) -> bool:
    current = transaction.challenge
    return transaction.state is State.WAITING and current is not None and current.id == challenge


async def _transaction(wsfed: WsFed, tenant: str, transaction_id: str) -> Transaction:
    transaction = await wsfed.transactions.get(transaction_id)
    if transaction is None or transaction.tenant != tenant:
        raise Reject("no such transaction in this tenant")
    return transaction


async def phone_accepted(wsfed: WsFed, received: VerifiedMessage[ChallengeAccepted]) -> None:
    """Step 8: verify the proof again. Raises Retry while the device key is not here yet, Reject otherwise."""
    message = received.message
    transaction = await wsfed.transactions.recent(message.transaction)
    if transaction is None or not _waits_for(transaction, message.challenge):
        # What is held here may be behind another replica; a challenge that it does wait for never changes.
        transaction = await _transaction(wsfed, received.tenant, message.transaction)
        transaction = await _answered(wsfed, transaction, message.challenge)
    if transaction.tenant != received.tenant:
        raise Reject("no such transaction in this tenant")
    challenge = transaction.challenge
    if challenge is None or not _waits_for(transaction, message.challenge):
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


async def phone_ended(wsfed: WsFed, received: VerifiedMessage[ChallengeEnded]) -> None:
    """Step 7, without approval: the page offers a way on."""
    message = received.message
    transaction = await _transaction(wsfed, received.tenant, message.transaction)
    state = State(message.outcome)
    if state is State.EXPIRED:
        return  # our own clock says so, at the same moment for accounts that do not exist
    if state in ANSWERS:
        transaction = await _answered(wsfed, transaction, message.challenge)
    known = transaction.challenge is not None and transaction.challenge.context.known_browser
    if state in (State.LIMITED, State.SUPERSEDED) and not known:
        # It happens to accounts that exist only: to a stranger's browser it must look like nobody answering.
        log.info("signin.silent_end", transaction=message.transaction, outcome=message.outcome)
        return
    if await wsfed.transactions.end_challenge(message.transaction, message.challenge, state) is not None:
        log.info("signin.ended", transaction=message.transaction, outcome=message.outcome)
        await wsfed.wake(message.transaction)
