"""A tenant's team: its administrators with their roles, and the invitations to become one. Pure.

A team is one aggregate, so that two owners who remove each other at the same moment cannot leave the tenant without
one, and an invitation is spent in the same write that makes its holder a member.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.admin.domain.accounts import Account, AccountId
from services.admin.domain.roles import Actor, Role
from shared.errors import Conflict, Forbidden, Gone, NotFound
from shared.ids import b64u

LINK_LIFETIME = timedelta(minutes=10)
"""Of a link that the operator hands over."""
MAIL_LIFETIME = timedelta(hours=24)
"""Of a link that goes by mail."""
MAX_MEMBERS = 200
MAX_INVITATIONS = 50


@dataclass(frozen=True, slots=True)
class Member:
    """An administrator in one tenant."""

    administrator: str
    name: str
    email: str
    role: Role
    since: datetime
    account: AccountId | None = None
    """Their own account with the tenant; None when they have none, or the invitation named none."""


@dataclass(frozen=True, slots=True)
class TeamInvitation:
    """A one-time link that makes its holder a member. The secret itself is in the link only."""

    id: str
    secret_sha256: str
    """base64url."""
    name: str
    email: str
    role: Role
    expires_at: datetime
    invited_by: str
    """The administrator's name; empty: the operator of the installation."""
    inviter: str = ""
    """The administrator's id. Empty: the operator, or made before this was kept."""
    account: AccountId | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """Who may work on one tenant in the console."""

    tenant: str
    members: tuple[Member, ...] = ()
    invitations: tuple[TeamInvitation, ...] = ()
    """Open ones, and such as have expired and were not followed by another."""
    version: int = 0

    def member(self, administrator: str) -> Member | None:
        """That administrator's part in the team."""
        return next((each for each in self.members if each.administrator == administrator), None)

    @property
    def owners(self) -> tuple[Member, ...]:
        return tuple(each for each in self.members if each.role is Role.OWNER)

    def protects(self, account: Account) -> bool:
        """Whether the account is that of a member, or of somebody who is invited to be one.

        It is when the invitation named it, and also when a member has its user name or its address as their own: the
        link to an account can be left out by mistake. Directory roles in Entra protect an account too, where they are
        known (`console_people.Person.holds_role`).
        """
        names = {account.upn.casefold(), account.email.casefold()}
        signs = [(each.account, each.email) for each in self.members]
        signs += [(each.account, each.email) for each in self.invitations]
        return any(account.id == own or email.casefold() in names for own, email in signs)

    def owned_by(self, account: Account, actor: Actor) -> bool:
        """Whether the account is the actor's own, by the same signs."""
        return account.id == actor.account or actor.email.casefold() in (
            account.upn.casefold(),
            account.email.casefold(),
        )

    def require_owner(self, actor: Actor) -> None:
        """Raises Forbidden unless the actor is an owner in this very version of the team."""
        own = self.member(actor.administrator)
        if own is None or own.role is not Role.OWNER:
            raise Forbidden("admin.console.role", code="role")

    # --- changes; each raises the version by one -----------------------------------------------------------------

    def with_invitation(self, invitation: TeamInvitation, now: datetime, by: Actor | None = None) -> "Team":
        """The team with that invitation in the place of an earlier one to the same address.

        `by`: None for the operator. Raises Conflict, Forbidden: whoever is removed at this moment leaves no invitation
        behind.
        """
        if by is not None:
            self.require_owner(by)
        email = invitation.email.casefold()
        if any(each.email.casefold() == email for each in self.members):
            raise Conflict("admin.team.member_exists", email=invitation.email)
        kept = tuple(
            each for each in self.invitations if each.email.casefold() != email and now < each.expires_at
        )
        if len(self.members) >= MAX_MEMBERS or len(kept) >= MAX_INVITATIONS:
            raise Conflict("admin.team.full", members=MAX_MEMBERS, invitations=MAX_INVITATIONS)
        return self._changed(invitations=(*kept, invitation))

    def without_invitation(self, invitation: str, by: Actor) -> "Team":
        """The team after an invitation was withdrawn. Raises NotFound, Forbidden."""
        self.require_owner(by)
        kept = tuple(each for each in self.invitations if each.id != invitation)
        if len(kept) == len(self.invitations):
            raise NotFound("admin.team.no_invitation")
        return self._changed(invitations=kept)

    def without_invitations(self) -> "Team":
        """The team after all of them were withdrawn."""
        return self._changed(invitations=())

    def invitation(self, invitation: str, now: datetime) -> TeamInvitation:
        """An open invitation. Raises Gone, with the same words for a used, an expired and an unknown one."""
        found = next((each for each in self.invitations if each.id == invitation), None)
        if found is None or now >= found.expires_at:
            raise Gone("admin.team.invitation_over", code="invitation_over")
        return found

    def accepted(
        self, invitation: str, secret: bytes, now: datetime, *, administrator: str, name: str, email: str
    ) -> "Team":
        """The team after the link was used: the invitation is spent, its holder is a member. Raises Gone, Conflict."""
        found = self.invitation(invitation, now)
        if not hmac.compare_digest(secret_digest(secret), found.secret_sha256):
            raise Gone("admin.team.invitation_over", code="invitation_over")
        if self.member(administrator) is not None:
            raise Conflict("admin.team.member_exists", email=email)
        member = Member(
            administrator=administrator,
            name=name,
            email=email,
            role=found.role,
            since=now,
            account=found.account,
        )
        return self._changed(
            members=(*self.members, member),
            invitations=tuple(each for each in self.invitations if each.id != invitation),
        )

    def with_role(self, administrator: str, role: Role, by: Actor) -> "Team":
        """The team with that member in another role; whoever is no owner any more has invited nobody.

        Raises NotFound, Forbidden, Conflict (the last owner).
        """
        member = self._other(administrator, by)
        invitations = self.invitations
        if role is not Role.OWNER:
            invitations = self._not_invited_by(administrator)
            if member.role is Role.OWNER:
                self._require_another_owner(administrator)
        changed = replace(member, role=role)
        members = tuple(changed if each is member else each for each in self.members)
        return self._changed(members=members, invitations=invitations)

    def without_member(self, administrator: str, by: Actor) -> "Team":
        """The team without that member and the invitations that they made: somebody who is removed for good reason
        must not come back by a link of their own. Raises NotFound, Forbidden, Conflict (the last owner).
        """
        member = self._other(administrator, by)
        self._require_another_owner(administrator)
        return self._changed(
            members=tuple(each for each in self.members if each is not member),
            invitations=self._not_invited_by(administrator),
        )

    def _not_invited_by(self, administrator: str) -> tuple[TeamInvitation, ...]:
        return tuple(each for each in self.invitations if each.inviter != administrator)

    def _other(self, administrator: str, by: Actor) -> Member:
        """The member who is changed by somebody else, who still is an owner as this is written."""
        self.require_owner(by)
        member = self.member(administrator)
        if member is None:
            raise NotFound("admin.team.no_member")
        if administrator == by.administrator:
            raise Forbidden("admin.team.own_role", code="own_role")
        return member

    def _require_another_owner(self, administrator: str) -> None:
        if not any(each.administrator != administrator for each in self.owners):
            raise Conflict("admin.team.last_owner")

    def _changed(
        self,
        *,
        members: tuple[Member, ...] | None = None,
        invitations: tuple[TeamInvitation, ...] | None = None,
    ) -> "Team":
        return replace(
            self,
            members=self.members if members is None else members,
            invitations=self.invitations if invitations is None else invitations,
            version=self.version + 1,
        )


def secret_digest(secret: bytes) -> str:
    """What is kept of a secret: SHA-256 as base64url."""
    return b64u(hashlib.sha256(secret).digest())
