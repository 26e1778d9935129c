"""What admin's handlers need: `Dependencies`, and the stores in it, which `store/` implements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from services.admin.config import AdminSettings
from services.admin.domain.alerts import AlertKind
from services.admin.domain.invitations import Invitation
from services.admin.domain.teams import Member, TeamInvitation
from services.admin.domain.tenants import Tenant
from services.admin.ports.applications import KeyRequestStore, Logos
from services.admin.ports.console import (
    Administrators,
    Changes,
    Checklists,
    ConsoleSessions,
    Teams,
    UsedChallenges,
)
from services.admin.ports.directory import Accounts, AdminCommands, Authenticators, Invitations, Tenants
from services.admin.ports.projections import Browsers, Devices, FirstUses, Freezes, SigningCertificates
from services.admin.ports.provisioning import Directory, DirectorySettingsStore
from services.admin.ports.sign_ins import Alerts, SignIns
from shared.clock import Clock
from shared.contracts.envelope import OutgoingMessage
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
from shared.contracts.provisioning import ConnectionChanged
from shared.crypto.sealed_box import Sealer
from shared.ids import Ids
from shared.text import clean_line

__all__ = [
    "Accounts",
    "AdminCommands",
    "Administrators",
    "Alerts",
    "Authenticators",
    "Browsers",
    "Changes",
    "Checklists",
    "ConsoleSessions",
    "Dependencies",
    "Devices",
    "Directory",
    "DirectorySettingsStore",
    "FirstUses",
    "Freezes",
    "Invitations",
    "KeyRequestStore",
    "Logos",
    "SignIns",
    "SigningCertificates",
    "Teams",
    "Tenants",
    "UsedChallenges",
]

MAX_DIRECTORY = 253
"""Characters of a domain's name, in a mail about a connection."""
ALERT_MAIL_TRIED_FOR = timedelta(days=2)
"""For how long the delivery of a mail to administrators is tried."""


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
