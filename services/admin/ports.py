"""What admin's handlers need: `Dependencies`, and the stores in it, which `store/` implements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from services.admin.config import AdminSettings
from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.administrators import Administrator, ConsoleSession
from services.admin.domain.alerts import Alert, AlertKind, AlertMails
from services.admin.domain.authenticators import Authenticator
from services.admin.domain.browsers import Browser
from services.admin.domain.changes import Change
from services.admin.domain.configuration import Checklist
from services.admin.domain.devices import AdminCommand, Freeze, KnownDevice
from services.admin.domain.directory import DirectorySettings
from services.admin.domain.federation import Certificates, FirstUse
from services.admin.domain.invitations import Invitation
from services.admin.domain.logos import Logo
from services.admin.domain.sign_ins import DayCounts
from services.admin.domain.signing_keys import KeyRequests
from services.admin.domain.teams import Member, Team, TeamInvitation
from services.admin.domain.tenants import Tenant
from shared.clock import Clock
from shared.contracts.admin import AccountStatus
from shared.contracts.approval import DeviceChanged, FreezeChanged
from shared.contracts.envelope import Envelope, OutgoingMessage, VerifiedMessage
from shared.contracts.notify import (
    AlertLine,
    AlertsMail,
    CredentialMail,
    InvitationMail,
    Language,
    SendMail,
    TeamInvitationMail,
    mail_associated_data,
)
from shared.contracts.provisioning import ConnectionChanged, PersonChanged
from shared.contracts.wsfed import (
    BrowserChanged,
    DomainUsed,
    KeysChanged,
    SignInAttempt,
    SignInsCounted,
    SignInsListed,
)
from shared.crypto.sealed_box import Sealer
from shared.errors import Conflict
from shared.ids import Ids
from shared.text import clean_line

MAX_DIRECTORY = 253
"""Characters of a domain's name, in a mail about a connection."""
ALERT_MAIL_TRIED_FOR = timedelta(days=2)
"""For how long the delivery of a mail to administrators is tried."""


class Tenants(Protocol):
    """Tenants by slug. Each write stores the announcement of the tenant's new state with it."""

    async def add(self, tenant: Tenant) -> bool:
        """Keep a new one. False when its slug, a domain or an issuer is taken."""
        ...

    async def get(self, slug: str) -> Tenant | None: ...

    async def change(
        self, slug: str, step: Callable[[Tenant], Tenant], *, busy: Conflict | None = None
    ) -> Tenant | None:
        """The tenant after `step`, which raises its version by one. None: there is no such tenant.

        `step` is called again when somebody else wrote first. Raises what `step` raises; NotUnique when a domain or
        an issuer is another tenant's; `busy` (by default Unavailable) when others were first each time.
        """
        ...

    async def page(self, after: str, limit: int) -> Sequence[Tenant]:
        """Tenants whose slug comes after `after`, in that order. For the operator, who sees them all."""
        ...


class Accounts(Protocol):
    """Accounts of a tenant. Each write stores the announcement of the account's new state with it."""

    async def add(self, account: Account) -> bool:
        """Keep a new one. False when its user name is taken."""
        ...

    async def add_many(self, accounts: Sequence[Account]) -> None:
        """Keep those whose user name is free. No event announces them: the other services pull them."""
        ...

    async def get(self, tenant: str, account: AccountId) -> Account | None: ...

    async def many(self, tenant: str, accounts: Sequence[AccountId]) -> Sequence[Account]:
        """Those of them that there are, in the order of their ids."""
        ...

    async def by_upn(self, tenant: str, upn: str) -> Account | None:
        """The account that holds this user name; one that was removed for good does not."""
        ...

    async def change(
        self,
        tenant: str,
        account: AccountId,
        step: Callable[[Account], Account | None],
        *,
        cause: Envelope | None = None,
        busy: Conflict | None = None,
    ) -> Account | None:
        """The account after `step`. None: `step` returned None, or there is no such account; nothing was written.

        `step` is called again when somebody else wrote first. Raises what `step` raises; `busy` (by default
        Unavailable) when others were first each time.
        """
        ...

    async def page(
        self,
        tenant: str,
        *,
        after: tuple[str, AccountId] | None,
        status: AccountStatus | None,
        limit: int,
        live: bool = False,
        beginnings: Sequence[str] = (),
    ) -> Sequence[Account]:
        """Accounts in the order of (user name, id) that come after `after`, without those that were removed for good.

        `live`: without removed ones altogether. `beginnings`: only those that have a word with each of them
        (`domain.search.indexed`).
        """
        ...

    async def removals_over(self, now: datetime, limit: int) -> Sequence[Account]:
        """At most `limit` accounts of all tenants whose removal is to be made final at that moment."""
        ...

    async def named_tombstones(self, limit: int) -> Sequence[Account]:
        """At most `limit` accounts of all tenants that were removed for good by a release that left their names. It
        looks through all accounts: for `blok365 migrate`.
        """
        ...

    async def index_words(self, limit: int) -> int:
        """Write what lists search by of at most `limit` accounts that have none yet; of how many it was done."""
        ...

    async def lacks_hosts(self, tenant: str) -> bool:
        """Whether the tenant has accounts for which `index_words` is still to be done."""
        ...

    async def count_signing_in(self, tenant: str, domain: str, *, but: Sequence[str], holds: bool) -> int:
        """How many people may sign in at the domain and its sub-domains, but for those at or under `but`, of whom it is
        known that they have an authenticator that counts, or that they have none.
        """
        ...

    async def maybe_without(
        self,
        tenant: str,
        domain: str,
        *,
        but: Sequence[str],
        after: tuple[str, AccountId] | None,
        limit: int,
        unknown: bool = False,
    ) -> Sequence[Account]:
        """Those of them, in the order of (user name, id) behind `after`, who may have no authenticator that counts.

        `unknown`: only those of whom nothing is known; `Authenticators.holders` knows.
        """
        ...


class Invitations(Protocol):
    """Invitations of a tenant's accounts. Each write stores the announcement of the invitation's new state with it."""

    async def add(self, invitation: Invitation, *messages: OutgoingMessage) -> bool:
        """Keep a new one, with those messages too. False when the account has an open one already."""
        ...

    async def get(self, tenant: str, invitation: str) -> Invitation | None: ...

    async def over(self, expired_before: datetime, limit: int) -> Sequence[Invitation]:
        """At most `limit` invitations of all tenants that are still `open` and ended before that moment."""
        ...

    async def used_without_key(self) -> bool:
        """Whether an invitation was used before invitations kept the key of the device that they vouched for."""
        ...

    async def open_of(self, tenant: str, account: AccountId) -> Invitation | None:
        """The account's invitation in state `open`, whether its time is over or not; None when it has none."""
        ...

    async def latest_of(self, tenant: str, account: AccountId) -> Invitation | None:
        """The account's open invitation; without one, the one that was made last. None when it never had one."""
        ...

    async def change(
        self,
        tenant: str,
        invitation: str,
        step: Callable[[Invitation], Invitation | None],
        *messages: OutgoingMessage,
        cause: Envelope | None = None,
    ) -> Invitation | None:
        """The invitation after `step`, written with those messages too.

        None: `step` returned None, or there is no such invitation; nothing was written. `step` is called again when
        somebody else wrote first. Raises what `step` raises; Unavailable when others were first each time.
        """
        ...


class Authenticators(Protocol):
    """Admin's decisions on devices' keys. Each write stores the announcement of the decision with it."""

    async def add(self, authenticator: Authenticator, *, cause: Envelope | None = None) -> bool:
        """Keep a decision. False when there is one on that id already, which stays as it is."""
        ...

    async def get(self, tenant: str, authenticator: str) -> Authenticator | None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[Authenticator]:
        """All of that account, those that ended too."""
        ...

    async def holders(
        self, tenant: str, accounts: Sequence[AccountId], now: datetime
    ) -> frozenset[AccountId]:
        """Which of these accounts have one that counts at that moment."""
        ...

    async def settle(self, tenant: str, after: AccountId, limit: int) -> AccountId | None:
        """Find out whether accounts have one, where that is not known: of at most `limit`, in the order of their ids
        behind `after`. Returns the last one; None when there was none.
        """
        ...

    async def change(
        self,
        tenant: str,
        authenticator: str,
        step: Callable[[Authenticator], Authenticator | None],
        *,
        cause: Envelope | None = None,
    ) -> Authenticator | None:
        """The authenticator after `step`. None: `step` returned None, or there is no such authenticator.

        `step` is called again when somebody else wrote first. Raises what `step` raises; Unavailable when others
        were first each time.
        """
        ...


class Devices(Protocol):
    """Devices as approval announces them: a projection, which accepts only higher versions."""

    async def knows(self, received: VerifiedMessage[DeviceChanged]) -> bool:
        """Whether exactly this announcement is kept already."""
        ...

    async def keep(self, received: VerifiedMessage[DeviceChanged]) -> None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[KnownDevice]:
        """All devices of that account, removed ones too, oldest first."""
        ...


class Freezes(Protocol):
    """What "Not me" froze, as approval announces it: a projection, which accepts only higher versions."""

    async def of(self, tenant: str, account: AccountId) -> Freeze | None:
        """The freeze that is in force; None when there is none."""
        ...

    async def keep(self, received: VerifiedMessage[FreezeChanged]) -> None: ...


class Browsers(Protocol):
    """Browsers as wsfed announces them: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[BrowserChanged]) -> None: ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[Browser]:
        """All browsers of that account, removed and forgotten ones too, the one that was used last first."""
        ...


class DirectorySettingsStore(Protocol):
    """What was asked of provisioning, by tenant."""

    async def get(self, tenant: str) -> DirectorySettings:
        """Those of a tenant that never asked for anything are empty."""
        ...

    async def change(
        self,
        tenant: str,
        step: Callable[[DirectorySettings], DirectorySettings],
        command: Callable[[DirectorySettings], OutgoingMessage],
    ) -> DirectorySettings:
        """The settings after `step`, written with the command that `command` makes of them.

        Both are called again when somebody else wrote first. Raises what `step` raises.
        """
        ...


class Directory(Protocol):
    """Connections, and people in Entra, as provisioning announces them: projections, only higher versions."""

    async def keep_connection(self, received: VerifiedMessage[ConnectionChanged]) -> None: ...

    async def keep_person(self, received: VerifiedMessage[PersonChanged]) -> None: ...

    async def connection(self, tenant: str) -> ConnectionChanged | None: ...

    async def person(self, tenant: str, account: AccountId) -> PersonChanged | None: ...

    async def failed(self, tenant: str, after: AccountId, limit: int) -> Sequence[PersonChanged]:
        """Those whose job has failed, in the order of their accounts, behind that one."""
        ...


class SigningCertificates(Protocol):
    """Tenants' token-signing certificates as wsfed announces them: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[KeysChanged]) -> None: ...

    async def of(self, tenant: str) -> Certificates | None:
        """The tenant's; None while wsfed has not said them."""
        ...


class Logos(Protocol):
    """Logos of organisations. Each write stores the announcement of the new one with it."""

    async def get(self, tenant: str) -> Logo | None:
        """The tenant's; None where it never had one."""
        ...

    async def change(self, tenant: str, step: Callable[[Logo], Logo]) -> Logo:
        """The logo after `step`. Raises Unavailable when others were first each time."""
        ...


class KeyRequestStore(Protocol):
    """The steps of key roll-overs that were asked of wsfed, by tenant."""

    async def get(self, tenant: str) -> KeyRequests:
        """Those of a tenant where nobody has asked for anything are empty."""
        ...

    async def change(
        self, tenant: str, step: Callable[[KeyRequests], KeyRequests | None], command: OutgoingMessage
    ) -> bool:
        """Write what `step` makes of them, and the command with it. False: `step` returned None, nothing was written.

        `step` is called again when somebody else wrote first. Raises what `step` raises; Unavailable.
        """
        ...


class FirstUses(Protocol):
    """When domains were first used, as wsfed announces it: a projection, which accepts only higher versions."""

    async def keep(self, received: VerifiedMessage[DomainUsed]) -> None: ...

    async def of(self, tenant: str, domain: str) -> FirstUse | None:
        """Of the tenant's domain; None while it was never used."""
        ...


class SignIns(Protocol):
    """How sign-ins ended, as wsfed announces it: projections, which accept only higher versions."""

    async def keep_day(self, received: VerifiedMessage[SignInsCounted]) -> None: ...

    async def keep_account(self, received: VerifiedMessage[SignInsListed]) -> None: ...

    async def knows_account(self, received: VerifiedMessage[SignInsListed]) -> bool:
        """Whether this or something newer is kept already."""
        ...

    async def days(self, tenant: str, first: date) -> Sequence[DayCounts]:
        """The tenant's counts from that day on, the oldest first; days on which nothing ended are missing."""
        ...

    async def of(self, tenant: str, account: AccountId) -> Sequence[SignInAttempt]:
        """The account's last attempts, the latest first."""
        ...


class Alerts(Protocol):
    """What owners and administrators of tenants are told by mail."""

    async def add(self, alert: Alert) -> bool:
        """Keep a new one. False when it is there already."""
        ...

    async def recent(self, tenant: str, since: datetime, limit: int) -> Sequence[Alert]:
        """At most `limit` since that moment, mailed or not, the latest first."""
        ...

    async def next_tenant(self, after: str) -> str | None:
        """The next tenant by its slug that has alerts which were not mailed."""
        ...

    async def unmailed(self, tenant: str, limit: int) -> Sequence[Alert]:
        """At most `limit` of them, the oldest first."""
        ...

    async def mark_mailed(self, alerts: Sequence[str]) -> None:
        """These went out, by their ids. Repeats change nothing."""
        ...

    async def mails(self, tenant: str) -> AlertMails: ...

    async def send(self, before: AlertMails, after: AlertMails, messages: Sequence[OutgoingMessage]) -> bool:
        """Write it with these mails if the stored one is still `before`. False: another replica was first."""
        ...


class AdminCommands(Protocol):
    """What administrators asked other services to do."""

    async def add(self, command: AdminCommand, message: OutgoingMessage) -> None:
        """Keep the record, and with it the message that carries the command, in one write. One whose id is taken was
        given already: nothing happens.
        """
        ...


class Administrators(Protocol):
    """Administrators with their passkeys."""

    async def add(self, administrator: Administrator) -> bool:
        """Keep a new one. False when the id or a passkey of it is taken."""
        ...

    async def get(self, administrator: str) -> Administrator | None: ...

    async def by_passkey(self, credential_id: str) -> Administrator | None: ...

    async def change(
        self, administrator: str, step: Callable[[Administrator], Administrator]
    ) -> Administrator | None:
        """The administrator after `step`. None: there is no such one. Raises what `step` raises; NotUnique when a
        passkey is another administrator's; Unavailable when others were first each time.
        """
        ...

    async def remove(self, administrator: str) -> None: ...


class Teams(Protocol):
    """Teams by tenant. A tenant without a document has an empty one."""

    async def get(self, tenant: str) -> Team: ...

    async def change(self, tenant: str, step: Callable[[Team], Team], *messages: OutgoingMessage) -> Team:
        """The team after `step`, written with those messages too.

        Raises what `step` raises; Unavailable when others were first each time.
        """
        ...

    async def of(self, administrator: str) -> Sequence[Team]:
        """Every team that this administrator is a member of, by the tenant's slug. Whole."""
        ...

    async def page(self, after: str, limit: int) -> Sequence[Team]:
        """Teams whose tenant's slug comes after `after`, in that order."""
        ...


class ConsoleSessions(Protocol):
    """Sessions of administrators by the digest of their secret."""

    async def add(self, session: ConsoleSession) -> None: ...

    async def get(self, digest: str) -> ConsoleSession | None: ...

    async def seen(self, digest: str, at: datetime) -> None:
        """Write down that something was asked in it."""
        ...

    async def proven(self, digest: str, at: datetime) -> None:
        """Write down that a passkey was used in it."""
        ...

    async def of(self, administrator: str) -> Sequence[ConsoleSession]:
        """All of that administrator, ended ones too while they are kept; the one that began last first."""
        ...

    async def end(self, administrator: str, session: str) -> bool:
        """Remove the session with that id. False when there is none of that administrator."""
        ...

    async def end_others(self, administrator: str, kept: str) -> int:
        """Remove all of that administrator but the one with that id; how many they were."""
        ...

    async def end_all(self) -> int:
        """Remove the sessions of all administrators; how many they were."""
        ...


class UsedChallenges(Protocol):
    """Challenges over which a signature verified."""

    async def spend(self, challenge: bytes, now: datetime) -> bool:
        """Write it down. False when it is there already."""
        ...


class Changes(Protocol):
    """What administrators did. Nothing is removed."""

    async def add(self, change: Change) -> None: ...

    async def finish(self, change: Change) -> None:
        """Write what became of one that was begun: its outcome, subject and values, and nothing else."""
        ...

    async def page(
        self, tenant: str, *, subject: str | None = None, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Change]:
        """Changes from before that moment (and id), the latest first; of everything, or of one subject's id."""
        ...


class Checklists(Protocol):
    """What administrators said of their Microsoft 365, by tenant. A tenant without a document has said nothing."""

    async def get(self, tenant: str) -> Checklist: ...

    async def change(self, tenant: str, step: Callable[[Checklist], Checklist]) -> Checklist:
        """The checklist after `step`; nothing is written when `step` returns what it was given.

        Raises what `step` raises; Unavailable when others were first each time.
        """
        ...


@dataclass(frozen=True)
class Dependencies:
    """Everything that admin's handlers work with."""

    tenants: Tenants
    accounts: Accounts
    invitations: Invitations
    authenticators: Authenticators
    devices: Devices
    freezes: Freezes
    browsers: Browsers
    certificates: SigningCertificates
    key_requests: KeyRequestStore
    logos: Logos
    first_uses: FirstUses
    sign_ins: SignIns
    alerts: Alerts
    admin_commands: AdminCommands
    directory_settings: DirectorySettingsStore
    directory: Directory
    administrators: Administrators
    teams: Teams
    console_sessions: ConsoleSessions
    used_challenges: UsedChallenges
    changes: Changes
    checklists: Checklists
    clock: Clock
    ids: Ids
    settings: AdminSettings
    origin: str
    """Origin of the sign-in host, without a slash at the end."""
    phone_origin: str
    """Origin of the phone's page, in the same form."""
    rp_id: str
    expected_origins: frozenset[str]
    """Origins that a person's phone signs on."""
    notify_sealer: Sealer
    """Seals mails for notify, which alone can open them."""
    provisioning_sealer: Sealer
    """Seals a connection's secrets for provisioning."""
    console_origin: str
    """Origin of the console. Its host is the RP ID of administrators' passkeys, and it is the only one they sign on."""
    console_keys: Sequence[bytes]
    """Of 32 octets that no browser sees. The first makes the challenges of the ceremonies; those made with the
    others are taken, too, while the key file is replaced.
    """

    @property
    def console_rp_id(self) -> str:
        host = urlsplit(self.console_origin).hostname
        assert host is not None
        return host

    def mail_message(self, mail: InvitationMail, invitation: Invitation) -> OutgoingMessage:
        """`notify.mail.send.v1` with the mail sealed for notify. An invitation has at most one."""
        return self._sealed_mail(mail, invitation.tenant, invitation.id, invitation.expires_at)

    async def language_of(self, member: Member) -> Language:
        """The language of mails to that administrator: the console's when they signed in last, where that is known."""
        found = await self.administrators.get(member.administrator)
        known = None if found is None else found.language
        return known or self.settings.mail_language

    def team_mail_message(self, tenant: Tenant, invitation: TeamInvitation, link: str) -> OutgoingMessage:
        """The same for the invitation of an administrator. `link` holds its secret."""
        mail = TeamInvitationMail(
            to=invitation.email,
            name=invitation.name,
            language=self.settings.mail_language,
            organisation=tenant.name,
            invited_by=invitation.invited_by,
            link=link,
            expires_at=invitation.expires_at,
        )
        return self._sealed_mail(mail, tenant.slug, invitation.id, invitation.expires_at)

    def alert_mail_message(
        self,
        tenant: str,
        name: str,
        *,
        to: Member,
        language: Language,
        organisation: str,
        counts: Mapping[AlertKind, int],
        lines: tuple[AlertLine, ...],
        more: bool,
    ) -> OutgoingMessage:
        """The same for what an administrator should look at. `name`: of the mail, one for each."""
        mail = AlertsMail(
            to=to.email,
            name=to.name,
            language=language,
            organisation=organisation,
            device_refused=counts["device_refused"],
            not_me=counts["not_me"],
            lines=lines,
            more=more,
            link=f"{self.console_origin}/t/{tenant}",
        )
        return self._sealed_mail(mail, tenant, name, self.clock.now() + ALERT_MAIL_TRIED_FOR)

    def credential_mail_message(
        self,
        tenant: Tenant,
        name: str,
        *,
        to: Member,
        language: Language,
        said: ConnectionChanged,
        ends_at: datetime,
    ) -> OutgoingMessage:
        """The same about the end of what provisioning signs in with. `name`: of the mail, the same each time."""
        assert said.credential, "what ends is one of them"
        tab = f"/applications/{tenant.applications[0].id}/provisioning" if tenant.applications else ""
        mail = CredentialMail(
            to=to.email,
            name=to.name,
            language=language,
            organisation=tenant.name,
            directory=clean_line(said.tenant_domain, MAX_DIRECTORY),
            credential=said.credential,
            ends_at=ends_at,
            over=said.ends_within == 0,
            link=f"{self.console_origin}/t/{tenant.slug}{tab}",
        )
        return self._sealed_mail(mail, tenant.slug, name, self.clock.now() + ALERT_MAIL_TRIED_FOR)

    def _sealed_mail(
        self,
        mail: InvitationMail | TeamInvitationMail | AlertsMail | CredentialMail,
        tenant: str,
        name: str,
        expires_at: datetime,
    ) -> OutgoingMessage:
        delivery = f"{name}.{mail.kind}"
        associated_data = mail_associated_data(tenant, delivery)
        command = SendMail(
            delivery=delivery,
            kind=mail.kind,
            expires_at=expires_at,
            sealed=self.notify_sealer.seal(mail.model_dump_json().encode(), associated_data),
        )
        return OutgoingMessage(command, tenant)
