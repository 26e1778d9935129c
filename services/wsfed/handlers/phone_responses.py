"""Steps 4, 5, 7 and 8 of docs/flows/sign-in.md: nobody notified, a code scanned, and what the phone answered."""

import structlog

from services.wsfed.domain.proof import InvalidProof, verify_approval
from services.wsfed.domain.sign_in_figures import AttemptOutcome, attempt_of, ended
from services.wsfed.domain.transaction import ENDED_BY_DEVICE, Transaction, TransactionState
from services.wsfed.domain.trust import Standing
from services.wsfed.ports import Dependencies
from shared.bus.port import Reject, Retry
from shared.contracts.approval import (
    ChallengeAccepted,
    ChallengeClaimed,
    ChallengeEnded,
    ChallengeUnnotified,
)
from shared.contracts.envelope import VerifiedMessage
from shared.ids import unb64u

log = structlog.get_logger(__name__)


async def challenge_unnotified(deps: Dependencies, received: VerifiedMessage[ChallengeUnnotified]) -> None:
    """Step 4: no phone was notified. A known browser's page says so; in any other it would tell of the account."""
    message = received.message
    transaction = await _transaction(deps, received.tenant, message.transaction)
    if await deps.transactions.mark_unnotified(transaction.id, message.challenge) is not None:
        log.info("signin.unnotified", tenant=received.tenant, transaction=transaction.id)
        await deps.wake(transaction.id)


async def challenge_claimed(deps: Dependencies, received: VerifiedMessage[ChallengeClaimed]) -> None:
    """Step 5, QR: the code was scanned, so the page shows it no longer. Only approval's word: it proves nothing."""
    message = received.message
    transaction = await _transaction(deps, received.tenant, message.transaction)
    if await _claim(deps, transaction, message.challenge) is not None:
        log.info("signin.scanned", tenant=received.tenant, transaction=transaction.id)
        await deps.wake(transaction.id)


async def _claim(deps: Dependencies, transaction: Transaction, challenge: str) -> Transaction | None:
    """Make the scanned challenge the current one, even if the page had renewed it a moment before."""
    scanned = transaction.claimable(challenge)
    return None if scanned is None else await deps.transactions.claim_challenge(transaction.id, scanned)


async def _answered(deps: Dependencies, transaction: Transaction, challenge: str) -> Transaction:
    """The transaction after a device answered that challenge.

    The answer may arrive before the message that its QR code was scanned; then the scan is recorded first.
    """
    previous = transaction.previous
    if previous is not None and previous.id == challenge:
        return await _claim(deps, transaction, challenge) or transaction
    return transaction


async def _transaction(deps: Dependencies, tenant: str, transaction_id: str) -> Transaction:
    transaction = await deps.transactions.get(transaction_id)
    if transaction is None or transaction.tenant != tenant:
        raise Reject("no such transaction in this tenant")
    return transaction


async def challenge_accepted(deps: Dependencies, received: VerifiedMessage[ChallengeAccepted]) -> None:
    """Step 8: verify the proof again. Raises Retry while nobody knows whether the device counts, Reject otherwise."""
    message = received.message
    transaction = await deps.transactions.recent(message.transaction)
    if transaction is None or not transaction.waits_for(message.challenge):
        # What is held here may be behind another replica; a challenge that it does wait for never changes.
        transaction = await _transaction(deps, received.tenant, message.transaction)
        transaction = await _answered(deps, transaction, message.challenge)
    if transaction.tenant != received.tenant:
        raise Reject("no such transaction in this tenant")
    challenge = transaction.challenge
    if challenge is None or not transaction.waits_for(message.challenge):
        log.info("signin.late_approval", transaction=transaction.id, state=transaction.state)
        return  # already proved, or superseded: a duplicate is not an attack
    account = challenge.context.account
    device = await deps.directory.trusted_device(received.tenant, account, message.device)
    if device is None:
        standing = await deps.directory.standing(received.tenant, account, message.device)
        # TRUSTED: the decision came between the two looks, and the next one finds the device.
        if standing is not Standing.ENDED and not challenge.expired(deps.clock.now()):
            raise Retry("the device's key or admin's decision on it is not here yet", soon=True)
        raise Reject("no trusted device of that id")
    try:
        authentication, proof = verify_approval(
            transaction=transaction,
            challenge=message.challenge,
            device=device,
            context=message.proof.context,
            authenticator_data=unb64u(message.proof.authenticator_data),
            client_data_json=unb64u(message.proof.client_data_json),
            signature=unb64u(message.proof.signature),
            expected_origins=deps.expected_origins,
            expected_rp_id=deps.rp_id,
            now=deps.clock.now(),
        )
    except (InvalidProof, ValueError) as error:
        raise Reject(f"proof refused: {error}") from error
    visit = None
    if transaction.own_page:  # the proof is all that a visit needs; a token is counted when it is issued
        visit = attempt_of(challenge.context, account, AttemptOutcome.SIGNED_IN, deps.clock.now())
    proved = await deps.transactions.prove(transaction.id, message.challenge, authentication, proof, visit)
    if proved is not None:
        log.info("signin.proved", tenant=received.tenant, transaction=transaction.id)
        await deps.wake(transaction.id)


async def challenge_ended(deps: Dependencies, received: VerifiedMessage[ChallengeEnded]) -> None:
    """Step 7, when the request was not approved: the page offers another try.

    What a browser that is not known sees of it: `Transaction.effective_state`.
    """
    message = received.message
    transaction = await _transaction(deps, received.tenant, message.transaction)
    state = TransactionState(message.outcome)
    if state is TransactionState.EXPIRED:
        return  # our own clock says so, at the same moment for accounts that do not exist
    if state in ENDED_BY_DEVICE:
        # With a QR code a device can answer only after its scan.
        transaction = await _answered(deps, transaction, message.challenge)
    known = transaction.challenge is not None and transaction.challenge.context.known_browser
    if state in (TransactionState.LIMITED, TransactionState.SUPERSEDED) and not known:
        # Only accounts that exist have such ends: in an unknown browser it must look as if nobody answered, and its
        # QR code must go on being renewed.
        log.info("signin.silent_end", transaction=message.transaction, outcome=message.outcome)
        return
    attempt = ended(transaction, message.challenge, state, deps.clock.now())
    changed = await deps.transactions.end_challenge(message.transaction, message.challenge, state, attempt)
    if changed is not None:
        log.info("signin.ended", transaction=message.transaction, outcome=message.outcome)
        await deps.wake(message.transaction)
