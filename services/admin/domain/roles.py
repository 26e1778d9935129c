"""Who may do what in the console: the roles, and the table from act to rule, which is the enforcement. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.admin.domain.accounts import AccountId
from shared.errors import Forbidden, NotAuthenticated

STEP_UP = timedelta(minutes=5)
"""How long the use of a passkey counts for an act that asks for a recent one."""


class Role(StrEnum):
    """What somebody is in one tenant. The values are stored and stand in forms."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    HELP_DESK = "help_desk"
    BADGE_DESK = "badge_desk"
    AUDITOR = "auditor"
    READ_ONLY = "read_only"


class Act(StrEnum):
    """What can be done in the console of a tenant. The values are stored in records of changes."""

    SEE_TENANT = "tenant.see"
    CREATE_TENANT = "tenant.create"
    SEE_OVERVIEW = "overview.see"
    SEE_PEOPLE = "people.see"
    CREATE_ACCOUNT = "account.create"
    INVITE = "account.invite"
    WITHDRAW_INVITATION = "account.withdraw_invitation"
    SUSPEND = "account.suspend"
    RESUME = "account.resume"
    REMOVE_ACCOUNT = "account.remove"
    RESTORE_ACCOUNT = "account.restore"
    RENAME = "account.rename"
    SIGN_OUT_EVERYWHERE = "account.sign_out_everywhere"
    UNFREEZE = "account.unfreeze"
    REMOVE_DEVICE = "account.remove_device"
    REMOVE_BROWSER = "account.remove_browser"
    SEE_ADMINISTRATORS = "administrators.see"
    INVITE_ADMINISTRATOR = "administrator.invite"
    WITHDRAW_ADMINISTRATOR = "administrator.withdraw_invitation"
    CHANGE_ROLE = "administrator.change_role"
    REMOVE_ADMINISTRATOR = "administrator.remove"
    JOIN = "administrator.join"
    ADD_PASSKEY = "passkey.add"
    REMOVE_PASSKEY = "passkey.remove"
    END_SESSION = "session.end"
    SEE_CHANGES = "changes.see"
    SEE_CONFIGURATION = "configuration.see"
    MARK_CONFIGURATION = "configuration.mark"
    UNMARK_CONFIGURATION = "configuration.unmark"
    SEE_APPLICATIONS = "applications.see"
    CHANGE_APPLICATION = "application.change"
    CHANGE_POLICY = "policy.change"
    SEE_FEDERATION = "federation.see"
    CHANGE_FEDERATION = "federation.change"
    SEE_KEYS = "keys.see"
    ROLL_KEYS = "keys.roll"
    SEE_PROVISIONING = "provisioning.see"
    CHANGE_PROVISIONING = "provisioning.change"
    TEST_PROVISIONING = "provisioning.test"
    RETRY_PROVISIONING = "account.retry_provisioning"
    CHANGE_LICENCES = "account.change_licences"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do it.

    `step_up`: only within `STEP_UP` of the use of a passkey. `protects`: when the account is protected only an owner
    may, and nobody may for their own account: these acts lead to somebody else's sign-in, or take it away.
    """

    roles: frozenset[Role]
    step_up: bool = False
    protects: bool = False


_OWNER = frozenset({Role.OWNER})
_ADMINISTRATORS = _OWNER | {Role.ADMINISTRATOR}
_HELP_DESK = _ADMINISTRATORS | {Role.HELP_DESK}
_READERS = _HELP_DESK | {Role.AUDITOR, Role.READ_ONLY}
_EVERYBODY = frozenset(Role)

RULES: Mapping[Act, Rule] = {
    Act.SEE_TENANT: Rule(_EVERYBODY),
    # The operator's alone, on the command line: there is nobody in the tenant yet.
    Act.CREATE_TENANT: Rule(frozenset()),
    Act.SEE_OVERVIEW: Rule(_READERS),
    Act.SEE_PEOPLE: Rule(_READERS),
    Act.CREATE_ACCOUNT: Rule(_ADMINISTRATORS),
    Act.INVITE: Rule(_HELP_DESK, protects=True),
    Act.WITHDRAW_INVITATION: Rule(_HELP_DESK),
    Act.SUSPEND: Rule(_ADMINISTRATORS, protects=True),
    Act.RESUME: Rule(_ADMINISTRATORS, protects=True),
    Act.REMOVE_ACCOUNT: Rule(_ADMINISTRATORS, protects=True),
    Act.RESTORE_ACCOUNT: Rule(_ADMINISTRATORS, step_up=True, protects=True),
    Act.RENAME: Rule(_ADMINISTRATORS, protects=True),
    Act.SIGN_OUT_EVERYWHERE: Rule(_ADMINISTRATORS),
    Act.UNFREEZE: Rule(_HELP_DESK, protects=True),
    Act.REMOVE_DEVICE: Rule(_HELP_DESK, protects=True),
    Act.REMOVE_BROWSER: Rule(_HELP_DESK),
    Act.SEE_ADMINISTRATORS: Rule(_ADMINISTRATORS | {Role.AUDITOR}),
    Act.INVITE_ADMINISTRATOR: Rule(_OWNER, step_up=True),
    Act.WITHDRAW_ADMINISTRATOR: Rule(_OWNER, step_up=True),
    Act.CHANGE_ROLE: Rule(_OWNER, step_up=True),
    Act.REMOVE_ADMINISTRATOR: Rule(_OWNER, step_up=True),
    # What everybody does for themselves: with a one-time link, or in a session of their own.
    Act.JOIN: Rule(_EVERYBODY),
    Act.ADD_PASSKEY: Rule(_EVERYBODY, step_up=True),
    Act.REMOVE_PASSKEY: Rule(_EVERYBODY, step_up=True),
    Act.END_SESSION: Rule(_EVERYBODY),
    Act.SEE_CHANGES: Rule(_ADMINISTRATORS | {Role.AUDITOR}),
    Act.SEE_CONFIGURATION: Rule(_ADMINISTRATORS | {Role.AUDITOR, Role.READ_ONLY}),
    Act.MARK_CONFIGURATION: Rule(_ADMINISTRATORS),
    Act.UNMARK_CONFIGURATION: Rule(_ADMINISTRATORS),
    Act.SEE_APPLICATIONS: Rule(_ADMINISTRATORS | {Role.AUDITOR, Role.READ_ONLY}),
    # Name, session length (12 hours at most) and first method weaken nothing that keeps strangers out.
    Act.CHANGE_APPLICATION: Rule(_ADMINISTRATORS),
    # It decides whether a look-alike page can relay a sign-in: whoever finds a console open must not lower it.
    Act.CHANGE_POLICY: Rule(_ADMINISTRATORS, step_up=True),
    Act.SEE_FEDERATION: Rule(_ADMINISTRATORS | {Role.AUDITOR, Role.READ_ONLY}),
    Act.CHANGE_FEDERATION: Rule(_OWNER, step_up=True),
    Act.SEE_KEYS: Rule(_ADMINISTRATORS | {Role.AUDITOR, Role.READ_ONLY}),
    Act.ROLL_KEYS: Rule(_OWNER, step_up=True),
    Act.SEE_PROVISIONING: Rule(_ADMINISTRATORS | {Role.AUDITOR, Role.READ_ONLY}),
    # No step-up: whoever fetches a secret from Entra is away for longer than `STEP_UP`, and the form that held it would
    # come back empty. The act makes nobody a way to sign in (docs/threat-model.md).
    Act.CHANGE_PROVISIONING: Rule(_ADMINISTRATORS),
    Act.TEST_PROVISIONING: Rule(_ADMINISTRATORS),
    Act.RETRY_PROVISIONING: Rule(_HELP_DESK),
    Act.CHANGE_LICENCES: Rule(_ADMINISTRATORS),
}
"""Every act. One that is missing here is a KeyError and so is done by nobody."""


class StepUpNeeded(NotAuthenticated):
    """The act asks for a passkey that was used a moment ago."""

    id = "admin.console.step_up"
    code = "step_up"


def require_recent_use(proven_at: datetime, now: datetime) -> None:
    """Raises StepUpNeeded unless a passkey was used within `STEP_UP`. A use in the future, by a clock that was set
    back since, does not count.
    """
    if not timedelta(0) <= now - proven_at < STEP_UP:
        raise StepUpNeeded


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever runs the installation, on the command line. They have the database and the keys anyway, so nothing is
    asked of them; what they do in a tenant is recorded there.
    """

    tenant: str


@dataclass(frozen=True, slots=True)
class Actor:
    """An administrator at one request, in one tenant, with the role that they have there at this moment."""

    administrator: str
    name: str
    email: str
    tenant: str
    role: Role
    account: AccountId | None
    """Their own account with the tenant, where the invitation named one."""
    session: str
    proven_at: datetime
    """When their passkey was last used in this session."""
    address: str
    """From where they ask; `unknown` when that is not known."""

    def may(self, act: Act) -> bool:
        """Whether the role allows it, whatever else may be in the way. For what a page offers."""
        return self.role in RULES[act].roles

    def require(self, act: Act, now: datetime) -> None:
        """Raises Forbidden when the role does not allow it, StepUpNeeded when the passkey's use is too long ago."""
        rule = RULES[act]
        if self.role not in rule.roles:
            raise Forbidden("admin.console.role", code="role")
        if rule.step_up:
            require_recent_use(self.proven_at, now)

    def require_on(self, act: Act, now: datetime, *, account: AccountId, protected: bool, own: bool) -> None:
        """The same for an act on an account. `protected`, `own`: whether it is a protected one, whether it is theirs.

        Raises Forbidden, StepUpNeeded.
        """
        self.require(act, now)
        if not RULES[act].protects:
            return
        if own or account == self.account:
            raise Forbidden("admin.console.own_account", code="own_account")
        if protected and self.role is not Role.OWNER:
            raise Forbidden("admin.console.protected", code="protected")
