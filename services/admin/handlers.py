"""What admin does, one function for each use case. The command line and the console call the same ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.admin import domain
from services.admin.config import AdminSettings
from services.admin.domain import Account, Invitation, Step, Tenant
from services.admin.ports import Accounts, Invitations, Tenants
from shared.bus.port import Reject, Retry
from shared.clock import Clock
from shared.contracts.admin import AccountStatus, Application, Domain, Policy
from shared.contracts.approval import DeviceChanged
from shared.contracts.envelope import Envelope, Packet, PacketSigner, Received
from shared.contracts.notify import DeviceAddedLetter, InvitationLetter, SendMail, mail_place
from shared.crypto.enrolment import NewDeviceKey, is_endorsed
from shared.crypto.keys import key_from_seed, raw_public
from shared.crypto.sealed_box import Sealer
from shared.errors import BadInput, Conflict, NotFound
from shared.ids import Ids, b64u, new_id, unb64u

TRIES = 8
"""How often a step is taken again because somebody else changed the same document."""
MAX_PAGE = 200
BATCH = 500
NOTICE_GOOD_FOR = timedelta(days=1)
"""How long it is tried to tell a person of a new phone."""
INVITABLE = (AccountStatus.INVITED, AccountStatus.ACTIVE)


@dataclass(frozen=True)
class Admin:
    """What the handlers work with."""

    tenants: Tenants
    accounts: Accounts
    invitations: Invitations
    signer: PacketSigner
    clock: Clock
    ids: Ids
    settings: AdminSettings
    origin: str
    letterbox: Sealer
    """Seals for notify."""

    def tenant_packet(self, tenant: Tenant) -> Packet:
        """`admin.tenant.configured.v1`"""
        return self.signer.packet(tenant.event(), tenant=tenant.slug)

    def account_packet(self, account: Account, cause: Envelope | None = None) -> Packet:
        """`admin.account.changed.v1`"""
        return self.signer.packet(account.event(), tenant=account.tenant, cause=cause)

    def invitation_packet(self, invitation: Invitation, cause: Envelope | None = None) -> Packet:
        """`admin.invitation.changed.v1`"""
        return self.signer.packet(invitation.event(), tenant=invitation.tenant, cause=cause)

    def mail_packet(
        self,
        letter: InvitationLetter | DeviceAddedLetter,
        invitation: Invitation,
        expires_at: datetime,
        cause: Envelope | None = None,
    ) -> Packet:
        """`notify.mail.send.v1`: the letter sealed for notify. One invitation has one mail of each kind."""
        delivery = f"{invitation.id}.{letter.kind}"
        place = mail_place(invitation.tenant, delivery)
        command = SendMail(
            delivery=delivery,
            kind=letter.kind,
            expires_at=expires_at,
            sealed=self.letterbox.seal(letter.model_dump_json().encode(), place),
        )
        return self.signer.packet(command, tenant=invitation.tenant, cause=cause)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an administrator types for a new person."""

    upn: str
    first_name: str
    last_name: str
    email: str
    display_name: str = ""
    """First and last name unless given."""


class InvitationLink:
    """The link that goes to the person, with the secret in its fragment. It exists once and is not kept."""

    __slots__ = ("invitation", "url")

    def __init__(self, invitation: Invitation, url: str) -> None:
        self.invitation = invitation
        self.url = url

    def __repr__(self) -> str:  # a log line or a traceback shows this
        return f"InvitationLink({self.invitation.id})"


@dataclass(frozen=True, slots=True)
class AccountPage:
    """One page of a list. `cursor` leads to the next one; None at the end."""

    accounts: tuple[Account, ...]
    cursor: str | None


# Tenants


async def create_tenant(admin: Admin, slug: str, name: str) -> Tenant:
    """A new tenant without applications and domains. Raises BadInput, Conflict."""
    tenant = Tenant(slug=domain.check_slug(slug), name=domain.check_name(name, "tenant's name", longest=100))
    if not await admin.tenants.add(tenant, admin.tenant_packet(tenant)):
        raise Conflict(
            f"There is a tenant {slug} already.", remedy="Choose another slug, or use that tenant."
        )
    return tenant


async def configure_tenant(
    admin: Admin,
    slug: str,
    *,
    name: str | None = None,
    policy: Policy | None = None,
    expected_version: int | None = None,
) -> Tenant:
    """Change name or policy. `expected_version` is what the administrator had on the screen.

    Raises NotFound, BadInput, Conflict (changed meanwhile).
    """
    checked = None if name is None else domain.check_name(name, "tenant's name", longest=100)

    def change(tenant: Tenant) -> Tenant:
        return replace(tenant, name=checked or tenant.name, policy=policy or tenant.policy)

    return await _change_tenant(admin, slug, change, expected_version)


async def add_application(
    admin: Admin,
    slug: str,
    *,
    name: str = "Microsoft 365",
    session_hours: int = 8,
    first_method: str = "push",
    expected_version: int | None = None,
) -> Application:
    """An application from the template "Microsoft 365". Raises NotFound, BadInput, Conflict."""
    if session_hours not in domain.SESSION_HOURS:
        raise BadInput(
            f"A session of {session_hours} hours isn't offered.", remedy="Choose 4, 8 or 12 hours."
        )
    if first_method not in domain.FIRST_METHODS:
        raise BadInput(f"{first_method[:20]!r} isn't a first method.", remedy="Choose push or qr.")
    application = Application.model_validate(
        {
            "id": new_id(admin.ids),
            "name": domain.check_name(name, "application's name"),
            "session_hours": session_hours,
            "first_method": first_method,
        }
    )

    def change(tenant: Tenant) -> Tenant:
        if any(a.name.casefold() == application.name.casefold() for a in tenant.applications):
            raise Conflict(
                f"{slug} has an application {application.name} already.", remedy="Give it another name."
            )
        return replace(tenant, applications=(*tenant.applications, application))

    await _change_tenant(admin, slug, change, expected_version)
    return application


async def add_domain(
    admin: Admin, slug: str, name: str, *, issuer: str | None = None, expected_version: int | None = None
) -> Domain:
    """A domain that Entra will federate to us. Raises NotFound, BadInput, Conflict.

    Not checked: that the tenant owns the domain. Entra does, when the federation is set up.
    """
    checked = domain.check_domain(name)
    if issuer is None:
        issuer = domain.default_issuer(admin.origin, slug, checked)
    else:
        issuer = domain.check_issuer(issuer, origin=admin.origin, tenant=slug, domain=checked)
    added = Domain(name=checked, issuer=issuer)

    def change(tenant: Tenant) -> Tenant:
        if any(d.name == added.name for d in tenant.domains):
            raise Conflict(f"{slug} has the domain {added.name} already.", remedy="Nothing is left to do.")
        if any(d.issuer == added.issuer for d in tenant.domains):
            raise Conflict("Another domain has that issuer.", remedy="Leave the issuer out.")
        return replace(tenant, domains=(*tenant.domains, added))

    await _change_tenant(admin, slug, change, expected_version)
    return added


async def show_tenant(admin: Admin, slug: str) -> Tenant:
    """The tenant. Raises NotFound."""
    tenant = await admin.tenants.get(slug)
    if tenant is None:
        raise NotFound(f"There is no tenant {slug[:40]}.", remedy="See the list of tenants for its slug.")
    return tenant


async def list_tenants(admin: Admin, *, after: str = "", limit: int = MAX_PAGE) -> Sequence[Tenant]:
    """Tenants behind the slug `after`. For the operator; a tenant's administrators never reach this."""
    return await admin.tenants.page(after, _limit(limit))


async def _change_tenant(
    admin: Admin, slug: str, change: Callable[[Tenant], Tenant], expected_version: int | None
) -> Tenant:
    for _ in range(TRIES):
        before = await show_tenant(admin, slug)
        if expected_version is not None and before.version != expected_version:
            raise Conflict(
                f"{slug} was changed meanwhile.", remedy="Look at it as it is now, then change it again."
            )
        after = replace(change(before), version=before.version + 1)
        if await admin.tenants.replace(after, admin.tenant_packet(after)):
            return after
        if (await show_tenant(admin, slug)).version == before.version:
            # Nobody changed this tenant, so a unique index refused: say no more of whose the domain is.
            raise Conflict(
                "That domain or issuer is in use by another tenant.",
                remedy="Check the name. If it is yours, ask the operator.",
            )
    raise Conflict(f"{slug} is being changed by others.", remedy="Try again in a moment.")


# People


async def create_account(admin: Admin, slug: str, new: NewAccount) -> Account:
    """A new person, status `invited`; `invite` makes the link. Raises NotFound, BadInput, Conflict."""
    tenant = await show_tenant(admin, slug)
    account = _account(admin, tenant, new)
    if not await admin.accounts.add(account, admin.account_packet(account)):
        raise Conflict(
            f"There is an account {account.upn} already.", remedy="Choose another user name, or use that one."
        )
    return account


async def create_accounts(admin: Admin, slug: str, new: Iterable[NewAccount]) -> int:
    """Many people at once; how many were tried. A user name that is taken is left as it is.

    Their events go out by the sweeper of a running admin process, 200 a second. Raises NotFound, BadInput.
    """
    tenant = await show_tenant(admin, slug)
    batch: list[tuple[Account, Packet]] = []
    count = 0
    for one in new:
        account = _account(admin, tenant, one)
        packet = admin.signer.packet(account.event(), tenant=account.tenant, numbered=False)
        batch.append((account, packet))
        count += 1
        if len(batch) == BATCH:
            await admin.accounts.add_many(batch)
            batch = []
    if batch:
        await admin.accounts.add_many(batch)
    return count


def _account(admin: Admin, tenant: Tenant, new: NewAccount) -> Account:
    account_id = new_id(admin.ids)
    first = domain.check_name(new.first_name, "first name")
    last = domain.check_name(new.last_name, "last name")
    display = new.display_name or f"{first} {last}"
    return Account(
        id=account_id,
        tenant=tenant.slug,
        upn=domain.check_upn(new.upn, tenant),
        first_name=first,
        last_name=last,
        display_name=domain.check_name(display, "display name", longest=domain.MAX_DISPLAY_NAME),
        email=domain.check_email(new.email),
        immutable_id=domain.immutable_id(account_id),
        status=AccountStatus.INVITED,
        enrolled=False,
        created_at=admin.clock.now(),
    )


async def show_account(admin: Admin, slug: str, name: str) -> Account:
    """The account with that user name or id. Raises NotFound, the same for another tenant's."""
    if "@" in name:
        account = await admin.accounts.by_upn(slug, name.strip().lower())
    else:
        account = await admin.accounts.get(slug, name)
    if account is None:
        raise NotFound(
            f"There is no account {name[:120]} in {slug[:40]}.", remedy="See the list of people for its name."
        )
    return account


async def list_accounts(
    admin: Admin,
    slug: str,
    *,
    cursor: str | None = None,
    limit: int = 50,
    status: AccountStatus | None = None,
) -> AccountPage:
    """People in the order of their user names. Raises NotFound, BadInput (limit, cursor)."""
    limit = _limit(limit)
    await show_tenant(admin, slug)
    after = None if cursor is None else _read_cursor(cursor)
    found = tuple(await admin.accounts.page(slug, after=after, status=status, limit=limit + 1))
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return AccountPage(page, None if last is None else b64u(f"{last.upn}\n{last.id}".encode()))


async def suspend(admin: Admin, slug: str, name: str) -> Account:
    """No sign-in until resumed. Raises NotFound, Conflict."""
    return await _step(admin, slug, name, Step.SUSPEND)


async def resume(admin: Admin, slug: str, name: str) -> Account:
    """Back to active, or to invited when no phone was ever enrolled. Raises NotFound, Conflict."""
    return await _step(admin, slug, name, Step.RESUME)


async def remove(admin: Admin, slug: str, name: str) -> Account:
    """For good. The open invitation is withdrawn; the user name is free again. Raises NotFound, Conflict."""
    account = await _step(admin, slug, name, Step.REMOVE)
    await _withdraw_open(admin, account)
    return account


async def _step(admin: Admin, slug: str, name: str, what: Step) -> Account:
    account_id = (await show_account(admin, slug, name)).id
    for _ in range(TRIES):
        before = await show_account(admin, slug, account_id)
        after = domain.step(before, what)
        if await admin.accounts.replace(after, admin.account_packet(after)):
            return after
    raise Conflict(f"{name} is being changed by others.", remedy="Try again in a moment.")


# Invitations


async def invite(admin: Admin, slug: str, name: str, *, send_mail: bool = True) -> InvitationLink:
    """A new invitation link, the only time that its secret is seen; the one before is withdrawn.

    It is mailed to the person in the same step, unless the caller hands it over in another way.
    24 hours for somebody who never enrolled, 10 minutes (by setting) for a new phone of somebody who did.
    Raises NotFound, Conflict (suspended or removed; two at the same time).
    """
    tenant = await show_tenant(admin, slug)
    account = await show_account(admin, slug, name)
    if account.status not in INVITABLE:
        raise Conflict(
            f"{account.upn} is {account.status.value}: no invitation.", remedy="Resume the account first."
        )
    seed = admin.ids.octets(32)
    now = admin.clock.now()
    lifetime = (
        timedelta(minutes=admin.settings.rebinding_minutes)
        if account.enrolled
        else timedelta(hours=admin.settings.invitation_hours)
    )
    invitation = Invitation(
        id=new_id(admin.ids),
        tenant=slug,
        account=account.id,
        public_key=b64u(raw_public(key_from_seed(seed))),
        issued_at=now,
        expires_at=now + lifetime,
    )
    url = f"{admin.origin}/key/#i={invitation.id}.{b64u(seed)}"
    letter = domain.invitation_letter(tenant, account, invitation, url, admin.settings.mail_language)
    for _ in range(TRIES):
        await _withdraw_open(admin, account)
        packets = [admin.invitation_packet(invitation)]
        if send_mail:
            packets.append(admin.mail_packet(letter, invitation, invitation.expires_at))
        if await admin.invitations.add(invitation, *packets):
            return InvitationLink(invitation, url)
    raise Conflict(f"{account.upn} is being invited by others.", remedy="Try again in a moment.")


async def _withdraw_open(admin: Admin, account: Account) -> None:
    for _ in range(TRIES):
        found = await admin.invitations.open_of(account.tenant, account.id)
        if found is None:
            return
        after = found.withdrawn()
        if await admin.invitations.replace(after, admin.invitation_packet(after)):
            return
    raise Conflict(f"{account.upn} is being invited by others.", remedy="Try again in a moment.")


async def device_enrolled(admin: Admin, received: Received[DeviceChanged]) -> None:
    """`approval.device.changed.v1`: spend the invitation, make the account active. Repeats change nothing.

    approval is not believed: the endorsement must verify against the invitation that this service made, for
    this account and this key. Not verified: `enrolled_at`, which only approval knows.
    A removed device still spends its invitation, so that the order of the two events does not matter.
    """
    device, cause = received.message, received.envelope
    invitation = await admin.invitations.get(received.tenant, device.endorsement.by)
    if invitation is None or invitation.account != device.account:
        raise Reject("no such invitation for that account")
    _check_endorsement(invitation, device)
    for _ in range(TRIES):
        if invitation.status == "used" and invitation.device == device.device:
            break
        if invitation.status != "open":
            raise Reject(f"the invitation is {invitation.status}: it vouches for one device, the first")
        spent = invitation.used_by(device.device)
        notice = await _notice(admin, spent, device, cause)
        if await admin.invitations.replace(spent, admin.invitation_packet(spent, cause), *notice):
            break
        again = await admin.invitations.get(received.tenant, device.endorsement.by)
        assert again is not None, "invitations are never deleted"
        invitation = again
    else:
        raise Retry("the invitation is being changed")
    if device.status == "active":
        await _activate(admin, received.tenant, device.account, cause)


async def _notice(
    admin: Admin, spent: Invitation, device: DeviceChanged, cause: Envelope
) -> Sequence[Packet]:
    """The mail that tells the person, by another channel than the phone, that a phone was added."""
    account = await admin.accounts.get(spent.tenant, spent.account)
    tenant = await admin.tenants.get(spent.tenant)
    if account is None or tenant is None or account.status is AccountStatus.REMOVED:
        return ()
    letter = domain.device_letter(
        tenant, account, device.name, device.enrolled_at, admin.settings.mail_language
    )
    return (admin.mail_packet(letter, spent, admin.clock.now() + NOTICE_GOOD_FOR, cause),)


async def _activate(admin: Admin, tenant: str, account_id: str, cause: Envelope) -> None:
    for _ in range(TRIES):
        before = await admin.accounts.get(tenant, account_id)
        if before is None or before.enrolled or before.status is AccountStatus.REMOVED:
            return
        after = domain.step(before, Step.ENROL)
        if await admin.accounts.replace(after, admin.account_packet(after, cause)):
            return
    raise Retry("the account is being changed")


def _check_endorsement(invitation: Invitation, device: DeviceChanged) -> None:
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
    if device.enrolled_at > invitation.expires_at:
        raise Reject("enrolled after the invitation had expired")


# Small checks


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput(f"A page has 1 to {MAX_PAGE} entries, not {limit}.", remedy="Ask for less.")
    return limit


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        upn, _, account = unb64u(cursor).decode().partition("\n")
    except ValueError as error:
        raise BadInput("That is not a cursor of ours.", remedy="Start the list again.") from error
    return upn, account
