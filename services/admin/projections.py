"""What admin does when another service's state changes: docs/flows/enrolment.md, step 7, and "Lost phone";
docs/flows/sign-out-everywhere.md, step 5; docs/flows/federation.md, steps 1 and 6;
docs/flows/provisioning.md; docs/flows/sign-in-figures.md, step 5.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import structlog

from services.admin.domain.accounts import Account, AccountAction, apply_action
from services.admin.domain.alerts import TOLD, alert_of_refusal, alerts_of_attempts
from services.admin.domain.authenticators import (
    Authenticator,
    EndorsedKey,
    Reason,
    Refusal,
    TooManyRefused,
    check_claim,
    check_endorser,
    spend,
    with_missing_key,
)
from services.admin.domain.devices import AdminCommand
from services.admin.domain.invitations import Invitation
from services.admin.ports import Dependencies
from shared.bus.port import Reject
from shared.contracts.admin import AccountStatus, AuthenticatorStatus
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import VerifiedMessage
from shared.contracts.provisioning import ConnectionChanged, PersonChanged
from shared.contracts.wsfed import BrowserChanged, DomainUsed, KeysChanged, SignInsCounted, SignInsListed
from shared.crypto.assertion import InvalidAssertion
from shared.crypto.endorsement import verify_endorsement
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.crypto.statement import Statement
from shared.ids import b64u, unb64u

log = structlog.get_logger(__name__)


async def device_enrolled(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """`approval.device.changed.v1`: decide whether the device's key counts. Repeats change nothing.

    approval is not believed: the endorsement must verify against the invitation that this service made, for this
    account and this key, and the invitation must hold by this service's own clock. One that verifies and comes too
    late or second is kept as refused, so that an administrator sees it. A device that approval has removed spends its
    invitation all the same, so that the order of the two events does not matter. Raises Reject when the endorsement
    does not verify, Unavailable while others change the same documents.
    """
    device, cause = received.message, received.envelope
    decided = await deps.authenticators.get(received.tenant, device.device)
    if decided is not None and decided.key_sha256 and await deps.devices.knows(received):
        return
    if device.endorsement.kind == "authenticator":
        invitation, endorser, key, statement = None, *await _endorsed_by_phone(deps, received)

        async def endorsed(account: Account | None, now: datetime) -> None:
            check_endorser(endorser, account, statement, now)

        decided = decided or await _decide(deps, received, key, endorsed, endorser=endorser.id)
    else:
        invitation = await deps.invitations.get(received.tenant, device.endorsement.by)
        if invitation is None or invitation.account != device.account:
            raise Reject("no such invitation for that account")
        key = _endorsed_key(invitation, device)
        spent = partial(_spent, deps, received, invitation, key)
        decided = decided or await _decide(deps, received, key, spent, invitation=invitation.id)
    if decided.account != device.account or not decided.may_have(key):
        # An id is approval's choice: it must not touch somebody else's device.
        raise Reject("another device has that id")
    if not decided.key_sha256:
        by = "" if invitation is None else invitation.id
        await deps.authenticators.change(
            received.tenant, decided.id, lambda before: before.with_key(key, by), cause=cause
        )
        if invitation is not None:
            await deps.invitations.change(
                received.tenant, invitation.id, lambda before: with_missing_key(before, key), cause=cause
            )
    if device.status == "removed":
        await deps.authenticators.change(
            received.tenant,
            decided.id,
            lambda before: before.revoked(Reason.DEVICE_REMOVED, deps.clock.now()),
            cause=cause,
        )
    elif decided.status is not AuthenticatorStatus.REFUSED and decided.reason != Reason.ACCOUNT_REMOVED:
        # The reason says it of accounts that a release restored which did not count restorations yet.
        await deps.accounts.change(
            received.tenant, device.account, partial(_enrolled, decided=decided), cause=cause
        )
    if decided.status is AuthenticatorStatus.REFUSED:
        await deps.alerts.add(alert_of_refusal(decided, device.name))
    # The device is kept last, because an announcement that is kept already is not looked at again: a crash before
    # this line repeats the steps above. What else approval says of a device is only shown.
    await deps.devices.keep(received)


async def freeze_changed(deps: Dependencies, received: VerifiedMessage[FreezeChanged]) -> None:
    """`approval.freeze.changed.v1`: keep what is frozen, so that whoever ends a freeze can name it."""
    await deps.freezes.keep(received)


async def browser_changed(deps: Dependencies, received: VerifiedMessage[BrowserChanged]) -> None:
    """`wsfed.browser.changed.v1`: keep the list of browsers. It is for people, and decides nothing."""
    await deps.browsers.keep(received)


async def connection_changed(deps: Dependencies, received: VerifiedMessage[ConnectionChanged]) -> None:
    """`provisioning.connection.changed.v1`: keep how the connection to the directory is. It is for people.

    The mails about its end come first: what is kept already is not looked at again, so a crash between repeats both.
    """
    await _warn_of_end(deps, received.tenant, received.message)
    await deps.directory.keep_connection(received)


async def _warn_of_end(deps: Dependencies, tenant: str, said: ConnectionChanged) -> None:
    """Mail the owners and administrators that what the connection signs in with ends soon, or has ended: once for each
    of the days that provisioning names, and whatever provisioning says at most once a day for each of them: whoever
    speaks for it, or types one end after the other, fills no mailbox. What is sent is remembered by the day, so that a
    repeated message or a second replica sends nothing twice; after a restore of admin it may be sent once more. Raises
    Unavailable.
    """
    ends, within = said.credential_ends, said.ends_within
    if ends is None or within is None or said.state == "off" or not said.credential:
        return
    before = await deps.directory.connection(tenant)
    if before is not None and (
        said.version <= before.version or (before.credential_ends, before.ends_within) == (ends, within)
    ):
        return
    organisation = await deps.tenants.get(tenant)
    if organisation is None:
        return
    today = deps.clock.now()
    for member in (await deps.teams.get(tenant)).members:
        if member.role in TOLD:
            name = f"ends-{today:%Y%m%d}-{within}-{member.administrator}"
            record = AdminCommand(
                id=f"{tenant}/{name}",
                tenant=tenant,
                account="",
                what="warn_of_end",
                asked_at=today,
            )
            mail = deps.credential_mail_message(
                organisation,
                name,
                to=member,
                language=await deps.language_of(member),
                said=said,
                ends_at=ends,
            )
            await deps.admin_commands.add(record, mail)


async def person_changed(deps: Dependencies, received: VerifiedMessage[PersonChanged]) -> None:
    """`provisioning.person.changed.v1`: keep what became of the account in the directory. It is for people."""
    await deps.directory.keep_person(received)


async def keys_changed(deps: Dependencies, received: VerifiedMessage[KeysChanged]) -> None:
    """`wsfed.keys.changed.v1`: keep the certificates, which Entra has to be told. They decide nothing here."""
    await deps.certificates.keep(received)


async def domain_used(deps: Dependencies, received: VerifiedMessage[DomainUsed]) -> None:
    """`wsfed.domain.used.v1`: keep when a domain was first used. It is for people, and decides nothing."""
    await deps.first_uses.keep(received)


async def sign_ins_counted(deps: Dependencies, received: VerifiedMessage[SignInsCounted]) -> None:
    """`wsfed.signins.counted.v1`: keep how many sign-ins of a day ended in which way. It is for people."""
    await deps.sign_ins.keep_day(received)


async def sign_ins_listed(deps: Dependencies, received: VerifiedMessage[SignInsListed]) -> None:
    """`wsfed.signins.listed.v1`: keep a person's last sign-ins, and what administrators are to be told of them.

    The alerts come first: what is kept already is not looked at again, so a crash between the two repeats both.
    """
    said = received.message
    alerts = alerts_of_attempts(received.tenant, said.account, said.attempts, deps.clock.now())
    if alerts and not await deps.sign_ins.knows_account(received):
        for alert in alerts:
            await deps.alerts.add(alert)
    await deps.sign_ins.keep_account(received)


async def _decide(
    deps: Dependencies,
    received: VerifiedMessage[DeviceChanged],
    key: EndorsedKey,
    endorsed: Callable[[Account | None, datetime], Awaitable[None]],
    *,
    invitation: str = "",
    endorser: str = "",
) -> Authenticator:
    """Admin's decision on a device that it has not decided on yet: the one place where trust begins.

    `invitation`, `endorser`: the id of the invitation or of the phone that endorsed the key; the signature is verified.
    `endorsed`: asks what else must be true of it, for the account and at this moment; raises Refusal. Raises Reject,
    Unavailable.
    """
    tenant, holder, now = received.tenant, received.message.account, deps.clock.now()
    account = await deps.accounts.get(tenant, holder)
    status, reason = AuthenticatorStatus.TRUSTED, ""
    try:
        check_claim(key, invitation or endorser, await deps.authenticators.of(tenant, holder))
        await endorsed(account, now)
    except Refusal as refusal:
        status, reason = AuthenticatorStatus.REFUSED, refusal.reason.value
        log.warning("device.refused", tenant=tenant, account=holder, device=key.device, reason=reason)
    except TooManyRefused as error:
        raise Reject(str(error)) from error
    if status is AuthenticatorStatus.TRUSTED and received.message.status == "removed":
        status, reason = AuthenticatorStatus.REVOKED, Reason.DEVICE_REMOVED.value
    decided = Authenticator(
        id=key.device,
        tenant=tenant,
        account=holder,
        invitation=invitation,
        endorser=endorser,
        status=status,
        reason=reason,
        decided_at=now,
        credential_id=key.credential_id,
        public_key=key.public_key,
        key_sha256=key.key_sha256,
        restorations=0 if account is None else account.restorations,
    )
    if await deps.authenticators.add(decided, cause=received.envelope):
        return decided
    # Another replica was faster, with the same announcement or with another one under this id.
    return await deps.authenticators.get(tenant, key.device) or decided


async def _spent(
    deps: Dependencies,
    received: VerifiedMessage[DeviceChanged],
    invitation: Invitation,
    key: EndorsedKey,
    account: Account | None,
    now: datetime,
) -> None:
    """Spend the invitation for that key, by one conditional update, so that of two devices at once one gets it.

    Raises Refusal, Unavailable.
    """
    epoch = None if account is None else account.session_epoch
    await deps.invitations.change(
        received.tenant,
        invitation.id,
        lambda before: spend(before, key, epoch, now),
        cause=received.envelope,
    )


async def _endorsed_by_phone(
    deps: Dependencies, received: VerifiedMessage[DeviceChanged]
) -> tuple[Authenticator, EndorsedKey, Statement]:
    """The phone that endorsed the key, the key, and what the phone signed (docs/flows/further-phone.md, step 7).

    The signature is verified with the key that admin has of that phone. Not verified: that the phone counts, that the
    statement is a recent one. Raises Reject.
    """
    device, tenant = received.message, received.tenant
    endorser = await deps.authenticators.get(tenant, device.endorsement.by)
    if endorser is None or endorser.account != device.account or endorser.id == device.device:
        raise Reject("no such phone of that account")
    try:
        new = NewDeviceKey(
            tenant=tenant,
            account=device.account,
            invitation=device.endorsement.offer,
            credential_id=device.credential_id,
            public_key=unb64u(device.public_key),
        )
        statement = verify_endorsement(
            device.endorsement,
            new,
            endorser_key=unb64u(endorser.public_key),
            origins=deps.expected_origins,
            rp_id=deps.rp_id,
        )
    except (InvalidAssertion, ValueError) as error:
        raise Reject(f"the phone did not endorse this key: {error}") from error
    return endorser, _key_of(device, new), statement


def _enrolled(account: Account, decided: Authenticator) -> Account | None:
    """The account, which has had a phone; None where that is known, or the phone is from before the account was removed
    and restored.
    """
    if account.enrolled or account.status is AccountStatus.REMOVED:
        return None
    if decided.restorations != account.restorations:
        return None
    return apply_action(account, AccountAction.ENROL)


def _endorsed_key(invitation: Invitation, device: DeviceChanged) -> EndorsedKey:
    """The device's key, which the invitation's secret has signed. Raises Reject when it has not."""
    try:
        public_key, signature = unb64u(device.public_key), unb64u(device.endorsement.signature)
    except ValueError as error:
        raise Reject("not base64url") from error
    claimed = NewDeviceKey(
        tenant=invitation.tenant,
        account=invitation.account,
        invitation=invitation.id,
        credential_id=device.credential_id,
        public_key=public_key,
    )
    if not is_endorsed(unb64u(invitation.public_key), claimed, signature):
        raise Reject("the endorsement is not the invitation's")
    return _key_of(device, claimed)


def _key_of(device: DeviceChanged, key: NewDeviceKey) -> EndorsedKey:
    return EndorsedKey(
        device=device.device,
        credential_id=device.credential_id,
        public_key=device.public_key,
        key_sha256=b64u(hashlib.sha256(key.public_key).digest()),
    )
