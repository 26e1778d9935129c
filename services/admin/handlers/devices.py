"""People's devices as administrators see them (docs/flows/enrolment.md, "Lost phone", steps 1 and 2)."""

from collections.abc import Sequence

import structlog

from services.admin.domain.accounts import Account
from services.admin.domain.authenticators import Authenticator, Reason
from services.admin.domain.devices import AdminCommand, Freeze, ListedDevice, listed
from services.admin.handlers.accounts import show_account
from services.admin.handlers.own_page import check_visit
from services.admin.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import AuthenticatorStatus, RemoveAuthenticator
from shared.contracts.approval import UnfreezePush
from shared.contracts.envelope import OutgoingMessage, VerifiedMessage
from shared.crypto.assertion import InvalidAssertion, verify_assertion
from shared.crypto.statement import Purpose, Statement, read_statement
from shared.errors import Conflict, NotFound
from shared.ids import new_id, unb64u

log = structlog.get_logger(__name__)


async def list_devices(deps: Dependencies, slug: str, name: str) -> Sequence[ListedDevice]:
    """Every device of the person with admin's decision on it, also those that ended, oldest first. Raises NotFound."""
    account = await show_account(deps, slug, name)
    authenticators = await deps.authenticators.of(slug, account.id)
    return listed(authenticators, await deps.devices.of(slug, account.id))


async def remove_device(
    deps: Dependencies, slug: str, name: str, device: str | None
) -> Sequence[ListedDevice]:
    """Take one device, or with None each device that the person has now, out of use. Returns those devices.

    It is admin's own decision, in force when the others have heard of it. The sessions that a device opened end with
    it, because wsfed asks each time whether it counts. Suspending an account does not do this: a suspension can be
    taken back, a removed device must be enrolled again. Raises NotFound (no such device in use), Conflict (None was
    said and there is no device in use).
    """
    account = await show_account(deps, slug, name)
    devices = await list_devices(deps, slug, account.id)
    found = [each for each in devices if each.may_count and device in (None, each.id)]
    if not found and device is not None:
        raise NotFound("admin.device.unknown", upn=account.upn, tenant=slug)
    if not found:
        raise Conflict("admin.device.none", upn=account.upn)
    for each in found:
        await revoke(deps, account, each, Reason.ADMINISTRATOR)
    return found


async def revoke(deps: Dependencies, account: Account, device: ListedDevice, reason: Reason) -> None:
    """Take one device of that account out of use, for that reason. One that does not count stays as it is."""
    now = deps.clock.now()
    if device.status is None:
        # Enrolled before admin decided, and not migrated yet. Its key is filled in when approval says it again.
        tombstone = Authenticator(
            id=device.id,
            tenant=account.tenant,
            account=account.id,
            invitation="",
            status=AuthenticatorStatus.REVOKED,
            reason=reason.value,
            decided_at=now,
            restorations=account.restorations,
        )
        if await deps.authenticators.add(tombstone):
            return
    await deps.authenticators.change(account.tenant, device.id, lambda before: before.revoked(reason, now))


async def remove_authenticator(deps: Dependencies, received: VerifiedMessage[RemoveAuthenticator]) -> None:
    """`admin.authenticator.remove.v1`: the person removes a device of their own, by a fresh assertion.

    The service that sends it is not believed: the assertion must be by a trusted key of the same account, over a
    statement with the purpose `remove` that names the device; from wsfed, over a visit to the person's own page. A copy
    of it that comes later finds another version and changes nothing. Raises Reject, Unavailable.
    """
    command, tenant = received.message, received.tenant
    signer = await deps.authenticators.get(tenant, command.signed_by)
    removed = await deps.authenticators.get(tenant, command.authenticator)
    if removed is None or removed.account != command.account:
        raise Reject("no such authenticator of that account")
    if removed.version != command.version or not removed.is_trusted:
        log.info("authenticator.late_removal", tenant=tenant, authenticator=removed.id)
        return
    if signer is None or signer.account != command.account or not signer.is_trusted:
        raise Reject("signed by no trusted authenticator of that account")
    try:
        if (
            received.envelope.sender == "wsfed"
        ):  # it alone may bring the proof of a visit: approval sees it pass
            check_visit(deps, tenant, command.account, command.proof, signer)
        else:
            _check_removal(deps, command, signer)
    except (InvalidAssertion, ValueError) as error:
        raise Reject(f"removal not signed: {error}") from error

    def revoke(before: Authenticator) -> Authenticator | None:
        return before.revoked(Reason.PERSON, deps.clock.now()) if before.version == command.version else None

    await deps.authenticators.change(tenant, removed.id, revoke, cause=received.envelope)


def _check_removal(deps: Dependencies, command: RemoveAuthenticator, signer: Authenticator) -> None:
    """Verify that the signer's person asked for exactly this. Raises InvalidAssertion, ValueError.

    Not verified: the signature counter, which approval and wsfed keep; that the sender's nonce is fresh, which only it
    knows. Neither makes a copy of the command worth anything.
    """
    statement: Statement = read_statement(
        command.proof.context,
        purpose=Purpose.REMOVE,
        origins=deps.expected_origins,
        rp_id=deps.rp_id,
        server_nonce=command.server_nonce,
        device=command.authenticator,
    )
    verify_assertion(
        authenticator_data=unb64u(command.proof.authenticator_data),
        client_data_json=unb64u(command.proof.client_data_json),
        signature=unb64u(command.proof.signature),
        public_key=unb64u(signer.public_key),
        expected_challenge=statement.digest(),
        expected_origins=frozenset({statement.origin}),
        expected_rp_id=deps.rp_id,
    )


async def show_freeze(deps: Dependencies, slug: str, name: str) -> Freeze | None:
    """What somebody's "This isn't me" froze, as far as approval has said; None when nothing is. Raises NotFound."""
    account = await show_account(deps, slug, name)
    return await deps.freezes.of(slug, account.id)


async def unfreeze(deps: Dependencies, slug: str, name: str) -> None:
    """End the freeze that somebody's "Not me" began: the one that is known here, and none that begins later.

    Raises NotFound, Conflict (nothing is frozen).
    """
    account = await show_account(deps, slug, name)
    freeze = await deps.freezes.of(slug, account.id)
    if freeze is None:
        raise Conflict("admin.push.not_frozen", upn=account.upn)
    record = AdminCommand(
        id=new_id(deps.ids),
        tenant=slug,
        account=account.id,
        what="unfreeze",
        asked_at=deps.clock.now(),
        freeze=freeze.name,
    )
    command = UnfreezePush(account=account.id, freeze=freeze.name)
    await deps.admin_commands.add(record, OutgoingMessage(command, slug))
