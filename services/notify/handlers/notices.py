"""What becomes of people's phones, told to them (docs/flows/notification.md, steps 11 and 12)."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import structlog

from services.notify.domain.delivery import Delivery
from services.notify.domain.notices import (
    LIFETIME,
    Addressee,
    Notice,
    announced_before,
    mail_destination,
    written,
)
from services.notify.ports import Dependencies
from shared.bus.port import Reject, Retry
from shared.contracts.admin import AuthenticatorChanged, AuthenticatorStatus
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Origin, VerifiedMessage
from shared.contracts.notify import mail_associated_data
from shared.contracts.wsfed import AuthenticatorAccepted
from shared.ids import b64u, unb64u

News = AuthenticatorAccepted | AuthenticatorChanged | DeviceChanged
log = structlog.get_logger(__name__)

PATIENCE = timedelta(hours=1)
"""How long a notice waits until admin has said where the person is written to."""


async def authenticator_accepted(
    deps: Dependencies, received: VerifiedMessage[AuthenticatorAccepted]
) -> None:
    """`wsfed.authenticator.accepted.v1`: a key counts from now on. The person is told, unless they were already.

    What approval's word has brought about long before does not count for that.
    """
    said = received.message
    notice = Notice(
        tenant=received.tenant,
        account=said.account,
        key_sha256=said.key_sha256,
        kind="device_added",
        device=said.name,
        said_by="wsfed",
        at=said.accepted_at,
    )
    await _tell_besides_approval(deps, notice, received)


async def authenticator_changed(deps: Dependencies, received: VerifiedMessage[AuthenticatorChanged]) -> None:
    """`admin.authenticator.changed.v1`: admin has decided that a phone does not count, or does no longer.

    That one counts is told on wsfed's word, without which it does not. admin says `trusted` also of phones that were
    enrolled before it decided on any (`blok365 migrate`), and those are no news. Nor is what a pull brings: admin's
    database may be put back, or ours be new.
    """
    decision = received.message
    if received.origin is not Origin.SENT or decision.status is AuthenticatorStatus.TRUSTED:
        return
    notice = Notice(
        tenant=received.tenant,
        account=decision.account,
        # A device that was revoked before admin knew its key has none.
        key_sha256=decision.key_sha256 or decision.authenticator,
        kind="device_refused" if decision.status is AuthenticatorStatus.REFUSED else "device_removed",
        device="",
        said_by="admin",
        at=deps.clock.now(),
    )
    await _tell_besides_approval(deps, notice, received)


async def device_changed(deps: Dependencies, received: VerifiedMessage[DeviceChanged]) -> None:
    """`approval.device.changed.v1`: a phone was added or removed. Only approval's word: nothing of it is verified.

    What a pull brings is not news: approval's database may be put back, or ours be new. Nor is another state of a phone
    that is in use.
    """
    device = received.message
    if received.origin is not Origin.SENT or (device.status == "active" and device.version > 1):
        return
    try:
        key = unb64u(device.public_key)
    except ValueError as error:
        raise Reject("public_key is not base64url") from error
    notice = Notice(
        tenant=received.tenant,
        account=device.account,
        key_sha256=b64u(hashlib.sha256(key).digest()),
        kind="device_added" if device.status == "active" else "device_removed",
        device=device.name,
        said_by="approval",
        at=deps.clock.now(),  # when it came: the limit below must not go by approval's own word
    )
    if await deps.notices.is_told(replace(notice, kind="device_refused")):
        return  # it never counted, and that was told
    await _tell(deps, notice, received, limited=True)


async def _tell_besides_approval(deps: Dependencies, notice: Notice, received: VerifiedMessage[News]) -> None:
    """Tell what wsfed or admin says. What approval has said long before takes it from nobody."""
    told = await deps.notices.told(notice)
    if told is not None and told.said_by == "approval":
        notice = replace(notice, again=True)
        if not announced_before(told, notice.at):
            await deps.notices.add(notice)  # it was told just now; a later copy must not tell it again
            return
    await _tell(deps, notice, received)


async def _tell(
    deps: Dependencies, notice: Notice, received: VerifiedMessage[News], *, limited: bool = False
) -> None:
    """A mail to each address, unless the same was told before. Raises Retry while no address is known, then Reject.

    `limited`: only while the account has places left for what that service's word alone brings about.

    That it was told is written last: a process that dies before goes on with the deliveries that it has kept.
    """
    if await deps.notices.is_told(notice):
        return
    if not notice.device:  # admin knows no names
        notice = replace(notice, device=await deps.notices.name_of(notice))
    addressees = await deps.contacts.of(notice.tenant, notice.account, deps.clock.now())
    if not addressees:
        if deps.clock.now() - received.envelope.occurred_at < PATIENCE:
            raise Retry(f"no address of account {notice.account} yet")
        raise Reject(f"no address of account {notice.account}")
    if limited and not await deps.notices.take_place(notice):
        log.warning("notice.limited", tenant=notice.tenant, account=notice.account, kind=notice.kind)
        return
    organisation = await deps.tenants.name(notice.tenant) or notice.tenant
    for number, addressee in enumerate(addressees):
        delivery = _delivery(
            deps, notice, f"{notice.id}.{number}.{notice.kind}", addressee, organisation, received
        )
        if await deps.deliveries.add(delivery):
            deps.mails.offer(delivery)
    await deps.notices.add(notice)
    log.info("notice", tenant=notice.tenant, account=notice.account, kind=notice.kind, said_by=notice.said_by)


def _delivery(
    deps: Dependencies,
    notice: Notice,
    name: str,
    to: Addressee,
    organisation: str,
    received: VerifiedMessage[News],
) -> Delivery:
    mail, now = written(notice, to, organisation), deps.clock.now()
    associated_data = mail_associated_data(notice.tenant, name)
    return Delivery(
        id=f"notify/{notice.tenant}/{name}",
        tenant=notice.tenant,
        channel="mail",
        kind=notice.kind,
        destination=mail_destination(to.contact.address),
        associated_data=associated_data,
        sealed=deps.sealer.seal(mail.model_dump_json().encode(), associated_data),
        correlation=received.envelope.correlation_id,
        created_at=now,
        next_at=now,
        expires_at=now + LIFETIME,
    )
