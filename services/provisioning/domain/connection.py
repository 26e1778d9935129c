"""A tenant's connection to its directory: how it is set, when it fails, what is told of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from services.provisioning.domain.person import Fault
from services.provisioning.domain.progress import is_news
from services.provisioning.domain.wanted import Policy
from shared.contracts.envelope import OutgoingMessage
from shared.contracts.provisioning import (
    Checked,
    ConnectionChanged,
    ConnectionState,
    EndsWithin,
    Progress,
    SetConnection,
)

READS_ROLES = "RoleManagement.Read.Directory"
AGAIN_AFTER = timedelta(minutes=15)
"""How long a connection that Entra refuses rests before one person's job is tried again: consent may have come."""
WARNED_AT: tuple[EndsWithin, ...] = (0, 1, 7, 30)
"""Days before a credential ends at which it is said, the nearest first."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection of one tenant. `sealed`: its secrets, for this service's own key; empty: there are none."""

    tenant: str
    revision: int = 0
    enabled: bool = False
    policy: Policy = field(default_factory=Policy)
    client_id: str = ""
    tenant_domain: str = ""
    credential: Literal["", "secret", "certificate"] = ""
    credential_ends: datetime | None = None
    ends_within: EndsWithin | None = None
    """Which of `WARNED_AT` was said last of this credential."""
    secrets_of: int = 0
    """The revision that brought the secrets: they are bound to it."""
    sealed: bytes = b""
    fault: Fault | None = None
    again_at: datetime | None = None
    """When it is tried again; None while it works."""
    checked: Checked | None = None
    sweep: str | None = None
    """How far the tenant's accounts were looked through since the connection was set; None: to the end."""
    sweep_retries: bool = False
    """Whether that also tries again what had failed: with other settings it may succeed."""
    check_asked: str = ""
    """The check that was asked for last."""
    progress: Progress | None = None
    version: int = 0

    @property
    def state(self) -> ConnectionState:
        if not self.enabled or not self.sealed:
            return "off"
        return "failed" if self.fault is not None else "ready"

    def may_try(self, now: datetime) -> bool:
        """Whether jobs may go on now."""
        return self.state == "ready" or (
            self.state == "failed" and self.again_at is not None and now >= self.again_at
        )

    @property
    def reads_roles(self) -> bool:
        """Whether the application may read who holds directory roles, as the last check found."""
        found = self.checked.permissions if self.checked is not None else ()
        return any(each.name == READS_ROLES and each.granted for each in found)

    @property
    def check_due(self) -> bool:
        """Whether a check was asked for and not made."""
        return bool(self.check_asked) and (self.checked is None or self.checked.check != self.check_asked)

    def event(self) -> ConnectionChanged:
        """The state that others may know."""
        return ConnectionChanged(
            version=max(self.version, 1),
            revision=self.revision,
            state=self.state,
            when_suspended=self.policy.when_suspended,
            when_removed=self.policy.when_removed,
            client_id=self.client_id,
            tenant_domain=self.tenant_domain,
            credential=self.credential,
            credential_ends=self.credential_ends,
            ends_within=self.ends_within,
            progress=self.progress,
            fault=self.fault and self.fault.message(),
            checked=self.checked,
        )

    def announced(self) -> OutgoingMessage:
        """`provisioning.connection.changed.v1`."""
        return OutgoingMessage(self.event(), self.tenant)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a command brought, opened and sealed anew for ourselves."""

    client_id: str
    tenant_domain: str
    kind: Literal["secret", "certificate"]
    ends: datetime | None
    sealed: bytes


def was_set(
    connection: Connection, command: SetConnection, credential: Credential | None
) -> Connection | None:
    """The connection after the command; None when a later one has been taken already.

    What was found out with the settings from before does not hold for the new ones.
    """
    if command.revision <= connection.revision:
        return None
    after = replace(
        connection,
        revision=command.revision,
        enabled=command.enabled,
        policy=Policy(command.when_suspended, command.when_removed),
        fault=None,
        again_at=None,
        sweep="" if command.enabled else None,
        sweep_retries=True,
    )
    if credential is not None:
        after = replace(
            after,
            client_id=credential.client_id,
            tenant_domain=credential.tenant_domain,
            credential=credential.kind,
            credential_ends=credential.ends or command.secret_ends_at,
            ends_within=None,
            sealed=credential.sealed,
            secrets_of=command.revision,
            checked=None,
        )
    elif command.secret_ends_at is not None and connection.credential == "secret":
        after = replace(after, credential_ends=command.secret_ends_at, ends_within=None)
    return after


def warned(connection: Connection, now: datetime) -> Connection | None:
    """The connection when its credential has come nearer to its end than was said of it; None when there is no news."""
    ends, near = connection.credential_ends, None
    if ends is not None:
        near = next((days for days in WARNED_AT if ends - now <= timedelta(days=days)), None)
    return None if near == connection.ends_within else replace(connection, ends_within=near)


def progressed(connection: Connection, said: Progress) -> Connection | None:
    """The connection after its people were counted; None when the numbers are as they were."""
    return replace(connection, progress=said) if is_news(connection.progress, said) else None


def failed(connection: Connection, fault: Fault, revision: int, now: datetime) -> Connection | None:
    """The connection after Entra refused it; None when it was set anew since (`revision` is what was tried)."""
    if connection.revision != revision:
        return None
    return replace(connection, fault=fault, again_at=now + AGAIN_AFTER)


def works(connection: Connection, revision: int) -> Connection | None:
    """The connection after it worked; None when nothing was wrong, or it was set anew since."""
    if connection.revision != revision or connection.fault is None:
        return None
    return replace(connection, fault=None, again_at=None)


def was_checked(connection: Connection, checked: Checked, fault: Fault | None, now: datetime) -> Connection:
    """The connection after a check. A fault pauses it as one of a job does, and a check that passes lets it go on. Once
    directory roles can be read, all accounts are looked through for them.
    """
    after = replace(connection, checked=checked, fault=fault)
    if after.reads_roles and not connection.reads_roles and after.state != "off":
        after = replace(after, sweep="")
    return replace(after, again_at=None if fault is None else now + AGAIN_AFTER)


def versioned(after: Connection, before: Connection) -> Connection:
    """The connection with the next version, if others are to be told of the change."""
    same = replace(after, version=before.version).event() == before.event()
    return replace(after, version=before.version if same and before.version else before.version + 1)


def swept(connection: Connection, revision: int, cursor: str | None) -> Connection | None:
    """The connection after the accounts up to `cursor` were looked through, None for all of them. None: it was set
    anew since, and they are looked through again.
    """
    if connection.revision != revision or connection.sweep is None:
        return None
    return replace(connection, sweep=cursor, sweep_retries=connection.sweep_retries and cursor is not None)


def swept_anew(connection: Connection) -> Connection | None:
    """The connection at the start of a process: what a crash may have left undone is found. None: nothing to change."""
    if connection.state == "off" or connection.sweep is not None:
        return None
    return replace(connection, sweep="")
