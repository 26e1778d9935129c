"""What a person asks for on their own page (docs/flows/own-page.md, step 6). A removal of a phone is in `devices`.

wsfed is not believed but for which act it was: each command carries the assertion with which the person came to the
page, and names what is there in the version that was seen.
"""

import hashlib

import structlog

from services.admin.domain.accounts import Account, AccountAction, apply_action
from services.admin.domain.authenticators import Authenticator
from services.admin.domain.devices import AdminCommand
from services.admin.handlers.common import withdraw
from services.admin.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import (
    AccountStatus,
    AskedOnOwnPage,
    RemoveOwnBrowser,
    RenameAuthenticator,
    SignOutPerson,
)
from shared.contracts.approval import Proof
from shared.contracts.envelope import OutgoingMessage, VerifiedMessage
from shared.contracts.wsfed import RemoveBrowser
from shared.crypto.assertion import InvalidAssertion
from shared.crypto.visit import verify_visit
from shared.ids import b64u, unb64u
from shared.text import clean_line

log = structlog.get_logger(__name__)

MAX_NAME = 60
"""Characters of a phone's name."""


def check_visit(deps: Dependencies, tenant: str, account: str, proof: Proof, signer: Authenticator) -> None:
    """Refuse what is no proof of a visit to that account's own page by that key, now. Raises InvalidAssertion.

    Not verified: that the key counts, the signature counter.
    """
    verify_visit(
        proof,
        public_key=unb64u(signer.public_key),
        tenant=tenant,
        account=account,
        origin=deps.origin,
        phone_origins=deps.expected_origins,
        rp_id=deps.rp_id,
        now=deps.clock.now(),
    )


async def _check(deps: Dependencies, received: VerifiedMessage[AskedOnOwnPage]) -> None:
    """Raises Reject unless the person of that account came to their own page with a key that is trusted."""
    command = received.message
    signer = await deps.authenticators.get(received.tenant, command.signed_by)
    if signer is None or signer.account != command.account or not signer.is_trusted:
        raise Reject("signed by no trusted authenticator of that account")
    try:
        check_visit(deps, received.tenant, command.account, command.proof, signer)
    except (InvalidAssertion, ValueError) as error:
        raise Reject(f"not asked for by the person: {error}") from error


async def rename_authenticator(deps: Dependencies, received: VerifiedMessage[RenameAuthenticator]) -> None:
    """`admin.authenticator.rename.v1`: another name for one of the person's phones. Raises Reject, Unavailable."""
    await _check(deps, received)
    command, name = received.message, clean_line(received.message.name, MAX_NAME)
    named = await deps.authenticators.get(received.tenant, command.authenticator)
    if named is None or named.account != command.account or not name:
        raise Reject("no such authenticator of that account, or no name")

    def rename(before: Authenticator) -> Authenticator | None:
        return before.renamed(name) if before.version == command.version else None

    await deps.authenticators.change(received.tenant, named.id, rename, cause=received.envelope)


async def remove_own_browser(deps: Dependencies, received: VerifiedMessage[RemoveOwnBrowser]) -> None:
    """`admin.browser.remove.v1`: pass the person's word on to wsfed, once; it is recorded in the same write.

    wsfed knows its browsers: it refuses one of another account, and one that became known otherwise since. Raises
    Reject, Unavailable.
    """
    await _check(deps, received)
    command = received.message
    asked = hashlib.sha256(f"own page\0{received.envelope.id}".encode()).digest()[:16]
    record = AdminCommand(
        id=b64u(asked),  # of the command: a copy of it makes no second record, and so no second message
        tenant=received.tenant,
        account=command.account,
        what="remove_browser",
        asked_at=deps.clock.now(),
        browser=command.browser,
        by_person=True,
    )
    removal = RemoveBrowser(account=command.account, browser=command.browser, version=command.version)
    await deps.admin_commands.add(record, OutgoingMessage(removal, received.tenant, received.envelope))


async def sign_out_person(deps: Dependencies, received: VerifiedMessage[SignOutPerson]) -> None:
    """`admin.account.signout.v1`: as an administrator's sign-out everywhere, once. Raises Reject, Unavailable."""
    await _check(deps, received)
    command = received.message

    def sign_out(before: Account) -> Account | None:
        if before.session_epoch != command.session_epoch or before.status is AccountStatus.REMOVED:
            return None
        return apply_action(before, AccountAction.SIGN_OUT_EVERYWHERE)

    await deps.accounts.change(received.tenant, command.account, sign_out, cause=received.envelope)
    account = await deps.accounts.get(received.tenant, command.account)
    found = await deps.invitations.open_of(received.tenant, command.account)
    # Also in a repetition, after a crash between the two; but an invitation that was made since stays.
    if account is not None and found is not None and found.session_epoch < account.session_epoch:
        await deps.invitations.change(received.tenant, found.id, withdraw, cause=received.envelope)
